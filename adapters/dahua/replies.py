"""What Dahua's CGI tells: ``key=value`` lines; ``configManager`` puts ``table.NAME`` before the key (table 3.2).

Brands on this firmware differ in spelling (``vendor=`` and ``Vendor=``, ``list[0]`` and ``list.info[0]``); all of
that is read, and what is not told is left out.
"""

import re
from collections.abc import Mapping
from datetime import UTC, timedelta

from adapters.errors import AdapterError, PermissionDenied, Unsupported
from adapters.wire import values
from adapters.wire.http import HttpReply
from adapters.wire.reads import MAX_STREAMS, Notes, Read, VendorStream, offset_s
from standards.observation import Value

# `NTP.TimeZone` is an index into this list (minutes east of UTC), by Dahua's HTTP API document.
ZONES_MIN = (
    0, 60, 120, 180, 210, 240, 270, 300, 330, 345, 360, 390, 420, 480, 540, 570, 600, 660, 720, 780,
    -60, -120, -180, -210, -240, -300, -360, -420, -480, -540, -600, -660, -720,
)  # fmt: skip
_GENERIC = frozenset({"ip camera", "ipc", "31", ""})  # device types that name no model
_LEVELS = {"admin": "administrator", "operator": "operator", "user": "user"}
_FORMAT = re.compile(r"^table\.Encode\[(\d{1,3})\]\.(MainFormat|ExtraFormat)\[(\d)\]\.(Video\w*(?:\.\w+)?)$")
_STORE = re.compile(r"^list(?:\.info)?\[(\d{1,2})\]\.(.+)$")
_USER = re.compile(r"^users\[(\d{1,3})\]\.(Name|Group)$")
_DENIED = re.compile(rb"no authority|invalid authority|permission|forbidden", re.IGNORECASE)
_ERROR = re.compile(rb"^\s*Error\b", re.IGNORECASE)
_MACS = re.compile(r"^table\.Network\.(\w+)\.PhysicalAddress$")
_PRIVACY = re.compile(r"^table\.VideoWidget\[(\d+)\]\.Covers\[(\d+)\]\.(EncodeBlend|PreviewBlend)$")
_MASKING = re.compile(r"^table\.PrivacyMasking\[(\d+)\]\[(\d+)\]\.Enable$")
_RECORD = re.compile(r"^table\.RecordMode\[(\d{1,3})\]\.Mode$")
_RECORD_WORDS = {"0": "scheduled", "1": "continuous", "2": "off"}  # auto (by schedule), manual, closed


def explain(read: Read, reply: HttpReply) -> AdapterError | None:
    """Return what an ``Error`` body means: it comes with HTTP 200, 400 and 403 alike."""
    head = reply.body[:512]
    if reply.status == 401 or not _ERROR.match(head):
        return None
    if _DENIED.search(head):
        return PermissionDenied(
            f"{read.name}: the account may not read this",
            operation=read.name,
            hint="Give the account the right to read this setting, or leave it unchecked",
        )
    return Unsupported(f"{read.name}: the device does not have it", operation=read.name)


def _told(reply: HttpReply, operation: str) -> dict[str, str]:
    return values.pairs(reply.body, f"CGI {operation}")


