"""The hub's side of one decode process: starts it, gives it one job at a time, kills it where it does not answer."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.decode import limits
from hub.decode import messages as m
from hub.decode.confine import Confinement
from hub.decode.errors import DecoderCrashed, DecodeTimedOut, DecodeUnavailable, OutOfMemory

READY_WITHIN_S: Final = 30.0  # a process on a busy machine imports FFmpeg in some seconds
_EXIT_WITHIN_S: Final = 2.0
_CPU_MARGIN_S: Final = 2  # the hub's own deadline comes first; this is for a hub that died meanwhile
# All that a decode process may know of the hub's environment: where the program lies, if it is run from its source.
_ENVIRONMENT: Final = ("PYTHONPATH",)


@dataclass(frozen=True, slots=True)
class DecodeSetup:
    """How pictures are decoded. `command` starts a process and gets the descriptor as its last argument.

    `memory` (bytes) bounds what a process takes for a job; `job_s` how long a job may take. A process is replaced after
    `jobs` jobs: what a picture may have done to it does not last. A camera whose pictures ended a process twice within
    `refused_s` is refused for so long.
    """

    processes: int = 1
    memory: int = 512 * limits.MIB
    job_s: float = 6.0
    jobs: int = 500
    refused_s: float = 600.0
    command: tuple[str, ...] = field(default=(sys.executable, "-P", "-m", "hub.decode.worker"))


class DecodeProcess:
    """One decode process, started. Not for two jobs at once."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        confinement: Confinement,
    ) -> None:
        self.confinement = confinement
        self.jobs = 0
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, setup: DecodeSetup) -> "DecodeProcess":
        """Start a process and wait until it is confined.

        Raises:
            DecodeUnavailable: it does not become ready; says why.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *setup.command,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                cwd="/",
            )
        except OSError as error:
            ours.close()
            raise DecodeUnavailable(f"the decode process cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        started = cls(process, reader, writer, Confinement((), ()))
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await started._say(m.Begin(setup.memory))
                ready = await started._hear()
        except (TimeoutError, m.Broken, OSError, asyncio.IncompleteReadError) as error:
            await started.end()
            raise DecodeUnavailable(
                f"the decode process was not ready within {READY_WITHIN_S:.0f} s or ended before "
                f"(exit status {process.returncode})"
            ) from error
        except BaseException:
            await asyncio.shield(started.end())
            raise
        if not isinstance(ready, m.Ready):
            await started.end()
            why = ready.detail if isinstance(ready, m.Failed) else "it spoke out of turn"
            raise DecodeUnavailable(f"the decode process cannot work: {why}")
        started.confinement = Confinement(ready.applied, ready.missing)
        return started

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether the process can take a job."""
        gone = self._reader.at_eof() or self._writer.is_closing()
        return self._process.returncode is None and not gone

    async def still_alive(self) -> bool:
        """Tell whether the process can take a job, after the event loop looked at its socket once more.

        A process that was killed while it had nothing to do must not cost the next picture.
        """
        for _ in range(
            2
        ):  # one turn in which the loop sees the end of the socket, one in which the reader is told
            await asyncio.sleep(0)
        return self.alive

    async def gone(self) -> int:
        """Wait until the process has ended; return its exit status (negative: the signal)."""
        return await self._process.wait()

    async def ask(self, job: m.Job, within_s: float) -> m.FromWorker:
        """Do one job.

        Raises:
            DecodeTimedOut, OutOfMemory, DecoderCrashed: and the process is gone.
        """
        self.jobs += 1
        before_s = self._computed_s()
        try:
            async with asyncio.timeout(within_s):
                await self._say(job)
                reply = await self._hear()
        except TimeoutError as error:
            used_s = self._computed_s() - before_s
            await self.end(politely=False)
            raise DecodeTimedOut(
                f"the picture was not decoded within {within_s:.1f} s ({used_s:.1f} s of them computing)",
                starved=used_s < within_s / 2,
            ) from error
        except m.Broken as error:
            await self.end(politely=False)
            raise DecoderCrashed(str(error)) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            await self.end(politely=False)
            raise DecoderCrashed(f"the decode process died over it ({self._cause()})") from error
        except BaseException:
            await asyncio.shield(self.end(politely=False))
            raise
        if isinstance(reply, m.Ready | m.Failed) or reply.number != job.number:
            await self.end(politely=False)
            raise DecoderCrashed("the decode process answered what was not asked")
        if isinstance(reply, m.Refused) and reply.code == OutOfMemory.code:
            await self.end(politely=False)
            raise OutOfMemory("the picture needs more memory than a decode process may have")
        return reply

    async def end(self, *, politely: bool = True) -> None:
        """End the process: by closing its socket, else by killing it. Idempotent."""
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

    async def _say(self, message: m.FromHub) -> None:
        self._writer.write(m.pack(message))
        await self._writer.drain()

    async def _hear(self) -> m.FromWorker:
        size = int.from_bytes(await self._reader.readexactly(m.LENGTH), "big")
        if size > m.MAX_REPLY:
            raise m.Broken(f"the decode process announced a message of {size} bytes")
        return m.of_worker(await self._reader.readexactly(size))

    def _computed_s(self) -> float:
        """Return the processor time of the process so far; 0 where the system does not tell it this way."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime: proc(5)

    def _cause(self) -> str:
        status = self._process.returncode
        return f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"


def processor_s(within_s: float) -> int:
    """Return the processor time of a job that may take `within_s` seconds by the clock."""
    return int(within_s) + _CPU_MARGIN_S
