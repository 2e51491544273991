"""Replies to values: what a device told about itself, as frozen values. Past this file nobody sees XML.

Elements are found by local name, everything is optional, and every list and text is bounded: a reply may come from
anybody.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from lxml import etree

from adapters.onvif.reply import Reply
from adapters.wire import xml

MAX_ITEMS = 256
_SHORT = 256

# Namespace -> the word of the catalog. Vendors' own namespaces are left out.
_SERVICES = {
    "http://www.onvif.org/ver10/device/wsdl": "device",
    "http://www.onvif.org/ver10/media/wsdl": "media",
    "http://www.onvif.org/ver20/media/wsdl": "media2",
    "http://www.onvif.org/ver10/events/wsdl": "events",
    "http://www.onvif.org/ver20/ptz/wsdl": "ptz",
    "http://www.onvif.org/ver20/imaging/wsdl": "imaging",
    "http://www.onvif.org/ver20/analytics/wsdl": "analytics",
    "http://www.onvif.org/ver10/deviceio/wsdl": "deviceio",
    "http://www.onvif.org/ver10/recording/wsdl": "recording",
    "http://www.onvif.org/ver10/search/wsdl": "search",
    "http://www.onvif.org/ver10/replay/wsdl": "replay",
    "http://www.onvif.org/ver10/receiver/wsdl": "receiver",
    "http://www.onvif.org/ver10/accesscontrol/wsdl": "accesscontrol",
    "http://www.onvif.org/ver10/doorcontrol/wsdl": "doorcontrol",
    "http://www.onvif.org/ver10/advancedsecurity/wsdl": "advancedsecurity",
    "http://www.onvif.org/ver10/provisioning/wsdl": "provisioning",
    "http://www.onvif.org/ver10/thermal/wsdl": "thermal",
    "http://www.onvif.org/ver10/schedule/wsdl": "schedule",
    "http://www.onvif.org/ver10/uplink/wsdl": "uplink",
    "http://www.onvif.org/ver10/appmgmt/wsdl": "appmgmt",
}
_CAPABILITIES = {
    "Analytics": "analytics",
    "Device": "device",
    "Events": "events",
    "Imaging": "imaging",
    "Media": "media",
    "PTZ": "ptz",
    "DeviceIO": "deviceio",
    "Recording": "recording",
    "Search": "search",
    "Replay": "replay",
    "Receiver": "receiver",
}


@dataclass(frozen=True, slots=True)
class SystemTime:
    """GetSystemDateAndTime, as told; each part None or "" where it was not told."""

    utc: datetime | None
    local: datetime | None  # naive: the camera's wall clock
    zone: str  # POSIX 1003.1 TZ, as written
    daylight_savings: bool | None
    source: str  # NTP | Manual

    @property
    def zone_offset_min(self) -> int | None:
        """Return minutes east of UTC without daylight saving, None where it cannot be told.

        Cameras write zones loosely (quirk 74); where both clocks were told, their difference decides between a
        readable zone and what the camera does.
        """
        written = zone_offset_min(self.zone)
        if self.utc is None or self.local is None:
            return written
        seen = round((self.local.replace(tzinfo=UTC) - self.utc).total_seconds() / 900) * 15
        if abs(seen) > 14 * 60:
            return written
        if written is not None and seen - written in {0, 30, 60}:
            return written  # the rest is daylight saving, on or off as it may be today
        return seen


@dataclass(frozen=True, slots=True)
class DeviceInformation:
    """GetDeviceInformation, as told."""

    manufacturer: str
    model: str
    firmware: str
    serial: str
    hardware_id: str


@dataclass(frozen=True, slots=True)
class NetworkProtocol:
    """One entry of GetNetworkProtocols."""

    name: str
    enabled: bool
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MediaProfile:
    """One MediaProfile of either media service. 0 and "" stand for what was not told."""

    token: str
    name: str
    source: str  # video source token
    encoding: str  # H264 H265 JPEG MPEG4 ...
    width: int
    height: int
    fps: float
    bitrate_kbps: int
    gov_length: int
    service: str  # media | media2
    source_configuration: str = ""  # token of the VideoSourceConfiguration
    analytics: str = ""  # token of the VideoAnalyticsConfiguration
    ptz: str = ""  # token of the PTZConfiguration
    metadata: bool = False  # it carries a metadata configuration


def system_time(reply: Reply) -> SystemTime:
    """Read GetSystemDateAndTime."""
    told = xml.child(reply.body, "SystemDateAndTime")
    if told is None:
        told = reply.body
    parts = xml.named(told)
    utc = _date_time(parts.get("UTCDateTime"))
    return SystemTime(
        utc=utc.replace(tzinfo=UTC) if utc is not None else None,
        local=_date_time(parts.get("LocalDateTime")),
        zone=xml.text(parts.get("TimeZone"), "TZ", limit=_SHORT),
        daylight_savings=_bool(xml.text(parts.get("DaylightSavings"), limit=8)),
        source=xml.text(parts.get("DateTimeType"), limit=32),
    )


_MOMENT = ("Year", "Month", "Day", "Hour", "Minute", "Second")


def _date_time(element: etree._Element | None) -> datetime | None:
    if element is None:
        return None
    told = xml.leaves(element)
    texts = [told.get(name, "") for name in _MOMENT]
    number = int if all(map(str.isdecimal, texts)) else _int  # nearly always
    try:
        year, month, day, hours, minutes, seconds = map(number, texts)
        if hours < 24 and minutes < 60 and seconds < 60:
            return datetime(year, month, day, hours, minutes, seconds)  # noqa: DTZ001  the zone is the element's
        # minute 61 and second 60 exist (quirk 54): carried over, within reason
        return datetime(year, month, day) + timedelta(  # noqa: DTZ001
            hours=min(hours, 48), minutes=min(minutes, 120), seconds=min(seconds, 120)
        )
    except (ValueError, OverflowError):
        return None


_ZONE = re.compile(
    r"^(?:<[^>]{1,16}>|[A-Za-z]{0,16})\s*(?P<sign>[+\-]?)(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?(?::\d{2})?"
)


@lru_cache(maxsize=256)  # a device says the same at each reading, and so do its neighbours
def zone_offset_min(zone: str) -> int | None:
    """Return minutes east of UTC of a POSIX zone (whose sign points west), None where it cannot be read.

    Read as written by cameras (quirk 74): ``CST-08:00``, ``UTC5UTC``, ``CST7:00:00DST01:00:00,M3.2.0/...``,
    ``CST6CDT:``, ``<+07>-7``; bare ``UTC`` and ``GMT`` are 0.
    """
    text = zone.strip()
    if text.upper() in {"UTC", "GMT", "UTC0", "GMT0", "Z"}:
        return 0
    found = _ZONE.match(text)
    if found is None:
        return None
    minutes = int(found["hours"]) * 60 + int(found["minutes"] or 0)
    if minutes > 14 * 60:
        return None
    return minutes if found["sign"] == "-" else -minutes


def services(reply: Reply) -> dict[str, str]:
    """Read GetServices: service word -> XAddr text as told."""
    found: dict[str, str] = {}
    for service in list(xml.descendants(reply.body, "Service"))[:MAX_ITEMS]:
        told = xml.values(service)
        word = _SERVICES.get(told.get("Namespace", "")[:_SHORT].lower().rstrip("/"))
        if word is not None:
            found.setdefault(word, told.get("XAddr", ""))
    return found


def capabilities(reply: Reply) -> dict[str, str]:
    """Read GetCapabilities: service word -> XAddr text as told."""
    found: dict[str, str] = {}
    told = xml.child(reply.body, "Capabilities")
    for parent in (told, xml.child(told, "Extension")):
        for element in xml.children(parent, *_CAPABILITIES):
            address = xml.text(element, "XAddr")
            if address:
                found.setdefault(_CAPABILITIES[xml.local(element)], address)
    return found


def device_information(reply: Reply) -> DeviceInformation:
    """Read GetDeviceInformation."""
    told = xml.values(reply.body, limit=_SHORT)
    return DeviceInformation(
        *(
            told.get(name, "")
            for name in ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
        )
    )


def scopes(reply: Reply) -> tuple[str, ...]:
    """Read GetScopes, wrapped or repeated without a wrapper (quirk 41)."""
    found = (xml.text(item, limit=512) for item in xml.descendants(reply.body, "ScopeItem"))
    return tuple(dict.fromkeys(item for item in found if item))[:MAX_ITEMS]


_PROFILE_SCOPES = {"streaming": "S", "s": "S", "t": "T", "g": "G", "m": "M", "a": "A", "c": "C", "d": "D"}


def profiles_claimed(told: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ONVIF Profile letters claimed in scopes, in the order S T G M A C D."""
    claimed = set()
    for scope in told:
        _, found, word = scope.partition("onvif.org/Profile/")
        letter = _PROFILE_SCOPES.get(word.partition("/")[0].lower())
        if found and letter:
            claimed.add(letter)
    return tuple(letter for letter in "STGMACD" if letter in claimed)


