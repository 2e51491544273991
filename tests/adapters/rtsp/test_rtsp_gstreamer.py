"""Against a server that is not ours: Debian's GStreamer RTSP server."""

import asyncio
import os
import signal
from dataclasses import replace

import av
import pytest
from rtsp_support import CLOCK, context, probe, run
from support.gstreamer import gst_process, gst_server

from adapters.deadline import Deadline
from adapters.errors import AdapterError, AuthenticationFailed, TimedOut, Unreachable
from adapters.port import AccessUnit
from adapters.rtsp.policy import DEFAULT
from adapters.rtsp.source import RtspSource
from adapters.secret import Credential, Secret
from adapters.target import parse_target

pytestmark = [pytest.mark.gstreamer, pytest.mark.slow]
VIEWER = Credential("viewer", Secret("pa%ss w\u00f6rd"))
STARVED = 3  # times that a machine may be too busy for a camera of its own to send all its pictures


async def pull(
    url: str,
    credential: Credential | None = None,
    *,
    seconds: float = 0.0,
    tcp: bool = True,
    audio: bool = False,
    least: int = 0,
) -> tuple[RtspSource, list[AccessUnit]]:
    """Play for a while, and on until `least` units have come: a busy machine codes few pictures a second."""
    source = RtspSource(parse_target(url)[0], credential, context(url))
    await source.open(Deadline.after(CLOCK, 30), tcp=tcp, audio=audio)
    units: list[AccessUnit] = []
    task = asyncio.create_task(source.run(units.append))
    await asyncio.sleep(seconds)
    async with asyncio.timeout(30):
        while len(units) < least and not task.done():
            await asyncio.sleep(0.1)
    await source.aclose()
    await task
    return source, units


def decoded(codec: str, units: list[AccessUnit]) -> list[av.VideoFrame]:
    """Decode the video units with FFmpeg."""
    decoder = av.CodecContext.create(codec, "r")
    frames: list[av.VideoFrame] = []
    for unit in units:
        if unit.track == 0:
            data = unit.nals[0] if codec == "mjpeg" else b"".join(b"\0\0\0\1" + nal for nal in unit.nals)
            frames += decoder.decode(av.Packet(data))
    return frames + decoder.decode(None)


@pytest.mark.parametrize(("codec", "name"), [("h264", "h264"), ("h265", "hevc"), ("mjpeg", "mjpeg")])
@pytest.mark.parametrize("tcp", [True, False])
def test_every_picture_decodes(codec: str, name: str, tcp: bool) -> None:
    """H.264, H.265 and MJPEG over TCP and UDP: every unit is a picture that FFmpeg decodes, and it moves."""
    with gst_server(codec=codec) as url:
        for _ in range(1 if tcp else STARVED):
            source, units = run(pull(url, tcp=tcp, least=25))
            if not any(unit.lost_packets for unit in units):
                break
        assert (source.client.tracks[0].channels is not None) is tcp
        frames = decoded(name, units)
        assert len(units) >= 25
        assert len(frames) == len(units)
        assert (frames[0].width, frames[0].height) == (640, 480)
        assert bytes(frames[0].planes[0]) != bytes(frames[-1].planes[0])
        assert sum(unit.lost_packets for unit in units) == 0
        assert source.client.tolerances.names == ()


@pytest.mark.parametrize("protocols", ["tcp", "udp", "tcp|udp"])
def test_digest_login_over_tcp_and_udp(protocols: str) -> None:
    """The server's Digest is answered; where it offers no TCP, UDP is used."""
    with gst_server(user=VIEWER.user, password=VIEWER.password.reveal(), protocols=protocols) as url:
        source, units = run(pull(url, VIEWER, least=15))
        assert len(units) >= 15
        assert (source.client.tracks[0].channels is None) is (protocols == "udp")
        assert source.client.context.courtesy.logins == 1


def test_audio_comes_beside_the_picture() -> None:
    """G.711 frames arrive on their own track."""
    with gst_server(audio=True) as url:
        source, units = run(pull(url, audio=True, seconds=0.5, least=60))
        assert [track.codec for track in source.tracks] == ["H264", "PCMA"]
        heard = [unit for unit in units if unit.track == 1]
        assert sum(len(unit.nals[0]) for unit in heard) >= 1600


