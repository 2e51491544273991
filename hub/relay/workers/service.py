"""The hub's side of the relay: holds the workers, says which camera and which viewer belong to which, speaks for all.

A camera stays with its worker while it is pulled, so that it is pulled once; a new one goes to the worker with the fewest
viewers. The viewers of a worker that died end with ``relay_restarted``; browsers that ask again are served at once, by
another worker where there is one.
"""

import asyncio
import contextlib
import socket
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import IO, Any, Final

import structlog

from adapters.clock import Clock
from adapters.port import PushSeen
from adapters.wire.dialer import NetworkPolicy, no_listeners
from adapters.wire.gate import DeviceBook
from hub.relay.errors import RelayRefused
from hub.relay.events import (
    CameraPulled,
    Finding,
    KeyFrame,
    LayerChanged,
    PushState,
    RelayEvent,
    SourceSpec,
    SourceState,
    ViewerConnected,
    ViewerEnded,
    of_all_workers,
)
from hub.relay.outputs.rtsp_door import Passage
from hub.relay.workers import messages as m
from hub.relay.workers.figures import WorkerFigures
from hub.relay.workers.launch import RelayUnavailable, Spare
from hub.relay.workers.process import Told, WorkerProcess, WorkerState
from hub.relay.workers.setup import RelaySetup
from hub.relay.workers.table import OnSegment, Seat, Table

log = structlog.get_logger(__name__)

__all__ = [
    "RelayEvent",
    "RelayRefused",
    "RelayService",
    "RelaySetup",
    "RelayUnavailable",
    "SourceSpec",
    "SourceState",
    "ViewerConnected",
    "ViewerEnded",
    "WorkerState",
]

MAX_OFFER_BYTES: Final = 1 << 16
_ANSWER_WITHIN_S: Final = 20.0
_STOP_WITHIN_S: Final = 2.0
_EXAMINED_WITHIN_S: Final = 20.0
_RECIPIENT_WITHIN_S: Final = 10.0  # a camera is kept for the worker that a connection for it went to


def _ignore(_event: RelayEvent) -> None:
    """Take an event when nobody has asked for events."""


@dataclass(frozen=True, slots=True)
class RtspRecipient:
    """A connection of RTSP that asks for what its token opens: to be fed by `serve` or answered by `refuse`."""

    digest: str
    address: str
    service: "RelayService"
    worker: WorkerProcess
    number: int

    async def serve(self, viewer_id: str, source: SourceSpec, *, wanted: str, codecs: tuple[str, ...]) -> str:
        """Feed it for as long as `renew` names the viewer; return the codec.

        Raises:
            RelayRefused: with the HTTP status, a stable code and one sentence.
        """
        reply = await self.service.open_reader(
            viewer_id,
            source,
            lambda number: m.Read(
                number, viewer_id, m.Source.of(source), wanted, codecs, connection=self.number
            ),
            on=self.worker,
        )
        return reply.codec

    def refuse(self, error: RelayRefused) -> None:
        """Answer it that it gets nothing."""
        self.worker.send(m.OutputRefused(self.number, error.status, error.code, error.detail))


def _refuse(recipient: RtspRecipient) -> None:
    """Refuse a recipient when nobody was set to decide."""
    recipient.refuse(RelayRefused(404, "outputs_off", "this hub gives nothing to other systems"))


