"""Recorders: each video source becomes a camera of its own."""

from adapters.port import StreamOffer
from adapters.target import Target, parse_target
from hub.onboarding.run import channels
from standards.observation import Observations

NVR = Target("onvif", "192.168.1.9", 8000, "/onvif/device_service", "VS 1/a")


def offer(source: str, layer: str) -> StreamOffer:
    size = (1920, 1080) if layer == "main" else (640, 360)
    return StreamOffer(
        Target("rtsp", "192.168.1.9", 554, f"/{source}/{layer}"), layer, "H264", *size, "token", source
    )


def test_an_address_can_mean_one_channel() -> None:
    """The channel's token travels in the address, never on the wire, and comes back as it was."""
    typed, _credential = parse_target(NVR.url)

    assert NVR.url == "onvif://192.168.1.9:8000/onvif/device_service#VS%201%2Fa"
    assert typed == NVR
    assert typed.path == "/onvif/device_service"
    assert parse_target("rtsp://192.168.1.9/a#b")[0].source == ""


def test_the_other_channels_are_told_with_their_addresses() -> None:
    """What remains of a recorder is listed, each with the address by which it is offered."""
    offers = tuple(offer(source, layer) for source in ("VS 1/a", "VS2", "VS3") for layer in ("main", "sub"))

    assert [
        (item["source"], item["address"], item["width"]) for item in channels(NVR, offers, Observations({}))
    ] == [
        ("VS2", "onvif://192.168.1.9:8000/onvif/device_service#VS2", 1920),
        ("VS3", "onvif://192.168.1.9:8000/onvif/device_service#VS3", 1920),
    ]
    assert channels(NVR, offers[:2], Observations({})) == []
    assert channels(NVR, (), Observations({})) == []
