"""An open stream: delivers until the camera dies, and says how it died."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from patience import taken_away
from rtsp_support import (
    CLOCK,
    Answer,
    Asked,
    GoodCamera,
    ScriptedCamera,
    context,
    encoded,
    reply,
    run,
    scripted,
    until,
)

from adapters.deadline import Deadline
from adapters.errors import CameraFault, LocalProtocolError, TimedOut, Unreachable, Unsupported
from adapters.port import AccessUnit, MediaSource, StreamOffer
from adapters.registry import Registry
from adapters.rtsp.adapter import RtspAdapter
from adapters.rtsp.policy import DEFAULT, Policies, TransportPolicy
from adapters.rtsp.rtp import build_rtp
from adapters.target import parse_target

SDP_WITH_AUDIO = GoodCamera.sdp + b"m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n"


@asynccontextmanager
async def playing(
    camera: ScriptedCamera, policies: Policies = DEFAULT, *, transport: str = "tcp", audio: bool = False
) -> AsyncIterator[tuple[MediaSource, list[AccessUnit], "asyncio.Task[None]"]]:
    """Open the camera's stream and collect its units."""
    source = await RtspAdapter(policies).open(
        StreamOffer(parse_target(camera.url)[0], "main"),
        None,
        context(camera.url),
        Deadline.after(CLOCK, 10),
        transport=transport,
        audio=audio,
    )
    units: list[AccessUnit] = []
    task = asyncio.create_task(source.run(units.append))
    try:
        yield source, units, task
    finally:
        await source.aclose()
        await asyncio.gather(task, return_exceptions=True)


def test_units_arrive_whole_in_order_and_with_unwrapped_times() -> None:
    """Sequence number and timestamp wrap within the first pictures; nothing of it is seen."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera, playing(camera) as (source, units, task):
            await until(lambda: len(units) > 30)
            assert isinstance(source, MediaSource)
            assert [tuple(unit.nals) for unit in units[:50]] == [*encoded()][: len(units[:50])]
            assert units[0].key_frame
            times = [unit.timestamp for unit in units]
            assert {b - a for a, b in itertools.pairwise(times)} == {3600}
            assert times[-1] > 0xFFFFFFFF
            await source.aclose()
            await source.aclose()
            await task
            assert camera.asked[-1].method == "TEARDOWN"
            assert camera.count("TEARDOWN") == 1

    run(work())


def test_what_comes_between_play_and_run_is_kept() -> None:
    """The first key frame is not lost because the relay asks for it a little later; the kept part is bounded."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera:
            source = await RtspAdapter(Policies(backlog_units=20)).open(
                StreamOffer(parse_target(camera.url)[0], "main"),
                None,
                context(camera.url),
                Deadline.after(CLOCK, 10),
            )
            await asyncio.sleep(0.2)
            units: list[AccessUnit] = []
            task = asyncio.create_task(source.run(units.append))
            await until(lambda: units)
            assert units[0].key_frame
            assert tuple(units[0].nals) == encoded()[0]
            await source.aclose()
            await task

    run(work())


def test_a_camera_that_closes_its_connection_is_unreachable_at_once() -> None:
    """The end of the TCP connection ends the source: it does not wait for the silence to be long enough."""

    async def work() -> None:
        patient = Policies(silence_s=600.0)
        async with scripted(GoodCamera()) as camera, playing(camera, patient) as (_, units, task):
            await until(lambda: units)
            for writer in camera.writers:
                writer.transport.abort()
            with pytest.raises(Unreachable, match="closed the connection"):
                await task

    run(work())


@pytest.mark.long
def test_a_camera_that_falls_silent_is_timed_out() -> None:
    """No RTP for the policy's time ends the source with the phase `media`."""

    async def work() -> None:
        async with (
            scripted(GoodCamera()) as camera,
            playing(camera, Policies(silence_s=1.0)) as (_, units, task),
        ):
            await until(lambda: units)
            for streaming in camera.tasks:
                streaming.cancel()
            with pytest.raises(TimedOut) as caught:
                await task
            assert caught.value.phase == "media"
            assert units

    run(work())


@pytest.mark.long
def test_garbage_in_place_of_messages_ends_only_this_source() -> None:
    """A camera that turns mad mid-stream ends with its protocol error, and a second camera plays on."""

    class Mad(GoodCamera):
        def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
            super().send(writer, packet)
            writer.write(b"\x00" * 20_000)

    async def work() -> None:
        async with scripted(Mad()) as mad, scripted(GoodCamera()) as good:
            policies = Policies(silence_s=1.0)
            async with playing(mad, policies) as (_, _, broken), playing(good) as (_, units, task):
                await asyncio.sleep(1.0)
                assert broken.done() or len(units) > 0
                assert not task.done()
                assert len(units) > 20

    run(work())


def test_a_sink_that_fails_is_our_fault() -> None:
    """An exception of the receiver ends the source as an internal error."""

    async def work() -> None:
        def broken(_unit: AccessUnit) -> None:
            raise KeyError("oops")

        async with scripted(GoodCamera()) as camera:
            source = await RtspAdapter().open(
                StreamOffer(parse_target(camera.url)[0], "main"),
                None,
                context(camera.url),
                Deadline.after(CLOCK, 10),
            )
            with pytest.raises(LocalProtocolError):
                await source.run(broken)
            await source.aclose()

    run(work())


