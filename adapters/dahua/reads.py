"""The table of CGI reads, in the order in which they are asked: identity, streams, clock, accounts, services, the rest.

All are GET requests whose action begins with ``get`` (vendors' table 3.2).
"""

from adapters.dahua import replies
from adapters.wire.reads import Notes, Read, Take, VendorStream
from adapters.wire.vendor import Family


def _action(script: str, action: str, facts: tuple[str, ...], take: Take, **options: object) -> Read:
    return Read(f"CGI {action}", f"/cgi-bin/{script}.cgi?action={action}", facts, take, **options)  # type: ignore[arg-type]


def _config(name: str, facts: tuple[str, ...], take: Take, **options: object) -> Read:
    path = f"/cgi-bin/configManager.cgi?action=getConfig&name={name}"
    return Read(f"CGI getConfig {name}", path, facts, take, **options)  # type: ignore[arg-type]


def _has_no_serial(notes: Notes) -> bool:
    return "device.serial" not in notes.facts


def _has_no_model(notes: Notes) -> bool:
    return "device.model" not in notes.facts or "generic_device_type" in notes.quirks


SYSTEM_INFO = _action(
    "magicBox",
    "getSystemInfo",
    ("device.model", "device.serial", "device.hardware_id"),
    replies.system_info,
    identity=True,
    quote=True,
)

READS: tuple[Read, ...] = (
    SYSTEM_INFO,
    _action(
        "magicBox",
        "getDeviceType",
        ("device.model",),
        replies.device_type,
        identity=True,
        quote=True,
        when=_has_no_model,
    ),
    _action("magicBox", "getSoftwareVersion", ("device.firmware",), replies.software_version, quote=True),
    _action("magicBox", "getVendor", ("device.manufacturer",), replies.vendor, quote=True),
    _action("magicBox", "getSerialNo", ("device.serial",), replies.serial, when=_has_no_serial),
    _config("Encode", ("vendor.streams",), replies.encode),
    _config("RTSP", ("service.ports", "service.rtsp_port"), replies.rtsp, quote=True),
    _config("Locales", ("time.daylight_savings",), replies.locales),
    _config("NTP", ("time.source", "time.ntp_servers", "time.zone_offset_min"), replies.ntp),
    _action("global", "getCurrentTime", ("time.offset_s",), replies.current_time, quote=True, times=3),
    _action(
        "userManager",
        "getUserInfoAll",
        ("account.levels", "account.own_level"),
        replies.users,
    ),
    _config("Https", ("service.ports", "service.https"), replies.https),
    _config("Telnet", ("service.telnet",), replies.Switch("service.telnet", "Telnet")),
    _config("SSHD", ("service.ssh",), replies.Switch("service.ssh", "SSHD")),
    _config("UPnP", ("service.upnp",), replies.Switch("service.upnp", "UPnP")),
    # The reply holds the code by which the vendor's cloud finds the device: one switch of it is read, none is kept.
    _config("T2UServer", ("service.p2p",), replies.Switch("service.p2p", "T2UServer")),
    _config("VideoWidget", ("privacy.masks", "privacy.mask_supported"), replies.covers),
    _config("PrivacyMasking", ("privacy.masks", "privacy.mask_supported"), replies.masking),
    _config("RecordMode", ("recording.mode",), replies.record_mode),
    _action("storageDevice", "getDeviceAllInfo", ("storage.devices", "storage.present"), replies.storage),
    _config("Network", ("device.mac",), replies.network),
    Read(
        "CGI getVersion Onvif",
        "/cgi-bin/IntervideoManager.cgi?action=getVersion&Name=Onvif",
        ("vendor.apis",),
        replies.onvif_version,
    ),
)


def _still(stream: VendorStream) -> str:
    return f"/cgi-bin/snapshot.cgi?channel={stream.channel}"


FAMILY = Family(
    name="dahua",
    version="1",
    interface="CGI",
    reach=SYSTEM_INFO,
    reads=READS,
    usual=(
        VendorStream("1/0", layer="main", path="/cam/realmonitor?channel=1&subtype=0"),
        VendorStream("1/1", layer="sub", path="/cam/realmonitor?channel=1&subtype=1"),
    ),
    still=_still,
    explain=replies.explain,
)
