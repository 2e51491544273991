"""One camera's packets to all of its viewers, by one task.

A viewer is only an index into the camera's ring: one that takes its time falls behind and skips to a key frame, it
never holds anybody up, and nothing is queued for it. Long runs (a key frame, a viewer that starts) leave in portions
of a few milliseconds, so that they do not burst a jitter buffer or a narrow uplink.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from hub.relay.ring import Packet, PacketRing
from hub.relay.source import Picture, Sound
from hub.relay.timeline import Timeline
from hub.relay.transport import Burst, PacketSender, SendFailed
from hub.relay.viewer import Viewer

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 64  # packets of a picture that go out in one go
_PORTION: Final = 24  # and per step where there are more: 24 x 1.2 kB each 4 ms is 58 Mbit/s
_STEP_S: Final = 0.004
_TURN_S: Final = 0.004  # work without giving other cameras, handshakes and checks their turn
_LATE_TICKS: Final = 2 * 90_000  # a viewer further behind skips to the newest key frame


class Fanout:
    """The viewers of one camera and the ring they read."""

    def __init__(self, camera_id: str, sender: PacketSender, on_ended: Callable[[Viewer, str], None]) -> None:
        self.camera_id = camera_id
        self._sender = sender
        self.ring = PacketRing()
        self.viewers: dict[str, Viewer] = {}
        self._timeline = Timeline()
        self._sound_line = Timeline(8000)
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._waiting = False  # some viewer waits for a key frame
        self._key_frame_s = 0.0  # when the newest key frame arrived
        self._task = asyncio.create_task(self._run(), name=f"fan-out {camera_id}")

    def reopened(self) -> None:
        """Expect a new clock: the camera was opened anew."""
        self._timeline.reopened()
        self._sound_line.reopened()

    def picture(self, picture: Picture) -> None:
        """Take one picture from the source."""
        tick = self._timeline.map(picture.timestamp, picture.clock_rate_hz, picture.arrived_s)
        self.ring.append(picture.payloads, tick, key_frame=picture.key_frame)
        if picture.key_frame:
            self._key_frame_s = picture.arrived_s
        if picture.key_frame and self._waiting:
            self._waiting = False
            for viewer in self.viewers.values():
                if viewer.ring is self.ring and viewer.next_index is None:
                    viewer.begin()
        self._wake.set()

    def sound(self, sound: Sound) -> None:
        """Take one packet of sound from the source and send it to those who may hear it; it is not kept."""
        tick = self._sound_line.map(sound.timestamp, 8000, sound.arrived_s)
        now = self._loop.time()
        for viewer in list(self.viewers.values()):
            if viewer.hears and viewer.lease_until_s >= now:
                try:
                    viewer.send_sound(sound.payload, tick)
                except SendFailed:
                    self._on_ended(viewer, "send_failed")

    def attach(self, viewer: Viewer) -> None:
        """Let a connected viewer receive."""
        viewer.attach(self.ring)
        if viewer.next_index is None:
            self._waiting = True
        self._wake.set()

    def key_frame(self) -> tuple[list[bytes], float] | None:
        """Return the payloads of the newest key frame and when it arrived (monotonic seconds)."""
        packets = self.ring.key_frame()
        return ([packet.payload for packet in packets], self._key_frame_s) if packets else None

    def ticks(self, now_s: float) -> tuple[int, int]:
        """Return the ticks of this moment (monotonic seconds) of picture and sound, for sender reports."""
        return self._timeline.at(now_s), self._sound_line.at(now_s)

    async def aclose(self) -> None:
        """Stop sending. Idempotent."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if await self._pump():
                    self._loop.call_later(_STEP_S, self._wake.set)
            except (
                Exception
            ):  # one viewer's fault is handled below; this is ours, and must not end the camera
                log.exception("relay.fanout.fault", camera_id=self.camera_id)
                await asyncio.sleep(0.1)

    async def _pump(self) -> bool:
        """Send every viewer what it lacks; return whether some lack more."""
        ring, loop = self.ring, self._loop
        more = False
        turn_ends_s = loop.time() + _TURN_S
        runs: dict[tuple[int, int, int], tuple[list[Packet], list[Burst]]] = {}
        for viewer in list(self.viewers.values()):
            index = viewer.next_index
            if index is None or viewer.ended:
                continue
            head = ring.head
            lacks = head - index
            if lacks <= 0:
                continue
            now = loop.time()
            if viewer.lease_until_s < now:
                continue  # the hub no longer vouches for this viewer; the engine ends it
            if index < ring.base or (lacks > _AT_ONCE and self._late(viewer, index)):
                viewer.skipped += lacks
                viewer.begin()
                if viewer.next_index is None:
                    self._waiting = True
                    continue
                index = viewer.next_index
                lacks = head - index
            stop = head
            if lacks > _AT_ONCE:
                stop, more = index + _PORTION, True
            key = (index, stop, viewer.tag)
            run = runs.get(key)
            if run is None:
                packets = ring.run(index, stop)
                run = runs[key] = (packets, self._sender.prepare(packets, viewer.tag))
            try:
                whole = viewer.send(*run)
            except SendFailed:
                self._on_ended(viewer, "send_failed")
                continue
            sock = viewer.peer.sock
            if not whole and sock is not None:
                # The kernel's buffer is full: the network is slower than all viewers together just now.
                more = True
                await self._sender.writable(sock)
                turn_ends_s = loop.time() + _TURN_S
            if now > turn_ends_s:
                await asyncio.sleep(0)
                turn_ends_s = loop.time() + _TURN_S
        return more

    def _late(self, viewer: Viewer, index: int) -> bool:
        """Tell whether a viewer is so far behind that a newer key frame serves it better."""
        packet = self.ring.get(index)
        if packet is None:
            return True
        return (
            self.ring.timestamp - packet.timestamp > _LATE_TICKS
            and self.ring.key_frame_since(index + 1) is not None
            and not viewer.catching_up(packet)
        )
