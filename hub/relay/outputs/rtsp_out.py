"""RTSP out, for video management systems that know nothing newer (RFC 2326): H.264 or H.265, and the sound, over TCP, token in the path.

``rtsp://HOST:PORT/TOKEN``. The hub accepts a connection (`rtsp_door.py`), finds out by its token which worker holds the
camera, and hands the socket over; requests are read and answered here. A token is made for one recipient and one camera
and runs out. At the first request that names it the hub is asked, by the token's hash, so that a connection is decided,
leased and written down like any other view: one connection, one view. Whoever is slow falls behind alone and begins
again at the newest key frame.
"""

import asyncio
import contextlib
import hashlib
import itertools
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog

from adapters.rtsp.message import Headers, MessageParser, Request, Response
from adapters.rtsp.tolerance import Tolerances, Violation
from hub.relay.errors import RelayRefused
from hub.relay.outputs.rtsp_reader import BUFFER, RtspReader, describe
from hub.relay.webrtc.sdp import Offered

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = (
    60  # told to the client; its connection is the sign of life (RFC 2326 12.37 lets a server wait longer)
)
MIN_TOKEN: Final = 16
MAX_TOKEN: Final = 128
_SETTLE_S: Final = 20.0  # a connection that does not play by then is closed
_STUCK_S: Final = 30.0  # as is one that takes nothing for so long
_LOOK_EVERY_S: Final = 5.0
_KEY_FRAME_WITHIN_S: Final = 3.0  # DESCRIBE waits so long for the parameter sets, then goes without
_MAX_CONNECTIONS: Final = 1024
_MAX_WAITING: Final = 256  # of one address that no token has opened yet
_MAX_REQUESTS: Final = 64  # in one go
_DEAD_AFTER_MS: Final = 20_000  # what was sent and not acknowledged for so long (RFC 5482)
_PICTURE, _SOUND = 0, 1  # tracks
_METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    451: "Parameter Not Understood",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A connection asks for what its token opens. `digest`: SHA-256 of the token, hexadecimal."""

    connection: int
    digest: str
    address: str


class RtspOutput:
    """The connections of one worker. `on_wanted` asks the hub, which answers by `reader` or `refuse`; `on_left` is told the view whose recipient has gone."""

    def __init__(self, on_wanted: Callable[[Wanted], None], on_left: Callable[[str, str], None]) -> None:
        self._on_wanted = on_wanted
        self._on_left = on_left
        self._connections: dict[int, _Connection] = {}
        self._waiting: dict[int, asyncio.Future[RtspReader]] = {}
        # At random, so that an answer meant for a worker that died fits no connection of its successor.
        self._numbers = itertools.count(secrets.randbits(52) + 1)

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._connections)

    async def take(self, sock: socket.socket, address: str) -> None:
        """Serve a connection that was accepted from this address; closes it where there are too many."""
        try:
            if sock.family != socket.AF_UNIX:  # of one that came by TLS the hub has the other side
                notice_death(sock)
        except OSError:  # it has gone already
            sock.close()
            return
        waiting = sum(1 for one in self._connections.values() if one.address == address and not one.opened)
        if len(self._connections) >= _MAX_CONNECTIONS or waiting >= _MAX_WAITING:
            log.warning("relay.rtsp_out.full", peer=address, connections=len(self._connections))
            sock.close()
            return
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self.protocol(address), sock)
        except OSError:
            sock.close()

    def protocol(self, address: str) -> asyncio.Protocol:
        """Return what serves one connection from this address."""
        number = next(self._numbers)
        self._connections[number] = connection = _Connection(self, number, address)
        return connection

    def reader(self, number: int, viewer_id: str, offered: Offered) -> RtspReader:
        """Return the reader of a connection, which the hub has allowed to be the view `viewer_id`.

        Raises:
            RelayRefused: the connection has gone.
        """
        connection, future = self._connections.get(number), self._waiting.get(number)
        if connection is None or future is None or future.done():
            raise RelayRefused(409, "viewer_left", "the recipient hung up meanwhile")
        reader = connection.allow(viewer_id, offered)
        future.set_result(reader)
        return reader

    def refuse(self, number: int, error: RelayRefused) -> None:
        """Answer a connection that the hub refuses, where it still waits."""
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_exception(error)

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        connections = list(self._connections.values())
        for connection in connections:
            connection.end("relay_stopped")
        await asyncio.gather(*(connection.gone() for connection in connections))

    async def ask(self, number: int, token: str, address: str) -> RtspReader:
        """Ask the hub for what a token opens.

        Raises:
            RelayRefused: says why not.
        """
        future: asyncio.Future[RtspReader] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._on_wanted(Wanted(number, digest_of(token), address))
            return await future
        finally:
            del self._waiting[number]

    def forget(self, number: int, viewer_id: str, code: str) -> None:
        """Note that a connection has ended."""
        self._connections.pop(number, None)
        if viewer_id:
            self._on_left(viewer_id, code)


@dataclass(slots=True)
class _Session:
    identifier: str
    channels: dict[int, int]  # by track: 0 the picture, 1 the sound


class _Connection(asyncio.Protocol):
    """One recipient: requests are answered in order, then packets flow."""

    def __init__(self, output: RtspOutput, number: int, address: str) -> None:
        self.address = address
        self._output = output
        self._number = number
        self._viewer_id = ""
        self._parser = MessageParser(Tolerances())
        self._transport: asyncio.Transport | None = None
        self._requests: asyncio.Queue[Request] = asyncio.Queue(_MAX_REQUESTS)
        self._task: asyncio.Task[None] | None = None
        self._reader: RtspReader | None = None
        self._token = ""
        self._session: _Session | None = None
        self._playing = False
        self._ended = False

    @property
    def opened(self) -> bool:
        """Tell whether a token has opened it."""
        return self._reader is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(BUFFER)
        self._task = asyncio.create_task(self._serve(), name=f"rtsp out {self._number}")

    def data_received(self, data: bytes) -> None:
        """Cut what came into requests; frames (receiver reports) and answers are passed over."""
        if self._ended:
            return
        try:
            for event in self._parser.feed(data):
                if isinstance(event, Request):
                    self._requests.put_nowait(event)
        except (Violation, asyncio.QueueFull) as error:
            log.info("relay.rtsp_out.broken", peer=self.address, error=type(error).__name__)
            self._write(_reply(400, "0", ("Connection", "close")))
            self.end("malformed_rtsp")

    def connection_lost(self, exc: Exception | None) -> None:
        """Free everything."""
        del exc
        self.end("viewer_left")

    def allow(self, viewer_id: str, offered: Offered) -> RtspReader:
        """Become a view: return what reads its ring."""
        assert self._transport is not None
        self._viewer_id = viewer_id
        self._reader = RtspReader(offered.codec, self._transport, self.end, sound=offered.own_sound)
        return self._reader

    def end(self, code: str) -> None:
        """Close the connection; nothing is written any more, what waits is thrown away. Idempotent."""
        if self._ended:
            return
        self._ended = True
        log.info("relay.rtsp_out.ended", peer=self.address, viewer_id=self._viewer_id, code=code)
        if self._reader is not None:
            self._reader.lease_until_s = 0.0
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            # what waits for a slow recipient is picture: it must not follow after a cut
            self._transport.abort() if self.opened and code != "teardown" else self._transport.close()
        self._output.forget(self._number, self._viewer_id, "viewer_left" if code == "teardown" else code)

    async def gone(self) -> None:
        """Wait until nothing of it runs."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        settled_s = loop.time() + _SETTLE_S
        while not self._ended:
            due_s = loop.time() + _LOOK_EVERY_S if self._playing else settled_s
            try:
                async with asyncio.timeout_at(due_s):
                    await self._answer(await self._requests.get())
            except TimeoutError:
                if not self._playing:
                    self.end("not_connected")
                elif self._stuck(loop.time()):
                    self.end("viewer_gone")
            except Exception:  # our bug must not leave a connection that nobody answers
                log.exception("relay.rtsp_out.fault", peer=self.address)
                self.end("relay_failed")

    def _stuck(self, now_s: float) -> bool:
        since_s = self._reader.slow_since_s if self._reader is not None else None
        return since_s is not None and now_s - since_s > _STUCK_S

    async def _answer(self, request: Request) -> None:
        sequence = request.headers.get("CSeq") or "0"
        if not (sequence.isascii() and sequence.isdigit() and len(sequence) <= 10):
            sequence = "0"
        try:
            status, headers, body = await self._do(request)
        except RelayRefused as error:
            # 404 whatever the cause: who holds no token learns nothing of cameras
            status = 404 if error.status in {401, 403, 404} else 453 if error.status == 503 else 406
            headers, body = (), b""
            log.info("relay.rtsp_out.refused", peer=self.address, code=error.code)
            if not self.opened:
                # Whoever was refused comes back by the door, which may find another worker; a stranger holds no place.
                self._write(_reply(status, sequence, ("Connection", "close")))
                self.end(error.code)
                return
        self._write(_reply(status, sequence, *headers, body=body))
        if request.method == "TEARDOWN" and status == 200:
            self.end("teardown")
        elif request.method == "PLAY" and status == 200 and self._session is not None and not self._playing:
            assert self._reader is not None
            self._playing = True
            self._reader.play(self._session.channels[_PICTURE], self._session.channels.get(_SOUND))

    async def _do(self, request: Request) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        session = self._session
        match request.method:
            case "OPTIONS":
                return 200, (("Public", _METHODS),), b""
            case "DESCRIBE":
                reader = await self._opened(request.uri)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_KEY_FRAME_WITHIN_S):
                        await reader.begun.wait()
                base = request.uri.rstrip("/") + "/"
                headers = (("Content-Type", "application/sdp"), ("Content-Base", base))
                return 200, headers, describe(reader.codec, reader.key_frame(), reader.sound)
            case "SETUP":
                return self._set_up(request, await self._opened(request.uri))
            case "PLAY":
                if session is None or self._reader is None or _PICTURE not in session.channels:
                    return 455, (), b""
                if not _same(request.headers.get("Session"), session):
                    return 454, (), b""
                return 200, (("Session", session.identifier), ("Range", "npt=now-")), b""
            case "GET_PARAMETER" | "SET_PARAMETER":
                if request.body.strip():
                    return 451, (), b""
                return 200, (("Session", session.identifier),) if session is not None else (), b""
            case "TEARDOWN":
                known = session is not None and _same(request.headers.get("Session"), session)
                return 200 if known else 454, (), b""
            case _:
                return 405, (("Allow", _METHODS),), b""

    def _set_up(self, request: Request, reader: RtspReader) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """Agree on where one track goes. Naming a session adds the track to it; without, another one begins."""
        track = _track(request.uri)
        if track == _SOUND and reader.sound is None:
            return 404, (), b""
        session, named = self._session, request.headers.get("Session")
        if named is not None and not (session is not None and _same(named, session)):
            return 454, (), b""
        others = dict(session.channels) if session is not None and named is not None else {}
        others.pop(track, None)
        channel = _channel(request.headers.get("Transport") or "", 2 * track)
        if channel is None or any(abs(channel - other) < 2 for other in others.values()):
            return 461, (), b""
        if self._playing:
            return 455, (), b""
        identifier = session.identifier if session is not None and named is not None else secrets.token_hex(8)
        self._session = session = _Session(identifier, {**others, track: channel})
        self._parser.channels = {one + n for one in session.channels.values() for n in (0, 1)}
        agreed = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        return 200, (("Session", f"{identifier};timeout={TIMEOUT_S}"), ("Transport", agreed)), b""

    async def _opened(self, uri: str) -> RtspReader:
        """Return the reader of the token in a path; the one that is open where it is the same.

        Raises:
            RelayRefused: no token, or the hub says no.
        """
        token = token_of(uri)
        if not token:
            raise RelayRefused(404, "token_unknown", "the address holds no token")
        if self._reader is not None:
            if not secrets.compare_digest(token, self._token):
                raise RelayRefused(404, "token_unknown", "a connection shows one camera only")
            return self._reader
        reader = await self._output.ask(self._number, token, self.address)
        self._token = token
        return reader

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def token_of(uri: str) -> str:
    """Return the token in ``rtsp://host/TOKEN[/trackID=0]``; "" where there is none."""
    with contextlib.suppress(ValueError):
        token = urlsplit(uri).path.lstrip("/").partition("/")[0]
        if MIN_TOKEN <= len(token) <= MAX_TOKEN and token.isascii():
            return token
    return ""


