"""The one clock. Everything that needs time takes a `Clock`; nothing else reads the system's."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and sleep."""

    def now(self) -> datetime:
        """Return the wall time, aware, UTC."""

    def monotonic(self) -> float:
        """Return monotonic seconds; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Sleep for some seconds."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall time, aware, UTC."""
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)  # asked several times per request: nothing of ours in between

    async def sleep(self, seconds: float) -> None:
        """Sleep for some seconds."""
        await asyncio.sleep(seconds)
