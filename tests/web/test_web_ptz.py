"""The pad that moves a camera, in a real browser, against a scripted dome."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hub_support import onboard, simulators
from playwright.sync_api import expect
from web_world import OpenPage, World

pytestmark = pytest.mark.browser


@pytest.fixture
def dome(world: World) -> Iterator[str]:
    """A municipal camera that can be moved; it leaves the catalog behind the test."""
    with simulators("dome-ptz") as (camera,):
        entry = onboard(
            world.hub,
            camera["onvif"],
            camera["user"],
            camera["password"],
            name="Quảng trường",
            keep_unreachable=True,
        )
        assert entry["camera_id"], entry
        yield str(entry["camera_id"])
        world.hub.client.delete(f"/api/v1/cameras/{entry['camera_id']}")


def commands(world: World, camera_id: str, count: int) -> list[Any]:
    """Return the newest commands in the log, oldest first, once there are so many."""
    end_s = time.monotonic() + 60
    while True:
        query: dict[str, str | int] = {"kind": "ptz.command", "camera": camera_id, "limit": 50}
        kept = world.hub.client.get("/api/v1/audit", params=query).json()["items"]
        told = [one["data"] for one in reversed(kept) if one["data"]["command"] != "presets"]
        if len(told) >= count or time.monotonic() > end_s:
            return told
        time.sleep(0.05)


def test_the_camera_moves_while_a_button_is_held(world: World, open_page: OpenPage, dome: str) -> None:
    """An administrator approves; holding moves and letting go stops, by pointer and by keys; a preset is one press."""
    page = open_page(f"/cameras/{dome}")
    page.get_by_role("button", name="Ghi nhận chấp thuận").click()
    page.get_by_label("Người chấp thuận").fill("Nguyễn Văn A")
    page.get_by_role("button", name="Ghi nhận", exact=True).click()
    page.get_by_role("button", name="Mở bảng điều khiển").click()
    pad = page.get_by_role("group", name="Bảng điều khiển")
    expect(pad).to_be_visible()

    pad.get_by_role("button", name="Quay phải").hover()
    page.mouse.down()
    (moved,) = commands(world, dome, 1)
    assert (moved["command"], moved["pan"] > 0) == ("move", True)
    page.mouse.up()
    assert commands(world, dome, 2)[1]["command"] == "stop"

    pad.focus()
    page.keyboard.down("ArrowUp")
    assert commands(world, dome, 3)[2]["tilt"] > 0
    page.keyboard.up("ArrowUp")
    assert commands(world, dome, 4)[3]["command"] == "stop"

    page.keyboard.down("ArrowLeft")
    commands(world, dome, 5)
    page.get_by_role("button", name="Bãi xe").focus()  # the focus leaves the pad with the key still down
    assert commands(world, dome, 6)[5]["command"] == "stop"
    page.keyboard.up("ArrowLeft")
    page.get_by_role("button", name="Bãi xe").click()
    assert commands(world, dome, 7)[6] == {"command": "preset", "preset": "2"}
