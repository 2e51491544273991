"""One pull, many viewers, seen through a WebRTC peer that nobody here wrote."""

import asyncio
import secrets
import struct
from itertools import pairwise

import pytest
from conftest import engine_with, run, spec, until
from relay_camera import SyntheticCamera
from relay_client import Watching
from test_relay_sdp import offer

from adapters.errors import AuthenticationFailed, Unreachable
from hub.relay.engine import EngineLimits
from hub.relay.errors import RelayRefused
from hub.relay.events import SourceState, ViewerConnected, ViewerEnded
from hub.relay.outputs.readers import Warm


async def playing(relay, **fields) -> tuple[str, Watching]:
    """Connect a viewer and wait for its first picture."""
    viewer, viewer_id = Watching(), secrets.token_hex(4)

    async def answered(text: str) -> str:
        return (await relay.view(text, viewer_id, **fields))[1]

    await viewer.play(answered)
    await until(lambda: viewer.frames > 0, 5, "the first picture")
    return viewer_id, viewer


def group(relay) -> tuple[int, int]:
    """Return where the running group of pictures of the camera begins in its ring, and how many packets it has."""
    layer = relay.engine.layer("camera-1")
    ring = layer.renditions["copy"].fanout.ring if layer is not None and layer.renditions else None
    start = ring.start() if ring is not None else None
    return (-1, 0) if ring is None or start is None else (start, ring.head - start)


@pytest.mark.slow
def test_a_viewer_sees_every_picture_of_a_camera_that_nobody_watched_before() -> None:
    """It begins with the first key frame, then 25 a second, none missing, and goodbye ends the view."""
    camera = SyntheticCamera(pictures=250)

    async def main() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await playing(relay)
            assert group(relay)[0] == 0, "it had to wait for the second key frame, after ten seconds"
            before = viewer.frames
            await until(lambda: viewer.frames - before >= 50, 5, "two seconds of pictures")
            steps = [b - a for a, b in pairwise(viewer.stamps)]
            assert steps.count(3600) >= len(steps) - 5
            assert relay.of(ViewerConnected) == [ViewerConnected(viewer_id)]
            await viewer.close()
            await until(lambda: bool(relay.of(ViewerEnded)), 2, "the end of the view")
            assert relay.of(ViewerEnded) == [ViewerEnded(viewer_id, "viewer_left")]

    run(main())


@pytest.mark.slow
def test_viewers_share_one_pull_and_a_late_one_starts_at_once() -> None:
    """A viewer that comes in the middle of a group of pictures needs not wait for the next key frame."""
    camera = SyntheticCamera(pictures=250)

    async def main() -> None:
        async with engine_with(camera) as relay:
            _first, one = await playing(relay)
            await until(lambda: group(relay)[1] > 25, 5, "a second of the group")
            _second, two = await playing(relay)
            assert group(relay)[0] == 0, "it had to wait for the second key frame, after ten seconds"
            assert camera.opened == 1
            # the run-up stands one tick apart, the newest picture at its own time
            await until(lambda: sum(b - a == 1 for a, b in pairwise(two.stamps)) >= 15, 5, "the run-up")
            await until(lambda: one.stamps[-1] - one.stamps[0] > 90_000, 5, "the first goes on")
            await one.close()
            await two.close()

    run(main())


@pytest.mark.slow
def test_a_run_up_is_laid_out_once_for_all_who_begin_in_the_same_group() -> None:
    """The second viewer of a long group gets the portions that the first one's run-up was made of, and decodes them."""
    camera = SyntheticCamera(pictures=250, bitrate_kbps=1500)

    async def main() -> None:
        async with engine_with(camera) as relay:
            _id, opener = await playing(relay)
            layer = relay.engine.layer("camera-1")
            assert layer is not None
            fanout = layer.renditions["copy"].fanout
            ring = fanout.ring
            await until(lambda: group(relay)[1] > 100, 8, "a long group")
            _id, first = await playing(relay)
            began = ring.start()
            portions = dict(fanout._run_ups)
            assert portions
            _id, second = await playing(relay)
            assert ring.start() == began, "another group has begun: the machine was too slow"
            again = fanout._run_ups
            assert all(again[key] is run for key, run in portions.items())
            for viewer in (opener, first, second):
                await viewer.close()

    run(main())


