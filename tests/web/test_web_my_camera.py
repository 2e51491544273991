"""The owner's page: who watches, pause, resume, change, withdraw."""

import re
import time

import pytest
from browser_support import picture
from patience import taken_away
from playwright.sync_api import Page, expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser


def watch(open_page: OpenPage, world: World) -> Page:
    """Open the household's camera as the administrator and wait for frames."""
    page = open_page(f"/cameras/{world.home}")
    page.get_by_role("button", name="Xem trực tiếp").click()
    page.wait_for_selector("[data-player-state=live]", timeout=60_000)
    return page


def test_the_owner_sees_who_watches_and_stops_it_with_one_tap(world: World, open_page: OpenPage) -> None:
    """Being watched is named with office, number and purpose; "Dừng ngay" blackens the other's picture within 2 s."""
    mine = open_page("/my", "hoa", width=390, height=844)
    other = watch(open_page, world)
    try:
        expect(mine.get_by_text("Đang có 1 người xem")).to_be_visible()
        expect(mine.locator(".watched")).to_contain_text("An ninh trật tự")
        with taken_away() as more:
            mine.get_by_role("button", name="Dừng ngay").click()
            pressed = time.monotonic()
            other.wait_for_selector("[data-player-state=paused]", timeout=60_000)
            assert time.monotonic() - pressed < 2 + more()
        assert picture(other)["width"] == 0
        expect(other.get_by_text("Chủ camera đang tạm dừng chia sẻ").first).to_be_visible()
        expect(mine.get_by_text(re.compile(r"[12] phiên đang xem vừa bị ngắt"))).to_be_visible()

        mine.get_by_role("button", name="Bật lại").click()

        expect(other.get_by_role("button", name="Xem trực tiếp")).to_be_visible()
    finally:
        world.resume_home()


@pytest.mark.parametrize("choice", ["1 giờ", "Đến 6 giờ sáng mai", "Đến khi bật lại"])
def test_a_pause_is_one_tap_and_all_choices_weigh_the_same(
    world: World, open_page: OpenPage, choice: str
) -> None:
    """Three pauses of one size and one kind, each at work at once; resuming is one tap too."""
    page = open_page("/my", "hoa", width=390, height=844)
    buttons = page.locator(".pauses button")
    expect(buttons).to_have_count(3)
    sizes = {
        (round(box["width"]), round(box["height"])) for one in buttons.all() if (box := one.bounding_box())
    }
    assert len(sizes) == 1
    assert next(iter(sizes))[1] >= 44
    try:
        page.get_by_role("button", name=choice, exact=True).click()
        expect(page.locator("article header")).to_contain_text("Đang tạm dừng")
        sharing = world.hub.client.get(f"/api/v1/cameras/{world.home}").json()["sharing"]
        assert sharing["paused"]
        assert (sharing["paused_until"] is None) == (choice == "Đến khi bật lại")
        page.get_by_role("button", name="Bật lại").click()
        expect(buttons).to_have_count(3)
    finally:
        world.resume_home()


def test_every_view_is_listed_for_the_owner(world: World, open_page: OpenPage) -> None:
    """Who watched: time, office, number, purpose and length, without a person's name."""
    other = watch(open_page, world)
    other.get_by_role("button", name="Dừng xem").click()
    page = open_page(f"/my/{world.home}/views", "hoa", width=390, height=844)
    first = page.locator("main li").first
    expect(first).to_contain_text("An ninh trật tự")
    expect(first).to_contain_text("xem trực tiếp")
    expect(first).to_contain_text("số")


def test_the_level_is_changed_by_signing_and_withdrawn_without_a_reason(
    world: World, open_page: OpenPage
) -> None:
    """A new level needs a name under it; agreeing and leaving weigh the same; withdrawing closes the picture to all."""
    page = open_page(f"/my/{world.home}/sharing", "hoa", width=390, height=844)
    page.wait_for_load_state("networkidle")  # the level in force has come: it is what the form begins with
    page.get_by_text("Chỉ đăng ký", exact=True).click()
    agree = page.get_by_role("button", name="Đồng ý chia sẻ")
    keep = page.get_by_role("link", name="Giữ nguyên")
    one, two = agree.bounding_box(), keep.bounding_box()
    assert one is not None
    assert two is not None
    assert abs(one["width"] - two["width"]) < 2
    assert abs(one["height"] - two["height"]) < 2
    agree.click()
    expect(page.locator("#signed-by-error")).to_be_visible()
    page.fill("#signed-by", "Lê Thị Hoà")
    agree.click()
    expect(page.get_by_text("Đã ghi nhận")).to_be_visible()
    camera = world.hub.client.get(f"/api/v1/cameras/{world.home}").json()
    assert camera["sharing"]["mode"] == "registered"
    assert not camera["viewable"]["allowed"]

    page.get_by_role("button", name="Rút lại đồng ý").click()
    page.get_by_role("dialog").get_by_role("button", name="Rút lại").click()

    expect(page.get_by_text("Bạn đã rút lại đồng ý")).to_be_visible()
    camera = world.hub.client.get(f"/api/v1/cameras/{world.home}").json()
    assert camera["sharing"]["consent"] == "withdrawn"
    give_back(world)


def give_back(world: World) -> None:
    """Sign the consent of the beginning again."""
    text = world.hub.client.get("/api/v1/consents/text").json()
    with world.client("hoa") as owner:
        body = {
            "camera_id": world.home,
            "sharing_mode": "always",
            "purposes": ["public_safety", "incident"],
            "recipients": [{"area": "", "role": "admin"}, {"area": "", "role": "operator"}],
            "text_version": text["version"],
            "signed_by": "Lê Thị Hoà",
        }
        assert owner.post("/api/v1/consents", json=body).status_code == 201
