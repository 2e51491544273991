"""The RTSP 1.0 server of a scripted camera (RFC 2326): Digest, interleaved TCP and UDP, timeouts enforced."""

import asyncio
import base64
import secrets
from dataclasses import dataclass, field
from email.utils import format_datetime
from urllib.parse import urlsplit

import structlog

from hub.simulator import rtp
from hub.simulator.certificate import server_context
from hub.simulator.delivery import Transport, choose
from hub.simulator.device import REALM, Device
from hub.simulator.digest import DigestVerifier, Login
from hub.simulator.listener import Listener
from hub.simulator.presets import StreamScript
from hub.simulator.studio import CodedPicture, Encoder, ParameterSets
from hub.simulator.tunnel import Tunnels

_MAX_HEAD = 16_384  # bytes of a request's head
_MAX_BODY = 65_536
_TRACK = "trackID=1"
_REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    uri: str
    version: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(slots=True)
class _Reply:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


class _BadRequest(Exception):
    """The bytes are not an RTSP request."""


class RtspServer:
    """Serves the streams of one device."""

    def __init__(self, device: Device) -> None:
        self.device = device
        script = device.preset.rtsp
        self.verifier = DigestVerifier(device.clock, REALM, script.algorithms, script.nonce_lifetime_s)
        self.sessions: dict[str, _Session] = {}
        self.tunnels = Tunnels()
        self._connections = 0
        self._listener = Listener(self._serve)

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            OSError: the address cannot be had.
        """
        line = self.device.preset.rtsp.line
        tls = server_context(expired=line == "tls-expired") if line != "plain" else None
        return await self._listener.start(host, port, tls)

    async def kill(self) -> None:
        """Stop listening and cut every connection; sessions end with theirs."""
        await self._listener.kill()

    @property
    def playing(self) -> int:
        """Return how many sessions play."""
        return sum(session.playing for session in self.sessions.values())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.device.counters.connections += 1
        if self._connections >= self.device.preset.rtsp.max_connections:
            writer.write(b"RTSP/1.0 503 Service Unavailable\r\nCSeq: 0\r\nConnection: close\r\n\r\n")
            return
        self._connections += 1
        try:
            await _Connection(self, reader, writer).run()
        finally:
            self._connections -= 1


class _Connection:
    """One client connection: requests, answers, interleaved packets."""

    def __init__(
        self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._device = server.device
        self._reader = reader
        self.writer = writer
        self._sessions: set[str] = set()

    async def run(self) -> None:
        """Answer requests until the client goes."""
        try:
            while (request := await self._read()) is not None:
                if request.version.startswith("HTTP/"):
                    await self._tunnel(request)
                    return
                await self._answer(request)
        except _BadRequest as error:
            self._send(_Reply(400, [("Connection", "close")]), "0")
            log.warning("simulator.rtsp.bad_request", camera=self._device.preset.id, detail=str(error))
        finally:
            for key in self._sessions:
                session = self._server.sessions.get(key)
                if session is not None:
                    session.end(say_goodbye=False)

    async def _tunnel(self, request: _Request) -> None:
        """Serve one half of a tunnel: the GET reads requests that the POST of the same cookie brings."""
        tunnels = self._server.tunnels
        cookie = request.headers.get("x-sessioncookie", "")
        self._device.count(f"HTTP {request.method}")
        if request.method == "POST" and await tunnels.feed(cookie, self._reader):
            return
        requests = tunnels.begin(cookie) if request.method == "GET" else None
        if requests is None:
            self.writer.write(b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        self.writer.write(
            b"HTTP/1.0 200 OK\r\nServer: CH-Sim/1.0\r\nConnection: close\r\nCache-Control: no-store\r\n"
            b"Pragma: no-cache\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"
        )
        outer, self._reader = self._reader, requests
        watch = asyncio.create_task(_until_closed(outer, requests))
        try:
            await self.run()
        finally:
            watch.cancel()
            tunnels.end(cookie)

    async def _read(self) -> _Request | None:
        """Return the next request; interleaved packets before it are receiver reports and are counted."""
        while True:
            first = await self._reader.read(1)
            if not first:
                return None
            if first == b"$":
                head = await self._reader.readexactly(3)
                await self._reader.readexactly(int.from_bytes(head[1:], "big"))
                self._device.counters.receiver_reports += 1
            elif first not in b"\r\n":
                break
        rest = await self._reader.readuntil(b"\r\n\r\n")
        if len(rest) > _MAX_HEAD:
            raise _BadRequest(f"the head has {len(rest)} bytes")
        lines = (first + rest).decode("utf-8", "replace").split("\r\n")
        parts = lines[0].split(" ")
        http = (
            self._device.preset.rtsp.http_tunnel and parts[0] in ("GET", "POST") and parts[-1][:5] == "HTTP/"
        )
        if len(parts) != 3 or not (parts[2].startswith("RTSP/") or http):
            raise _BadRequest(f"the first line is no RTSP request line: {lines[0][:80]!r}")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
        length = "0" if http else headers.get("content-length", "0")  # the POST of a tunnel never ends
        if not length.isdecimal() or int(length) > _MAX_BODY:
            raise _BadRequest("Content-Length is not a number, or too large")
        body = await self._reader.readexactly(int(length))
        return _Request(parts[0], parts[1], parts[2], headers, body)

    async def _answer(self, request: _Request) -> None:
        device = self._device
        device.count(request.method)
        delay_s = device.preset.rtsp.answer_delay_s
        if delay_s:
            await device.clock.sleep(delay_s)
        sequence = request.headers.get("cseq", "")
        if not sequence.isdecimal():
            self._send(_Reply(400), "0")
            return
        if request.version != "RTSP/1.0":
            self._send(_Reply(505), sequence)
            return
        reply = await self._reply(request)
        self._send(reply, sequence)
        if request.method == "PLAY" and reply.status == 200:
            self._server.sessions[_session_key(request)].play()  # after the answer, so that it comes first

    def _send(self, reply: _Reply, sequence: str) -> None:
        lines = [f"RTSP/1.0 {reply.status} {_REASONS[reply.status]}", f"CSeq: {sequence}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines += ["Server: CH-Sim/1.0", f"Date: {format_datetime(self._device.now(), usegmt=True)}"]
        if reply.body:
            lines.append(f"Content-Length: {len(reply.body)}")
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)

    async def _reply(self, request: _Request) -> _Reply:
        match request.method:
            case "OPTIONS":
                return self._keep(request, _Reply(200, [("Public", self._public)]))
            case "GET_PARAMETER" | "SET_PARAMETER" if (
                request.method not in self._device.preset.rtsp.keepalives
            ):
                return _Reply(501, [("Public", self._public)])
            case "DESCRIBE" | "SETUP" | "PLAY" | "PAUSE" | "GET_PARAMETER" | "SET_PARAMETER" | "TEARDOWN":
                refusal = self._login(request)
                if refusal is not None:
                    return refusal
            case _:
                return _Reply(501, [("Public", self._public)])
        match request.method:
            case "DESCRIBE":
                return await self._describe(request)
            case "SETUP":
                return await self._setup(request)
            case "GET_PARAMETER" | "SET_PARAMETER" if "session" not in request.headers:
                return _Reply(200)
        session = self._server.sessions.get(_session_key(request))
        if session is None or session.connection is not self:
            return _Reply(454)
        session.touch()
        reply = _Reply(200, [("Session", session.header)])
        match request.method:
            case "PLAY":
                reply.headers += [("Range", "npt=now-"), ("RTP-Info", session.information())]
            case "PAUSE":
                session.pause()
            case "TEARDOWN":
                session.end(say_goodbye=True)
                reply.headers = [("Connection", "keep-alive")]
        return reply

    def _keep(self, request: _Request, reply: _Reply) -> _Reply:
        """Let a request that names a session keep it alive."""
        if "session" in request.headers:
            if "OPTIONS" not in self._device.preset.rtsp.keepalives:
                return _Reply(405)
            session = self._server.sessions.get(_session_key(request))
            if session is None or session.connection is not self:
                return _Reply(454)
            session.touch()
            reply.headers.append(("Session", session.header))
        return reply

    @property
    def _public(self) -> str:
        asked = (name for name in self._device.preset.rtsp.keepalives if name != "OPTIONS")
        return ", ".join(("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", *asked, "TEARDOWN"))

    def _login(self, request: _Request) -> _Reply | None:
        """Return the refusal of a request, or None where it may pass."""
        device, verifier = self._device, self._server.verifier
        if device.preset.rtsp.auth == "none" and not device.refuse_all:
            return None
        header = request.headers.get("authorization")
        login = device.judge(verifier, header, request.method, request.uri)
        if login is Login.ACCEPTED:
            return None
        challenges = verifier.challenges(stale=login is Login.STALE)
        return _Reply(401, [("WWW-Authenticate", challenge) for challenge in challenges])

    def _stream(self, uri: str) -> tuple[StreamScript, bool] | None:
        """Return the stream that an address names and whether it names its track, or None."""
        try:
            path = urlsplit(uri).path.rstrip("/")
        except ValueError:
            return None  # such as an IPv6 bracket that is not closed
        track = path.endswith("/" + _TRACK)
        path = path.removesuffix("/" + _TRACK)
        for stream in self._device.preset.streams:
            if stream.path.rstrip("/") == path:
                return stream, track
        return None

    async def _describe(self, request: _Request) -> _Reply:
        script = self._device.preset.rtsp
        if script.redirect:
            return _Reply(302, [("Location", script.redirect)])
        found = self._stream(request.uri)
        if found is None or found[1] or (script.path_only and not request.uri.startswith("/")):
            return _Reply(404)
        accept = request.headers.get("accept", "*/*")
        if "application/sdp" not in accept and "*/*" not in accept:
            return _Reply(406)
        stream = found[0]
        encoder = self._device.studio.encoder(self._device.preset, stream)
        body = _sdp(self._device, stream, await encoder.parameter_sets())
        headers = [("Content-Type", "application/sdp")]
        if not script.path_only:
            headers.append(("Content-Base", request.uri.rstrip("/") + "/"))
        return _Reply(200, headers, body)

    async def _setup(self, request: _Request) -> _Reply:
        found = self._stream(request.uri)
        if found is None:
            return _Reply(404)
        known = self._server.sessions
        key = _session_key(request)
        if key:
            return _Reply(454 if key not in known else 455)  # one track per stream: nothing is left to set up
        if len(known) >= self._device.preset.rtsp.max_sessions:
            return _Reply(453)
        try:
            transport = await choose(self._device, self.writer, request.headers.get("transport", ""))
        except OSError:
            return _Reply(453)  # no pair of UDP ports is free
        if transport is None:
            return _Reply(461)
        session = _Session(self._server, self, found[0], request.uri, transport)
        known[session.key] = session
        self._sessions.add(session.key)
        self._device.counters.sessions += 1
        return _Reply(
            200, [("Session", session.header), ("Transport", f"{transport.answer};ssrc={session.ssrc:08X}")]
        )


class _Session:
    """One RTSP session: a stream on its way to one client. It ends with its connection or by its timeout."""

    def __init__(
        self,
        server: RtspServer,
        connection: _Connection,
        stream: StreamScript,
        uri: str,
        transport: Transport,
    ) -> None:
        self._server = server
        self._device = server.device
        self.connection = connection
        self._uri = uri
        self._transport = transport
        self._encoder: Encoder = server.device.studio.encoder(server.device.preset, stream)
        self._timeout_s = server.device.preset.rtsp.session_timeout_s
        self.key = secrets.token_hex(8)
        self.header = f"{self.key};timeout={max(1, int(self._timeout_s))}"
        self._sender = rtp.Sender(rtp.PAYLOAD_TYPES[stream.codec], server.device.mac, markers=stream.markers)
        self.playing = False
        self._waits_for_key = False
        self._expiry: asyncio.TimerHandle | None = None
        self._report: asyncio.TimerHandle | None = None
        self.touch()

    @property
    def ssrc(self) -> int:
        """Return the synchronisation source of the stream."""
        return self._sender.ssrc

    def touch(self) -> None:
        """Start the timeout anew: the client has sent a request of this session (RFC 2326 section 12.37)."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(self._timeout_s, self._expire)

    def information(self) -> str:
        """Return the RTP-Info value: what the first packet will carry."""
        timestamp = self._sender.timestamp(self._device.clock.monotonic())
        return f"url={self._uri};seq={self._sender.sequence};rtptime={timestamp}"

    def play(self) -> None:
        """Begin to send."""
        if self.playing:
            return
        self.playing = True
        self._encoder.subscribe(self._picture)
        self._send_report()

    def pause(self) -> None:
        """Stop sending, keep the session."""
        self.playing = False
        self._encoder.unsubscribe(self._picture)
        if self._report is not None:
            self._report.cancel()

    def end(self, *, say_goodbye: bool) -> None:
        """End the session and free what it holds."""
        if self._server.sessions.pop(self.key, None) is None:
            return
        was_playing = self.playing
        self.pause()
        if self._expiry is not None:
            self._expiry.cancel()
        if say_goodbye and was_playing:
            self._transport.send_control(self._sender.goodbye())
        self._transport.close()

    def _expire(self) -> None:
        log.info("simulator.rtsp.session_expired", camera=self._device.preset.id, timeout_s=self._timeout_s)
        self.end(say_goodbye=True)

    def _picture(self, picture: CodedPicture) -> None:
        if self._device.media_paused or not self._transport.ready():
            self._waits_for_key = True
            return
        if self._waits_for_key and not picture.key:
            return
        self._waits_for_key = False
        self._transport.send_media(self._sender.packets(picture))

    def _send_report(self) -> None:
        if not self._device.media_paused:
            report = self._sender.report(self._device.now(), self._device.clock.monotonic())
            self._transport.send_control(report)
        self._report = asyncio.get_running_loop().call_later(rtp.REPORT_INTERVAL_S, self._send_report)


