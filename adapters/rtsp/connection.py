"""The TCP connection of one session: bytes in, responses to those who wait, frames to the receiver."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import structlog

from adapters.deadline import Deadline
from adapters.errors import AdapterError, LocalProtocolError, RemoteProtocolError, TimedOut, Unreachable
from adapters.rtsp.message import Frame, Headers, MessageParser, Request, Response, encode_frame
from adapters.rtsp.session import Session
from adapters.rtsp.tolerance import Tolerance, Violation
from standards.reason import Reason

log = structlog.get_logger()

_READ_AT_ONCE = 65_536  # bytes; a key frame of 2 Mbit/s comes in one or two reads
MAX_WRITE_BACKLOG = 262_144  # bytes a camera may leave unread before it counts as dead


def remote_error(violation: Violation, *, peer: str, operation: str) -> RemoteProtocolError:
    """Return a violation as the error that leaves the adapter, with peer and operation."""
    hint = (
        "Check that the port is the camera's RTSP port (554 as a rule)"
        if violation.reason is Reason.NOT_THE_PROTOCOL
        else "Update the camera's firmware, or report its model"
    )
    return RemoteProtocolError(
        f"{operation} of {peer}: {violation}",
        reason=violation.reason,
        excerpt=violation.excerpt,
        spec=violation.spec,
        peer=peer,
        operation=operation,
        hint=hint,
    )


def our_fault(peer: str, operation: str, cause: Exception) -> LocalProtocolError:
    """Log an exception that our own code raised on received bytes and return it as our error."""
    log.error("rtsp.receive_failed", peer=peer, operation=operation, exc_info=cause)
    return LocalProtocolError(
        f"{operation} of {peer}: what the camera sent could not be handled",
        peer=peer,
        operation=operation,
        hint="Report this with the camera's model; the log has the details",
    )


def _ignore_frames(_channel: int, _run: Sequence[bytes]) -> None:
    """Drop frames that came after the end."""


def _ignore_loss(_error: AdapterError) -> None:
    """Take no notice of the end of what was closed."""


class Connection(asyncio.BufferedProtocol):
    """Reads by callback: no task and no wake-up per packet. Inside a tunnel it reads one connection and writes another.

    Into a buffer of its own: a plain protocol is given new memory of 256 kB for each read, which costs more than the read.
    """

    def __init__(
        self,
        session: Session,
        *,
        peer: str,
        take_frames: Callable[[bytes, int], int],
        on_frames: Callable[[int, Sequence[bytes]], None],
        on_lost: Callable[[AdapterError], None],
    ) -> None:
        """Prepare. `take_frames` is offered frames where they stand (`MessageParser`), `on_frames` gets those it left."""
        self._session = session
        self._parser = MessageParser(session.tolerances, take_frames)
        self._peer = peer
        self._on_frames = on_frames
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._out: asyncio.WriteTransport | None = None  # another connection inside an HTTP tunnel
        self._encode: Callable[[bytes], bytes] = bytes
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._operation = "RTSP connect"
        self.failure: AdapterError | None = None
        self._buffer = memoryview(bytearray(_READ_AT_ONCE))
        self.received = 0  # bytes
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Use a connection of the dialer's, both ways."""
        self._transport = self._out = cast("asyncio.Transport", transport)

    def take_over(
        self,
        transport: asyncio.Transport,
        data: bytes,
        *,
        out: asyncio.WriteTransport,
        encode: Callable[[bytes], bytes],
    ) -> None:
        """Go on reading an open connection, `data` being read from it already; requests go out by `out`, encoded."""
        self._transport, self._out, self._encode = transport, out, encode
        transport.set_protocol(self)
        if data:
            self.data_received(data)
        transport.resume_reading()

    def end_point(self, name: str) -> str:
        """Return the address of one end of the connection: ``peername`` or ``sockname``."""
        return str(self._transport.get_extra_info(name)[0]) if self._transport is not None else ""

    @property
    def channels(self) -> set[int]:
        """Return the interleaved channels in use."""
        return self._parser.channels

    @property
    def closed(self) -> bool:
        """Tell whether nothing can be sent any more."""
        return self.failure is not None or self._transport is None or self._transport.is_closing()

    # asyncio.BufferedProtocol

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where to put what comes next."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was put there."""
        self.data_received(bytes(self._buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Cut the bytes and hand everything on."""
        self.received += len(data)
        try:
            run: list[bytes] = []  # frames of one channel that came together
            on = -1
            events = self._parser.feed(data)
            if not events:
                return
            for event in events:
                if type(event) is Frame:
                    channel, packet = event
                    if channel != on:
                        if run:
                            self._on_frames(on, run)
                        on, run = channel, []
                    run.append(packet)
                    continue
                if run:
                    self._on_frames(on, run)
                    run = []
                if type(event) is Response:
                    self._answer(event)
                elif type(event) is Request:
                    self._serve(event)
            if run:
                self._on_frames(on, run)
        except Violation as violation:
            self.fail(remote_error(violation, peer=self._peer, operation=self._operation))
        except AdapterError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001  a parser's bug costs this camera's session, never the process
            self.fail(our_fault(self._peer, self._operation, error))

    def eof_received(self) -> bool:
        """Close our half too."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        if self.failure is not None:
            return
        error: AdapterError
        if self._waiting and self._parser.pending:
            error = RemoteProtocolError(
                f"{self._operation} of {self._peer}: the reply is cut short, the camera closed the connection "
                f"after {self._parser.pending} bytes of it",
                reason=Reason.MALFORMED_RTSP,
                peer=self._peer,
                operation=self._operation,
                hint="Restart the camera; update its firmware if it happens again",
            )
        elif self._waiting and not self.received:
            error = RemoteProtocolError(
                f"{self._operation} of {self._peer}: the connection was closed without an answer",
                reason=Reason.EMPTY_REPLY,
                peer=self._peer,
                operation=self._operation,
                hint="Check that the port is the camera's RTSP port, and that it allows another client",
            )
        else:
            error = Unreachable(
                f"{self._peer} closed the connection",
                peer=self._peer,
                operation=self._operation,
                hint="Check the camera's power and network, and that it allows another client",
            )
        self.fail(error)

    # requests

    def send(self, data: bytes) -> None:
        """Write bytes; a camera that reads nothing any more is dropped instead of filling memory."""
        transport = self._out
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MAX_WRITE_BACKLOG:
            self.fail(
                Unreachable(
                    f"{self._peer} takes no data any more",
                    peer=self._peer,
                    operation=self._operation,
                    hint="Restart the camera",
                )
            )
            return
        transport.write(self._encode(data))

    def send_frame(self, channel: int, data: bytes) -> None:
        """Write one interleaved frame."""
        self.send(encode_frame(channel, data))

    async def exchange(
        self, sequence: int, request: Request, deadline: Deadline, *, operation: str, limit_s: float
    ) -> Response:
        """Send a request and wait for its response.

        Raises:
            TimedOut: no answer; the phase is the operation.
            RemoteProtocolError: the answer is not RTSP, or cut short.
            Unreachable: the connection is gone.
        """
        if self.failure is not None:
            self._session.give_up(sequence)
            raise self.failure
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Response] = loop.create_future()
        self._waiting[sequence] = future
        self._operation = operation
        self.send(request.encode())
        allowed_s = min(limit_s, deadline.remaining_s())
        alarm = loop.call_later(allowed_s, self._late, future, operation, allowed_s)
        try:
            return await future
        finally:
            alarm.cancel()
            self._waiting.pop(sequence, None)
            self._session.give_up(sequence)

    def _late(self, future: asyncio.Future[Response], operation: str, waited_s: float) -> None:
        """End the waiting for an answer."""
        if future.done():
            return
        if self._parser.pending:
            future.set_exception(
                RemoteProtocolError(
                    f"{operation} of {self._peer}: the reply is cut short, {self._parser.pending} bytes came and "
                    f"then nothing for {waited_s:.1f} s",
                    reason=Reason.MALFORMED_RTSP,
                    peer=self._peer,
                    operation=operation,
                    hint="Restart the camera; update its firmware if it happens again",
                )
            )
            return
        future.set_exception(
            TimedOut(
                operation,
                waited_s=waited_s,
                peer=self._peer,
                hint="Check that the camera is not overloaded and that the port is its RTSP port",
            )
        )

    def _answer(self, response: Response) -> None:
        sequence = self._session.match(response)
        future = self._waiting.get(sequence) if sequence is not None else None
        if future is not None and not future.done():
            future.set_result(response)

    def _serve(self, request: Request) -> None:
        """Answer a request of the camera (quirk 27): OPTIONS is granted, nothing else is implemented here."""
        self._session.tolerances.note(Tolerance.SERVER_REQUEST)
        sequence = request.headers.get("CSeq") or "0"
        ok = request.method == "OPTIONS"
        fields: tuple[tuple[str, str], ...] = (("CSeq", "".join(filter(str.isdigit, sequence))[:10] or "0"),)
        if ok:
            fields += (("Public", "OPTIONS"),)
        self.send(Response(200 if ok else 501, "OK" if ok else "Not Implemented", Headers(fields)).encode())

    # the end

    def fail(self, error: AdapterError) -> None:
        """End the session with an error; only the first one counts."""
        if self.failure is not None:
            return
        self.failure = error
        self.lost.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
        self.abort()
        self._on_lost(error)

    def abort(self) -> None:
        """Drop the connection at once."""
        for transport in (self._transport, self._out):
            if transport is not None:
                transport.abort()

    def close(self) -> None:
        """Close after what is written has gone out. Silent: neither callback is called any more."""
        # Those who listened can be freed at once.
        self._on_frames, self._on_lost, self._parser.take_frames = _ignore_frames, _ignore_loss, None
        if self.failure is None:
            self.failure = Unreachable("the session was closed", peer=self._peer, operation=self._operation)
        for transport in (self._out, self._transport):
            if transport is None or transport.is_closing():
                continue
            if transport.get_extra_info("ssl_object") is not None:
                transport.abort()  # TLS would wait for the camera's goodbye, which many never say
            else:
                transport.close()
