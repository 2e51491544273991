"""A browser's part in a view: WHEP, a peer connection, decoded frames, session events. One loop per viewer thread."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from patience import PATIENCE_S, taken_away

Result = TypeVar("Result")


class Viewer:
    """Watches one camera with the cookies of a signed-in client."""

    def __init__(self, client: httpx.Client, camera: str) -> None:
        self._client = client
        self._camera = camera
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: list[asyncio.Task[None]] = []
        self._peer: RTCPeerConnection | None = None
        self.frames = 0
        self.last_frame_s = 0.0  # monotonic, of the newest that was decoded
        self.last_packet_s = 0.0  # monotonic, of the newest that came; a busy machine decodes later
        self.states: list[tuple[float, str, str]] = []  # monotonic time, state, code
        self.answer: httpx.Response
        self.where = ""

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def start(self, **query: str) -> httpx.Response:
        """Ask for the view; return the WHEP answer, whatever it is."""
        self._run(self._start(query))
        return self.answer

    async def _start(self, query: dict[str, str]) -> None:
        if self._peer is not None:
            await self._peer.close()
        peer = self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        receiver: Any = peer.addTransceiver("video", direction="recvonly").receiver
        take = receiver._handle_rtp_packet

        async def came(packet: Any, **when: Any) -> None:
            self.last_packet_s = time.monotonic()
            await take(packet, **when)

        receiver._handle_rtp_packet = came

        @peer.on("track")
        def on_track(track: Any) -> None:
            self._tasks.append(asyncio.ensure_future(self._count(track)))

        await peer.setLocalDescription(await peer.createOffer())
        self.answer = await asyncio.to_thread(
            self._client.post,
            f"/api/v1/cameras/{self._camera}/whep",
            params=query,
            content=peer.localDescription.sdp,
            headers={"content-type": "application/sdp"},
        )
        if self.answer.status_code != 201:
            return
        self.where = self.answer.headers["location"]
        await peer.setRemoteDescription(RTCSessionDescription(self.answer.text, "answer"))
        self._tasks.append(asyncio.ensure_future(self._follow()))

    async def _count(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                self.frames += 1
                self.last_frame_s = time.monotonic()

    async def _follow(self) -> None:
        async with (
            httpx.AsyncClient(
                base_url=self._client.base_url, cookies=dict(self._client.cookies), timeout=None
            ) as client,
            client.stream("GET", f"{self.where}/events") as stream,
        ):
            with contextlib.suppress(httpx.HTTPError):
                async for line in stream.aiter_lines():
                    if line.startswith("data: "):
                        told = json.loads(line[6:])
                        if "state" not in told:
                            continue  # of another event: the layer
                        self.states.append((time.monotonic(), told["state"], told["code"]))

    def wait_for_frames(self, more: int = 5, seconds: float = PATIENCE_S) -> None:
        """Wait until some more frames were decoded."""
        wanted, deadline = self.frames + more, time.monotonic() + max(seconds, PATIENCE_S)
        while self.frames < wanted:
            assert time.monotonic() < deadline, (self.frames, self.states)
            time.sleep(0.02)

    def wait_for_quiet(self, quiet_s: float = 1.0) -> None:
        """Wait until nothing comes any more."""
        began = time.monotonic()
        while time.monotonic() - max(began, self.last_packet_s) < quiet_s:
            assert time.monotonic() - began < PATIENCE_S, "packets go on coming"
            time.sleep(0.02)

    def wait_for_state(self, state: str, seconds: float = PATIENCE_S) -> float:
        """Wait for a state; return when it came (monotonic)."""
        deadline = time.monotonic() + max(seconds, PATIENCE_S)
        while True:
            for at, seen, _ in self.states:
                if seen == state:
                    return at
            assert time.monotonic() < deadline, self.states
            time.sleep(0.02)

    def close(self) -> None:
        """Leave without a word, as a browser that crashed does."""

        async def end() -> None:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._peer is not None:
                await self._peer.close()

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@contextmanager
def cut_within(seconds: float, *viewers: Viewer) -> Iterator[None]:
    """Hold that what is done inside cuts these views: no packet comes later than so long after it began, nor ever again.

    What the machine took away meanwhile is added: it is not what is measured.
    """
    with taken_away() as more:
        began = time.monotonic()
        yield
        for viewer in viewers:
            viewer.wait_for_quiet()
        for viewer in viewers:
            assert viewer.last_packet_s - began < seconds + more(), viewer.states
