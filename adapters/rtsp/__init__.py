"""RTSP 1.0 (RFC 2326) as cameras speak it, RTP (RFC 3550) and its payload formats."""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.rtsp.adapter import RtspAdapter

    return RtspAdapter()


manifest = AdapterManifest(
    name="rtsp",
    version="1",
    schemes=("rtsp", "rtsps", "rtsp+http", "rtsp+https"),
    default_ports={"rtsp": 554, "rtsps": 322, "rtsp+http": 80, "rtsp+https": 443},
    facts=(
        "reach.",
        "rtsp.",
        "rtsps.",
        "tls.",
        "stream.",
        "credential.accepted",
        "snapshot.anonymous",
        "target.interfaces",
    ),
    load=_load,
)
