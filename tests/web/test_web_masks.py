"""Private zones on the camera's page, in a real browser: drawn with the mouse, set by the keyboard, kept by the hub."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser


@pytest.fixture
def unmasked(world: World) -> Iterator[str]:
    """The street camera's zones; none are left behind."""
    where = f"/api/v1/cameras/{world.street}/masks"
    yield where
    world.hub.client.put(where, json={"zones": []})


def test_zones_are_drawn_and_set_by_keys(world: World, open_page: OpenPage, unmasked: str) -> None:
    """A rectangle by the mouse, another by keys alone; both are kept as polygons, and one is removed again."""
    page = open_page(f"/cameras/{world.street}?tab=masks")
    picture = page.get_by_role("img", name="với 0 vùng")
    expect(picture).to_be_visible()
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.35, box["y"] + box["height"] * 0.6, steps=3)
    page.mouse.up()
    expect(page.get_by_role("group", name="Vùng 1")).to_be_visible()

    page.get_by_role("button", name="Thêm vùng").press("Enter")
    left = page.get_by_role("group", name="Vùng 2").get_by_label("Trái, %")
    left.focus()
    left.press("Control+A")
    page.keyboard.type("70")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Lưu vùng che").press("Enter")
    expect(page.get_by_text("Đã lưu. Các lượt xem")).to_be_visible()

    first, second = world.hub.client.get(unmasked).json()["zones"]
    assert first[0] == pytest.approx([0.1, 0.2], abs=0.02)
    assert first[2] == pytest.approx([0.35, 0.6], abs=0.02)
    assert second == [[0.7, 0.4], [0.9, 0.4], [0.9, 0.6], [0.7, 0.6]]

    page.get_by_role("button", name="Xoá vùng 1").press("Enter")
    with page.expect_response(lambda answer: answer.request.method == "PUT" and "masks" in answer.url):
        page.get_by_role("button", name="Lưu vùng che").press("Enter")
    expect(page.get_by_role("img", name="với 1 vùng")).to_be_visible()
    expect(page.get_by_role("button", name="Lưu vùng che")).to_have_attribute("aria-disabled", "true")
    assert len(world.hub.client.get(unmasked).json()["zones"]) == 1