@pytest.mark.parametrize("protocols", ["tcp|udp", "udp"])
def test_probe_reports_the_stream_as_it_is(protocols: str) -> None:
    """A report's facts against a stream of known make: 1280x720, 25 frames, key frames each second, Digest."""
    options = {"width": 1280, "height": 720, "gop": 25, "kbps": 2000}
    with gst_server(
        user=VIEWER.user, password=VIEWER.password.reveal(), protocols=protocols, **options
    ) as url:
        for _ in range(STARVED):
            result = run(probe(url, VIEWER, window_s=3.0, runs=3, limit_s=60.0))
            seen = result.observations
            assert result.failure is None
            steady = seen.value("stream.main.fps") == pytest.approx(25, abs=0.5)
            apart_s = seen.value("stream.main.key_frame_interval_s")
            if steady and apart_s is not None and not seen.value("stream.main.loss_ratio"):
                break
    assert seen.value("rtsp.anonymous_describe") == "refused"
    assert seen.value("rtsp.auth_schemes") == ("digest-md5",)
    assert seen.value("rtsp.runs_ok") == 3
    assert seen.value("rtsp.tcp_transport") is (protocols != "udp")
    assert (seen.value("stream.main.width"), seen.value("stream.main.height")) == (1280, 720)
    assert seen.value("stream.main.fps") == pytest.approx(25, abs=0.5)
    assert seen.value("stream.main.key_frame_interval_s") == pytest.approx(1.0, abs=0.05)
    assert seen.value("stream.main.parameter_sets") == "both"
    assert seen.value("stream.main.b_frames") == 0
    assert seen.value("stream.main.loss_ratio") == 0
    assert seen.value("stream.main.relay") == "copy"
    assert isinstance(seen.value("stream.main.first_frame_s"), float)
    assert seen.value("rtsp.quirks") == (("transport_switched",) if protocols == "udp" else ())


def test_probe_counts_b_frames_of_a_real_encoder() -> None:
    """x264 with two B-frames between references."""
    with gst_server(b_frames=2) as url:
        result = run(probe(url, window_s=2.5))
    count = result.observations.value("stream.main.b_frames")
    assert isinstance(count, int)
    assert count > 1
    assert result.observations.value("stream.main.relay") == "transcode"
    assert result.observations.value("stream.main.timestamps_increase") is False


@pytest.mark.parametrize(("codec", "name"), [("h265", "H265"), ("mjpeg", "JPEG")])
def test_probe_measures_other_codecs(codec: str, name: str) -> None:
    """Width, height and frame rate of H.265 and MJPEG."""
    with gst_server(codec=codec, fps=15) as url:
        for _ in range(STARVED):
            result = run(probe(url, window_s=2.0))
            seen = result.observations
            assert result.failure is None
            if seen.value("stream.main.fps") == pytest.approx(15, abs=0.5):
                break
    assert seen.value("stream.main.codec") == name
    assert (seen.value("stream.main.width"), seen.value("stream.main.height")) == (640, 480)
    assert seen.value("stream.main.fps") == pytest.approx(15, abs=0.5)
    assert seen.value("stream.main.relay") == "transcode"


def test_a_wrong_password_is_refused_once() -> None:
    """The server's second 401 ends it."""
    with gst_server(user=VIEWER.user, password=VIEWER.password.reveal()) as url:
        within = context(url)
        result = run(probe(url, Credential("viewer", Secret("wrong")), within=within))
    assert isinstance(result.failure, AuthenticationFailed)
    assert within.courtesy.logins == 1


@pytest.mark.parametrize(("number", "error"), [(signal.SIGKILL, Unreachable), (signal.SIGSTOP, TimedOut)])
def test_a_dying_server_is_told(number: signal.Signals, error: type[AdapterError]) -> None:
    """Killed: unreachable at once. Frozen: timed out after so long without media."""

    async def work(url: str, process: int) -> float:
        source = RtspSource(
            parse_target(url)[0], None, context(url), policies=replace(DEFAULT, silence_s=2.0, teardown_s=0.5)
        )
        await source.open(Deadline.after(CLOCK, 30), tcp=True, audio=False)
        task = asyncio.create_task(source.run(lambda _unit: None))
        await asyncio.sleep(0.5)
        os.kill(process, number)
        started = CLOCK.monotonic()
        try:
            with pytest.raises(error):
                await task
            return CLOCK.monotonic() - started
        finally:
            if number == signal.SIGSTOP:
                os.kill(process, signal.SIGCONT)
            await source.aclose()

    with gst_process() as (url, process):
        took = run(work(url, process.pid))
    if number == signal.SIGSTOP:
        assert took > 1.0, "a pause is no death"
