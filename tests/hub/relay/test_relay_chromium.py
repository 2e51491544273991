"""A real Chromium plays what the relay sends: decoded, not black, moving, and dark when it must be."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import engine_with
from coturn import coturn
from relay_camera import SyntheticCamera
from relay_coded import coded_camera
from relay_page import ARGUMENTS, RelayThread, relay_thread, serve_page

from adapters.secret import Secret
from hub.relay.engine import EngineLimits
from hub.relay.errors import RelayRefused
from hub.relay.events import LayerChanged, ViewerEnded
from hub.relay.webrtc.turn import TurnSetup

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = "/usr/bin/chromium"
pytestmark = [
    pytest.mark.browser(),
    # Playwright's sync interface leaves its own loop and pipes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


PAIR = """async () => { let kind = ""; const stats = await pc.getStats();
  stats.forEach((item) => { if (item.type === "transport") kind = stats.get(stats.get(item.selectedCandidatePairId).localCandidateId).candidateType; });
  return kind; }"""


SetUp = Callable[..., contextlib.AbstractContextManager["Stage"]]


class Stage:
    """A camera, a relay and a browser in front of it."""

    def __init__(self, thread: RelayThread, relay: Any, browser: Any, address: str) -> None:
        self.thread, self.relay, self._browser, self._address = thread, relay, browser, address

    def press_play(self, viewer: str, *, audio: bool = False, network: dict[str, Any] | None = None) -> Any:
        """Open a tab and press play; return the tab once the answer is there.

        `audio`: the page offers to hear too. `network`: the RTCConfiguration of the page.
        """
        tab = self._browser.new_page()
        tab.goto(self._address)
        self.reply = tab.evaluate(
            "([viewer, audio, network]) => play(viewer, audio, network)", [viewer, audio, network or {}]
        )
        return tab

    @staticmethod
    def wait(tab: Any, condition: Callable[[dict], bool], limit_s: float = 60.0) -> dict:
        """Look at the picture until a condition holds."""
        ends = time.monotonic() + limit_s
        while True:
            seen = tab.evaluate("look()")
            if condition(seen):
                return seen
            assert time.monotonic() < ends, seen
            time.sleep(0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests here."""
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def stage(browser: Any) -> SetUp:
    """Return what sets everything up in front of that browser, and takes it down."""
    return functools.partial(_stage, browser)


@contextlib.contextmanager
def _stage(browser: Any, camera: SyntheticCamera, *, sub: SyntheticCamera | None = None, transcodes: int = 0):
    """Set everything up and take it down; viewers named ``tcp...`` are told no UDP candidate, ``auto...`` adapt."""
    with relay_thread() as thread:
        stack = contextlib.AsyncExitStack()

        async def opened(description: Any, deadline: Any, audio: bool) -> Any:
            smaller = sub is not None and description.url.endswith("/sub")
            return await (sub if smaller else camera).open(description, deadline, audio)

        limits = EngineLimits(max_transcodes=transcodes, max_sounds=1, source_within_s=40.0)
        relay = thread.do(stack.enter_async_context(engine_with(camera, limits, open_source=opened)))
        layers = {"sub_url": "synthetic://camera/sub", "both": True} if sub is not None else {}

        async def answer(viewer: str, text: str) -> tuple[int, str]:
            try:
                told = (await relay.view(text, viewer, may_hear=viewer.startswith("hears"), **layers))[1]
                if viewer.startswith("tcp"):
                    told = "".join(line for line in told.splitlines(True) if " udp " not in line)
                return 201, told
            except RelayRefused as refused:
                return refused.status, refused.detail

        server, address = thread.do(serve_page(answer))
        context = browser.new_context()
        try:
            yield Stage(thread, relay, context, address)
        finally:
            context.close()
            thread.call(server.close)
            thread.do(asyncio.sleep(0.1))
            thread.do(stack.aclose())


