"""RTSP header values: Transport, Session, RTP-Info, Public (RFC 2326 section 12). Sans I/O."""

import re
from dataclasses import dataclass

from adapters.rtsp.tolerance import Tolerance, Tolerances

DEFAULT_SESSION_TIMEOUT_S = 60.0  # RFC 2326 section 12.37
MAX_SESSION_TIMEOUT_S = 3600.0
_RANGE = re.compile(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6}))?")
_SSRC = re.compile(r"[0-9A-Fa-f]{1,8}$")
_METHOD = re.compile(r"[A-Z_]{1,32}$")


@dataclass(frozen=True, slots=True)
class Transport:
    """One transport as answered by SETUP (section 12.39). None: the camera did not say, or said nonsense."""

    tcp: bool
    multicast: bool = False
    channels: tuple[int, int] | None = None
    client_ports: tuple[int, int] | None = None
    server_ports: tuple[int, int] | None = None
    source: str = ""
    ssrc: int | None = None


def parse_transport(value: str, tolerances: Tolerances) -> Transport:
    """Read the first transport of a Transport header."""
    parts = [part.strip() for part in value.split(",", 1)[0][:1024].split(";")]
    protocol = parts[0].upper()
    parameters: dict[str, str] = {}
    for part in parts[1:]:
        name, _, text = part.partition("=")
        parameters.setdefault(name.strip().lower(), text.strip().strip('"'))
    channels = _pair(parameters.get("interleaved"), 255)
    if channels is not None and "-" not in parameters.get("interleaved", ""):
        tolerances.note(Tolerance.CHANNEL_SINGLE)
    tcp = protocol.endswith("/TCP")
    if channels is not None and not tcp:
        tolerances.note(Tolerance.TRANSPORT_WITHOUT_TCP)  # Escam Q6: RTP/AVP;interleaved=0-1
        tcp = True
    ssrc = None
    if "ssrc" in parameters:
        if _SSRC.match(parameters["ssrc"]):
            ssrc = int(parameters["ssrc"], 16)
        else:
            tolerances.note(Tolerance.SSRC_UNREADABLE)
    return Transport(
        tcp=tcp,
        multicast="multicast" in parameters and "unicast" not in parameters,
        channels=channels,
        client_ports=_pair(parameters.get("client_port"), 65535),
        server_ports=_pair(parameters.get("server_port"), 65535),
        source=parameters.get("source", ""),
        ssrc=ssrc,
    )


def _pair(text: str | None, highest: int) -> tuple[int, int] | None:
    found = _RANGE.match(text) if text else None
    if found is None:
        return None
    low = int(found[1])
    high = int(found[2]) if found[2] else low + 1
    return (low, high) if max(low, high) <= highest else None


@dataclass(frozen=True, slots=True)
class SessionId:
    """A session's identifier and its timeout (section 12.37)."""

    identifier: str
    timeout_s: float = DEFAULT_SESSION_TIMEOUT_S


def parse_session(value: str, tolerances: Tolerances) -> SessionId:
    """Read a Session header. Whatever the camera sends before ``;`` is given back to it as it came."""
    identifier, _, tail = value[:512].partition(";")
    if identifier != identifier.strip() or "  " in value:
        tolerances.note(Tolerance.SESSION_PADDED)
    timeout_s = DEFAULT_SESSION_TIMEOUT_S
    name, _, text = tail.partition("=")
    if name.strip().lower() == "timeout":
        digits = re.match(r"\s*(\d{1,9})", text)
        if digits is None or int(digits[1]) == 0:
            tolerances.note(Tolerance.TIMEOUT_UNREADABLE)
        else:
            timeout_s = min(float(digits[1]), MAX_SESSION_TIMEOUT_S)
    return SessionId(identifier.strip(), timeout_s)


@dataclass(frozen=True, slots=True)
class RtpInfo:
    """Where a track starts (section 12.33). None: not told, or not usable."""

    url: str
    sequence: int | None = None
    rtptime: int | None = None


def parse_rtp_info(value: str, tolerances: Tolerances) -> tuple[RtpInfo, ...]:
    """Read an RTP-Info header. A hint only: 0 and 1 are sent by cameras that mean nothing by it (quirk 47)."""
    found: list[RtpInfo] = []
    # URLs may hold commas and semicolons; a new entry starts at ",url=".
    for entry in re.split(r",\s*(?=url\s*=)", value[:4096], flags=re.IGNORECASE):
        match = re.match(
            r"\s*url\s*=\s*\"?(.*?)\"?(?=;\s*(?:seq|rtptime|ssrc)\s*=|;?\s*$)(.*)$", entry, re.IGNORECASE
        )
        if match is None:
            tolerances.note(Tolerance.RTP_INFO_UNREADABLE)
            continue
        if match[2].rstrip().endswith(";"):
            tolerances.note(Tolerance.RTP_INFO_UNREADABLE)
        sequence = _bounded(match[2], "seq", 0xFFFF)
        rtptime = _bounded(match[2], "rtptime", 0xFFFFFFFF)
        found.append(RtpInfo(match[1].strip(), sequence, rtptime))
    return tuple(found[:16])


def _bounded(text: str, name: str, highest: int) -> int | None:
    found = re.search(rf";\s*{name}\s*=\s*(\d{{1,10}})", text, re.IGNORECASE)
    return int(found[1]) if found and int(found[1]) <= highest else None


def parse_public(values: list[str]) -> tuple[str, ...]:
    """Return the methods of the Public (or Allow) headers, in order, each once."""
    words = (word.strip().upper() for value in values for word in value[:2048].split(","))
    return tuple(dict.fromkeys(word for word in words if _METHOD.match(word)))[:64]
