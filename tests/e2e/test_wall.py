"""The live wall in Chromium: every coding side by side, keys, pages, and what each tile says when nothing moves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser_support import chromium
from hub_support import RunningHub, onboard, serving, simulators
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STREAM = """[[{name}.streams]]
layer = "{layer}"
path = "/{layer}"
codec = "{codec}"
profile = "{profile}"
width = {width}
height = {height}
fps = 10
bitrate_kbps = {kbps}
"""
# name -> codec of the main stream, codec of the sub-stream, H.264 profile
CODED = {
    "baseline": ("H264", "H264", "Baseline"),
    "main": ("H264", "H264", "Main"),
    "high": ("H264", "H264", "High"),
    "mixed": ("H265", "H264", "Baseline"),
}
PLAIN = 1
PHASES = "() => [...document.querySelectorAll('[data-tile] section')].map(one => one.dataset.playerState)"
ORDER = "() => [...document.querySelectorAll('[data-tile]')].map(one => one.dataset.tile)"
FRAMES = """() => [...document.querySelectorAll('[data-tile] video')].map(
  one => one.getVideoPlaybackQuality().totalVideoFrames)"""
LAYERS = "() => [...document.querySelectorAll('[data-tile] section')].map(one => one.dataset.layer)"


@dataclass
class Stage:
    """A hub with seven cameras: their names are those of their presets."""

    hub: RunningHub
    cameras: dict[str, str]

    def open(self, page: Page, path: str) -> None:
        """Sign in and open an address in English."""
        page.context.add_init_script("localStorage.setItem('camhub.locale', 'en')")
        told = page.context.request.post(
            f"{self.hub.url}/api/v1/login",
            data={"username": "admin", "password": self.hub.passwords["admin"]},
        )
        assert told.ok
        page.goto(self.hub.url + path)
        page.wait_for_selector("h1")


def scripted(folder: Path) -> tuple[str, Path]:
    """Write the presets of the wall; return the path of the file."""
    out = []
    for name in [*CODED, *(f"plain{n}" for n in range(PLAIN))]:
        main, sub, profile = CODED.get(name, ("H264", "H264", "Baseline"))
        out.append(f'[{name}]\nextends = "good-onvif"\nscene = "square"\n')
        for layer, codec, (width, height), kbps in (
            ("main", main, (1280, 720), 500),
            ("sub", sub, (320, 180), 100),
        ):
            out.append(
                STREAM.format(
                    name=name,
                    layer=layer,
                    codec=codec,
                    profile=profile,
                    width=width,
                    height=height,
                    kbps=kbps,
                )
            )
    path = folder / "wall.toml"
    path.write_text("\n".join(out))
    return "--file", path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """H.264 in three profiles, H.265 with and without an H.264 sub-stream, JPEG, and a plain one."""
    folder = tmp_path_factory.mktemp("wall")
    names = [*CODED, "h265-only", "mjpeg-2009", *(f"plain{n}" for n in range(PLAIN))]
    option, path = scripted(folder)
    settings = {
        "CAMHUB_RELAY__TRANSCODES": "2",
        "CAMHUB_EVENTS__PULL": "false",
    }
    with (
        serving(folder / "data", **settings) as hub,
        simulators(*names, arguments=(option, str(path))) as lines,
    ):
        with ThreadPoolExecutor(2) as several:
            ids = several.map(
                lambda line: onboard(hub, line["onvif"], line["user"], line["password"], name=line["preset"])[
                    "camera_id"
                ],
                lines,
            )
            cameras = {line["preset"]: str(one) for line, one in zip(lines, ids, strict=True)}
        yield Stage(hub, cameras)


def tile(camera: str) -> str:
    """Return the selector of one camera's player."""
    return f"[data-tile='{camera}'] section"


def test_the_wall_shows_every_coding_at_once_and_one_fills_it(stage: Stage) -> None:
    """All at once on the sub-stream; by keys one is opened on its main stream while the others rest; a refusal is said."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        stage.open(page, "/wall?n=16")
        expect(page.get_by_text("The more tiles, the more is missed")).to_be_visible()
        page.get_by_role("button", name="Watch 7 cameras").click()
        page.wait_for_function(
            f"() => ({PHASES})().filter(one => one === 'live').length === 6", timeout=60_000
        )
        page.wait_for_function(
            f"() => ({LAYERS})().filter(one => one === 'sub').length === 6", timeout=60_000
        )
        moved = page.evaluate(FRAMES)
        page.wait_for_function(
            f"before => ({FRAMES})().filter((now, i) => now > before[i] + 5).length === 6",
            arg=moved,
            timeout=60_000,
        )
        assert page.locator(tile(stage.cameras["mjpeg-2009"])).get_attribute("data-player-state") == "idle"
        assert "not admitted" in page.locator(tile(stage.cameras["mjpeg-2009"])).inner_text()

        for name, layer, said in (
            ("high", "main", "main stream 1280×720"),
            ("mixed", "sub", "This browser cannot play the other stream"),
            ("h265-only", "", "H.265"),  # recoded: either layer will do
        ):
            at = page.locator(tile(stage.cameras[name]))
            number = page.evaluate(ORDER).index(stage.cameras[name]) + 1
            page.keyboard.press(str(number))
            page.keyboard.press("Enter")
            page.wait_for_function(
                "([one, layer]) => document.querySelector(one).dataset.playerState === 'live'"
                " && (!layer || document.querySelector(one).dataset.layer === layer)",
                arg=[tile(stage.cameras[name]), layer],
                timeout=60_000,
            )
            expect(at).to_contain_text(said, timeout=60_000)
            rest = page.evaluate(PHASES)
            assert rest.count("live") == 1
            if name != "high":
                at.get_by_role("button", name="Why?").click()
                expect(at.get_by_label("Why can I not see it?")).to_contain_text("H.265, which this browser")
            page.keyboard.press("Escape")
            page.keyboard.press("Escape")
            expect(page.locator(f"[data-tile='{stage.cameras[name]}'] [data-open]")).to_be_focused()

        page.keyboard.press("g")  # after sixteen comes one
        page.wait_for_function(f"() => ({PHASES})().length === 1", timeout=60_000)
        page.keyboard.press("]")
        expect(page.get_by_text("2–2 of 7")).to_be_visible()
        page.wait_for_function(f"() => ({PHASES})()[0] === 'live'", timeout=60_000)
        page.keyboard.press("[")
        assert stage.hub.client.post(f"/api/v1/cameras/{stage.cameras['baseline']}/pause", json={}).is_success
        expect(page.locator("[data-tile] section")).to_contain_text("The owner has paused sharing")
        assert page.evaluate(PHASES) in (["paused"], ["idle"])