@pytest.mark.parametrize(
    ("profile", "width", "height", "level"),
    [("baseline", 320, 240, 12), ("main", 640, 360, 30), ("high", 1920, 1080, 40)],
)
def test_chromium_decodes_each_profile_and_shows_a_moving_picture(
    stage: SetUp, profile: str, width: int, height: int, level: int
) -> None:
    """Also High beyond level 3.1, which no browser offers: frames rise, the picture is whole, not black, and moves."""
    camera = SyntheticCamera(profile=profile, width=width, height=height, pictures=25)
    assert camera.sets[0][3] >= level, "the SPS says what is sent"
    with stage(camera) as scene:
        tab = scene.press_play("one")
        assert scene.reply["status"] == 201
        before = scene.wait(tab, lambda seen: seen["decoded"] >= 5)
        after = scene.wait(
            tab, lambda seen: seen["decoded"] >= before["decoded"] + 20 and seen["print"] != before["print"]
        )
        assert after["quality"] > before["quality"]
        assert (after["width"], after["height"]) == (width, height)
        assert after["mean"] > 60
        assert after["brightest"] > 200
        assert after["plis"] == 0, "each picture could be decoded"


def test_a_second_viewer_shares_the_pull_and_starts_from_the_cache_without_fast_forward(stage: SetUp) -> None:
    """In the middle of a group of 10 s the second tab is where the first one is before the next key frame; one pull."""
    camera, sent = SyntheticCamera(pictures=250), []
    camera.edit = lambda number, nals: sent.append(number) or nals
    with stage(camera) as scene:
        one = scene.press_play("one")
        scene.wait(one, lambda seen: seen["decoded"] > 40)
        two = scene.press_play("two")

        def behind(seen: dict) -> int:
            return one.evaluate("look()")["decoded"] - seen["decoded"]

        # as many decoded as the first has: the cached pictures were decoded, and not played at their own pace
        right = scene.wait(two, lambda seen: seen["decoded"] > 40 and behind(seen) <= 10)
        assert len(sent) <= 250, "all of it came out of the first group"
        left = one.evaluate("look()")
        # the bright bar, which takes nine pictures from one place to the next, stands where it stands in the first tab
        assert abs(left["print"].find("f") - right["print"].find("f")) <= 3, (left, right)
        assert camera.opened == 1


def test_frames_stop_when_the_lease_is_revoked_and_the_other_viewer_goes_on(stage: SetUp) -> None:
    """Not renewed, or stopped: no further frame is decoded, and each is told its reason."""
    with stage(SyntheticCamera()) as scene:
        tabs = [scene.press_play(name) for name in ("one", "two", "three")]
        for tab in tabs:
            scene.wait(tab, lambda seen: seen["decoded"] > 5)
        scene.thread.call(scene.relay.vouched.discard, "one")
        scene.thread.call(scene.relay.engine.stop, "two", "paused_by_owner")

        def decoded() -> list[int]:
            return [tab.evaluate("look()")["decoded"] for tab in tabs]

        # the jitter buffer may hold some; while the third decodes twenty more, the others come to rest
        for _ in range(20):
            before = decoded()
            scene.wait(tabs[2], lambda seen, before=before: seen["decoded"] >= before[2] + 20)
            if decoded()[:2] == before[:2]:
                break
        else:
            pytest.fail("frames go on")
        codes = {event.viewer_id: event.code for event in scene.relay.of(ViewerEnded)}
        assert codes == {"one": "lease_expired", "two": "paused_by_owner"}


def test_the_picture_returns_by_itself_when_the_camera_does(stage: SetUp) -> None:
    """The same connection shows pictures again after the camera was dead for a second."""
    with stage(SyntheticCamera()) as scene:
        tab = scene.press_play("one")
        scene.wait(tab, lambda seen: seen["decoded"] > 10)
        scene.thread.call(scene.relay.camera.kill)
        time.sleep(1.0)
        frozen = tab.evaluate("look()")["decoded"]
        scene.relay.camera.dead = False
        seen = scene.wait(tab, lambda seen: seen["decoded"] > frozen + 10)
        assert seen["states"][-1] == "connected"
        assert seen["plis"] <= 1


def test_a_codec_that_chromium_does_not_offer_is_refused_with_the_reason(stage: SetUp) -> None:
    """406: the page can say what the camera sends."""
    with stage(SyntheticCamera(codec="H265")) as scene:
        scene.press_play("one")
        assert scene.reply["status"] == 406
        assert "H.265" in scene.reply["text"]


