"""The hub's side of the relay: starts the worker, supervises it, speaks for it.

The worker is a process; it may die at any moment. Its viewers then end with ``relay_restarted`` and another worker is
started on the same port, so that browsers that ask again are served at once.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from adapters.clock import Clock
from adapters.wire.dialer import NetworkPolicy, no_listeners
from adapters.wire.gate import DeviceBook
from hub.relay import messages as m
from hub.relay.errors import RelayRefused
from hub.relay.events import (
    Finding,
    KeyFrame,
    LayerChanged,
    RelayEvent,
    SourceSpec,
    SourceState,
    ViewerConnected,
    ViewerEnded,
)
from hub.relay.turn import TurnSetup

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
]

MAX_OFFER_BYTES: Final = 1 << 16
_READY_WITHIN_S: Final = 15.0
_ANSWER_WITHIN_S: Final = 20.0
_STOP_WITHIN_S: Final = 2.0
_EXAMINED_WITHIN_S: Final = 20.0
_EXIT_WITHIN_S: Final = 5.0
_RESTART_PAUSES_S: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_SOUND_AFTER_S: Final = 30.0  # a worker that ran so long is restarted without a pause
# What a worker may know of the hub's environment: never CAMHUB_* (keys, passwords, database addresses).
_ENVIRONMENT: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
)


OnSegment = Callable[[bytes, str], None]


class RelayUnavailable(Exception):
    """The worker cannot start: says why (the UDP port is taken, the program is damaged)."""


@dataclass(frozen=True, slots=True)
class RelaySetup:
    """How the relay is to run.

    `hosts` are the UDP addresses to bind, the first is required; `port` 0 picks one; `public_addresses` are told to
    browsers where they differ from the bound ones. `command` starts a worker and gets the descriptor as last argument.
    """

    hosts: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104  browsers of the whole network watch; STUN proves each
    port: int = 8189
    public_addresses: tuple[str, ...] = ()
    turn: TurnSetup = field(default_factory=TurnSetup)
    max_viewers: int = 1000
    max_cameras: int = 500
    max_transcodes: int = 0  # streams recoded at once; 0: none ever
    transcode_width: int = 1280  # px, at most
    transcode_fps: float = 25.0
    transcode_bit_s: int = 2_000_000
    max_sounds: int = 0  # tracks of AAC recoded to Opus at once; 0: none ever
    log_level: str = "info"
    log_format: str = "json"
    command: tuple[str, ...] = field(default=(sys.executable, "-P", "-m", "hub.relay.worker"))


def _ignore(_event: RelayEvent) -> None:
    """Take an event when nobody has asked for events."""


class RelayService:
    """One relay worker, kept alive.

    `on_event` is called in the event loop for each event. `policy` and `own_listeners` are read before each view, so
    that the worker's dialer follows the hub's. `book` is the device book of the whole hub.
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
        self.restarts = 0
        self._setup = setup
        self._policy = policy
        self._own_listeners = own_listeners
        self._book = book
        self._clock = clock
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._network: m.Network | None = None  # as last told to this worker
        self._requests: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._viewers: dict[str, str] = {}  # answered and not ended -> their camera
        self._segments: dict[str, OnSegment] = {}  # where the pieces of readers go
        self._supervisor: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def port(self) -> int:
        """Return the UDP port, 0 before the first worker was ready."""
        return self._port

    @property
    def worker_pid(self) -> int | None:
        """Return the worker's process id, `None` while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def listeners(self) -> frozenset[tuple[str, int]]:
        """Return where the relay listens: what the dialer must never dial."""
        if not self._port:
            return frozenset()
        unspecified = {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
        return frozenset(("*" if host in unspecified else host, self._port) for host in self._setup.hosts)

    async def start(self) -> None:
        """Start the worker and keep it running.

        Raises:
            RelayUnavailable: it does not become ready; says why.
        """
        reader = await self._launch()
        self._supervisor = asyncio.create_task(self._supervise(reader), name="relay supervisor")

    async def aclose(self) -> None:
        """Stop the worker: no frame leaves after this returns. Idempotent."""
        self._closing = True
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        await self._reap()
        self._lost("relay_stopped")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
            source,
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
        self._segments[viewer_id] = on_segment
        try:
            reply = await self._open(
                viewer_id,
                source,
                lambda number: m.Read(number, viewer_id, m.Source.of(source), wanted, codecs),
            )
        except BaseException:
            self._segments.pop(viewer_id, None)  # it may have ended, or the worker died, meanwhile
            raise
        return str(reply.codec)

    def taken(self, viewer_id: str, size: int) -> None:
        """Note that so many bytes of segments left for their recipient."""
        self._send(m.Taken(viewer_id, size))

    async def _open(self, viewer_id: str, source: SourceSpec, message: Callable[[int], m.FromHub]) -> Any:
        self._tell_network()
        try:
            reply = await self._ask(message, _ANSWER_WITHIN_S)
        except BaseException as error:
            # Whoever waited has gone, or time is up: an answer that comes later must not leave a viewer behind.
            if not isinstance(error, RelayRefused) or error.code == "relay_slow":
                self._send(m.Stop(next(self._numbers), viewer_id, "nobody_waits"))
            raise
        self._viewers[viewer_id] = source.camera_id
        return reply

    async def trickle(self, viewer_id: str, fragment: str) -> str:
        """Hand on a browser's trickled candidates; return the fragment to answer with where ICE was restarted, else "".

        Raises:
            RelayRefused: 404 no such viewer, 422 not a fragment of this session.
        """
        if len(fragment) > MAX_OFFER_BYTES:
            raise RelayRefused(
                422, "offer_unreadable", f"the fragment is larger than {MAX_OFFER_BYTES} bytes"
            )
        reply = await self._ask(lambda number: m.Trickle(number, viewer_id, fragment), _STOP_WITHIN_S)
        return str(reply.fragment)

    async def choose_layer(self, viewer_id: str, wanted: str) -> None:
        """Let a viewer have another layer: main | sub | auto. `LayerChanged` tells when it does, or why not.

        Raises:
            RelayRefused: 404 no such viewer, 422 no such layer.
        """
        await self._ask(lambda number: m.ChooseLayer(number, viewer_id, wanted), _STOP_WITHIN_S)

    async def examine(self) -> tuple[Finding, ...]:
        """Test every way by which a browser could reach the relay, and say which one would fail.

        Raises:
            RelayRefused: the worker does not answer.
        """
        turn = self._setup.turn
        reply = await self._ask(
            lambda number: m.Examine(number, turn.urls, turn.secret.reveal()), _EXAMINED_WITHIN_S
        )
        return tuple(reply.findings)

    def renew(self, viewer_ids: Collection[str]) -> None:
        """Let these viewers receive for two more seconds. To be called each 0.5 s; silence stops their frames."""
        if viewer_ids:
            self._send(m.Renew(tuple(viewer_ids)))

    async def stop(self, viewer_id: str, code: str) -> None:
        """End a viewer; returns when no packet of picture leaves any more (or the worker itself has gone).

        Unknown viewers are passed over.
        """
        with contextlib.suppress(RelayRefused):
            await self._ask(lambda number: m.Stop(number, viewer_id, code), _STOP_WITHIN_S)

    async def counters(self) -> dict[str, int]:
        """Return the worker's counters, for metrics.

        Raises:
            RelayRefused: the worker does not answer.
        """
        reply = await self._ask(m.Count, _STOP_WITHIN_S)
        return dict(reply.counters)

    async def key_frame(self, camera_id: str, url: str) -> KeyFrame | None:
        """Return the newest key frame of a camera that is pulled from this address now; asks nothing of the camera."""
        try:
            reply = await self._ask(lambda number: m.KeyFrameOf(number, camera_id, url), _STOP_WITHIN_S)
        except RelayRefused:
            return None
        return None if reply.arrived_at is None else KeyFrame(reply.nals, reply.arrived_at)

    # --- the worker

    async def _launch(self) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._setup.command,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        except OSError as error:
            ours.close()
            raise RelayUnavailable(f"the relay worker cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        self._process = process
        ours.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._network = None
        setup = self._setup
        self._send(
            m.Start(
                setup.hosts,
                self._port or setup.port,
                setup.public_addresses,
                setup.max_viewers,
                setup.max_cameras,
                setup.log_level,
                setup.log_format,
                setup.max_transcodes,
                setup.transcode_width,
                setup.transcode_fps,
                setup.transcode_bit_s,
                setup.max_sounds,
            )
        )
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                ready = await m.read_from_worker(reader)
        except (TimeoutError, m.Broken) as error:
            await self._reap()
            raise RelayUnavailable(
                f"the relay worker was not ready within {_READY_WITHIN_S:.0f} s; see its log"
            ) from error
        if not isinstance(ready, m.Ready):
            await self._reap()
            why = ready.detail if isinstance(ready, m.Failed) else "it ended before it was ready; see its log"
            raise RelayUnavailable(f"the relay worker cannot work: {why}")
        self._port = ready.port
        self._tell_network()
        log.info("relay.worker.ready", pid=process.pid, port=ready.port)
        return reader

    async def _supervise(self, reader: asyncio.StreamReader) -> None:
        failures = 0
        while not self._closing:
            began = self._clock.monotonic()
            try:
                while (message := await m.read_from_worker(reader)) is not None:
                    self._take(message)
            except m.Broken:
                log.exception("relay.worker.broken")
            await self._reap()
            status = self._process.returncode if self._process is not None else None
            log.error("relay.worker.ended", status=status, viewers=len(self._viewers))
            self._lost("relay_restarted")
            failures = 0 if self._clock.monotonic() - began > _SOUND_AFTER_S else failures + 1
            while True:
                await self._clock.sleep(_RESTART_PAUSES_S[min(failures, len(_RESTART_PAUSES_S) - 1)])
                try:
                    reader = await self._launch()
                    self.restarts += 1
                    break
                except RelayUnavailable as error:
                    failures += 1
                    log.error("relay.worker.not_restarted", detail=str(error))

    async def _reap(self) -> None:
        """Close the socket, which ends the worker; kill it where it does not go."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            async with asyncio.timeout(_EXIT_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _lost(self, code: str) -> None:
        """Tell everybody that the worker has gone."""
        for future in list(self._requests.values()):
            if not future.done():
                future.set_exception(
                    RelayRefused(
                        503, code, "the relay was restarted while it answered; try again", retry_after_s=1.0
                    )
                )
        viewers, self._viewers = self._viewers, {}
        self._segments.clear()
        for viewer_id in viewers:
            self.on_event(ViewerEnded(viewer_id, code))
        for camera_id in sorted(set(viewers.values())):
            self.on_event(
                SourceState(camera_id, "offline", self._clock.now(), code, "the relay process was restarted")
            )

    def _take(self, message: m.FromWorker) -> None:
        match message:
            case m.Segment():
                on_segment = self._segments.get(message.viewer_id)
                if on_segment is not None:
                    on_segment(message.data, message.mime)
            case (
                m.Answer()
                | m.Reading()
                | m.Done()
                | m.Counted()
                | m.KeyFrameIs()
                | m.Trickled()
                | m.Examined()
            ):
                self._resolve(message.request, message)
            case m.Refused():
                future = self._requests.get(message.request)
                if future is not None and not future.done():
                    future.set_exception(
                        RelayRefused(
                            message.status, message.code, message.detail, retry_after_s=message.retry_after_s
                        )
                    )
            case m.CooldownOf():
                self._spawn(self._say_cooldown(message))
            case m.CooldownStarted():
                self._spawn(self._book.start_cooldown(message.device, message.until))
            case ViewerEnded():
                self._viewers.pop(message.viewer_id, None)
                self._segments.pop(message.viewer_id, None)
                self.on_event(message)
            case SourceState() | ViewerConnected() | LayerChanged():
                self.on_event(message)
            case m.Ready() | m.Failed():
                raise m.Broken("the worker said twice that it is ready")

    async def _say_cooldown(self, asked: m.CooldownOf) -> None:
        self._send(m.CooldownIs(asked.request, await self._book.cooldown_until(asked.device)))

    def _resolve(self, request: int, value: object) -> None:
        future = self._requests.get(request)
        if future is not None and not future.done():
            future.set_result(value)

    async def _ask(self, message: Callable[[int], m.FromHub], within_s: float) -> Any:
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._requests[number] = future
        try:
            if not self._send(message(number)):
                raise RelayRefused(
                    503, "relay_down", "the relay is being restarted; try again", retry_after_s=1.0
                )
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            raise RelayRefused(
                503, "relay_slow", f"the relay did not answer within {within_s:.0f} s", retry_after_s=5.0
            ) from None
        finally:
            del self._requests[number]

    def _send(self, message: m.FromHub) -> bool:
        if self._writer is None or self._writer.is_closing():
            return False
        self._writer.write(m.pack(message))
        return True

    def _tell_network(self) -> None:
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
        network = m.Network(allow, policy.public, listeners)
        if network != self._network and self._send(network):
            self._network = network

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
