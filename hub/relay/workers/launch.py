"""Relay workers as processes of the system: how one is begun, and the one that waits to take the place of another.

A worker holds nothing before its first word (`messages.Start`): no port, no camera, no viewer. What takes its time is the
loading of what it is made of, a second on a quiet machine and several on a busy one. So a process that has done that and
waits for its first word can take a dead worker's place at once.
"""

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass
from typing import Final

import structlog

from adapters.clock import Clock

log = structlog.get_logger(__name__)

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
_AGAIN_AFTER_S: Final = 30.0  # of a spare that ended by itself, or could not be begun


class RelayUnavailable(Exception):
    """A worker cannot start: says why (the UDP port is taken, the program is damaged)."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A process that waits for its first word, and the hub's end of its socket."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def begin(command: tuple[str, ...], inherited: tuple[int, ...]) -> Begun:
    """Begin a worker's process. `inherited` are the descriptors that it gets beside its socket.

    Raises:
        RelayUnavailable: the system does not let it; says why.
    """
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:  # no descriptor is left just now
        raise RelayUnavailable(f"the relay worker cannot be started: {error.strerror}") from error
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(theirs.fileno()),
            pass_fds=(theirs.fileno(), *inherited),
            stdin=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
    except OSError as error:
        ours.close()
        raise RelayUnavailable(f"the relay worker cannot be started: {error.strerror}") from error
    finally:
        theirs.close()
    ours.setblocking(False)
    return Begun(process, *await asyncio.open_connection(sock=ours))


class Spare:
    """One process that waits. Another one is begun `after_s` after it was taken: the machine is needed elsewhere until then."""

    def __init__(
        self, command: tuple[str, ...], inherited: tuple[int, ...], clock: Clock, *, after_s: float
    ) -> None:
        self._command = command
        self._inherited = inherited
        self._clock = clock
        self._after_s = after_s
        self._held: Begun | None = None
        self._taken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id of the one that waits, `None` while there is none."""
        return self._held.process.pid if self._held is not None else None

    def start(self) -> None:
        """Keep one from now on."""
        self._keeper = asyncio.create_task(self._keep(), name="relay spare worker")

    def take(self) -> Begun | None:
        """Return the one that waits, `None` where there is none; whoever takes it sees to it."""
        held, self._held = self._held, None
        self._taken.set()
        if held is not None and held.process.returncode is not None:
            held.writer.close()
            return None
        return held

    async def aclose(self) -> None:
        """End the one that waits, and begin no other. Idempotent."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        held, self._held = self._held, None
        if held is not None:
            held.writer.close()
            with contextlib.suppress(ProcessLookupError):
                held.process.kill()  # it holds nothing that would have to be let go
            await held.process.wait()

    async def _keep(self) -> None:
        pause_s = self._after_s
        while True:
            await self._clock.sleep(pause_s)
            self._taken.clear()
            try:
                self._held = held = await begin(self._command, self._inherited)
            except RelayUnavailable as error:
                log.warning("relay.spare.not_begun", detail=str(error))
                pause_s = _AGAIN_AFTER_S
                continue
            log.info("relay.spare.begun", pid=held.process.pid)
            ends = asyncio.create_task(held.process.wait())
            taken = asyncio.create_task(self._taken.wait())
            try:
                await asyncio.wait({ends, taken}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ends.cancel()
                taken.cancel()
            pause_s = self._after_s
            if self._held is held:
                self._held = None
                held.writer.close()
                log.warning("relay.spare.ended", status=held.process.returncode)
                pause_s = _AGAIN_AFTER_S
