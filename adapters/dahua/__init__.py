"""Dahua CGI, read-only: Dahua, and the brands on its firmware (KBVision, Imou on the LAN, Amcrest, Lorex).

A closed table of GET requests (`reads`) over the steps that all vendor interfaces share (`adapters.wire.vendor`).
"""

from adapters.port import Adapter, AdapterManifest

_BRANDS = ("kbvision", "imou", "amcrest", "lorex")


def _load() -> Adapter:
    from adapters.dahua.reads import FAMILY
    from adapters.wire.vendor import VendorAdapter

    return VendorAdapter(FAMILY)


manifest = AdapterManifest(
    name="dahua",
    version="1",
    schemes=("dahua", "dahua+https"),
    default_ports={"dahua": 80, "dahua+https": 443},
    facts=(
        "target.interfaces",
        "credential.accepted",
        "reach.",
        "http.",
        "tls.",
        "device.manufacturer",
        "device.model",
        "device.firmware",
        "device.serial",
        "device.hardware_id",
        "device.mac",
        "vendor.",
        "stream.main.claimed_",
        "stream.sub.claimed_",
        "time.offset_s",
        "time.source",
        "time.zone_offset_min",
        "time.daylight_savings",
        "time.ntp_servers",
        "account.levels",
        "account.own_level",
        "service.ports",
        "service.rtsp_port",
        "service.https",
        "service.telnet",
        "service.ssh",
        "service.upnp",
        "service.p2p",
        "privacy.",
        "storage.",
        "recording.mode",
        "media.video_sources",
        "snapshot.",
    ),
    load=_load,
    aliases=dict.fromkeys(_BRANDS, "dahua") | {f"{brand}+https": "dahua+https" for brand in _BRANDS},
)
