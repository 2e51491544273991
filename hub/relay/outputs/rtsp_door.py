"""Where recipients of RTSP knock: the hub's listener, which hands each connection to the worker that holds its camera.

The request line is read without being taken (``MSG_PEEK``), so that the worker reads the stream from its first byte; the
socket itself goes over (``SCM_RIGHTS``). So there is one port however many workers there are, and a recipient meets no
redirect, which few systems follow. Nothing is answered here: who says nothing, or what is not RTSP, is hung up on.
"""

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from hub.relay.errors import RelayRefused
from hub.relay.outputs.rtsp_out import digest_of, token_of

log = structlog.get_logger(__name__)

WITHIN_S: Final = 5.0  # for the request line
_AGAIN_S: Final = 0.05  # what was peeked at stays readable: waiting for more needs a clock
LONGEST: Final = 4096  # bytes of a request line
_ADDRESS: Final = 64  # bytes that name an address, filled up with spaces
_MOST: Final = 512  # connections that are looked at, of all
_MOST_OF_ADDRESS: Final = 256  # and of one address: a recording system opens all its cameras at once
_REQUEST: Final = re.compile(rb"[A-Z_]{1,20} +(\S+) +RTSP/1\.[0-9]\r?\n")


class Passage:
    """Where connections go over to one worker. It outlives the worker's process: the next one finds what is left."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)

    @property
    def fd(self) -> int:
        """Return the descriptor that the worker inherits."""
        return self._theirs.fileno()

    def send(self, sock: socket.socket, address: str) -> None:
        """Hand a connection from this address over; the sender may close its copy.

        Raises:
            OSError: the worker does not take them as fast as they come.
        """
        socket.send_fds(self._ours, [address.encode()[:_ADDRESS].ljust(_ADDRESS)], [sock.fileno()])

    def close(self) -> None:
        """Close both ends. Idempotent."""
        self._ours.close()
        self._theirs.close()


class Arrivals:
    """The worker's end of a passage: gives each connection to `take`, in the event loop."""

    def __init__(self, fd: int, take: Callable[[socket.socket, str], Awaitable[None]]) -> None:
        self._sock = socket.socket(fileno=fd)
        self._sock.setblocking(False)
        self._take = take
        self._tasks: set[asyncio.Future[None]] = set()
        asyncio.get_running_loop().add_reader(self._sock, self._arrived)

    def close(self) -> None:
        """Take no more."""
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()

    def _arrived(self) -> None:
        try:
            said, descriptors, _flags, _address = socket.recv_fds(self._sock, _ADDRESS, 1)
        except (BlockingIOError, InterruptedError):
            return
        if not said:
            self.close()  # the hub has gone, which the worker hears on its own socket
        for descriptor in descriptors:
            task = asyncio.ensure_future(self._take(socket.socket(fileno=descriptor), said.decode().strip()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


HandOver = Callable[[str, socket.socket, str], Awaitable[None]]
"""Gives a connection, from an address, to the worker that holds what a token (its digest, "" without one) opens; raises `RelayRefused`."""


class RtspDoor:
    """The listener."""

    def __init__(self, hand_over: HandOver) -> None:
        self.port = 0
        self.turned_away = 0
        self._hand_over = hand_over
        self._listeners: list[socket.socket] = []
        self._hosts: tuple[str, ...] = ()
        self._accepting: list[asyncio.Task[None]] = []
        self._looking: dict[asyncio.Task[None], str] = {}
        self._of_address: Counter[str] = Counter()

    def listeners(self) -> frozenset[tuple[str, int]]:
        """Return where it listens: what the dialer must never dial."""
        unspecified = {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
        return frozenset(("*" if host in unspecified else host, self.port) for host in self._hosts)

    def start(self, hosts: Sequence[str], port: int) -> int:
        """Listen on the first host, and on the others where they can be had; return the port (0 picks one).

        Raises:
            OSError: the first cannot be had.
        """
        for host in hosts:
            try:
                listener = _listening(host, port)
            except OSError as error:
                if not self._listeners:
                    raise
                log.warning("relay.rtsp_door.not_bound", host=host, port=port, error=error.strerror)
                continue
            port = int(listener.getsockname()[1])
            self._listeners.append(listener)
            self._hosts = (*self._hosts, host)
            self._accepting.append(asyncio.create_task(self._accept(listener), name=f"rtsp door {host}"))
        self.port = port
        log.info("relay.rtsp_door.listening", port=port, hosts=self._hosts)
        return port

    async def aclose(self) -> None:
        """Stop listening; those who were handed over are not touched. Idempotent."""
        tasks = [*self._accepting, *self._looking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self._listeners, self._accepting = [], []

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError as error:  # out of descriptors, or gone before it was taken
                log.warning("relay.rtsp_door.accept_failed", error=error.strerror)
                await asyncio.sleep(0.1)
                continue
            address = str(peer[0])
            if len(self._looking) >= _MOST or self._of_address[address] >= _MOST_OF_ADDRESS:
                self.turned_away += 1
                sock.close()
                continue
            task = asyncio.create_task(self._look(sock, address), name="rtsp door look")
            self._looking[task] = address
            self._of_address[address] += 1
            task.add_done_callback(self._looked)

    def _looked(self, task: "asyncio.Task[None]") -> None:
        address = self._looking.pop(task)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("relay.rtsp_door.fault", exc_info=fault)

    async def _look(self, sock: socket.socket, address: str) -> None:
        with sock:
            digest = None
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(WITHIN_S):
                    digest = digest_asked(await _peeked(sock))
            if digest is None:
                self.turned_away += 1
                return
            try:
                await self._hand_over(digest, sock, address)
            except RelayRefused as error:
                log.warning("relay.rtsp_door.not_handed_over", code=error.code)


def digest_asked(data: bytes) -> str | None:
    """Return the digest of the token that a request line names, "" where it names none; `None` where it is no such line."""
    line = _REQUEST.match(data)
    if line is None:
        return None
    token = token_of(line[1].decode("ascii", "replace"))
    return digest_of(token) if token else ""


async def _peeked(sock: socket.socket) -> bytes:
    """Return what came, once a line is whole; nothing is taken from the socket.

    Raises:
        OSError: the connection broke.
    """
    while True:
        try:
            data = sock.recv(LONGEST, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(sock)
            continue
        if not data or b"\n" in data or len(data) >= LONGEST:
            return data
        await asyncio.sleep(_AGAIN_S)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(sock, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sock)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