def test_chromium_plays_mjpeg_recoded(stage: SetUp) -> None:
    """What no browser receives live is decoded, moves, and the viewer is told why it was recoded."""
    with stage(coded_camera("JPEG"), transcodes=1) as scene:
        tab = scene.press_play("one")
        assert scene.reply["status"] == 201
        before = scene.wait(tab, lambda seen: seen["decoded"] >= 5)
        scene.wait(tab, lambda seen: seen["decoded"] > before["decoded"] + 20)
        after = scene.wait(tab, lambda seen: seen["print"] != before["print"])
        assert (after["width"], after["height"]) == (320, 240)
        assert after["brightest"] > 200
        (told,) = scene.relay.of(LayerChanged)
        assert (told.rendition, told.codec, told.why) == ("transcode", "H264", "mjpeg")


@pytest.mark.parametrize("codec", ["PCMA", "MPEG4-GENERIC"])
def test_chromium_hears_only_where_it_is_allowed(stage: SetUp, codec: str) -> None:
    """Sound is decoded and loud for a viewer that may hear; the same page without the right gets a refused line and no packet."""
    with stage(SyntheticCamera(sound=codec)) as scene:
        hears = scene.press_play("hears", audio=True)
        scene.wait(
            hears,
            lambda seen: seen["decoded"] > 5 and seen["samples"] > 24_000 and seen["level"] > 0.05,
            60.0,
        )
        deaf = scene.press_play("deaf", audio=True)
        assert "m=audio 0 " in scene.reply["text"]
        seen = scene.wait(deaf, lambda seen: seen["decoded"] > 10, 60.0)
        assert seen["heard"] == seen["samples"] == 0
        assert scene.relay.engine._viewers["deaf"].sounds == 0


def test_chromium_plays_over_tcp_where_no_udp_goes(stage: SetUp) -> None:
    """Told TCP candidates alone it connects to the same port, decodes a key frame larger than a burst, and moves."""
    camera = SyntheticCamera(width=640, height=360, bitrate_kbps=2500)
    with stage(camera) as scene:
        tab = scene.press_play("tcp")
        seen = scene.wait(tab, lambda s: s["decoded"] > 25 and s["width"] == 640)
        assert seen["brightest"] > 200
        path = scene.relay.engine._viewers["tcp"].peer.sock
        assert type(path).__name__ == "TcpPath"


@pytest.mark.coturn
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_chromium_plays_through_a_turn_server_where_nothing_else_may_be_used(
    stage: SetUp, transport: str
) -> None:
    """With a short-lived credential of ours and `relay` alone: the pair in use is the server's, and the picture moves."""
    with coturn("north") as port, stage(SyntheticCamera()) as scene:
        turn = TurnSetup((f"turn:127.0.0.1:{port}?transport={transport}",), Secret("north"))
        user, password = turn.credential("turned", time.time())
        server = {"urls": list(turn.urls), "username": user, "credential": password.reveal()}
        network = {"iceServers": [server], "iceTransportPolicy": "relay"}
        tab = scene.press_play("turned", network=network)
        seen = scene.wait(tab, lambda seen: seen["decoded"] > 25)
        assert seen["brightest"] > 200
        assert tab.evaluate(PAIR) == "relay"


def test_chromium_changes_layers_on_one_connection_without_a_dropped_picture(stage: SetUp) -> None:
    """From 640x360 to 160x120 and back: the same track, no new offer, no picture loss reported, feedback is sent."""
    camera = SyntheticCamera(width=640, height=360, pictures=25)
    with stage(camera, sub=SyntheticCamera(width=160, height=120, pictures=25)) as scene:
        tab = scene.press_play("viewer")
        assert "transport-cc" in scene.reply["text"]
        assert "a=ssrc-group:FID" in scene.reply["text"]
        scene.wait(tab, lambda s: s["width"] == 640 and s["decoded"] > 10)
        for wanted, width in (("sub", 160), ("main", 640)):
            scene.thread.call(scene.relay.engine.choose_layer, "viewer", wanted)
            before = scene.wait(tab, lambda s, width=width: s["width"] == width)["decoded"]
            seen = scene.wait(tab, lambda s, before=before: s["decoded"] > before + 20)
        assert (seen["plis"], seen["lost"]) == (0, 0)
        assert tab.evaluate("pc.getReceivers().length") == 1
