"""Main and sub-stream of one camera: a viewer changes between them without a new offer, by choice or by its network."""

import asyncio
import secrets
from itertools import pairwise
from typing import Any

import pytest
from conftest import Harness, engine_with, run, spec, until
from relay_camera import SyntheticCamera
from relay_lean import Lean

from adapters.errors import Unreachable
from adapters.rtsp.h264 import parse_sps
from hub.relay.engine import EngineLimits
from hub.relay.errors import RelayRefused
from hub.relay.events import LayerChanged, SourceState, ViewerEnded

pytestmark = pytest.mark.long

SUB = "synthetic://camera/sub"


def main_and_sub(**limits: Any) -> tuple[SyntheticCamera, SyntheticCamera, Any]:
    """Return a camera of 320x240, its sub-stream of 160x120, and an engine that opens both."""
    main = SyntheticCamera(pictures=25)
    sub = SyntheticCamera(width=160, height=120, pictures=12, **limits)

    async def opened(description: Any, deadline: Any, audio: bool) -> Any:
        return await (sub if description.url == SUB else main).open(description, deadline, audio)

    return main, sub, opened


async def watching(relay: Harness, *, wanted: str = "main", **fields: Any) -> tuple[str, Lean]:
    """Connect a lean viewer and wait for its first picture."""
    viewer, viewer_id = Lean(), secrets.token_hex(4)
    fields = {"sub_url": SUB, "both": True, **fields}
    answer = await relay.engine.view(viewer_id, spec(**fields), viewer.offer(), wanted=wanted)
    relay.vouched.add(viewer_id)
    await viewer.connect(answer)
    await viewer.until(viewer.video, "the first packet")
    return viewer_id, viewer


def width(viewer: Lean) -> int:
    """Return the width that the newest SPS said."""
    for packet in reversed(viewer.video()):
        if packet.payload[0] & 31 == 24:  # STAP-A: the parameter sets in front of a key frame
            size = int.from_bytes(packet.payload[1:3], "big")
            return parse_sps(packet.payload[3 : 3 + size]).width
    return 0


def changes(relay: Harness) -> list[tuple[str, str, str]]:
    """Return the layer events so far."""
    return [(event.layer, event.wanted, event.code) for event in relay.of(LayerChanged)]


def assert_one_stream(viewer: Lean) -> None:
    """Numbers go on one by one, stamps never go back, each picture ends with a marker before the next begins."""
    packets = viewer.video()
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(packets)]
    assert all(step < 90_000 * 60 for step in steps)  # forward: what is lost of a busy machine counts as time
    assert all(a.marker == (a.timestamp != b.timestamp) for a, b in pairwise(packets))
    assert len({packet.ssrc for packet in packets}) == 1


def test_a_viewer_goes_to_the_sub_stream_and_back_without_a_new_offer() -> None:
    """One numbering, one time line; the sub-stream is pulled only while somebody is on it."""
    main, sub, opened = main_and_sub()

    async def work() -> None:
        async with engine_with(main, EngineLimits(idle_stop_s=0.3), open_source=opened) as relay:
            viewer_id, viewer = await watching(relay)
            assert (width(viewer), sub.opened, changes(relay)) == (320, 0, [])
            relay.engine.choose_layer(viewer_id, "sub")
            await viewer.until(lambda: width(viewer) == 160, "the sub-stream")
            await until(lambda: main.open_now == 0, 15, "the main stream left alone")
            relay.engine.choose_layer(viewer_id, "main")
            await viewer.until(lambda: width(viewer) == 320, "the main stream")
            await until(lambda: sub.open_now == 0, 15, "the sub-stream left alone")
            assert changes(relay) == [("sub", "sub", ""), ("main", "main", "")]
            assert_one_stream(viewer)
            await viewer.close()

    run(work())


def test_a_tile_begins_with_the_sub_stream_alone() -> None:
    """Nothing is pulled that nobody looks at; the event says which layer it is."""
    main, sub, opened = main_and_sub()

    async def work() -> None:
        async with engine_with(main, open_source=opened) as relay:
            _id, viewer = await watching(relay, wanted="sub")
            assert (width(viewer), main.opened, sub.opened) == (160, 0, 1)
            assert changes(relay) == [("sub", "sub", "")]
            assert {event.layer for event in relay.of(SourceState)} == {"sub"}
            await viewer.close()

    run(work())


