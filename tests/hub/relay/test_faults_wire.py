"""What a camera does wrong on the wire, and what its viewer sees of it: one numbering, one source, stamps that rise."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
from conftest import Harness, run, until
from relay_lean import Lean
from relay_wire import FPS, Packet, WireCamera, pulled
from test_relay_layers import assert_one_stream

from hub.relay.camera import source
from hub.relay.events import SourceState, ViewerEnded

pytestmark = pytest.mark.long

Edit = Callable[[int, list[Packet]], list[Packet]]


@contextlib.asynccontextmanager
async def watched(relay: Harness, **fields: Any) -> AsyncIterator[Lean]:
    """Connect a viewer and wait for its first picture."""
    viewer = Lean()
    try:
        _id, answer = await relay.view(viewer.offer(), **fields)
        await viewer.connect(answer)
        await viewer.until(viewer.video, "the first packet")
        yield viewer
    finally:
        await viewer.close()


def states(relay: Harness) -> list[str]:
    """Return the states of the camera so far."""
    return [event.state for event in relay.of(SourceState)]


def another_source(number: int, packets: list[Packet]) -> list[Packet]:
    """From picture 20 on: another SSRC, other numbers, another clock, as after a restart of the encoder."""
    if number < 20:
        return packets
    return [
        (s - 40_000, at + 123_456_789, 0xBEEF, payload, marker) for s, at, _ssrc, payload, marker in packets
    ]


def a_stranger(_number: int, packets: list[Packet]) -> list[Packet]:
    """Behind each packet one of another source, with the same number and other bytes."""
    return [
        one
        for packet in packets
        for one in (packet, (packet[0], packet[1], 0xBAD, b"\x41" + secrets.token_bytes(40), packet[4]))
    ]


def twice(_number: int, packets: list[Packet]) -> list[Packet]:
    """Every packet again, and that of before it once more."""
    return [one for packet in packets for one in (packet, packet)] + packets[:1]


def jumps(number: int, packets: list[Packet]) -> list[Packet]:
    """At picture 10 ahead by 700, at 20 back by 5,000, at 30 ahead by 40,000, and on from there."""
    by = (700 if number >= 10 else 0) - (5000 if number >= 20 else 0) + (40_000 if number >= 30 else 0)
    return [(s + by, *rest) for s, *rest in packets]  # type: ignore[misc]


def clock_steps(number: int, packets: list[Packet]) -> list[Packet]:
    """At picture 10 an hour ahead, at 20 two hours back, then a clock that stands still."""
    by = (3600 if number >= 10 else 0) - (7200 if number >= 20 else 0)
    return [(s, 1_000_000 if number >= 30 else at + by * 90_000, *rest) for s, at, *rest in packets]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("edit", "missing"),
    [(another_source, 50), (a_stranger, 0), (twice, 0), (jumps, 10), (clock_steps, 10)],
    ids=["another SSRC", "a second SSRC between", "every packet twice", "numbers jump", "the clock steps"],
)
def test_the_viewer_sees_one_stream_that_goes_on(edit: Edit, missing: int) -> None:
    """The picture goes on in one numbering of ours; the camera is live all the time, and was opened once."""
    camera = WireCamera(fps=2 * FPS)
    camera.edit = edit

    async def work() -> None:
        async with pulled(camera) as relay, watched(relay) as viewer:
            loop = asyncio.get_running_loop()
            pictures = lambda: sum(packet.marker for packet in viewer.video())  # noqa: E731
            began, seen = loop.time(), pictures()
            await viewer.until(lambda: pictures() >= 70, "pictures", 30)
            took = loop.time() - began
            assert_one_stream(viewer)
            # No more was left out than what a camera's new source needs to be believed.
            assert pictures() - seen >= took * camera.fps * 0.8 - missing - 10
            first, last = viewer.video()[0].timestamp, viewer.video()[-1].timestamp
            assert ((last - first) & 0xFFFFFFFF) / 90_000 <= took + 12  # never far from the time that passed
            assert set(states(relay)) <= {"opening", "live"}
            assert len(camera.played) == 1
            assert not relay.of(ViewerEnded)

    run(work())


def faster(patch: pytest.MonkeyPatch, times: int) -> None:
    """Let the pull's patience pass so many times as fast."""
    for name in ("STALLED_AFTER_S", "REOPEN_AFTER_S", "_FIRST_PAUSE_S", "_LONGEST_PAUSE_S"):
        patch.setattr(source, name, getattr(source, name) / times)


