"""A WHEP viewer on aiortc's own RTCPeerConnection, as shipped: a peer that nobody here wrote."""

import asyncio
from collections.abc import Awaitable, Callable

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError


class Watching:
    """One viewer: connects, decodes, counts."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.frames = 0
        self.sounds: list[av.AudioFrame] = []
        self.last: av.VideoFrame | None = None
        self.first_s = 0.0
        self.stamps: list[int] = []
        self._reader: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    async def offer(self, *, audio: bool = False) -> str:
        """Return the offer of a viewer that only receives."""
        self.connection.addTransceiver("video", direction="recvonly")
        if audio:
            self.connection.addTransceiver("audio", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def play(self, answer: Callable[[str], Awaitable[str]], *, audio: bool = False) -> None:
        """Offer, take the answer, begin to decode; leave where there is none."""
        loop = asyncio.get_running_loop()
        try:
            text = await answer(await self.offer(audio=audio))
        except BaseException:
            await self.close()
            raise
        began = loop.time()

        @self.connection.on("track")
        def _track(track):
            if track.kind == "video":
                self._reader = asyncio.create_task(self._read(track, began))
            else:
                self._listener = asyncio.create_task(self._listen(track))

        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))

    async def _read(self, track, began: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                self.last = await track.recv()
            except MediaStreamError:
                return
            if not self.frames:
                self.first_s = loop.time() - began
            self.frames += 1
            self.stamps.append(self.last.pts)

    async def _listen(self, track) -> None:
        while True:
            try:
                self.sounds.append(await track.recv())
            except MediaStreamError:
                return

    async def close(self) -> None:
        """Leave."""
        for task in (self._reader, self._listener):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.connection.close()
