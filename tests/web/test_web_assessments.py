"""Reports, their clauses, trials and standards as people read them."""

import re

import pytest
from playwright.sync_api import Page, expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser
LIMIT = "#limit-TIM-02-max_offset_s"


def test_a_clause_opens_by_link_to_its_evidence_and_keys_walk_the_list(
    world: World, open_page: OpenPage
) -> None:
    """A link opens one clause with three values, evidence and sources; j, Enter and Escape work; filters stand in the URL."""
    page = open_page(f"/cameras/{world.street}?clause=TIM-02")
    body = page.locator("#clause-TIM-02-body")
    expect(body.locator(".three dt")).to_have_text(["Khai báo", "Đo được", "Yêu cầu"])
    expect(body).to_contain_text("GetSystemDateAndTime")
    expect(body).to_contain_text("hiệu lực từ")
    body.get_by_text("Trích trả lời của camera").first.click()
    expect(body.locator(".hash .mono").first).to_have_text(re.compile("^[0-9a-f]{64}$"))
    page.keyboard.press("Escape")
    expect(body).to_have_count(0)

    page.locator("#clause-verdict").select_option("PASS")
    expect(page).to_have_url(re.compile("verdict=PASS"))
    expect(page.locator("[data-clause]").first).to_be_visible()
    page.locator("h1").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("[data-clause]").nth(1)
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    expect(second).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("k")
    expect(page.locator("[data-clause]").first).to_be_focused()


def test_a_report_is_fetched_by_the_keyboard_in_either_language(world: World, open_page: OpenPage) -> None:
    """The menu opens by an arrow, walks by arrows, closes by Escape onto its button, and names form and language."""
    page = open_page(f"/cameras/{world.street}")
    button = page.get_by_role("button", name="Tải báo cáo")
    button.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitemradio", name="Tiếng Việt")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitemradio", name="English")).to_have_attribute("aria-checked", "true")
    assert page.get_by_role("menuitem").count() == 8
    page.keyboard.press("End")
    expect(page.get_by_role("menuitem", name="JUnit")).to_be_focused()
    with page.expect_download() as waiting:
        page.get_by_role("menuitem", name="CSV").click()
    assert re.fullmatch(r"camhub-camera-nga-tu-tran-phu-.*-en\.csv", waiting.value.suggested_filename)
    page.get_by_role("menuitem", name="CSV").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(button).to_be_focused()


def test_a_trial_is_marked_as_one_and_leaves_no_assessment(world: World, open_page: OpenPage) -> None:
    """A changed limit shows what would turn, says that it is a trial, refuses words, and the history stays as long."""
    where = f"/api/v1/cameras/{world.street}/assessments"
    before = world.hub.client.get(where).json()["total"]
    page = open_page(f"/cameras/{world.street}?tab=whatif&rule=TIM-02")
    page.fill(LIMIT, "soon")
    page.get_by_role("button", name="Tính thử").click()
    expect(page.locator(LIMIT)).to_have_attribute("aria-invalid", "true")

    page.fill(LIMIT, "0,000001")
    page.get_by_role("button", name="Tính thử").click()

    expect(page.get_by_text("Bản thử, không phải kết luận")).to_be_visible()
    expect(page.locator(".compared")).to_contain_text("TIM-02")
    assert world.hub.client.get(where).json()["total"] == before


def _rows(page: Page) -> int:
    return int(re.sub(r"\D", "", page.locator(".status span").first.inner_text()))


def test_a_standard_is_read_compared_and_tried(world: World, open_page: OpenPage) -> None:
    """Search finds a rule without accents, d compares, a count opens as many cameras, a trial names who would fall."""
    page = open_page("/standards/technical")
    page.keyboard.press("/")
    page.keyboard.type("dong ho camera dung")
    page.locator("[data-rule=TIM-02]").click()
    expect(page.locator("article h2")).to_have_text("Đồng hồ camera đúng giờ")
    expect(page.locator("article")).to_contain_text("Camera của cơ quan")
    page.locator("h1").focus()
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Khác gì so với")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Khác gì so với")).to_have_count(0)

    failing = world.hub.client.get("/api/v1/standards/technical/failing").json()["rules"]
    if failing:
        rule, number = next(iter(failing.items()))
        page.goto(f"{world.hub.url}/standards/technical?rule={rule}")
        page.get_by_role("link", name=re.compile("camera không đạt")).click()
        page.wait_for_selector("[data-row]")
        assert _rows(page) == number

    page.goto(f"{world.hub.url}/standards/technical?rule=TIM-02&try=TIM-02")
    page.fill(LIMIT, "0,000001")
    page.locator("form button[type=submit]").click()
    expect(page.get_by_text("Bản thử, không phải kết luận")).to_be_visible()


@pytest.mark.parametrize(("language", "width"), [("vi", 390), ("en", 320)])
def test_reports_and_standards_fit_a_phone(
    world: World, open_page: OpenPage, language: str, width: int
) -> None:
    """No page scrolls sideways, with a clause open, a comparison shown, a rule read."""
    page = open_page("/standards", width=width, language=language)
    for path in (
        f"/cameras/{world.street}?clause=TIM-02",
        f"/cameras/{world.street}?tab=history",
        f"/cameras/{world.street}?tab=whatif&rule=TIM-02",
        "/standards/vn-municipal-2026?rule=TIM-02&try=TIM-02&with=base",
    ):
        page.goto(world.hub.url + path)
        page.wait_for_selector("h1")
        page.wait_for_selector("article, .panel .card")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
