"""The player in real browsers: on a page of another site, over every way to the hub, and cut on all of them."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browser_support import black_within, chromium, firefox, no_firefox
from coturn import coturn
from hub_support import RunningHub, onboard, serving, simulators
from patience import PATIENCE_S
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# An address that nobody answers at (RFC 5737): what a browser behind a strict firewall sees of the relay.
UNREACHABLE = '["192.0.2.1"]'
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A ward's page</title>
<script>window.told = [];
addEventListener('statechange', (event) => told.push(event.detail.state));</script>
<script type="module" src="{hub}/player/camhub-player.js"></script>
<body style="margin:0;display:grid;grid-template-columns:repeat({columns},1fr)">{players}</body></html>"""
PLAYER = (
    '<camhub-player hub="{hub}" camera="{camera}" purpose="public_safety" name="Gate {n}"></camhub-player>'
)
START = (
    "token => document.querySelectorAll('camhub-player').forEach(one => { one.token = token; one.start(); })"
)
STATES = "() => [...document.querySelectorAll('camhub-player')].map(one => one.state)"
FRAMES = """() => [...document.querySelectorAll('camhub-player')].map(
  one => one.shadowRoot.querySelector('video').getVideoPlaybackQuality().totalVideoFrames)"""
# A network that lets a browser reach its TURN server and nothing else; the ways of all pairs that were found to work.
RELAY_ONLY = """const all = window.connections = []; window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(told) { super({ ...told, iceTransportPolicy: 'relay' }); all.push(this); }
}"""
LOCAL_KINDS = """async () => { const kinds = new Set();
  for (const one of connections) { const stats = await one.getStats(); stats.forEach(item => {
    if (item.type === 'candidate-pair' && item.state === 'succeeded') kinds.add(stats.get(item.localCandidateId).candidateType);
  }); }
  return [...kinds]; }"""
# A firewall that lets no UDP to the hub through.
NO_UDP = """const take = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function (told) {
  const lines = told.sdp.split('\\r\\n').filter((line) => !/^a=candidate:.* udp /i.test(line));
  return take.call(this, { type: told.type, sdp: lines.join('\\r\\n') });
};"""
WORDS = "() => document.querySelector('camhub-player').shadowRoot.querySelector('section').innerText"


@dataclass
class Site:
    """Another site: its origin, the page that it serves."""

    origin: str
    pages: dict[str, bytes] = field(default_factory=dict)

    def page(self, hub: str, camera: str, count: int = 1) -> str:
        """Lay out a page with so many players, and return its address."""
        players = "".join(PLAYER.format(hub=hub, camera=camera, n=n + 1) for n in range(count))
        path = f"/{len(self.pages)}.html"
        columns = 4 if count > 1 else 1
        self.pages[path] = PAGE.format(hub=hub, players=players, columns=columns).encode()
        return self.origin + path


@dataclass
class Stage:
    """A hub that lists the other site, one camera of it, and a token."""

    hub: RunningHub
    site: Site
    camera: str
    token: str

    def open(self, browser: Browser, count: int = 1, script: str = "") -> Page:
        """Open the other site's page, with a script before all others, and start all its players."""
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.add_init_script(script)
        page.goto(self.site.page(self.hub.url, self.camera, count))
        page.wait_for_function("() => customElements.get('camhub-player')")
        page.evaluate(START, self.token)
        return page


