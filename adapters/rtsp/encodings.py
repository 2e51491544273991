"""What an SDP's payload type means: static types, rtpmap lines in the wrong place, and guesses. Sans I/O."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from adapters.rtsp.audio import parse_audio_config
from adapters.rtsp.tolerance import Tolerance, Tolerances

# RFC 3551 table 4 and 5: static payload types that cameras use.
_STATIC: Mapping[int, tuple[str, int, int]] = MappingProxyType(
    {
        0: ("PCMU", 8000, 1),
        2: ("G726-32", 8000, 1),  # "formerly G721", in use by old cameras
        3: ("GSM", 8000, 1),
        8: ("PCMA", 8000, 1),
        9: ("G722", 8000, 1),
        10: ("L16", 44100, 2),
        11: ("L16", 44100, 1),
        14: ("MPA", 90000, 1),
        18: ("G729", 8000, 1),
        26: ("JPEG", 90000, 1),
        31: ("H261", 90000, 1),
        32: ("MPV", 90000, 1),
        33: ("MP2T", 90000, 1),
        34: ("H263", 90000, 1),
        35: ("H264", 90000, 1),  # Bosch (quirk 37)
    }
)
_ALIASES: Mapping[str, str] = MappingProxyType({"HEVC": "H265", "AVC": "H264"})
_RTPMAP = re.compile(r"\s*(\d{1,3})\s+([^/\s]{1,64})\s*/\s*(\d{1,9})(?:\s*/\s*(\d{1,3}))?")
# 16-bit PCM that names no codec: kbit/s to sampling rate and channels (quirk 37).
_PCM_BANDWIDTHS: Mapping[int, tuple[int, int]] = MappingProxyType(
    {
        128: (8000, 1),
        256: (16000, 1),
        384: (24000, 1),
        512: (32000, 1),
        705: (44100, 1),
        768: (48000, 1),
        1411: (44100, 2),
        1536: (48000, 2),
    }
)


class Encoding(NamedTuple):
    """How a payload is coded."""

    codec: str  # encoding name in upper case; "" where unknown
    clock_rate_hz: int
    channels: int


class Hints(NamedTuple):
    """What else a media section says about its coding."""

    kind: str  # video | audio | ...
    parameters: Mapping[str, str]  # of fmtp
    bandwidth_kbps: int | None


def encoding_of(
    payload_type: int, own: list[str], elsewhere: str | None, hints: Hints, tolerances: Tolerances
) -> Encoding:
    """Return the coding of a payload type by the section's own rtpmap lines, or by one that stands elsewhere."""
    matches = [match for match in map(_RTPMAP.match, own) if match]
    chosen = next((match for match in matches if int(match[1]) == payload_type), None)
    static = _STATIC.get(payload_type)
    if chosen is None and elsewhere is not None:
        chosen = _RTPMAP.match(elsewhere)  # rtpmap stands under another section (quirk 94)
        tolerances.note(Tolerance.SDP_FORMAT_MISPLACED)
    if chosen is None and matches and static is None:
        chosen = matches[0]  # rtpmap's payload type differs from the m= line (quirk 36)
        tolerances.note(Tolerance.SDP_FORMAT_MISPLACED)
    if chosen is None:
        if static is None:
            tolerances.note(Tolerance.SDP_RTPMAP_MISSING)
            return _guessed(hints, tolerances)
        if matches:  # "m=audio 0 RTP/AVP 8" with "rtpmap:0 pcma": the payload type on the wire decides
            tolerances.note(Tolerance.SDP_FORMAT_MISPLACED)
        return Encoding(*static)
    codec = chosen[2].upper()
    codec = _ALIASES.get(codec, codec)
    if static is not None and codec != static[0]:
        tolerances.note(
            Tolerance.SDP_RTPMAP_OVERRIDES
        )  # PCMU on 8 (GW4089IP), AAC on 0 (Anpviz): quirks 93, 37
    rate = int(chosen[3])
    if rate == 0:
        tolerances.note(Tolerance.SDP_CLOCK_RATE_ZERO)
        rate = static[1] if static else 90000
    return _usual(Encoding(codec, rate, max(1, int(chosen[4] or 1))), tolerances)


def _usual(told: Encoding, tolerances: Tolerances) -> Encoding:
    """Name audio formats that no standard has; what is told stays data, but Opus always has two channels."""
    codec, rate, channels = told
    if codec == "OPUS" and (rate, channels) != (48000, 2):  # RFC 7587 section 7
        tolerances.note(Tolerance.SDP_AUDIO_FORMAT_ODD)
        return Encoding(codec, 48000, 2)
    # "PCM" is little-endian, unlike RFC 3551's L16 (Hikvision); G.711 has 8,000 samples a second (Tapo: 16,000).
    if codec == "PCM" or (codec in {"PCMU", "PCMA"} and rate != 8000):
        tolerances.note(Tolerance.SDP_AUDIO_FORMAT_ODD)
    return told


def _guessed(hints: Hints, tolerances: Tolerances) -> Encoding:
    """Guess the coding of a dynamic payload type without rtpmap by what only one codec has; else it is unknown."""
    parameters = hints.parameters
    found: Encoding | None = None
    if hints.kind == "video":
        if "sprop-vps" in parameters or "sprop-sps" in parameters:
            found = Encoding("H265", 90000, 1)
        elif "sprop-parameter-sets" in parameters or "packetization-mode" in parameters:
            found = Encoding("H264", 90000, 1)
        elif parameters.get("config", "").lower().startswith("000001b"):
            found = Encoding("MP4V-ES", 90000, 1)
    elif hints.kind == "audio":
        if parameters.get("mode", "").lower().startswith("aac-"):
            found = _guessed_aac(parameters.get("config", ""))
        elif (usual := _PCM_BANDWIDTHS.get(hints.bandwidth_kbps or 0)) is not None:
            found = Encoding("PCM", *usual)
    if found is None:
        return Encoding("", 90000, 1)
    tolerances.note(Tolerance.SDP_CODEC_GUESSED)
    return found


def _guessed_aac(config: str) -> Encoding | None:
    try:
        told = parse_audio_config(bytes.fromhex(config[:128]))
    except ValueError:
        return None
    return Encoding("MPEG4-GENERIC", told.sampling_hz, max(1, told.channels))
