"""The whole way with the real adapter: Debian's GStreamer RTSP server, RTSP, the worker process, WebRTC."""

import signal
import sys

import pytest
from conftest import run, until
from gstreamer import gst_process
from relay_client import Watching
from test_relay_worker import ended, service, vouching

from adapters.secret import Credential, Secret
from hub.relay.workers.service import RelayRefused, SourceSpec, SourceState

pytestmark = [pytest.mark.gstreamer, pytest.mark.slow]
REAL = (sys.executable, "-P", "-m", "hub.relay.workers.worker")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_foreign_rtsp_server_with_digest_plays_through_the_worker(transport: str) -> None:
    """Real H.264 of a server nobody here wrote is decoded by a WebRTC peer nobody here wrote."""

    async def main(url: str) -> None:
        relay, viewer = service(command=REAL), Watching()
        await relay.start()
        try:
            source = SourceSpec("c1", url, Credential("viewer", Secret("secret")), transport, "H264")
            async with vouching(relay, "v1"):
                await viewer.play(lambda text: relay.view("v1", source, text))
                await until(lambda: viewer.frames > 0, 4, "the first picture")
                frames = viewer.frames
                await until(lambda: viewer.frames - frames > 25, 4, "pictures")
                assert viewer.last is not None
                assert max(bytes(viewer.last.planes[0])) > 200  # its white ball on black
        finally:
            await viewer.close()
            await relay.aclose()

    with gst_process(user="viewer", password="secret") as (url, _process):
        run(main(url))


def test_the_sound_of_a_foreign_rtsp_server_is_heard_where_it_is_shared() -> None:
    """AAC of a server nobody here wrote: loud at a peer nobody here wrote; not one packet where it is not shared."""

    async def main(url: str) -> None:
        relay, hears, deaf = service(command=REAL, max_sounds=1), Watching(), Watching()
        await relay.start()
        try:
            shared = SourceSpec("c1", url, None, "tcp", "H264", audio=True)
            kept = SourceSpec("c2", url, None, "tcp", "H264")
            async with vouching(relay, "v1", "v2"):
                await hears.play(lambda text: relay.view("v1", shared, text, audio=True), audio=True)
                await deaf.play(lambda text: relay.view("v2", kept, text, audio=True), audio=True)
                await until(lambda: len(hears.sounds) > 30 and deaf.frames > 10, 60, "sound and pictures")
                assert max(memoryview(bytes(hears.sounds[-1].planes[0])).cast("h")) > 5_000
                assert "m=audio 0 " in deaf.connection.remoteDescription.sdp
                await relay.stop("v1", "ended")
                sent = (await relay.counters())["sound_packets"]
                frames = deaf.frames
                await until(lambda: deaf.frames > frames + 10, 60, "more pictures")
                assert sent > 30
                assert (await relay.counters())["sound_packets"] == sent  # none to who is left
        finally:
            await hears.close()
            await deaf.close()
            await relay.aclose()

    with gst_process(audio=True, aac=True) as (url, _process):
        run(main(url))


def test_a_wrong_password_is_tried_once_and_then_not_for_half_an_hour() -> None:
    """login_refused, then cooling_down without a packet to the camera."""

    async def main(url: str) -> None:
        relay = service(command=REAL)
        await relay.start()
        viewer = Watching()
        try:
            text = await viewer.offer()
            source = SourceSpec("c1", url, Credential("viewer", Secret("wrong")), "tcp", "H264", "device-1")
            codes = []
            for number in range(2):
                with pytest.raises(RelayRefused) as refused:
                    await relay.view(f"v{number}", source, text)
                codes.append(refused.value.code)
            assert codes == ["login_refused", "cooling_down"]
        finally:
            await viewer.close()
            await relay.aclose()

    with gst_process(user="viewer", password="secret") as (url, _process):
        run(main(url))


def test_a_camera_that_freezes_is_told_and_goes_on_in_the_same_view() -> None:
    """SIGSTOP of the camera's process: stalled within 5 s; SIGCONT: live and frames again, same viewer."""

    async def main(url: str, process) -> None:
        relay, viewer = service(command=REAL), Watching()
        await relay.start()
        try:
            source = SourceSpec("c1", url, Credential("viewer", Secret("secret")), "tcp", "H264")
            async with vouching(relay, "v1"):
                await viewer.play(lambda text: relay.view("v1", source, text))
                await until(lambda: viewer.frames > 10, 4, "pictures")
                process.send_signal(signal.SIGSTOP)

                def state() -> str:
                    return [event for event in relay.events if isinstance(event, SourceState)][-1].state

                try:
                    await until(lambda: state() == "stalled", 5, "stalled")
                finally:
                    process.send_signal(signal.SIGCONT)
                frames = viewer.frames
                await until(lambda: state() == "live" and viewer.frames > frames + 10, 10, "the picture back")
                assert not ended(relay)
        finally:
            await viewer.close()
            await relay.aclose()

    with gst_process(user="viewer", password="secret") as (url, process):
        run(main(url, process))
