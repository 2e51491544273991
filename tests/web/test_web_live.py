"""Live pictures on the pages: brought back to now, nothing left behind by many beginnings, a wall that turns by itself."""

import pytest
from playwright.sync_api import Page, expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser

STATE = "name => document.querySelector('section.player')?.dataset.playerState === name"
# The first connection's pictures were taken 4 s ago, those of any other just now.
LATE = """() => {
  const Real = RTCPeerConnection, count = HTMLVideoElement.prototype.requestVideoFrameCallback;
  window.made = 0;
  window.RTCPeerConnection = class extends Real { constructor(...told) { super(...told); window.made += 1; } };
  HTMLVideoElement.prototype.requestVideoFrameCallback = function (done) {
    return count.call(this, (now, told) => done(now, {
      width: told.width, height: told.height, expectedDisplayTime: now, captureTime: now - (window.made > 1 ? 50 : 4000) }));
  };
}"""
# A tab in the background; its half minute of grace passes at once.
AWAY = """() => {
  const wait = window.setTimeout;
  window.setTimeout = (done, ms, ...told) => wait(done, ms === 30_000 ? 50 : ms, ...told);
  window.away = (gone) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => gone });
    document.dispatchEvent(new Event('visibilitychange'));
  };
}"""
# What holds a line or memory: made, and given back.
HELD = """() => {
  const held = window.held = { made: 0, open: 0, urls: 0 };
  const count = (name) => {
    const Real = window[name];
    window[name] = class extends Real {
      constructor(...told) { super(...told); held.made += 1; held.open += 1; this.counted = true; }
      close(...told) { super.close(...told); if (this.counted) { this.counted = false; held.open -= 1; } }
    };
  };
  count('RTCPeerConnection');
  count('WebSocket');
  const give = URL.createObjectURL, back = URL.revokeObjectURL;
  URL.createObjectURL = (what) => { held.urls += 1; return give.call(URL, what); };
  URL.revokeObjectURL = (what) => { held.urls -= 1; back.call(URL, what); };
}"""
# Presses Space until so many connections were begun, each time as soon as the hub has allowed the view.
AGAIN = """wanted => new Promise((done) => {
  const press = () => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: ' ', bubbles: true, cancelable: true }));
  const timer = setInterval(() => {
    const state = document.querySelector('section.player')?.dataset.playerState;
    if (state === 'asking') return;
    if (state === 'idle' && held.made >= wanted) { clearInterval(timer); done(held); return; }
    press();
  }, 20);
})"""


def watched(page: Page) -> None:
    """Press play, and wait until the picture moves."""
    page.locator(".watch").click()
    page.wait_for_function(STATE, arg="live", timeout=60_000)


def test_a_late_picture_is_brought_back_to_now(world: World, open_page: OpenPage) -> None:
    """Its delay is told with a button, which connects anew; then there is neither."""
    page = open_page(f"/cameras/{world.street}")
    page.wait_for_selector(".watch")
    page.evaluate(LATE)
    watched(page)
    expect(page.locator(".player .state")).to_contain_text("trễ 4,0 giây")
    page.get_by_role("button", name="Về hiện tại").click()
    expect(page.locator(".player .state")).to_contain_text("trễ 0,1 giây")
    expect(page.get_by_role("button", name="Về hiện tại")).to_have_count(0)
    assert page.evaluate("made") == 2
    page.keyboard.press("Space")


def test_a_page_that_nobody_sees_ends_its_view_and_goes_on_with_who_comes_back(
    world: World, open_page: OpenPage
) -> None:
    """It says since when, and is live again without being asked: nobody decided that it should stop."""
    page = open_page(f"/cameras/{world.street}")
    page.wait_for_selector(".watch")
    page.evaluate(AWAY)
    watched(page)
    page.evaluate("away(true)")
    page.wait_for_function(STATE, arg="ended")
    expect(page.locator("section.player .title")).to_contain_text("để đỡ tốn đường truyền")
    page.evaluate("away(false)")
    page.wait_for_function(STATE, arg="live", timeout=60_000)
    page.keyboard.press("Space")


@pytest.mark.parametrize("way", ["webrtc", "mse"])
def test_views_one_after_the_other_leave_nothing_open(world: World, open_page: OpenPage, way: str) -> None:
    """Connections, sockets and addresses of media are given back with each; the next one plays."""
    page = open_page(f"/cameras/{world.street}")
    page.wait_for_selector(".watch")
    page.evaluate(HELD)
    if way == "mse":  # a browser whose WebRTC decodes nothing of what could come
        page.evaluate("() => { RTCRtpReceiver.getCapabilities = () => ({ codecs: [] }); }")
        page.evaluate(
            "() => { history.pushState({}, '', '/me'); dispatchEvent(new PopStateEvent('popstate')); }"
        )
        page.wait_for_selector("section.player", state="detached")
        page.go_back()
        page.wait_for_selector(".watch")
    held = page.evaluate(AGAIN, 6)
    assert held["made"] >= 6
    assert (held["open"], held["urls"]) == (0, 0)
    watched(page)
    assert page.locator("section.player").get_attribute("data-way") == way
    page.keyboard.press("Space")
    page.wait_for_function(STATE, arg="idle")
    assert page.evaluate("[held.open, held.urls]") == [0, 0]


def test_the_wall_turns_its_pages_by_itself_only_where_it_is_asked_to(
    world: World, open_page: OpenPage
) -> None:
    """After the chosen seconds the next page, after the last the first; paused by its key it stays."""
    page = open_page("/wall?n=1")
    total = world.hub.client.get("/api/v1/cameras", params={"limit": 1}).json()["total"]
    expect(page.get_by_text(f"1–1 trong {total}")).to_be_visible()
    page.clock.install()
    page.locator(".heading .btn.primary").click()
    page.clock.run_for(16_000)
    expect(page.get_by_text(f"1–1 trong {total}")).to_be_visible()  # never unless asked for

    page.locator("#wall-cycle").select_option("15")
    page.evaluate("() => document.activeElement.blur()")
    for at in [*range(2, total + 1), 1]:
        expect(page.locator("[data-cycle]")).to_contain_text("15")
        page.clock.run_for(15_500)
        expect(page.get_by_text(f"{at}–{at} trong {total}")).to_be_visible()
    page.keyboard.press("c")
    page.clock.run_for(16_000)
    expect(page.get_by_text(f"1–1 trong {total}")).to_be_visible()
    expect(page.locator("[data-cycle]")).to_have_text("Đang dừng chuyển trang")
