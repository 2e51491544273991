"""RTSP out, for video management systems that know nothing newer (RFC 2326): H.264 or H.265 over TCP, token in the path.

``rtsp://HOST:PORT/live/TOKEN``. A token is made for one recipient and one camera and runs out; it is asked of the hub
at DESCRIBE and again at SETUP, so a connection is decided, leased and written down like any other view. Whoever is slow
falls behind alone and begins again at the newest key frame.
"""

import asyncio
import base64
import contextlib
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import structlog

from adapters.rtsp import h264
from adapters.rtsp.message import Frame, Headers, MessageParser, Request, Response, encode_frame
from adapters.rtsp.tolerance import Tolerances, Violation
from hub.relay import packetise, packetise265
from hub.relay.errors import RelayRefused
from hub.relay.ring import Packet, PacketRing

log = structlog.get_logger(__name__)

PATH: Final = "/live/"
PAYLOAD_TYPE: Final = 96
TIMEOUT_S: Final = 60  # of a session without a sign of life (RFC 2326 12.37)
_SETTLE_S: Final = 15.0  # a connection that does not play by then is closed
_MAX_CONNECTIONS: Final = 256
_MAX_OF_ADDRESS: Final = 32
_MAX_REQUESTS: Final = 64  # before PLAY
_BUFFER: Final = 1 << 20  # bytes that may wait for a slow reader
_AT_ONCE: Final = 256  # packets written in one go
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


class Feed(Protocol):
    """A camera's stream, opened for one recipient."""

    codec: str  # H264 | H265

    def add(self, reader: "RtspReader") -> None:
        """Let the reader take packets, as long as it is vouched for."""

    def key_frame(self) -> Sequence[Packet]:
        """Return the newest key frame's packets; none where there is none yet."""

    async def aclose(self) -> None:
        """The recipient has gone. Idempotent."""


OpenFeed = Callable[[str, str, Callable[[str], None]], Awaitable[Feed]]
"""Opens the feed of a token for a peer's address; the callback ends the connection with a code. Raises `RelayRefused`."""


