"""What Reolink's HTTP API replies mean, in the words of the facts. Pure: replies in, facts and streams out.

Field names as in the maker's API guide and in reolink-aio; a reply that lacks a field tells nothing about its fact.
"""

import calendar
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from adapters.target import Target
from adapters.vendors.templates import templates
from adapters.wire.library_probe import LibraryStream, Told
from adapters.wire.values import boolean, encoding, integer, item, number, port, word
from standards.observation import Value, freeze

FACTS = (
    "device.manufacturer", "device.model", "device.firmware", "device.serial", "device.hardware_id", "time.offset_s",
    "time.zone_offset_min", "time.daylight_savings", "time.source", "time.ntp_servers", "account.levels",
    "account.own_level", "service.ports", "service.onvif", "service.https", "service.rtsp_port", "service.p2p",
    "service.upnp", "privacy.masks", "privacy.mask_supported", "storage.devices", "storage.present", "recording.mode",
    "vendor.apis", "media.video_sources",
)  # fmt: skip
_LEVELS = {"admin": "administrator", "guest": "user", "user": "user"}
_STORAGE = {1: "hdd", 2: "sd"}
_PORTS = ("http", "https", "onvif", "rtmp", "rtsp", "media")


def told(replies: Iterable[Mapping[str, Any]], host: str, user: str, now: datetime) -> Told:
    """Return facts and streams of a batch of replies. `now` is the hub's time at the reply, for the clock's offset."""
    facts: dict[str, Value] = {}
    by_channel: dict[int, dict[str, Mapping[str, Any]]] = {}
    for reply in replies:
        command, value = word(reply.get("cmd"), 32), reply.get("value")
        if integer(reply.get("code")) != 0 or not isinstance(value, Mapping):
            continue
        if command in _HOST:
            facts.update(_HOST[command](value, user, now))
        elif command in _CHANNEL:
            by_channel.setdefault(_channel_of(reply, value), {})[command] = value
    first = by_channel[min(by_channel)] if by_channel else {}
    facts.update(_mask(first.get("GetMask"), facts))
    facts.update(_recording(first.get("GetRecV20") or first.get("GetRec")))
    if facts:
        facts["device.manufacturer"] = "Reolink"
    rtsp_port = facts.get("service.rtsp_port")
    streams = _streams(by_channel, host, rtsp_port if isinstance(rtsp_port, int) else 554, on=_rtsp_on(facts))
    return Told({name: freeze(value) for name, value in facts.items()}, streams)


def _device(value: Mapping[str, Any], _user: str, _now: datetime) -> dict[str, Value]:
    info = item(value, "DevInfo")
    serial = word(item(info, "serial"))
    found = {
        "device.model": word(item(info, "model")),
        "device.firmware": word(item(info, "firmVer")),
        "device.serial": serial if set(serial) - set("xX0*") else "",
        "device.hardware_id": word(item(info, "hardVer")),
    }
    facts: dict[str, Value] = {name: text for name, text in found.items() if text}
    channels = integer(item(info, "channelNum"))
    if channels is not None and channels > 0:
        facts["media.video_sources"] = channels
    return facts


def _net_port(value: Mapping[str, Any], _user: str, _now: datetime) -> dict[str, Value]:
    told_ports = item(value, "NetPort")
    ports = []
    for name in _PORTS:
        at, on = port(item(told_ports, f"{name}Port")), boolean(item(told_ports, f"{name}Enable"))
        if at is not None or on is not None:
            ports.append({"name": name, "enabled": True if on is None else on, "port": at})
    facts: dict[str, Value] = {"service.ports": freeze(ports)} if ports else {}
    for name in ("onvif", "https"):
        on = boolean(item(told_ports, f"{name}Enable"))
        if on is not None:
            facts[f"service.{name}"] = on
    at = port(item(told_ports, "rtspPort"))
    if at is not None:
        facts["service.rtsp_port"] = at
    return facts


def _users(value: Mapping[str, Any], user: str, _now: datetime) -> dict[str, Value]:
    people = value.get("User")
    if not isinstance(people, list) or not people:
        return {}
    levels = [_LEVELS.get(word(item(one, "level")).lower(), "other") for one in people[:64]]
    facts: dict[str, Value] = {"account.levels": tuple(sorted(levels))}
    own = [level for one, level in zip(people, levels, strict=False) if word(item(one, "userName")) == user]
    return facts | ({"account.own_level": own[0]} if own else {})


