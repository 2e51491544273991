"""The other end of a recoding process: units in, H.264 pictures or Opus frames out, never waiting for each other.

Where the process falls behind, pictures are first decoded without being coded, then left out up to the next key frame:
what is shown stays new. A process that does not answer is killed.
"""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from hub.decode import limits
from hub.decode import recode_messages as m
from hub.decode.child import Child
from hub.decode.coders.process import CodingProcess
from hub.decode.errors import DecoderCrashed, DecodeTimedOut, NotDecodable
from hub.decode.language import Begin, Broken

log = structlog.get_logger(__name__)

_ANSWER_WITHIN_S: Final = 8.0
_HIDE_ABOVE: Final = 4  # units that are not yet answered: beyond, pictures are decoded but not coded
_DROP_ABOVE: Final = 16  # beyond, they are left out up to the next key frame
_FAULTS_LIMIT: Final = 250  # damaged units in a row: ten seconds of them


@dataclass(frozen=True, slots=True)
class RecodeSetup:
    """How streams are recoded. `command` starts a process and gets the descriptor as its last argument.

    `memory` (bytes) bounds what a process takes beyond what it holds at its start. `coding` starts a coding process and gets
    the kind of hardware and a descriptor as its last arguments.
    """

    memory: int = 512 * limits.MIB
    command: tuple[str, ...] = field(default=(sys.executable, "-P", "-m", "hub.decode.recode_worker"))
    coding: tuple[str, ...] = field(default=(sys.executable, "-P", "-m", "hub.decode.coders.worker"))


class Recoding:
    """One stream that is recoded, in a process of its own."""

    def __init__(
        self,
        child: Child[m.FromHub, m.FromWorker],
        take: Callable[[m.Coded], None],
        coding: CodingProcess | None = None,
        told: Callable[[m.Coder], None] = lambda _coder: None,
    ) -> None:
        self.confinement = child.confinement
        self.taken = self.shown = self.hidden = self.dropped = self.faults = 0
        self._child = child
        self._take = take
        self._coding = coding
        self._told = told
        self._sent: deque[float] = deque()  # when each unit that is not answered yet was sent, loop time
        self._numbers = 0
        self._dropping = False
        self._faults_in_row = 0

    @classmethod
    async def start(
        cls,
        setup: RecodeSetup,
        how: m.OpenPicture | m.OpenSound,
        take: Callable[[m.Coded], None],
        *,
        hardware: str = "",
        told: Callable[[m.Coder], None] = lambda _coder: None,
    ) -> "Recoding":
        """Start a process and wait until it is confined. `take` gets what was coded, in order, from `run`.

        `hardware` is a kind of coder (`coders/kinds.py`) that is tried beside, in a process of its own; `told` hears, from
        `run`, what came of it.

        Raises:
            DecodeUnavailable: it does not become ready; says why.
        """
        coding = await CodingProcess.start(setup.coding, hardware) if hardware else None
        try:
            inherited = () if coding is None else (coding.socket.fileno(),)
            child = await Child.start(
                m.LANGUAGE, setup.command, Begin(setup.memory), how, inherited=inherited
            )
        except BaseException:
            if coding is not None:
                await asyncio.shield(coding.end())
            raise
        if coding is not None:
            coding.socket.close()  # the child has it: its end is the coding process's end
        if child.confinement.unconfined:
            log.error("recode.process.unconfined", pid=child.pid, missing=child.confinement.missing)
        return cls(child, take, coding, told)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._child.pid

    @property
    def waiting(self) -> int:
        """Return how many units were handed over and are not answered yet."""
        return len(self._sent)

    def feed(self, timestamp: int, nals: list[bytes], *, key_frame: bool, want_key: bool = False) -> bool:
        """Hand over one access unit; false where it was left out, because the process is behind.

        `want_key`: what comes of it shall be a key frame (a viewer lacks one).
        """
        waiting = self.waiting
        if waiting > _DROP_ABOVE:
            self._dropping = True
        elif self._dropping and key_frame and waiting <= _HIDE_ABOVE:
            self._dropping = False
        unit = m.Unit(self._numbers, timestamp, tuple(nals), waiting <= _HIDE_ABOVE, want_key)
        try:
            framed = None if self._dropping else m.LANGUAGE.ask(unit)
        except ValueError:
            framed = None  # larger than any picture may be
        if framed is None or not self._child.alive:
            self.dropped += 1
            return False
        self._numbers += 1
        self.taken += 1
        self.hidden += not unit.show
        self._sent.append(asyncio.get_running_loop().time())
        self._child.write(framed)
        return True

    async def run(self) -> None:
        """Pass on what is coded until `aclose`, or until the process fails.

        Raises:
            DecoderCrashed, DecodeTimedOut, NotDecodable: it failed; nothing more comes.
        """
        loop = asyncio.get_running_loop()
        answered = 0
        while True:
            hearing = asyncio.create_task(self._child.hear())
            try:
                while not hearing.done():
                    waited_s = loop.time() - self._sent[0] if self._sent else 0.0
                    if waited_s >= _ANSWER_WITHIN_S:
                        raise DecodeTimedOut(f"a picture was not recoded within {_ANSWER_WITHIN_S:.0f} s")
                    await asyncio.wait({hearing}, timeout=_ANSWER_WITHIN_S - waited_s)
                done = hearing.result()
            except Broken as error:
                raise DecoderCrashed(str(error)) from error
            except (OSError, asyncio.IncompleteReadError) as error:
                with contextlib.suppress(TimeoutError):  # its socket ends a little before it does
                    await asyncio.wait_for(self._child.gone(), 1.0)
                raise DecoderCrashed(f"the recoding process died ({self._child.cause})") from error
            finally:
                hearing.cancel()
            if not isinstance(done, m.Done) or not self._sent or done.number != answered:
                raise DecoderCrashed("the recoding process answered what was not asked")
            answered += 1
            self._sent.popleft()
            self._count(done)
            for coded in done.coded:
                self.shown += 1
                self._take(coded)
            if done.coder is not None:
                self._told(done.coder)
                if not done.coder.hardware and self._coding is not None:
                    await self._coding.end()

    async def aclose(self) -> None:
        """End the process. Idempotent."""
        await self._child.end(politely=False)
        if self._coding is not None:
            await self._coding.end()

    def _count(self, done: m.Done) -> None:
        if not done.fault:
            self._faults_in_row = 0
            return
        self.faults += 1
        self._faults_in_row += 1
        if self._faults_in_row > _FAULTS_LIMIT:
            raise NotDecodable(f"{self._faults_in_row} pictures in a row cannot be decoded: {done.fault}")