def test_a_camera_is_left_alone_ten_seconds_after_its_last_viewer(camera: SyntheticCamera) -> None:
    """Idle stop tears the stream down (here after 0.5 s), a return within that time finds it running."""

    async def main() -> None:
        async with engine_with(camera, EngineLimits(idle_stop_s=0.5)) as relay:
            _one, viewer = await playing(relay)
            await viewer.close()
            await asyncio.sleep(0.2)
            _two, viewer = await playing(relay)
            assert camera.opened == 1
            await viewer.close()
            await until(lambda: camera.open_now == 0, 2, "the camera released")
            assert relay.engine.counters()["cameras"] == 0

    run(main())


@pytest.mark.slow
def test_a_camera_that_dies_is_told_and_its_picture_returns_by_itself(camera: SyntheticCamera) -> None:
    """Offline within a second of a closed connection, live again without a new offer; numbers and time go on."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            _id, viewer = await playing(relay)
            camera.kill()
            await until(lambda: relay.of(SourceState)[-1].state == "offline", 2, "offline")
            gone = relay.of(SourceState)[-1]
            assert gone.code == "unreachable"
            await asyncio.sleep(1.5)
            frames = viewer.frames
            camera.dead = False
            await until(lambda: viewer.frames > frames + 5, 8, "the picture back")
            await until(lambda: relay.of(SourceState)[-1].state == "live", 8, "said")
            assert camera.opened >= 2
            assert viewer.stamps == sorted(viewer.stamps)
            assert max(b - a for a, b in pairwise(viewer.stamps)) > 1.0 * 90_000
            assert not relay.of(ViewerEnded)
            await viewer.close()

    run(main())


@pytest.mark.slow
def test_a_camera_that_falls_silent_is_stalled(camera: SyntheticCamera) -> None:
    """No connection breaks, no frame comes: stalled after 3 s with the time it began, live when frames return."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            _id, viewer = await playing(relay)
            camera.silent = True
            await until(lambda: relay.of(SourceState)[-1].state == "stalled", 5, "stalled")
            event = relay.of(SourceState)[-1]
            assert event.code == "no_frames"
            assert 2.5 < event.last_frame_age_s < 30
            camera.silent = False
            await until(lambda: relay.of(SourceState)[-1].state == "live", 2, "live again")
            assert camera.opened == 1
            await viewer.close()

    run(main())


@pytest.mark.long
def test_a_refused_login_is_not_tried_again(camera: SyntheticCamera) -> None:
    """One attempt, a refusal that says so, and no reconnect."""
    camera.refuses = AuthenticationFailed(
        "the camera refused the login", scheme="digest", credential_sent=True
    )

    async def main() -> None:
        async with engine_with(camera) as relay:
            with pytest.raises(RelayRefused) as refused:
                await relay.view(offer())
            assert (refused.value.status, refused.value.code) == (503, "login_refused")
            await asyncio.sleep(1.2)
            assert camera.opened == 1

    run(main())


def test_a_camera_that_cannot_be_reached_is_refused_with_its_reason_and_may_be_tried_again(
    camera: SyntheticCamera,
) -> None:
    """503 with the adapter's code; the next offer opens anew."""
    camera.refuses = Unreachable("10.0.0.9:554 refused the connection", hint="Check the port")

    async def main() -> None:
        async with engine_with(camera) as relay:
            with pytest.raises(RelayRefused) as refused:
                await relay.view(offer())
            assert (refused.value.status, refused.value.code) == (503, "unreachable")
            assert "Check the port" in refused.value.detail
            camera.refuses = None
            _id, viewer = await playing(relay)
            await viewer.close()

    run(main())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"b_frames": 2, "profile": "main"}, "B pictures"),
        ({"codec": "H265"}, "H.265"),
        ({"codec": "JPEG"}, "MJPEG"),
    ],
)
def test_a_stream_that_browsers_cannot_play_is_refused_by_name(fields: dict, says: str) -> None:
    """406 codec_not_playable, and what to change in the camera."""

    async def main() -> None:
        async with engine_with(SyntheticCamera(**fields)) as relay:
            with pytest.raises(RelayRefused) as refused:
                await relay.view(offer())
            assert (refused.value.status, refused.value.code) == (406, "codec_not_playable")
            assert says in refused.value.detail

    run(main())


@pytest.mark.slow
def test_pictures_before_the_first_key_frame_are_not_sent() -> None:
    """A camera that begins in mid-group shows from its key frame on, and the viewer decodes without an error."""
    camera, sent = SyntheticCamera(start_at=30), []
    camera.edit = lambda number, nals: (sent.append(number), nals)[1]

    async def main() -> None:
        async with engine_with(camera) as relay:
            _id, viewer = await playing(relay)
            assert sent[-1] >= 20, "pictures before the first key frame"
            assert group(relay)[0] % 50 == 0 <= group(relay)[0]
            await until(lambda: viewer.frames > 10, 5, "pictures")
            await viewer.close()

    run(main())