def _time(value: Mapping[str, Any], _user: str, now: datetime) -> dict[str, Value]:
    clock, dst = item(value, "Time"), item(value, "Dst")
    parts = [integer(item(clock, name)) for name in ("year", "mon", "day", "hour", "min", "sec")]
    west_s = integer(item(clock, "timeZone"))  # seconds west of Greenwich: -25200 is Vietnam
    summer = boolean(item(dst, "enable"))
    facts: dict[str, Value] = {}
    if summer is not None:
        facts["time.daylight_savings"] = summer
    if west_s is None or abs(west_s) > 15 * 3600:
        return facts
    facts["time.zone_offset_min"] = -west_s // 60
    try:
        local = datetime(*(part if part is not None else -1 for part in parts), tzinfo=UTC)  # type: ignore[arg-type,misc]
        hours = (integer(item(dst, "offset")) or 0) if summer and _in_summer(local, dst) else 0
    except (ValueError, TypeError, OverflowError):
        return facts
    utc = local + timedelta(seconds=west_s) - timedelta(hours=hours)
    facts["time.offset_s"] = round((utc - now).total_seconds(), 3)
    return facts


def _in_summer(local: datetime, dst: Any) -> bool:
    """Tell whether a local time lies in the device's own summer (month, week of it, weekday, hour)."""
    begins, ends = _switch(local.year, dst, "start"), _switch(local.year, dst, "end")
    return begins <= local < ends if begins < ends else not ends <= local < begins


