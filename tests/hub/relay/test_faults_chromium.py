"""A real Chromium at the other end of a bad network: two namespaces joined by the impairment process."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import engine_with, spec
from impair_path import ImpairedPath, impaired
from relay_camera import SyntheticCamera
from relay_page import ARGUMENTS, relay_thread, serve_page

from hub.relay.events import LayerChanged, ViewerEnded

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = "/usr/bin/chromium"
pytestmark = [
    pytest.mark.browser(),
    pytest.mark.slow(),
    # Playwright's sync interface leaves its own loop and pipes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Scene:
    """A relay with one camera at the near end, a browser at the far one."""

    def __init__(self, thread: Any, relay: Any, browser: Any, address: str, path: ImpairedPath) -> None:
        self.thread, self.relay, self.path = thread, relay, path
        self._browser, self._address = browser, address

    def play(self, viewer: str) -> Any:
        """Open a tab and press play."""
        tab = self._browser.new_page()
        tab.goto(self._address)
        reply = tab.evaluate(f"play('{viewer}')")
        assert reply["status"] == 201, reply
        return tab

    @staticmethod
    def wait(tab: Any, condition: Callable[[dict[str, Any]], bool], limit_s: float = 20.0) -> dict[str, Any]:
        """Look at the picture until a condition holds."""
        ends = time.monotonic() + limit_s
        while True:
            seen: dict[str, Any] = tab.evaluate("look()")
            if condition(seen):
                return seen
            assert time.monotonic() < ends, seen
            time.sleep(0.1)


@contextlib.contextmanager
def scene(
    folder: Path, seed: int, camera: SyntheticCamera, sub: SyntheticCamera | None = None
) -> Iterator[Scene]:
    """Set everything up and take it down; viewers named ``auto...`` adapt."""
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(impaired(seed, namespaces=True))
        thread = stack.enter_context(relay_thread(path.near))
        playwright = stack.enter_context(sync_api.sync_playwright())
        inner = contextlib.AsyncExitStack()

        async def opened(description: Any, deadline: Any, audio: bool) -> Any:
            smaller = sub is not None and description.url.endswith("/sub")
            return await (sub if smaller else camera).open(description, deadline, audio)

        relay = thread.do(inner.enter_async_context(engine_with(camera, open_source=opened, host=path.host)))
        layers = {"sub_url": "synthetic://camera/sub", "both": True} if sub is not None else {}

        async def answer(viewer: str, text: str) -> tuple[int, str]:
            wanted = "auto" if viewer.startswith("auto") else "main"
            relay.vouched.add(viewer)
            return 201, await relay.engine.view(viewer, spec(**layers), text, wanted=wanted)

        server, address = thread.do(serve_page(answer, path.host))
        browser = playwright.chromium.launch(
            executable_path=path.far_program(CHROMIUM, folder), args=ARGUMENTS
        )
        try:
            yield Scene(thread, relay, browser, address, path)
        finally:
            path.set()
            browser.close()
            thread.call(server.close)
            thread.do(asyncio.sleep(0.1))
            thread.do(inner.aclose())


def test_two_percent_lost_both_ways_leave_a_moving_picture(tmp_path: Path) -> None:
    """Pictures go on, freezes are counted and few, lost packets come again on the stream of their own."""
    camera = SyntheticCamera(width=640, height=360, bitrate_kbps=1500)
    with scene(tmp_path, 22, camera, sub=SyntheticCamera(width=160, height=120)) as stage:
        stage.path.set(loss=0.02, delay_s=0.02)
        tab = stage.play("one")
        before = stage.wait(tab, lambda seen: seen["decoded"] >= 25)
        began = time.monotonic()
        after = stage.wait(
            tab, lambda seen: seen["again"] >= 10 and seen["decoded"] >= before["decoded"] + 125
        )
        took = time.monotonic() - began
        counts = stage.path.counts()
        assert counts["out"]["lost"] > 0
        assert counts["back"]["lost"] > 0
        assert stage.relay.engine.counters()["resent"] >= after["again"]
        assert after["nacks"] > 0
        assert after["print"] != before["print"]
        assert after["brightest"] > 200
        # Counted by the browser; a machine that starves it adds some of its own. None at rest.
        assert after["freezes"] - before["freezes"] <= 1 + took
        assert after["width"] == 640  # a viewer who asked for the main stream keeps it
        assert not stage.relay.of(ViewerEnded)


def test_a_network_that_suffers_brings_a_browser_that_adapts_to_the_sub_stream_where_it_plays_on(
    tmp_path: Path,
) -> None:
    """A line narrower than the stream, a fifth lost: by its own reports; the same track, and it is told that it was its network."""
    camera = SyntheticCamera(width=640, height=360, bitrate_kbps=1500, pictures=25)
    with scene(tmp_path, 20, camera, sub=SyntheticCamera(width=160, height=120, pictures=25)) as stage:
        for viewer, way in (
            ("auto-narrow", {"rate_bps": 900_000, "queue_s": 0.4}),
            ("auto-lossy", {"loss": 0.2, "delay_s": 0.03, "jitter_s": 0.02}),
        ):
            stage.path.set()
            tab = stage.play(viewer)
            stage.wait(tab, lambda seen: seen["width"] == 640 and seen["decoded"] > 25)
            stage.path.set(**way)
            before = stage.wait(tab, lambda seen: seen["width"] == 160)
            after = stage.wait(tab, lambda seen, before=before: seen["decoded"] > before["decoded"] + 30)
            assert (after["states"][-1], tab.evaluate("pc.getReceivers().length")) == ("connected", 1)
            told = [event for event in stage.relay.of(LayerChanged) if event.viewer_id == viewer][-1]
            assert (told.layer, told.wanted, told.code) == ("sub", "auto", "network")
            tab.close()
        assert {event.code for event in stage.relay.of(ViewerEnded)} <= {"viewer_left"}
