"""ICE-TCP (RFC 6544), passive candidates, on the same port number as UDP; frames are those of RFC 4571.

For networks that let no UDP out. A connection proves itself with its first frame, a binding request of a viewer that
waits here, within a few seconds; until then it costs one small object, and there is room for a bounded number of them.
What a slow connection does not take is not queued: the viewer falls behind in the ring, as any other.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

Address = tuple[str, int] | tuple[str, int, int, int]

PROVE_WITHIN_S: Final = 5.0
_MAX_UNPROVEN: Final = 256
_MAX_UNPROVEN_PER_HOST: Final = 32
_MAX_FRAME: Final = 2048  # what a browser sends: checks, handshake records, reports
_READ: Final = 1 << 15
_BACKLOG: Final = 256
_WAITING_MAX: Final = 1 << 16  # bytes of handshake and reports that may wait behind a run
_SEND_BUFFER: Final = 1 << 18  # a second of 2 Mbit/s: what lies deeper arrives too late to be shown


class TcpPath:
    """One accepted connection."""

    def __init__(
        self,
        sock: socket.socket,
        address: Address,
        on_frame: Callable[["TcpPath", bytes], None],
        on_closed: Callable[["TcpPath"], None],
    ) -> None:
        self.address = address
        self.proven = False
        self.family = sock.family
        self._sock = sock
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()
        self._unsent = bytearray()
        self._closed = False
        self._loop.add_reader(sock, self._readable)

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed; with the address it names this path."""
        return self._sock.fileno()

    def getsockname(self) -> Address:
        """Return our end's address."""
        name: Address = self._sock.getsockname()
        return name

    @property
    def ready(self) -> bool:
        """Tell whether a run would be taken now."""
        return not self._unsent and not self._closed

    def sendto(self, data: bytes, _address: Address) -> int:
        """Send one frame, behind what is unsent.

        Raises:
            BlockingIOError: too much waits already.
        """
        if self._closed or len(self._unsent) > _WAITING_MAX:
            raise BlockingIOError
        self._write(len(data).to_bytes(2, "big") + data)
        return len(data)

    def send_run(self, run: memoryview, stride: int) -> bool:
        """Send packets of `stride` bytes (the last may be shorter) as frames; False where none was taken.

        A run is taken as a whole or not at all; what the kernel leaves of it goes before anything else.
        """
        if not self.ready:
            return self._closed  # a path that is gone takes everything: the viewer ends by its silence
        size = len(run)
        parts: list[bytes | memoryview] = []
        for start in range(0, size, stride):
            stop = min(size, start + stride)
            parts += [_LENGTH(stop - start), run[start:stop]]
        self._write(b"".join(parts))
        return True

    def close(self) -> None:
        """Hang up. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._unsent.clear()
        self._on_closed(self)
        self._sock.close()

    def _write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._sock, self._writable)

    def _writable(self) -> None:
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._read += data
        while not self._closed and len(self._read) >= 2:
            size = self._read[0] << 8 | self._read[1]
            if size > _MAX_FRAME:
                self.close()  # not what a viewer sends: a web request, say, on the wrong port
                return
            if len(self._read) < 2 + size:
                return
            frame = bytes(self._read[2 : 2 + size])
            del self._read[: 2 + size]
            if frame:
                self._on_frame(self, frame)


class TcpPort:
    """Listens beside the UDP sockets, on the same addresses and number."""

    def __init__(
        self, on_frame: Callable[[TcpPath, bytes], None], on_closed: Callable[[TcpPath], None]
    ) -> None:
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._listening: list[socket.socket] = []
        self._paths: set[TcpPath] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.refused = 0  # connections that did not prove themselves, or found no room

    def listen(self, host: str, port: int) -> None:
        """Listen on one address.

        Raises:
            OSError: it cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        self._listening.append(sock)
        self._loop.add_reader(sock, self._accept, sock)

    @property
    def hosts(self) -> list[Address]:
        """Return the addresses listened on."""
        return [sock.getsockname() for sock in self._listening]

    def hang_up(self, key: tuple[int, Address]) -> None:
        """Hang up the connection of a descriptor and an address, where it is one of ours."""
        for path in [one for one in self._paths if (one.fileno(), one.address) == key]:
            path.close()

    def close(self) -> None:
        """Stop listening and hang up. Idempotent."""
        for sock in self._listening:
            if self._loop is not None:
                self._loop.remove_reader(sock)
            sock.close()
        self._listening.clear()
        for path in list(self._paths):
            path.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(16):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return  # gone before it was taken, or no descriptor is left: it will be seen as waiting again
            unproven = [path for path in self._paths if not path.proven]
            same = sum(path.address[0] == address[0] for path in unproven)
            if len(unproven) >= _MAX_UNPROVEN or same >= _MAX_UNPROVEN_PER_HOST:
                self.refused += 1
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            path = TcpPath(sock, address, self._on_frame, self._forget)
            self._paths.add(path)
            if self._loop is not None:
                self._loop.call_later(PROVE_WITHIN_S, self._unproven, path)

    def _unproven(self, path: TcpPath) -> None:
        if not path.proven and path in self._paths:
            self.refused += 1
            path.close()

    def _forget(self, path: TcpPath) -> None:
        self._paths.discard(path)
        self._on_closed(path)


_LENGTH = struct.Struct("!H").pack
