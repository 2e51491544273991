"""H.265 headers (ITU-T H.265, 08/2021): NAL types, SPS, PPS, slice types. Raises only ValueError, always bounded."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.rtsp.bits import BitReader, without_emulation

MAX_SLICE = 31  # VCL NAL types are 0..31 (table 7-1)
VPS = 32
SPS = 33
PPS = 34
DELIMITER = 35
MAX_HEADER = 4_096
MAX_PICTURE_PX = 16_384
SLICE_HEADER = 64

_PROFILES = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions", 9: "Screen Content"}
_CHROMA = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")


def nal_type(nal: bytes) -> int:
    """Return nal_unit_type (7.3.1.2); -1 for an empty NAL."""
    return nal[0] >> 1 & 0x3F if nal else -1


def is_random_access(kind: int) -> bool:
    """Tell whether a NAL type is an intra random access point: BLA, IDR or CRA (16..21; 22, 23 reserved)."""
    return 16 <= kind <= 21


@dataclass(frozen=True, slots=True)
class Sps:
    """What the hub needs of a sequence parameter set (7.3.2.2.1)."""

    identifier: int
    profile_idc: int
    level_idc: int
    high_tier: bool
    chroma_format: str
    separate_planes: bool
    bit_depth: int  # luma
    width: int  # px, cropped by the conformance window
    height: int
    coding_blocks: int  # coding tree blocks in a picture
    reorder_pictures: int  # sps_max_num_reorder_pics of the highest sub-layer

    @property
    def profile(self) -> str:
        """Return the profile's name."""
        return _PROFILES.get(self.profile_idc, f"profile_idc {self.profile_idc}")

    @property
    def level(self) -> str:
        """Return the level as people write it: 4.1 (level_idc is 30 times that, A.4.1)."""
        whole, tenth = divmod(self.level_idc, 30)
        return f"{whole}.{tenth // 3}"


@dataclass(frozen=True, slots=True)
class Pps:
    """What a slice header needs of a picture parameter set (7.3.2.3.1)."""

    identifier: int
    sps: int
    dependent_slices: bool
    extra_slice_bits: int


def parse_sps(nal: bytes) -> Sps:
    """Read a sequence parameter set.

    Raises:
        ValueError: not an SPS, cut short, or with values out of range.
    """
    if nal_type(nal) != SPS or len(nal) < 8:
        raise ValueError(f"not an H.265 SPS: {nal[:4].hex()}")
    reader = BitReader(without_emulation(nal[2:MAX_HEADER]))
    reader.skip(4)  # sps_video_parameter_set_id
    sub_layers = reader.u(3)
    if sub_layers > 6:
        raise ValueError("sps_max_sub_layers_minus1 is 7")
    reader.skip(1)
    profile_idc, high_tier, level_idc = _profile_tier_level(reader, sub_layers)
    identifier = reader.ue(15)
    chroma = reader.ue(3)
    separate = chroma == 3 and reader.flag()
    width, height = reader.ue(MAX_PICTURE_PX), reader.ue(MAX_PICTURE_PX)
    coded_width, coded_height = width, height
    if reader.flag():
        left, right, top, bottom = (reader.ue(MAX_PICTURE_PX) for _ in range(4))
        width -= (2 if chroma in (1, 2) else 1) * (left + right)
        height -= (2 if chroma == 1 else 1) * (top + bottom)
    if width <= 0 or height <= 0:
        raise ValueError(f"the SPS crops its picture away: {width}x{height}")
    depth = 8 + reader.ue(8)
    reader.ue(8)  # bit_depth_chroma_minus8
    reader.ue(12)  # log2_max_pic_order_cnt_lsb_minus4
    reorder = 0
    all_layers = reader.flag()
    for _ in range(sub_layers + 1 if all_layers else 1):
        reader.ue(15)  # sps_max_dec_pic_buffering_minus1
        reorder = reader.ue(15)
        reader.ue()
    block_log2 = reader.ue(3) + 3 + reader.ue(3)  # log2 of the coding tree block
    if not 4 <= block_log2 <= 6:
        raise ValueError(f"coding tree blocks of {1 << block_log2} px")
    block = 1 << block_log2
    blocks = ((coded_width + block - 1) // block) * ((coded_height + block - 1) // block)
    return Sps(
        identifier,
        profile_idc,
        level_idc,
        high_tier,
        _CHROMA[chroma],
        separate,
        depth,
        width,
        height,
        blocks,
        reorder,
    )


def _profile_tier_level(reader: BitReader, sub_layers: int) -> tuple[int, bool, int]:
    """Read 7.3.3 and return profile, tier and level of the whole stream."""
    reader.skip(2)  # general_profile_space
    high_tier = reader.flag()
    profile_idc = reader.u(5)
    compatible = reader.u(32)
    if profile_idc == 0:  # some encoders leave it 0 and set only the compatibility flags
        profile_idc = next((number for number in range(1, 32) if compatible >> (31 - number) & 1), 0)
    reader.skip(48)
    level_idc = reader.u(8)
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.skip(2 * (8 - sub_layers))
    for profile, level in present:
        reader.skip((88 if profile else 0) + (8 if level else 0))
    return profile_idc, high_tier, level_idc


def parse_pps(nal: bytes) -> Pps:
    """Read the head of a picture parameter set.

    Raises:
        ValueError: not a PPS, cut short, or with values out of range.
    """
    if nal_type(nal) != PPS or len(nal) < 3:
        raise ValueError(f"not an H.265 PPS: {nal[:4].hex()}")
    reader = BitReader(without_emulation(nal[2:MAX_HEADER]))
    identifier, sps = reader.ue(63), reader.ue(15)
    dependent = reader.flag()
    reader.skip(1)  # output_flag_present_flag
    return Pps(identifier, sps, dependent, reader.u(3))


def slice_type(nal: bytes, sps: Mapping[int, Sps], pps: Mapping[int, Pps]) -> str | None:
    """Return B, P or I of a slice NAL (7.3.6.1, table 7-7); None for a dependent slice, which has no type.

    Raises:
        ValueError: not a slice, cut short, or its parameter sets are not known.
    """
    kind = nal_type(nal)
    if not 0 <= kind <= 21 or 10 <= kind <= 15:
        raise ValueError(f"NAL type {kind} has no slice header")
    reader = BitReader(without_emulation(nal[2:SLICE_HEADER]))
    first = reader.flag()
    if 16 <= kind <= 23:
        reader.skip(1)  # no_output_of_prior_pics_flag
    picture = pps.get(reader.ue(63))
    sequence = sps.get(picture.sps) if picture else None
    if picture is None or sequence is None:
        raise ValueError("the slice names parameter sets that have not come yet")
    if not first:
        dependent = picture.dependent_slices and reader.flag()
        reader.skip((sequence.coding_blocks - 1).bit_length())  # slice_segment_address
        if dependent:
            return None
    reader.skip(picture.extra_slice_bits)
    return ("B", "P", "I")[reader.ue(2)]
