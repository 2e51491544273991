"""One relay worker as the hub holds it: a process, supervised, and the link to it.

A worker may die at any moment. Its process is started anew on the same port, at once where it had run soundly, with
longer and longer pauses where it dies again and again. One that hangs is ended: it could neither serve nor be replaced.
"""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import structlog

from adapters.clock import Clock
from adapters.wire.gate import DeviceBook
from hub.decode.recode_messages import Coder
from hub.relay.errors import RelayRefused
from hub.relay.events import RelayEvent
from hub.relay.workers import messages as m
from hub.relay.workers.launch import Begun, RelayUnavailable, begin

log = structlog.get_logger(__name__)

_READY_WITHIN_S: Final = 40.0  # of a busy small machine
_EXIT_WITHIN_S: Final = 5.0
_RESTART_PAUSES_S: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SOUND_AFTER_S: Final = 30.0  # a worker that ran so long is restarted without a pause
_BEAT_EVERY_S: Final = 3.0
_BEAT_WITHIN_S: Final = 5.0
_BEATS_MISSED: Final = 3  # in a row: the worker hangs

_NOTHING_CODED: Final = m.Alive(0, None, 0)

Told = RelayEvent | m.Segment | m.OutputWanted  # what is not the answer to a request


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How a worker's process does. `failures` counts its ends in a row that came soon after a start."""

    index: int
    port: int  # UDP and TCP; 0 before the first start
    pid: int | None  # None: it does not run now
    restarts: int
    failures: int
    last_end: str  # how it last ended, in words; "" where it never did
    coder: Coder | None = None  # what codes its transcodes, by the newest news; None: none was coded yet
    hardware: int = 0  # streams that hardware codes

    @property
    def trouble(self) -> str:
        """Return one English sentence about what is wrong, "" where nothing is."""
        if self.pid is None:
            return f"worker {self.index} (port {self.port}) does not run: {self.last_end or 'it is starting'}"
        if self.failures > 1:
            return (
                f"worker {self.index} (port {self.port}) ended {self.failures} times in a row, "
                f"the last time by {self.last_end}; see its log"
            )
        return ""


class Hears(Protocol):
    """Who is told about a worker, in the event loop."""

    def told(self, worker: "WorkerProcess", message: Told) -> None:
        """Take what the worker tells by itself."""

    def lost(self, worker: "WorkerProcess", code: str) -> None:
        """The process has gone, and with it every pull and every viewer that it held."""


