"""The relay worker's hold on a coding process: started beside a recoding process, ended whatever it does."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from typing import Final

import structlog

from hub.decode.child import environment
from hub.decode.errors import DecodeUnavailable

log = structlog.get_logger(__name__)

_GONE_WITHIN_S: Final = 2.0


class CodingProcess:
    """One coding process. `socket` is the end that a recoding process inherits; to be closed here once it has."""

    def __init__(self, process: asyncio.subprocess.Process, ours: socket.socket) -> None:
        self.socket = ours
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], kind: str) -> "CodingProcess":
        """Start `command`, which gets the kind of hardware and its descriptor; it is not waited for.

        Raises:
            DecodeUnavailable: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                kind,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(),
                cwd="/",
            )
        except OSError as error:
            ours.close()
            raise DecodeUnavailable(f"the coding process cannot be started: {error.strerror}") from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    async def end(self) -> None:
        """Kill it. Idempotent. One that hangs inside a driver goes when the driver lets it; nobody waits for that."""
        self.socket.close()
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        try:
            async with asyncio.timeout(_GONE_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            log.warning("recode.coder.hangs", pid=self.pid)
