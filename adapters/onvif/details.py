"""Extended reads to values: capabilities, events, imaging, PTZ, recordings, accounts. Past this file nobody sees XML.

As in `mapping`: by local names, everything optional, every list and text bounded. Names of people, presets, places
and on-screen texts are counted, never kept.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from adapters.onvif.mapping import MAX_ITEMS
from adapters.onvif.reply import Reply
from adapters.onvif.times import moment
from adapters.wire import xml

_TOPICS = "http://www.onvif.org/ver10/topics"
_DEPTH = 12
_MAX_PRESETS = 1024  # Hikvision lists 300, set or not
_LEVELS = {"administrator": "administrator", "operator": "operator", "user": "user"}


@dataclass(frozen=True, slots=True)
class Osd:
    """One on-screen display: its kind, and the format of a date or time."""

    kind: str  # Plain | Date | Time | DateAndTime | Image | ...
    format: str


@dataclass(frozen=True, slots=True)
class PtzNode:
    """One PTZ node."""

    token: str
    home_supported: bool
    max_presets: int
    spaces: tuple[str, ...]  # AbsolutePanTiltPositionSpace, ContinuousZoomVelocitySpace, ...


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording, as listed or as found."""

    token: str
    status: str  # Initiated | Recording | Stopped | Removing | Removed | Unknown; "" where not told
    earliest: datetime | None
    latest: datetime | None
    tracks: tuple[str, ...]  # Video | Audio | Metadata


@dataclass(frozen=True, slots=True)
class PasswordRule:
    """GetPasswordComplexityConfiguration; None where a part is not told."""

    length: int | None
    uppercase: int | None
    numbers: int | None
    special: int | None


@dataclass(frozen=True, slots=True)
class AuthFailureWarning:
    """GetAuthFailureWarningConfiguration."""

    enabled: bool | None
    attempts: int | None


def flag(element: etree._Element | None, name: str) -> bool | None:
    """Return a boolean attribute, None where it is not told."""
    return _bool(xml.attribute(element, name))


def count(element: etree._Element | None, name: str) -> int | None:
    """Return an attribute that is a whole number not below 0, None where it is none."""
    return _count(xml.attribute(element, name, 16))


def default_access_policy(reply: Reply) -> bool | None:
    """Read the device's GetServiceCapabilities."""
    return flag(next(xml.descendants(reply.body, "Security"), None), "DefaultAccessPolicy")


def event_limits(reply: Reply) -> tuple[int | None, bool]:
    """Read the event service's capabilities: pull points at once, and whether it can send over MQTT."""
    told = xml.child(reply.body, "Capabilities")
    protocols = xml.attribute(told, "EventBrokerProtocols").lower().split()
    return count(told, "MaxPullPoints"), any(name.startswith("mqtt") for name in protocols)


def secure_streaming(reply: Reply) -> bool:
    """Read media2's GetServiceCapabilities: SRTP (Media2 5.2; an absent capability is not there)."""
    told = next(xml.descendants(reply.body, "StreamingCapabilities"), None)
    return flag(told, "SecureRTSPStreaming") is True


def masks_supported(reply: Reply) -> bool | None:
    """Read media2's GetServiceCapabilities: privacy masks."""
    return flag(xml.child(reply.body, "Capabilities"), "Mask")


def topics(reply: Reply) -> tuple[str, ...]:
    """Read GetEventProperties: topics as prefix:path, such as ``tns1:VideoSource/MotionAlarm``.

    A topic carries a message description, or is a marked leaf: Hikvision and Reolink mark the branches too.
    """
    top = next(xml.descendants(reply.body, "TopicSet"), None)
    found: dict[str, None] = {}

    def walk(element: etree._Element, path: str, depth: int) -> None:
        inner = [item for item in xml.children(element) if depth <= _DEPTH]
        names = [xml.local(item) for item in inner]
        if path and ("MessageDescription" in names or (not names and flag(element, "topic"))):
            found[path] = None
        for item, name in zip(inner, names, strict=True):
            if name != "MessageDescription" and len(found) < MAX_ITEMS:
                walk(item, f"{path}/{name}" if path else f"{_prefix(item)}{name}", depth + 1)

    if top is not None:
        walk(top, "", 1)
    return tuple(sorted(found))