_MAC = re.compile(r"^[0-9a-f]{12}$")


def hardware_addresses(reply: Reply) -> tuple[str, ...]:
    """Read GetNetworkInterfaces: hardware addresses, lower case with colons; malformed and empty ones left out."""
    found: dict[str, None] = {}
    for item in xml.descendants(reply.body, "HwAddress"):
        digits = re.sub(r"[^0-9a-f]", "", xml.text(item, limit=64).lower())
        if _MAC.match(digits) and digits not in {"0" * 12, "f" * 12}:
            found[":".join(digits[at : at + 2] for at in range(0, 12, 2))] = None
    return tuple(found)[:MAX_ITEMS]


def network_protocols(reply: Reply) -> tuple[NetworkProtocol, ...]:
    """Read GetNetworkProtocols."""
    found = []
    for item in list(xml.descendants(reply.body, "NetworkProtocols"))[:MAX_ITEMS]:
        told = xml.values(item, limit=32)
        ports = [_int(xml.text(port, limit=8)) for port in xml.children(item, "Port")]
        found.append(
            NetworkProtocol(
                name=told.get("Name", "").upper(),
                enabled=_bool(told.get("Enabled", "")[:8]) is True,
                ports=tuple(port for port in ports if 0 < port < 65536)[:MAX_ITEMS],
            )
        )
    return tuple(item for item in found if item.name)


