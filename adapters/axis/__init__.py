"""Axis VAPIX, read-only: cameras from firmware 5 to AXIS OS 12.

A closed table of reads (`reads`) - GET requests, and JSON POST requests whose method is a ``get`` - over the steps
that all vendor interfaces share (`adapters.wire.vendor`).
"""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.axis.reads import FAMILY
    from adapters.wire.vendor import VendorAdapter

    return VendorAdapter(FAMILY)


manifest = AdapterManifest(
    name="axis",
    version="1",
    schemes=("axis", "axis+https"),
    default_ports={"axis": 80, "axis+https": 443},
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
        "account.activated",
        "account.anonymous_allowed",
        "account.levels",
        "account.own_level",
        "service.ports",
        "service.rtsp_port",
        "service.https",
        "service.ssh",
        "service.upnp",
        "service.p2p",
        "service.http_auth",
        "privacy.",
        "storage.",
        "recording.mode",
        "media.video_sources",
        "snapshot.",
    ),
    load=_load,
)
