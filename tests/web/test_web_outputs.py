"""Outputs for other systems on the camera page: given, shown once, taken back."""

import re

import av
import pytest
from playwright.sync_api import expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser


def test_an_output_is_given_shown_once_and_taken_back(world: World, open_page: OpenPage) -> None:
    """What is missing is said and focused; the address plays; it stands nowhere afterwards; revoked, it moves to those that ended."""
    page = open_page(f"/cameras/{world.street}?tab=sharing")
    card = page.get_by_role("region", name="Luồng ra cho hệ thống khác")
    expect(card.get_by_text("Chưa có hệ thống nào khác")).to_be_visible()
    card.get_by_role("button", name="Tạo luồng ra mới").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Tạo luồng ra", exact=True).click()
    expect(dialog.get_by_text("Hãy ghi tên bên nhận hình")).to_be_visible()
    expect(dialog.get_by_label("Bên nhận", exact=True)).to_be_focused()

    dialog.get_by_label("Bên nhận", exact=True).fill("VMS Công an phường")
    dialog.get_by_label("Lý do").fill("Kế hoạch 12/KH-UBND")
    dialog.get_by_role("button", name="Tạo luồng ra", exact=True).click()
    address = dialog.get_by_text(re.compile("^rtsp://"))
    expect(address).to_be_visible()
    url = address.inner_text()
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=30) as container:
        assert next(container.decode(video=0)).width >= 1280
        expect(card.get_by_text("Đang lấy hình")).to_be_visible(timeout=60_000)
    dialog.get_by_role("button", name="Tôi đã lưu địa chỉ").click()
    assert url.rpartition("/")[2] not in page.content()

    card.get_by_role("button", name="Thu hồi").click()
    dialog.get_by_role("button", name="Thu hồi").click()
    expect(card.get_by_role("status")).to_contain_text("không còn được lấy hình")
    expect(card.get_by_text("1 luồng đã kết thúc")).to_be_visible()
