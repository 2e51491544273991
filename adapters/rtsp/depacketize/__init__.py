"""Depacketisers: RTP payloads to access units, one module per payload format. Sans I/O.

Each takes packets in order and returns access units as they are complete. Nothing that a camera sends makes one
raise; what cannot be used is dropped and counted by name.
"""

from adapters.rtsp.depacketize.base import Depacketizer, Input
from adapters.rtsp.depacketize.h264 import H264Depacketizer
from adapters.rtsp.depacketize.h265 import H265Depacketizer
from adapters.rtsp.depacketize.jpeg import JpegDepacketizer
from adapters.rtsp.depacketize.simple import FrameDepacketizer
from adapters.rtsp.tolerance import Tolerances

_AUDIO_FRAMES = frozenset({"PCMU", "PCMA", "G722", "OPUS"})


def depacketizer_for(
    codec: str, track: int, tolerances: Tolerances, *, size: tuple[int, int] = (0, 0)
) -> Depacketizer | None:
    """Return a depacketiser for a codec by its SDP name; None where the hub has none. `size`: claimed, px."""
    if codec == "H264":
        return H264Depacketizer(track, tolerances)
    if codec == "H265":
        return H265Depacketizer(track, tolerances)
    if codec == "JPEG":
        return JpegDepacketizer(track, tolerances, size=size)
    if codec in _AUDIO_FRAMES:
        return FrameDepacketizer(track, tolerances)
    return None


__all__ = ["Depacketizer", "Input", "depacketizer_for"]
