"""What the rooms of the hub coordinate by. The implementations pass the same contract tests."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from adapters.wire.gate import DeviceBook

# Told to a subscriber that was too slow and lost events: read the present state again.
LOST = "bus.lost"
QUEUE_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one hit on a rate limit."""

    allowed: bool
    retry_after_s: float  # 0 where allowed
    left: int  # further hits allowed in this window


class Subscription(Protocol):
    """A running subscription: an async iterator of ``(topic, data)``. Listens from the moment it is made."""

    def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Iterate; ends when the bus or the subscription is closed."""

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        """Return the next event."""

    def close(self) -> None:
        """Stop listening. Safe to call twice."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Close."""


class EventBus(Protocol):
    """Tells rooms (and other nodes) what changed. Events are hints: the truth is in the store."""

    async def publish(self, topic: str, data: Mapping[str, Any]) -> None:
        """Tell all subscribers of a topic, in this process at once. `data`: plain JSON values, at most 64 KiB.

        Never fails because other nodes cannot be reached; that is logged.
        """

    def subscribe(self, *topics: str) -> Subscription:
        """Listen to topics: exact (``camera.changed``) or all below one word (``camera.*``); none named = all."""


class RateLimiter(Protocol):
    """Counts hits in windows of time. A window begins with its first hit."""

    async def hit(self, key: str, limit: int, window_s: float) -> Verdict:
        """Count one hit if fewer than `limit` were counted in the running window; a refused one is not counted."""

    async def peek(self, key: str, limit: int, window_s: float) -> Verdict:
        """Return what `hit` would, without counting."""

    async def reset(self, key: str) -> None:
        """Forget the window of a key."""


@dataclass(frozen=True, slots=True)
class Coordination:
    """What a hub coordinates by. Build it with `hub.coordination.factory.coordination_for`."""

    bus: EventBus
    limiter: RateLimiter
    book: DeviceBook
    peers: tuple[tuple[str, int], ...]  # where Redis listens: no camera may have that address
    closer: Any

    async def aclose(self) -> None:
        """End all subscriptions and close connections."""
        await self.closer()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
