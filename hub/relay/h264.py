"""What the relay reads of an H.264 bitstream (ITU-T H.264 7.3, 7.4): NAL types, the SPS's head, slice types.

Nothing is decoded. Every length comes from a camera and is bounded; what cannot be read is `None`, not a guess.
"""

from dataclasses import dataclass

NAL_SLICE = 1
NAL_IDR = 5
NAL_SEI = 6
NAL_SPS = 7
NAL_PPS = 8
NAL_AUD = 9
NAL_END_OF_SEQUENCE = 10
NAL_END_OF_STREAM = 11
NAL_FILLER = 12
NAL_STAP_A = 24  # RFC 6184 5.7.1
NAL_FU_A = 28  # RFC 6184 5.8

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_SLICE_B = frozenset({1, 6})


class _Truncated(Exception):
    """The bits ended before the field did, or a code is longer than the standard allows."""


class _Bits:
    """A reader of fixed and Exp-Golomb codes (9.1) over a NAL payload without emulation prevention."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def u(self, count: int) -> int:
        """Read an unsigned number of `count` bits."""
        if count > self._left:
            raise _Truncated
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """Read ue(v), at most 32 bits of value."""
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
            if zeros > 32:
                raise _Truncated
        return (1 << zeros) - 1 + (self.u(zeros) if zeros else 0)

    def se(self) -> int:
        """Read se(v)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


@dataclass(frozen=True, slots=True)
class Sps:
    """The part of a sequence parameter set that the relay decides by (7.3.2.1.1)."""

    sps_id: int
    profile_idc: int
    constraint_flags: int  # the byte of constraint_set0..5_flag, as in profile-level-id
    level_idc: int
    pic_order_cnt_type: int
    width: int  # px, cropping applied
    height: int

    @property
    def profile_level_id(self) -> str:
        """Return the six hex digits of RFC 6184 8.1."""
        return f"{self.profile_idc:02x}{self.constraint_flags:02x}{self.level_idc:02x}"

    @property
    def profile_name(self) -> str:
        """Return the profile in the words people use."""
        names = {66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2"}
        name = names.get(self.profile_idc, f"profile {self.profile_idc}")
        return f"Constrained {name}" if self.profile_idc == 66 and self.constraint_flags & 0x40 else name

    @property
    def may_reorder(self) -> bool:
        """Tell whether this stream may hold B pictures (A.2.1: Baseline has none; 8.2.1.3: type 2 keeps order)."""
        return self.profile_idc != 66 and self.pic_order_cnt_type != 2


def nal_type(nal: bytes) -> int:
    """Return nal_unit_type; 0 (unspecified) for an empty unit."""
    return nal[0] & 0x1F if nal else 0


def without_emulation_prevention(nal: bytes) -> bytes:
    """Return the unit with each ``00 00 03`` made ``00 00`` (7.4.1)."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")


def parse_sps(nal: bytes) -> Sps | None:
    """Read the head of an SPS NAL unit; `None` where it is not one or is cut short."""
    if nal_type(nal) != NAL_SPS or not 4 <= len(nal) <= 4096:
        return None
    bits = _Bits(without_emulation_prevention(nal)[1:512])
    try:
        profile, flags, level = bits.u(8), bits.u(8), bits.u(8)
        sps_id = bits.ue()
        chroma_format = 1
        separate_planes = 0
        if profile in _HIGH_PROFILES:
            chroma_format = bits.ue()
            if chroma_format == 3:
                separate_planes = bits.u(1)
            bits.ue()  # bit_depth_luma_minus8
            bits.ue()  # bit_depth_chroma_minus8
            bits.u(1)  # qpprime_y_zero_transform_bypass_flag
            if bits.u(1):
                _skip_scaling_lists(bits, 8 if chroma_format != 3 else 12)
        bits.ue()  # log2_max_frame_num_minus4
        order_type = bits.ue()
        if order_type == 0:
            bits.ue()
        elif order_type == 1:
            bits.u(1)
            bits.se()
            bits.se()
            cycle = bits.ue()
            if cycle > 255:  # 7.4.2.1.1
                return None
            for _ in range(cycle):
                bits.se()
        bits.ue()  # max_num_ref_frames
        bits.u(1)
        width = (bits.ue() + 1) * 16
        height = (bits.ue() + 1) * 16
        frame_mbs_only = bits.u(1)
        height *= 2 - frame_mbs_only
        if not frame_mbs_only:
            bits.u(1)
        bits.u(1)
        if bits.u(1):  # frame_cropping_flag
            left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
            unit_x = 2 if chroma_format in {1, 2} and not separate_planes else 1
            unit_y = (2 if chroma_format == 1 and not separate_planes else 1) * (2 - frame_mbs_only)
            width -= (left + right) * unit_x
            height -= (top + bottom) * unit_y
    except _Truncated:
        return None
    if sps_id > 31 or not (0 < width <= 16384 and 0 < height <= 16384):
        return None
    return Sps(sps_id, profile, flags, level, order_type, width, height)


def pps_ids(nal: bytes) -> tuple[int, int] | None:
    """Return (pic_parameter_set_id, seq_parameter_set_id) of a PPS; `None` where it cannot be read."""
    if nal_type(nal) != NAL_PPS or len(nal) < 2:
        return None
    bits = _Bits(without_emulation_prevention(nal[:32])[1:])
    try:
        pps_id, sps_id = bits.ue(), bits.ue()
    except _Truncated:
        return None
    return (pps_id, sps_id) if pps_id <= 255 and sps_id <= 31 else None


def is_b_slice(nal: bytes) -> bool | None:
    """Tell whether a slice NAL is of type B (7.3.3); `None` where it is no slice or cannot be read."""
    if nal_type(nal) not in {NAL_SLICE, NAL_IDR}:
        return None
    bits = _Bits(without_emulation_prevention(nal[:16])[1:])
    try:
        bits.ue()  # first_mb_in_slice
        return bits.ue() in _SLICE_B
    except _Truncated:
        return None


def _skip_scaling_lists(bits: _Bits, count: int) -> None:
    for index in range(count):
        if not bits.u(1):
            continue
        size = 16 if index < 6 else 64
        last = following = 8
        for _ in range(size):
            if following:
                following = (last + bits.se() + 256) % 256
            last = following or last
