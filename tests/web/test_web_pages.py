"""The pages as people use them, on a real hub with scripted cameras."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from web_world import LONGEST_NAME, PASSWORD, OpenPage, World

pytestmark = pytest.mark.browser

DIST = Path(__file__).resolve().parents[2] / "hub" / "web" / "dist"


def no_sideways_scroll(page: Page) -> bool:
    """Tell whether the page fits the width of the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_sign_in_names_one_message_and_then_the_cameras(world: World, open_page: OpenPage) -> None:
    """A wrong password gives one sentence and keeps the name; the right one opens the list."""
    page = open_page("/", None)
    page.fill("#username", "admin")
    page.fill("#password", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Tên hoặc mật khẩu chưa đúng")
    expect(page.locator("#username")).to_have_value("admin")
    expect(page.locator("#password")).to_be_focused()

    page.fill("#password", world.hub.passwords["admin"])
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Camera")
    expect(page.get_by_role("link", name=LONGEST_NAME)).to_be_visible()


def test_a_one_time_password_has_to_be_changed_first(world: World, open_page: OpenPage) -> None:
    """Somebody with a one-time password sees nothing but the change, and then the list."""
    added = world.hub.client.post(
        "/api/v1/users", json={"name": "moi", "display_name": "Người Mới", "role": "operator"}
    )
    one_time = added.json()["one_time_password"]
    page = open_page("/cameras", None)
    page.fill("#username", "moi")
    page.fill("#password", one_time)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Đổi mật khẩu")
    expect(page.get_by_role("navigation")).to_have_count(0)

    page.fill("#current", one_time)
    page.fill("#next", "short")
    page.keyboard.press("Enter")
    expect(page.locator("#next-error")).to_contain_text("5 ký tự")
    page.fill("#next", PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Camera")


def test_the_list_finds_without_accents_and_keeps_filters_in_the_address(
    world: World, open_page: OpenPage
) -> None:
    """Search ignores accents and đ/d, the filter is in the URL, and an empty answer offers to drop it."""
    page = open_page("/cameras")
    page.keyboard.press("/")
    page.keyboard.type("tran phu")
    expect(page.get_by_role("link", name="Cổng trước")).to_have_count(0)
    expect(page.get_by_role("link", name=LONGEST_NAME)).to_be_visible()
    expect(page).to_have_url(re.compile(r"q=tran\+phu"))

    page.fill("#camera-search", "không có camera nào tên này")
    expect(page.get_by_role("heading", name="Không có camera khớp 1 điều kiện")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Bỏ")).last.click()

    expect(page.get_by_role("link", name="Cổng trước")).to_be_visible()
    expect(page.locator("#camera-search")).to_have_value("")


def test_each_count_opens_a_list_with_exactly_that_many(world: World, open_page: OpenPage) -> None:
    """The numbers of the strip are filters, and agree with the rows they open."""
    page = open_page("/cameras")
    page.wait_for_selector("tbody tr")
    for button in page.locator(".strip .count:has(svg)").all():
        number = int(button.locator(".figure").inner_text())
        button.click()
        expect(page.locator("tbody tr")).to_have_count(number)
        button.click()


def test_the_keyboard_walks_the_list_and_opens_a_camera(world: World, open_page: OpenPage) -> None:
    """j and Enter open the first camera, Escape comes back; keys are dead inside a field."""
    page = open_page("/cameras")
    page.wait_for_selector("tbody tr")
    page.fill("#camera-search", "j")
    assert page.locator("#camera-search").input_value() == "j"
    page.fill("#camera-search", "")
    page.wait_for_selector("tbody tr:nth-child(2)")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".player")
    expect(page.get_by_role("heading", level=1)).to_be_focused()

    page.keyboard.press("Escape")

    expect(page.get_by_role("heading", level=1)).to_have_text("Camera")


def test_a_camera_is_added_from_its_address_step_by_step(world: World, open_page: OpenPage) -> None:
    """An address with its password is taken apart, permission is asked for, seven steps end in a decision."""
    camera = world.cameras[2]
    address = camera["rtsp"].replace("rtsp://", f"rtsp://{camera['user']}:{camera['password']}@")
    page = open_page("/cameras/new")
    page.fill("#address", address)
    page.get_by_role("button", name="Kiểm tra và thêm camera").click()
    expect(page.locator("#address")).to_have_value(camera["rtsp"])
    expect(page.locator("#password")).to_have_attribute("type", "password")
    expect(page.get_by_role("alert")).to_contain_text("Có 1 chỗ cần sửa")
    assert page.title().startswith("Lỗi:")
    assert camera["password"] not in page.content()

    page.check("#permission")
    page.get_by_role("button", name="Kiểm tra và thêm camera").click()

    expect(page.locator("ol .step")).to_have_count(7)
    expect(page.get_by_role("link", name="Mở trang camera")).to_be_visible(timeout=60_000)
    expect(page.locator(".courtesy")).to_contain_text("không thay đổi gì trên camera")
    page.get_by_role("link", name="Mở trang camera").click()
    page.wait_for_selector(".player")
    added = page.url.rsplit("/", 1)[1]
    assert world.hub.client.delete(f"/api/v1/cameras/{added}").status_code == 204


def test_an_address_that_is_enrolled_leads_to_its_camera(world: World, open_page: OpenPage) -> None:
    """Adding the same camera twice opens the one that is there, and nothing is written."""
    page = open_page("/cameras/new")
    page.fill("#address", world.cameras[1]["rtsp"])
    page.check("#permission")
    page.get_by_role("button", name="Kiểm tra và thêm camera").click()
    expect(page.get_by_role("alert")).to_contain_text("đã có trong danh mục")

    page.get_by_role("link", name="Mở camera đó").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Cổng trước")


def test_a_wrong_address_says_which_step_and_changes_nothing(world: World, open_page: OpenPage) -> None:
    """A port where nobody listens: the step, what was seen, what to do, and an unchanged catalog."""
    before = world.hub.client.get("/api/v1/cameras").json()["total"]
    page = open_page("/cameras/new")
    page.fill("#address", "rtsp://127.0.0.1:9/live")
    page.check("#permission")
    page.get_by_role("button", name="Kiểm tra và thêm camera").click()

    expect(page.get_by_role("alert")).to_be_visible(timeout=60_000)
    expect(page.locator("li.step.failed").first).to_contain_text("Địa chỉ")
    expect(page.get_by_text("Danh sách camera không thay đổi.")).to_be_visible()
    assert world.hub.client.get("/api/v1/cameras").json()["total"] == before


def test_the_maker_says_what_to_do_or_why_there_is_no_way(world: World, open_page: OpenPage) -> None:
    """Choosing a maker shows one paragraph; one without a route is refused at its field, and nothing is written."""
    before = world.hub.client.get("/api/v1/cameras").json()["total"]
    page = open_page("/cameras/new")
    page.select_option("#maker", "tapo")
    expect(page.get_by_text("Tài khoản camera").first).to_be_visible()

    page.select_option("#maker", "xiaomi")
    expect(page.get_by_text("Chưa có cách kết nối")).to_be_visible()
    page.fill("#address", "192.168.1.20")
    page.check("#permission")
    page.get_by_role("button", name="Kiểm tra và thêm camera").click()

    expect(page.locator("#maker-error")).to_contain_text("nên camhub không kết nối")
    assert world.hub.client.get("/api/v1/cameras").json()["total"] == before


def test_the_report_shows_what_was_not_seen_before_what_passed(world: World, open_page: OpenPage) -> None:
    """Decision, why, to do, not seen come first; passes are folded; the six numbers add up to the findings."""
    page = open_page(f"/cameras/{world.home}")
    report = page.locator("#panel-report")
    expect(report.get_by_role("heading", name="Chưa quan sát được")).to_be_visible()
    order = report.locator("h2").all_inner_texts()
    assert (
        order.index("Việc cần làm") < order.index("Chưa quan sát được") < order.index("Kết quả từng tiêu chí")
    )
    assessment = world.hub.client.get(f"/api/v1/cameras/{world.home}").json()["last_assessment"]
    shown = [int(text) for text in report.locator(".tally li strong").all_inner_texts()]
    assert sum(shown) == len(assessment["findings"]) == sum(assessment["counts"].values())
    assert report.locator("details[open]").count() == 0
    assert report.locator("details [data-clause]").count() > 0


def test_the_session_that_ended_keeps_the_page_and_its_text(world: World, open_page: OpenPage) -> None:
    """When the sign-in ends elsewhere, the password is asked for over the page, and what was typed is still there."""
    page = open_page("/cameras/new", own_session=True)
    page.fill("#address", "192.168.1.20")
    page.check("#permission")
    session = {one["name"]: one["value"] for one in page.context.cookies()}
    ended = httpx.post(
        f"{world.hub.url}/api/v1/logout", cookies=session, headers={"x-csrftoken": session["csrftoken"]}
    )
    assert ended.status_code == 204
    page.get_by_role("button", name="Kiểm tra và thêm camera").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Phiên đăng nhập đã hết")

    dialog.locator("#username").fill("admin")
    dialog.locator("#password").fill(world.hub.passwords["admin"])
    page.keyboard.press("Enter")

    expect(dialog).to_have_count(0)
    expect(page.locator("#address")).to_have_value("192.168.1.20")


@pytest.mark.parametrize(
    "path", ["/cameras", "/cameras/{street}", "/cameras/{street}?tab=facts", "/cameras/new", "/standards"]
)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_nothing_is_lost_at_320_pixels(world: World, open_page: OpenPage, path: str, language: str) -> None:
    """Every page fits a width of 320 px in both languages (200 % zoom of a small laptop)."""
    page = open_page(path.format(street=world.street), width=320, height=640, language=language)
    page.wait_for_timeout(600)
    assert no_sideways_scroll(page)


def test_nothing_is_loaded_from_outside() -> None:
    """The built pages name no other host, apart from names of XML namespaces and licences in comments."""
    for file in DIST.rglob("*"):
        if file.suffix not in {".html", ".js", ".css", ".svg"}:
            continue
        hosts = set(re.findall(r"https?://([a-z0-9.-]+)", file.read_text("utf-8")))
        assert hosts <= {"www.w3.org", "svelte.dev", "lucide.dev"}, (file.name, hosts)
