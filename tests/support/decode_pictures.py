"""Coded pictures for the tests of the decode process, made with PyAV's encoders."""

import random
from fractions import Fraction
from functools import lru_cache

import av
from av.video.frame import VideoFrame

from adapters.port import CodedPicture, CodedSample

ENCODERS = {"H264": "libx264", "H265": "libx265", "JPEG": "mjpeg", "MPEG4": "mpeg4"}
CODECS = tuple(ENCODERS)


def scene(width: int, height: int, *, seed: int = 1, blur: int = 1) -> bytes:
    """Return the luma of a picture with edges: a chessboard of `blur`-px-wide slopes and random levels."""
    dice = random.Random(seed)
    step = 16
    levels = [[dice.randrange(40, 216) for _ in range(width // step + 2)] for _ in range(height // step + 2)]
    rows = []
    for y in range(height):
        line = bytearray(width)
        across = levels[y // step]
        for x in range(width):
            column, inside = divmod(x, step)
            here, after = across[column], across[column + 1]
            line[x] = here if inside < step - blur else here + (after - here) * (inside - step + blur) // blur
        rows.append(bytes(line))
    return b"".join(rows)


def encode(codec: str, luma: bytes, width: int, height: int, options: dict[str, str] | None = None) -> bytes:
    """Return one picture, coded alone."""
    form = "yuvj420p" if codec == "JPEG" else "yuv420p"
    context = av.CodecContext.create(ENCODERS[codec], "w")
    context.width, context.height, context.pix_fmt = width, height, form
    context.time_base = Fraction(1, 25)
    context.thread_count = 1
    extra = {"x265-params": "log-level=none:pools=none:frame-threads=1"} if codec == "H265" else {}
    context.options = {**extra, **(options or {})}
    frame = VideoFrame(width, height, form)
    for plane, data in zip(frame.planes, (luma, None, None), strict=True):
        stride = plane.line_size
        if data is None:
            plane.update(bytes([128]) * plane.buffer_size)
        else:
            rows = (data[y * width : (y + 1) * width].ljust(stride, b"\0") for y in range(height))
            plane.update(b"".join(rows).ljust(plane.buffer_size, b"\0"))
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


def nals_of(stream: bytes) -> tuple[bytes, ...]:
    """Cut an Annex B stream at its start codes."""
    parts = stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return tuple(part for part in parts if part)


@lru_cache(maxsize=64)
def picture(
    codec: str = "H264", width: int = 320, height: int = 192, seed: int = 1, blur: int = 1, flat: int = -1
) -> tuple[bytes, ...]:
    """Return one coded picture as a `CodedPicture` holds it; `flat` gives one luma all over."""
    luma = bytes([flat]) * (width * height) if flat >= 0 else scene(width, height, seed=seed, blur=blur)
    coded = encode(codec, luma, width, height)
    return nals_of(coded) if codec in {"H264", "H265"} else (coded,)


def coded(codec: str = "H264", at_s: float = 0.0, **how: int) -> CodedPicture:
    return CodedPicture(at_s, picture(codec, **how))


def sample(codec: str, *pictures: CodedPicture) -> CodedSample:
    return CodedSample("main", codec, pictures)
