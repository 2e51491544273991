"""One open coder of H.264, whatever its kind: pictures in, coded pictures out, each key frame with its parameter sets."""

from collections import deque
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from hub.decode.coders.kinds import Kind
from hub.decode.coders.messages import Wanted
from hub.decode.errors import NotDecodable
from hub.decode.recode_messages import Coded

_SEI, _SPS, _PPS, _AUD = 6, 7, 8, 9  # nal_unit_type, H.264 table 7-1
_SLICES: Final = range(1, 6)
_IDR: Final = 5


class PictureCoder:
    """Codes pictures of one size and of pixel format yuv420p."""

    def __init__(self, kind: Kind, wanted: Wanted) -> None:
        """Open it.

        Raises:
            NotDecodable: it would not open.
        """
        self._inside: deque[int] = deque(maxlen=64)  # timestamps of pictures that did not come out yet
        self._sets: dict[int, bytes] = {}
        fault = ""
        for pixels in kind.pixels:
            context = _context(kind, wanted, pixels)
            try:
                context.open()
            except (av.error.FFmpegError, ValueError) as error:
                fault = fault or getattr(error, "strerror", None) or str(error)
                continue
            self._context, self._pixels = context, pixels
            return
        raise NotDecodable(f"{kind.encoder} would not open: {fault}")

    @property
    def inside(self) -> int:
        """Return how many pictures did not come out yet."""
        return len(self._inside)

    def code(self, picture: VideoFrame, at: int, *, key: bool) -> list[Coded]:
        """Code a picture of that timestamp, as a key frame where asked; return what came out, in order.

        Raises:
            NotDecodable: it cannot be coded.
            MemoryError: the process may not have as much memory as it took.
        """
        if picture.format.name != self._pixels:
            picture = picture.reformat(format=self._pixels, threads=1)
        picture.pts, picture.time_base = at, self._context.time_base
        picture.pict_type = PictureType.I if key else PictureType.NONE
        self._inside.append(at)
        try:
            packets = self._context.encode(picture)
        except av.error.MemoryError as error:
            raise MemoryError from error
        except av.error.FFmpegError as error:
            raise NotDecodable(f"the picture cannot be coded: {type(error).__name__}") from error
        return [coded for packet in packets if (coded := self._coded(packet)) is not None]

    def _coded(self, packet: "av.Packet[Any]") -> Coded | None:
        nals = units(bytes(packet))
        kinds = [nal[0] & 0x1F for nal in nals]
        for kind, nal in zip(kinds, nals, strict=True):
            if kind in {_SPS, _PPS}:
                self._sets[kind] = nal
        if not any(kind in _SLICES for kind in kinds):
            return None  # parameter sets alone: they go with the next key frame
        key = _IDR in kinds
        if key and _SPS not in kinds:
            nals = [*(self._sets[kind] for kind in (_SPS, _PPS) if kind in self._sets), *nals]
        return Coded(self._stamp(packet.pts), tuple(nals), key)

    def _stamp(self, told: int | None) -> int:
        """Return the timestamp of the picture that came out: as told, if such a one was given, else the oldest inside."""
        while told in self._inside and self._inside[0] != told:
            self._inside.popleft()  # the coder left it out
        return self._inside.popleft() if self._inside else told or 0


def _context(kind: Kind, wanted: Wanted, pixels: str) -> VideoCodecContext:
    context = cast(VideoCodecContext, VideoCodecContext.create(kind.encoder, "w"))
    context.width, context.height, context.pix_fmt = wanted.width, wanted.height, pixels
    context.time_base = Fraction(1, wanted.clock_hz)
    context.framerate = Fraction(max(1, round(wanted.fps)), 1)
    context.thread_count = 1
    context.max_b_frames = 0
    context.gop_size = 100_000 if not kind.video else 600  # key frames are asked for one by one, by the clock
    if kind.rated:
        context.bit_rate = wanted.bit_s
    context.options = {**kind.options, "maxrate": str(wanted.bit_s), "bufsize": str(wanted.bit_s)}
    return context


def units(data: bytes) -> list[bytes]:
    """Return the NAL units of a coder's output, delimiters and supplemental information left out."""
    out = []
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        start = at + 3
        at = data.find(b"\x00\x00\x01", start)
        unit = data[start : at if at >= 0 else len(data)].rstrip(b"\x00")
        if unit and unit[0] & 0x1F not in {_SEI, _AUD}:
            out.append(unit)
    return out
