"""The Push tab of a camera that is pushed: a token for its encoder is made, shown once, taken back."""

import pytest
from hub_support import onboard
from playwright.sync_api import expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser


def test_a_publishing_token_is_made_shown_once_and_taken_back(world: World, open_page: OpenPage) -> None:
    """What is missing is said and focused; address and token stand in the dialog alone; revoked, it moves to those that ended."""
    camera = onboard(world.hub, "whip://", name="Camera đẩy")["camera_id"]
    page = open_page(f"/cameras/{camera}?tab=push")
    card = page.get_by_role("region", name="Mã phát", exact=True)
    expect(card.get_by_text("Chưa bộ mã hoá nào được phát")).to_be_visible()
    card.locator(".head .btn").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[type=submit]").click()
    expect(dialog.locator("#push-name")).to_be_focused()
    expect(dialog.locator("#push-name")).to_have_attribute("aria-invalid", "true")

    dialog.locator("#push-name").fill("Bộ mã hoá cổng Bắc")
    page.keyboard.press("Enter")
    expect(dialog.locator(".given")).to_have_count(2)
    address, token = dialog.locator(".given").all_inner_texts()
    assert address == f"{world.hub.url}/whip/{camera}"
    dialog.locator(".btn.primary").click()
    expect(card.get_by_text("Bộ mã hoá cổng Bắc")).to_be_visible()
    assert token not in page.content()

    card.get_by_role("button", name="Thu hồi").click()
    page.get_by_role("dialog").get_by_role("button", name="Thu hồi").click()
    expect(card.get_by_role("status")).to_contain_text("Bộ mã hoá cổng Bắc")
    expect(card.locator("summary")).to_be_visible()
    expect(card.get_by_role("button", name="Thu hồi")).to_have_count(0)
    world.hub.client.delete(f"/api/v1/cameras/{camera}")