def ntp_servers(reply: Reply) -> tuple[str, ...]:
    """Read GetNTP: names and addresses of configured servers, by hand or by DHCP."""
    found: dict[str, None] = {}
    for entry in xml.descendants(reply.body, "NTPManual", "NTPFromDHCP"):
        for item in xml.children(entry, "IPv4Address", "IPv6Address", "DNSname"):
            name = xml.text(item, limit=_SHORT)
            if name and name not in {"0.0.0.0", "::"}:  # noqa: S104  what a camera writes for none
                found[name] = None
    return tuple(found)[:MAX_ITEMS]


def endpoint_reference(reply: Reply) -> str:
    """Read GetEndpointReference: the URN, with its scheme where the device writes a bare UUID."""
    told = next((xml.text(item, limit=_SHORT) for item in xml.descendants(reply.body, "GUID", "Address")), "")
    if re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", told):
        return f"urn:uuid:{told.lower()}"
    return told


def media_profiles(reply: Reply) -> tuple[MediaProfile, ...]:
    """Read GetProfiles of the media service."""
    found = []
    for item in list(xml.descendants(reply.body, "Profiles"))[:MAX_ITEMS]:
        encoder = xml.child(item, "VideoEncoderConfiguration")
        codec = next(xml.children(encoder, "H264", "H265", "MPEG4"), None)
        source = xml.child(item, "VideoSourceConfiguration")
        profile = _profile(item, encoder, "media", source, _gov(codec))
        found.append(_with_extras(profile, item, source, _EXTRAS))
    return _distinct(found)


def media2_profiles(reply: Reply) -> tuple[MediaProfile, ...]:
    """Read GetProfiles of the media2 service; without configurations only tokens and names are there."""
    found = []
    for item in list(xml.descendants(reply.body, "Profiles"))[:MAX_ITEMS]:
        told = xml.child(item, "Configurations")
        encoder = xml.child(told, "VideoEncoder")
        gov = _int(xml.attribute(encoder, "GovLength")) or _gov(encoder)
        source = xml.child(told, "VideoSource")
        profile = _profile(item, encoder, "media2", source, gov)
        found.append(_with_extras(profile, told, source, _EXTRAS2))
    return _distinct(found)


