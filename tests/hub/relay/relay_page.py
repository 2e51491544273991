"""A page with a video element and a WHEP endpoint in front of a relay, in a thread of its own, for a real Chromium."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

PAGE = """<!doctype html><meta charset="utf-8"><title>relay</title><video id="v" muted autoplay playsinline></video>
<script>
const video = document.getElementById("v"), canvas = document.createElement("canvas");
window.play = async (viewer, audio, network) => {
  const pc = new RTCPeerConnection(network); window.pc = pc; window.firstFrame = null; window.states = [];
  if (audio) pc.addTransceiver("audio", {direction: "recvonly"});
  pc.addTransceiver("video", {direction: "recvonly"});
  pc.ontrack = (event) => {
    if (event.track.kind === "audio") { window.speaker = new Audio(); speaker.srcObject = new MediaStream([event.track]); void speaker.play(); }
    else video.srcObject = event.streams[0] || new MediaStream([event.track]);
  };
  pc.onconnectionstatechange = () => window.states.push(pc.connectionState);
  await pc.setLocalDescription(await pc.createOffer());
  const pressed = performance.now();
  const reply = await fetch("/whep/" + viewer, {method: "POST", headers: {"content-type": "application/sdp"}, body: pc.localDescription.sdp});
  const text = await reply.text();
  if (reply.status !== 201) return {status: reply.status, text};
  const answered = performance.now();
  video.requestVideoFrameCallback(() => { window.firstFrame = {fromAnswer: performance.now() - answered, fromPress: performance.now() - pressed}; });
  await pc.setRemoteDescription({type: "answer", sdp: text});
  return {status: 201, text};
};
window.look = async () => {
  let heard = 0, samples = 0, level = 0;
  if (window.pc) (await window.pc.getStats()).forEach((item) => {
    if (item.type === "inbound-rtp" && item.kind === "audio") { heard = item.packetsReceived; samples = item.totalSamplesReceived; level = item.audioLevel || 0; }
  });
  let decoded = 0, dropped = 0, lost = 0, plis = 0, nacks = 0, freezes = 0, again = 0;
  if (window.pc) (await window.pc.getStats()).forEach((item) => {
    if (item.type === "inbound-rtp" && item.kind === "video") {
      decoded = item.framesDecoded || 0; dropped = item.framesDropped || 0; lost = item.packetsLost || 0;
      plis = item.pliCount || 0; nacks = item.nackCount || 0; freezes = item.freezeCount || 0;
      again = item.retransmittedPacketsReceived || 0;
    }});
  let sum = 0, print = "", brightest = 0;
  if (video.videoWidth) {
    canvas.width = 32; canvas.height = 24;
    const context = canvas.getContext("2d", {willReadFrequently: true});
    context.drawImage(video, 0, 0, 32, 24);
    const data = context.getImageData(0, 0, 32, 24).data;
    for (let i = 0; i < data.length; i += 4) { sum += data[i]; brightest = Math.max(brightest, data[i]); }
    for (let x = 0; x < 32; x++) print += (data[(12 * 32 + x) * 4] >> 4).toString(16);
  }
  return {heard, samples, level, decoded, dropped, lost, plis, nacks, freezes, again, mean: sum / 768, brightest, print, width: video.videoWidth,
          height: video.videoHeight, first: window.firstFrame, states: window.states,
          quality: video.getVideoPlaybackQuality().totalVideoFrames};
};
</script>"""


class RelayThread:
    """Runs a relay and the page's server in an event loop of their own."""

    def __init__(self, place: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        """`place` is entered by the thread: where on the network its sockets stand."""
        self.loop = asyncio.new_event_loop()
        self._place = place
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._place():
            self.loop.run_forever()

    def do(self, work: Coroutine[Any, Any, Any], limit_s: float = 30.0) -> Any:
        """Run a coroutine there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(limit_s)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function there and return its result."""

        async def called() -> Any:
            return function(*arguments)

        return self.do(called())

    def stop(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@contextmanager
def relay_thread(place: Callable[[], AbstractContextManager[Any]] = nullcontext):
    """Run a loop in a thread for the length of a test."""
    thread = RelayThread(place)
    try:
        yield thread
    finally:
        thread.stop()


async def serve_page(
    answer: Callable[[str, str], Awaitable[tuple[int, str]]], host: str = "127.0.0.1"
) -> tuple[asyncio.Server, str]:
    """Serve the page and the WHEP endpoint; `answer` gets (viewer, offer) and returns (status, body)."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n", 1)[0].split(" ")
        length = next(
            (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
        )
        body = (await reader.readexactly(length)).decode()
        if method == "POST":
            status, text = await answer(path.rsplit("/", 1)[1], body)
            kind = "application/sdp"
        else:
            status, text, kind = (200, PAGE, "text/html") if path == "/" else (404, "", "text/plain")
        data = text.encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, host, 0)
    return server, f"http://{host}:{server.sockets[0].getsockname()[1]}/"


ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
