"""Debian's Chromium, driven by Playwright, for tests that look at pages as a person would."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
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
def chromium() -> Iterator[Browser]:
    """Start one headless Chromium and stop it again."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def picture(page: Page) -> dict[str, float]:
    """Return what the page's video shows now; frames 0 where there is none."""
    seen = page.evaluate(PICTURE)
    return seen or {"frames": 0, "dropped": 0, "width": 0, "height": 0, "luma": 0.0, "hash": 0, "time": 0.0}
