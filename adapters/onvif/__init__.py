"""ONVIF: everything that a camera tells about itself, read-only.

A closed list of reads (`operations`), every byte through `adapters.wire.http`, one login per action by the scheme
of the anonymous challenge (`session`), replies read tolerantly (`reply`, `mapping`) into facts (`probe`).
"""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.onvif.adapter import OnvifAdapter

    return OnvifAdapter()


manifest = AdapterManifest(
    name="onvif",
    version="1",
    schemes=("onvif", "onvifs"),
    default_ports={"onvif": 80, "onvifs": 443},
    facts=(
        "target.interfaces",
        "credential.accepted",
        "reach.",
        "device.",
        "onvif.",
        "http.",
        "snapshot.",
        "time.",
        "stream.main.claimed_",
        "stream.sub.claimed_",
        "event.",
        "media.",
        "imaging.",
        "ptz.",
        "analytics.modules",
        "recording.",
        "storage.devices",
        "privacy.mask",
        "account.",
        "security.",
    ),
    load=_load,
)
