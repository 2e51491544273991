"""Cameras and encoders that push (WHIP, RFC 9725): ``whip://name`` is an address that nobody dials.

What is measured is what such a camera pushes to the hub at that moment; of a camera that cannot be dialled nothing else can
be seen.
"""

from adapters.port import Adapter, AdapterManifest


def _load() -> Adapter:
    from adapters.whip.adapter import WhipAdapter

    return WhipAdapter()


manifest = AdapterManifest(
    name="whip",
    version="1",
    schemes=("whip",),
    default_ports={"whip": 0},
    facts=("target.interfaces", "snapshot.anonymous", "stream.main."),
    load=_load,
)
