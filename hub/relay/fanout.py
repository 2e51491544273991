"""One layer's packets to all of its viewers, by one task.

A viewer is only an index into the layer's ring: one that takes its time falls behind and skips to a key frame, it
never holds anybody up, and nothing is queued for it. Long runs (a key frame, a viewer that starts) leave in portions
of a few milliseconds, so that they do not burst a jitter buffer or a narrow uplink.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, Protocol, runtime_checkable

import structlog

from hub.relay.camera.processing import Picture, Sound
from hub.relay.camera.timeline import Timeline
from hub.relay.many import MOST
from hub.relay.ring import Packet, PacketRing
from hub.relay.sender import PacketSender, Path, Run, SendFailed
from hub.relay.webrtc.icetcp import TcpPath
from hub.relay.webrtc.lines import Sort
from hub.relay.webrtc.viewer import Viewer

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 64  # packets of a picture that go out in one go
_PORTION: Final = 48  # and per step where there are more: 48 x 1.2 kB each 8 ms is 58 Mbit/s
_STEP_S: Final = 0.008
_TURN_S: Final = 0.004  # work without giving other cameras, handshakes and checks their turn
_LATE_TICKS: Final = 2 * 90_000  # a viewer further behind skips to the newest key frame
_WORTH_A_GROUP: Final = 3  # viewers; fewer are not worth the laying out
_RUN_UPS: Final = (
    64  # portions of the running group of pictures that are kept laid out for those who come next
)
_SORTS_HELD: Final = (
    8  # of one run: where each viewer is of a sort of its own, nobody comes for its headers again
)
_RATE_OVER_S: Final = (
    4.0  # the bit rate is measured over at least so long: two groups of pictures of most cameras
)


Shape = tuple[int, int]  # bytes of the authentication tag, bytes of the header
# Viewers whose next packet is the same and laid out alike, by the same socket; who catches up does so until the same packet
Group = tuple[Shape, int, int, Path]  # (shape, index, catches up until, path)


class Reader(Protocol):
    """Somebody else than a viewer of WebRTC who takes packets of a ring, at its own pace and without being waited for."""

    lease_until_s: float  # event loop time; nothing is taken beyond it

    def attach(self, ring: PacketRing) -> None:
        """Take from this ring from now on."""

    def take(self) -> bool:
        """Take what is there and not taken; True: some is left, call again soon."""


@runtime_checkable
class Listener(Reader, Protocol):
    """A reader that takes sound too."""

    hears: str  # the codec that it takes, "" where none

    def hear(self, sound: Sound, tick: int) -> None:
        """Take one frame; `tick` counts its clock rate on the line that the pictures' ticks share."""


class Laid:
    """Packets laid out for all viewers of a shape; for those who get them together with their headers, once for each sort."""

    def __init__(
        self, sender: PacketSender, packets: Sequence[Packet], shape: Shape, index: int, *, squeezed: bool
    ) -> None:
        """`index` is that of the first packet in its ring; `squeezed`: they are stamped with the ordinals of their pictures."""
        self.bursts = sender.prepare(packets, *shape, ordinals=squeezed)
        self.last = packets[-1]
        self._sender = sender
        self._packets = packets
        self._index = index
        self._squeezed = squeezed
        self._headed: dict[Sort, list[bytes]] = {}

    @cached_property
    def runs(self) -> list[Run]:
        """Return the bursts as they are sent to several."""
        return self._sender.runs(self.bursts)

    @cached_property
    def reached(self) -> list[tuple[int, int, int]]:
        """Return how far each run brings a viewer: index, bytes, tick (ordinal where squeezed) of the last packet."""
        found, count, octets = [], 0, 0
        for run in self.runs:
            count += run.packets
            octets += len(run.burst.template)
            last = self._packets[count - 1]
            found.append((self._index + count, octets, last.picture if self._squeezed else last.timestamp))
        return found

    def headed(self, sort: Sort) -> list[bytes]:
        """Return the runs with the headers of a sort, kept for the next call; those of who catches up are not asked for again."""
        found = self._headed.get(sort)
        if found is None:
            if self._squeezed:
                return self._sender.written(self.runs, sort.look, self._index)
            if len(self._headed) >= _SORTS_HELD:
                self._headed.clear()
            found = self._headed[sort] = self._sender.written(self.runs, sort.look, self._index)
        return found


