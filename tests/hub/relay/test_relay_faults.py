"""What the relay does with bad offers, hostile datagrams and broken cameras, each stated."""

import asyncio
import gc
import secrets
import socket
import weakref
from itertools import pairwise

import pytest
from conftest import engine_with, run, until
from relay_camera import SyntheticCamera, group_of_pictures
from relay_lean import Lean
from test_relay_layers import assert_one_stream, width
from test_relay_sdp import offer
from test_relay_transport import request

from hub.relay.camera.timeline import Timeline
from hub.relay.engine import EngineLimits
from hub.relay.errors import RelayRefused
from hub.relay.events import SourceState, ViewerEnded

pytestmark = pytest.mark.long


async def lean(relay) -> tuple[str, Lean]:
    """Connect a lean viewer and wait for its first packet."""
    viewer, viewer_id = Lean(), secrets.token_hex(4)
    _id, answer = await relay.view(viewer.offer(), viewer_id)
    await viewer.connect(answer)
    await viewer.until(viewer.video, "the first packet")
    return viewer_id, viewer


def test_an_offer_with_two_hundred_candidates_is_answered_and_none_of_them_is_dialled(
    camera: SyntheticCamera,
) -> None:
    """Candidates are passed over: not one datagram goes to an address that has not proved itself."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
                victim.bind(("127.0.0.1", 0))
                victim.setblocking(False)
                number = victim.getsockname()[1]
                many = "\r\n".join(
                    f"a=candidate:{n} 1 udp {n} 127.0.0.1 {number} typ host" for n in range(200)
                )
                viewer = Lean()
                text = viewer.offer(extra=tuple(many.split("\r\n")))
                viewer_id, answer = await relay.view(text)
                assert not relay.engine.trickle(viewer_id, many + "\r\n")
                await viewer.connect(answer)
                await viewer.until(viewer.video, "packets")
                with pytest.raises(BlockingIOError):
                    victim.recv(2048)
            await viewer.close()

    run(work())


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        (offer({}), 406, "codec_not_playable"),
        (offer({108: ("0", "42e01f")}), 406, "codec_not_playable"),
        (offer(drop="a=fingerprint"), 422, "offer_unreadable"),
        (offer() + "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n" * 3000, 422, "offer_unreadable"),
        ("v=0\r\n" + "a=x:" + "y" * 70_000, 422, "offer_unreadable"),
    ],
)
def test_an_offer_that_cannot_be_served_is_refused_by_name_and_leaves_nothing(
    camera: SyntheticCamera, text: str, status: int, code: str
) -> None:
    """406 without H.264 in mode 1, 422 for what is no offer of a browser."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            with pytest.raises(RelayRefused) as refused:
                await relay.view(text)
            assert (refused.value.status, refused.value.code) == (status, code)
            assert relay.engine.counters()["viewers"] == 0

    run(work())


def test_a_wrong_fingerprint_gets_no_packet_of_picture(camera: SyntheticCamera) -> None:
    """The handshake is refused, the viewer ends with dtls_failed."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer = Lean()
            text = viewer.offer()
            place = text.index("a=fingerprint:sha-256 ") + 22
            text = text[:place] + ("00" if text[place : place + 2] != "00" else "11") + text[place + 2 :]
            _id, answer = await relay.view(text)
            connecting = asyncio.create_task(viewer.connect(answer))
            await until(lambda: bool(relay.of(ViewerEnded)), 15, "the end")
            assert relay.of(ViewerEnded)[0].code == "dtls_failed"
            assert not viewer.packets
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            await viewer.close()

    run(work())


def test_a_flood_of_checks_and_spoofed_addresses_changes_nothing_for_a_viewer(
    camera: SyntheticCamera,
) -> None:
    """Unknown names, wrong passwords, old checks from elsewhere, media from strangers: counted, unanswered, without effect."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await lean(relay)
            peer = relay.engine._viewers[viewer_id].peer
            number = peer.sock.getsockname()[1]
            before, refused = peer.address, relay.engine.counters()["refused_datagrams"]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.setblocking(False)
                stranger.connect(("127.0.0.1", number))
                for n in range(600):
                    stranger.send(request(peer, pwd="x" * 32) if n % 3 else secrets.token_bytes(60))
                    stranger.send(b"\x80\xc9" + secrets.token_bytes(40))
                    stranger.send(b"\x16\xfe\xfd" + secrets.token_bytes(40))
                    if n % 50 == 0:
                        await asyncio.sleep(0)
                await until(
                    lambda: relay.engine.counters()["refused_datagrams"] > refused + 1000, 15, "counted"
                )
                with pytest.raises(BlockingIOError):
                    stranger.recv(2048)
            assert peer.address == before
            seen = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > seen + 10, "more packets")
            assert_one_stream(viewer)
            assert not relay.of(ViewerEnded)
            await viewer.close()

    run(work())