@pytest.mark.slow
def test_a_lease_that_is_not_renewed_stops_the_frames_within_two_seconds(camera: SyntheticCamera) -> None:
    """Silence of the hub is a refusal."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await playing(relay)
            serving = relay.engine._viewers[viewer_id]
            relay.vouched.discard(viewer_id)
            loop = asyncio.get_running_loop()
            assert serving.lease_until_s <= loop.time() + 2.0
            while loop.time() <= serving.lease_until_s:
                await asyncio.sleep(0.02)
            sent = serving.packets
            await until(lambda: bool(relay.of(ViewerEnded)), 2, "told")
            assert relay.of(ViewerEnded) == [ViewerEnded(viewer_id, "lease_expired")]
            await asyncio.sleep(0.5)
            assert serving.packets == sent
            await viewer.close()

    run(main())


@pytest.mark.slow
def test_stop_ends_one_viewer_at_once_and_leaves_the_other(camera: SyntheticCamera) -> None:
    """No packet of picture leaves after stop has returned."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            first, one = await playing(relay)
            _second, two = await playing(relay)
            sent = relay.engine._viewers[first]
            relay.engine.stop(first, "paused_by_owner")
            packets = sent.packets
            others = two.frames
            await asyncio.sleep(0.6)
            assert sent.packets == packets
            await until(lambda: two.frames > others + 8, 5, "the other goes on")
            assert relay.of(ViewerEnded) == [ViewerEnded(first, "paused_by_owner")]
            await one.close()
            await two.close()

    run(main())


def test_a_viewer_that_never_connects_is_dropped(camera: SyntheticCamera) -> None:
    """Half-open viewers cost little and not for long (here 0.4 s in place of 15)."""

    async def main() -> None:
        async with engine_with(camera, EngineLimits(connect_within_s=0.4)) as relay:
            for _ in range(20):
                await relay.view(offer())
            await until(lambda: len(relay.of(ViewerEnded)) == 20, 2, "all dropped")
            assert {event.code for event in relay.of(ViewerEnded)} == {"not_connected"}
            assert relay.engine.counters()["viewers"] == 0

    run(main())


def test_one_viewer_too_many_is_told_to_come_back(camera: SyntheticCamera) -> None:
    """503 relay_full with a time to wait."""

    async def main() -> None:
        async with engine_with(camera, EngineLimits(max_viewers=2)) as relay:
            await relay.view(offer())
            await relay.view(offer())
            with pytest.raises(RelayRefused) as refused:
                await relay.view(offer())
            assert (refused.value.status, refused.value.code) == (503, "relay_full")
            assert refused.value.retry_after_s > 0

    run(main())


@pytest.mark.slow
def test_a_viewer_that_stops_reading_slows_nobody(camera: SyntheticCamera) -> None:
    """One that takes no packet off its socket any more keeps its lease, and the other misses no picture."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            deaf_id, deaf = await playing(relay)
            _id, other = await playing(relay)
            await until(
                lambda: 3600 in {b - a for a, b in pairwise(other.stamps)}, 5, "the end of its run-up"
            )
            # The deaf viewer's address becomes a socket that nobody reads: its buffer fills and the kernel drops.
            loop = asyncio.get_running_loop()
            transport, _protocol = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, ("127.0.0.1", 0)
            )
            transport.pause_reading()
            relay.engine._viewers[deaf_id].peer.address = transport.get_extra_info("sockname")
            frames, shown = other.frames, len(other.stamps)
            await until(lambda: other.frames - frames >= 50, 5, "pictures of the other")
            assert {b - a for a, b in pairwise(other.stamps[shown:])} == {3600}
            transport.close()
            await deaf.close()
            await other.close()

    run(main())


@pytest.mark.slow
def test_lost_packets_are_sent_again_from_the_shared_ring(camera: SyntheticCamera) -> None:
    """A peer that misses every seventh packet asks for them and shows every picture all the same."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await playing(relay)
            await asyncio.sleep(0.3)
            serving = relay.engine._viewers[viewer_id]
            path = viewer.connection.getTransceivers()[0].receiver.transport.transport
            original, dropped = path._recv, set()

            async def lossy() -> bytes:
                while True:
                    data = await original()
                    number = struct.unpack_from("!H", data, 2)[0]
                    theirs = data[8:12] == serving.ssrc.to_bytes(4, "big")  # retransmissions come through
                    if data[0] & 0xC0 != 0x80 or not theirs or number % 7 or number in dropped:
                        return data
                    dropped.add(number)

            path._recv = lossy
            frames = viewer.frames
            await until(lambda: viewer.frames - frames >= 44 and len(dropped) > 5, 5, "pictures")
            await until(lambda: serving.resent >= len(dropped) - 2, 5, "what was lost again")
            await viewer.close()

    run(main())


