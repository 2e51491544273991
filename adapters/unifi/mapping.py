"""What a Protect console's state means, in the words of the facts. Pure: state in, facts and streams out.

The state is one JSON object ("bootstrap") with the console, its cameras and people. With a camera chosen the device
facts are the camera's; without one they are the console's. Places, names of people and Wi-Fi names are never read.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapters.target import Target
from adapters.wire.library_probe import LibraryStream, Told
from adapters.wire.values import boolean, encoding, integer, item, mac, number, port, word
from standards.observation import Value, freeze

FACTS = (
    "device.manufacturer", "device.model", "device.firmware", "device.mac", "device.hardware_id", "account.levels",
    "account.own_level", "service.ports", "service.https", "service.rtsp_port", "service.ssh", "privacy.masks",
    "privacy.mask_supported", "storage.devices", "storage.present", "recording.mode", "vendor.apis", "vendor.streams",
    "media.video_sources",
)  # fmt: skip
_MODES = {"always": "continuous", "never": "off", "detections": "event", "motion": "event", "smartDetect": "event",
          "schedule": "scheduled", "adaptive": "mixed"}  # fmt: skip
_PORTS = ("http", "https", "rtsp", "rtsps", "rtmp")
_MAX_CAMERAS = 256


def told(state: Mapping[str, Any], host: str, wanted: str, _at: datetime) -> Told:
    """Return facts and streams of a console's state; `wanted` is the id of one camera, "" for the console."""
    nvr = item(state, "nvr")
    cameras = _cameras(state.get("cameras"))
    chosen = next((one for one in cameras if word(one.get("id")) == wanted), None) if wanted else None
    facts: dict[str, Value] = {}
    if isinstance(nvr, Mapping) or cameras:
        facts["device.manufacturer"] = "Ubiquiti"
    facts |= _identity(chosen if chosen is not None else nvr, camera=chosen is not None)
    facts |= _ports(item(nvr, "ports"))
    facts |= _people(state)
    facts |= _storage(nvr)
    ssh = boolean(item(chosen if chosen is not None else nvr, "isSshEnabled"))
    if ssh is not None:
        facts["service.ssh"] = ssh
    version = word(item(nvr, "version"), 48)
    if version:
        facts["vendor.apis"] = (f"Protect {version}",)
    if cameras:
        facts["media.video_sources"] = len(cameras)
        facts["vendor.streams"] = freeze([row for camera in cameras for row in _rows(camera)])
    subject = chosen if chosen is not None else cameras[0] if len(cameras) == 1 else None
    if subject is not None:
        facts |= _privacy(subject)
        mode = word(item(subject, "recordingSettings", "mode"), 32)
        if mode in _MODES:
            facts["recording.mode"] = _MODES[mode]
    at = port(item(nvr, "ports", "rtsps")) or 7441
    streams = tuple(stream for camera in cameras for stream in _streams(camera, host, at))
    quirks = (
        ("camera_not_connected",)
        if subject is not None and boolean(item(subject, "isConnected")) is False
        else ()
    )
    return Told(facts, streams, quirks)


def _cameras(listed: Any) -> list[Mapping[str, Any]]:
    """Return the cameras of a list: chimes, lights, sensors and people are none."""
    found = [
        one for one in (listed if isinstance(listed, list) else [])[:_MAX_CAMERAS] if isinstance(one, Mapping)
    ]
    return [
        one
        for one in found
        if one.get("modelKey") in (None, "camera") and isinstance(one.get("channels"), list)
    ]


def _identity(device: Any, *, camera: bool) -> dict[str, Value]:
    found = {
        "device.model": word(item(device, "marketName")) or word(item(device, "type")),
        "device.firmware": word(item(device, "firmwareVersion")),
        "device.hardware_id": word(item(device, "hardwareRevision" if camera else "hardwarePlatform")),
    }
    address = mac(word(item(device, "mac")))
    facts: dict[str, Value] = {name: text for name, text in found.items() if text}
    return facts | ({"device.mac": (address,)} if address else {})


def _ports(told_ports: Any) -> dict[str, Value]:
    rows = [
        {"name": name, "enabled": True, "port": at}
        for name in _PORTS
        if (at := port(item(told_ports, name))) is not None
    ]
    if not rows:
        return {}
    facts: dict[str, Value] = {"service.ports": freeze(rows)}
    if any(row["name"] == "https" for row in rows):
        facts["service.https"] = True
    rtsp = port(item(told_ports, "rtsp"))
    return facts | ({"service.rtsp_port": rtsp} if rtsp is not None else {})