def test_a_check_that_somebody_recorded_moves_no_picture_to_him(camera: SyntheticCamera) -> None:
    """A valid check, played again from elsewhere, is counted and unanswered; the viewer's own from a new address is taken."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await lean(relay)
            peer = relay.engine._viewers[viewer_id].peer
            before, number = peer.address, peer.sock.getsockname()[1]
            recorded = viewer.check_message()
            viewer._write(recorded)
            viewer._write(recorded)  # a copy that the network made is answered like the first
            for _ in range(2):
                async with asyncio.timeout(15):
                    await viewer.answers.get()
            refused = relay.engine.counters()["refused_datagrams"]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.setblocking(False)
                stranger.connect(("127.0.0.1", number))
                for _ in range(5):
                    stranger.send(recorded)
                await until(
                    lambda: relay.engine.counters()["refused_datagrams"] >= refused + 5, 15, "counted"
                )
                assert peer.address == before
                with pytest.raises(BlockingIOError):
                    stranger.recv(2048)
                stranger.send(viewer.check_message())
                await until(lambda: peer.address == stranger.getsockname(), 15, "the viewer's new address")
            assert not relay.of(ViewerEnded)
            await viewer.close()

    run(work())


def test_a_report_that_is_replayed_or_forged_is_not_heard(camera: SyntheticCamera) -> None:
    """SRTCP counts: the same request for a packet works once, a changed one never."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await lean(relay)
            serving = relay.engine._viewers[viewer_id]
            sent: list[bytes] = []
            write = viewer._write
            viewer._write = lambda data: (sent.append(data), write(data))[1]
            viewer.nack(viewer.video()[0].sequence)
            await until(lambda: serving.resent == 1, 15, "one again")
            for _ in range(5):
                write(sent[-1])
                write(sent[-1][:-5] + b"\0" + sent[-1][-4:])
            viewer.nack(viewer.video()[0].sequence)
            await until(lambda: serving.resent == 2, 15, "another")
            assert serving.resent == 2
            await viewer.close()

    run(work())


def test_what_a_viewer_held_is_free_as_soon_as_it_has_left(camera: SyntheticCamera) -> None:
    """Keys and TLS state go with the viewer, pictures with the camera: they do not lie about until the collector comes by."""

    async def work() -> None:
        async with engine_with(camera, EngineLimits(idle_stop_s=0.2)) as relay:
            viewer_id, viewer = await lean(relay)
            serving = relay.engine._viewers[viewer_id]
            tls, ring = weakref.ref(serving._dtls._dtls), serving.ring
            gc.collect()
            gc.disable()
            try:
                relay.engine.stop(viewer_id, "stopped")
                await until(lambda: tls() is None, 15, "freed")
                await until(lambda: not ring._packets, 15, "emptied")
            finally:
                gc.enable()
            await viewer.close()

    run(work())


