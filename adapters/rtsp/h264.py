"""H.264 headers (ITU-T H.264, 08/2021): NAL types, SPS, slice types. Raises only ValueError, always bounded."""

from dataclasses import dataclass

from adapters.rtsp.bits import BitReader, without_emulation

SLICE = 1
PARTITION_A = 2
IDR = 5
SEI = 6
SPS = 7
PPS = 8
DELIMITER = 9
END_OF_SEQUENCE = 10
END_OF_STREAM = 11
FILLER = 12
MAX_HEADER = 4_096  # bytes of a parameter set that are looked at
MAX_PICTURE_PX = 16_384
SLICE_HEADER = 64  # bytes of a slice that are looked at

# profile_idc -> name (annex A.2); those with chroma information in the SPS are in _HIGH.
_PROFILES = {
    44: "CAVLC 4:4:4",
    66: "Baseline",
    77: "Main",
    83: "Scalable Baseline",
    86: "Scalable High",
    88: "Extended",
    100: "High",
    110: "High 10",
    118: "Multiview High",
    122: "High 4:2:2",
    128: "Stereo High",
    244: "High 4:4:4 Predictive",
}
_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_CHROMA = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")


def nal_type(nal: bytes) -> int:
    """Return nal_unit_type (table 7-1); 0 for an empty NAL."""
    return nal[0] & 0x1F if nal else 0


@dataclass(frozen=True, slots=True)
class Sps:
    """What the hub needs of a sequence parameter set (7.3.2.1.1)."""

    identifier: int
    profile_idc: int
    constraints: int  # the byte of constraint_set flags
    level_idc: int
    chroma_format: str  # 4:2:0 ...
    bit_depth: int  # luma
    width: int  # px, cropped
    height: int
    interlaced: bool
    order_count_type: int  # pic_order_cnt_type
    reorder_frames: int | None  # VUI max_num_reorder_frames; None where not told
    frame_rate: float | None  # VUI timing, where it is told

    @property
    def profile(self) -> str:
        """Return the profile's name."""
        if self.profile_idc == 66 and self.constraints & 0x40:
            return "Constrained Baseline"
        return _PROFILES.get(self.profile_idc, f"profile_idc {self.profile_idc}")

    @property
    def level(self) -> str:
        """Return the level as people write it: 3.1; 1b by constraint_set3 (A.3.1)."""
        if self.level_idc == 11 and self.constraints & 0x10 and self.profile_idc in (66, 77, 88):
            return "1b"
        return f"{self.level_idc // 10}.{self.level_idc % 10}"

    @property
    def may_reorder(self) -> bool:
        """Tell whether B pictures are possible (A.2.1: Baseline has none; 8.2.1.3: type 2 keeps the order)."""
        return self.profile_idc != 66 and self.order_count_type != 2


