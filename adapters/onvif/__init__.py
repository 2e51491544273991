"""ONVIF: everything that a camera tells about itself, read-only."""

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
        "reach.",
        "device.",
        "onvif.",
        "http.",
        "snapshot.",
        "time.",
        "stream.main.claimed_",
        "stream.sub.claimed_",
    ),
    load=_load,
)
