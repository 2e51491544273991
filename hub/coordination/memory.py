"""Coordination inside one process."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Self

from adapters.clock import Clock
from hub.coordination.port import LOST, QUEUE_LENGTH, Verdict

MAX_EVENT = 65_536
_SWEEP_AT = 10_000  # keys: old windows are dropped when there are more


def plain(topic: str, data: Mapping[str, Any]) -> str:
    """Return an event's data as JSON text.

    Raises:
        ValueError: it has more than 64 KiB, or is not made of plain JSON values.
    """
    try:
        text = json.dumps(dict(data), ensure_ascii=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"the data of event {topic} is not plain JSON: {error}") from error
    if len(text) > MAX_EVENT:
        raise ValueError(f"the data of event {topic} has {len(text)} characters; at most {MAX_EVENT}")
    return text


class LocalSubscription:
    """One listener's bounded queue. When it is full the oldest events go, and `LOST` says so."""

    def __init__(self, bus: "LocalBus", topics: tuple[str, ...]) -> None:
        self._bus = bus
        self._exact = frozenset(topic for topic in topics if not topic.endswith(".*"))
        self._below = tuple(topic[:-1] for topic in topics if topic.endswith(".*"))
        self._all = not topics
        self._queue: deque[tuple[str, str]] = deque()
        self._lost = False
        self._ready = asyncio.Event()
        self._closed = False

    def wants(self, topic: str) -> bool:
        """Tell whether this topic was subscribed to."""
        return self._all or topic in self._exact or topic.startswith(self._below)

    def put(self, topic: str, text: str) -> None:
        """Hand in one event."""
        if self._closed:
            return
        if len(self._queue) >= QUEUE_LENGTH:
            self._queue.clear()
            self._lost = True
        self._queue.append((topic, text))
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        while True:
            if self._lost:
                self._lost = False
                return LOST, {}
            if self._queue:
                topic, text = self._queue.popleft()
                told: dict[str, Any] = json.loads(text)
                return topic, told
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()

    def lose(self) -> None:
        """Mark that events were missed."""
        self._lost = True
        self._ready.set()

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        self._ready.set()
        self._bus.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalBus:
    """The event bus of one process. Each subscriber gets data of its own."""

    def __init__(self) -> None:
        self._subscriptions: list[LocalSubscription] = []

    async def publish(self, topic: str, data: Mapping[str, Any]) -> None:
        """Tell all subscribers at once."""
        self.deliver(topic, plain(topic, data))

    def deliver(self, topic: str, text: str) -> None:
        """Hand an event, as JSON text, to those who want it."""
        for subscription in tuple(self._subscriptions):
            if subscription.wants(topic):
                subscription.put(topic, text)

    def subscribe(self, *topics: str) -> LocalSubscription:
        """Listen from now on."""
        subscription = LocalSubscription(self, topics)
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: LocalSubscription) -> None:
        """Drop a closed subscription."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def lost(self) -> None:
        """Tell every subscriber that events were missed."""
        for subscription in tuple(self._subscriptions):
            subscription.lose()

    async def aclose(self) -> None:
        """End all subscriptions."""
        for subscription in tuple(self._subscriptions):
            subscription.close()


class LocalLimiter:
    """Rate limits of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}  # key -> end (monotonic s), hits

    async def hit(self, key: str, limit: int, window_s: float) -> Verdict:
        """Count one hit."""
        now = self._clock.monotonic()
        end, hits = self._window(key, now, window_s)
        if hits >= limit:
            return Verdict(False, end - now, 0)
        if len(self._windows) >= _SWEEP_AT and key not in self._windows:
            self._windows = {name: kept for name, kept in self._windows.items() if kept[0] > now}
        self._windows[key] = (end, hits + 1)
        return Verdict(True, 0.0, limit - hits - 1)

    async def peek(self, key: str, limit: int, window_s: float) -> Verdict:
        """Return what `hit` would, without counting."""
        now = self._clock.monotonic()
        end, hits = self._window(key, now, window_s)
        return Verdict(False, end - now, 0) if hits >= limit else Verdict(True, 0.0, limit - hits - 1)

    async def reset(self, key: str) -> None:
        """Forget a key."""
        self._windows.pop(key, None)

    def _window(self, key: str, now: float, window_s: float) -> tuple[float, int]:
        end, hits = self._windows.get(key, (0.0, 0))
        return (end, hits) if end > now else (now + window_s, 0)
