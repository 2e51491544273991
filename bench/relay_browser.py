"""What a person sees: a real Chromium in front of a server of the relay bench, first picture and delay from the camera's glass."""

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay_lines import HERE, Missing, Rig, Talker, connect, percentile
from relay_stream import CELLS, FPS

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
WARM, COLD = 20, 10  # how often
GLASS_S = 6.0
_LIMIT_MS = 10_000
# The page keeps nothing between two views: each has its own connection and video element. `first` is unix time.
PAGE = """<!doctype html><meta charset="utf-8"><title>bench</title><body><script>
const now = () => performance.timeOrigin + performance.now();
let connection, video, pressed;
window.offer = async () => {
  pressed = now();
  connection = new RTCPeerConnection();
  connection.addTransceiver("video", {direction: "recvonly"});
  video = document.createElement("video");
  video.muted = video.autoplay = video.playsInline = true;
  document.body.append(video);
  connection.ontrack = (event) => { video.srcObject = event.streams[0] || new MediaStream([event.track]); };
  await connection.setLocalDescription(await connection.createOffer());
  return connection.localDescription.sdp;
};
window.take = async (sdp, limit) => {
  const answered = now();
  const first = new Promise((resolve) => {
    video.requestVideoFrameCallback(() => resolve(now()));
    setTimeout(() => resolve(0), limit);
  });
  await connection.setRemoteDescription({type: "answer", sdp});
  return {pressed, answered, first: await first};
};
window.leave = () => { connection.close(); video.remove(); };
window.read = (ms, cells) => new Promise((resolve) => {
  const canvas = document.createElement("canvas"), seen = [], ends = now() + ms;
  canvas.width = cells * 4; canvas.height = 36;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const look = () => {
    const at = now();
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const row = context.getImageData(0, 30, canvas.width, 1).data;
    let bits = "";
    for (let cell = 0; cell < cells; cell++) bits += row[(cell * 4 + 2) * 4] > 128 ? "1" : "0";
    seen.push([at, bits]);
    if (at < ends) video.requestVideoFrameCallback(look); else resolve(seen);
  };
  video.requestVideoFrameCallback(look);
  setTimeout(() => resolve(seen), ms + 2000);
});
</script></body>"""


@dataclass(frozen=True)
class Seen:
    """What Chromium saw of one server. Times are ms after the answer; those of `waited` after the camera's key frame or,
    where that left before it, the answer.
    """

    server: str
    warm: tuple[float, ...] = ()
    cold: tuple[float, ...] = ()  # the camera begins with a key frame
    waited: tuple[float, ...] = ()  # the camera is in the middle of a group
    pressed: tuple[float, ...] = ()  # cold, from pressing play on
    glass: tuple[float, ...] = ()  # from when the camera showed a picture to when the page could read it
    missing: str = ""