def media2_encoders(reply: Reply) -> tuple[etree._Element, ...]:
    """Read media2 GetVideoEncoderConfigurations: the configurations, for `with_encoder`."""
    return tuple(xml.descendants(reply.body, "Configurations"))[:MAX_ITEMS]


def with_encoder(profile: MediaProfile, encoder: etree._Element) -> MediaProfile:
    """Return a media2 profile with the values of its encoder configuration."""
    gov = _int(xml.attribute(encoder, "GovLength")) or _gov(encoder)
    filled = _profile(None, encoder, "media2", None, gov)
    return replace(
        profile,
        encoding=filled.encoding,
        width=filled.width,
        height=filled.height,
        fps=filled.fps,
        bitrate_kbps=filled.bitrate_kbps,
        gov_length=filled.gov_length,
    )


def uri(reply: Reply) -> str:
    """Read GetStreamUri or GetSnapshotUri of either media service: the address as told."""
    found = next(xml.descendants(reply.body, "Uri"), None)
    return (found.text or "")[: xml.MAX_TEXT] if found is not None else ""


def _profile(
    item: etree._Element | None,
    encoder: etree._Element | None,
    service: str,
    source: etree._Element | None,
    gov_length: int,
) -> MediaProfile:
    size = xml.values(xml.child(encoder, "Resolution"), limit=16)
    rate = xml.values(xml.child(encoder, "RateControl"), limit=16)
    encoding = re.sub(r"[^A-Z0-9]", "", xml.text(encoder, "Encoding", limit=32).upper())
    return MediaProfile(
        token=xml.attribute(item, "token"),
        name=xml.text(item, "Name", limit=_SHORT),
        source=xml.text(source, "SourceToken", limit=_SHORT),
        encoding={"HEVC": "H265", "MJPEG": "JPEG", "MPV4ES": "MPEG4"}.get(encoding, encoding),
        width=_int(size.get("Width", "")),
        height=_int(size.get("Height", "")),
        fps=_float(rate.get("FrameRateLimit", "")),
        bitrate_kbps=_int(rate.get("BitrateLimit", "")),
        gov_length=gov_length,
        service=service,
    )


# analytics, PTZ, metadata: the names in media and in media2
_EXTRAS = ("VideoAnalyticsConfiguration", "PTZConfiguration", "MetadataConfiguration")
_EXTRAS2 = ("Analytics", "PTZ", "Metadata")


def _with_extras(
    profile: MediaProfile,
    told: etree._Element | None,
    source: etree._Element | None,
    names: tuple[str, str, str],
) -> MediaProfile:
    analytics, ptz, metadata = (xml.child(told, name) for name in names)
    return replace(
        profile,
        source_configuration=xml.attribute(source, "token"),
        analytics=xml.attribute(analytics, "token"),
        ptz=xml.attribute(ptz, "token"),
        metadata=metadata is not None,
    )


def _gov(codec: etree._Element | None) -> int:
    return _int(xml.text(codec, "GovLength", limit=16))


def _distinct(found: list[MediaProfile]) -> tuple[MediaProfile, ...]:
    """Leave out profiles without a token and repeated tokens."""
    by_token: dict[str, MediaProfile] = {}
    for profile in found:
        if profile.token:
            by_token.setdefault(profile.token, profile)
    return tuple(by_token.values())


def _int(text: str) -> int:
    """Return a whole number not below 0, 0 where there is none: 2147483647 is how AXIS writes "no limit"."""
    if text.isdecimal() and len(text) < 10:
        return int(text)
    try:
        number = float(text[:16])
    except ValueError:
        return 0
    return int(number) if 0 <= number < 2**31 - 1 else 0


def _float(text: str) -> float:
    try:
        number = float(text[:16])
    except ValueError:
        return 0.0
    return number if 0 <= number < 2**31 else 0.0


def _bool(text: str) -> bool | None:
    lowered = text.strip().lower()
    if lowered in {"true", "1"}:
        return True
    if lowered in {"false", "0"}:
        return False
    return None
