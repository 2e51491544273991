"""MPEG-4 part 2 headers (ISO/IEC 14496-2): video object layer, VOP types. Raises only ValueError, always bounded."""

from collections.abc import Iterator
from dataclasses import dataclass

from adapters.rtsp.bits import BitReader

VOS_START = 0xB0  # visual_object_sequence_start_code
VOP_START = 0xB6
LAYER_START = 0x20  # video_object_layer_start_code, up to 0x2F
MAX_HEADER = 4_096  # bytes of a header that are looked at
MAX_START_CODES = 256  # of one picture: with resync markers there is one VOP, with a few headers before it
MAX_PICTURE_PX = 16_384
_TYPES = ("I", "P", "B", "S")  # vop_coding_type, table 6-20
_SIMPLE = {0x01: "1", 0x02: "2", 0x03: "3", 0x04: "4a", 0x05: "5", 0x06: "6", 0x08: "0", 0x09: "0b"}
_CHROMA = {1: "4:2:0"}


@dataclass(frozen=True, slots=True)
class Layer:
    """What the hub needs of a video object layer and its sequence (6.2.2, 6.2.3)."""

    profile_level: int | None  # profile_and_level_indication, where the sequence header is there
    chroma_format: str
    width: int  # px
    height: int

    @property
    def profile(self) -> str:
        """Return the profile's name (annex G, table G.1)."""
        if self.profile_level is None:
            return ""
        if self.profile_level in _SIMPLE:
            return "Simple"
        if 0xF0 <= self.profile_level <= 0xF7:
            return "Advanced Simple"
        return f"profile_and_level_indication {self.profile_level}"

    @property
    def level(self) -> str:
        """Return the level as people write it; empty where the indication is of another profile."""
        told = self.profile_level
        if told is None:
            return ""
        return _SIMPLE.get(told) or (
            "3b" if told == 0xF7 else str(told - 0xF0) if 0xF0 <= told < 0xF6 else ""
        )


def _start_codes(data: bytes) -> Iterator[tuple[int, int]]:
    """Return code and the position behind it of each start code (00 00 01 xx)."""
    position = -1
    for _ in range(MAX_START_CODES):
        position = data.find(b"\0\0\1", position + 1)
        if position < 0 or position + 3 >= len(data):
            return
        yield data[position + 3], position + 4


def vop_types(data: bytes) -> Iterator[str]:
    """Return I, P, B or S of each VOP in some bytes, in order."""
    for code, position in _start_codes(data):
        if code == VOP_START and position < len(data):
            yield _TYPES[data[position] >> 6]


def has_layer(data: bytes) -> bool:
    """Tell whether a video object layer header is among some bytes."""
    return any(LAYER_START <= code <= LAYER_START + 15 for code, _ in _start_codes(data[:MAX_HEADER]))


def parse_layer(data: bytes) -> Layer:
    """Read the last video object layer in some bytes (an SDP's ``config``, or a picture with its headers).

    Raises:
        ValueError: there is none, it is cut short, or its values are out of range.
    """
    profile_level: int | None = None
    found: Layer | None = None
    head = data[:MAX_HEADER]
    for code, position in _start_codes(head):
        if code == VOS_START and position < len(head):
            profile_level = head[position]
        elif LAYER_START <= code <= LAYER_START + 15:
            found = _layer(BitReader(head[position : position + 64]), profile_level)
        elif code == VOP_START:
            break
    if found is None:
        raise ValueError("no video object layer among the headers")
    return found


def _layer(reader: BitReader, profile_level: int | None) -> Layer:
    reader.skip(9)  # random_accessible_vol, video_object_type_indication
    version = 1
    if reader.flag():
        version = reader.u(4)
        reader.skip(3)
    if reader.u(4) == 15:  # aspect_ratio_info: extended
        reader.skip(16)
    chroma = 1
    if reader.flag():  # vol_control_parameters
        chroma = reader.u(2)
        reader.skip(1)
        if reader.flag():
            reader.skip(79)  # vbv_parameters
    shape = reader.u(2)
    if shape == 3 and version != 1:
        reader.skip(4)
    reader.skip(1)
    resolution = reader.u(16)
    if not resolution:
        raise ValueError("vop_time_increment_resolution is 0")
    reader.skip(1)
    if reader.flag():  # fixed_vop_rate
        reader.skip(max(1, (resolution - 1).bit_length()))
    if shape != 0:
        raise ValueError("the video object is not rectangular")
    reader.skip(1)
    width = reader.u(13)
    reader.skip(1)
    height = reader.u(13)
    if not 0 < width <= MAX_PICTURE_PX or not 0 < height <= MAX_PICTURE_PX:
        raise ValueError(f"a picture of {width}x{height}")
    return Layer(profile_level, _CHROMA.get(chroma, ""), width, height)
