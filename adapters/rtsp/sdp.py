"""Session descriptions as cameras write them (RFC 8866, RFC 2326 appendix C). Sans I/O, tolerant by name.

Lines are read one by one and each is allowed to be wrong: what is not understood is skipped and counted. Only a
body without any media section is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from adapters.rtsp.encodings import Encoding, Hints, encoding_of
from adapters.rtsp.parameter_sets import sets_of
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation, excerpt_of
from adapters.target import Target
from standards.reason import Reason

MAX_LINES = 2_000
MAX_LINE = 16_384  # H.265 parameter sets and "config" strings stay well under this
MAX_MEDIA = 32
MAX_PARAMETERS = 64  # of one fmtp
# The order of lines in RFC 8866 section 5; t=, r= and z= repeat together.
_SESSION_ORDER = "voiuepcbtka"
_MEDIA_ORDER = "micbka"
_KINDS = frozenset({"video", "audio", "application", "text", "message", "image"})  # RFC 8866 section 5.14
_CONNECTION = re.compile(r"IN\s+IP[46]\s+\S+$")
_ORIGIN = re.compile(r"\S+ \d+ \d+ IN IP[46] \S+$")
_TIME = re.compile(r"\d+ \d+$")
_PLAIN_ADDRESS = re.compile(r"rtsps?://[a-z0-9.\-]{1,253}:\d{1,5}/[!-~]{0,3000}")
_FMTP = re.compile(r"\s*(\d{1,3})\s*(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Media:
    """One media section."""

    kind: str  # video | audio | application | what the camera wrote
    payload_type: int | None
    codec: str  # encoding name in upper case; "" where unknown
    clock_rate_hz: int
    channels: int = 1
    format_parameters: Mapping[str, str] = field(default_factory=dict)  # of fmtp, names in lower case
    control: str | None = None
    direction: str = ""  # sendonly | recvonly | sendrecv | inactive | ""
    bandwidth_kbps: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)  # the others, first value each
    takes_picture_loss: bool = (
        False  # the camera says that a key frame may be asked for (RFC 4585 section 4.2)
    )

    @property
    def frame_rate(self) -> float | None:
        """Return the claimed frame rate (``a=framerate``), where it is a number above 0."""
        found = re.match(r"\s*(\d{1,4}(?:\.\d{1,9})?)", self.attributes.get("framerate", ""))
        return float(found[1]) or None if found else None


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """What DESCRIBE told."""

    media: tuple[Media, ...]
    control: str | None = None
    name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    def receivable(self) -> tuple[Media, ...]:
        """Return the sections that the camera sends: without backchannels (quirk 38, 96)."""
        return tuple(media for media in self.media if media.direction != "backchannel")


def parse_sdp(body: bytes, tolerances: Tolerances) -> SessionDescription:
    """Read a session description.

    Raises:
        Violation: empty, not an SDP at all, or without any media section.
    """
    if not body.strip():
        raise Violation("the session description is empty", reason=Reason.EMPTY_REPLY, spec="RFC 2326 10.2")
    if body.lstrip()[:1] == b"<":
        raise Violation(
            "the session description is HTML or XML",
            reason=Reason.NOT_THE_PROTOCOL,
            excerpt=excerpt_of(body),
            spec="RFC 2326 section 10.2",
        )
    head, sections = _sections(body, tolerances)
    _check_lines(body, head, sections, tolerances)
    if not sections:
        raise Violation(
            "the session description has no media section (no m= line): it is cut short or empty",
            reason=Reason.MALFORMED_RTSP,
            excerpt=excerpt_of(body[-96:]),
            spec="RFC 8866 section 5.14",
        )
    attributes = _attributes(head)
    by_payload = _format_lines(sections)
    media = [_media(lines, by_payload, attributes, tolerances) for lines in sections]
    if sum(item.kind == "video" for item in media) > 1:
        tolerances.note(Tolerance.SDP_SECOND_VIDEO)
    name = next((text.strip()[:200] for kind, text in head if kind == "s"), "")
    return SessionDescription(
        _directed(media, tolerances), attributes.get("control"), name, MappingProxyType(attributes)
    )


Lines = list[tuple[str, str]]


def _sections(body: bytes, tolerances: Tolerances) -> tuple[Lines, list[Lines]]:
    head: Lines = []
    sections: list[Lines] = []
    lines = body.decode("utf-8", "replace").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES or max(map(len, lines)) > MAX_LINE:
        tolerances.note(Tolerance.SDP_TOO_LONG)
    for raw in lines[:MAX_LINES]:
        line = raw.strip(" \t\x00")[:MAX_LINE]
        if not line:
            continue
        if len(line) < 2 or line[1] != "=" or not line[0].isascii() or not line[0].isalpha():
            tolerances.note(Tolerance.SDP_GARBAGE)
            continue
        kind, text = line[0], line[2:].strip()
        if kind == "m":
            if len(sections) >= MAX_MEDIA:
                tolerances.note(Tolerance.SDP_TOO_LONG)
                break
            sections.append([])
        (sections[-1] if sections else head).append((kind, text))
    return head, sections


def _check_lines(body: bytes, head: Lines, sections: list[Lines], tolerances: Tolerances) -> None:
    """Name what is wrong with lines that the hub does not use (quirks 33, 34, 85, 86)."""
    kinds = [kind for kind, _ in head]
    if not {"v", "o", "s", "t"} <= set(kinds):
        tolerances.note(Tolerance.SDP_LINES_MISSING)
    in_media = {kind for lines in sections for kind, _ in lines}
    if any(kinds.count(kind) > 1 for kind in "vos") or in_media & {"v", "o", "s", "t"}:
        tolerances.note(Tolerance.SDP_LINES_REPEATED)
    if not _ordered(head, _SESSION_ORDER) or not all(_ordered(lines, _MEDIA_ORDER) for lines in sections):
        tolerances.note(Tolerance.SDP_LINES_UNORDERED)
    if not body.endswith((b"\n", b"\r", b"\0")):
        tolerances.note(Tolerance.SDP_LAST_LINE_OPEN)
    for kind, text in (line for lines in (head, *sections) for line in lines):
        if kind == "c" and not _CONNECTION.match(text):
            tolerances.note(Tolerance.SDP_CONNECTION_UNREADABLE)
        elif kind == "o" and not _ORIGIN.match(text):
            tolerances.note(Tolerance.SDP_ORIGIN_UNREADABLE)
        elif kind == "t" and not _TIME.match(text):
            tolerances.note(Tolerance.SDP_TIME_UNREADABLE)


def _ordered(lines: Lines, order: str) -> bool:
    places = [order.index(kind) for kind, _ in lines if kind in order]
    return places == sorted(places)


def _attributes(lines: Lines) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, text in lines:
        if kind == "a":
            name, _, value = text.partition(":")
            found.setdefault(name.strip().lower()[:64], value.strip())
    return found


def _format_lines(sections: list[Lines]) -> dict[tuple[str, int], tuple[str, int]]:
    """Return rtpmap and fmtp lines by (attribute, payload type) with the section they stand in."""
    found: dict[tuple[str, int], tuple[str, int]] = {}
    for index, lines in enumerate(sections):
        for kind, text in lines:
            name, _, value = text.partition(":")
            match = _FMTP.match(value) if kind == "a" and name in ("rtpmap", "fmtp") else None
            if match:
                found.setdefault((name, int(match[1])), (value, index))
    return found


def _media(
    lines: Lines,
    by_payload: dict[tuple[str, int], tuple[str, int]],
    session: dict[str, str],
    tolerances: Tolerances,
) -> Media:
    words = lines[0][1].split()
    kind = words[0].lower()[:64] if words else ""
    payload_type = None
    if len(words) > 3 and words[3].isascii() and words[3].isdigit() and int(words[3][:4]) < 128:
        payload_type = int(words[3])
    else:
        tolerances.note(Tolerance.SDP_FORMAT_UNREADABLE)
    if kind not in _KINDS:
        tolerances.note(Tolerance.SDP_MEDIA_UNKNOWN)
    attributes = _attributes(lines)
    parameters = _format_parameters(payload_type, _of(lines, "fmtp"), by_payload, tolerances)
    bandwidth = next(
        (int(text[3:].strip()) for key, text in lines if key == "b" and re.match(r"AS:\s*\d{1,7}\s*$", text)),
        None,
    )
    encoding = Encoding("", 0, 1)
    if payload_type is not None:
        elsewhere, _ = by_payload.get(("rtpmap", payload_type), (None, 0))
        hints = Hints(kind, parameters, bandwidth)
        encoding = encoding_of(payload_type, _of(lines, "rtpmap"), elsewhere, hints, tolerances)
    direction = next(
        (word for word in ("sendonly", "recvonly", "sendrecv", "inactive") if word in attributes),
        next((word for word in ("sendonly", "recvonly") if word in session), ""),
    )
    return Media(
        kind,
        payload_type,
        *encoding,
        MappingProxyType(parameters),
        attributes.get("control"),
        direction,
        bandwidth,
        MappingProxyType(attributes),
        _takes_picture_loss(_of(lines, "rtcp-fb"), payload_type),
    )


def _takes_picture_loss(values: list[str], payload_type: int | None) -> bool:
    """Tell whether ``a=rtcp-fb:* nack pli`` stands there, or with the payload type."""
    wanted = {"*", str(payload_type)}
    words = (value.lower().split()[:3] for value in values)
    return any(len(each) == 3 and each[0] in wanted and each[1:] == ["nack", "pli"] for each in words)


def _of(lines: Lines, name: str) -> list[str]:
    return [text.partition(":")[2] for kind, text in lines if kind == "a" and text.startswith(f"{name}:")]


def _format_parameters(
    payload_type: int | None,
    own: list[str],
    by_payload: dict[tuple[str, int], tuple[str, int]],
    tolerances: Tolerances,
) -> dict[str, str]:
    if payload_type is None:
        return {}
    matches = [match for match in map(_FMTP.match, own) if match]
    text = next((match[2] for match in matches if int(match[1]) == payload_type), None)
    if text is None and ("fmtp", payload_type) in by_payload:
        found = _FMTP.match(by_payload["fmtp", payload_type][0])
        text = found[2] if found else None
        tolerances.note(Tolerance.SDP_FORMAT_MISPLACED)  # quirk 36, 94
    if text is not None and not text.strip():
        tolerances.note(Tolerance.SDP_FORMAT_EMPTY)  # Ubiquiti (quirk 36)
    parameters: dict[str, str] = {}
    for part in (text or "").split(";")[:MAX_PARAMETERS]:
        name, equals, value = part.partition("=")
        if equals:
            parameters.setdefault(name.strip().lower(), value.strip())
    return parameters


def _directed(media: list[Media], tolerances: Tolerances) -> tuple[Media, ...]:
    """Mark backchannels: audio that the camera labels ``sendonly`` beside tracks it does not.

    Seen from the client, as ONVIF Streaming 5.3 asks: ``sendonly`` is what the client sends. D-Link labels its
    own video ``sendonly`` (quirk 38): video and metadata are never backchannels, and where everything is
    labelled so nothing is.
    """
    suspects = [item for item in media if item.direction == "sendonly" and item.kind == "audio"]
    labelled = [item for item in media if item.direction == "sendonly"]
    if labelled and (len(labelled) == len(media) or any(item.kind == "video" for item in labelled)):
        tolerances.note(Tolerance.SDP_ALL_BACKCHANNEL)
        return tuple(media)
    return tuple(replace(item, direction="backchannel") if item in suspects else item for item in media)


def parameter_sets(media: Media, tolerances: Tolerances) -> tuple[bytes, ...]:
    """Return the parameter sets of a section (see `adapters.rtsp.parameter_sets`). Empty: none usable."""
    return sets_of(media.codec, media.format_parameters, tolerances)


def base_url(request_url: str, content_base: str | None, content_location: str | None) -> str:
    """Return the base for control addresses (RFC 2326 appendix C.1.1): Content-Base, Content-Location, request."""
    return (content_base or "").strip() or (content_location or "").strip() or request_url


def resolve_control(base: str, control: str | None, enrolled: Target, tolerances: Tolerances) -> str:
    """Return the address for SETUP or PLAY, always on the enrolled host and port.

    A relative control is appended to the base as cameras mean it (not as RFC 3986 would resolve it): the query
    stays where it is, and one slash stands between (quirks 20, 21). An address that names another host is
    rewritten, because credentials go to the enrolled host only.
    """
    text = (control or "").strip()
    if text in ("", "*"):
        joined = base
    elif "://" in text[:10].lower():
        joined = text
    elif text.startswith("?"):
        joined = base.rstrip("/") + text if "?" not in base else base + "&" + text[1:]
    elif text.startswith("/") and base.endswith("/"):
        joined = base + text[1:]
    else:
        joined = base + ("" if base.endswith("/") or text.startswith("/") else "/") + text
    return enrolled_url(joined, enrolled, tolerances)


def enrolled_url(text: str, enrolled: Target, tolerances: Tolerances) -> str:
    """Return an address with the scheme, host and port of the enrolled target and no credential."""
    usual = f"{enrolled.scheme}://{enrolled.authority}/"
    if text.startswith(usual) and _PLAIN_ADDRESS.fullmatch(text) is not None:
        return text
    address = "".join(char for char in text.strip() if "\x20" < char != "\x7f")[:4096]
    while re.match(r"rtsps?://rtsps?://", address, re.IGNORECASE):
        tolerances.note(Tolerance.BASE_DOUBLED_SCHEME)
        address = address.split("://", 1)[1]
    if not re.match(r"[A-Za-z]+://", address):
        tolerances.note(Tolerance.BASE_WITHOUT_SCHEME)
        place = enrolled.authority if address.startswith("/") else ""
        address = f"{enrolled.scheme}://{place}{address}"
    rest = address.split("://", 1)[1]
    cut = min((rest.find(char) for char in "/?" if char in rest), default=len(rest))
    if not _same_place(address, enrolled):
        tolerances.note(Tolerance.FOREIGN_HOST_REWRITTEN)
    path = rest[cut:]
    return f"{enrolled.scheme}://{enrolled.authority}{path}"


def _same_place(address: str, enrolled: Target) -> bool:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    host = (parts.hostname or "").lower().removeprefix("::ffff:")
    # A missing port is the default one by the letter, the one in use by habit: both mean this camera.
    return host == enrolled.host.lower() and port in (None, enrolled.port)
