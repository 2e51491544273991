"""The table of ISAPI reads, in the order in which they are asked: identity, streams, accounts, services, the rest.

All are GET requests (vendors' table 3.1). Nothing here takes a picture, opens the alert stream or changes a setting.
"""

from adapters.hikvision import replies
from adapters.wire.reads import Notes, Read, VendorStream
from adapters.wire.vendor import Family

DEVICE_INFO = Read(
    "ISAPI System/deviceInfo",
    "/ISAPI/System/deviceInfo",
    (
        "device.manufacturer",
        "device.model",
        "device.firmware",
        "device.serial",
        "device.hardware_id",
        "device.mac",
        "vendor.apis",
    ),
    replies.device_info,
    identity=True,
    quote=True,
)


def _may_have_proxies(notes: Notes) -> bool:
    """Ask recorders for their cameras, and whatever told no stream of its own."""
    return not notes.streams or any(word in notes.kind.upper() for word in ("NVR", "DVR", "RECORDER"))


def _has_no_clock(notes: Notes) -> bool:
    return "time.offset_s" not in notes.facts


READS: tuple[Read, ...] = (
    DEVICE_INFO,
    Read(
        "ISAPI Streaming/channels",
        "/ISAPI/Streaming/channels",
        ("vendor.streams", "service.rtsp_auth"),
        replies.channels,
        quote=True,
    ),
    Read(
        "ISAPI InputProxy/channels",
        "/ISAPI/ContentMgmt/InputProxy/channels",
        ("vendor.streams",),
        replies.proxies,
        when=_may_have_proxies,
    ),
    Read(
        "ISAPI Security/adminAccesses",
        "/ISAPI/Security/adminAccesses",
        ("service.ports", "service.rtsp_port", "service.https"),
        replies.ports,
        quote=True,
    ),
    Read(
        "ISAPI System/time",
        "/ISAPI/System/time",
        ("time.source", "time.offset_s", "time.zone_offset_min", "time.daylight_savings"),
        replies.clock,
        quote=True,
        times=3,
    ),
    Read(
        "ISAPI System/status",
        "/ISAPI/System/status",
        ("time.offset_s", "time.zone_offset_min"),
        replies.status,
        when=_has_no_clock,
    ),
    Read(
        "ISAPI System/time/ntpServers",
        "/ISAPI/System/time/ntpServers",
        ("time.ntp_servers",),
        replies.ntp_servers,
    ),
    Read(
        "ISAPI Security/userCheck",
        "/ISAPI/Security/userCheck",
        ("account.password_status", "account.activated"),
        replies.user_check,
        quote=True,
        unknown={"account.password_status": "untold"},
    ),
    Read(
        "ISAPI Security/illegalLoginLock",
        "/ISAPI/Security/illegalLoginLock",
        ("account.lockout_enabled", "account.lockout_attempts", "account.lockout_s"),
        replies.login_lock,
        quote=True,
    ),
    Read(
        "ISAPI Security/users",
        "/ISAPI/Security/users",
        ("account.levels", "account.own_level"),
        replies.users,
    ),
    Read(
        "ISAPI Security/webCertificate",
        "/ISAPI/Security/webCertificate",
        ("service.http_auth",),
        replies.web_certificate,
        quote=True,
    ),
    Read(
        "ISAPI System/Network/Integrate",
        "/ISAPI/System/Network/Integrate",
        ("service.onvif",),
        replies.integration,
        quote=True,
    ),
    Read(
        "ISAPI System/Network/telnetd",
        "/ISAPI/System/Network/telnetd",
        ("service.telnet",),
        replies.switch("service.telnet", "Telnetd"),
    ),
    Read(
        "ISAPI System/Network/ssh",
        "/ISAPI/System/Network/ssh",
        ("service.ssh",),
        replies.switch("service.ssh", "SSH"),
    ),
    Read(
        "ISAPI System/Network/UPnP",
        "/ISAPI/System/Network/UPnP",
        ("service.upnp",),
        replies.switch("service.upnp", "UPnP"),
    ),
    # The reply can hold the platform's verification code: one element of it is read, none of it is kept.
    Read(
        "ISAPI System/Network/EZVIZ",
        "/ISAPI/System/Network/EZVIZ",
        ("service.p2p",),
        replies.switch("service.p2p", "EZVIZ"),
    ),
    Read(
        "ISAPI Security/videoEncryption",
        "/ISAPI/Security/videoEncryption",
        ("stream.encrypted",),
        replies.switch("stream.encrypted", "videoEncryption", "VideoEncryption", "StreamEncryption"),
    ),
    Read(
        "ISAPI privacyMask",
        "/ISAPI/System/Video/inputs/channels/1/privacyMask",
        ("privacy.masks", "privacy.mask_supported"),
        replies.privacy_mask,
    ),
    Read(
        "ISAPI ContentMgmt/Storage",
        "/ISAPI/ContentMgmt/Storage",
        ("storage.devices", "storage.present"),
        replies.storage,
    ),
    Read(
        "ISAPI ContentMgmt/record/tracks",
        "/ISAPI/ContentMgmt/record/tracks",
        ("recording.mode",),
        replies.tracks,
    ),
)


def _still(stream: VendorStream) -> str:
    return f"/ISAPI/Streaming/channels/{stream.id}/picture"


FAMILY = Family(
    name="hikvision",
    version="1",
    interface="ISAPI",
    reach=DEVICE_INFO,
    reads=READS,
    usual=(
        VendorStream("101", layer="main", path="/Streaming/Channels/101"),
        VendorStream("102", layer="sub", path="/Streaming/Channels/102"),
    ),
    still=_still,
    explain=replies.explain,
)
