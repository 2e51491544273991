"""What VAPIX tells: JSON of the newer APIs, ``root.Group.Key=value`` of ``param.cgi``, small XML (table 3.3).

Parameters that a device or an account does not have are missing lines, or ``# Error`` lines; both are left out.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

from adapters.errors import AdapterError, CameraFault, PermissionDenied, Unsupported
from adapters.wire import values, xml
from adapters.wire.http import HttpReply
from adapters.wire.reads import MAX_STREAMS, Notes, Read, VendorStream, offset_s
from standards.observation import Value

_IMAGE = re.compile(r"^root\.Image\.I(\d{1,2})\.(.+)$")
_PROFILE = re.compile(r"^root\.StreamProfile\.S(\d{1,3})\.(Name|Parameters)$")
_MACS = re.compile(r"^root\.Network\.(?:\w+|Interface\.I\d+\.\w+)\.MACAddress$")
_GROUP = re.compile(
    r'^[ \t]*(\w{1,64})="([^"]{0,4096})"[ \t\r]*$', re.MULTILINE
)  # no \s: it runs over line ends
_PARAMETERS_MISSING = re.compile(rb"^#\s*(?:Error|Request failed)", re.IGNORECASE)
# VAPIX general error codes: 2000-2999 is what the client asked for, of which 2101 is an unknown method.
_NOT_THERE = frozenset({"2000", "2100", "2101", "2102", "2103", "2104"})


def explain(read: Read, reply: HttpReply) -> AdapterError | None:
    """Return what an error inside a good HTTP reply means: JSON ``error`` objects, ``# Error`` parameter lines."""
    if reply.status == 401:
        return None
    where = {"operation": read.name}
    if _PARAMETERS_MISSING.match(reply.body.lstrip()[:64]) and b"\nroot." not in reply.body:
        return Unsupported(f"{read.name}: the device does not have these parameters", **where)
    if reply.status != 200 or not read.body or b'"error"' not in reply.body[:4096]:
        return None
    told = values.item(values.json_object(reply.body, read.name), "error")
    if not isinstance(told, Mapping):
        return None
    code, message = values.word(told.get("code"), 16), values.word(told.get("message"), 120)
    if code in _NOT_THERE:
        return Unsupported(f"{read.name}: the device does not have it (VAPIX error {code})", **where)
    if code == "4003" or "forbidden" in message.lower():
        return PermissionDenied(
            f"{read.name}: the account may not read this (VAPIX error {code})",
            hint="Give the account the right to read this setting, or leave it unchecked",
            **where,
        )
    return CameraFault(
        f"{read.name}: the device answers with VAPIX error {code or 'without a code'}",
        fault=f"VAPIX {code}",
        status=reply.status,
        hint="Try again; restart the camera if it stays",
        **where,
    )


def _data(reply: HttpReply, operation: str) -> Any:
    return values.item(values.json_object(reply.body, f"VAPIX {operation}"), "data")


def parameters(reply: HttpReply, operation: str) -> dict[str, str]:
    """Return the ``root.`` parameters of a reply.

    Raises:
        RemoteProtocolError: as `adapters.wire.values.pairs`.
    """
    told = values.pairs(reply.body, f"VAPIX {operation}")
    return {key if key.startswith("root.") else f"root.{key}": value for key, value in told.items()}


