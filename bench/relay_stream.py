"""The stream of the relay bench: one group of pictures of real H.264, encoded once, about 2 Mbit/s."""

import asyncio
import random
import time
from collections.abc import Callable
from fractions import Fraction

import av

from adapters.deadline import Deadline
from adapters.port import AccessUnit, Track

FPS = 25
GROUP = 50  # pictures from key frame to key frame: 2 s
CLOCK_RATE_HZ = 90_000


def encoded(kbps: int) -> list[list[bytes]]:
    """Return the NAL units of one closed group of pictures, 1280x720, Constrained Baseline, of about this bit rate."""
    units = _encoded(kbps)
    return _encoded(kbps * kbps // bitrate_kbps(units))  # the encoder stays below what it is asked for


def _encoded(kbps: int) -> list[list[bytes]]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 1280, 720, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.bit_rate = kbps * 1000
    encoder.gop_size = GROUP
    encoder.options = {
        "preset": "veryfast",
        "profile": "baseline",
        "tune": "zerolatency",
        "x264-params": f"scenecut=0:keyint={GROUP}:vbv-maxrate={kbps}:vbv-bufsize={kbps}:threads=1:slices=1",
    }
    noise = random.Random(1)
    texture = noise.randbytes(1280 * 4)
    units: list[list[bytes]] = []
    # Two groups are encoded and the second kept: by then the rate control has settled.
    for number in range(2 * GROUP):
        picture = av.VideoFrame(1280, 720, "yuv420p")
        luma, *chroma = picture.planes
        width = luma.line_size
        rows = [texture[(row * 7 + number * 5) % 2000 :][:width].ljust(width, b"\x60") for row in range(240)]
        luma.update(b"".join(rows) + b"\x70" * (width * (luma.height - 240)))
        for plane in chroma:
            plane.update(b"\x80" * plane.buffer_size)
        picture.pts = number
        units += [_split(bytes(packet)) for packet in encoder.encode(picture)]
    units += [_split(bytes(packet)) for packet in encoder.encode(None)]
    return units[GROUP : 2 * GROUP]


def bitrate_kbps(units: list[list[bytes]]) -> int:
    """Return the stream's measured bit rate."""
    return sum(len(nal) for unit in units for nal in unit) * 8 * FPS // len(units) // 1000


def _split(data: bytes) -> list[bytes]:
    return [
        part for part in data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01") if part
    ]


def stamped(nals: list[bytes]) -> list[bytes]:
    """Return a picture's units with the time (CLOCK_MONOTONIC, ns, hexadecimal) behind the last: no viewer decodes it."""
    return [*nals[:-1], nals[-1] + b"%016x" % time.monotonic_ns()]


class LoopedSource:
    """A media source that gives the group out again and again in real time."""

    def __init__(self, units: list[list[bytes]]) -> None:
        self._units = units
        sets = tuple(nal for nal in units[0] if nal[0] & 31 in {7, 8})
        self.tracks = (Track(0, "video", "H264", CLOCK_RATE_HZ, sets),)

    async def run(self, sink: Callable[[AccessUnit], None]) -> None:
        """Deliver pictures until cancelled."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while True:
            await asyncio.sleep(max(0.0, began + number / FPS - loop.time()))
            nals = stamped(self._units[number % len(self._units)])
            key = number % len(self._units) == 0
            sink(AccessUnit(0, number * CLOCK_RATE_HZ // FPS, loop.time(), nals, key))
            number += 1

    async def aclose(self) -> None:
        """Nothing to tear down."""


class LoopedAdapter:
    """Opens the looped source for every address."""

    def __init__(self, units: list[list[bytes]]) -> None:
        self._units = units

    async def probe(self, request, context):
        """Never asked of a relay worker."""
        raise NotImplementedError

    async def open(
        self,
        _offer,
        _credential,
        _context,
        _deadline: Deadline,
        *,
        transport: str = "tcp",
        audio: bool = False,
    ):
        """Open the stream."""
        return LoopedSource(self._units)
