"""The door for recipients who come by TLS (RTSPS): the hub takes the TLS off and hands the worker one end of a pair of sockets.

The token stands in the request, inside TLS, and the state of TLS cannot be handed to another process; so who must know the
token to find the worker has to keep the connection. The certificate's key stays with the hub: a worker, which reads what
cameras send, never holds it. What the worker writes passes through here, encrypted, with at most a few hundred kilobytes
on the way; a cut throws them away.
"""

import asyncio
import contextlib
import select
import socket
import ssl
from pathlib import Path
from typing import Final

import structlog

from hub.relay.errors import RelayRefused
from hub.relay.outputs.rtsp_door import LONGEST, WITHIN_S, HandOver, RtspDoor, digest_asked
from hub.relay.outputs.rtsp_out import notice_death

log = structlog.get_logger(__name__)

_CHUNK: Final = 1 << 16  # bytes
_HIGH: Final = 1 << 17  # bytes that may wait for a slow recipient here; the worker knows how to skip
_LOOK_EVERY_S: Final = 0.2  # while nothing is taken
_FAREWELL_S: Final = 1.0  # for the last answer
_MOST: Final = 1024  # connections at the same time
_HUNG_UP: Final = select.POLLHUP | getattr(select, "POLLRDHUP", 0)


class CertificateRefused(Exception):
    """A certificate and its key cannot be used: says why."""


class Certificate:
    """A certificate chain and its key in two files (PEM), read again when either has changed."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Read them.

        Raises:
            CertificateRefused: they cannot be read, or do not belong together.
        """
        self._chain, self._key = chain, key
        self._stamps = self._seen()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """Return what a connection that comes now is answered with; the last good pair where a new one is no good."""
        stamps = self._seen()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._context = self._read()
                log.info("relay.tls_door.certificate_renewed", chain=str(self._chain))
            except CertificateRefused as error:  # half of a pair that is being written, perhaps
                log.warning("relay.tls_door.certificate_kept", why=str(error))
        return self._context

    def _seen(self) -> tuple[object, ...]:
        with contextlib.suppress(OSError):
            told = [path.stat() for path in (self._chain, self._key)]
            return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in told)
        return ()

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._chain, self._key, _no_password)
        except ssl.SSLError as error:
            raise CertificateRefused(
                f"{self._chain} and {self._key} are no certificate chain and its key in PEM ({error.reason})"
            ) from error
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else str(error)
            raise CertificateRefused(f"{self._chain} and {self._key} cannot be used: {what}") from error
        return context


class TlsDoor(RtspDoor):
    """The listener for TLS."""

    def __init__(self, hand_over: HandOver, certificate: Certificate) -> None:
        super().__init__(hand_over)
        self._certificate = certificate
        self._passing: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Stop listening, and hang up on everybody. Idempotent."""
        await super().aclose()
        for task in list(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _look(self, sock: socket.socket, address: str) -> None:
        if len(self._passing) >= _MOST:
            self.turned_away += 1
            sock.close()
            return
        recipient: _Recipient | None = None
        try:
            async with asyncio.timeout(WITHIN_S):
                recipient = await _Recipient.accept(sock, self._certificate.context())
                first = await recipient.reader.readuntil(b"\n")
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("relay.tls_door.no_request", peer=address, error=type(error).__name__)
            first = b""
        except BaseException:
            if recipient is not None:
                recipient.hang_up()
            raise
        digest = digest_asked(first)
        if recipient is None or digest is None:
            self.turned_away += 1
            recipient.hang_up() if recipient is not None else sock.close()
            return
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                await self._hand_over(digest, theirs, address)
        except BaseException as error:
            ours.close()
            recipient.hang_up()
            if not isinstance(error, RelayRefused):
                raise
            log.warning("relay.rtsp_door.not_handed_over", code=error.code)
            return
        task = asyncio.create_task(recipient.serve(ours, first), name=f"rtsps {address}")
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)


class _Recipient:
    """One connection, without its TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self._played = self._leaving = False

    @classmethod
    async def accept(cls, sock: socket.socket, context: ssl.SSLContext) -> "_Recipient":
        """Shake hands.

        Raises:
            OSError: it speaks no TLS that is spoken here, or has gone.
        """
        notice_death(sock)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(LONGEST)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, sock, ssl=context, ssl_handshake_timeout=WITHIN_S, ssl_shutdown_timeout=1.0
        )
        transport.set_write_buffer_limits(_HIGH)
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    def hang_up(self) -> None:
        """End the connection; what waits is thrown away."""
        self._writer.transport.abort()

    async def serve(self, worker: socket.socket, first: bytes) -> None:
        """Pass bytes both ways until either side ends."""
        ways = (
            asyncio.create_task(self._up(worker, first), name="rtsps up"),
            asyncio.create_task(self._down(worker), name="rtsps down"),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[1].done() and (
                self._leaving or not self._played
            ):  # a refusal, or a farewell: let it arrive
                self._writer.close()
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(self._writer.wait_closed(), _FAREWELL_S)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.hang_up()
            worker.close()

    async def _up(self, worker: socket.socket, first: bytes) -> None:
        loop, data = asyncio.get_running_loop(), first
        with contextlib.suppress(OSError):
            while data:
                self._leaving = self._leaving or b"TEARDOWN " in data
                await loop.sock_sendall(worker, data)
                data = await self.reader.read(LONGEST)

    async def _down(self, worker: socket.socket) -> None:
        """Hand on what the worker writes. Once it has hung up, nothing that still waits of the picture is handed on.

        The answer to one who says goodbye stands behind such pictures, so that one gets what is left, if it takes it soon.
        """
        loop, gone = asyncio.get_running_loop(), select.poll()
        gone.register(worker, _HUNG_UP)
        over_s = 0.0
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(worker, _CHUNK):
                if self._played and not self._leaving and gone.poll(0):
                    return
                self._played = self._played or b"$" in data  # before the first frame there are only answers
                self._writer.write(data)
                while True:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._writer.drain(), _LOOK_EVERY_S)
                        break
                    if gone.poll(0):
                        over_s = over_s or loop.time() + _FAREWELL_S
                        if not self._leaving or loop.time() > over_s:
                            self._leaving = False
                            return


def _no_password() -> str:
    raise ValueError("the key is encrypted; the hub has nobody to ask for its password")