def _prefix(element: etree._Element) -> str:
    if xml.namespace(element) == _TOPICS:
        return "tns1:"
    tag = str(element.tag)
    undeclared = tag.rpartition("}")[2].rpartition(":")[0]
    found = element.prefix or undeclared
    return f"{found}:" if found else ""


def video_sources(reply: Reply) -> tuple[str, ...]:
    """Read GetVideoSources, or the source tokens of media2's GetVideoSourceConfigurations."""
    tokens = [xml.attribute(item, "token") for item in xml.descendants(reply.body, "VideoSources")]
    tokens += [xml.text(item, limit=256) for item in xml.descendants(reply.body, "SourceToken")]
    return tuple(dict.fromkeys(token for token in tokens if token))[:MAX_ITEMS]


def encoder_instances(reply: Reply) -> int | None:
    """Read GetVideoEncoderInstances (media2) or GetGuaranteedNumberOfVideoEncoderInstances (media)."""
    for item in xml.descendants(reply.body, "Total", "TotalNumber"):
        return _count(xml.text(item, limit=16))
    return None


def masks(reply: Reply) -> int:
    """Read GetMasks: how many are switched on."""
    listed = list(xml.descendants(reply.body, "Masks"))[:MAX_ITEMS]
    return sum(1 for item in listed if _bool(xml.text(item, "Enabled", limit=8)) is not False)


def osds(reply: Reply) -> tuple[Osd, ...]:
    """Read GetOSDs: kinds and date formats. The texts themselves may name places and are not read."""
    found = []
    for item in list(xml.descendants(reply.body, "OSDs"))[:MAX_ITEMS]:
        told = xml.child(item, "TextString")
        kind = xml.text(told, "Type", limit=32) or xml.text(item, "Type", limit=32)
        shape = f"{xml.text(told, 'DateFormat', limit=40)} {xml.text(told, 'TimeFormat', limit=40)}".strip()
        found.append(Osd(kind, shape if kind != "Plain" else ""))
    return tuple(found)


# name of the fact's entry -> path of the setting
_SETTINGS = {
    "backlight_compensation": ("BacklightCompensation", "Mode"),
    "brightness": ("Brightness",),
    "color_saturation": ("ColorSaturation",),
    "contrast": ("Contrast",),
    "exposure_mode": ("Exposure", "Mode"),
    "focus_mode": ("Focus", "AutoFocusMode"),
    "ir_cut_filter": ("IrCutFilter",),
    "sharpness": ("Sharpness",),
    "white_balance": ("WhiteBalance", "Mode"),
    "wide_dynamic_range": ("WideDynamicRange", "Mode"),
}


def imaging_settings(reply: Reply) -> dict[str, str | float]:
    """Read GetImagingSettings: modes as words, levels as numbers."""
    told = next(xml.descendants(reply.body, "ImagingSettings"), None)
    found: dict[str, str | float] = {}
    for name, path in _SETTINGS.items():
        text = xml.text(told, *path, limit=32)
        if text:
            found[name] = float(text) if re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text) else text
    return found


def ptz_nodes(reply: Reply) -> tuple[PtzNode, ...]:
    """Read GetNodes."""
    found = []
    for item in list(xml.descendants(reply.body, "PTZNode"))[:MAX_ITEMS]:
        spaces = (xml.local(space) for space in xml.children(xml.child(item, "SupportedPTZSpaces")))
        found.append(
            PtzNode(
                token=xml.attribute(item, "token"),
                home_supported=_bool(xml.text(item, "HomeSupported", limit=8)) is True,
                max_presets=_count(xml.text(item, "MaximumNumberOfPresets", limit=16)) or 0,
                spaces=tuple(dict.fromkeys(name for name in spaces if name.endswith("Space")))[:MAX_ITEMS],
            )
        )
    return tuple(found)


