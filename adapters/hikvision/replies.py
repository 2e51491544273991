"""What ISAPI replies tell: XML of either namespace, read by local names (vendors' table 3.1).

Cameras of 2012 to 2026 differ in elements, order and namespace (``hikvision.com/ver20``, ``isapi.org/ver20``, none),
so nothing here insists on a schema: what is not told is left out.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta

from lxml import etree

from adapters.errors import AdapterError, PermissionDenied, RemoteProtocolError, Unsupported
from adapters.wire import values, xml
from adapters.wire.http import HttpReply
from adapters.wire.reads import MAX_STREAMS, Notes, Read, VendorStream, offset_s
from standards.observation import Value
from standards.reason import Reason

MAX_NAME = 64
_LEVELS = {"administrator": "administrator", "operator": "operator", "viewer": "user", "user": "user"}
_UNSUPPORTED = ("notsupport", "invalidoperation", "methodnotallowed", "badurlformat")
_FIT = frozenset({"ok", "idle", "sleeping", "normal"})


def document(reply: HttpReply, notes: Notes, operation: str, *roots: str) -> etree._Element:
    """Return the root of a reply, which must be one of these.

    Raises:
        RemoteProtocolError: `malformed_xml`, `empty_reply`, or `not_the_protocol` for another document.
    """
    parsed = xml.parse(reply.body, operation=operation)
    for quirk in parsed.quirks:
        notes.quirk(quirk)
    name = xml.local(parsed.root)
    if name.lower() not in {root.lower() for root in roots}:
        raise RemoteProtocolError(
            f"{operation}: the answer is no {' or '.join(roots)} but {name[:40] or 'nothing'}",
            reason=Reason.NOT_THE_PROTOCOL,
            operation=operation,
            hint="Check that this is the web port of a Hikvision camera or recorder",
        )
    return parsed.root


def explain(read: Read, reply: HttpReply) -> AdapterError | None:
    """Return what a ``ResponseStatus`` means: missing functions come as HTTP 403, 400 or 404 alike.

    The sub-status tells a missing function (``notSupport``) from a missing right (``lowPrivilege``).
    """
    if reply.status in {200, 401} or b"ResponseStatus" not in reply.body[:2048]:
        return None
    try:
        root = xml.parse(reply.body, operation=read.name).root
    except RemoteProtocolError:
        return None
    sub = xml.text(root, "subStatusCode").lower()[:40]
    if "privilege" in sub or "permission" in sub or sub == "unauthorized":
        return PermissionDenied(
            f"{read.name}: the account may not read this ({sub})",
            operation=read.name,
            hint="Give the account the right to read this setting, or leave it unchecked",
        )
    if sub.startswith(_UNSUPPORTED):
        return Unsupported(f"{read.name}: the device does not have it ({sub})", operation=read.name)
    return None


def device_info(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``DeviceInfo``."""
    root = document(reply, notes, "ISAPI System/deviceInfo", "DeviceInfo")
    notes.kind = xml.text(root, "deviceType", limit=MAX_NAME)
    found: dict[str, Value] = {}
    for fact, element in (
        ("device.manufacturer", "manufacturer"),
        ("device.model", "model"),
        ("device.serial", "serialNumber"),
        ("device.hardware_id", "hardwareVersion"),
    ):
        told = values.word(xml.text(root, element))
        if told:
            found[fact] = told
    version = values.word(xml.text(root, "firmwareVersion"))
    if version:
        released = values.word(xml.text(root, "firmwareReleasedDate"))
        found["device.firmware"] = f"{version} {released}".strip()
    mac = values.mac(xml.text(root, "macAddress"))
    if mac:
        found["device.mac"] = (mac,)
    space = xml.namespace(root).removeprefix("http://www.").partition("/XMLSchema")[0]
    told = values.word(xml.attribute(root, "version"), 16)
    found["vendor.apis"] = (f"ISAPI {told}".strip(), *((space,) if space else ()))
    return found