def _people(state: Mapping[str, Any]) -> dict[str, Value]:
    """Return levels only: no name of anybody is read."""
    people = state.get("users")
    if not isinstance(people, list):
        return {}
    own = word(state.get("authUserId"))
    levels = [_level(one) for one in people[:256] if isinstance(one, Mapping)]
    facts: dict[str, Value] = {"account.levels": tuple(sorted(levels))} if levels else {}
    mine = [_level(one) for one in people if isinstance(one, Mapping) and own and word(one.get("id")) == own]
    return facts | ({"account.own_level": mine[0]} if mine else {})


def _level(person: Mapping[str, Any]) -> str:
    """Return a person's level by what they may change: the console, some devices, or nothing ("model:verbs:scope")."""
    if boolean(person.get("isOwner")):
        return "administrator"
    rights = person.get("allPermissions")
    parts = [word(one, 128).split(":") for one in (rights if isinstance(rights, list) else [])[:256]]
    changed = {
        part[0] for part in parts if len(part) == 3 and part[2] == "*" and "write" in part[1].split(",")
    }
    return "administrator" if changed & {"nvr", "user"} else "operator" if changed else "user"


def _storage(nvr: Any) -> dict[str, Value]:
    capacity = number(item(nvr, "storageStats", "recordingSpace", "total"))
    free = number(item(nvr, "storageStats", "recordingSpace", "available"))
    if capacity is None:
        capacity, free = (
            number(item(nvr, "systemInfo", "storage", "size")),
            number(item(nvr, "systemInfo", "storage", "available")),
        )
    if capacity is None:
        return {}
    off = boolean(item(nvr, "isRecordingDisabled"))
    row: dict[str, Value] = {
        "kind": word(item(nvr, "systemInfo", "storage", "type"), 16) or "hdd",
        "status": "ok" if capacity > 0 else "missing",
        "capacity_mb": round(capacity / 1e6),
        "free_mb": round(free / 1e6) if free is not None else None,
    }
    return {"storage.devices": freeze([row]), "storage.present": capacity > 0 and off is not True}


def _privacy(camera: Mapping[str, Any]) -> dict[str, Value]:
    zones = camera.get("privacyZones")
    facts: dict[str, Value] = {"privacy.masks": len(zones)} if isinstance(zones, list) else {}
    supported = boolean(item(camera, "featureFlags", "hasPrivacyMask"))
    return facts | ({"privacy.mask_supported": supported} if supported is not None else {})


def _channels(camera: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = camera.get("channels")
    return [one for one in (listed if isinstance(listed, list) else [])[:8] if isinstance(one, Mapping)]


def _rows(camera: Mapping[str, Any]) -> list[dict[str, Value]]:
    rows: list[dict[str, Value]] = []
    for place, channel in enumerate(_channels(camera)):
        kbps = integer(channel.get("bitrate"))
        rows.append(
            {
                "id": word(channel.get("videoId"), 32) or str(place),
                "name": "",  # channel names are people's own words
                "enabled": boolean(channel.get("isRtspEnabled")),
                "encoding": encoding(word(camera.get("videoCodec"))) if camera.get("videoCodec") else None,
                "width": integer(channel.get("width")),
                "height": integer(channel.get("height")),
                "fps": number(channel.get("fps")),
                "bitrate_kbps": round(kbps / 1000) if kbps else None,
                "gov_length": None,
                "smart_codec": None,
                "channel": word(camera.get("id"), 64),
                "layer": "main" if place == 0 else "sub" if place == 1 else "other",
            }
        )
    return rows


def _streams(camera: Mapping[str, Any], host: str, at: int) -> list[LibraryStream]:
    """Return the highest channel as main and the next one that RTSP is on for as sub, with its address where it is on."""
    channels = _channels(camera)
    if not channels:
        return []
    main, rest = channels[0], channels[1:]
    sub = next((one for one in rest if boolean(one.get("isRtspEnabled"))), rest[0] if rest else None)
    found = []
    for layer, channel in (("main", main), ("sub", sub)):
        if channel is None:
            continue
        alias = word(channel.get("rtspAlias"), 128)
        on = boolean(channel.get("isRtspEnabled")) is True and alias.isalnum()
        kbps, fps = integer(channel.get("bitrate")) or 0, number(channel.get("fps")) or 0.0
        idr_s = number(channel.get("idrInterval")) or 0.0
        found.append(
            LibraryStream(
                word(camera.get("id"), 64),
                layer,
                Target("rtsps", host, at, f"/{alias}") if on else None,
                encoding(word(camera.get("videoCodec"))) if camera.get("videoCodec") else "",
                integer(channel.get("width")) or 0,
                integer(channel.get("height")) or 0,
                fps,
                round(kbps / 1000),
                round(idr_s * fps),
                secret_path=True,
            )
        )
    return found