class RelayService:
    """The relay workers, kept alive, and the table of who belongs to which.

    `on_event` is called in the event loop for each event. `policy` and `own_listeners` are read before each view, so
    that the workers' dialers follow the hub's. `book` is the device book of the whole hub.
    """

    def __init__(
        self,
        setup: RelaySetup,
        *,
        policy: Callable[[], NetworkPolicy],
        own_listeners: Callable[[], frozenset[tuple[str, int]]] = no_listeners,
        book: DeviceBook,
        clock: Clock,
    ) -> None:
        self.on_event: Callable[[RelayEvent], None] = _ignore
        self.on_recipient: Callable[[RtspRecipient], None] = _refuse
        self._setup = setup
        self._policy = policy
        self._own_listeners = own_listeners
        self._book = book
        self._clock = clock
        self._workers: tuple[WorkerProcess, ...] = ()
        self._table = Table()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passages: tuple[Passage, ...] = ()  # by worker
        self._places: IO[bytes] | None = None  # of transcodes, see `places.py`
        self._spare: Spare | None = None

    @property
    def port(self) -> int:
        """Return the UDP port of the first worker, 0 before it was ready."""
        return self._workers[0].port if self._workers else 0

    @property
    def restarts(self) -> int:
        """Return how often a worker was started anew."""
        return sum(worker.restarts for worker in self._workers)

    @property
    def worker_pid(self) -> int | None:
        """Return the process id of the first worker that runs, `None` while there is none."""
        return next((worker.pid for worker in self._workers if worker.pid is not None), None)

    @property
    def spare_pid(self) -> int | None:
        """Return the process id of the worker in waiting, `None` while there is none."""
        return self._spare.pid if self._spare is not None else None

    def workers(self) -> tuple[WorkerState, ...]:
        """Return how each worker does."""
        return tuple(worker.state for worker in self._workers)

    def worker_of(self, camera_id: str) -> int | None:
        """Return the index of the worker that holds a camera, `None` where none does."""
        held = self._table.cameras.get(camera_id)
        return None if held is None else held.worker.index

    def listeners(self) -> frozenset[tuple[str, int]]:
        """Return where the relay listens: what the dialer must never dial."""
        unspecified = {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
        return frozenset(
            ("*" if host in unspecified else host, worker.port)
            for host in self._setup.hosts
            for worker in self._workers
            if worker.port
        )

    async def start(self) -> None:
        """Start the workers and keep them running.

        Raises:
            RelayUnavailable: one does not become ready; says why.
        """
        setup = self._setup
        try:
            self._places = tempfile.TemporaryFile(prefix="camhub-places-")  # noqa: SIM115  closed by `aclose`
        except OSError as error:
            raise RelayUnavailable(f"the relay cannot make a temporary file: {error.strerror}") from error
        places_fd = self._places.fileno()
        self._passages = tuple(Passage() for _ in range(setup.workers)) if setup.rtsp else ()
        door_fds = [passage.fd for passage in self._passages]
        if setup.spare:
            # It may become any of them, so it inherits what each of them does.
            self._spare = Spare(
                setup.command, (places_fd, *door_fds), self._clock, after_s=setup.spare_after_s
            )
        self._workers = tuple(
            WorkerProcess(
                index,
                setup.command,
                setup.first_word(index, places_fd, door_fds[index] if door_fds else -1),
                self,
                book=self._book,
                clock=self._clock,
                inherited=(places_fd, *door_fds[index : index + 1]),
                spare=self._spare.take if self._spare is not None else lambda: None,
            )
            for index in range(setup.workers)
        )
        outcomes = await asyncio.gather(*(worker.start() for worker in self._workers), return_exceptions=True)
        failed = next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None)
        if failed is not None:
            await self.aclose()
            raise failed
        for worker in self._workers:
            self._tell_network(worker)
        if self._spare is not None:
            self._spare.start()

    async def aclose(self) -> None:
        """Stop the workers: no frame leaves after this returns. Idempotent."""
        if self._spare is not None:
            await self._spare.aclose()
        await asyncio.gather(*(worker.aclose() for worker in self._workers))
        await asyncio.gather(*self._tasks, return_exceptions=True)  # each ends with its worker
        for passage in self._passages:
            passage.close()
        if self._places is not None:
            self._places.close()
            self._places = None

    async def view(
        self,
        viewer_id: str,
        source: SourceSpec,
        offer_sdp: str,
        *,
        audio: bool = False,
        wanted: str = "main",
    ) -> str:
        """Answer a browser's offer. Frames flow from now on for as long as `renew` names the viewer.

        `wanted` is the layer: main | sub | auto; `LayerChanged` tells which one it is where that is not plain.

        Raises:
            RelayRefused: with the HTTP status, a stable code and one sentence.
        """
        if len(offer_sdp) > MAX_OFFER_BYTES:
            raise RelayRefused(422, "offer_unreadable", f"the offer is larger than {MAX_OFFER_BYTES} bytes")
        reply = await self._open(
            viewer_id,
            source.camera_id,
            lambda number: m.View(number, viewer_id, m.Source.of(source), audio, offer_sdp, wanted),
        )
        return str(reply.sdp)

    async def read(
        self,
        viewer_id: str,
        source: SourceSpec,
        on_segment: OnSegment,
        *,
        wanted: str = "main",
        codecs: tuple[str, ...] = ("H264",),
    ) -> str:
        """Have a camera's pictures sent as fragmented MP4, for as long as `renew` names the viewer; return the codec.

        `codecs` are those that the recipient plays. `on_segment` gets each piece and the type of the format that begins with it, else "". What it handed on it tells by
        `taken`: a recipient that is slow gets newer pictures instead of a longer queue.

        Raises:
            RelayRefused: with the HTTP status, a stable code and one sentence.
        """
        reply = await self._open(
            viewer_id,
            source.camera_id,
            lambda number: m.Read(number, viewer_id, m.Source.of(source), wanted, codecs),
            on_segment,
        )
        return str(reply.codec)

    async def keep_warm(self, viewer_id: str, source: SourceSpec, codecs: tuple[str, ...]) -> str:
        """Pull a camera's first layer with nobody watching, for as long as `renew` names it; return the codec.

        `codecs` is what the camera sends there: what nobody watches is not recoded.

        Raises:
            RelayRefused: with the HTTP status, a stable code and one sentence.
        """
        reply = await self._open(
            viewer_id,
            source.camera_id,
            lambda number: m.Read(
                number, viewer_id, m.Source.of(source), source.layers[0], codecs, warm=True
            ),
        )
        return str(reply.codec)

    async def open_reader(
        self, viewer_id: str, source: SourceSpec, message: Callable[[int], m.FromHub], *, on: WorkerProcess
    ) -> m.Reading:
        """Have a camera read by a recipient that a worker has already.

        Raises:
            RelayRefused: with the HTTP status, a stable code and one sentence.
        """
        reply: m.Reading = await self._open(viewer_id, source.camera_id, message, on=on)
        return reply

    def pass_on(self, camera_id: str, sock: socket.socket, address: str) -> None:
        """Hand a connection of RTSP from this address to the worker that holds a camera, or will; any worker where `camera_id` is "".

        Raises:
            RelayRefused: no worker can take it now.
        """
        if camera_id:
            held = self._table.hold(camera_id, self._workers)
            asyncio.get_running_loop().call_later(_RECIPIENT_WITHIN_S, self._table.forget, camera_id, held)
            worker = held.worker
        else:
            worker = next((one for one in self._workers if one.serves), self._workers[0])
        try:
            self._passages[worker.index].send(sock, address)
        except OSError as error:
            raise RelayRefused(503, "relay_full", "the relay worker takes no connection now") from error

    async def publish(
        self, push_id: str, camera_id: str, offer_sdp: str, *, audio: bool = False, by: str = ""
    ) -> str:
        """Answer an encoder that pushes a camera: its stream is what an address of scheme ``whip`` opens from now on.

        `trickle` and `stop` take `push_id` like a viewer's. `PushState` tells when it pushes, and when no more. `audio`: the
        owner shares the sound; without it none is taken. `by` is whose push it is.

        Raises:
            RelayRefused: with the HTTP status, a stable code and one sentence.
        """
        if len(offer_sdp) > MAX_OFFER_BYTES:
            raise RelayRefused(422, "offer_unreadable", f"the offer is larger than {MAX_OFFER_BYTES} bytes")
        reply = await self._open(
            push_id, camera_id, lambda number: m.Publish(number, push_id, camera_id, offer_sdp, audio, by)
        )
        return str(reply.sdp)

    async def examine_push(
        self, camera_id: str, *, window_s: float, samples: int, within_s: float
    ) -> PushSeen:
        """Measure what is pushed for a camera: to its first picture, then for `window_s` seconds.

        Raises:
            RelayRefused: ``not_pushed``, or no worker answers.
        """
        held = self._table.cameras.get(camera_id)
        if held is None:
            raise RelayRefused(503, "not_pushed", "no encoder pushes this camera's stream now")
        reply: m.PushExamined = await held.worker.ask(
            lambda number: m.ExaminePush(number, camera_id, window_s, samples, within_s),
            within_s + _STOP_WITHIN_S,
        )
        return reply.seen()

    def taken(self, viewer_id: str, size: int) -> None:
        """Note that so many bytes of segments left for their recipient."""
        seat = self._table.seats.get(viewer_id)
        if seat is not None:
            seat.worker.send(m.Taken(viewer_id, size))

    async def trickle(self, viewer_id: str, fragment: str) -> str:
        """Hand on a browser's trickled candidates; return the fragment to answer with where ICE was restarted, else "".

        Raises:
            RelayRefused: 404 no such viewer, 422 not a fragment of this session.
        """
        if len(fragment) > MAX_OFFER_BYTES:
            raise RelayRefused(
                422, "offer_unreadable", f"the fragment is larger than {MAX_OFFER_BYTES} bytes"
            )
        reply = await self._table.seat(viewer_id).worker.ask(
            lambda number: m.Trickle(number, viewer_id, fragment), _STOP_WITHIN_S
        )
        return str(reply.fragment)

    async def choose_layer(self, viewer_id: str, wanted: str) -> None:
        """Let a viewer have another layer: main | sub | auto. `LayerChanged` tells when it does, or why not.

        Raises:
            RelayRefused: 404 no such viewer, 422 no such layer.
        """
        await self._table.seat(viewer_id).worker.ask(
            lambda number: m.ChooseLayer(number, viewer_id, wanted), _STOP_WITHIN_S
        )

    async def examine(self) -> tuple[Finding, ...]:
        """Test every way by which a browser could reach each worker, and say which one would fail.

        Raises:
            RelayRefused: no worker answers.
        """
        turn = self._setup.turn
        found: dict[int, tuple[Finding, ...]] = {}
        answers = await asyncio.gather(
            *(
                worker.ask(
                    lambda number: m.Examine(number, turn.urls, turn.secret.reveal()), _EXAMINED_WITHIN_S
                )
                for worker in self._workers
            ),
            return_exceptions=True,
        )
        for worker, answer in zip(self._workers, answers, strict=True):
            if isinstance(answer, RelayRefused):
                if len(self._workers) == 1:
                    raise answer
                trouble = worker.state.trouble or f"worker {worker.index} does not answer: {answer.detail}"
                gone = Finding("worker", str(worker.state.port), "failed", "worker_down", trouble)
                found[worker.index] = (gone,)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[worker.index] = answer.findings
        return of_all_workers(found)

    def renew(self, viewer_ids: Collection[str]) -> None:
        """Let these viewers receive for two more seconds. To be called each 0.5 s; silence stops their frames."""
        theirs: defaultdict[WorkerProcess, list[str]] = defaultdict(list)
        for viewer_id in viewer_ids:
            seat = self._table.seats.get(viewer_id)
            if seat is not None:
                theirs[seat.worker].append(viewer_id)
        for worker, renewed in theirs.items():
            worker.send(m.Renew(tuple(renewed)))

    async def stop(self, viewer_id: str, code: str) -> None:
        """End a viewer; returns when no packet of picture leaves any more (or the worker itself has gone).

        Unknown viewers are passed over.
        """
        seat = self._table.seats.get(viewer_id)
        if seat is not None:
            with contextlib.suppress(RelayRefused):
                await seat.worker.ask(lambda number: m.Stop(number, viewer_id, code), _STOP_WITHIN_S)

    async def counters(self) -> dict[str, int]:
        """Return the counters of all workers that answer, added up.

        Raises:
            RelayRefused: none answers.
        """
        answers = await asyncio.gather(
            *(worker.ask(m.Count, _STOP_WITHIN_S) for worker in self._workers), return_exceptions=True
        )
        found: Counter[str] = Counter()
        counted = [answer for answer in answers if isinstance(answer, m.Counted)]
        if not counted:
            raise RelayRefused(503, "relay_down", "no relay worker answers; try again", retry_after_s=1.0)
        for one in counted:
            found.update(one.counters)
        return dict(found)

    async def figures(self) -> tuple[WorkerFigures, ...]:
        """Return what each worker counts, for itself and for each camera; of one that does not answer that it does not."""
        answers = await asyncio.gather(
            *(
                worker.ask(lambda number: m.Count(number, each=True), _STOP_WITHIN_S)
                for worker in self._workers
            ),
            return_exceptions=True,
        )
        found = []
        for worker, answer in zip(self._workers, answers, strict=True):
            state = worker.state
            told = (
                (answer.counters, answer.loop_lag_s, answer.cameras)
                if isinstance(answer, m.Counted)
                else ({}, 0.0, ())
            )
            up = state.pid is not None
            found.append(WorkerFigures(worker.index, up, state.restarts, state.failures, *told))
        return tuple(found)

    async def key_frame(self, camera_id: str, url: str) -> KeyFrame | None:
        """Return the newest key frame of a camera that is pulled from this address now; asks nothing of the camera."""
        held = self._table.cameras.get(camera_id)
        if held is None:
            return None
        try:
            reply = await held.worker.ask(lambda number: m.KeyFrameOf(number, camera_id, url), _STOP_WITHIN_S)
        except RelayRefused:
            return None
        return None if reply.arrived_at is None else KeyFrame(reply.nals, reply.arrived_at)

    # --- the workers

    async def _open(
        self,
        viewer_id: str,
        camera_id: str,
        message: Callable[[int], m.FromHub],
        on_segment: OnSegment | None = None,
        on: WorkerProcess | None = None,
    ) -> Any:
        held = self._table.hold(camera_id, self._workers, on)
        seat = self._table.sit(viewer_id, camera_id, held, on_segment)
        self._tell_network(held.worker)
        try:
            reply = await held.worker.ask(message, _ANSWER_WITHIN_S)
            if seat.lost:
                raise RelayRefused(
                    503, "relay_restarted", "the relay was restarted; try again", retry_after_s=1.0
                )
        except BaseException as error:
            if not isinstance(error, RelayRefused) or error.code == "relay_slow":
                self._spawn(self._withdraw(viewer_id, seat))
            else:
                self._table.leave(viewer_id, seat)
            raise
        seat.answered = True
        return reply

    async def _withdraw(self, viewer_id: str, seat: Seat) -> None:
        """Take back what nobody waits for any more: an answer that comes later must not leave a viewer behind.

        The camera stays with the worker until that has said what became of it: it may be opening it at this moment.
        """
        with contextlib.suppress(RelayRefused):
            await seat.worker.ask(lambda number: m.Stop(number, viewer_id, "nobody_waits"), _ANSWER_WITHIN_S)
        self._table.leave(viewer_id, seat)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what the workers tell

    def told(self, worker: WorkerProcess, message: Told) -> None:
        """Take what a worker tells by itself (called in the event loop)."""
        match message:
            case m.Segment():
                seat = self._table.seats.get(message.viewer_id)
                if seat is not None and seat.on_segment is not None:
                    seat.on_segment(message.data, message.mime)
            case m.OutputWanted():
                self._recipient(
                    RtspRecipient(message.digest, message.address, self, worker, message.connection)
                )
            case CameraPulled():
                self._table.pulled(worker, message.camera_id, pulled=message.pulled)
            case ViewerEnded():
                self._table.leave(message.viewer_id)
                self._say(message)
            case SourceState():
                is_open = message.state != "offline"
                self._table.layer(worker, message.camera_id, message.layer, is_open=is_open)
                self._say(message)
            case ViewerConnected() | LayerChanged() | PushState():
                self._say(message)

    def lost(self, worker: WorkerProcess, code: str) -> None:
        """Tell everybody that a worker has gone, and take its rows out of the table (called in the event loop)."""
        seats, cameras = self._table.lose(worker)
        if seats:
            log.warning("relay.viewers.lost", worker=worker.index, viewers=len(seats), cameras=len(cameras))
        for viewer_id, seat in seats.items():
            if seat.answered:
                self._say(ViewerEnded(viewer_id, code))
        now = self._clock.now()
        for camera_id, held in sorted(cameras.items()):
            for layer in sorted(held.layers):
                self._say(
                    SourceState(
                        camera_id, "offline", now, code, "the relay process was restarted", layer=layer
                    )
                )

    def _recipient(self, recipient: RtspRecipient) -> None:
        try:
            self.on_recipient(recipient)
        except Exception:  # whoever decides must not end a worker
            log.exception("relay.recipient.fault")

    def _say(self, event: RelayEvent) -> None:
        try:
            self.on_event(event)
        except Exception:  # whoever listens must not end a worker
            log.exception("relay.event.fault", kind=type(event).__name__)

    def _tell_network(self, worker: WorkerProcess) -> None:
        policy = self._policy()
        allow = tuple(
            str(rule.network)
            if rule.port is None
            else f"[{rule.network}]:{rule.port}"
            if rule.network.version == 6
            else f"{rule.network}:{rule.port}"
            for rule in policy.allow
        )
        listeners = tuple(sorted(self._own_listeners() | self.listeners()))
        worker.tell_network(m.Network(allow, policy.public, listeners))
