"""Key frames that are far apart: measured, said, and waited for."""

from itertools import accumulate

import pytest
from conftest import Harness, engine_with, run, until
from relay_camera import SyntheticCamera
from relay_client import Watching

from hub.relay.camera import keyframes, source
from hub.relay.camera.keyframes import KeyFrames
from hub.relay.events import SourceState


async def answered(relay: Harness, offer: str) -> str:
    """Answer a viewer's offer."""
    return (await relay.view(offer))[1]


def told(*apart_s: float) -> list[float]:
    """Return what is told anew after each key frame, these seconds apart."""
    frames, said = KeyFrames(), []
    for at in accumulate(apart_s, initial=10.0):
        frames.came(round(at * 90_000), 90_000)
        if frames.news():
            said.append(frames.long_s)
    return said


def test_a_distance_that_nobody_waits_for_is_not_told() -> None:
    """Up to 2 s and a little is what is asked of a camera."""
    assert told(1.0, 2.0, 2.0, 2.1) == []


def test_a_long_distance_is_told_once_and_again_when_it_has_changed() -> None:
    """A camera's own unsteadiness is no news; a setting that was put right is."""
    assert told(10.0, 10.0, 10.4, 9.8, 10.0) == [10.0]
    assert told(10.0, 10.0, 10.0, 1.0, 1.0, 1.0) == [10.0, 0.0]


def test_one_odd_distance_is_outvoted() -> None:
    """A key frame that somebody asked for, or one that was lost on the way, is no other setting."""
    assert told(8.0, 8.0, 0.4, 8.0) == [8.0]
    assert told(2.0, 2.0, 60.0, 2.0) == []


def test_nothing_is_measured_across_two_connections() -> None:
    """A camera opened anew counts from another moment."""
    frames = KeyFrames()
    frames.came(90_000, 90_000)
    frames.begin()
    assert frames.none_yet
    frames.came(90_000 * 30, 90_000)
    assert frames.long_s == 0.0


def test_a_camera_that_begins_far_from_its_next_key_frame_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Longer than its silence would be borne, and it is said what is waited for; then how far apart they are."""
    monkeypatch.setattr(keyframes, "LONG_S", 0.3)
    monkeypatch.setattr(source, "LONG_S", 0.3)
    monkeypatch.setattr(source, "REOPEN_AFTER_S", 0.6)
    camera = SyntheticCamera(fps=50, pictures=75, start_at=1)

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer = Watching()
            try:
                await viewer.play(lambda offer: answered(relay, offer))
                await until(lambda: viewer.frames > 0, 30, "a picture")
                await until(lambda: relay.of(SourceState)[-1].key_frames_s > 0, 30, "how far apart they are")
            finally:
                await viewer.close()
            states = relay.of(SourceState)
            assert ("opening", "no_key_frame") in {(one.state, one.code) for one in states}
            assert states[-1].state == "live"
            assert states[-1].key_frames_s == pytest.approx(1.5, abs=0.1)
            assert camera.opened == 1

    run(work())