class WorkerProcess:
    """The process of one worker. `start` is its first word, `inherited` are the descriptors that it gets beside its socket.

    `spare` gives a process that has loaded everything and waits for its first word, where there is one.
    """

    def __init__(
        self,
        index: int,
        command: tuple[str, ...],
        start: m.Start,
        hears: Hears,
        *,
        book: DeviceBook,
        clock: Clock,
        inherited: tuple[int, ...] = (),
        spare: Callable[[], Begun | None] = lambda: None,
    ) -> None:
        self.index = index
        self.port = 0
        self.restarts = 0
        self._command = command
        self._start = start
        self._hears = hears
        self._book = book
        self._clock = clock
        self._inherited = inherited
        self._spare = spare
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._network: m.Network | None = None  # as last told to this process
        self._requests: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._supervisor: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_s = 0.0
        self._failures = 0
        self._last_end = ""
        self._alive = _NOTHING_CODED
        self._ready = False
        self._hung = False

    @property
    def pid(self) -> int | None:
        """Return the process id, `None` while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def serves(self) -> bool:
        """Tell whether it can be spoken to."""
        return self._ready and self._writer is not None and not self._writer.is_closing()

    @property
    def state(self) -> WorkerState:
        """Return how the process does."""
        sound = self.serves and self._clock.monotonic() - self._began_s > _SOUND_AFTER_S
        return WorkerState(
            self.index,
            self.port or self._start.port,
            self.pid if self.serves else None,
            self.restarts,
            0 if sound else self._failures,
            self._last_end,
            self._alive.coder,
            self._alive.hardware,
        )

    async def start(self) -> None:
        """Start the process and keep it running.

        Raises:
            RelayUnavailable: it does not become ready; says why.
        """
        reader = await self._launch()
        self._supervisor = asyncio.create_task(
            self._supervise(reader), name=f"relay worker {self.index} supervisor"
        )

    async def aclose(self) -> None:
        """End the process: no frame leaves it after this returns. Idempotent."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        await self._reap()
        self._lost("relay_stopped")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, message: Callable[[int], m.FromHub], within_s: float) -> Any:
        """Send a request and return its answer. `message` makes it from the number that it gets.

        Raises:
            RelayRefused: the worker refused it, is gone, or did not answer in time.
        """
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._requests[number] = future
        try:
            if not self.send(message(number)):
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

    def send(self, message: m.FromHub) -> bool:
        """Send a message that has no answer; False where nobody is there to hear it."""
        if self._writer is None or not self.serves:
            return False
        self._writer.write(m.pack(message))
        return True

    def tell_network(self, network: m.Network) -> None:
        """Say what may be dialled, where that is news."""
        if network != self._network and self.send(network):
            self._network = network

    async def _launch(self) -> asyncio.StreamReader:
        waiting = self._spare()
        if waiting is not None:
            try:
                return await self._take_on(waiting)
            except RelayUnavailable as error:
                log.warning("relay.spare.not_taken", worker=self.index, detail=str(error))
        return await self._take_on(await begin(self._command, self._inherited))

    async def _take_on(self, begun: Begun) -> asyncio.StreamReader:
        """Say the first word to a process and wait until it is ready.

        Raises:
            RelayUnavailable: it does not become so.
        """
        self._process, reader, self._writer = begun.process, begun.reader, begun.writer
        self._network = None
        self._alive = _NOTHING_CODED
        self._writer.write(m.pack(msgspec.structs.replace(self._start, port=self.port or self._start.port)))
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
        self.port, self._ready = ready.port, True
        self._began_s = self._clock.monotonic()
        log.info("relay.worker.ready", worker=self.index, pid=self.pid, port=ready.port)
        return reader

    async def _supervise(self, reader: asyncio.StreamReader) -> None:
        while True:
            beats = asyncio.create_task(self._listen_for_beats(), name=f"relay worker {self.index} beats")
            try:
                while (message := await m.read_from_worker(reader)) is not None:
                    self._hear(message)
            except m.Broken:
                log.exception("relay.worker.broken", worker=self.index)
            finally:
                beats.cancel()
            await self._reap()
            self._last_end = self._how_it_ended()
            log.error("relay.worker.ended", worker=self.index, by=self._last_end)
            sound = self._clock.monotonic() - self._began_s > _SOUND_AFTER_S
            self._failures = 0 if sound else self._failures + 1
            self._lost("relay_restarted")
            reader = await self._again()

    async def _again(self) -> asyncio.StreamReader:
        """Start another process, as often as it takes."""
        while True:
            await self._clock.sleep(_RESTART_PAUSES_S[min(self._failures, len(_RESTART_PAUSES_S) - 1)])
            try:
                reader = await self._launch()
            except RelayUnavailable as error:
                self._failures += 1
                self._last_end = str(error)
                log.error("relay.worker.not_restarted", worker=self.index, detail=str(error))
            else:
                self.restarts += 1
                return reader

    async def _listen_for_beats(self) -> None:
        """End a process that lives and does not answer."""
        missed = 0
        while missed < _BEATS_MISSED:
            await self._clock.sleep(_BEAT_EVERY_S)
            try:
                alive = await self.ask(m.Beat, _BEAT_WITHIN_S)
                self._alive = alive if isinstance(alive, m.Alive) else _NOTHING_CODED
                missed = 0
            except RelayRefused:
                missed += 1
        log.error("relay.worker.hangs", worker=self.index, pid=self.pid)
        self._hung = True
        self._kill()

    async def _reap(self) -> None:
        """Close the socket, which ends the worker; kill it where it does not go."""
        self._ready = False
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
            self._kill()
            await process.wait()

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _how_it_ended(self) -> str:
        if self._hung:
            self._hung = False
            return "a kill, for it did not answer"
        status = None if self._process is None else self._process.returncode
        if status is not None and status < 0:
            return f"signal {-status} ({signal.strsignal(-status)})"
        return f"exit status {status}"

    def _lost(self, code: str) -> None:
        for future in list(self._requests.values()):
            if not future.done():
                future.set_exception(
                    RelayRefused(
                        503, code, "the relay was restarted while it answered; try again", retry_after_s=1.0
                    )
                )
        self._hears.lost(self, code)

    def _hear(self, message: m.FromWorker) -> None:
        """Take a message; a fault of ours costs that message, not the ear for all that come after.

        Raises:
            Broken: it is none that may come.
        """
        try:
            self._take(message)
        except m.Broken:
            raise
        except Exception:
            log.exception("relay.worker.message_fault", worker=self.index, kind=type(message).__name__)

    def _take(self, message: m.FromWorker) -> None:
        match message:
            case m.Refused():
                self._resolve(
                    message.request,
                    RelayRefused(
                        message.status, message.code, message.detail, retry_after_s=message.retry_after_s
                    ),
                )
            case m.CooldownOf():
                self._spawn(self._say_cooldown(message))
            case m.CooldownStarted():
                self._spawn(self._book.start_cooldown(message.device, message.until))
            case m.Ready() | m.Failed():
                raise m.Broken("the worker said twice that it is ready")
            case _ if isinstance(message, m.Reply):
                self._resolve(message.request, message)
            case _:
                self._hears.told(self, message)

    async def _say_cooldown(self, asked: m.CooldownOf) -> None:
        self.send(m.CooldownIs(asked.request, await self._book.cooldown_until(asked.device)))

    def _resolve(self, request: int, value: object) -> None:
        future = self._requests.get(request)
        if future is None or future.done():
            return
        if isinstance(value, RelayRefused):
            future.set_exception(value)
        else:
            future.set_result(value)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
