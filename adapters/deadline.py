"""Deadlines travel down: one moment by which the whole action ends, however many phases it has."""

import asyncio
from dataclasses import dataclass
from types import TracebackType

from adapters.clock import Clock
from adapters.errors import TimedOut


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the clock's monotonic axis."""

    clock: Clock
    at_s: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> "Deadline":
        """Return the deadline `seconds` from now."""
        return cls(clock, clock.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Return the seconds left, never below 0."""
        return max(0.0, self.at_s - self.clock.monotonic())

    @property
    def over(self) -> bool:
        """Tell whether no time is left."""
        return self.clock.monotonic() >= self.at_s

    def sooner(self, seconds: float) -> "Deadline":
        """Return the earlier of this deadline and `seconds` from now."""
        return Deadline(self.clock, min(self.at_s, self.clock.monotonic() + seconds))

    def phase(self, name: str, limit_s: float | None = None, *, peer: str = "") -> "Phase":
        """Bound what is inside an ``async with`` by this deadline and by `limit_s`.

        Raises:
            TimedOut: the time is up; names the phase, the peer and the seconds waited.
        """
        allowed = self.remaining_s() if limit_s is None else min(limit_s, self.remaining_s())
        return Phase(name, allowed, peer)


class Phase:
    """A bounded part of an action: `asyncio.timeout` that says what was waited for. Used for every request, so light."""

    __slots__ = ("_allowed_s", "_name", "_peer", "_scope")

    def __init__(self, name: str, allowed_s: float, peer: str) -> None:
        self._name = name
        self._allowed_s = allowed_s
        self._peer = peer

    async def __aenter__(self) -> None:
        self._scope = asyncio.timeout(self._allowed_s)
        await self._scope.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        scope = self._scope
        try:
            await scope.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise TimedOut(self._name, waited_s=self._allowed_s, peer=self._peer) from late
        if (
            isinstance(error, TimeoutError) and scope.expired()
        ):  # a shorter wait inside ended at the same moment
            raise TimedOut(self._name, waited_s=self._allowed_s, peer=self._peer) from error