def channels(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``StreamingChannelList``: streams with their encoders, and how RTSP logs in."""
    root = document(reply, notes, "ISAPI Streaming/channels", "StreamingChannelList", "StreamingChannel")
    listed = [root] if xml.local(root) == "StreamingChannel" else list(xml.children(root, "StreamingChannel"))
    found: list[VendorStream] = []
    auth: dict[str, None] = {}
    for one in listed[:MAX_STREAMS]:
        stream = _stream(one, notes)
        if stream is not None:
            found.append(stream)
        security = xml.child(one, "Transport", "Security")
        if xml.text(security, "certificateType"):
            auth.update(dict.fromkeys(_schemes(security)))
    notes.streams.extend(found)
    return {"service.rtsp_auth": tuple(auth)} if auth else {}


def _stream(one: etree._Element, notes: Notes) -> VendorStream | None:
    identity = values.integer(xml.text(one, "id"))
    if identity is None or not 1 <= identity <= 100_000:
        return None
    video = xml.child(one, "Video")
    if identity < 100:
        notes.quirk("channel_ids_from_1")  # quirk 100: 1, 2, 3 on firmware of 2015
        channel, stream = values.integer(xml.text(video, "videoInputChannelID")) or 1, identity
    else:
        channel, stream = divmod(identity, 100)
    variable = xml.text(video, "videoQualityControlType").upper() == "VBR"
    rate = xml.text(video, "vbrUpperCap" if variable else "constantBitRate")
    frames = values.integer(xml.text(video, "maxFrameRate")) or 0
    return VendorStream(
        id=str(identity),
        name=values.word(xml.text(one, "channelName"), MAX_NAME),
        enabled=values.boolean(xml.text(one, "enabled")),
        encoding=values.encoding(xml.text(video, "videoCodecType")),
        width=_positive(xml.text(video, "videoResolutionWidth")),
        height=_positive(xml.text(video, "videoResolutionHeight")),
        fps=round(frames / 100, 2) if frames > 0 else 0.0,  # hundredths; 0 is "full frame rate"
        bitrate_kbps=_positive(rate),
        gov_length=_positive(xml.text(video, "GovLength")),
        smart_codec=values.boolean(xml.text(video, "SmartCodec", "enabled")),
        channel=channel,
        layer={1: "main", 2: "sub"}.get(stream, "other"),
        path=f"/Streaming/Channels/{identity}",
    )


def proxies(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``InputProxyChannelList``: the cameras behind a recorder, one channel each.

    The list tells no encoder; main and sub stream follow the rule of the ids (channel x 100 + stream).
    """
    root = document(reply, notes, "ISAPI InputProxy/channels", "InputProxyChannelList")
    known = {stream.channel for stream in notes.streams}
    for one in list(xml.children(root, "InputProxyChannel"))[: MAX_STREAMS // 2]:
        channel = values.integer(xml.text(one, "id"))
        if channel is None or not 1 <= channel <= 999 or channel in known:
            continue
        name = values.word(xml.text(one, "name"), MAX_NAME)
        for number, layer in ((1, "main"), (2, "sub")):
            identity = channel * 100 + number
            notes.streams.append(
                VendorStream(
                    id=str(identity),
                    name=name,
                    channel=channel,
                    layer=layer,
                    path=f"/Streaming/Channels/{identity}",
                )
            )
    return {}


def ports(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``AdminAccessProtocolList``: services, their ports, and which are on."""
    root = document(reply, notes, "ISAPI Security/adminAccesses", "AdminAccessProtocolList")
    found: dict[str, Value] = {}
    for one in list(xml.children(root, "AdminAccessProtocol"))[:32]:
        name = values.word(xml.text(one, "protocol"), 32).lower()
        if not name:
            continue
        port, enabled = values.port(xml.text(one, "portNo")), values.boolean(xml.text(one, "enabled"))
        found["service.ports"] = notes.add_port(name, enabled, port)
        if name == "rtsp" and port is not None:
            found["service.rtsp_port"] = port
        if name == "https" and enabled is not None:
            found["service.https"] = enabled
    return found


def clock(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Time``: the local time with its offset, the POSIX zone, and how the clock is set."""
    root = document(reply, notes, "ISAPI System/time", "Time")
    found: dict[str, Value] = {}
    mode = values.word(xml.text(root, "timeMode"), 16)
    if mode:
        found["time.source"] = {"ntp": "NTP", "manual": "Manual"}.get(mode.lower(), mode)
    zone, saving = values.posix_offset_min(xml.text(root, "timeZone"))
    local = values.moment(xml.text(root, "localTime"))
    if local is not None and local.tzinfo is not None:
        offset = local.utcoffset() or timedelta()
        found["time.zone_offset_min"] = int(offset.total_seconds() // 60)
        found["time.offset_s"] = offset_s(local, reply)
    elif zone is not None:
        found["time.zone_offset_min"] = zone
        if local is not None and not saving:
            found["time.offset_s"] = offset_s(local.replace(tzinfo=UTC) - timedelta(minutes=zone), reply)
    if xml.text(root, "timeZone"):
        found["time.daylight_savings"] = saving
    return found


def status(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``DeviceStatus`` for its clock only: memory figures come without one unit (quirk 104)."""
    root = document(reply, notes, "ISAPI System/status", "DeviceStatus")
    local = values.moment(xml.text(root, "currentDeviceTime"))
    if local is None or local.tzinfo is None:
        return {}
    if local.year < 2000:
        notes.quirk("clock_at_1970")  # quirk 106
    offset = local.utcoffset() or timedelta()
    return {
        "time.zone_offset_min": int(offset.total_seconds() // 60),
        "time.offset_s": offset_s(local, reply),
    }


def ntp_servers(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``NTPServerList``: host names or addresses of the time servers."""
    root = document(reply, notes, "ISAPI System/time/ntpServers", "NTPServerList", "NTPServer")
    listed = [root] if xml.local(root) == "NTPServer" else list(xml.children(root, "NTPServer"))
    names: dict[str, None] = {}
    for one in listed[:8]:
        told = [values.word(xml.text(one, name)) for name in ("hostName", "ipAddress", "ipv6Address")]
        names.update(dict.fromkeys(name for name in told if name and name != "0.0.0.0"))  # noqa: S104  a value
    return {"time.ntp_servers": tuple(names)}


def user_check(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``userCheck``: the device's own word about its password."""
    root = document(reply, notes, "ISAPI Security/userCheck", "userCheck")
    default = values.boolean(xml.text(root, "isDefaultPassword"))
    risk = values.boolean(xml.text(root, "isRiskPassword"))
    activated = values.boolean(xml.text(root, "isActivated"))
    told = default is not None or risk is not None
    found: dict[str, Value] = {
        "account.password_status": ("default" if default else "risk" if risk else "ok") if told else "untold"
    }
    if activated is not None:
        found["account.activated"] = activated
    return found


def login_lock(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``IllegalLoginLock``."""
    root = document(reply, notes, "ISAPI Security/illegalLoginLock", "IllegalLoginLock")
    found: dict[str, Value] = {}
    enabled = values.boolean(xml.text(root, "enabled"))
    if enabled is not None:
        found["account.lockout_enabled"] = enabled
    for fact, element in (
        ("account.lockout_attempts", "maxIllegalLoginTimes"),
        ("account.lockout_s", "maxIllegalLoginLockTime"),
    ):
        told = values.integer(xml.text(root, element))
        if told is not None and told >= 0:
            found[fact] = told
    return found


def users(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``UserList`` for levels only; names are compared with the supplied account and forgotten."""
    root = document(reply, notes, "ISAPI Security/users", "UserList", "User")
    listed = [root] if xml.local(root) == "User" else list(xml.children(root, "User"))
    found: dict[str, Value] = {}
    levels: list[str] = []
    for one in listed[:128]:
        level = _LEVELS.get(xml.text(one, "userLevel").lower(), "other")
        levels.append(level)
        if notes.user and xml.text(one, "userName") == notes.user:
            found["account.own_level"] = level
    if levels:
        found["account.levels"] = tuple(sorted(levels))
    return found


def web_certificate(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``WebCertificate``: how the web interface is set to log in."""
    root = document(reply, notes, "ISAPI Security/webCertificate", "WebCertificate")
    schemes = tuple(_schemes(root))
    return {"service.http_auth": schemes} if schemes else {}


def _schemes(element: etree._Element | None) -> Iterator[str]:
    """Yield login schemes of a certificate setting: ``digest/basic`` with ``MD5`` or ``MD5/SHA256``."""
    kinds = xml.text(element, "certificateType") or xml.text(element, "CertificateType")
    algorithms = xml.text(element, "SecurityAlgorithm", "algorithmType").upper()
    if "digest" in kinds.lower():
        if "SHA" in algorithms:
            yield "digest-sha256"
        if "MD5" in algorithms or not algorithms:
            yield "digest-md5"
    if "basic" in kinds.lower():
        yield "basic"


def integration(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``Integrate``: whether ONVIF is switched on."""
    root = document(reply, notes, "ISAPI System/Network/Integrate", "Integrate")
    told = values.boolean(xml.text(root, "ONVIF", "enable") or xml.text(root, "ONVIF", "enabled"))
    return {} if told is None else {"service.onvif": told}


def privacy_mask(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``PrivacyMask``: how many regions are switched on."""
    root = document(reply, notes, "ISAPI privacyMask", "PrivacyMask")
    regions = list(xml.descendants(root, "PrivacyMaskRegion"))[:256]
    on = sum(1 for one in regions if values.boolean(xml.text(one, "enabled")))
    enabled = values.boolean(xml.text(root, "enabled"))
    found: dict[str, Value] = {"privacy.mask_supported": True}
    if enabled is not None:
        found["privacy.masks"] = on if enabled else 0
    return found


def storage(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``storage``: disks and network shares; capacities are in MB."""
    root = document(reply, notes, "ISAPI ContentMgmt/Storage", "storage")
    devices: list[Value] = []
    fit = False
    for one in list(xml.descendants(root, "hdd", "nas"))[:64]:
        state = values.word(xml.text(one, "status"), 32).lower()
        kind = values.word(xml.text(one, "hddType") or xml.text(one, "nasType"), 32) or xml.local(one)
        capacity = values.integer(xml.text(one, "capacity"))
        fit = fit or (state in _FIT and bool(capacity))
        devices.append(
            {
                "kind": kind,
                "status": state,
                "capacity_mb": capacity,
                "free_mb": values.integer(xml.text(one, "freeSpace")),
            }
        )
    return {"storage.devices": tuple(devices), "storage.present": fit}


def tracks(reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
    """Read ``TrackList``: how the schedules of all tracks record (CMR is continuous, all else is by event)."""
    root = document(reply, notes, "ISAPI ContentMgmt/record/tracks", "TrackList")
    modes: set[str] = set()
    listed = list(xml.children(root, "Track"))[:MAX_STREAMS]
    for track in listed:
        switch = next(iter(xml.descendants(track, "enableSchedule")), None)
        actions = [
            xml.text(one, "ActionRecordingMode")
            for one in xml.descendants(track, "Actions")
            if values.boolean(xml.text(one, "Record")) is not False
        ]
        told = {mode.upper() for mode in actions if mode}
        if values.boolean(xml.text(switch)) is False or not told:
            modes.add("off")
        else:
            modes |= {"continuous" if mode == "CMR" else "event" for mode in told}
    if not listed:
        return {"recording.mode": "off"}
    return {"recording.mode": modes.pop() if len(modes) == 1 else "mixed"}


def switch(fact: str, *roots: str) -> "Switch":
    """Return the reader of a document with one ``enabled``."""
    return Switch(fact, roots)


class Switch:
    """Reads ``enabled`` of a small document into one fact; nothing else of it is looked at."""

    def __init__(self, fact: str, roots: tuple[str, ...]) -> None:
        self._fact = fact
        self._roots = roots

    def __call__(self, reply: HttpReply, notes: Notes) -> Mapping[str, Value]:
        root = document(reply, notes, f"ISAPI {self._roots[0]}", *self._roots)
        told = values.boolean(xml.text(next(iter(xml.descendants(root, "enabled")), None)))
        return {} if told is None else {self._fact: told}


def _positive(text: str) -> int:
    told = values.integer(text)
    return told if told is not None and told > 0 else 0