class RtspReader:
    """Takes packets of a ring and writes them as interleaved frames."""

    def __init__(self, transport: asyncio.WriteTransport, channel: int) -> None:
        self.lease_until_s = 0.0
        self.packets = self.skipped = 0
        self.sequence = secrets.randbits(15)
        self.ssrc = secrets.randbits(32)
        self._transport = transport
        self._channel = channel
        self._ring: PacketRing | None = None
        self._next: int | None = None

    def attach(self, ring: PacketRing) -> None:
        """Begin at the newest key frame of this ring, or wait for the next one."""
        self._ring = ring
        self._next = ring.start()

    def take(self) -> bool:
        """Write what is there; True where some is left because the recipient is slow."""
        ring = self._ring
        if ring is None or self._transport.is_closing():
            return False
        if self._next is None:
            self._next = ring.start()
            if self._next is None:
                return False
        elif self._next < ring.base:
            self.skipped += ring.base - self._next
            self._next = ring.start()
            return self._next is not None
        if self._transport.get_write_buffer_size() > _BUFFER:
            newer = ring.key_frame_since(self._next + 1)
            if newer is not None:
                self.skipped += newer - self._next
                self._next = newer
            return True
        stop = min(ring.head, self._next + _AT_ONCE)
        self._transport.write(b"".join(map(self._framed, ring.run(self._next, stop))))
        self._next = stop
        return stop < ring.head

    def _framed(self, packet: Packet) -> bytes:
        header = (
            bytes((0x80, packet.marker | PAYLOAD_TYPE))
            + self.sequence.to_bytes(2, "big")
            + (packet.timestamp & 0xFFFFFFFF).to_bytes(4, "big")
            + self.ssrc.to_bytes(4, "big")
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.packets += 1
        return encode_frame(self._channel, header + packet.payload)


class RtspOutput:
    """The listening side. `open_feed` asks the hub."""

    def __init__(self, open_feed: OpenFeed) -> None:
        self._open_feed = open_feed
        self._servers: list[asyncio.Server] = []
        self._connections: dict[_Connection, str] = {}
        self._by_address: Counter[str] = Counter()

    async def start(self, hosts: Sequence[str], port: int) -> int:
        """Listen and return the port.

        Raises:
            OSError: an address cannot be had.
        """
        loop = asyncio.get_running_loop()
        for host in hosts:
            server = await loop.create_server(lambda: _Connection(self), host, port)
            self._servers.append(server)
            port = int(server.sockets[0].getsockname()[1])
        return port

    async def aclose(self) -> None:
        """Stop listening and close every connection. Idempotent."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.end("relay_stopped")
        await asyncio.gather(*(connection.gone() for connection in list(self._connections)))
        self._servers = []

    def admit(self, connection: "_Connection", address: str) -> bool:
        """Note a connection; False where there are too many."""
        full = len(self._connections) >= _MAX_CONNECTIONS or self._by_address[address] >= _MAX_OF_ADDRESS
        self._connections[connection] = address
        self._by_address[address] += 1
        return not full

    def forget(self, connection: "_Connection") -> None:
        """Note that a connection has gone."""
        address = self._connections.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def open_feed(self, token: str, address: str, on_end: Callable[[str], None]) -> Feed:
        """Ask the hub for a token's stream.

        Raises:
            RelayRefused: says why not.
        """
        return await self._open_feed(token, address, on_end)


@dataclass(slots=True)
class _Session:
    identifier: str
    channel: int
    reader: RtspReader | None = None


class _Connection(asyncio.Protocol):
    """One recipient: requests are answered in order, then packets flow."""

    def __init__(self, output: RtspOutput) -> None:
        self._output = output
        self._parser = MessageParser(Tolerances())
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._requests: asyncio.Queue[Request] = asyncio.Queue(_MAX_REQUESTS)
        self._task: asyncio.Task[None] | None = None
        self._feed: Feed | None = None
        self._token = ""
        self._session: _Session | None = None
        self._heard_s = 0.0
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve, unless there are too many already."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = str((transport.get_extra_info("peername") or ("",))[0])
        self._heard_s = asyncio.get_running_loop().time()
        if not self._output.admit(self, self._address):
            transport.close()
            return
        transport.set_write_buffer_limits(_BUFFER)
        self._task = asyncio.create_task(self._serve(), name="rtsp out")

    def data_received(self, data: bytes) -> None:
        """Cut what came into requests; frames (receiver reports) are a sign of life and nothing else."""
        self._heard_s = asyncio.get_running_loop().time()
        try:
            for event in self._parser.feed(data):
                if isinstance(event, Request):
                    self._requests.put_nowait(event)
                elif isinstance(event, Frame | Response):
                    continue
        except (Violation, asyncio.QueueFull) as error:
            log.info("relay.rtsp_out.broken", peer=self._address, error=type(error).__name__)
            self._write(_reply(400, "0", ("Connection", "close")))
            self.end("malformed_rtsp")

    def connection_lost(self, exc: Exception | None) -> None:
        """Free everything."""
        del exc
        self.end("viewer_left")
        self._output.forget(self)

    def end(self, code: str) -> None:
        """Close the connection; nothing is written any more. Idempotent."""
        if self._ended:
            return
        self._ended = True
        log.info("relay.rtsp_out.ended", peer=self._address, code=code)
        if self._session is not None and self._session.reader is not None:
            self._session.reader.lease_until_s = 0.0
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort() if code not in {"malformed_rtsp", "teardown"} else self._transport.close()

    async def gone(self) -> None:
        """Wait until the feed was let go."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            while not self._ended:
                playing = self._session is not None and self._session.reader is not None
                due_s = self._heard_s + TIMEOUT_S if playing else begun_s + _SETTLE_S
                try:
                    async with asyncio.timeout_at(due_s):
                        request = await self._requests.get()
                except TimeoutError:
                    if not playing or loop.time() - self._heard_s >= TIMEOUT_S:
                        self.end("viewer_gone")
                    continue
                await self._answer(request)
        finally:
            feed, self._feed = self._feed, None
            if feed is not None:
                await asyncio.shield(feed.aclose())

    async def _answer(self, request: Request) -> None:
        sequence = request.headers.get("CSeq") or "0"
        if not sequence.isdigit() or len(sequence) > 10:
            sequence = "0"
        try:
            status, headers, body = await self._do(request)
        except RelayRefused as error:
            # 404 whatever the cause: who holds no token learns nothing of cameras
            status = 404 if error.status in {401, 403, 404} else 453 if error.status == 503 else 406
            headers, body = (), b""
            log.info("relay.rtsp_out.refused", peer=self._address, code=error.code)
        self._write(_reply(status, sequence, *headers, body=body))
        if request.method == "TEARDOWN" and status == 200:
            self.end("teardown")
        elif (
            request.method == "PLAY"
            and status == 200
            and self._feed is not None
            and self._session is not None
        ):
            assert self._session.reader is not None
            self._feed.add(self._session.reader)

    async def _do(self, request: Request) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        session = self._session
        match request.method:
            case "OPTIONS":
                return 200, (("Public", _METHODS),), b""
            case "DESCRIBE":
                feed = await self._opened(request.uri)
                base = request.uri.rstrip("/") + "/"
                return 200, (("Content-Type", "application/sdp"), ("Content-Base", base)), describe(feed)
            case "SETUP":
                await self._opened(request.uri)
                channel = _channel(request.headers.get("Transport") or "")
                if channel is None:
                    return 461, (), b""
                if session is not None and session.reader is not None:
                    return 455, (), b""
                self._session = session = _Session(secrets.token_hex(8), channel)
                agreed = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
                return (
                    200,
                    (("Session", f"{session.identifier};timeout={TIMEOUT_S}"), ("Transport", agreed)),
                    b"",
                )
            case "PLAY":
                if session is None or self._feed is None or self._transport is None:
                    return 455, (), b""
                if not _same(request.headers.get("Session"), session):
                    return 454, (), b""
                if session.reader is None:
                    session.reader = RtspReader(self._transport, session.channel)
                return 200, (("Session", session.identifier), ("Range", "npt=now-")), b""
            case "GET_PARAMETER" | "SET_PARAMETER":
                if request.body.strip():
                    return 451, (), b""
                return 200, (("Session", session.identifier),) if session is not None else (), b""
            case "TEARDOWN":
                return (
                    (200 if session is not None and _same(request.headers.get("Session"), session) else 454),
                    (),
                    b"",
                )
            case _:
                return 405, (("Allow", _METHODS),), b""

    async def _opened(self, uri: str) -> Feed:
        """Return the feed of the token in a path; the one that is open where it is the same.

        Raises:
            RelayRefused: no token, or the hub says no.
        """
        token = token_of(uri)
        if not token:
            raise RelayRefused(404, "token_unknown", "the address holds no token")
        if self._feed is not None:
            if not secrets.compare_digest(token, self._token):
                raise RelayRefused(404, "token_unknown", "a connection shows one camera only")
            return self._feed
        self._feed = await self._output.open_feed(token, self._address, self.end)
        self._token = token
        return self._feed

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def token_of(uri: str) -> str:
    """Return the token in ``rtsp://host/live/TOKEN[/trackID=0]``; "" where there is none."""
    with contextlib.suppress(ValueError):
        path = urlsplit(uri).path
        if path.startswith(PATH):
            token = path[len(PATH) :].partition("/")[0]
            if 16 <= len(token) <= 128 and token.isascii():
                return token
    return ""


def describe(feed: Feed) -> bytes:
    """Return the SDP (RFC 4566): one video track, with its parameter sets where a key frame is at hand."""
    parameters = ""
    payloads = [packet.payload for packet in feed.key_frame()]
    if feed.codec == "H264":
        nals = packetise.units(payloads)
        sps = [nal for nal in nals if h264.nal_type(nal) == h264.SPS]
        pps = [nal for nal in nals if h264.nal_type(nal) == h264.PPS]
        parameters = "packetization-mode=1"
        if sps and pps:
            sets = ",".join(base64.b64encode(nal).decode() for nal in (*sps, *pps))
            parameters += f";profile-level-id={sps[0][1:4].hex()};sprop-parameter-sets={sets}"
    else:
        for nal in packetise265.units(payloads):
            name = {packetise265.VPS: "vps", packetise265.SPS: "sps", packetise265.PPS: "pps"}.get(
                nal[0] >> 1
            )
            if name:
                parameters += f"{';' if parameters else ''}sprop-{name}={base64.b64encode(nal).decode()}"
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=camhub",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} {feed.codec}/90000",
        *([f"a=fmtp:{PAYLOAD_TYPE} {parameters}"] if parameters else []),
        "a=control:trackID=0",
        "a=recvonly",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


def _channel(transport: str) -> int | None:
    """Return the first interleaved channel that is asked for; `None` where no TCP is among the transports."""
    for offer in transport.split(","):
        words = [word.strip().lower() for word in offer.split(";")]
        if words[0] != "rtp/avp/tcp":
            continue
        asked = next((word[12:] for word in words if word.startswith("interleaved=")), "0-1")
        first = asked.partition("-")[0]
        if first.isdigit() and len(first) <= 3 and int(first) <= 254:
            return int(first)
    return None


def _same(header: str | None, session: _Session) -> bool:
    said = (header or "").partition(";")[0].strip()
    return secrets.compare_digest(said.encode(), session.identifier.encode())


def _reply(status: int, sequence: str, *headers: tuple[str, str], body: bytes = b"") -> bytes:
    fields = (("CSeq", sequence), ("Server", "camhub"), *headers)
    return Response(status, _REASONS.get(status, ""), Headers(fields), body).encode()