def test_a_datagram_of_many_records_is_read_to_its_end(camera: SyntheticCamera) -> None:
    """What a viewer says inside DTLS is thrown away, all of it: what was left of each datagram made the worker grow for ever."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await lean(relay)
            tls = viewer._dtls._ssl
            for _ in range(20):
                tls.send(b"to nobody")
            tls.shutdown()
            viewer._write(tls.bio_read(2048))
            await until(lambda: bool(relay.of(ViewerEnded)), 15, "the goodbye behind them was heard")
            assert relay.of(ViewerEnded) == [ViewerEnded(viewer_id, "viewer_left")]
            await viewer.close()

    run(work())


@pytest.mark.slow
def test_a_thousand_half_open_viewers_cost_little_and_leave_room(camera: SyntheticCamera) -> None:
    """They are dropped in time, a playing viewer misses nothing, and the next one is let in."""

    async def work() -> None:
        limits = EngineLimits(connect_within_s=1.0, max_viewers=1001)
        async with engine_with(camera, limits) as relay:
            _id, viewer = await lean(relay)
            text = offer()
            for n in range(1000):
                await relay.view(text)
                if n % 20 == 0:
                    await asyncio.sleep(0.001)
            await until(lambda: relay.engine.counters()["viewers"] == 1, 30, "all dropped")
            assert {event.code for event in relay.of(ViewerEnded)} == {"not_connected"}
            await until(lambda: len(relay.engine._port._by_ufrag) == 1, 30, "their addresses too")
            assert_one_stream(viewer)
            _other, next_one = await lean(relay)
            await viewer.close()
            await next_one.close()

    run(work())


def test_another_resolution_in_mid_stream_reaches_the_viewer_with_its_parameter_sets() -> None:
    """A camera that is set to another size goes on with a key frame; numbers and stamps of the viewer go on too."""
    camera = SyntheticCamera(pictures=25)
    small = group_of_pictures(160, 120, 25, 25, "baseline", 0, 0)

    async def work() -> None:
        async with engine_with(camera) as relay:
            _id, viewer = await lean(relay)
            assert width(viewer) == 320
            camera.edit = lambda number, _nals: list(small[number % len(small)])
            await viewer.until(lambda: width(viewer) == 160, "the other size")
            assert_one_stream(viewer)
            assert {event.state for event in relay.of(SourceState)} <= {"opening", "live"}
            await viewer.close()

    run(work())


@pytest.mark.parametrize(
    "stamps",
    [
        [n * 3600 + (5_000_000 if n >= 10 else 0) for n in range(20)],
        [n * 3600 - (30_000_000 if n >= 10 else 0) for n in range(20)],
        [90_000 for _ in range(20)],
        [n * 3600 * (-1 if n % 2 else 1) for n in range(20)],
    ],
    ids=["forward", "back", "still", "to and fro"],
)
def test_a_clock_that_steps_is_followed_by_arrival(stamps: list[int]) -> None:
    """Whatever the camera's clock does, a viewer's stamps rise and stay within the time that passed."""
    line = Timeline()
    ticks = [line.map(stamp, 90_000, 100.0 + n * 0.04) for n, stamp in enumerate(stamps)]
    assert all(b > a for a, b in pairwise(ticks))
    assert ticks[-1] - ticks[0] <= 90_000 * (19 * 0.04 + 6)


def test_a_camera_that_sends_garbage_for_ever_is_said_to_be_stalled_and_comes_back() -> None:
    """Units of no known kind are dropped: no picture, so stalled after 3 s; the viewer stays, and sees the next picture."""
    camera = SyntheticCamera(pictures=25)

    async def work() -> None:
        async with engine_with(camera) as relay:
            _id, viewer = await lean(relay)
            camera.edit = lambda _number, _nals: [b"\x1f" + secrets.token_bytes(50), b"\x00"]
            await until(lambda: relay.of(SourceState)[-1].state == "stalled", 20, "said")
            assert relay.of(SourceState)[-1].code == "no_frames"
            camera.edit = lambda _number, nals: nals
            seen = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > seen, "the picture back", 30)
            assert not relay.of(ViewerEnded)
            await viewer.close()

    run(work())
