"""Deadlines travel down: one moment by which the whole action ends, however many phases it has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

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

    def sooner(self, seconds: float) -> "Deadline":
        """Return the earlier of this deadline and `seconds` from now."""
        return Deadline(self.clock, min(self.at_s, self.clock.monotonic() + seconds))

    @asynccontextmanager
    async def phase(self, name: str, limit_s: float | None = None, *, peer: str = "") -> AsyncIterator[None]:
        """Bound what is inside by this deadline and by `limit_s`.

        Raises:
            TimedOut: the time is up; names the phase, the peer and the seconds waited.
        """
        allowed = self.remaining_s() if limit_s is None else min(limit_s, self.remaining_s())
        scope = asyncio.timeout(allowed)
        try:
            async with scope:
                yield
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise TimedOut(name, waited_s=allowed, peer=peer) from error