def test_a_camera_that_stalls_for_a_minute_is_said_to_and_shows_again_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stalled after 3 s, opened anew after 12 s of silence with growing pauses, the viewer stays and sees it again."""
    faster(monkeypatch, 20)
    camera = WireCamera()

    async def work() -> None:
        async with pulled(camera) as relay, watched(relay) as viewer:
            before = len(camera.played)
            camera.silent = True
            await asyncio.sleep(3.0)  # a minute
            assert "stalled" in states(relay)
            assert 1 <= len(camera.played) - before <= 5  # gently: each attempt waits 12 s for a picture
            camera.silent = False
            seen = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > seen + 20, "the picture again", 30)
            await until(lambda: states(relay)[-1] == "live", 30, "said")
            assert_one_stream(viewer)
            assert not relay.of(ViewerEnded)

    run(work())


@pytest.mark.parametrize(
    "raw",
    [
        lambda: secrets.token_bytes(700),
        lambda: b"$\x00\x02\xbc" + secrets.token_bytes(700),
        lambda: b"$\x00\x02\xbc" + b"\x80\x60" + secrets.token_bytes(698),
        lambda: b"RTSP/1.0 200 OK\r\nX: " + b"y" * 700,
    ],
    ids=["bytes", "frames of no RTP", "RTP of no codec", "a header without end"],
)
def test_a_camera_that_sends_garbage_for_ever_is_tried_with_growing_pauses(
    raw: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not live, opened anew again and again but not in a hurry, nothing piles up; clean again, it is live by itself."""
    faster(monkeypatch, 40)
    camera = WireCamera()

    async def work() -> None:
        async with pulled(camera) as relay, watched(relay) as viewer:
            before = len(camera.played)
            camera.raw = raw
            await until(lambda: len(camera.played) >= before + 3, 40, "opened anew")
            assert states(relay)[-1] != "live"
            pauses = [b - a for a, b in pairwise(camera.played[before:])]
            assert min(pauses) > 0.5 * 0.7 / 40  # the first pause, half a second at its shortest third less
            assert len(asyncio.all_tasks()) < 40
            camera.raw = None
            seen = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > seen + 5, "the picture again", 30)
            assert_one_stream(viewer)
            assert not relay.of(ViewerEnded)

    run(work())


def losing(*numbers: int) -> Edit:
    """Lose these pictures on the way."""
    return lambda number, packets: [] if number in numbers else packets


def after(viewer: Lean, picture: list[bytes]) -> list[bytes]:
    """Return the payloads that the viewer got behind a picture of the camera's first group."""
    payloads = [packet.payload for packet in viewer.video()]
    return payloads[payloads.index(picture[-1]) + 1 :] if picture[-1] in payloads else []


def is_key(payload: bytes) -> bool:
    """Tell whether parameter sets begin here."""
    return payload[0] & 0x1F in {7, 24}


def test_a_camera_that_lost_packets_is_asked_for_a_key_frame_and_nothing_is_shown_before_it() -> None:
    """Pictures that refer to what never came are not sent; one indication, and the next whole picture follows the last one."""
    camera = WireCamera()
    camera.on_demand = True
    camera.edit = losing(12)

    async def work() -> None:
        async with pulled(camera) as relay, watched(relay, may_ask=True) as viewer:
            await viewer.until(lambda: len(after(viewer, camera.pictures[11])) > 3, "the picture again", 40)

            assert is_key(after(viewer, camera.pictures[11])[0])
            assert len(camera.asked) == 1
            assert len(camera.played) == 1
            assert_one_stream(viewer)

    run(work())


def test_a_camera_that_goes_on_losing_packets_is_asked_once_in_two_seconds() -> None:
    """A gap in each picture but the key frames: asked again and again, and never in a hurry."""
    camera = WireCamera()
    camera.on_demand = True
    camera.edit = lambda number, packets: packets if is_key(packets[0][3]) or number % 3 else []

    async def work() -> None:
        async with pulled(camera) as relay, watched(relay, may_ask=True):
            await until(lambda: len(camera.asked) > 2, 40, "asked three times")

            # Measured where they arrive, which a busy machine may delay.
            assert all(later - sooner > 1.0 for sooner, later in pairwise(camera.asked))

    run(work())


def test_a_camera_that_may_not_be_asked_is_told_of_as_damaged_until_its_own_next_key_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stalled and why, not opened anew for it; live with the first whole picture. Nobody asked the camera for anything."""
    faster(monkeypatch, 10)
    camera = WireCamera()
    camera.on_demand = True
    camera.edit = losing(12)

    async def work() -> None:
        async with pulled(camera) as relay, watched(relay) as viewer:
            await until(lambda: "stalled" in states(relay), 40, "said")
            told = relay.of(SourceState)[-1]
            seen = len(viewer.video())
            await asyncio.sleep(source.REOPEN_AFTER_S * 1.5)
            assert (told.state, told.code) == ("stalled", "damaged")
            assert len(viewer.video()) == seen
            camera.key = True
            await until(lambda: states(relay)[-1] == "live", 40, "live again")
            assert camera.asked == []
            assert len(camera.played) == 1

    run(work())