@contextmanager
def page():
    """Give a page in a Chromium of its own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Missing("Playwright is not installed") from None
    if not CHROMIUM.exists():
        raise Missing(f"{CHROMIUM} is not there: Debian package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            tab = browser.new_page()
            tab.set_content(PAGE)
            yield tab
        finally:
            browser.close()


class Visits:
    """One tab that looks at one server again and again."""

    def __init__(self, tab: Any, serving: Talker, camera: Talker) -> None:
        self._tab, self._serving, self._camera = tab, serving, camera
        self._count = 0

    def come(self, path: str) -> dict[str, float]:
        """Press play; return when, when the answer came and when the first picture was there, unix ms."""
        self._count += 1
        name = f"tab{self._count}"
        offer = self._tab.evaluate("offer()")
        answer = self._serving.ask(offer=offer, viewer=name, path=path)["answer"]
        times: dict[str, float] = self._tab.evaluate(
            "([sdp, limit]) => take(sdp, limit)", [answer, _LIMIT_MS]
        )
        if not times["first"]:
            raise Missing(f"Chromium had no picture within {_LIMIT_MS / 1000:.0f} s")
        return times

    def leave(self) -> None:
        """Close the view; the server has a moment to notice."""
        self._tab.evaluate("leave()")
        if self._serving.hello.get("stops"):
            self._serving.ask(stop=f"tab{self._count}")
        time.sleep(0.2)

    def after_answer(self, path: str) -> float:
        """Return how long the first picture took."""
        times = self.come(path)
        self.leave()
        return times["first"] - times["answered"]

    def after_key_frame(self, path: str) -> float:
        """Return how long the first picture took once both the camera's key frame and the answer were there."""
        times = self.come(path)
        key_ms = self._camera.ask(do="key", path=path)["at"] * 1000
        self.leave()
        return times["first"] - max(times["answered"], key_ms)

    def glass(self, path: str) -> list[float]:
        """Return how old the pictures were when they could be read, ms."""
        clock = self._camera.ask(do="clock")
        began_ms, numbers, step_ms = clock["began"] * 1000, clock["numbers"], 1000 / FPS
        self.come(path)
        time.sleep(2.0)  # the jitter buffer has settled
        seen = self._tab.evaluate("([ms, cells]) => read(ms, cells)", [GLASS_S * 1000, CELLS])
        self.leave()
        ages = []
        for at, bits in seen:
            number, complement = int(bits[:8], 2), int(bits[8:], 2)
            if number ^ complement == 0xFF:
                ages.append((at - began_ms - number * step_ms) % (numbers * step_ms))
        return ages


def look(rig: Rig, server: str, host: str, stream: str) -> Seen:
    """Look at one server with Chromium."""
    try:
        with rig.serving(server, host, stream) as serving, page() as tab:
            label = f"{server} {serving.hello.get('version', '')}".strip()
            visits = Visits(tab, serving, rig.camera)
            visits.after_answer(f"{stream}/0")  # the browser's own first time does not count
            time.sleep(1.0)
            cold, pressed, waited = [], [], []
            for number in range(1, COLD + 1):  # another camera each time: servers keep them for a while
                times = visits.come(f"first/{stream}/{number}")
                visits.leave()
                cold.append(times["first"] - times["answered"])
                pressed.append(times["first"] - times["pressed"])
            for number in range(1, COLD + 1):
                time.sleep(0.37 * (number % 5))  # wherever the group stands
                waited.append(visits.after_key_frame(f"{stream}/{number}"))
            watching = Talker(rig.viewer_core, str(HERE / "relay_viewers.py"), host, host)
            try:
                connect(serving, watching, {"warm": f"{stream}/0"})
                warm = []
                for place in range(WARM):
                    time.sleep(0.23 * (place % 5))
                    warm.append(visits.after_answer(f"{stream}/0"))
                glass = visits.glass(f"{stream}/0")
            finally:
                watching.end()
            return Seen(label, tuple(warm), tuple(cold), tuple(waited), tuple(pressed), tuple(glass))
    except Missing as error:
        return Seen(server, missing=str(error))


def table(all_seen: list[Seen]) -> str:
    """Return what was seen as a Markdown table."""
    out = [
        (
            "| server | warm: first picture after the answer, median / p95 | cold, camera begins with a key frame: median / p95 "
            "(after pressing play) | cold, in mid-group: after the camera's key frame, median / p95 | glass to page, median / p95 |"
        ),
        "|---|---|---|---|---|",
    ]
    for seen in all_seen:
        if seen.missing:
            out.append(f"| {seen.server} | missing: {seen.missing} | | | |")
            continue
        out.append(
            f"| {seen.server} | {_pair(seen.warm)} | {_pair(seen.cold)} ({_pair(seen.pressed)}) | {_pair(seen.waited)} "
            f"| {_pair(seen.glass)} |"
        )
    return "\n".join(out)


def _pair(values: tuple[float, ...]) -> str:
    return f"{percentile(values, 50):.0f} / {percentile(values, 95):.0f}"
