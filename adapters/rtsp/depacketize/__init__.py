"""Depacketisers: RTP payloads to access units, one module per payload format. Sans I/O.

Each takes packets in order and returns access units as they are complete. Nothing that a camera sends makes one
raise; what cannot be used is dropped and counted by name.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from adapters.rtsp.audio import AudioConfig, g726_bits, parse_audio_config, parse_mux_config, repacked_g726
from adapters.rtsp.depacketize.aac import AacDepacketizer, LatmDepacketizer
from adapters.rtsp.depacketize.base import Depacketizer, Input
from adapters.rtsp.depacketize.h264 import H264Depacketizer
from adapters.rtsp.depacketize.h265 import H265Depacketizer, NumberedH265Depacketizer
from adapters.rtsp.depacketize.joined import MetadataDepacketizer, Mpeg4Depacketizer
from adapters.rtsp.depacketize.jpeg import JpegDepacketizer
from adapters.rtsp.depacketize.nal import NalDepacketizer
from adapters.rtsp.depacketize.simple import FrameDepacketizer
from adapters.rtsp.tolerance import Tolerances

_AUDIO_FRAMES = frozenset({"PCMU", "PCMA", "G722", "OPUS", "L16", "L8", "PCM"})
_METADATA = frozenset(
    {
        "VND.ONVIF.METADATA",
        "VND.ONVIF.METADATA.GZIP",
        "VND.ONVIF.METADATA.EXI.ONVIF",
        "VND.ONVIF.METADATA.EXI.EXT",
        "METADATA",  # Altasec, UDP Technology
    }
)
_NOTHING: Mapping[str, str] = MappingProxyType({})


def depacketizer_for(
    codec: str,
    track: int,
    tolerances: Tolerances,
    *,
    size: tuple[int, int] = (0, 0),
    parameters: Mapping[str, str] = _NOTHING,
    clock_rate_hz: int = 90_000,
) -> Depacketizer | None:
    """Return a depacketiser for a codec by its SDP name; None where the hub has none.

    `size` (px) is the picture's as the SDP claims it, `parameters` its fmtp, names in lower case.
    """
    if codec == "H264":
        return H264Depacketizer(
            track, tolerances, single_nals=parameters.get("packetization-mode", "").strip() == "0"
        )
    if codec == "H265":
        difference = _number(parameters.get("sprop-max-don-diff", ""))
        if difference > 0:
            buffered = _number(parameters.get("sprop-depack-buf-nalus", ""))
            return NumberedH265Depacketizer(track, tolerances, max_difference=difference, buffered=buffered)
        return H265Depacketizer(track, tolerances)
    if codec == "JPEG":
        return JpegDepacketizer(track, tolerances, size=size)
    if codec == "MP4V-ES":
        return Mpeg4Depacketizer(track, tolerances)
    if codec in _METADATA:
        return MetadataDepacketizer(track, tolerances)
    return _audio(codec, track, tolerances, parameters, clock_rate_hz)


def _audio(
    codec: str, track: int, tolerances: Tolerances, parameters: Mapping[str, str], clock_rate_hz: int
) -> Depacketizer | None:
    if codec == "MPEG4-GENERIC":
        return AacDepacketizer(
            track,
            tolerances,
            parameters=parameters,
            clock_rate_hz=clock_rate_hz,
            config=_config(parameters, mux=False),
        )
    if codec == "MP4A-LATM" and parameters.get("cpresent", "1").strip() == "0":
        config = _config(parameters, mux=True)
        return LatmDepacketizer(track, tolerances, clock_rate_hz=clock_rate_hz, config=config)
    if codec in _AUDIO_FRAMES:
        return FrameDepacketizer(track, tolerances)
    bits = g726_bits(codec)
    if bits:
        repack = partial(repacked_g726, bits=bits) if codec.startswith("AAL2-") else None
        return FrameDepacketizer(track, tolerances, repack)
    return None


def _config(parameters: Mapping[str, str], *, mux: bool) -> AudioConfig | None:
    try:
        data = bytes.fromhex(parameters.get("config", "")[:256])
        return parse_mux_config(data) if mux else parse_audio_config(data)
    except ValueError:
        return None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0


__all__ = ["Depacketizer", "Input", "NalDepacketizer", "depacketizer_for"]
