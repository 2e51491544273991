"""Against an ONVIF server that is not ours: go2rtc, which pulls a scripted camera."""

import asyncio

import pytest
from probing import probe_at
from support.go2rtc import go2rtc_camera

from adapters.target import parse_target
from standards.reason import Reason

pytestmark = [pytest.mark.go2rtc, pytest.mark.slow, pytest.mark.timeout(400)]  # a build at most


def test_the_claims_of_a_server_without_a_login_are_read() -> None:
    """No credential is needed or sent; what it answers is read, what it answers with HTTP 400 is unknown with a reason."""
    with go2rtc_camera() as server:
        seen = asyncio.run(probe_at(parse_target(server.onvif)[0], None, limit_s=40.0))

    assert seen.result.failure is None
    assert seen.courtesy.logins == 0
    assert (seen.value("device.model"), seen.value("device.firmware")) == ("go2rtc", "1.9.9")
    assert seen.value("onvif.services") == ("device", "media")
    assert seen.value("onvif.anonymous_read_media") == "answered"
    assert (seen.value("stream.main.claimed_encoding"), seen.value("stream.main.claimed_width")) == (
        "H264",
        1920,
    )
    assert seen.reason("stream.main.claimed_fps") is Reason.EMPTY_REPLY
    assert seen.reason("device.endpoint_reference") is Reason.NOT_THE_PROTOCOL
    assert seen.value("onvif.stream_uri_stable") is True
    assert seen.value("snapshot.status") == 500
