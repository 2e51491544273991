"""UniFi Protect through uiprotect, behind the extra ``camhub[unifi]``: one login at the console, one read, logout.

The address is the console's: ``unifi://console`` lists its cameras, ``unifi://console/CAMERA-ID`` means one of them.
"""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.unifi.adapter import UnifiAdapter

    return UnifiAdapter()


manifest = AdapterManifest(
    name="unifi",
    version="1",
    schemes=("unifi",),
    default_ports={"unifi": 443},
    facts=(
        "reach.",
        "credential.accepted",
        "tls.",
        "vendor.",
        "device.",
        "account.",
        "service.",
        "storage.",
        "privacy.",
        "recording.mode",
        "stream.main.claimed_",
        "stream.sub.claimed_",
        "target.interfaces",
        "media.video_sources",
    ),
    load=_load,
    needs="uiprotect",
    extra="unifi",
)
