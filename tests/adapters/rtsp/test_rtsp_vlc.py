"""Against a server that is not ours and knows UDP only: Debian's VLC."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rtsp_support import played, probe, run
from support.vlc import vlc_server

pytestmark = [pytest.mark.vlc, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One VLC for this file."""
    with vlc_server() as address:
        yield address


@pytest.fixture(scope="module", autouse=True)
def check(url: str) -> Iterator[subprocess.Popen[str]]:
    """`camhub check` at work beside the other tests: VLC serves several, and its window of seconds is shared."""
    with subprocess.Popen(
        [sys.executable, "-m", "hub", "check", url, "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def ask(url: str, method: str, uri: str, *fields: str) -> str:
    """Send one request in plain bytes and return the status line."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall("\r\n".join([f"{method} {uri} RTSP/1.0", "CSeq: 1", *fields, "", ""]).encode())
        return connection.recv(4096).decode(errors="replace").split("\r\n")[0]


def test_tcp_is_refused_with_461_and_udp_takes_over(url: str) -> None:
    """VLC refuses interleaved media by 461; the probe goes on by UDP and names each deviation it tolerated."""
    control = f"{url}/trackID=0"
    assert ask(url, "SETUP", control, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1").split()[1] == "461"

    result = run(probe(url, window_s=2.0, limit_s=40.0))

    seen = result.observations
    assert result.failure is None
    assert seen.value("rtsp.udp_transport") is True
    assert seen.value("rtsp.tcp_transport") is False
    quirks = seen.value("rtsp.quirks")
    assert {"cseq_spelling", "transport_switched"} <= set(quirks)
    assert seen.value("rtsp.anonymous_describe") == "answered"
    assert (seen.value("stream.main.width"), seen.value("stream.main.height")) == (320, 240)
    assert seen.value("stream.main.key_frame_interval_s") == pytest.approx(1.0, abs=0.1)


def test_the_session_is_kept_alive_by_get_parameter(url: str) -> None:
    """GET_PARAMETER is what VLC lists and takes: no keep-alive is refused while key frames arrive."""

    source, units = run(played(url))
    session = source.client.session
    assert source.client.tracks[0].channels is None
    assert session.keepalive_method() == "GET_PARAMETER"
    assert session.refused_keepalives == set()
    assert any(nal[0] & 0x1F == 5 for unit in units if unit.key_frame for nal in unit.nals)


def test_check_reports_that_tcp_is_missing(check: subprocess.Popen[str]) -> None:
    """`camhub check` gives a decision, with STR-04 (the picture travels over TCP) among what it rests on."""
    said, _ = check.communicate(timeout=90)
    report = json.loads(said)
    verdicts = {one["rule"]: one["verdict"] for one in report["findings"]}
    assert (check.returncode, report["decision"]) == (1, "REJECTED")
    assert (verdicts["STR-04"], verdicts["SEC-01"], verdicts["CON-01"]) == ("FAIL", "FAIL", "PASS")
    assert {"STR-04", "SEC-01"} <= {one["rule"] for one in report["because"]}
