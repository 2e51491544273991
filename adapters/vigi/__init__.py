"""TP-Link VIGI OpenAPI, read-only: the login and what is documented of it (vendors' table 3.4).

The interface is switched on in the camera under Settings > Network > OpenAPI. Its list of methods is not published;
only what is known of it is asked, and the rest is reported as not asked, with that reason.
"""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.vigi.adapter import VigiAdapter

    return VigiAdapter()


manifest = AdapterManifest(
    name="vigi",
    version="1",
    schemes=("vigi",),
    default_ports={"vigi": 20443},
    facts=(
        "target.interfaces",
        "credential.accepted",
        "reach.",
        "http.",
        "tls.",
        "vendor.family",
        "vendor.interface",
        "vendor.quirks",
        "service.ports",
        "service.rtsp_port",
    ),
    load=_load,
)
