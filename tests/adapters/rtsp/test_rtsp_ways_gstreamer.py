"""RTSPS and RTSP inside HTTP and HTTPS, against Debian's GStreamer server."""

import asyncio
from pathlib import Path

import pytest
from rtsp_support import CLOCK, context, probe, run
from support.certificates import camera_pem
from support.gstreamer import gst_server

from adapters.deadline import Deadline
from adapters.errors import AuthenticationFailed
from adapters.port import AccessUnit
from adapters.rtsp.source import RtspSource
from adapters.secret import Credential, Secret
from adapters.target import parse_target

pytestmark = [pytest.mark.gstreamer, pytest.mark.slow]
VIEWER = Credential("viewer", Secret("pa%ss w\u00f6rd"))
ACCOUNT = {"user": VIEWER.user, "password": VIEWER.password.reveal()}
WAYS = ("rtsps", "rtsp+http", "rtsp+https")


def address(url: str, way: str) -> str:
    return way + "://" + url.split("://", 1)[1]


def settings(way: str, folder: Path, **more: object) -> dict[str, object]:
    tls = {"certificate": camera_pem(folder / "camera.pem", expired=True)} if way != "rtsp+http" else {}
    return {**ACCOUNT, **tls, **more}


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_measures_and_says_by_which_way(way: str, tmp_path: Path) -> None:
    """Login by Digest, three whole runs, pictures; the expired certificate of TLS is told and is no failure."""
    with gst_server(**settings(way, tmp_path)) as url:  # type: ignore[arg-type]
        within = context(url)
        result = run(probe(address(url, way), VIEWER, within=within, window_s=1.5, runs=3, samples=1))
    seen = result.observations
    assert result.failure is None
    assert seen.value("rtsp.runs_ok") == 3
    assert seen.value("rtsp.auth_schemes") == ("digest-md5",)
    assert seen.value("credential.accepted") is True
    assert seen.value("stream.main.width") == 640
    assert seen.value("rtsp.tcp_transport") is True
    assert seen.value("rtsp.quirks") == ()
    assert seen.value("rtsp.rtsps") == ("played" if way == "rtsps" else None)
    assert seen.value("rtsp.http_tunnel") == (None if way == "rtsps" else "played")
    assert len(result.samples[0].pictures) == 1
    assert within.courtesy.logins == 1
    service = {"rtsps": "rtsps", "rtsp+https": "tls"}.get(way)
    if service is not None:
        assert seen.value(f"{service}.version") in ("TLSv1.2", "TLSv1.3")
        assert seen.value(f"{service}.expired") is True
        assert seen.value(f"{service}.self_signed") is True
        assert str(seen.value(f"{service}.not_after")).startswith("2019-01-01T00:00:00")
        assert (seen.value(f"{service}.key_kind"), seen.value(f"{service}.key_bits")) == ("EC P-256", 256)


@pytest.mark.parametrize("way", WAYS)
def test_the_relay_reads_the_stream(way: str, tmp_path: Path) -> None:
    """Access units arrive whole although UDP was asked for: what goes through TLS or HTTP stays inside."""

    async def work(url: str) -> list[AccessUnit]:
        source = RtspSource(parse_target(url)[0], VIEWER, context(url))
        await source.open(Deadline.after(CLOCK, 10), tcp=False, audio=False)
        units: list[AccessUnit] = []
        done = asyncio.Event()

        def take(unit: AccessUnit) -> None:
            units.append(unit)
            if len(units) == 30:
                done.set()

        task = asyncio.create_task(source.run(take))
        async with asyncio.timeout(20):
            await done.wait()
        source.client.send_receiver_reports()
        await source.client.keep_alive(Deadline.after(CLOCK, 5))
        assert source.client.tracks[0].channels is not None
        assert source.client.tolerances.names == ()
        await source.aclose()
        await task
        assert source.client.exchanges[-1].operation == "RTSP TEARDOWN"
        return units

    with gst_server(**settings(way, tmp_path)) as url:  # type: ignore[arg-type]
        units = run(work(address(url, way)))
    assert sum(unit.lost_packets for unit in units) == 0
    assert units[0].nals


def test_basic_is_answered_over_tls_and_only_there(tmp_path: Path) -> None:
    """The same server with Basic: played over TLS, refused without sending anything on a plain line."""
    with gst_server(**settings("rtsps", tmp_path, basic=True)) as url:  # type: ignore[arg-type]
        played = run(probe(url, VIEWER))
    assert played.failure is None
    assert played.observations.value("rtsp.auth_schemes") == ("basic",)
    with gst_server(**ACCOUNT, basic=True) as url:  # type: ignore[arg-type]
        plain = run(probe(url, VIEWER))
    assert isinstance(plain.failure, AuthenticationFailed)
    assert not plain.failure.credential_sent


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_password_is_refused_once(way: str, tmp_path: Path) -> None:
    """The second 401 ends it, whatever the way."""
    with gst_server(**settings(way, tmp_path)) as url:  # type: ignore[arg-type]
        within = context(url)
        result = run(probe(address(url, way), Credential("viewer", Secret("wrong")), within=within))
    assert isinstance(result.failure, AuthenticationFailed)
    assert within.courtesy.logins == 1
    seen = result.observations
    assert seen.value("rtsp.rtsps" if way == "rtsps" else "rtsp.http_tunnel") == "refused"
