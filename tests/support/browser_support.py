"""Debian's Chromium, driven by Playwright, and Firefox, over WebDriver BiDi, for tests that look at pages as a person would."""

import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from websockets.sync.client import ClientConnection, connect

CHROMIUM = "/usr/bin/chromium"
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


class Firefox:
    """One tab of a headless Firefox (WebDriver BiDi, the few commands that the tests need)."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._send("session.new", {"capabilities": {}})
        self._tab = self._send("browsingContext.getTree", {})["contexts"][0]["context"]

    def goto(self, url: str) -> None:
        """Open an address and wait until it has loaded."""
        self._send("browsingContext.navigate", {"context": self._tab, "url": url, "wait": "complete"})

    def call(self, function: str) -> Any:
        """Call a function of the page without arguments; return its string, number or truth value."""
        answer = self._send(
            "script.callFunction",
            {"functionDeclaration": function, "target": {"context": self._tab}, "awaitPromise": True},
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    def wait(self, function: str, seconds: float = 15) -> None:
        """Wait until a function of the page returns true."""
        deadline = time.monotonic() + seconds
        while not self.call(f"() => Boolean(({function})())"):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {function}"
            time.sleep(0.1)

    def _send(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = json.loads(self._socket.recv(timeout=60))
            if told.get("id") == number:
                assert told["type"] == "success", told
                return dict(told["result"])


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Start one headless Firefox that downloads nothing, and stop it again."""
    assert FIREFOX is not None
    preferences = {
        "media.gmp-manager.updateEnabled": False,
        "media.gmp-manager.url": "",
        "app.update.enabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "media.autoplay.default": 0,
        "remote.active-protocols": 1,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port=0"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "MOZ_CRASHREPORTER_DISABLE": "1", "HOME": str(profile)},
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            match = re.search(r"WebDriver BiDi listening on (ws://\S+)", line)
            if match:
                break
        else:
            raise AssertionError("Firefox ended without saying where it listens")
        with connect(f"{match[1]}/session", max_size=None, open_timeout=30) as socket:
            yield Firefox(socket)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        if process.stderr is not None:
            process.stderr.close()