def parse_sps(nal: bytes) -> Sps:
    """Read a sequence parameter set. Bytes behind it are not looked at (quirk 60).

    Raises:
        ValueError: not an SPS, cut short, or with values out of range.
    """
    if nal_type(nal) != SPS or len(nal) < 4:
        raise ValueError(f"not an SPS: {nal[:4].hex()}")
    reader = BitReader(without_emulation(nal[1:MAX_HEADER]))
    profile_idc, constraints, level_idc = reader.u(8), reader.u(8), reader.u(8)
    identifier = reader.ue(31)
    chroma, depth, separate = 1, 8, False
    if profile_idc in _HIGH:
        chroma = reader.ue(3)
        separate = chroma == 3 and reader.flag()
        depth = 8 + reader.ue(6)
        reader.ue(6)  # bit_depth_chroma_minus8
        reader.skip(1)  # qpprime_y_zero_transform_bypass_flag
        if reader.flag():
            _skip_scaling_lists(reader, 8 if chroma != 3 else 12)
    reader.ue(12)  # log2_max_frame_num_minus4
    order = reader.ue(2)
    if order == 0:
        reader.ue(12)
    elif order == 1:
        reader.skip(1)
        reader.se()
        reader.se()
        for _ in range(reader.ue(255)):
            reader.se()
    reader.ue(16)  # max_num_ref_frames
    reader.skip(1)
    columns = reader.ue(MAX_PICTURE_PX // 16 - 1) + 1
    rows = reader.ue(MAX_PICTURE_PX // 16 - 1) + 1
    frames_only = reader.flag()
    if not frames_only:
        reader.skip(1)
    reader.skip(1)  # direct_8x8_inference_flag
    width, height = columns * 16, rows * 16 * (1 if frames_only else 2)
    if reader.flag():
        left, right, top, bottom = (reader.ue(MAX_PICTURE_PX) for _ in range(4))
        sampled = 0 if separate else chroma
        unit_x = 2 if sampled in (1, 2) else 1
        unit_y = (2 if sampled == 1 else 1) * (1 if frames_only else 2)
        width -= unit_x * (left + right)
        height -= unit_y * (top + bottom)
    if width <= 0 or height <= 0:
        raise ValueError(f"the SPS crops its picture away: {width}x{height}")
    reorder, rate = _vui(reader) if reader.left and reader.flag() else (None, None)
    return Sps(
        identifier,
        profile_idc,
        constraints,
        level_idc,
        _CHROMA[chroma],
        depth,
        width,
        height,
        not frames_only,
        order,
        reorder,
        rate,
    )


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    for index in range(count):
        if not reader.flag():
            continue
        last, following = 8, 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + reader.se()) & 0xFF
            last = following or last


def _vui(reader: BitReader) -> tuple[int | None, float | None]:
    """Read annex E.1.1 as far as it goes: cameras cut it short, and what was read before still holds."""
    reorder: int | None = None
    rate: float | None = None
    try:
        if reader.flag() and reader.u(8) == 255:  # aspect ratio
            reader.skip(32)
        if reader.flag():
            reader.skip(1)  # overscan
        if reader.flag():
            reader.skip(4)  # video format and range
            if reader.flag():
                reader.skip(24)
        if reader.flag():
            reader.ue(5)
            reader.ue(5)
        if reader.flag():
            units, scale = reader.u(32), reader.u(32)
            reader.skip(1)
            if units and scale:
                told = scale / (2 * units)
                rate = told if 0.01 <= told <= 1000 else None
        nal_hrd = reader.flag()
        if nal_hrd:
            _skip_hrd(reader)
        vcl_hrd = reader.flag()
        if vcl_hrd:
            _skip_hrd(reader)
        if nal_hrd or vcl_hrd:
            reader.skip(1)
        reader.skip(1)  # pic_struct_present_flag
        if reader.flag():
            reader.skip(1)
            for _ in range(4):
                reader.ue(16)
            reorder = reader.ue(16)
    except ValueError:
        return reorder, rate
    return reorder, rate


def _skip_hrd(reader: BitReader) -> None:
    count = reader.ue(31) + 1
    reader.skip(8)
    for _ in range(count):
        reader.ue()
        reader.ue()
        reader.skip(1)
    reader.skip(20)


def slice_type(nal: bytes) -> str:
    """Return P, B, I, SP or SI of a slice NAL (7.3.3, table 7-6).

    Raises:
        ValueError: not a slice, or cut short.
    """
    if nal_type(nal) not in (SLICE, PARTITION_A, IDR):
        raise ValueError(f"NAL type {nal_type(nal)} has no slice header")
    reader = BitReader(without_emulation(nal[1:SLICE_HEADER]))
    reader.ue()  # first_mb_in_slice
    return ("P", "B", "I", "SP", "SI")[reader.ue(9) % 5]


def pps_identifiers(nal: bytes) -> tuple[int, int]:
    """Return (pic_parameter_set_id, seq_parameter_set_id) of a PPS (7.3.2.2).

    Raises:
        ValueError: not a PPS, or cut short.
    """
    if nal_type(nal) != PPS:
        raise ValueError(f"not a PPS: {nal[:4].hex()}")
    reader = BitReader(without_emulation(nal[1:32]))
    return reader.ue(255), reader.ue(31)


def starts_picture(nal: bytes) -> bool:
    """Tell whether a slice is the first of its picture: first_mb_in_slice is 0 (its code is one bit, 1)."""
    return len(nal) > 1 and nal[1] & 0x80 != 0
