"""The hub's side of one decode process: starts it, gives it one job at a time, kills it where it does not answer."""

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Final

from hub.decode import limits
from hub.decode import messages as m
from hub.decode.child import Child
from hub.decode.errors import DecoderCrashed, DecodeTimedOut, OutOfMemory
from hub.decode.language import Begin, Broken, Failed, Ready

_CPU_MARGIN_S: Final = 2  # the hub's own deadline comes first; this is for a hub that died meanwhile


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

    def __init__(self, child: Child[m.FromHub, m.FromWorker]) -> None:
        self.confinement = child.confinement
        self.jobs = 0
        self._child = child

    @classmethod
    async def start(cls, setup: DecodeSetup) -> "DecodeProcess":
        """Start a process and wait until it is confined.

        Raises:
            DecodeUnavailable: it does not become ready; says why.
        """
        return cls(await Child.start(m.LANGUAGE, setup.command, Begin(setup.memory)))

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Tell whether the process can take a job."""
        return self._child.alive

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
        return await self._child.gone()

    async def ask(self, job: m.Job, within_s: float) -> m.FromWorker:
        """Do one job.

        Raises:
            DecodeTimedOut, OutOfMemory, DecoderCrashed: and the process is gone.
        """
        self.jobs += 1
        before_s = self._child.computed_s()
        try:
            async with asyncio.timeout(within_s):
                await self._child.say(job)
                reply = await self._child.hear()
        except TimeoutError as error:
            used_s = self._child.computed_s() - before_s
            await self.end(politely=False)
            raise DecodeTimedOut(
                f"the picture was not decoded within {within_s:.1f} s ({used_s:.1f} s of them computing)",
                starved=used_s < within_s / 2,
            ) from error
        except Broken as error:
            await self.end(politely=False)
            raise DecoderCrashed(str(error)) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            await self.end(politely=False)
            raise DecoderCrashed(f"the decode process died over it ({self._child.cause})") from error
        except BaseException:
            await asyncio.shield(self.end(politely=False))
            raise
        if isinstance(reply, Ready | Failed) or reply.number != job.number:
            await self.end(politely=False)
            raise DecoderCrashed("the decode process answered what was not asked")
        if isinstance(reply, m.Refused) and reply.code == OutOfMemory.code:
            await self.end(politely=False)
            raise OutOfMemory("the picture needs more memory than a decode process may have")
        return reply

    async def end(self, *, politely: bool = True) -> None:
        """End the process: by closing its socket, else by killing it. Idempotent."""
        await self._child.end(politely=politely)


def processor_s(within_s: float) -> int:
    """Return the processor time of a job that may take `within_s` seconds by the clock."""
    return int(within_s) + _CPU_MARGIN_S
