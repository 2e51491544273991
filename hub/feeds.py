"""Feeds: bounded queues between one producer and many event streams, closed without waiting.

A reader that is too slow loses its feed (its browser reconnects and reads the whole state again); it never holds
up the producer or the others.
"""

import asyncio
from collections.abc import Callable
from typing import Any

LIMIT = 256  # events waiting for one reader

Event = tuple[str, dict[str, Any]]  # event name, JSON data


class Feed:
    """Events for one reader."""

    def __init__(self, on_close: Callable[["Feed"], None] = lambda _feed: None) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._on_close = on_close
        self.closed = False

    def put(self, name: str, data: dict[str, Any]) -> None:
        """Hand over an event; a reader that lags behind by more than the limit is closed."""
        if self.closed:
            return
        if self._queue.qsize() >= LIMIT:
            self.close()
            return
        self._queue.put_nowait((name, data))

    def end(self) -> None:
        """Let the reader read what is queued, then end."""
        if not self.closed:
            self._queue.put_nowait(None)

    def close(self) -> None:
        """End at once. Idempotent."""
        if not self.closed:
            self.closed = True
            self._queue.put_nowait(None)
            self._on_close(self)

    async def get(self) -> Event | None:
        """Return the next event, or None when the feed has ended."""
        event = await self._queue.get()
        if event is None:
            self.close()
        return event


class Feeds:
    """All feeds of one subject."""

    def __init__(self) -> None:
        self._feeds: set[Feed] = set()

    def __len__(self) -> int:
        return len(self._feeds)

    def open(self) -> Feed:
        """Return a new feed; it leaves by itself when closed."""
        feed = Feed(self._feeds.discard)
        self._feeds.add(feed)
        return feed

    def put(self, name: str, data: dict[str, Any]) -> None:
        """Hand an event to every reader."""
        for feed in tuple(self._feeds):
            feed.put(name, data)

    def end(self) -> None:
        """Let every reader finish."""
        for feed in tuple(self._feeds):
            feed.end()
