"""WCAG 2.2 AA as far as axe can tell, in both themes; keyboard focus that can be seen; player states that are spoken."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """() => axe.run(document, {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  rules: { 'target-size': { enabled: true } },
}).then((result) => result.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.html.slice(0, 160) + ' ' + node.failureSummary.slice(0, 200)).join(' | ')))"""
DARK = RUN.replace(
    "runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],\n  rules: { 'target-size': { enabled: true } },",
    "runOnly: { type: 'rule', values: ['color-contrast'] },",
)
assert DARK != RUN
PAGES = [
    (None, "/"),
    ("admin", "/cameras"),
    ("admin", "/cameras/{street}?clause=TIM-02"),
    ("admin", "/cameras/{street}?tab=history"),
    ("admin", "/cameras/{street}?tab=whatif&rule=TIM-02"),
    ("admin", "/cameras/{home}?tab=facts"),
    ("admin", "/cameras/{home}?tab=sharing"),
    ("admin", "/cameras/new"),
    ("admin", "/wall?n=16"),
    ("admin", "/standards/vn-municipal-2026?rule=TIM-02&try=TIM-02&with=base"),
    ("admin", "/cameras/{street}?tab=declarations"),
    ("admin", "/cameras/{street}?tab=condition"),
    ("admin", "/cameras/{street}?tab=events"),
    ("admin", "/statements"),
    ("admin", "/alerts"),
    ("admin", "/census"),
    ("admin", "/audit"),
    ("admin", "/users"),
    ("admin", "/me"),
    ("hoa", "/my"),
    ("hoa", "/my/{home}/sharing"),
]


@pytest.mark.skipif(not AXE.is_file(), reason="browser: needs the npm packages of web/: make dev")
@pytest.mark.parametrize(("who", "path"), PAGES)
def test_axe_finds_nothing(world: World, open_page: OpenPage, who: str | None, path: str) -> None:
    """No violation on any page, contrast and target size included; in the dark the contrast, which alone is another one."""
    page = open_page(path.format(street=world.street, home=world.home), who, bypass_csp=True)
    page.wait_for_timeout(500)
    page.add_script_tag(path=AXE)
    assert page.evaluate(RUN) == []
    page.add_style_tag(
        content="*, *::before, *::after { transition: none !important }"
    )  # colours fade into each other
    page.evaluate("() => { document.documentElement.dataset.theme = 'dark' }")
    assert page.evaluate(DARK) == []


@pytest.mark.skipif(not AXE.is_file(), reason="browser: needs the npm packages of web/: make dev")
@pytest.mark.parametrize(
    ("who", "path"), [("admin", "/cameras"), ("admin", "/cameras/{street}"), ("hoa", "/my")]
)
def test_axe_finds_nothing_on_a_phone(world: World, open_page: OpenPage, who: str, path: str) -> None:
    """No violation in the narrow layout either, where words give way to symbols."""
    page = open_page(path.format(street=world.street), who, width=390, height=844, bypass_csp=True)
    page.wait_for_timeout(500)
    page.add_script_tag(path=AXE)
    assert page.evaluate(RUN) == []


def test_the_first_tab_leads_past_the_navigation(open_page: OpenPage) -> None:
    """The skip link is first, can be seen when focused, and leads to the content."""
    page = open_page("/standards")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Đến nội dung chính")).to_be_focused()
    box = page.get_by_text("Đến nội dung chính").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_player_says_its_state_to_a_screen_reader(world: World, open_page: OpenPage) -> None:
    """Space starts and stops; the state is spoken politely, the running clock is not."""
    page = open_page(f"/cameras/{world.street}")
    page.wait_for_selector(".watch")
    page.keyboard.press("Space")
    status = page.locator(".player [role=status]")
    expect(status).to_have_text("Trực tiếp", timeout=60_000)
    expect(status).to_have_attribute("aria-live", "polite")
    expect(page.locator(".player .when")).to_have_attribute("aria-hidden", "true")
    page.keyboard.press("Space")
    expect(page.locator(".watch")).to_be_visible()