def _switch(year: int, dst: Any, which: str) -> datetime:
    month, week, day, hour, minute, second = (
        integer(item(dst, f"{which}{name}")) or 0 for name in ("Mon", "Week", "Weekday", "Hour", "Min", "Sec")
    )
    first_weekday, days = calendar.monthrange(year, month)
    first = 1 + ((day - 1) % 7 - first_weekday) % 7  # Reolink counts Sunday as 0, `calendar` Monday
    return datetime(
        year,
        month,
        min(first + 7 * (max(1, week) - 1), first + 7 * ((days - first) // 7)),
        hour,
        minute,
        second,
        tzinfo=UTC,  # the device's local time; only compared with another one
    )


def _ntp(value: Mapping[str, Any], _user: str, _now: datetime) -> dict[str, Value]:
    told_ntp = item(value, "Ntp")
    on, server = boolean(item(told_ntp, "enable")), word(item(told_ntp, "server"))
    facts: dict[str, Value] = {} if on is None else {"time.source": "NTP" if on else "Manual"}
    return facts | ({"time.ntp_servers": (server,)} if server else {})


def _disks(value: Mapping[str, Any], _user: str, _now: datetime) -> dict[str, Value]:
    disks = value.get("HddInfo")
    if not isinstance(disks, list):
        return {}
    rows: list[dict[str, Value]] = []
    for disk in disks[:16]:
        mounted, formatted = boolean(item(disk, "mount")), boolean(item(disk, "format"))
        rows.append(
            {
                "kind": _STORAGE.get(integer(item(disk, "storageType")) or 0, "other"),
                "status": "ok" if mounted and formatted is not False else "not mounted",
                "capacity_mb": integer(item(disk, "capacity")),
                "free_mb": integer(item(disk, "size")),
            }
        )
    return {"storage.devices": freeze(rows), "storage.present": any(row["status"] == "ok" for row in rows)}


def _p2p(value: Mapping[str, Any], _user: str, _now: datetime) -> dict[str, Value]:
    on = boolean(item(value, "P2p", "enable"))
    return {} if on is None else {"service.p2p": on}


def _upnp(value: Mapping[str, Any], _user: str, _now: datetime) -> dict[str, Value]:
    on = boolean(item(value, "Upnp", "enable"))
    return {} if on is None else {"service.upnp": on}


def _ability(value: Mapping[str, Any], _user: str, _now: datetime) -> dict[str, Value]:
    told_ability = item(value, "Ability")
    if not isinstance(told_ability, Mapping):
        return {}
    names = [
        f"{word(name, 48)} {integer(item(one, 'ver'))}"
        for name, one in told_ability.items()
        if (integer(item(one, "ver")) or 0) > 0 and (integer(item(one, "permit")) or 0) > 0
    ]
    facts: dict[str, Value] = {"vendor.apis": tuple(sorted(names)[:256])}
    channels = told_ability.get("abilityChn")
    if isinstance(channels, list) and channels:
        mask = integer(item(channels[0], "mask", "ver"))
        if mask is not None:
            facts["privacy.mask_supported"] = mask > 0
    return facts


def _mask(value: Mapping[str, Any] | None, facts: Mapping[str, Value]) -> dict[str, Value]:
    told_mask = item(value, "Mask")
    on, areas = boolean(item(told_mask, "enable")), item(told_mask, "area")
    if on is None or not isinstance(areas, list):
        return {}
    found: dict[str, Value] = {"privacy.masks": len(areas) if on else 0}
    return found | ({} if "privacy.mask_supported" in facts else {"privacy.mask_supported": True})


def _recording(value: Mapping[str, Any] | None) -> dict[str, Value]:
    rec = item(value, "Rec")
    table, on = item(rec, "schedule", "table"), boolean(item(rec, "enable"))
    if on is None:
        on = boolean(item(rec, "schedule", "enable"))
    if on is None:
        return {}
    if not on:
        return {"recording.mode": "off"}
    hours = (
        {"TIMING": word(table, 256)}
        if isinstance(table, str)
        else table
        if isinstance(table, Mapping)
        else {}
    )
    timed = word(hours.get("TIMING"), 256)
    events = any("1" in word(text, 256) for name, text in hours.items() if name != "TIMING")
    if "1" in timed and events:
        return {"recording.mode": "mixed"}
    if "1" in timed:
        return {"recording.mode": "scheduled" if "0" in timed else "continuous"}
    return {"recording.mode": "event" if events else "off"}


def _rtsp_on(facts: Mapping[str, Value]) -> bool:
    ports = facts.get("service.ports")
    return not any(
        isinstance(one, Mapping) and one.get("name") == "rtsp" and one.get("enabled") is False
        for one in (ports if isinstance(ports, tuple) else ())
    )


def _channel_of(reply: Mapping[str, Any], value: Mapping[str, Any]) -> int:
    for told_channel in (reply.get("channel"), *(item(one, "channel") for one in value.values())):
        found = integer(told_channel)
        if found is not None:
            return found
    return 0


def _streams(
    by_channel: Mapping[int, Mapping[str, Mapping[str, Any]]], host: str, rtsp_port: int, *, on: bool
) -> tuple[LibraryStream, ...]:
    found = []
    for channel, values in sorted(by_channel.items()):
        enc, urls = item(values.get("GetEnc"), "Enc"), item(values.get("GetRtspUrl"), "rtspUrl")
        if enc is None and urls is None:
            continue
        for layer in ("main", "sub"):
            settings = item(enc, f"{layer}Stream")
            width, height = integer(item(settings, "width")) or 0, integer(item(settings, "height")) or 0
            fps = number(item(settings, "frameRate")) or 0.0
            path = _path(word(item(urls, f"{layer}Stream"), 512), layer, channel)
            found.append(
                LibraryStream(
                    str(channel),
                    layer,
                    Target("rtsp", host, rtsp_port, path) if on else None,
                    encoding(word(item(settings, "vType"))) if item(settings, "vType") else "",
                    width,
                    height,
                    fps,
                    integer(item(settings, "bitRate")) or 0,
                    round((number(item(settings, "gop")) or 0.0) * fps),
                )
            )
    return tuple(found)


def _path(url: str, layer: str, channel: int) -> str:
    """Return the path that the device names, else the maker's one template. Its host and any credential are dropped."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme == "rtsp" and parts.path.startswith("/") and "@" not in parts.path:
        return parts.path
    template = templates().by_id("reolink")
    assert template is not None
    made = template.addresses("host", channel=channel + 1)
    return made.main.path if layer == "main" or made.sub is None else made.sub.path


_HOST = {
    "GetDevInfo": _device,
    "GetNetPort": _net_port,
    "GetUser": _users,
    "GetTime": _time,
    "GetNtp": _ntp,
    "GetHddInfo": _disks,
    "GetP2p": _p2p,
    "GetUpnp": _upnp,
    "GetAbility": _ability,
}
_CHANNEL = frozenset({"GetEnc", "GetRtspUrl", "GetMask", "GetRecV20", "GetRec"})
