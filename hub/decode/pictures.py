"""Coded pictures to a JPEG or to numbers. Runs in the decode process only: this is where FFmpeg meets a camera's bytes.

Never a demuxer, never probing: one of four decoders by its name, one thread, one picture at a time, its size known from
our own parsers before FFmpeg sees a byte, and bounded again inside FFmpeg (``max_pixels``) for what they did not see.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import add, sub
from statistics import median
from typing import Final, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from hub.decode import limits
from hub.decode.errors import NotDecodable, TooLarge
from hub.decode.masks import Painter, Polygon
from hub.decode.sizes import bound, check_declared

_DECODERS: Final = {"H264": "h264", "H265": "hevc", "JPEG": "mjpeg", "MPEG4": "mpeg4"}
# One working size for every camera, so that sharpness means the same whatever the camera's resolution.
WORK_WIDTH: Final = 320
WORK_HEIGHT: Final = 180
BLOCKS: Final = (16, 9)  # blocks across and down, in which change is counted
_SAME: Final = 1  # 8 bit levels by which a picture coded twice differs from itself after scaling
_JPEG_QUALITY: Final = 3  # mjpeg quantiser scale, 2 (best) to 31
_LAMBDA: Final = 118  # FF_QP2LAMBDA: FFmpeg's unit of `global_quality`
_EVERY_SECOND: Final = Fraction(1, 1)  # a time base that the encoder needs and nobody sees


@dataclass(frozen=True, slots=True)
class Numbers:
    """What several pictures say; see `hub.decode.service.PictureFacts`. `decoded` are places in the sequence."""

    decoded: tuple[int, ...]
    luma_mean: float
    luma_deviation: float
    sharpness: float
    moved: tuple[float, ...]  # from each decoded picture to the next: share of `BLOCKS` that changed
    width: int
    height: int


def decode(codec: str, nals: Sequence[bytes]) -> VideoFrame:
    """Decode one picture.

    Raises:
        NotDecodable: no picture, a damaged one, or of a codec that is not decoded.
        TooLarge: larger than the bounds.
        MemoryError: the process may not have as much memory as it took.
    """
    name = _DECODERS.get(codec)
    if name is None:
        raise NotDecodable("the codec is not one of those that are decoded")
    if not 0 < len(nals) <= limits.MAX_NALS or sum(map(len, nals)) > limits.MAX_PICTURE:
        raise TooLarge("the coded picture has more bytes or more units than allowed")
    data = (
        b"".join(b"\x00\x00\x00\x01" + nal for nal in nals) if codec in {"H264", "H265"} else b"".join(nals)
    )
    check_declared(codec, data)
    context = cast(VideoCodecContext, VideoCodecContext.create(name, "r"))
    context.thread_count = 1
    context.options = {"max_pixels": str(limits.MAX_PIXELS), "threads": "1"}
    packet = av.Packet(data)
    try:
        frames = context.decode(packet)
        frames += context.decode(None)
    except av.error.MemoryError as error:
        raise MemoryError from error
    except av.error.FFmpegError as error:
        raise NotDecodable(f"the decoder refuses it: {type(error).__name__}") from error
    if not frames:
        raise NotDecodable("the decoder found no picture in it")
    frame = frames[0]
    if frame.is_corrupt:
        raise NotDecodable("the picture is damaged")
    bound(frame.width, frame.height)
    return frame


def still(
    codec: str, nals: Sequence[bytes], max_width: int, masks: Sequence[Polygon] = ()
) -> tuple[bytes, int, int]:
    """Return a picture as a JPEG of at most `max_width` px, without anything that came with it, and its size.

    Zones of `masks` are black in it.

    Raises: as `decode`.
    """
    frame = decode(codec, nals)
    width = max(16, min(frame.width, max_width, limits.MAX_STILL_PX))
    height = max(16, round(frame.height * width / frame.width))
    scaled = _scaled(frame, width, height, "yuvj420p")
    del frame
    context = VideoCodecContext.create("mjpeg", "w")
    context.width, context.height = width, height
    context.pix_fmt = "yuvj420p"
    context.time_base = _EVERY_SECOND
    context.thread_count = 1
    context.qscale = True
    context.global_quality = _JPEG_QUALITY * _LAMBDA
    context.options = {"flags": "+qscale+bitexact", "threads": "1"}
    # Only the samples are taken along: no EXIF, no position, no comment, no time stamp of the camera.
    bare = VideoFrame(width, height, "yuvj420p")
    bare.color_range = ColorRange.JPEG
    bare.pts = 0
    for target, source in zip(bare.planes, scaled.planes, strict=True):
        target.update(_rows(source, target.line_size, target.height))
    if masks:
        Painter(masks).paint(bare)
    try:
        packets = [*context.encode(bare), *context.encode(None)]
    except av.error.MemoryError as error:
        raise MemoryError from error
    except av.error.FFmpegError as error:
        raise NotDecodable(f"the picture cannot be coded as JPEG: {type(error).__name__}") from error
    jpeg = b"".join(map(bytes, packets))
    if len(jpeg) > limits.MAX_JPEG:
        raise TooLarge(f"as a JPEG the picture has {len(jpeg)} bytes")
    return jpeg, width, height


def judge(codec: str, pictures: Sequence[Sequence[bytes]]) -> Numbers:
    """Return the numbers of those pictures that can be decoded.

    Raises:
        NotDecodable: none of them can; says why the last one cannot.
        MemoryError: as `decode`.
    """
    decoded: list[int] = []
    levels: Counter[int] = Counter()
    sharpness: list[float] = []
    moved: list[float] = []
    width = height = 0
    before: bytes | None = None
    fault: NotDecodable | None = None
    for place, nals in enumerate(pictures):
        try:
            frame = decode(codec, nals)
        except NotDecodable as error:
            fault = error
            continue
        luma = _working_luma(frame)
        width, height = frame.width, frame.height
        decoded.append(place)
        levels.update(luma)
        sharpness.append(laplacian_variance(luma, WORK_WIDTH, WORK_HEIGHT))
        if before is not None:
            moved.append(changed_share(before, luma))
        before = luma
    if not decoded:
        raise fault or NotDecodable("there is no picture")
    mean, deviation = _moments(levels)
    return Numbers(tuple(decoded), mean, deviation, median(sharpness), tuple(moved), width, height)


def laplacian_variance(luma: bytes, width: int, height: int) -> float:
    """Return the variance of the 4-neighbour Laplacian over the inner pixels of an 8 bit picture."""
    total = squares = 0
    for row in range(1, height - 1):
        at = row * width
        line = luma[at : at + width]
        sides = map(add, line[2:], line[:-2])
        column = map(add, luma[at - width + 1 : at - 1], luma[at + width + 1 : at + 2 * width - 1])
        edge = list(map(sub, map(add, sides, column), (4 * level for level in line[1:-1])))
        total += sum(edge)
        squares += math.sumprod(edge, edge) if hasattr(math, "sumprod") else sum(e * e for e in edge)
    count = (width - 2) * (height - 2)
    return max(0.0, squares / count - (total / count) ** 2)


def _moments(levels: Counter[int]) -> tuple[float, float]:
    """Return mean and standard deviation of a histogram of levels."""
    count = sum(levels.values())
    mean = sum(level * times for level, times in levels.items()) / count
    variance = sum(times * (level - mean) ** 2 for level, times in levels.items()) / count
    return mean, math.sqrt(variance)


def changed_share(before: bytes, after: bytes) -> float:
    """Return the share of blocks in which any pixel changed by more than coding the same picture again changes it."""
    if before == after:
        return 0.0
    across, down = BLOCKS
    width, height = WORK_WIDTH // across, WORK_HEIGHT // down
    changed = 0
    for top in range(down):
        open_blocks = set(range(across))
        for row in range(top * height, (top + 1) * height):
            line = slice(row * WORK_WIDTH, (row + 1) * WORK_WIDTH)
            old, new = before[line], after[line]
            if old == new:
                continue
            for block in tuple(open_blocks):
                part = slice(block * width, (block + 1) * width)
                if old[part] != new[part] and any(
                    abs(a - b) > _SAME for a, b in zip(old[part], new[part], strict=True)
                ):
                    open_blocks.discard(block)
        changed += across - len(open_blocks)
    return changed / (across * down)


def _working_luma(frame: VideoFrame) -> bytes:
    """Return the luma at the working size, 8 bit, full range (black 0, white 255) whatever the codec's range."""
    gray = _scaled(frame, WORK_WIDTH, WORK_HEIGHT, "gray")
    return _rows(gray.planes[0], WORK_WIDTH, WORK_HEIGHT)


def _scaled(frame: VideoFrame, width: int, height: int, form: str) -> VideoFrame:
    """Scale and convert to full range in this thread alone."""
    source = frame.color_range if frame.color_range in {1, 2} else (2 if "yuvj" in frame.format.name else 1)
    try:
        return VideoReformatter().reformat(
            frame,
            width,
            height,
            form,
            interpolation=Interpolation.AREA,
            src_color_range=ColorRange(source),
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
    except av.error.MemoryError as error:
        raise MemoryError from error
    except (av.error.FFmpegError, ValueError) as error:
        raise NotDecodable(f"its pixel format cannot be converted: {type(error).__name__}") from error


def _rows(plane: "av.video.plane.VideoPlane", line: int, height: int) -> bytes:
    """Return a plane's rows, each cut or filled to `line` bytes."""
    data, stride = bytes(plane), plane.line_size
    if stride == line:
        return data[: line * height]
    width = min(stride, line)
    fill = bytes(line - width)
    return b"".join(data[at : at + width] + fill for at in range(0, stride * height, stride))