def test_losses_bring_a_viewer_down_only_where_it_left_the_choice_to_us() -> None:
    """A report of a fifth lost moves an `auto` viewer to the sub-stream; one that chose main keeps it."""
    main, _sub, opened = main_and_sub()

    async def work() -> None:
        async with engine_with(main, open_source=opened) as relay:
            _one, chosen = await watching(relay)
            _two, auto = await watching(relay, wanted="auto")
            chosen.lost(0.2)
            auto.lost(0.2)
            await auto.until(lambda: width(auto) == 160, "the sub-stream")
            assert changes(relay)[-1] == ("sub", "auto", "network")
            assert width(chosen) == 320
            assert_one_stream(auto)
            await chosen.close()
            await auto.close()

    run(work())


def test_a_sub_stream_that_cannot_be_opened_leaves_the_viewer_where_it_is() -> None:
    """The picture goes on, and the event says why it is still this one."""
    main, sub, opened = main_and_sub()
    sub.refuses = Unreachable("10.0.0.9:554 refused the connection")

    async def work() -> None:
        async with engine_with(main, open_source=opened) as relay:
            viewer_id, viewer = await watching(relay)
            relay.engine.choose_layer(viewer_id, "sub")
            await until(lambda: bool(changes(relay)), 15, "an event")
            assert changes(relay) == [("main", "sub", "unreachable")]
            seen = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > seen + 5, "more pictures")
            assert not relay.of(ViewerEnded)
            other_id, other = await watching(relay, camera_id="without", sub_url="")
            relay.engine.choose_layer(other_id, "sub")
            await until(lambda: len(changes(relay)) == 2, 15, "an event")
            assert changes(relay)[-1] == ("main", "sub", "no_sub_stream")
            with pytest.raises(RelayRefused) as refused:
                relay.engine.choose_layer(other_id, "huge")
            assert refused.value.status == 422
            await viewer.close()
            await other.close()

    run(work())


def test_who_goes_back_on_a_change_while_the_other_stream_is_opened_stays() -> None:
    """The sub-stream opens slowly and the viewer chooses main again meanwhile: it keeps main once the other is there."""
    main, sub, _opened = main_and_sub()
    may_open = asyncio.Event()

    async def slowly(description: Any, deadline: Any, audio: bool) -> Any:
        if description.url == SUB:
            await may_open.wait()
        return await (sub if description.url == SUB else main).open(description, deadline, audio)

    async def work() -> None:
        async with engine_with(main, open_source=slowly) as relay:
            viewer_id, viewer = await watching(relay)
            relay.engine.choose_layer(viewer_id, "sub")
            await until(lambda: relay.engine.layer("camera-1", "sub") is not None, 30, "sub being opened")
            relay.engine.choose_layer(viewer_id, "main")
            may_open.set()
            held = relay.engine.layer("camera-1", "sub")
            assert held is not None
            await until(lambda: held.renditions["copy"].known and not held.waiting, 30, "sub open")
            before = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > before + 60, "some pictures more")
            assert (width(viewer), relay.of(LayerChanged)[-1].layer) == (320, "main")
            await viewer.close()

    run(work())


def test_a_camera_that_allows_one_session_is_never_pulled_twice() -> None:
    """While others watch main, sub is refused by name; a viewer alone gets it, main being closed first."""
    main, sub, opened = main_and_sub()

    async def work() -> None:
        async with engine_with(main, open_source=opened) as relay:
            one_id, one = await watching(relay, both=False)
            two_id, two = await watching(relay, both=False, wanted="sub")
            assert width(two) == 320
            assert changes(relay) == [("main", "sub", "one_stream")]
            relay.engine.choose_layer(one_id, "sub")
            await until(lambda: len(changes(relay)) == 2, 15, "an event")
            assert changes(relay)[-1] == ("main", "sub", "one_stream")
            relay.engine.stop(two_id, "viewer_left")
            relay.engine.choose_layer(one_id, "sub")
            await one.until(lambda: width(one) == 160, "the sub-stream")
            assert (main.open_now, sub.open_now) == (0, 1)
            assert_one_stream(one)
            await one.close()
            await two.close()

    run(work())


def test_a_main_stream_that_no_browser_plays_gives_way_to_the_sub_stream() -> None:
    """H.265 on main, H.264 on sub: the viewer gets the sub-stream at once and is told why."""
    _main, _sub, _opened = main_and_sub()
    high = SyntheticCamera(codec="H265")

    async def opened(description: Any, deadline: Any, audio: bool) -> Any:
        return await (_sub if description.url == SUB else high).open(description, deadline, audio)

    async def work() -> None:
        async with engine_with(high, open_source=opened) as relay:
            _id, viewer = await watching(relay, wanted="auto")
            assert width(viewer) == 160
            assert changes(relay) == [("sub", "auto", "codec_not_playable")]
            await viewer.close()

    run(work())
