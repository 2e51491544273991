"""Is the audit chain whole? Asked by each page of the log; a long chain is walked at most once a minute."""

from adapters.clock import Clock
from hub.access.audit import AuditLog, ChainState

SHORT = 20_000  # records that are walked each time: well under a second
EVERY_S = 60.0


class ChainWatch:
    """The last verification. `camhub audit verify` always walks the whole chain."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._state: ChainState | None = None
        self._at_s = 0.0

    async def state(self) -> ChainState:
        """Return whether the chain holds, and up to which record that was checked."""
        now = self._clock.monotonic()
        fresh = self._state is not None and now - self._at_s < EVERY_S and self._state.checked_to > SHORT
        if self._state is None or not fresh:
            self._state, self._at_s = await self._log.verify(), now
        return self._state
