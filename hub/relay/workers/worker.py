"""A relay worker: a process of its own, started by the hub with one end of a socket pair.

``python -m hub.relay.workers.worker FD``. It opens neither the store nor the master key and inherits none of the hub's
settings: one camera's credential comes in memory with each view. The hub's end closed, by whatever death, means that
nobody vouches for the viewers: frames stop at once and the process ends.
"""

import asyncio
import contextlib
import gc
import itertools
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

import structlog

from adapters.clock import Clock, SystemClock
from adapters.deadline import Deadline
from adapters.errors import AdapterError, NotPushed, TimedOut
from adapters.port import MediaSource, ProbeContext, StreamOffer
from adapters.registry import Registry
from adapters.secret import Secret
from adapters.target import parse_target
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, device_key
from hub.observe import configure_logging
from hub.relay.camera.places import SharedPlaces
from hub.relay.camera.transcoding import Transcoding
from hub.relay.engine import EngineLimits, RelayEngine
from hub.relay.errors import RelayRefused
from hub.relay.events import RelayEvent, SourceSpec, ViewerEnded
from hub.relay.outputs.fmp4 import SoundFormat
from hub.relay.outputs.mse import MseReader, Segment
from hub.relay.outputs.readers import Ending, Warm
from hub.relay.outputs.rtsp_door import Arrivals
from hub.relay.outputs.rtsp_out import RtspOutput, Wanted
from hub.relay.webrtc.sdp import Offered
from hub.relay.webrtc.turn import TurnSetup
from hub.relay.workers import messages as m

log = structlog.get_logger(__name__)

_CLOSING_S = 3.0  # for the farewell to cameras once the hub has gone
_BOOK_WITHIN_S = 2.0
_GC_AFTER = 5_000  # objects more than before


class HubBook:
    """The device book, kept by the hub: a cool-down learnt anywhere holds here, one learnt here holds everywhere."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker

    async def cooldown_until(self, device: str) -> datetime | None:
        """Ask the hub; where it does not answer, nothing with a credential is sent.

        Raises:
            TimedOut: the hub did not answer.
        """
        try:
            async with asyncio.timeout(_BOOK_WITHIN_S):
                return await self._worker.ask_cooldown(device)
        except TimeoutError as error:
            raise TimedOut("asking the hub's device book", waited_s=_BOOK_WITHIN_S, peer=device) from error

    async def start_cooldown(self, device: str, until: datetime) -> None:
        """Tell the hub."""
        self._worker.send(m.CooldownStarted(device, until))

    async def clear_cooldown(self, device: str) -> None:
        """Refuse: only the owner's new credential ends a cool-down, and the hub hears of that first."""
        raise PermissionError(f"a relay worker does not end the cool-down of {device}")

    async def acquire(self, slot: str, ttl_s: float) -> str:
        """Refuse: a relay worker never probes."""
        raise PermissionError(f"a relay worker does not take {slot} for {ttl_s} s")

    async def release(self, slot: str, token: str) -> None:
        """Do nothing: no slot was ever taken."""


class Recipient:
    """Where segments go: to the hub, which says how many bytes it got rid of."""

    def __init__(self, viewer_id: str, send: Callable[[m.FromWorker], None]) -> None:
        self.waiting = 0  # bytes that the hub has not told to be taken
        self._viewer_id = viewer_id
        self._send = send

    def put(self, segment: Segment) -> None:
        """Send a segment."""
        self.waiting += len(segment.data)
        self._send(m.Segment(self._viewer_id, segment.data, segment.mime, segment.key))

    def taken(self, size: int) -> None:
        """Note that so many bytes left the hub."""
        self.waiting = max(0, self.waiting - size)


class MseRecipient(MseReader):
    """The reader of one recipient of segments; its end is told by `ViewerEnded`."""

    def __init__(self, offered: Offered, recipient: Recipient) -> None:
        aac = offered.own_sound
        sound = SoundFormat.of(aac.configuration, aac.clock_rate_hz) if aac is not None else None
        super().__init__(offered.codec, recipient.put, lambda: recipient.waiting, sound)

    def end(self, code: str) -> None:
        """Do nothing: nothing is held."""


