"""The streams of the relay bench: groups of pictures of real H.264, encoded once, with a number that can be read back.

Every server gets the same stream; only the camera (`relay_source`) and aiortc, which takes its pictures from memory, open it.
"""

import random
import time
from fractions import Fraction

import av

FPS = 25
GROUP = 50  # pictures from key frame to key frame: 2 s
CLOCK_RATE_HZ = 90_000
NUMBERS = 250  # pictures of the stream with numbers: 10 s, more than any server holds back
WIDTH, HEIGHT = 1280, 720
CELLS = 16  # eight bits of the number, then their complements
_TOP = 480  # the cells stand below


def encoded(kbps: int, pictures: int = GROUP) -> list[list[bytes]]:
    """Return the NAL units of closed groups of pictures, 1280x720, Constrained Baseline, of about this bit rate.

    Each picture shows its place in the lowest third: white cells are ones.
    """
    asked = kbps
    for _ in range(3):  # the encoder stays below what it is asked for
        units = _encoded(asked, pictures)
        got = bitrate_kbps(units)
        if abs(got - kbps) * 50 <= kbps:
            break
        asked = asked * kbps // got
    return units


def _encoded(kbps: int, pictures: int) -> list[list[bytes]]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.bit_rate = kbps * 1000
    encoder.gop_size = GROUP
    encoder.options = {
        "preset": "veryfast",
        "profile": "baseline",
        "tune": "zerolatency",
        "x264-params": f"scenecut=0:keyint={GROUP}:vbv-maxrate={kbps}:vbv-bufsize={kbps * 2 // 5}:threads=1:slices=1",
    }
    noise = random.Random(1)
    texture = noise.randbytes(WIDTH * 4)
    units: list[list[bytes]] = []
    # One group is encoded before those that are kept: by then the rate control has settled.
    for place in range(-GROUP, pictures):
        picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        luma, *chroma = picture.planes
        width = luma.line_size
        rows = [texture[(row * 7 + place * 5) % 2000 :][:width].ljust(width, b"\x60") for row in range(240)]
        plain = b"\x70" * (width * (_TOP - 240))
        luma.update(b"".join(rows) + plain + _cells(place % NUMBERS, width) * (luma.height - _TOP))
        for plane in chroma:
            plane.update(b"\x80" * plane.buffer_size)
        picture.pts = place + GROUP
        units += [_split(bytes(packet)) for packet in encoder.encode(picture)]
    units += [_split(bytes(packet)) for packet in encoder.encode(None)]
    return units[GROUP : GROUP + pictures]


def _cells(number: int, width: int) -> bytes:
    bits = f"{number:08b}{number ^ 0xFF:08b}"
    return b"".join((b"\xe0" if bit == "1" else b"\x20") * (WIDTH // CELLS) for bit in bits).ljust(
        width, b"\x20"
    )


def bitrate_kbps(units: list[list[bytes]]) -> int:
    """Return the stream's measured bit rate."""
    return sum(len(nal) for unit in units for nal in unit) * 8 * FPS // len(units) // 1000


def _split(data: bytes) -> list[bytes]:
    return [
        part for part in data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01") if part
    ]


def stamp() -> bytes:
    """Return the present time (unix, ns, hexadecimal); behind a picture's last unit no decoder reads it."""
    return b"%016x" % time.time_ns()
