"""Parameter sets and configurations as SDPs carry them (RFC 6184 8.1, RFC 7798 7.1, RFC 6416 7.1). Sans I/O."""

import base64
import binascii
import re
from collections.abc import Mapping

from adapters.rtsp.tolerance import Tolerance, Tolerances

MAX_PARAMETER_SET = 4_096  # bytes
_MAX_TEXTS = 16
_H265_NAMES = ("sprop-vps", "sprop-sps", "sprop-pps")
_CONFIGURED = frozenset({"MP4V-ES", "MPEG4-GENERIC", "MP4A-LATM"})


def sets_of(codec: str, parameters: Mapping[str, str], tolerances: Tolerances) -> tuple[bytes, ...]:
    """Return a section's parameter sets; empty: none usable.

    SPS, PPS for H.264; VPS, SPS, PPS for H.265; the one configuration of MPEG-4 part 2 and AAC. Annex-B start codes
    inside are cut away (quirk 40), doubtful sets dropped; an incomplete H.265 trio counts as none (quirk 41).
    """
    if codec == "H264":
        texts = _texts(parameters, "sprop-parameter-sets")
        found = _nals(texts, (7, 8), codec, tolerances)
        _check_profile(parameters.get("profile-level-id"), found[:1], tolerances)
        return found
    if codec == "H265":
        texts = [text for name in _H265_NAMES for text in _texts(parameters, name)]
        return _nals(texts, (32, 33, 34), codec, tolerances)
    if codec in _CONFIGURED:
        return _configuration(parameters.get("config", ""), tolerances)
    return ()


def _texts(parameters: Mapping[str, str], name: str) -> list[str]:
    return [text for text in parameters.get(name, "").split(",") if text]


def _nals(texts: list[str], wanted: tuple[int, ...], codec: str, tolerances: Tolerances) -> tuple[bytes, ...]:
    found: dict[int, list[bytes]] = {kind: [] for kind in wanted}
    for text in texts[:_MAX_TEXTS]:
        for nal in _decoded(text, tolerances):
            kind = nal[0] & 0x1F if codec == "H264" else nal[0] >> 1 & 0x3F
            if kind in found and len(nal) > 3 and nal not in found[kind]:
                found[kind].append(nal)
            elif codec == "H264" and nal[0] in (0x40, 0x42, 0x44) and nal[1:2] == b"\x01":
                tolerances.note(Tolerance.PARAMETER_SETS_OTHER_CODEC)
            else:
                tolerances.note(Tolerance.PARAMETER_SETS_UNREADABLE)
    if not texts:
        return ()
    if not all(found.values()):
        tolerances.note(Tolerance.PARAMETER_SETS_INCOMPLETE)
        return ()
    return tuple(nal for kind in wanted for nal in found[kind])


def _decoded(text: str, tolerances: Tolerances) -> list[bytes]:
    clean = text.strip().strip('"')
    try:
        data = base64.b64decode(clean + "=" * (-len(clean) % 4), validate=True)
    except (binascii.Error, ValueError):
        tolerances.note(Tolerance.PARAMETER_SETS_UNREADABLE)
        return []
    data = data[:MAX_PARAMETER_SET]
    if b"\0\0\1" in data:
        tolerances.note(Tolerance.PARAMETER_SETS_ANNEX_B)
    pieces = [piece.rstrip(b"\0") for piece in data.split(b"\0\0\1")]
    return [piece for piece in pieces if piece]


def _check_profile(told: str | None, sps: tuple[bytes, ...], tolerances: Tolerances) -> None:
    """Hold profile-level-id (three bytes in hexadecimal, RFC 6184 8.1) against the SPS, which is believed (39)."""
    if told is None:
        return
    if not re.fullmatch(r"[0-9A-Fa-f]{6}", told):
        tolerances.note(Tolerance.PROFILE_LEVEL_UNREADABLE)
        return
    profile, _, level = bytes.fromhex(told)
    if sps and len(sps[0]) > 3 and (profile, level) != (sps[0][1], sps[0][3]):
        tolerances.note(Tolerance.PROFILE_LEVEL_OTHER)


def _configuration(text: str, tolerances: Tolerances) -> tuple[bytes, ...]:
    clean = text.strip().strip('"')
    if not clean:
        return ()
    try:
        data = bytes.fromhex(clean[: 2 * MAX_PARAMETER_SET])
    except ValueError:
        tolerances.note(Tolerance.PARAMETER_SETS_UNREADABLE)
        return ()
    return (data,)