def system_info(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getSystemInfo``: model, serial number, hardware."""
    told = _told(reply, "getSystemInfo")
    model = values.word(told.get("deviceType", ""), 64)
    if model.lower() in _GENERIC:
        model = values.word(told.get("updateSerial", ""), 64)
        notes.quirk("generic_device_type")
    found: dict[str, Value] = {
        "device.model": model,
        "device.serial": values.word(told.get("serialNumber", ""), 64),
        "device.hardware_id": values.word(told.get("hardwareVersion", ""), 64),
    }
    return {fact: value for fact, value in found.items() if value}


def device_type(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getDeviceType``; a type that names no model (``IP Camera``) is left out."""
    told = values.word(_told(reply, "getDeviceType").get("type", ""), 64)
    if told.lower() in _GENERIC:
        notes.quirk("generic_device_type")
        return {}
    return {"device.model": told}


def software_version(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getSoftwareVersion``: ``version=…,build:…`` on one line or two."""
    text = " ".join(reply.body.decode("utf-8", "replace")[:512].split())
    version = re.search(r"version=([^,\s]{1,64})", text, re.IGNORECASE)
    build = re.search(r"build[:=]([0-9\-]{4,20})", text, re.IGNORECASE)
    if not version:
        _told(reply, "getSoftwareVersion")  # says what else came
        return {}
    firmware = values.word(version[1])
    return {"device.firmware": f"{firmware} build {build[1]}" if build else firmware}


def vendor(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getVendor``; some brands write it with a capital."""
    told = {key.lower(): value for key, value in _told(reply, "getVendor").items()}
    name = values.word(told.get("vendor", ""), 64)
    return {"device.manufacturer": name} if name else {}


def serial(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getSerialNo``."""
    told = values.word(_told(reply, "getSerialNo").get("sn", ""), 64)
    return {"device.serial": told} if told else {}


def encode(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Encode``: the first main and the extra formats of every channel."""
    formats: dict[tuple[int, str, int], dict[str, str]] = {}
    for key, value in _told(reply, "Encode").items():
        found = _FORMAT.match(key)
        if found and (found[2] != "MainFormat" or found[3] == "0"):
            entry = formats.setdefault((int(found[1]), found[2], int(found[3])), {})
            entry[found[4].removeprefix("Video.")] = value
    for (index, kind, number), told in sorted(formats.items(), key=_order)[:MAX_STREAMS]:
        subtype = 0 if kind == "MainFormat" else number + 1
        width, height = values.integer(told.get("Width")) or 0, values.integer(told.get("Height")) or 0
        if width <= 0 or height <= 0:
            width, height = values.size(told.get("resolution") or told.get("CustomResolutionName") or "")
        notes.streams.append(
            VendorStream(
                id=f"{index + 1}/{subtype}",
                enabled=values.boolean(told.get("VideoEnable", "")),
                encoding=values.encoding(told.get("Compression", "")),
                width=width,
                height=height,
                fps=max(values.number(told.get("FPS")) or 0.0, 0.0),
                bitrate_kbps=max(values.integer(told.get("BitRate")) or 0, 0),
                gov_length=max(values.integer(told.get("GOP")) or 0, 0),
                channel=index + 1,
                layer={0: "main", 1: "sub"}.get(subtype, "other"),
                path=f"/cam/realmonitor?channel={index + 1}&subtype={subtype}",
            )
        )
    return {}


def _order(entry: tuple[tuple[int, str, int], dict[str, str]]) -> tuple[int, int, int]:
    (index, kind, number), _told_there = entry
    return index, int(kind != "MainFormat"), number


def rtsp(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``RTSP``: port and switch."""
    told = _told(reply, "RTSP")
    port, enabled = (
        values.port(told.get("table.RTSP.Port")),
        values.boolean(told.get("table.RTSP.Enable", "")),
    )
    found: dict[str, Value] = {"service.ports": notes.add_port("rtsp", enabled, port)}
    if port is not None:
        found["service.rtsp_port"] = port
    return found


def https(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Https``: port and switch."""
    told = _told(reply, "Https")
    enabled = values.boolean(told.get("table.Https.Enable", ""))
    found: dict[str, Value] = {
        "service.ports": notes.add_port("https", enabled, values.port(told.get("table.Https.Port")))
    }
    if enabled is not None:
        found["service.https"] = enabled
    return found


def locales(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Locales``: whether daylight saving is on."""
    told = values.boolean(_told(reply, "Locales").get("table.Locales.DSTEnable", ""))
    return {} if told is None else {"time.daylight_savings": told}


def ntp(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``NTP``: how the clock is set, the servers, and the zone (an index, see `ZONES_MIN`)."""
    told = _told(reply, "NTP")
    found: dict[str, Value] = {}
    enabled = values.boolean(told.get("table.NTP.Enable", ""))
    if enabled is not None:
        found["time.source"] = "NTP" if enabled else "Manual"
    names = [told.get("table.NTP.Address", "")]
    names += [told.get(f"table.NTP.ServerList[{index}].Address", "") for index in range(8)]
    servers = dict.fromkeys(values.word(name) for name in names)
    found["time.ntp_servers"] = tuple(name for name in servers if name and name != "0.0.0.0")  # noqa: S104  a value
    zone = values.integer(told.get("table.NTP.TimeZone"))
    if zone is not None and 0 <= zone < len(ZONES_MIN):
        found["time.zone_offset_min"] = ZONES_MIN[zone]
    return found


def current_time(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getCurrentTime``, a local time without zone: it counts with the zone of ``NTP``.

    Where daylight saving is on, the device does not tell whether it holds now, so no offset is worked out.
    """
    local = values.moment(_told(reply, "getCurrentTime").get("result", ""))
    zone = notes.facts.get("time.zone_offset_min")
    if local is None or not isinstance(zone, int) or notes.facts.get("time.daylight_savings") is True:
        return {}
    return {"time.offset_s": offset_s(local.replace(tzinfo=UTC) - timedelta(minutes=zone), reply)}


def users(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getUserInfoAll`` for levels only; names are compared with the supplied account and forgotten."""
    accounts: dict[str, dict[str, str]] = {}
    for key, value in _told(reply, "getUserInfoAll").items():
        found = _USER.match(key)
        if found:
            accounts.setdefault(found[1], {})[found[2]] = value
    levels = {
        number: _LEVELS.get(account.get("Group", "").lower(), "other") for number, account in accounts.items()
    }
    out: dict[str, Value] = {}
    if levels:
        out["account.levels"] = tuple(sorted(levels.values()))
    own = next(
        (number for number, one in accounts.items() if notes.user and one.get("Name") == notes.user), ""
    )
    if own:
        out["account.own_level"] = levels[own]
    return out


def network(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Network`` for hardware addresses only."""
    macs = (values.mac(value) for key, value in _told(reply, "Network").items() if _MACS.match(key))
    found = tuple(dict.fromkeys(one for one in macs if one))
    return {"device.mac": found} if found else {}


class Switch:
    """Reads ``Enable`` of one configuration into one fact; the serial numbers and codes beside it are not looked at."""

    def __init__(self, fact: str, name: str) -> None:
        self._fact = fact
        self._name = name
        self._key = re.compile(rf"^table\.{name}(\[\d\])?\.Enable$")

    def __call__(self, reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
        told = _told(reply, self._name)
        switches = [values.boolean(value) for key, value in told.items() if self._key.match(key)]
        known = [one for one in switches if one is not None]
        return {self._fact: any(known)} if known else {}


def covers(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``VideoWidget``: privacy covers that are blended into what is encoded."""
    told = _told(reply, "VideoWidget")
    listed = [(found, value) for key, value in told.items() if (found := _PRIVACY.match(key))]
    on = sum(1 for found, value in listed if found[3] == "EncodeBlend" and values.boolean(value))
    return {"privacy.masks": on, "privacy.mask_supported": bool(listed)}


def masking(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``PrivacyMasking`` (moving cameras); adds to the covers that were counted already."""
    told = _told(reply, "PrivacyMasking")
    listed = [value for key, value in told.items() if _MASKING.match(key)]
    counted = notes.facts.get("privacy.masks")
    on = sum(1 for value in listed if values.boolean(value)) + (counted if isinstance(counted, int) else 0)
    return {"privacy.masks": on, "privacy.mask_supported": bool(listed) or bool(counted)}


def record_mode(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``RecordMode`` of all channels."""
    told = _told(reply, "RecordMode")
    modes = {_RECORD_WORDS.get(value, "") for key, value in told.items() if _RECORD.match(key)} - {""}
    if not modes:
        return {}
    return {"recording.mode": modes.pop() if len(modes) == 1 else "mixed"}


def storage(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getDeviceAllInfo``: one entry per storage, in MB (the device counts bytes)."""
    stores: dict[str, dict[str, str]] = {}
    for key, value in values.pairs(reply.body, "CGI getDeviceAllInfo").items():
        found = _STORE.match(key)
        if found:
            stores.setdefault(found[1], {})[found[2]] = value
    devices: list[Value] = []
    fit = False
    for told in list(stores.values())[:16]:
        total = sum(_bytes(told, "TotalBytes"))
        used = sum(_bytes(told, "UsedBytes"))
        broken = any(values.boolean(value) for key, value in told.items() if key.endswith("IsError"))
        state = values.word(told.get("State", ""), 32).lower()
        fit = fit or (total > 0 and not broken and state not in {"error", "initializing"})
        devices.append(
            {
                "kind": _kind(told.get("Name", "")),
                "status": "error" if broken else state,
                "capacity_mb": int(total / 1e6),
                "free_mb": int(max(total - used, 0.0) / 1e6),
            }
        )
    return {"storage.devices": tuple(devices), "storage.present": fit}


def _bytes(told: Mapping[str, str], name: str) -> list[float]:
    return [
        number
        for key, value in told.items()
        if key.endswith(f".{name}") and (number := values.number(value)) is not None
    ]


def _kind(name: str) -> str:
    lower = name.lower()
    return "sd" if "mmc" in lower or "sd_" in lower else "disk" if lower else ""


def onvif_version(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read the version of the ONVIF part; that it has one does not say that it is on."""
    told = {key.lower(): value for key, value in _told(reply, "getVersion Onvif").items()}
    version = values.word(told.get("version", ""), 32)
    return {"vendor.apis": ("CGI", f"ONVIF {version}")} if version else {}
