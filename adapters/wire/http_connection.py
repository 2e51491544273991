"""One HTTP connection to a camera: requests out, replies in, one at a time."""

import asyncio

from adapters.wire.http1 import BadReply, ReplyReader
from adapters.wire.tls import TlsSeen

TAIL_WAIT_S = 0.3  # for the end of a reply that is already complete by its content


class Gone(Exception):
    """The connection was closed before a byte of an answer came."""


class Late(Exception):
    """The reply did not end in time."""


class HttpConnection(asyncio.Protocol):
    """One connection: at most one request is under way. Reads by callback, no task and no wake-up per packet."""

    def __init__(self) -> None:
        self.serves: tuple[str, int] = ("", 0)  # scheme and port
        self.seen: TlsSeen | None = None
        self.used_s = 0.0  # monotonic, when it became idle
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._reader: ReplyReader | None = None
        self._done: asyncio.Future[None] | None = None
        self._tail: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = (
            None  # one for many requests: it looks when the present one ends
        )
        self._until_s = 0.0  # of the loop's clock, for the request under way

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.open = True

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:  # bytes that nobody asked for: whatever follows cannot be told apart
            self.close()
            return
        if self._tail is not None:
            self._tail.cancel()
            self._tail = None
        try:
            whole = reader.feed(data)
        except BadReply as bad:
            self.close()
            self._settle(bad)
            return
        if whole:
            self._settle(None)
        elif reader.waits:
            self._tail = self._loop.call_later(TAIL_WAIT_S, self._enough)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._disarm()
        reader = self._reader
        if reader is None:
            return
        if not reader.started:
            self._settle(Gone())
            return
        try:
            reader.ended()
        except BadReply as bad:
            self._settle(bad)
        else:
            self._settle(None)

    # requests

    async def exchange(self, request: bytes, reader: ReplyReader, limit_s: float) -> None:
        """Send one request and read its reply into `reader`. A timer is cheaper than a timed task.

        Raises:
            Gone: no byte came.
            Late: it did not end within `limit_s`.
            BadReply: what came cannot be read.
        """
        transport = self._transport
        if transport is None or not self.open:
            raise Gone
        self._reader = reader
        loop = self._loop
        done = self._done = loop.create_future()
        self._until_s = loop.time() + limit_s
        alarm = self._alarm
        if alarm is None or alarm.when() > self._until_s:
            self._disarm()
            self._alarm = loop.call_at(self._until_s, self._rings)
        try:
            transport.write(request)
            await done
        except BaseException:
            self.close()
            raise
        finally:
            self._reader = self._done = None
            if self._tail is not None:
                self._tail.cancel()
                self._tail = None

    def close(self) -> None:
        """Close at once."""
        self.open = False
        self._disarm()
        if self._transport is not None:
            self._transport.abort()

    def _rings(self) -> None:
        """End the request under way, if its time is up: the alarm may have been set for an earlier one."""
        self._alarm = None
        if self._done is None:
            return
        if self._loop.time() < self._until_s:
            self._alarm = self._loop.call_at(self._until_s, self._rings)
        else:
            self._settle(Late())

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _enough(self) -> None:
        self._tail = None
        if self._reader is not None:
            self._reader.settle()
            self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        done = self._done
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


__all__ = ["TAIL_WAIT_S", "Gone", "HttpConnection", "Late"]
