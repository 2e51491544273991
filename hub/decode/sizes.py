"""The size that a coded picture claims, read by our own parsers before FFmpeg sees a byte of it."""

from collections.abc import Iterator
from typing import Final

from adapters.rtsp import h264, h265, mpeg4
from hub.decode import limits
from hub.decode.errors import NotDecodable, TooLarge

_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1: start of frame
_VOL_BYTES: Final = 64  # of a video object layer header; its size stands in the first 30


def check_declared(codec: str, data: bytes) -> None:
    """Refuse a coded picture that says itself that it is too large, or does not say its size at all.

    Raises:
        NotDecodable, TooLarge: as it says.
    """
    match codec:
        case "H264" | "H265":
            sizes = list(_sps_sizes(codec, data))
        case "JPEG":
            sizes = list(_jpeg_sizes(data))
        case _:
            sizes = list(_vol_sizes(data))
    if not sizes:
        raise NotDecodable("nothing in it tells the size of the picture")
    for width, height in sizes:
        bound(width, height)


def bound(width: int, height: int) -> None:
    """Refuse a size beyond the bounds.

    Raises:
        TooLarge: as it says.
    """
    if not (0 < width <= limits.MAX_SIDE_PX and 0 < height <= limits.MAX_SIDE_PX):
        raise TooLarge(f"the picture claims {width}x{height} px")
    if width * height > limits.MAX_PIXELS:
        raise TooLarge(f"the picture claims {width}x{height} px")


def _sps_sizes(codec: str, data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size in each SPS that FFmpeg would see, those hidden behind start codes in a unit included.

    Raises:
        NotDecodable: one of them cannot be read.
        TooLarge: one of them claims more than can be said.
    """
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        start = at + 3
        at = data.find(b"\x00\x00\x01", start)
        head = data[start : start + 2]
        if len(head) < 2:
            continue
        is_sps = h264.nal_type(head) == h264.SPS if codec == "H264" else h265.nal_type(head) == h265.SPS
        if not is_sps:
            continue
        nal = data[start : at if at >= 0 else len(data)][: h264.MAX_HEADER]
        try:
            sps = h264.parse_sps(nal) if codec == "H264" else h265.parse_sps(nal)
        except (ValueError, IndexError) as error:
            raise NotDecodable("its sequence parameter set cannot be read") from error
        yield sps.width, sps.height


def _jpeg_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size in each start-of-frame segment; two of them in one file are looked at like one.

    Every marker of the file is looked at, not only those in front of the first scan: FFmpeg does the same.

    Raises:
        NotDecodable: not a JPEG.
    """
    if data[:3] != b"\xff\xd8\xff":
        raise NotDecodable("it is no JPEG picture")
    at = data.find(b"\xff", 2)
    while 0 <= at < len(data) - 9:
        if data[at + 1] in _SOF:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            components = data[at + 9]
            if length == 8 + 3 * components and data[at + 4] in {8, 12, 16}:
                yield (
                    int.from_bytes(data[at + 7 : at + 9], "big"),
                    int.from_bytes(data[at + 5 : at + 7], "big"),
                )
        at = data.find(b"\xff", at + 1)


def _vol_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size in each video object layer header (ISO/IEC 14496-2 6.2.3).

    Raises:
        NotDecodable: one of them cannot be read, or is not of rectangular shape.
    """
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        start = at + 3
        at = data.find(b"\x00\x00\x01", start)
        if start >= len(data) or not 0x20 <= data[start] <= 0x2F:
            continue
        try:
            layer = mpeg4.parse_layer(data[start - 3 : start + _VOL_BYTES])
        except (ValueError, IndexError) as error:
            raise NotDecodable("its video object layer header cannot be read") from error
        yield layer.width, layer.height