@pytest.mark.slow
def test_a_picture_that_the_viewer_lost_is_given_again_from_the_key_frame_at_hand() -> None:
    """PLI is answered from the cache, at most once a second; the camera is not asked, time does not go back."""
    camera = SyntheticCamera(pictures=250)

    async def main() -> None:
        async with engine_with(camera) as relay:
            viewer_id, viewer = await playing(relay)
            await until(lambda: group(relay)[1] > 60, 5, "a group under way")
            serving = relay.engine._viewers[viewer_id]
            before, (start, held) = serving.packets, group(relay)
            receiver = viewer.connection.getTransceivers()[0].receiver
            for _ in range(5):
                await receiver._send_rtcp_pli(serving.ssrc)
            await until(lambda: serving.packets - before >= held, 5, "the group again")
            await asyncio.sleep(0.3)
            sent, (same, now) = serving.packets - before, group(relay)
            assert same == start, "another group has begun: ten seconds have passed"
            assert sent <= now + (now - held), "the group once more and what came meanwhile"
            assert viewer.stamps == sorted(set(viewer.stamps))
            await viewer.close()

    run(main())


@pytest.mark.slow
def test_garbage_from_one_camera_touches_no_other() -> None:
    """A parser that raises for one camera costs that camera's pull; the other's viewer misses nothing."""
    good, bad = SyntheticCamera(), SyntheticCamera()

    class Broken(Exception):
        pass

    def broken(_number: int, _nals: list[bytes]) -> list[bytes]:
        raise Broken

    async def main() -> None:
        async def opened(description, deadline, audio):
            return await (bad if description.camera_id == "bad" else good).open(description, deadline, audio)

        async with engine_with(good, open_source=opened) as relay:
            _id, viewer = await playing(relay, camera_id="good")
            _bad, other = await playing(relay, camera_id="bad")
            frames = viewer.frames
            bad.edit = broken
            await until(
                lambda: any(e.camera_id == "bad" and e.code == "internal" for e in relay.of(SourceState)),
                2,
                "said",
            )
            await until(lambda: viewer.frames - frames >= 22, 5, "pictures of the other")
            assert good.opened == 1
            await viewer.close()
            await other.close()

    run(main())


def test_a_changed_address_ends_the_viewers_of_the_old_one(camera: SyntheticCamera) -> None:
    """The owner corrected the camera: who watches the old stream is told, a new view opens the new one."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            first, one = await playing(relay)
            _second, two = await playing(relay, url="synthetic://other/")
            assert relay.of(ViewerEnded) == [ViewerEnded(first, "source_changed")]
            assert camera.opened == 2
            await until(lambda: camera.open_now == 1, 2, "the old stream closed")
            await one.close()
            await two.close()

    run(main())


def test_trickled_candidates_are_taken_and_an_ice_restart_is_refused_by_name(camera: SyntheticCamera) -> None:
    """PATCH: 404 for a session that is gone, 422 for another ufrag, nothing for plain candidates."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            viewer_id, _answer = await relay.view(offer())
            relay.engine.trickle(
                viewer_id, "a=ice-ufrag:abcd\r\na=candidate:1 1 udp 1 x.local 9 typ host\r\n"
            )
            with pytest.raises(RelayRefused) as refused:
                relay.engine.trickle(viewer_id, "a=ice-ufrag:efgh\r\n")
            assert refused.value.status == 422
            with pytest.raises(RelayRefused) as refused:
                relay.engine.trickle("nobody", "")
            assert refused.value.status == 404
            with pytest.raises(RelayRefused) as refused:
                await relay.engine.view(viewer_id, spec(), offer())
            assert refused.value.status == 409

    run(main())