def api_list(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getApiList``: names and versions."""
    listed = values.item(_data(reply, "apidiscovery"), "apiList")
    found = [
        f"{values.word(values.item(one, 'id'), 48)} {values.word(values.item(one, 'version'), 16)}".strip()
        for one in (listed if isinstance(listed, list) else [])[:128]
    ]
    known = notes.facts.get("vendor.apis")
    apis = dict.fromkeys((*(known if isinstance(known, tuple) else ()), *found))
    return {"vendor.apis": tuple(name for name in apis if name)} if found else {}


def properties(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getAllProperties``."""
    told = values.item(_data(reply, "basicdeviceinfo"), "propertyList")
    return _device(told if isinstance(told, Mapping) else {}, "Brand", "ProdNbr", "Version", "SerialNumber")


def brand(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read the groups ``Brand`` and ``Properties``: identity on every firmware, and what the device can do."""
    told = parameters(reply, "param Brand")
    found = _device(
        told,
        "root.Brand.Brand",
        "root.Brand.ProdNbr",
        "root.Properties.Firmware.Version",
        "root.Properties.System.SerialNumber",
        "root.Properties.System.HardwareID",
    )
    formats = told.get("root.Properties.Image.Format", "").lower()
    notes.encodings = tuple(dict.fromkeys(values.encoding(one) for one in formats.split(",") if one))
    masks = values.boolean(told.get("root.Properties.PrivacyMask.PrivacyMask", ""))
    if masks is not None:
        found["privacy.mask_supported"] = masks
    version = values.word(told.get("root.Properties.API.HTTP.Version"), 16)
    if version:
        found["vendor.apis"] = (f"VAPIX {version}",)
    return found


def _device(told: Mapping[str, Any], maker: str, model: str, firmware: str, *rest: str) -> dict[str, Value]:
    serial, hardware = (*rest, "HardwareID")[:2]
    found: dict[str, Value] = {
        "device.manufacturer": values.word(told.get(maker), 64),
        "device.model": values.word(told.get(model), 64),
        "device.firmware": values.word(told.get(firmware), 64),
        "device.serial": values.word(told.get(serial), 64),
        "device.hardware_id": values.word(told.get(hardware), 64),
    }
    return {fact: value for fact, value in found.items() if value}


def images(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Image`` and ``StreamProfile``: one stream per view that is on, and the small profile as sub-stream.

    A stream is addressed by its view (``camera=``), a profile by its name; both by the RTSP address rule of VAPIX.
    """
    told = parameters(reply, "param Image")
    views: dict[int, dict[str, str]] = {}
    for key, value in told.items():
        found = _IMAGE.match(key)
        if found:
            views.setdefault(int(found[1]), {})[found[2]] = value
    profiles = _profiles(told)
    encoding = next((one for one in ("H264", "H265", "JPEG") if one in notes.encodings), "")
    for index, view in sorted(views.items())[: MAX_STREAMS // 2]:
        if values.boolean(view.get("Enabled", "yes")) is False:
            continue
        main = _view(index, view, encoding)
        notes.streams.append(main)
        small = [
            one
            for one in profiles
            if not main.width or 0 < one[1].width * one[1].height < main.width * main.height
        ]
        if small:
            name, profile = min(small, key=lambda one: one[1].width * one[1].height)
            notes.streams.append(_sub(index, name, profile))
    masks = [value for view in views.values() for key, value in view.items() if _is_mask(key)]
    return {"privacy.masks": sum(1 for one in masks if values.boolean(one))} if masks else {}


def _is_mask(key: str) -> bool:
    return key.startswith("Overlay.MaskWindows.M") and key.endswith(".Enabled")


def _view(index: int, view: Mapping[str, str], encoding: str) -> VendorStream:
    width, height = values.size(view.get("Appearance.Resolution", ""))
    between = values.integer(view.get("MPEG.PCount"))
    rate = values.integer(view.get("RateControl.MaxBitrate")) or 0
    mode = view.get("MPEG.ZGopMode", "").lower()
    return VendorStream(
        id=f"camera={index + 1}",
        name=values.word(view.get("Name"), 64),
        enabled=True,
        encoding=encoding,
        width=width,
        height=height,
        fps=max(values.number(view.get("Stream.FPS")) or 0.0, 0.0),  # 0: as fast as the sensor
        bitrate_kbps=max(rate, 0),  # 0: unlimited
        gov_length=between + 1 if between is not None and between >= 0 else 0,
        smart_codec=mode == "dynamic" if mode else None,
        channel=index + 1,
        layer="main",
        path=f"/axis-media/media.amp?camera={index + 1}",
    )


def _profiles(told: Mapping[str, str]) -> list[tuple[str, VendorStream]]:
    """Return the stream profiles that name a video codec and a size, by their names."""
    listed: dict[str, dict[str, str]] = {}
    for key, value in told.items():
        found = _PROFILE.match(key)
        if found:
            listed.setdefault(found[1], {})[found[2]] = value
    out = []
    for profile in list(listed.values())[:64]:
        asked = dict(parse_qsl(profile.get("Parameters", "")[:1024], max_num_fields=64))
        width, height = values.size(asked.get("resolution", ""))
        encoding = values.encoding(asked.get("videocodec", ""))
        name = profile.get("Name", "")[:64]
        if name and width and encoding in {"H264", "H265"}:
            out.append(
                (
                    name,
                    VendorStream(
                        id="",
                        encoding=encoding,
                        width=width,
                        height=height,
                        fps=max(values.number(asked.get("fps")) or 0.0, 0.0),
                        bitrate_kbps=max(
                            values.integer(asked.get("videomaxbitrate") or asked.get("videobitrate")) or 0, 0
                        ),
                        gov_length=max(values.integer(asked.get("videokeyframeinterval")) or 0, 0),
                    ),
                )
            )
    return out


def _sub(index: int, name: str, profile: VendorStream) -> VendorStream:
    camera = f"camera={index + 1}&streamprofile={quote(name, safe='')}"
    return VendorStream(
        id=camera,
        name=values.word(name, 64),
        enabled=True,
        encoding=profile.encoding,
        width=profile.width,
        height=profile.height,
        fps=profile.fps,
        bitrate_kbps=profile.bitrate_kbps,
        gov_length=profile.gov_length,
        channel=index + 1,
        layer="sub",
        path=f"/axis-media/media.amp?{camera}",
    )


def network(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Network``, ``HTTPS`` and ``System``: ports, logins, addresses; names and Wi-Fi are not looked at."""
    told = parameters(reply, "param Network")
    found: dict[str, Value] = {}
    for name, port, enabled in (
        ("http", "root.System.BoaPort", ""),
        ("https", "root.HTTPS.Port", "root.HTTPS.Enabled"),
        ("rtsp", "root.Network.RTSP.Port", "root.Network.RTSP.Enabled"),
    ):
        number, on = values.port(told.get(port)), values.boolean(told.get(enabled, ""))
        if number is not None or on is not None:
            found["service.ports"] = notes.add_port(name, True if name == "http" else on, number)
        if name == "rtsp" and number is not None:
            found["service.rtsp_port"] = number
    for fact, key in (
        ("service.https", "root.HTTPS.Enabled"),
        ("service.ssh", "root.Network.SSH.Enabled"),
        ("service.upnp", "root.Network.UPnP.NATTraversal.Enabled"),
        ("account.activated", "root.System.RootPwdSet"),
    ):
        switch = values.boolean(told.get(key, ""))
        if switch is not None:
            found[fact] = switch
    macs = dict.fromkeys(values.mac(value) for key, value in told.items() if _MACS.match(key))
    if any(macs):
        found["device.mac"] = tuple(mac for mac in macs if mac)
    policy = told.get("root.Network.HTTP.AuthenticationPolicy", "").lower()
    if policy:
        schemes = (("digest", "digest-md5"), ("basic", "basic"))
        found["service.http_auth"] = tuple(label for word, label in schemes if word in policy)
    # who may look without a login: "password" or "anonymous"; newer firmware hides it as dots
    viewers = [told.get(key, "") for key in ("root.System.BoaProtViewer", "root.Network.RTSP.ProtViewer")]
    words = {word.lower() for word in viewers} & {"password", "anonymous"}
    if words:
        found["account.anonymous_allowed"] = "anonymous" in words
    return found


def date_time(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getDateTimeInfo`` of the Time API."""
    data = _data(reply, "time")
    found: dict[str, Value] = {}
    camera = values.moment(values.word(values.item(data, "dateTime")))
    if camera is not None and camera.tzinfo is not None:
        found["time.offset_s"] = offset_s(camera, reply)
        local = values.moment(values.word(values.item(data, "localDateTime"))[:19])
        if local is not None:
            apart = local.replace(tzinfo=camera.tzinfo) - camera
            if abs(apart) <= timedelta(hours=15):
                found["time.zone_offset_min"] = round(apart.total_seconds() / 60)
    saving = values.boolean(values.item(data, "dstEnabled"))
    if saving is not None:
        found["time.daylight_savings"] = saving
    return found


def ntp_info(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``getNTPInfo``: whether the clock follows NTP, and the servers in use."""
    client = values.item(_data(reply, "ntp"), "client")
    enabled = values.boolean(values.item(client, "enabled"))
    if enabled is None:
        return {}
    chosen = (
        "advertisedServers" if values.word(values.item(client, "NTPSource")) == "DHCP" else "staticServers"
    )
    listed = values.item(client, chosen)
    servers = [values.word(one) for one in (listed if isinstance(listed, list) else [])[:8]]
    return {
        "time.source": "NTP" if enabled else "Manual",
        "time.ntp_servers": tuple(name for name in servers if name),
    }


def time_parameters(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read the group ``Time``, for firmware without the JSON time interfaces."""
    told = parameters(reply, "param Time")
    found: dict[str, Value] = {}
    source = told.get("root.Time.SyncSource", "")
    if source:
        found["time.source"] = "NTP" if source.upper() == "NTP" else "Manual"
    names = [told.get(f"root.Time.NTP.{key}", "") for key in ("Server", "VolatileServer")]
    servers = dict.fromkeys(values.word(name) for name in names)
    found["time.ntp_servers"] = tuple(name for name in servers if name and name != "0.0.0.0")  # noqa: S104  a value
    zone, _rules = values.posix_offset_min(told.get("root.Time.POSIXTimeZone", ""))
    if zone is not None:
        found["time.zone_offset_min"] = zone
    saving = values.boolean(told.get("root.Time.DST.Enabled", ""))
    if saving is not None:
        found["time.daylight_savings"] = saving
    return found


def groups(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``pwdgrp.cgi`` for levels only: names are counted, compared with the supplied account and forgotten."""
    text = reply.body[:65536].decode("utf-8", "replace")
    told = {name: set(filter(None, members.split(","))) for name, members in _GROUP.findall(text)}
    if not told:
        values.pairs(reply.body, "VAPIX pwdgrp")  # says what else came
        return {}
    people = told.get("digusers", set()) | told.get("users", set())

    def level(name: str) -> str:
        if name in told.get("admin", ()) or name in told.get("root", ()):
            return "administrator"
        if name in told.get("operator", ()):
            return "operator"
        return "user" if name in told.get("viewer", ()) else "other"

    found: dict[str, Value] = {}
    if people:
        found["account.levels"] = tuple(sorted(level(name) for name in people))
    if notes.user in people:
        found["account.own_level"] = level(notes.user)
    return found


def ready(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``systemready``: a device that needs its set-up was never activated."""
    needed = values.boolean(values.item(_data(reply, "systemready"), "needsetup"))
    return {} if needed is None else {"account.activated": not needed}


def remote_service(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``RemoteService``: whether the maker's remote access is on (``oneclick`` waits for its button)."""
    told = parameters(reply, "param RemoteService").get("root.RemoteService.Enabled", "").lower()
    return {"service.p2p": told not in {"no", "oneclick"}} if told else {}


def disks(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``disks/list.cgi``: sizes are in kB."""
    root = xml.parse(reply.body, operation="VAPIX disks").root
    devices: list[Value] = []
    fit = False
    for one in list(xml.descendants(root, "disk"))[:16]:
        state = values.word(xml.attribute(one, "status"), 32).lower()
        total, free = (values.integer(xml.attribute(one, name)) for name in ("totalsize", "freesize"))
        fit = fit or (state in {"ok", "connected"} and bool(total))
        name = xml.attribute(one, "diskid")
        devices.append(
            {
                "kind": {"SD_DISK": "sd", "NetworkShare": "nas"}.get(name, values.word(name, 32)),
                "status": state,
                "capacity_mb": None if total is None else total // 1000,
                "free_mb": None if free is None else free // 1000,
            }
        )
    return {"storage.devices": tuple(devices), "storage.present": fit}


def continuous(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read the continuous recordings that are set; without one the device may still record by events."""
    root = xml.parse(reply.body, operation="VAPIX record").root
    listed = list(xml.descendants(root, "continuousrecordingconfiguration"))
    return {"recording.mode": "continuous"} if listed else {}
