"""One hub with scripted cameras for all tests of the pages: an authority's, a household's with its consent, one to add."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from browser_support import chromium
from hub_support import onboard, serving, simulators
from playwright.sync_api import Browser, BrowserContext, Page
from web_world import LONGEST_NAME, OpenPage, World, add_person


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start everything once."""
    data: Path = tmp_path_factory.mktemp("hub")
    with (
        simulators("good-onvif", "household-no-onvif", "low-resolution") as cameras,
        serving(data, CAMHUB_RELAY__RTSP_PORT="0") as hub,
    ):
        street, home, _ = cameras
        text = hub.client.get("/api/v1/consents/text").json()
        consent = {
            "sharing_mode": "always",
            "purposes": ["public_safety", "incident"],
            "recipients": [{"area": "", "role": "admin"}, {"area": "", "role": "operator"}],
            "text_version": text["version"],
            "signed_by": "Lê Thị Hoà",
        }
        with ThreadPoolExecutor(1) as beside:
            adding = beside.submit(
                onboard, hub, street["onvif"], street["user"], street["password"], name=LONGEST_NAME
            )
            second = onboard(
                hub,
                home["rtsp"],
                home["user"],
                home["password"],
                name="Cổng trước",
                custodian={"kind": "household", "name": "Lê Thị Hoà"},
                consent=consent,
            )
            first = adding.result()
        assert first["camera_id"], first
        assert second["camera_id"], second
        camera = hub.client.get(f"/api/v1/cameras/{second['camera_id']}").json()
        add_person(hub, "hoa", "donor", custodian_id=camera["custodian"]["id"])
        yield World(hub, str(first["camera_id"]), str(second["camera_id"]), cameras)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of one file."""
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Browser, world: World) -> Iterator[OpenPage]:
    """Return a function that opens a page in a context of its own, signed in or not; faults of the page fail the test.

    The pages of a person share one session, but for one that ends it (`own_session`).
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_one(
        path: str,
        who: str | None = "admin",
        *,
        width: int = 1280,
        height: int = 800,
        language: str = "vi",
        theme: str = "light",
        bypass_csp: bool = False,
        own_session: bool = False,
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, bypass_csp=bypass_csp)
        contexts.append(context)
        context.add_init_script(
            f"localStorage.setItem('camhub.locale', '{language}'); localStorage.setItem('camhub.theme', '{theme}');"
            "localStorage.setItem('camhub.locale.chosen', '1');"
        )
        if who is not None:
            if own_session or who not in world.sessions:
                answer = context.request.post(
                    f"{world.hub.url}/api/v1/login",
                    data={"username": who, "password": world.hub.passwords[who]},
                )
                assert answer.ok, answer.text()
                if not own_session:
                    world.sessions[who] = context.cookies()
            else:
                context.add_cookies(world.sessions[who])
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(world.hub.url + path)
        page.wait_for_selector("h1")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not faults, faults
