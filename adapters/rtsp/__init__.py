"""RTSP 1.0 (RFC 2326) as cameras speak it, RTP (RFC 3550) and its payload formats."""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.rtsp.adapter import RtspAdapter

    return RtspAdapter()


manifest = AdapterManifest(
    name="rtsp",
    version="1",
    schemes=("rtsp",),
    default_ports={"rtsp": 554},
    facts=("reach.", "rtsp.", "stream.", "credential.accepted", "snapshot.anonymous", "target.interfaces"),
    load=_load,
)