def digest_of(token: str) -> str:
    """Return what is kept of a token: it is random and long, so SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def notice_death(sock: socket.socket) -> None:
    """Let the kernel end a connection whose other side has gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_USER_TIMEOUT", _DEAD_AFTER_MS)):
        option = getattr(socket, name, None)  # Linux has them all, other systems some
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _track(uri: str) -> int:
    """Return which track a SETUP is about; the picture where it names none."""
    return _SOUND if urlsplit(uri).path.rstrip("/").endswith("/trackID=1") else _PICTURE


def _channel(transport: str, usual: int) -> int | None:
    """Return the first interleaved channel that is asked for, `usual` where none is; `None` where no TCP is among the transports."""
    for offer in transport.split(","):
        words = [word.strip().lower() for word in offer.split(";")]
        if words[0] != "rtp/avp/tcp":
            continue
        asked = next((word[12:] for word in words if word.startswith("interleaved=")), str(usual))
        first = asked.partition("-")[0]
        if first.isascii() and first.isdigit() and len(first) <= 3 and int(first) <= 254:
            return int(first)
    return None


def _same(header: str | None, session: _Session) -> bool:
    said = (header or "").partition(";")[0].strip()
    return secrets.compare_digest(said.encode("utf-8", "replace"), session.identifier.encode())


def _reply(status: int, sequence: str, *headers: tuple[str, str], body: bytes = b"") -> bytes:
    fields = (("CSeq", sequence), ("Server", "camhub"), *headers)
    return Response(status, _REASONS.get(status, ""), Headers(fields), body).encode()
