"""Probes and their answers, without I/O (WS-Discovery April 2005, ONVIF Core 7.3).

Replies are taken whatever they relate to: cameras reuse MessageIDs and copy others' (quirk 56).
"""

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from adapters.wire import xml

MAX_DATAGRAM = 65_535
MAX_MATCHES = 16  # of one reply: a recorder that answers for its cameras
MAX_SCOPES = 200
MAX_ADDRESSES = 16
MAX_WORD = 512  # characters of one scope or address
MAX_LABEL = 80  # characters of a name, maker or model as shown

# Each is asked for apart: devices match Types by AND, and some answer only to one of them (quirk 56).
PROBED_TYPES = ("dn:NetworkVideoTransmitter", "tds:Device", "")

_PROBE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"'
    ' xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
    "<s:Header><a:MessageID>{message}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
    "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></s:Header>"
    "<s:Body><d:Probe><d:Types>{types}</d:Types><d:Scopes/></d:Probe></s:Body></s:Envelope>"
)
_ANSWERS = ("ProbeMatch", "ResolveMatch", "Hello")


@dataclass(frozen=True, slots=True)
class Match:
    """One device in one reply, as it says it is."""

    source: str  # address that the datagram came from
    endpoint: str  # endpoint reference, lower case; "" where there is none
    types: tuple[str, ...]  # local names: NetworkVideoTransmitter, Device
    scopes: tuple[str, ...]  # as sent, percent-encoded
    addresses: tuple[str, ...]  # XAddrs as sent
    quirks: tuple[str, ...] = ()


def probe(types: str) -> bytes:
    """Return one Probe with a MessageID of its own, without line breaks: some Hikvision firmware takes no other."""
    return _PROBE.format(message=f"urn:uuid:{uuid4()}", types=types).encode()


def read(datagram: bytes, source: str) -> tuple[Match, ...]:
    """Read one datagram; empty where it answers a probe but not as an ONVIF device.

    Raises:
        RemoteProtocolError: it is no XML that can be read safely.
    """
    document = xml.parse(datagram[:MAX_DATAGRAM], operation="WS-Discovery", peer=source)
    if b"onvif" not in datagram.lower().replace(b"\0", b""):
        return ()
    matches = []
    for element in xml.descendants(document.root, *_ANSWERS):
        matches.append(
            Match(
                source=source,
                endpoint=xml.text(element, "EndpointReference", "Address", limit=MAX_WORD).lower(),
                types=tuple(
                    dict.fromkeys(
                        word.rpartition(":")[2] for word in xml.text(element, "Types").split()[:MAX_ADDRESSES]
                    )
                ),
                scopes=_words(xml.text(element, "Scopes", limit=16_384), MAX_SCOPES),
                addresses=_words(xml.text(element, "XAddrs"), MAX_ADDRESSES),
                quirks=document.quirks,
            )
        )
        if len(matches) == MAX_MATCHES:
            break
    return tuple(matches)


def _words(text: str, most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in text.split() if len(word) <= MAX_WORD))[:most]


@dataclass(frozen=True, slots=True)
class Label:
    """What the scopes of a device say about it. All of it is claimed; "" where nothing is said."""

    name: str = ""
    maker: str = ""
    model: str = ""
    location: str = ""


def label(scopes: tuple[str, ...]) -> Label:
    """Read name, maker and model out of scopes (ONVIF Core 7.3.2.2).

    The maker has no scope of its own in the standard. Taken in this order: a ``mfr`` or ``manufacturer`` scope at any
    depth; the vendor's own branch where it holds its firmware or hardware address (Avigilon); the name, where it is
    one word, or begins with one and goes on with the model.
    """
    parts = [part for scope in scopes if (part := _segments(scope)) is not None]
    model = _first(parts, "hardware")
    name = _first(parts, "name")
    maker = _first(parts, "mfr", "manufacturer")
    if not maker:
        branch = next(
            (part[0] for part in parts if len(part) > 2 and part[0] not in _STANDARD and part[1] in _OWN), ""
        )
        maker = branch.capitalize()
    if not maker and name:
        head, _, rest = name.partition(" ")
        if not rest and name != model:
            maker = name
        elif rest and model and model.casefold() in rest.casefold():
            maker = head
    places = [part[-1] for part in parts if part[0] == "location" and len(part) > 1 and part[1] != "country"]
    return Label(name, maker, model, ", ".join(dict.fromkeys(places))[:MAX_LABEL])


_STANDARD = frozenset({"acc", "type", "name", "location", "hardware", "profile", "extension", "mfr", "d1"})
_OWN = frozenset({"mac", "firmware"})


def _segments(scope: str) -> tuple[str, ...] | None:
    """Return the decoded path of an ONVIF scope, its first segment in lower case; None for any other scope."""
    scheme, separator, rest = scope.partition("://")
    if scheme.lower() != "onvif" or not separator:
        return None
    raw = [part for part in rest.split("/")[1:] if part]
    if not raw:
        return None
    return (raw[0].lower(), *(decoded(part) for part in raw[1:]))


def _first(parts: list[tuple[str, ...]], *keys: str) -> str:
    """Return the value of the first scope that has one of these keys before its last segment."""
    for part in parts:
        if len(part) > 1 and (part[0] in keys or part[-2].lower() in keys) and part[-1]:
            return part[-1][:MAX_LABEL]
    return ""


def decoded(segment: str) -> str:
    """Return a scope segment as people read it: percent-encoded UTF-8, else Latin-1, without what cannot be shown."""
    raw = unquote_to_bytes(segment)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


__all__ = ["MAX_DATAGRAM", "PROBED_TYPES", "Label", "Match", "decoded", "label", "probe", "read"]
