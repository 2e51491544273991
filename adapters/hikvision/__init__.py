"""Hikvision ISAPI, read-only: cameras and recorders of Hikvision, and HiLook on the same firmware.

A closed table of GET requests (`reads`) over the steps that all vendor interfaces share (`adapters.wire.vendor`).
"""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.hikvision.reads import FAMILY
    from adapters.wire.vendor import VendorAdapter

    return VendorAdapter(FAMILY)


manifest = AdapterManifest(
    name="hikvision",
    version="1",
    schemes=("hikvision", "hikvision+https"),
    default_ports={"hikvision": 80, "hikvision+https": 443},
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
        "stream.encrypted",
        "stream.main.claimed_",
        "stream.sub.claimed_",
        "time.offset_s",
        "time.source",
        "time.zone_offset_min",
        "time.daylight_savings",
        "time.ntp_servers",
        "account.activated",
        "account.password_status",
        "account.levels",
        "account.own_level",
        "account.lockout_",
        "service.",
        "privacy.",
        "storage.",
        "recording.mode",
        "media.video_sources",
        "snapshot.",
    ),
    load=_load,
    aliases={"hilook": "hikvision", "hilook+https": "hikvision+https"},
)