@contextmanager
def other_site() -> Iterator[Site]:
    """Serve pages on a port of its own: another origin than the hub's."""
    pages: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: Any) -> None:
            del args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_address[1]}", pages)
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def staged(data: Path, **settings: str) -> Iterator[Stage]:
    """Start a camera, a site, and a hub that knows both."""
    with (
        other_site() as site,
        simulators("good-onvif") as (camera,),
        serving(data, CAMHUB_WHEP__ORIGINS=json.dumps([site.origin]), **settings) as hub,
    ):
        if not (Path(__file__).parents[2] / "hub/web/dist/player/camhub-player.js").is_file():
            pytest.skip("the player is not built: make env")
        done = onboard(hub, camera["onvif"], camera["user"], camera["password"])
        assert done["state"] in {"admitted", "conditional"}, done  # a busy machine measures fewer pictures
        token = subprocess.run(
            [sys.executable, "-m", "hub", "users", "token", "admin"],
            env={**os.environ, "CAMHUB_DATA_DIR": str(data)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        yield Stage(hub, site, str(done["camera_id"]), token)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A hub whose relay browsers reach by UDP and TCP, and through a TURN server where there is one."""
    with ExitStack() as stack:
        turn = {}
        if shutil.which("turnserver"):
            port = stack.enter_context(coturn("north"))
            turn = {
                "CAMHUB_TURN__URLS": json.dumps([f"turn:127.0.0.1:{port}?transport=udp"]),
                "CAMHUB_TURN__SECRET": "north",
            }
        yield stack.enter_context(staged(tmp_path_factory.mktemp("hub"), **turn))


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A hub whose relay tells browsers an address that they do not reach, by UDP or TCP."""
    with staged(tmp_path_factory.mktemp("walled"), CAMHUB_RELAY__PUBLIC_ADDRESSES=UNREACHABLE) as started:
        yield started


def all_live(page: Page, seconds: float = 40) -> list[dict[str, Any]]:
    """Wait until every player of the page says that it is live and shows pictures that go on."""
    page.wait_for_function(f"() => ({STATES})().every(one => one.state === 'live')", timeout=seconds * 1000)
    before = page.evaluate(FRAMES)
    page.wait_for_function(
        f"before => ({FRAMES})().every((now, i) => now > before[i] + 5)", arg=before, timeout=seconds * 1000
    )
    return list(page.evaluate(STATES))


def cut_by_a_pause(stage: Stage, page: Page) -> None:
    """A pause ends the picture of a page that plays: within 2 s nothing is decoded any more, and the owner is named."""
    try:
        with black_within(2.0, page, FRAMES):
            paused = stage.hub.client.post(f"/api/v1/cameras/{stage.camera}/pause", json={})
            assert paused.status_code == 200
        page.wait_for_function(f"() => ({STATES})().every(one => one.state === 'paused')", timeout=60_000)
        assert "The owner has paused sharing" in page.evaluate(WORDS)
        kept = "document.querySelector('camhub-player').shadowRoot.querySelector('canvas').className"
        assert "hidden" in page.evaluate(kept)
    finally:
        assert stage.hub.client.post(f"/api/v1/cameras/{stage.camera}/resume", json={}).status_code == 200


def test_sixteen_tiles_play_on_a_page_of_another_site(stage: Stage) -> None:
    """All at once, each small and so on the sub-stream; one that fills the window is given the main stream."""
    with chromium() as browser:
        page = stage.open(browser, 16)
        seen = all_live(page, 60)
        assert [one["way"] for one in seen] == ["webrtc"] * 16
        page.wait_for_function(f"() => ({STATES})().every(one => one.layer === 'sub')", timeout=60_000)
        page.evaluate(
            "() => document.querySelectorAll('camhub-player').forEach((one, i) => i && one.remove())"
        )
        page.evaluate("() => { document.body.style.display = 'block' }")
        page.wait_for_function(f"() => ({STATES})()[0].layer === 'main'", timeout=60_000)
        assert "By WebRTC" in page.evaluate(WORDS)
        cut_by_a_pause(stage, page)


def test_a_browser_without_udp_plays_over_tcp(stage: Stage) -> None:
    """Chromium that reaches the hub by no UDP plays over ICE-TCP, and says so. (Its own policy against UDP spares loopback.)"""
    with chromium() as browser:
        page = stage.open(browser, script=NO_UDP)
        assert all_live(page)[0]["way"] == "webrtc"
        page.wait_for_function(f"() => ({WORDS})().includes('over TCP because UDP did not get through')")


@pytest.mark.coturn
def test_a_browser_that_reaches_only_the_turn_server_plays_through_it(stage: Stage) -> None:
    """The player takes the servers and the credential that the hub names with its answer: no other pair may be used here."""
    with chromium() as browser:
        page = stage.open(browser, script=RELAY_ONLY)
        assert all_live(page)[0]["way"] == "webrtc"
        # The browser's own account of the pair comes a moment after the first picture.
        ends = time.monotonic() + PATIENCE_S
        while not (kinds := page.evaluate(LOCAL_KINDS)):
            assert time.monotonic() < ends, "no pair is told"
            page.wait_for_timeout(100)
        assert kinds == ["relay"]


def test_where_udp_and_tcp_are_blocked_mse_plays_and_says_why(walled: Stage) -> None:
    """The page waits for WebRTC, goes on by MSE, and names the network; a pause cuts that as well."""
    with chromium() as browser:
        page = walled.open(browser)
        seen = all_live(page, 60)[0]
        assert (seen["way"], seen["why"]) == ("mse", "network")
        said = page.evaluate(WORDS)
        assert "By MSE because the network blocks WebRTC" in said
        assert "about" in said
        page.locator("camhub-player").get_by_role("button", name="Why?").click()
        explained = page.locator("camhub-player").get_by_label("Why can I not see it?").inner_text()
        assert "Your network blocks" in explained or "The network you use blocks WebRTC" in explained
        assert "Try WebRTC again" in explained
        cut_by_a_pause(walled, page)


def test_a_site_that_is_not_listed_gets_no_picture(stage: Stage) -> None:
    """Neither over HTTP nor over a WebSocket, though it has a token."""
    with other_site() as elsewhere, chromium() as browser:
        page = browser.new_page()
        page.goto(elsewhere.page(stage.hub.url, stage.camera))
        said = page.evaluate(
            """([url, token]) => new Promise(done => {
              const socket = new WebSocket(url, ['camhub', 'camhub.bearer.' + token]);
              socket.onmessage = event => done(JSON.parse(event.data).problem?.code ?? 'pictures');
              socket.onclose = () => done('closed');
            })""",
            [f"{stage.hub.url.replace('http', 'ws', 1)}/api/v1/cameras/{stage.camera}/mse", stage.token],
        )
        assert said == "origin_refused"
        page.wait_for_function("() => customElements.get('camhub-player')")
        page.evaluate(START, stage.token)
        page.wait_for_function(f"() => ({STATES})()[0].state === 'reconnecting'", timeout=60_000)


@pytest.mark.firefox
@pytest.mark.skipif(bool(no_firefox()), reason=no_firefox() or "Firefox is there")
def test_firefox_reaches_live_by_mse_and_says_why(stage: Stage, tmp_path: Path) -> None:
    """It offers no H.264 over WebRTC without the plug-in that it downloads: the page says so and plays by MSE."""
    with firefox(tmp_path) as browser:
        assert browser.version.startswith("firefox/")
        browser.goto(stage.site.page(stage.hub.url, stage.camera))
        browser.wait("() => customElements.get('camhub-player') !== undefined")
        browser.call(f"() => ({START})({json.dumps(stage.token)})")
        browser.wait(f"() => ({STATES})()[0].state === 'live'", 60)
        seen = browser.call(f"() => JSON.stringify(({STATES})()[0])")
        assert (json.loads(seen)["way"], json.loads(seen)["why"]) == ("mse", "codec")
        assert "By MSE because the browser's WebRTC lacks the codec" in browser.call(WORDS)
        before = browser.call(f"() => ({FRAMES})()[0]")
        browser.wait(f"() => ({FRAMES})()[0] > {before} + 20", 30)
