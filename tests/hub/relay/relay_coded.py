"""Synthetic cameras of other codecs than H.264, coded here once and repeated."""

import random
from fractions import Fraction
from functools import lru_cache

import av
from relay_camera import SyntheticCamera, _drawn, split

FPS = 20


@lru_cache(maxsize=8)
def _coded(name: str, width: int, height: int, pictures: int) -> tuple[tuple[bytes, bool], ...]:
    coder = av.CodecContext.create(name, "w")
    coder.width, coder.height = width, height
    coder.pix_fmt = "yuvj420p" if name == "mjpeg" else "yuv420p"
    coder.time_base, coder.framerate = Fraction(1, FPS), Fraction(FPS)
    coder.gop_size, coder.max_b_frames, coder.thread_count = pictures, 0, 1
    if name == "libx265":
        coder.options = {
            "preset": "ultrafast",
            "x265-params": f"bframes=0:keyint={pictures}:scenecut=0:open-gop=0:repeat-headers=1:log-level=none:pools=none",
        }
    out: list[tuple[bytes, bool]] = []
    noise = random.Random(2)
    for number in range(pictures):
        picture = _drawn(width, height, left=number * (width - width // 8) // pictures, noise=noise)
        if name == "mjpeg":
            picture = picture.reformat(format="yuvj420p")
        picture.pts = number
        out += [(bytes(packet), bool(packet.is_keyframe)) for packet in coder.encode(picture)]
    return tuple(out + [(bytes(packet), bool(packet.is_keyframe)) for packet in coder.encode(None)])


def coded_camera(codec: str, *, width: int = 320, height: int = 240) -> SyntheticCamera:
    """Return a camera that sends MJPEG, H.265 or MPEG-4 part 2, named as in an SDP."""
    name = {"JPEG": "mjpeg", "H265": "libx265", "MP4V-ES": "mpeg4"}[codec]
    pictures = _coded(name, width, height, FPS)
    camera = SyntheticCamera(fps=FPS, codec=codec, sets_in_sdp=False)
    camera.units = tuple(tuple(split(data)) if codec == "H265" else (data,) for data, _key in pictures)
    keys = [key for _data, key in pictures]
    camera.is_key = lambda place, _nals: keys[place]
    return camera
