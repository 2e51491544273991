"""Server-sent events (WHATWG HTML, section 9.2): heartbeats, and a clean end when the hub stops."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from litestar.response import Stream

from adapters.clock import Clock
from hub.feeds import Event, Feed
from hub.observe import Metrics

HEARTBEAT_S = 10.0
RETRY_MS = 2000
BEAT: Event = ("", {})  # no event came in time


class EventStreams:
    """Makes event-stream responses and ends them all when the hub stops."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._feeds: set[Feed] = set()
        self._closing = False

    def respond(
        self,
        feed: Feed,
        first: Iterable[Event] = (),
        allowed: Callable[[], Awaitable[bool]] | None = None,
        said: Callable[[Event], Awaitable[Event]] | None = None,
    ) -> Stream:
        """Return a response that sends `first`, then the feed's events until it ends.

        `allowed` is asked every 10 s; the stream ends when it says no (signed out, disabled). `said` turns an
        event into what this reader is told.
        """
        if self._closing:
            feed.close()
        return Stream(
            self._run(feed, tuple(first), allowed, said),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    def close(self) -> None:
        """End every stream; new ones end at once."""
        self._closing = True
        for feed in tuple(self._feeds):
            feed.close()

    async def _run(
        self,
        feed: Feed,
        first: tuple[Event, ...],
        allowed: Callable[[], Awaitable[bool]] | None,
        said: Callable[[Event], Awaitable[Event]] | None,
    ) -> AsyncIterator[bytes]:
        # No await in `finally`: a client that left cancels this generator, and then nothing can be awaited.
        self._feeds.add(feed)
        self._metrics.event_streams.inc()
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            for name, data in first:
                yield encode(name, data)
            asked_s = self._clock.monotonic()
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        event = await feed.get()
                except TimeoutError:
                    event = BEAT
                if self._clock.monotonic() - asked_s >= HEARTBEAT_S:
                    asked_s = self._clock.monotonic()
                    if allowed is not None and not await allowed():
                        return
                if event is None:
                    return
                if event is BEAT:
                    yield b": still here\n\n"
                else:
                    yield encode(*(event if said is None else await said(event)))
        finally:
            feed.close()
            self._feeds.discard(feed)
            self._metrics.event_streams.dec()


def encode(name: str, data: dict[str, Any]) -> bytes:
    """Return one event; JSON has no bare line breaks, so one data line is enough."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