@pytest.mark.slow
def test_a_viewer_that_fell_behind_skips_to_the_newest_key_frame(camera: SyntheticCamera) -> None:
    """When the process could not send for seconds, a viewer is not shown the past: numbers go on, old pictures do not."""

    async def main() -> None:
        async with engine_with(SyntheticCamera(width=640, height=360, bitrate_kbps=3000)) as relay:
            viewer_id, viewer = await playing(relay)
            serving = relay.engine._viewers[viewer_id]
            index = serving.next_index
            await asyncio.sleep(5.0)
            ring = serving.ring
            # as if nothing had been sent for five seconds
            # but what it was sent to catch up: nobody skips in the midst of that
            serving.next_index = max(index, serving.catch_up_until, ring.base)
            shown = len(viewer.stamps)
            await until(
                lambda: serving.skipped > 0 and ring.head - serving.next_index < 30,
                5,
                "skipped to the newest",
            )
            await until(lambda: len(viewer.stamps) > shown + 10, 5, "pictures")
            assert viewer.stamps == sorted(set(viewer.stamps))
            await viewer.close()

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
def test_sound_is_heard_where_it_is_allowed_and_nowhere_else(codec: str) -> None:
    """G.711 goes through as it is; a viewer that may not hear gets a refused audio line and no packet of it."""
    camera = SyntheticCamera(sound=codec)

    async def listening(relay, *, allowed: bool) -> Watching:
        viewer = Watching()

        async def answered(text: str) -> str:
            return (await relay.view(text, may_hear=allowed))[1]

        await viewer.play(answered, audio=True)
        await until(lambda: viewer.frames > 0, 5, "the first picture")
        return viewer

    async def main() -> None:
        async with engine_with(camera) as relay:
            hears = await listening(relay, allowed=True)
            deaf = await listening(relay, allowed=False)
            await until(lambda: deaf.frames > 20 and len(hears.sounds) > 20, 5, "pictures and sound")
            assert "m=audio 0 " in deaf.connection.remoteDescription.sdp
            assert not deaf.sounds
            samples = memoryview(bytes(hears.sounds[-1].planes[0])).cast("h")
            assert max(samples) > 1000
            assert min(samples) < -1000
            assert camera.asked_for_sound == [True]
            await hears.close()
            await deaf.close()

    run(main())


def test_a_camera_is_not_asked_for_sound_that_nobody_may_hear() -> None:
    """Without consent the audio track is never set up, whatever the browser offers."""
    camera = SyntheticCamera(sound="PCMA")

    async def main() -> None:
        async with engine_with(camera) as relay:
            _id, viewer = await playing(relay, audio=False, may_hear=True)
            assert camera.asked_for_sound == [False]
            await viewer.close()

    run(main())


@pytest.mark.slow
def test_viewers_that_come_and_go_leave_nothing_behind(camera: SyntheticCamera) -> None:
    """Tasks, addresses and viewers of forty finished views are gone."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            _id, stays = await playing(relay)
            await asyncio.sleep(0.2)
            tasks = len(asyncio.all_tasks())
            for _ in range(8):
                viewers = [await playing(relay) for _ in range(5)]
                for viewer_id, viewer in viewers:
                    relay.engine.stop(viewer_id, "ended")
                    await viewer.close()
            await until(lambda: len(asyncio.all_tasks()) <= tasks, 3, f"tasks back to {tasks}")
            port = relay.engine._port
            await until(lambda: len(port._by_ufrag) == 1, 3, "their addresses gone")
            assert len(port._by_address) == len(next(iter(port._by_ufrag.values())).addresses)
            assert camera.opened == 1
            await stays.close()

    run(main())


class Faulty(Warm):
    """A recipient whose reports fail."""

    hears = ""
    report_due_s = 0.0

    def report(self, unix_s: float, picture_tick: int, sound_tick: int) -> None:
        """Fail."""
        raise ValueError(f"{unix_s} {picture_tick} {sound_tick}")


def test_a_fault_of_one_recipient_does_not_end_the_care_for_all_others(camera: SyntheticCamera) -> None:
    """It ends alone, and is told so; the lease of another still runs out, and the camera is let go."""

    async def work() -> None:
        async with engine_with(camera, EngineLimits(idle_stop_s=0.2)) as relay:
            await relay.engine.read("good", spec(), lambda _offered: Warm())
            await relay.engine.read("faulty", spec(), lambda _offered: Faulty())
            relay.vouched.add("faulty")
            await until(lambda: len(relay.of(ViewerEnded)) == 2, 30, "both ended")
            assert {(event.viewer_id, event.code) for event in relay.of(ViewerEnded)} == {
                ("faulty", "relay_failed"),
                ("good", "lease_expired"),
            }
            await until(lambda: camera.open_now == 0, 30, "let go")

    run(work())
