"""A coder is believed once it has coded pictures of our own well: right, in order, at once, with key frames on demand.

What comes out is decoded by the software decoder and compared with what went in. No camera's picture is used.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from statistics import median
from typing import Final, Protocol

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from adapters.rtsp import h264
from hub.decode.coders.messages import Wanted
from hub.decode.recode_messages import Coded

PICTURES: Final = 12
_KEY_AT: Final = 5  # a key frame is asked for in the middle too
LATE: Final = 1  # pictures that may be inside the coder: FFmpeg takes one packet of V4L2 for each picture, the first has no picture
_LEAST_PSNR_DB: Final = 26.0
_EVERY_ROW: Final = 8  # rows that are compared
_MOVED_PX: Final = 48  # from picture to picture: the one before is no match
_PERIOD_PX: Final = 256
_PROFILES: Final = {66, 77}  # Baseline and Main: what the answer to a browser says of a transcode


class Failed(Exception):
    """The coder did not pass; says what was seen. `lasting`: it would not with another size either."""

    def __init__(self, why: str, *, lasting: bool = True) -> None:
        super().__init__(why)
        self.lasting = lasting


class Codes(Protocol):
    """What is tried."""

    def code(self, picture: VideoFrame, at: int, *, key: bool) -> list[Coded]:
        """Code a picture of that timestamp; return what came out."""


class Trial:
    """One coder's trial. It may be run more than once: the pictures go on, in the time of a real stream."""

    def __init__(
        self, wanted: Wanted, coder: Codes, now_s: Callable[[], float], wait_s: Callable[[float], None]
    ) -> None:
        """`now_s` is a monotonic clock, `wait_s` waits for so long."""
        self._wanted = wanted
        self._coder = coder
        self._now_s = now_s
        self._wait_s = wait_s
        self._given: dict[int, tuple[int, bool]] = {}  # timestamp -> number, key frame wanted; not yet out
        self._decoded: dict[int, int] = {}  # timestamp -> number; not yet compared
        self._number = self._compared = 0
        self._decoder = VideoCodecContext.create("h264", "r")
        self._decoder.thread_count = 1

    def run(self, pictures: int = PICTURES) -> None:
        """Code so many pictures, one by one.

        Raises:
            Failed: the coder is not to be used.
            NotDecodable: it raised it.
        """
        took_s = []
        before = self._compared
        for place in range(pictures):
            picture = pattern(self._wanted, self._number)
            at = round(self._number * self._wanted.clock_hz / self._wanted.fps)
            key = place in {0, _KEY_AT}
            self._given[at] = (self._number, key)
            self._number += 1
            begun_s = self._now_s()
            coded = self._coder.code(picture, at, key=key)
            took_s.append(self._now_s() - begun_s)
            self._wait_s(max(0.0, 1 / self._wanted.fps - took_s[-1]))
            for one in coded:
                self._take(one)
            if len(self._given) > LATE:
                raise Failed(f"the coder gives pictures late: {len(self._given)} are inside")
        if self._compared - before < pictures - 2 * LATE:
            raise Failed("what the coder gives is not decoded at once")
        if median(took_s) > 1 / self._wanted.fps:
            raise Failed(f"the coder is slow: {median(took_s) * 1000:.0f} ms a picture", lasting=False)

    def _take(self, one: Coded) -> None:
        if one.timestamp not in self._given:
            raise Failed("the coder gives pictures that were not asked for")
        if one.timestamp != next(iter(self._given)):
            raise Failed("the coder changes the order of pictures, or leaves some out")
        number, key = self._given.pop(one.timestamp)
        if key and not one.key:
            raise Failed("the coder gives no key frame when it is asked for one")
        if one.key:
            self._check_sets(one)
        packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in one.nals))
        packet.pts = packet.dts = one.timestamp
        packet.time_base = Fraction(1, self._wanted.clock_hz)
        self._decoded[one.timestamp] = number
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError as error:
            raise Failed(f"what the coder gives cannot be decoded: {type(error).__name__}") from error
        for frame in frames:
            self._compare(frame)

    def _check_sets(self, one: Coded) -> None:
        sets = {h264.nal_type(nal): nal for nal in one.nals}
        if not {h264.SPS, h264.PPS} <= sets.keys():
            raise Failed("the coder gives a key frame without parameter sets")
        try:
            told = h264.parse_sps(sets[h264.SPS])
        except ValueError as error:
            raise Failed("the coder gives a sequence parameter set that cannot be read") from error
        wanted = self._wanted
        if (told.width, told.height) != (wanted.width, wanted.height):
            raise Failed(
                f"the coder gives {told.width}x{told.height} where {wanted.width}x{wanted.height} was asked",
                lasting=False,
            )
        if told.profile_idc not in _PROFILES:
            raise Failed(f"the coder gives profile {told.profile_idc}, not Main")

    def _compare(self, frame: VideoFrame) -> None:
        number = self._decoded.pop(frame.pts if frame.pts is not None else -1, None)
        if number is None or frame.is_corrupt:
            raise Failed("what the coder gives is decoded with damage")
        if (frame.width, frame.height) != (self._wanted.width, self._wanted.height):
            raise Failed("the decoded picture has another size", lasting=False)
        like = psnr_db(frame.reformat(format="yuv420p", threads=1), pattern(self._wanted, number))
        if like < _LEAST_PSNR_DB:
            raise Failed(f"the picture differs: {like:.0f} dB, at least {_LEAST_PSNR_DB:.0f} are asked")
        self._compared += 1


def pattern(wanted: Wanted, number: int) -> VideoFrame:
    """Return picture `number`: a slanted wave of brightness that wanders, colours that shade across and down."""
    frame = VideoFrame(wanted.width, wanted.height, "yuv420p")
    half = _PERIOD_PX // 2
    wave = bytes(
        32 + 160 * min(x % _PERIOD_PX, _PERIOD_PX - x % _PERIOD_PX) // half for x in range(_PERIOD_PX)
    )
    wave *= wanted.width // _PERIOD_PX + 2
    across = bytes(64 + 128 * x * 2 // wanted.width for x in range(wanted.width // 2))
    for plane, rows in enumerate((wanted.height, wanted.height // 2, wanted.height // 2)):
        pixels, line = memoryview(frame.planes[plane]), frame.planes[plane].line_size
        for row in range(rows):
            if plane == 0:
                begin = (row + number * _MOVED_PX) % _PERIOD_PX
                told = wave[begin : begin + wanted.width]
            elif plane == 1:
                told = bytes([64 + 128 * row // rows]) * (wanted.width // 2)
            else:
                told = across
            pixels[row * line : row * line + len(told)] = told
    return frame


def psnr_db(one: VideoFrame, other: VideoFrame) -> float:
    """Return how like two pictures of one size and of yuv420p are, by the plane that is least so (dB, 99 at most)."""
    least = 99.0
    for plane, shift in enumerate((0, 1, 1)):
        width, rows = one.width >> shift, one.height >> shift
        squares = count = 0
        here, there = one.planes[plane], other.planes[plane]
        first, second = memoryview(here), memoryview(there)
        for row in range(0, rows, _EVERY_ROW):
            a = bytes(first[row * here.line_size :][:width])
            b = bytes(second[row * there.line_size :][:width])
            if a != b:
                squares += sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
            count += width
        if squares:
            least = min(least, 10 * math.log10(255 * 255 * count / squares))
    return least
