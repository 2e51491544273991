"""A confined child on one end of a socket pair: started with next to nothing, spoken to in its language, ended.

What it is for (`process.py` pictures, `recode.py` streams) is not known here.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Generic

from hub.decode.confine import Confinement
from hub.decode.errors import DecodeUnavailable
from hub.decode.language import Asked, Broken, Failed, Language, Ready, Told
from hub.decode.limits import LENGTH

READY_WITHIN_S: Final = 30.0  # a process on a busy machine imports FFmpeg in some seconds
_EXIT_WITHIN_S: Final = 2.0
# All that a child may know of the hub's environment: where the program lies, if it is run from its source.
_ENVIRONMENT: Final = ("PYTHONPATH",)


def environment() -> dict[str, str]:
    """Return what a child is told of the hub's environment."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


class Child(Generic[Asked, Told]):
    """One child process and our end of its socket."""

    def __init__(
        self,
        language: Language[Asked, Told],
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.confinement = Confinement((), ())
        self._language = language
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(
        cls,
        language: Language[Asked, Told],
        command: Sequence[str],
        *first: Asked,
        inherited: Sequence[int] = (),
    ) -> "Child[Asked, Told]":
        """Start `command`, which gets the number of its socket's descriptor as its last argument; wait until it is confined.

        `first` is what it must be told before it can be ready; `inherited` descriptors stand before the last argument.

        Raises:
            DecodeUnavailable: it cannot be started, or does not become ready; says why.
        """
        child = await cls._started(language, command, inherited)
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                for message in first:
                    await child.say(message)
                ready = await child.hear()
        except (TimeoutError, Broken, OSError, asyncio.IncompleteReadError) as error:
            await child.end(politely=False)
            raise DecodeUnavailable(
                f"the {language.process} process was not ready within {READY_WITHIN_S:.0f} s or ended before ({child.cause})"
            ) from error
        except BaseException:
            await asyncio.shield(child.end(politely=False))
            raise
        if not isinstance(ready, Ready):
            await child.end()
            why = ready.detail if isinstance(ready, Failed) else "it spoke out of turn"
            raise DecodeUnavailable(f"the {language.process} process cannot work: {why}")
        child.confinement = Confinement(ready.applied, ready.missing)
        return child

    @classmethod
    async def _started(
        cls, language: Language[Asked, Told], command: Sequence[str], inherited: Sequence[int]
    ) -> "Child[Asked, Told]":
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *map(str, inherited),
                str(theirs.fileno()),
                pass_fds=(*inherited, theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(),
                cwd="/",
            )
        except OSError as error:
            ours.close()
            raise DecodeUnavailable(
                f"the {language.process} process cannot be started: {error.strerror}"
            ) from error
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(language, process, reader, writer)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit status (negative: the signal), `None` while it runs."""
        return self._process.returncode

    @property
    def alive(self) -> bool:
        """Tell whether the child can be spoken to."""
        gone = self._reader.at_eof() or self._writer.is_closing()
        return self._process.returncode is None and not gone

    @property
    def cause(self) -> str:
        """Say how the child ended: "signal 11", "exit status 1"."""
        status = self._process.returncode
        return f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"

    async def gone(self) -> int:
        """Wait until the child has ended; return its exit status (negative: the signal)."""
        return await self._process.wait()

    def write(self, framed: bytes) -> None:
        """Hand over a message as `Language.ask` made it, without waiting."""
        self._writer.write(framed)

    async def say(self, message: Asked) -> None:
        """Send a message.

        Raises:
            ValueError: it is longer than the child takes.
            OSError: the child has gone.
        """
        self._writer.write(self._language.ask(message))
        await self._writer.drain()

    async def hear(self) -> Told:
        """Return the next message.

        Raises:
            asyncio.IncompleteReadError, OSError: the child has gone.
            Broken: it announced more than it may send, or sent what is no message.
        """
        size = int.from_bytes(await self._reader.readexactly(LENGTH), "big")
        if size > self._language.longest_told:
            raise Broken(f"the {self._language.process} process announced a message of {size} bytes")
        return self._language.told(await self._reader.readexactly(size))

    async def end(self, *, politely: bool = True) -> None:
        """End the child: by closing its socket, else by killing it. Idempotent."""
        self._writer.close()
        if politely and self._process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_WITHIN_S):
                    await self._process.wait()
        if self._process.returncode is None:
            # not Process.kill: that polls first, and would take the status away from the loop's own watcher
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        await self._process.wait()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def computed_s(self) -> float:
        """Return the processor time of the child so far; 0 where the system does not tell it this way."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime: proc(5)