class Worker:
    """The worker's side of the socket."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._policy = NetworkPolicy(public=False)  # until the hub has said otherwise nothing is dialled
        self._listeners: frozenset[tuple[str, int]] = frozenset()
        self._writer: asyncio.StreamWriter | None = None
        self._said: list[bytes] = []  # in this round of the loop
        self._engine: RelayEngine | None = None
        self._gate = CredentialGate(HubBook(self), clock)
        self._asked: dict[int, asyncio.Future[datetime | None]] = {}
        self._numbers = itertools.count(1)
        self._answering: dict[str, asyncio.Task[None]] = {}  # views that wait for their camera, by viewer
        self._recipients: dict[str, Recipient] = {}  # of segments
        self._examining: set[asyncio.Task[None]] = set()
        self._output = RtspOutput(self._output_wanted, self._recipient_left)

    async def serve(self, sock: socket.socket) -> int:
        """Work until the hub goes; return the exit status."""
        reader, self._writer = await asyncio.open_connection(sock=sock)
        with contextlib.suppress(AdapterError):
            self._registry.adapter("rtsp")  # loaded now, so that the first viewer does not wait for it
        start = await m.read_from_hub(reader)
        if not isinstance(start, m.Start):
            return 2
        configure_logging(start.log_level, start.log_format)
        limits = EngineLimits(
            max_viewers=start.max_viewers,
            max_cameras=start.max_cameras,
            max_transcodes=start.max_transcodes,
            max_sounds=start.max_sounds,
            idle_stop_s=start.idle_stop_s,
            push_kbit_s=start.push_kbit_s,
        )
        how = Transcoding(
            max_width=start.transcode_width,
            max_fps=start.transcode_fps,
            bit_s=start.transcode_bit_s,
            encoder=start.encoder,
        )
        places = sounds = None
        if start.places_fd >= 0:
            places = SharedPlaces(start.places_fd, start.max_transcodes)
            sounds = SharedPlaces(start.places_fd, start.max_sounds, first=start.max_transcodes)
        self._engine = engine = RelayEngine(
            self._open,
            self._clock,
            self._event,
            limits,
            transcoding=how,
            shared_places=places,
            shared_sounds=sounds,
        )
        try:
            port = engine.start(start.hosts, start.port, start.public_addresses)
        except OSError as error:
            self.send(
                m.Failed(f"UDP port {start.port} on {start.hosts[0]} cannot be bound: {error.strerror}")
            )
            self._hand_over()
            await self._writer.drain()
            return 1
        self.send(m.Ready(port, start.hosts))
        arrivals = Arrivals(start.door_fd, self._output.take) if start.door_fd >= 0 else None
        # What was imported lives as long as the process: the collector need not walk it while frames wait.
        gc.collect()
        gc.freeze()
        # Packets come and go by thousands a second and form no cycles: looking for those after every 700 is work for
        # nothing. What viewers who left hold in cycles must not wait long either, so the later generations come sooner.
        gc.set_threshold(_GC_AFTER, 5, 5)
        try:
            while (message := await m.read_from_hub(reader)) is not None:
                self._take(engine, message)
        except m.Broken:
            log.exception("relay.worker.broken")
        engine.cut()
        if arrivals is not None:
            arrivals.close()
        for task in (*self._answering.values(), *self._examining):
            task.cancel()
        try:
            async with asyncio.timeout(_CLOSING_S):
                await self._output.aclose()
                await engine.aclose()
        except TimeoutError:
            log.warning("relay.worker.farewell_cut", waited_s=_CLOSING_S)
        self._hand_over()
        self._writer.close()
        return 0

    def send(self, message: m.FromWorker) -> None:
        """Say something to the hub, in one piece with what else is said in this round; a hub that is gone is noticed by the reader."""
        self._said.append(m.pack(message))
        if len(self._said) == 1:
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.writelines(self._said)
        self._said = []

    async def ask_cooldown(self, device: str) -> datetime | None:
        """Ask the hub until when a device's credential must not be sent."""
        number = next(self._numbers)
        future: asyncio.Future[datetime | None] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            self.send(m.CooldownOf(number, device))
            return await future
        finally:
            del self._asked[number]

    def _take(self, engine: RelayEngine, message: m.FromHub) -> None:
        match message:
            case m.Renew():
                engine.renew(message.viewer_ids)
            case m.Stop():
                answering = self._answering.get(message.viewer_id)
                if answering is not None:
                    answering.cancel()
                engine.stop(message.viewer_id, message.code)
                self.send(m.Done(message.request))
            case m.Taken():
                recipient = self._recipients.get(message.viewer_id)
                if recipient is not None:
                    recipient.taken(message.size)
            case m.View() | m.Read():
                if message.viewer_id not in self._answering:
                    task = asyncio.create_task(self._view(engine, message))
                    self._answering[message.viewer_id] = task
                    task.add_done_callback(lambda _task: self._answering.pop(message.viewer_id, None))
                else:
                    twice = RelayRefused(
                        409, "viewer_exists", "this viewer session is being answered already"
                    )
                    self._refuse(message.request, twice)
            case m.OutputRefused():
                refusal = RelayRefused(message.status, message.code, message.detail)
                self._output.refuse(message.connection, refusal)
            case m.Publish():
                try:
                    sdp = engine.publish(
                        message.push_id, message.camera_id, message.offer, audio=message.audio, by=message.by
                    )
                    self.send(m.Answer(message.request, sdp))
                except RelayRefused as error:
                    self._refuse(message.request, error)
            case m.Trickle():
                try:
                    fragment = engine.trickle(message.viewer_id, message.fragment)
                    self.send(m.Trickled(message.request, fragment))
                except RelayRefused as error:
                    self._refuse(message.request, error)
            case m.ChooseLayer():
                try:
                    engine.choose_layer(message.viewer_id, message.wanted)
                    self.send(m.Done(message.request))
                except RelayRefused as error:
                    self._refuse(message.request, error)
            case m.Examine():
                self._spawn(self._examine(engine, message))
            case m.ExaminePush():
                self._spawn(self._examine_push(engine, message))
            case m.Network():
                self._policy = NetworkPolicy.of(message.allow, public=message.public)
                self._listeners = frozenset(message.listeners)
            case m.CooldownIs():
                future = self._asked.get(message.request)
                if future is not None and not future.done():
                    future.set_result(message.until)
            case m.KeyFrameOf():
                held = engine.key_frame(message.camera_id, message.url)
                if held is None or sum(map(len, held.nals)) > m.MAX_KEY_FRAME:
                    self.send(m.KeyFrameIs(message.request, (), None))
                else:
                    self.send(m.KeyFrameIs(message.request, held.nals, held.arrived_at))
            case m.Beat():
                hardware = engine.hardware
                self.send(m.Alive(message.request, hardware.last, hardware.streams))
            case m.Count():
                each = engine.camera_figures() if message.each else ()
                self.send(m.Counted(message.request, engine.counters(), engine.loop_lag_s, each))
            case m.Start():
                raise m.Broken("the hub sent a second Start")

    async def _view(self, engine: RelayEngine, message: m.View | m.Read) -> None:
        if isinstance(message, m.View):
            await self._answer(message, self._answer_offer(engine, message))
        else:
            await self._answer(message, self._read(engine, message))

    @staticmethod
    async def _answer_offer(engine: RelayEngine, message: m.View) -> m.FromWorker:
        sdp = await engine.view(
            message.viewer_id,
            message.source.spec(),
            message.offer,
            audio=message.audio,
            wanted=message.wanted,
        )
        return m.Answer(message.request, sdp)

    async def _read(self, engine: RelayEngine, message: m.Read) -> m.FromWorker:
        recipient = Recipient(message.viewer_id, self.send)

        def make(offered: Offered) -> Ending:
            if message.warm:
                return Warm()
            if message.connection:
                return self._output.reader(message.connection, message.viewer_id, offered)
            return MseRecipient(offered, recipient)

        if not message.connection and not message.warm:
            self._recipients[message.viewer_id] = recipient
        try:
            layer, offered = await engine.read(
                message.viewer_id,
                message.source.spec(),
                make,
                wanted=message.wanted,
                codecs=message.codecs,
            )
        except BaseException:
            self._recipients.pop(message.viewer_id, None)  # it may have ended meanwhile
            raise
        return m.Reading(message.request, layer, offered.codec)

    async def _answer(self, message: m.View | m.Read, work: Coroutine[Any, Any, m.FromWorker]) -> None:
        try:
            reply = await work
        except asyncio.CancelledError:
            gone = RelayRefused(409, "view_stopped", "the view was stopped before it was answered")
            self._refuse(message.request, gone)
        except RelayRefused as error:
            self._refuse(message.request, error)
        except Exception as error:  # our bug must not leave the hub waiting
            log.exception("relay.worker.view_fault", viewer_id=message.viewer_id)
            detail = f"the relay failed while it answered ({type(error).__name__}); see its log"
            self._refuse(message.request, RelayRefused(500, "internal", detail))
        else:
            self.send(reply)

    async def _examine(self, engine: RelayEngine, message: m.Examine) -> None:
        turn = TurnSetup(message.turn_urls, Secret(message.turn_secret))
        self.send(m.Examined(message.request, tuple(await engine.examine(turn))))

    async def _examine_push(self, engine: RelayEngine, message: m.ExaminePush) -> None:
        try:
            seen = await engine.examine_push(
                message.camera_id,
                window_s=message.window_s,
                samples=message.samples,
                within_s=message.within_s,
            )
        except NotPushed as error:
            self._refuse(message.request, RelayRefused(503, error.code, str(error)))
        except Exception as error:  # our bug must not leave the hub waiting
            log.exception("relay.worker.examine_fault", camera_id=message.camera_id)
            detail = f"the relay failed while it measured ({type(error).__name__}); see its log"
            self._refuse(message.request, RelayRefused(500, "internal", detail))
        else:
            self.send(m.PushExamined.of(message.request, seen))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._examining.add(task)
        task.add_done_callback(self._examining.discard)

    def _output_wanted(self, wanted: Wanted) -> None:
        self.send(m.OutputWanted(wanted.connection, wanted.digest, wanted.address))

    def _recipient_left(self, viewer_id: str, code: str) -> None:
        if self._engine is not None:
            self._engine.stop(viewer_id, code)

    def _refuse(self, request: int, error: RelayRefused) -> None:
        self.send(m.Refused(request, error.status, error.code, error.detail, error.retry_after_s))

    def _event(self, event: RelayEvent) -> None:
        if isinstance(event, ViewerEnded):
            self._recipients.pop(event.viewer_id, None)
        self.send(event)

    async def _open(self, spec: SourceSpec, deadline: Deadline, audio: bool) -> MediaSource:
        """Open a camera's stream through its adapter, past the guarded dialer and the credential gate."""
        target, _none = parse_target(spec.url)
        dialer = Dialer(self._policy, lambda: self._listeners)
        context = ProbeContext(dialer, self._gate, self._clock, spec.device or device_key(target))
        return await self._registry.open(
            StreamOffer(target, "main", spec.codec),
            spec.credential,
            context,
            deadline,
            transport=spec.transport,
            audio=audio,
        )


def main(arguments: Sequence[str], registry: Registry | None = None) -> int:
    """Run a worker on an inherited file descriptor; `registry` is given by programs that bring own adapters."""
    # A terminal's Ctrl-C reaches the whole group: the hub decides when its worker ends, by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A service manager ends the whole group likewise.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    with socket.socket(fileno=int(arguments[0])) as sock:
        sock.setblocking(False)
        worker = Worker(registry if registry is not None else Registry.installed(), SystemClock())
        return asyncio.run(worker.serve(sock))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
