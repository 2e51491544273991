"""Tokens of programs on one's own page."""

import pytest
from playwright.sync_api import expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser


def test_a_token_is_made_shown_once_and_revoked(open_page: OpenPage, world: World) -> None:
    """Its value is in the dialog alone; a wrong password is told there; revoked, it is listed among the ended ones."""
    page = open_page("/me")
    page.get_by_role("button", name="Tạo mã truy cập").click()
    page.get_by_role("button", name="Tạo mã", exact=True).click()
    expect(page.get_by_text("Ghi mã này dùng cho việc gì")).to_be_visible()
    page.get_by_label("Dùng cho việc gì").fill("Báo cáo đêm")
    page.locator("#token-password").fill("khong dung mat khau")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("#token-password").fill(world.hub.passwords["admin"])
    page.keyboard.press("Enter")
    expect(page.get_by_text("Mã này chỉ hiện một lần")).to_be_visible()
    token = page.locator(".given").inner_text()
    assert token.startswith("camhub_")
    page.get_by_role("button", name="Tôi đã lưu mã").click()
    expect(page.get_by_text("Báo cáo đêm")).to_be_visible()
    assert token not in page.content()
    page.get_by_role("button", name="Thu hồi").click()
    page.get_by_role("dialog").get_by_role("button", name="Thu hồi").click()
    expect(page.get_by_text('Mã "Báo cáo đêm" đã kết thúc')).to_be_visible()