def ptz_configured_nodes(reply: Reply) -> tuple[str, ...]:
    """Read GetConfigurations of PTZ: tokens of the nodes in use."""
    tokens = (
        xml.text(item, "NodeToken", limit=256) for item in xml.descendants(reply.body, "PTZConfiguration")
    )
    return tuple(dict.fromkeys(token for token in tokens if token))[:MAX_ITEMS]


def presets(reply: Reply) -> tuple[tuple[str, str], ...]:
    """Read GetPresets: (token, name), the name as the owner wrote it."""
    found = []
    for item in list(xml.descendants(reply.body, "Preset"))[:_MAX_PRESETS]:
        token = xml.attribute(item, "token")
        if token:
            found.append((token, xml.text(item, "Name", limit=256)))
    return tuple(found)


def analytics_modules(reply: Reply) -> tuple[str, ...]:
    """Read GetAnalyticsModules: types, without prefixes."""
    kinds = (xml.attribute(item, "Type") for item in xml.descendants(reply.body, "AnalyticsModule"))
    return tuple(sorted({kind.rpartition(":")[2] for kind in kinds if kind}))[:MAX_ITEMS]


def recordings(reply: Reply) -> tuple[Recording, ...]:
    """Read GetRecordings (recording) or GetRecordingSearchResults (search)."""
    found = []
    listed = xml.descendants(reply.body, "RecordingItem", "RecordingInformation")
    for item in list(listed)[:MAX_ITEMS]:
        kinds = (xml.text(kind, limit=32) for kind in xml.descendants(item, "TrackType"))
        found.append(
            Recording(
                token=xml.text(item, "RecordingToken", limit=256),
                status=xml.text(item, "RecordingStatus", limit=32),
                earliest=moment(xml.text(item, "EarliestRecording", limit=64)),
                latest=moment(xml.text(item, "LatestRecording", limit=64)),
                tracks=tuple(kind for kind in kinds if kind)[:MAX_ITEMS],
            )
        )
    return tuple(item for item in found if item.token)


def search_token(reply: Reply) -> str:
    """Read FindRecordings: the token of the search."""
    return xml.text(reply.body, "SearchToken", limit=256)


def recording_summary(reply: Reply) -> tuple[datetime | None, datetime | None, int | None]:
    """Read GetRecordingSummary: first and last moment recorded, and how many recordings there are."""
    told = xml.child(reply.body, "Summary")
    number = _count(xml.text(told, "NumberRecordings", limit=16))
    return moment(xml.text(told, "DataFrom", limit=64)), moment(xml.text(told, "DataUntil", limit=64)), number


def password_rule(reply: Reply) -> PasswordRule:
    """Read GetPasswordComplexityConfiguration."""

    def part(name: str) -> int | None:
        return _count(xml.text(reply.body, name, limit=16))

    return PasswordRule(part("MinLen"), part("Uppercase"), part("Number"), part("SpecialChars"))


def auth_failure_warning(reply: Reply) -> AuthFailureWarning:
    """Read GetAuthFailureWarningConfiguration."""
    return AuthFailureWarning(
        _bool(xml.text(reply.body, "Enabled", limit=8)),
        _count(xml.text(reply.body, "MaxAuthFailures", limit=16)),
    )


def storage_kinds(reply: Reply) -> tuple[str, ...]:
    """Read GetStorageConfigurations: the type of each; addresses and accounts are not read."""
    found = (xml.attribute(item, "type") for item in xml.descendants(reply.body, "Data"))
    return tuple(kind for kind in found if kind)[:MAX_ITEMS]


def user_levels(reply: Reply, own: str) -> tuple[tuple[str, ...], str]:
    """Read GetUsers: (level of each account, level of the account named `own`, "" where it is not listed)."""
    levels, mine = [], ""
    for item in list(xml.descendants(reply.body, "User"))[:MAX_ITEMS]:
        level = _LEVELS.get(xml.text(item, "UserLevel", limit=32).lower(), "other")
        levels.append(level)
        if own and xml.text(item, "Username", limit=256) == own:
            mine = level
    return tuple(sorted(levels)), mine


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None


def _bool(text: str) -> bool | None:
    lowered = text.strip().lower()
    if lowered in {"true", "1"}:
        return True
    return False if lowered in {"false", "0"} else None
