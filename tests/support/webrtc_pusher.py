"""An encoder that pushes, on aiortc's own RTCPeerConnection, as shipped: a peer that nobody here wrote."""

import asyncio
import fractions
import math
import threading
from array import array
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import av
import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack


class Picture(VideoStreamTrack):
    """A bright bar that wanders over grey, 30 pictures a second."""

    def __init__(self, width: int = 320, height: int = 240) -> None:
        super().__init__()
        self._size = width, height
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        """Return the next picture."""
        stamp, base = await self.next_timestamp()
        width, height = self._size
        picture = av.VideoFrame(width, height, "yuv420p")
        luma, *chroma = picture.planes
        row = bytearray(b"\x50" * luma.line_size)
        left = self._count * 4 % (width - 32)
        row[left : left + 32] = b"\xeb" * 32
        luma.update(bytes(row) * height)
        for plane in chroma:
            plane.update(b"\x80" * plane.buffer_size)
        picture.pts, picture.time_base = stamp, base
        self._count += 1
        return picture


class Tone(AudioStreamTrack):
    """440 Hz, half as loud as may be."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 0
        self._began = 0.0

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms."""
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        await asyncio.sleep(max(0.0, self._began + self._at / 48_000 - loop.time()))
        frame = av.AudioFrame("s16", "mono", 960)
        times = range(self._at, self._at + 960)
        wave = array("h", (round(16_000 * math.sin(at * math.tau * 440 / 48_000)) for at in times))
        frame.planes[0].update(wave.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._at, fractions.Fraction(1, 48_000)
        self._at += 960
        return frame


class Pushing:
    """One encoder: offers H.264 (or what `codec` names) and Opus, and sends."""

    def __init__(self, *, codec: str = "video/H264", sound: bool = True) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        video = self.connection.addTransceiver(Picture(), direction="sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([one for one in known if one.mimeType == codec])
        if sound:
            self.connection.addTransceiver(Tone(), direction="sendonly")

    async def offer(self) -> str:
        """Return the offer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def push(self, answer: Callable[[str], Awaitable[str]]) -> str:
        """Offer, take the answer, begin to send; return the answer. Leave where there is none."""
        try:
            text = await answer(await self.offer())
        except BaseException:
            await self.close()
            raise
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))
        return text

    async def close(self) -> None:
        """Leave."""
        await self.connection.close()


class Encoder:
    """An encoder that speaks WHIP (RFC 9725) to a hub, on a loop of its own."""

    def __init__(self, hub: str, url: str, token: str) -> None:
        self._client = httpx.Client(base_url=hub, timeout=30, headers={"authorization": f"Bearer {token}"})
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._peer: Pushing | None = None
        self.answer: httpx.Response

    def start(self, **how: Any) -> httpx.Response:
        """Offer and begin to send; return the answer, whatever it is."""
        self._run(self._start(how))
        return self.answer

    async def _start(self, how: dict[str, Any]) -> None:
        peer = self._peer = Pushing(**how)
        sdp = await peer.offer()
        self.answer = await asyncio.to_thread(
            self._client.post, self._url, content=sdp, headers={"content-type": "application/sdp"}
        )
        if self.answer.status_code == 201:
            answer = RTCSessionDescription(self.answer.text, "answer")
            await peer.connection.setRemoteDescription(answer)

    @property
    def state(self) -> str:
        """Return the state of its connection: new, connecting, connected, closed or failed."""
        return "new" if self._peer is None else str(self._peer.connection.connectionState)

    def end(self) -> httpx.Response:
        """End the push as RFC 9725 4.2 says: DELETE at the address that was answered."""
        return self._client.delete(self.answer.headers["location"])

    def close(self) -> None:
        """Leave without a word over HTTP."""
        if self._peer is not None:
            self._run(self._peer.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._client.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
