"""Against a server that is not ours: go2rtc, which pulls a scripted camera, over RTSP and as `camhub check` sees it over ONVIF."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from rtsp_support import played, probe, run
from support.go2rtc import Go2Rtc, go2rtc_camera

pytestmark = [pytest.mark.go2rtc, pytest.mark.slow, pytest.mark.timeout(400)]  # a build at most
ROOT = Path(__file__).resolve().parents[3]
STARVED = 3  # times that a machine may be too busy for a camera of its own to send all its pictures


@pytest.fixture(scope="module")
def server() -> Iterator[Go2Rtc]:
    """One go2rtc for this file."""
    with go2rtc_camera() as started:
        yield started


def test_a_probe_names_what_it_tolerated(server: Go2Rtc) -> None:
    """The stream is measured as it is; that TEARDOWN stays without an answer while media flow is tolerated and named."""
    for _ in range(STARVED):
        result = run(probe(server.rtsp("gate"), window_s=3.0, limit_s=60.0))
        seen = result.observations
        assert result.failure is None
        if seen.value("stream.main.key_frame_interval_s") == pytest.approx(1.0, abs=0.1):
            break

    assert {"cseq_spelling", "teardown_unanswered"} <= set(seen.value("rtsp.quirks"))
    assert seen.value("rtsp.anonymous_describe") == "answered"
    assert seen.value("rtsp.tcp_transport") is True
    assert (seen.value("stream.main.codec"), seen.value("stream.main.relay")) == ("H264", "copy")
    assert (seen.value("stream.main.width"), seen.value("stream.main.height")) == (1280, 720)
    assert seen.value("stream.main.key_frame_interval_s") == pytest.approx(1.0, abs=0.1)
    assert seen.value("stream.main.b_frames") == 0


def test_pictures_decode_and_options_keeps_them_coming(server: Go2Rtc) -> None:
    """Every picture from a key frame on decodes; OPTIONS, all that go2rtc takes for a keep-alive, is what is sent."""

    source, units = run(played(server.rtsp("gate")))

    session = source.client.session
    assert session.keepalive_method() == "OPTIONS"
    assert session.refused_keepalives == set()
    first = next(number for number, unit in enumerate(units) if unit.key_frame)
    decoder = av.CodecContext.create("h264", "r")
    frames = [
        frame
        for unit in units[first:]
        for frame in decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in unit.nals)))
    ]
    frames += decoder.decode(None)
    assert len(frames) == len(units) - first
    assert (frames[0].width, frames[0].height) == (1280, 720)


def test_check_over_onvif_measures_what_the_device_only_claims(server: Go2Rtc, tmp_path: Path) -> None:
    """By ONVIF go2rtc claims 1920x1080 for every stream; what is kept of the check tells the 1280x720 that came.

    And once it has ended go2rtc serves nobody: a TEARDOWN without an answer leaves no session behind.
    """
    kept = tmp_path / "observations.json"
    told = subprocess.run(
        [sys.executable, "-m", "hub", "check", server.onvif, "--json", "--save", str(kept)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip

    assert told.returncode in {0, 1}, told.stderr[-2000:]
    verdicts = {one["rule"]: one["verdict"] for one in json.loads(told.stdout)["findings"]}
    assert (verdicts["CON-01"], verdicts["SEC-01"], verdicts["STR-03"]) == ("PASS", "FAIL", "FAIL")
    facts = json.loads(kept.read_text())["observations"]
    assert facts["device.model"]["value"] == "go2rtc"
    assert facts["stream.main.claimed_width"]["value"] == 1920
    assert facts["stream.main.width"]["value"] == 1280
    until = time.monotonic() + 30
    while server.consumers("gate"):
        assert time.monotonic() < until, "a session is still served"
        time.sleep(0.1)
