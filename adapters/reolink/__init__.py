"""Reolink through reolink-aio, behind the extra ``camhub[reolink]``: one HTTPS login, one batch of reads, logout.

Of the library only the HTTPS session is used. Its own collection of host data also speaks to port 9000, tries RTSP
addresses in turn, opens ports and corrects settings; none of that can happen here (`client`).
"""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.reolink.adapter import ReolinkAdapter

    return ReolinkAdapter()


manifest = AdapterManifest(
    name="reolink",
    version="1",
    schemes=("reolink",),
    default_ports={"reolink": 443},
    facts=(
        "reach.",
        "credential.accepted",
        "tls.",
        "vendor.",
        "device.",
        "time.",
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
    needs="reolink_aio",
    extra="reolink",
)
