"""`camhub demo`: nine cameras, the good ones play, a donor's pause goes black, everything stops on Ctrl-C."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from browser_support import assert_moving, black_within, chromium
from hub_support import CAMHUB, decided, free_port, login, read_until, stop
from playwright.sync_api import Browser
from test_live_view import press_play, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Demo:
    """A running demo."""

    url: str
    passwords: dict[str, str]
    roles: dict[str, str]
    cameras: dict[str, dict[str, object]]  # by preset, told by its decision and codec


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """One demo for all tests here; told to stop it ends well, and leaves no process behind."""
    port = free_port()
    process = subprocess.Popen(
        [*CAMHUB, "demo", "--no-browser", "--json", "--port", str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        _, printed = read_until(process, r"(?m)^\{.*\}$", 180)
        ready = json.loads(printed)
        passwords = {user["name"]: user["password"] for user in ready["users"]}
        with closing(login(ready["url"], "admin", passwords["admin"])) as client:
            items = client.get("/api/v1/cameras").json()["items"]
        assert ready["url"] == f"http://127.0.0.1:{port}"
        roles = {user["name"]: user["role"] for user in ready["users"]}
        yield Demo(ready["url"], passwords, roles, {item["name"]: item for item in items})
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) >= 2
    finally:
        stop(process)
    assert process.returncode == 0
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with chromium() as started:
        yield started


def test_nine_cameras_get_the_decisions_of_their_presets(demo: Demo) -> None:
    """The demo's catalog shows nine cameras with the decisions of the presets' table."""
    decisions = sorted(decided(camera) for camera in demo.cameras.values())

    assert decisions == sorted(["ADMITTED"] * 3 + ["CONDITIONAL"] * 3 + ["REJECTED"] * 2 + ["PENDING"])


def test_its_people_may_sign_in_and_the_donor_sees_their_own(demo: Demo) -> None:
    """Five roles with passwords that stay; the donor's two cameras may be seen, one of them as a test only."""
    assert list(demo.roles.values()) == ["admin", "operator", "viewer", "inspector", "donor"]
    for name, role in demo.roles.items():
        with closing(login(demo.url, name, demo.passwords[name])) as client:
            assert client.get("/api/v1/me").json()["must_change_password"] is False
            if role == "donor":
                mine = client.get("/api/v1/cameras").json()["items"]
                assert {item["viewable"]["test_only"] for item in mine} == {True, False}
                assert all(item["viewable"]["allowed"] for item in mine)


def test_every_camera_that_may_be_seen_plays(demo: Demo, browser: Browser) -> None:
    """Each viewable H.264 camera plays, its first frame within a second of pressing play (measured, printed)."""
    page = sign_in(browser, demo.url, "admin", demo.passwords["admin"])
    playable = [
        camera
        for camera in demo.cameras.values()
        if camera["viewable"]["allowed"] and camera["playback"]["codec"] == "H264"  # type: ignore[index]
    ]
    assert len(playable) == 5

    for camera in playable:
        took = press_play(page, demo.url, str(camera["id"]))
        print(f"first frame of {camera['name']} after {took:.2f} s")
        assert_moving(page)
    page.context.close()


def test_an_h265_camera_plays_where_no_browser_takes_it_and_says_why(demo: Demo, browser: Browser) -> None:
    """Debian's Chromium has no H.265: it gets the camera's other stream or a transcode, and is told so."""
    page = sign_in(browser, demo.url, "admin", demo.passwords["admin"])
    camera = next(c for c in demo.cameras.values() if c["playback"]["codec"] == "H265")  # type: ignore[index]

    press_play(page, demo.url, str(camera["id"]))
    assert_moving(page)
    page.wait_for_function(
        "() => document.querySelector('[data-player-state]')?.textContent.includes('H.265')"
    )
    page.context.close()


def test_a_donors_pause_goes_black_within_two_seconds(demo: Demo, browser: Browser) -> None:
    """The donor presses pause; the operator's playing picture stops within 2 s and says why; resuming allows it again."""
    camera = next(
        c
        for c in demo.cameras.values()
        if c["custodian"]["kind"] == "household" and c["viewable"]["allowed"]  # type: ignore[index]
    )
    page = sign_in(browser, demo.url, "admin", demo.passwords["admin"])
    press_play(page, demo.url, str(camera["id"]))
    assert_moving(page)
    with closing(login(demo.url, "donor", demo.passwords["donor"])) as donor:
        with black_within(2.0, page):
            paused = donor.post(f"/api/v1/cameras/{camera['id']}/pause", json={})
            assert paused.status_code == 200, paused.text

        assert paused.json()["ended_views"] == 1
        page.wait_for_selector("[data-player-state=paused]", timeout=60_000)
        assert "Chủ camera đang tạm dừng" in page.inner_text("[data-player-state]")
        snapshot = httpx.get(f"{demo.url}/api/v1/cameras/{camera['id']}/snapshot.jpg")
        assert snapshot.status_code == 401
        views = donor.get(f"/api/v1/cameras/{camera['id']}/views").json()
        assert views["items"][0]["ended_cause"] == "paused"
        assert donor.post(f"/api/v1/cameras/{camera['id']}/resume").status_code == 200
    press_play(page, demo.url, str(camera["id"]))
    assert_moving(page)
    page.context.close()
