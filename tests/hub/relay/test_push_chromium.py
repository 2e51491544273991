"""A real Chromium as an encoder: what it pushes is seen and heard, over a bad path and across an ICE restart."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from browser_support import chromium
from conftest import engine_with
from patience import PATIENCE_S
from push_page import PAGE
from relay_camera import SyntheticCamera
from relay_client import Watching
from relay_page import RelayThread, relay_thread

from hub.relay.errors import RelayRefused

CAMERA = "camera-1"
pytestmark = [
    pytest.mark.browser(),
    # Playwright's sync interface leaves its own loop and pipes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests here."""
    with chromium() as started:
        yield started


@contextmanager
def _stage(browser: Any) -> Iterator[tuple[RelayThread, Any, Any]]:
    """A relay, and a tab that pushes."""
    with relay_thread() as thread:
        opened = engine_with(SyntheticCamera())
        relay = thread.do(opened.__aenter__())
        tab = browser.new_page()
        try:
            tab.evaluate(PAGE)
            yield thread, relay, tab
        finally:
            tab.close()
            thread.do(opened.__aexit__(None, None, None))


def offered(tab: Any, *codecs: str, **more: Any) -> str:
    """Return the tab's offer."""
    return str(tab.evaluate("how => offer(how)", {"codecs": codecs, "width": 640, "height": 360, **more}))


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def test_chromium_is_an_encoder_like_any_other(browser: Any) -> None:
    """H.264 and Opus; lost packets are sent again; the picture grows and ICE restarts in mid-push, the viewer sees it all."""
    with _stage(browser) as (thread, relay, tab):
        offer = offered(tab, "VP8", "H264", sound=True)
        answer = thread.call(lambda: relay.engine.publish("p1", CAMERA, offer, audio=True))
        assert answer.count("a=recvonly") == 2
        tab.evaluate("text => answer(text)", answer)
        (pusher,) = relay.engine._pushes._pushers.values()
        heard, count = pusher.rtcp, 0

        def lossy(data: bytes) -> None:
            nonlocal count
            count += 1
            if count % 20 or 192 <= data[1] <= 223:
                heard(data)

        eventually(lambda: pusher.live, "pictures")
        pusher.rtcp = lossy
        viewer: Watching = thread.call(Watching)

        async def told(text: str) -> str:
            return str((await relay.view(text, url=f"whip:{CAMERA}", may_hear=True, audio=True))[1])

        try:
            thread.do(viewer.play(told, audio=True), PATIENCE_S)
            eventually(lambda: viewer.frames > 10 and len(viewer.sounds) > 10, "picture and sound")
            eventually(lambda: tab.evaluate("sent()")["again"] > 0, "lost packets are sent again")
            pusher.rtcp = heard
            tab.evaluate("resize(960, 540)")
            eventually(lambda: viewer.last is not None and viewer.last.width == 960, "the larger picture")
            fragment = tab.evaluate("restart()")
            ours = thread.call(lambda: relay.engine.trickle("p1", fragment))
            tab.evaluate("text => restarted(text)", ours)
            eventually(lambda: pusher.peer.before is None, "the restart is completed")
            frames = viewer.frames
            eventually(lambda: viewer.frames > frames + 10, "pictures over the new path")
            # 300 kbit/s is where a browser begins that is told nothing; from there it gains 8 % a second.
            eventually(lambda: tab.evaluate("sent()")["target"] > 1_000_000, "the rate rises")
            assert pusher._arrivals._count > 0
        finally:
            thread.do(viewer.close())


def test_what_chromium_cannot_have_taken_is_told_and_of_simulcast_one_layer_comes(browser: Any) -> None:
    """Without H.264 the answer names what is taken; an offer of three layers is answered with one."""
    with _stage(browser) as (thread, relay, tab):
        offer = offered(tab, "VP8", "VP9", "AV1")
        with pytest.raises(
            RelayRefused, match=r"offers AV1, VP8, VP9; it must send H\.264, or H\.265"
        ) as refused:
            thread.call(lambda: relay.engine.publish("p1", CAMERA, offer))
        assert refused.value.status == 406
        layers = [
            {"rid": "l", "scaleResolutionDownBy": 4},
            {"rid": "m", "scaleResolutionDownBy": 2},
            {"rid": "h"},
        ]
        offer = offered(tab, "H264", encodings=layers)
        assert "a=simulcast:send l;m;h" in offer
        answer = thread.call(lambda: relay.engine.publish("p2", CAMERA, offer))
        tab.evaluate("text => answer(text)", answer)
        (pusher,) = relay.engine._pushes._pushers.values()
        eventually(lambda: pusher.live and tab.evaluate("sent()")["frames"] > 10, "pictures")
        assert tab.evaluate("sent()")["layers"] == 1