Runs = dict[tuple[int, int, Shape, bool], Laid]  # (index, stop, shape, squeezed)


class Fanout:
    """The viewers of one rendition of a layer, and the ring they read."""

    def __init__(
        self,
        camera_id: str,
        layer: str,
        sender: PacketSender,
        *,
        kind: str = "copy",
        on_ended: Callable[[Viewer, str], None],
        on_joined: Callable[[Viewer, "Fanout"], None],
        on_key_frame_wanted: Callable[[], None],
    ) -> None:
        self.camera_id = camera_id
        self.layer = layer
        self.kind = kind  # copy | transcode
        self._sender = sender
        self.ring = PacketRing()
        self.viewers: dict[str, Viewer] = {}
        self.joining: dict[str, Viewer] = {}  # fed by another layer until a key frame of this one is at hand
        self.readers: set[Reader] = set()
        self._listeners: list[Listener] = []  # of them
        self.bits_per_s = 0.0  # of this layer, 0 until measured
        self._timeline = Timeline()
        self._sound_lines: dict[str, Timeline] = {}  # by codec
        self._on_ended = on_ended
        self._on_joined = on_joined
        self._on_key_frame_wanted = on_key_frame_wanted
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._waiting = False  # somebody waits for a key frame
        self._for_all = False  # a picture came that everybody lacks
        self._behind: dict[str, Viewer] = {}  # who lacked more than left at once, or has just come
        self._run_ups: Runs = {}
        self._key_frame_s = 0.0  # when the newest key frame arrived
        self._octets, self._octets_since_s = 0, 0.0
        self._task = asyncio.create_task(self._run(), name=f"fan-out {camera_id} {layer}")

    @property
    def busy(self) -> bool:
        """Tell whether anybody gets this layer, or is about to."""
        return bool(self.viewers or self.joining or self.readers)

    def reopened(self) -> None:
        """Expect a new clock: the camera was opened anew."""
        self._timeline.reopened()
        self._sound_lines.clear()

    def picture(self, picture: Picture) -> None:
        """Take one picture from the source."""
        tick = self._timeline.map(picture.timestamp, picture.clock_rate_hz, picture.arrived_s)
        first = self.ring.head
        self.ring.append(picture.payloads, tick, key_frame=picture.key_frame)
        if picture.key_frame:
            self._key_frame_s = picture.arrived_s
            self._run_ups.clear()
            self._measure(picture.arrived_s)
        self._octets += sum(map(len, picture.payloads))
        if self.joining and self.ring.start() is not None:
            for viewer in list(self.joining.values()):
                self._take_over(viewer)
        if picture.key_frame and self._waiting:
            self._waiting = False
            for viewer in self.viewers.values():
                if viewer.ring is self.ring and viewer.next_index is None:
                    viewer.begin()
        if len(self.viewers) != 1 or self.readers or self._send_at_once(picture.payloads, tick, first):
            self._for_all = True
            self._wake.set()

    def hears(self, codec: str) -> bool:
        """Tell whether any viewer agreed to sound in this codec, or a reader takes it."""
        return any(viewer.agreed.audio_codec == codec for viewer in self.viewers.values()) or any(
            listener.hears == codec for listener in self._listeners
        )

    def sound(self, sound: Sound) -> None:
        """Take one packet of sound from the source and send it to those who may hear it; it is not kept."""
        line = self._sound_lines.get(sound.codec)
        if line is None:
            line = self._sound_lines[sound.codec] = Timeline(sound.clock_rate_hz)
        tick = line.map(sound.timestamp, sound.clock_rate_hz, sound.arrived_s)
        now = self._loop.time()
        for viewer in list(self.viewers.values()):
            if viewer.hears and viewer.agreed.audio_codec == sound.codec and viewer.lease_until_s >= now:
                try:
                    viewer.send_sound(sound.payload, tick)
                except SendFailed:
                    self._on_ended(viewer, "send_failed")
        for listener in self._listeners:
            if listener.hears == sound.codec and listener.lease_until_s >= now:
                listener.hear(sound, tick)

    def attach(self, viewer: Viewer) -> None:
        """Let a connected viewer receive."""
        viewer.attach(self.ring)
        if viewer.next_index is None:
            self._waiting = True
            self._on_key_frame_wanted()
        self._behind[viewer.viewer_id] = viewer
        self._wake.set()

    def join(self, viewer: Viewer) -> None:
        """Take a viewer over from another layer as soon as a key frame is at hand; until then that one feeds it."""
        self.joining[viewer.viewer_id] = viewer
        viewer.joining = self
        if self.ring.start() is not None:
            self._take_over(viewer)
        else:
            self._on_key_frame_wanted()

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer, whether fed or about to be. Idempotent."""
        self.viewers.pop(viewer.viewer_id, None)
        self._behind.pop(viewer.viewer_id, None)
        self.joining.pop(viewer.viewer_id, None)
        if viewer.joining is self:
            viewer.joining = None

    def add(self, reader: Reader) -> None:
        """Let a reader take packets."""
        self.readers.add(reader)
        if isinstance(reader, Listener):
            self._listeners.append(reader)
        reader.attach(self.ring)
        if self.ring.start() is None:
            self.wait_for_key_frame()
        self._wake.set()

    def remove(self, reader: Reader) -> None:
        """Forget a reader. Idempotent."""
        self.readers.discard(reader)
        self._listeners = [listener for listener in self._listeners if listener is not reader]

    @property
    def waiting(self) -> bool:
        """Tell whether somebody waits for a key frame, and none is at hand."""
        return self._waiting and self.ring.start() is None

    def wait_for_key_frame(self) -> None:
        """Note that somebody lost its picture and none is at hand."""
        self._waiting = True
        self._on_key_frame_wanted()

    def key_frame(self) -> tuple[list[bytes], float] | None:
        """Return the payloads of the newest key frame and when it arrived (monotonic seconds)."""
        packets = self.ring.key_frame()
        return ([packet.payload for packet in packets], self._key_frame_s) if packets else None

    @property
    def key_frame_s(self) -> float:
        """Return when the newest key frame arrived (monotonic seconds), 0 before the first."""
        return self._key_frame_s

    def ticks(self, now_s: float, sound: str) -> tuple[int, int]:
        """Return the ticks of this moment (monotonic seconds) of picture and of sound in a codec, for sender reports."""
        line = self._sound_lines.get(sound)
        return self._timeline.at(now_s), line.at(now_s) if line is not None else 0

    async def aclose(self) -> None:
        """Stop sending, and let the pictures go now: a megabyte and more must not wait for the collector. Idempotent."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.ring.clear()
        self._run_ups.clear()

    def _take_over(self, viewer: Viewer) -> None:
        """Feed a viewer from here on: a new line of its numbers begins at our key frame."""
        before = viewer.feed
        del self.joining[viewer.viewer_id]
        viewer.joining = None
        if before is not None:
            before.leave(viewer)
        viewer.feed = self
        self.viewers[viewer.viewer_id] = viewer
        if viewer.connected:
            viewer.attach(self.ring)
        self._behind[viewer.viewer_id] = viewer
        self._wake.set()
        self._on_joined(viewer, self)

    def _measure(self, now_s: float) -> None:
        """Measure the bit rate from key frame to key frame, so that their size does not count twice."""
        took = now_s - self._octets_since_s
        if not self._octets_since_s or took > 10 * _RATE_OVER_S:
            self._octets, self._octets_since_s = 0, now_s
        elif took >= _RATE_OVER_S:
            self.bits_per_s = self._octets * 8 / took
            self._octets, self._octets_since_s = 0, now_s

    def _send_at_once(self, payloads: list[bytes], tick: int, first: int) -> bool:
        """Send the only viewer what it lacks, as a rule this picture, without waking the task, whose wake-up costs as much as the sending.

        Returns whether there is anything left for the task: more packets than leave at once, or a full path.
        """
        viewer = next(iter(self.viewers.values()))
        if viewer.next_index is not None and self.ring.head - viewer.next_index > _AT_ONCE:
            return True
        sort, path, now = viewer.sort, viewer.peer.sock, self._loop.time()
        try:
            if (
                viewer.next_index == first >= viewer.catch_up_until
                and sort is not None
                and viewer.ring is self.ring
                and viewer.lease_until_s >= now
                and isinstance(path, socket.socket)
            ):
                octets = self._sender.send_picture(
                    path, viewer.peer.address, viewer.srtp, sort, payloads, timestamp=tick, index=first
                )
                if octets is not None:
                    if octets:
                        viewer.took(first + len(payloads), octets, tick, now)
                    return not octets
            left, blocked = self._send_alone(viewer, self.ring.head, {})
        except SendFailed:
            self._on_ended(viewer, "send_failed")
            return False
        except Exception:  # noqa: BLE001  ours: the task meets it too, and tells; the camera goes on
            return True
        return left or blocked is not None

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
        """Send every viewer what it lacks; return whether some lack more.

        Between two pictures only those are looked at who lack more than left at once: one who begins takes five steps, and
        two hundred others must not be asked at each.
        """
        clock, more = self._loop.time, False
        # Everybody is brought up to the same packet, whatever comes meanwhile: who is served last would otherwise stand
        # elsewhere than who was served first, and from then on each would be served alone.
        head = self.ring.head
        asked = list((self.viewers if self._for_all else self._behind).values())
        self._for_all, self._behind = False, {}
        turn_ends_s = clock() + _TURN_S
        runs: Runs = {}
        for group, viewers in self._groups(asked, head):
            if group is None:
                left, blocked = self._send_alone(viewers[0], head, runs)
            else:
                left, blocked = self._send_together(group, viewers, head, runs)
            if left:
                more = True
                self._behind.update({one.viewer_id: one for one in viewers if one.viewer_id in self.viewers})
            if blocked is not None:
                # The kernel's buffer is full: the network is slower than all viewers together just now.
                await self._sender.writable(blocked)
                turn_ends_s = clock() + _TURN_S
            if clock() > turn_ends_s:
                await asyncio.sleep(0)
                turn_ends_s = clock() + _TURN_S
        for reader in list(self.readers):
            if reader.lease_until_s >= clock():
                more = reader.take() or more
        return more

    def _groups(self, asked: Iterable[Viewer], head: int) -> Iterator[tuple[Group | None, list[Viewer]]]:
        """Yield those who lack packets before `head`: a few at a time who lack the same, all others one by one."""
        base = self.ring.base
        groups: dict[Group, list[Viewer]] = defaultdict(list)
        alone: list[Viewer] = []
        for viewer in asked:
            index = viewer.next_index
            if index is None or index >= head or viewer.ended:
                continue
            path = viewer.peer.sock
            if viewer.sort is None or path is None or index < base:
                alone.append(viewer)
            else:
                until = viewer.catch_up_until
                groups[viewer.shape, index, until if index < until else 0, path].append(viewer)
        for group, viewers in groups.items():
            _shape, index, _until, path = group
            if (
                len(viewers) < _WORTH_A_GROUP
                or not self._sender.sends_together(path)
                or (head - index > _AT_ONCE and self._late(viewers[0], index))
            ):
                alone += viewers
                continue
            for first in range(0, len(viewers), MOST):
                yield group, viewers[first : first + MOST]
        for viewer in alone:
            yield None, [viewer]

    def _send_together(
        self, group: Group, viewers: list[Viewer], head: int, runs: Runs
    ) -> tuple[bool, socket.socket | None]:
        """Send a group what it lacks before `head`; return whether some lack more, and the socket whose buffer is full."""
        shape, index, until, path = group
        ring, now = self.ring, self._loop.time()
        # Since the group was made the task has given way: some may have ended or moved on. Beyond its lease the hub no
        # longer vouches for a viewer; the engine ends it.
        served = [one for one in viewers if one.lease_until_s >= now and not one.ended]
        here = [
            (one, one.sort)
            for one in served
            if one.sort is not None
            and one.shape == shape
            and one.next_index == index
            and (one.catch_up_until == until if until else one.catch_up_until <= index)
            and one.ring is ring
            and one.peer.sock is path
        ]
        left = len(here) < len(served)
        if not here:
            return left, None
        if index < ring.base or isinstance(path, TcpPath):
            return True, None
        stop, more = self._portion(index, until, head)
        laid = self._laid(index, stop, shape, runs, squeezed=until > 0)
        viewers = [one for one, _sort in here]
        headed = {sort: laid.headed(sort) for sort in {sort for _one, sort in here}}
        try:
            got = self._sender.send_together(
                path,
                [one.srtp for one in viewers],
                [one.peer.address for one in viewers],
                laid.runs,
                [headed[sort] for _one, sort in here],
            )
        except SendFailed:
            for one in viewers:  # one of them has no keys any more: it ends, the others go on
                self._send_alone(one, head, {})
            return True, None
        reached, blocked = laid.reached, got[-1] < len(laid.runs)
        for viewer, taken in zip(viewers, got, strict=True):
            if taken:
                to, octets, tick = reached[taken - 1]
                viewer.took(to, octets, tick, now)
        return more or blocked or left, path if blocked else None

    def _send_alone(self, viewer: Viewer, head: int, runs: Runs) -> tuple[bool, socket.socket | None]:
        """Send one viewer what it lacks before `head`; return whether it lacks more, and the socket whose buffer is full."""
        ring = self.ring
        index = viewer.next_index
        if index is None or viewer.ended or index >= head or viewer.lease_until_s < self._loop.time():
            return False, None
        if viewer.ring is not ring:
            return False, None  # it was taken over by another layer meanwhile
        more, lacks = False, head - index
        path = viewer.peer.sock
        if index < ring.base or (lacks > _AT_ONCE and self._late(viewer, index)):
            viewer.skipped += lacks
            viewer.begin()
            if viewer.next_index is None:
                self._waiting = True
                return False, None
            index = viewer.next_index
            lacks = head - index
        if isinstance(path, TcpPath) and not path.ready:
            return (
                True,
                None,
            )  # nobody waits for a connection that takes nothing: this viewer falls behind, alone
        until = viewer.catch_up_until if index < viewer.catch_up_until else 0
        stop, more = self._portion(index, until, head)
        laid = self._laid(index, stop, viewer.shape, runs, squeezed=until > 0)
        try:
            whole = viewer.send(stop - index, laid.last, laid.bursts, squeezed=until > 0)
        except SendFailed:
            self._on_ended(viewer, "send_failed")
            return more, None
        if whole:
            return more, None
        return True, path if path is not None and not isinstance(path, TcpPath) else None

    def _portion(self, index: int, until: int, head: int) -> tuple[int, bool]:
        """Return where to stop this time, and whether anything is left then; who catches up stops where it has."""
        stop = head if head - index <= _AT_ONCE else index + _PORTION
        if until:
            stop = min(stop, until)
        return stop, stop < head

    def _laid(self, index: int, stop: int, shape: Shape, runs: Runs, *, squeezed: bool) -> Laid:
        """Return these packets laid out, kept where others will ask for the same: those who begin later in this group of pictures."""
        key = (index, stop, shape, squeezed)
        laid = runs.get(key) or self._run_ups.get(key)
        if laid is None:
            laid = Laid(self._sender, self.ring.run(index, stop), shape, index, squeezed=squeezed)
            again = squeezed and stop - index == _PORTION and len(self._run_ups) < _RUN_UPS
            (self._run_ups if again else runs)[key] = laid
        return laid

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