async def _until_closed(outer: asyncio.StreamReader, requests: asyncio.StreamReader) -> None:
    """End the tunnel when its GET is closed; what a client sends there means nothing."""
    while await outer.read(4096):
        pass
    requests.feed_eof()


def _session_key(request: _Request) -> str:
    return request.headers.get("session", "").split(";", 1)[0].strip()


def _sdp(device: Device, stream: StreamScript, sets: ParameterSets) -> bytes:
    """Return the session description of one stream (RFC 4566; codec parameters RFC 6184, 7798, 2435)."""
    kind = rtp.PAYLOAD_TYPES[stream.codec]
    family = "IP6" if ":" in device.host else "IP4"
    lines = [
        "v=0",
        f"o=- {device.serial.removeprefix('CHS').lstrip('0') or '1'} 1 IN {family} {device.host}",
        f"s={device.preset.title}",
        f"c=IN {family} {'::' if family == 'IP6' else '0.0.0.0'}",  # noqa: S104 - the SDP's "any", nothing is bound
        "t=0 0",
        "a=control:*",
        "a=range:npt=now-",
        f"m=video 0 RTP/AVP {kind}",
        f"b=AS:{stream.bitrate_kbps}",
        f"a=rtpmap:{kind} {stream.codec}/90000",
    ]
    texts = [base64.b64encode(unit).decode() for unit in sets.units]
    shown = device.preset.rtsp.parameter_sets_in_sdp
    if stream.codec == "H264":
        format_ = f"a=fmtp:{kind} packetization-mode=1"
        if shown:
            format_ += (
                f";profile-level-id={sets.units[0][1:4].hex().upper()};sprop-parameter-sets={','.join(texts)}"
            )
        lines.append(format_)
    elif stream.codec == "H265" and shown:
        lines.append(f"a=fmtp:{kind} sprop-vps={texts[0]};sprop-sps={texts[1]};sprop-pps={texts[2]}")
    lines += [f"a=framerate:{stream.fps}", f"a=control:{_TRACK}"]
    return ("\r\n".join(lines) + "\r\n").encode()