@pytest.mark.parametrize(("audio", "setups"), [(False, 1), (True, 2)])
def test_audio_is_set_up_only_when_asked_for(audio: bool, setups: int) -> None:
    """Without consent no SETUP is sent for the audio track."""

    async def work() -> None:
        script = GoodCamera()
        script.sdp = SDP_WITH_AUDIO
        async with scripted(script) as camera, playing(camera, audio=audio) as (source, _, _task):
            assert camera.count("SETUP") == setups
            assert [track.kind for track in source.tracks] == ["video", "audio"][:setups]
            asked = [item.headers["transport"] for item in camera.asked if item.method == "SETUP"]
            assert asked == [f"RTP/AVP/TCP;unicast;interleaved={2 * n}-{2 * n + 1}" for n in range(setups)]

    run(work())


class UdpOnly(GoodCamera):
    """Refuses TCP with 461 and sends over UDP, with a stranger's packets in between."""

    server_port: int | None = 0

    def setup(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        transport = asked.headers["transport"]
        if "TCP" in transport:
            return reply(asked, "461 Unsupported Transport")
        self.client_port = int(transport.split("client_port=")[1].split("-")[0])
        return reply(asked, Session=self.session, Transport=transport)

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        self.out, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", self.client_port)
        )
        stranger, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol,
            local_addr=("127.0.0.2", 0),
            remote_addr=("127.0.0.1", self.client_port),
        )
        stranger.sendto(build_rtp(96, 1, 1, 9, encoded()[0][-1], marker=True))
        try:
            await super().stream(writer)
        finally:
            self.out.close()
            stranger.close()

    def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
        self.out.sendto(packet)


def test_udp_takes_packets_of_the_camera_only() -> None:
    """461 switches to UDP; datagrams from another address are not looked at (they would lock the SSRC)."""

    async def work() -> None:
        async with scripted(UdpOnly()) as camera, playing(camera) as (source, units, _task):
            await until(lambda: units)
            assert units[0].key_frame
            assert tuple(units[0].nals) == encoded()[0]
            client = source.client  # type: ignore[attr-defined]
            assert client.tolerances.names == ("server_port_missing", "transport_switched")
            assert client.tracks[0].sockets[0].foreign == 1

    run(work())


def test_insisting_on_a_transport_fails_with_its_reason() -> None:
    """Where switching is not allowed, 461 is unsupported."""

    async def work() -> None:
        async with scripted(UdpOnly()) as camera:
            with pytest.raises(Unsupported, match="461"):
                async with playing(camera, Policies(transport=TransportPolicy.INSIST)):
                    pass

    run(work())


def test_a_refused_play_closes_the_session() -> None:
    """An error while opening leaves no connection and no session behind."""

    class Full(GoodCamera):
        def play(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return reply(asked, "503 Service Unavailable")

    async def work() -> None:
        async with scripted(Full()) as camera:
            with pytest.raises(CameraFault) as caught:
                async with playing(camera):
                    pass
            assert caught.value.status == 503
            assert camera.asked[-1].method == "TEARDOWN"
            await until(lambda: all(writer.is_closing() for writer in camera.writers))

    run(work())


@pytest.mark.long
@pytest.mark.parametrize(
    ("public", "method"), [("OPTIONS, DESCRIBE, PLAY", "OPTIONS"), (GoodCamera.public, "GET_PARAMETER")]
)
def test_keep_alive_uses_what_the_camera_offers_at_half_its_timeout(public: str, method: str) -> None:
    """A session of 2 s is kept alive each second by a method of its Public header (quirk 28)."""

    async def work() -> None:
        script = GoodCamera()
        script.public = public
        script.session = "12345678;timeout=2"
        async with scripted(script) as camera, playing(camera) as (_, _, task):
            before, began = camera.count(method), CLOCK.monotonic()
            with taken_away() as more:
                await until(lambda: camera.count(method) - before == 2)
                assert 1.2 < CLOCK.monotonic() - began < 3.5 + more()
            assert not task.done()

    run(work())


@pytest.mark.long
def test_a_camera_that_ignores_keep_alives_plays_on() -> None:
    """No answer to a keep-alive is a named tolerance, not an end (quirk 28)."""

    class Deaf(GoodCamera):
        def get_parameter(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return None

    async def work() -> None:
        policies = Policies(keepalive_cap_s=0.5, answer_s=0.5)
        async with scripted(Deaf()) as camera, playing(camera, policies) as (source, _, task):
            client = source.client  # type: ignore[attr-defined]
            await until(lambda: "keepalive_unanswered" in client.tolerances.names)
            assert not task.done()

    run(work())


def test_the_registry_finds_this_adapter() -> None:
    """The entry point leads to an adapter for rtsp://."""
    registry = Registry.installed()
    assert type(registry.adapter("rtsp")).__name__ == "RtspAdapter"
