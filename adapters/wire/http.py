"""HTTP towards cameras: every socket through the guarded dialer, every length and every wait bounded.

One `HttpClient` serves one device for one action: at most two connections, no cookies, no proxies, no host but the
enrolled one, no certificate verified; what the TLS handshake showed is kept in the reply. The framing is read by
`adapters.wire.http1`; docs/design/http.md says why this is not a general HTTP library.
"""

import asyncio
import re
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError, LocalProtocolError, RemoteProtocolError, TimedOut, Unreachable
from adapters.wire.dialer import Dialer
from adapters.wire.http1 import BadReply, Fault, ReplyReader
from adapters.wire.http_connection import Gone, HttpConnection, Late
from adapters.wire.tap import Heard, Tap
from adapters.wire.tls import LEGACY, TlsSeen
from standards.reason import Reason

MAX_BODY = 4 << 20  # a SOAP reply
MAX_PICTURE = 8 << 20  # a snapshot
MAX_URL = 2048
_REDIRECTS = 2
_MOVED = frozenset({301, 302, 307, 308})
_KEPT_S = 10.0  # a connection that was idle for longer is not used again
_PLACES = 64  # addresses of one device that are kept parsed
# What a request line may hold as it is (RFC 3986 section 3.4, and what cameras use beside it); the rest is escaped.
_OWN_NAMES = ("user-agent", "accept", "accept-encoding")  # sent unless the request names its own
_OWN = "User-Agent: camhub\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
_PLAIN = re.compile(r"/[A-Za-z0-9/?%:@!$&'()*+,;=\-._~]*")
_AS_IT_IS = "/?%:@!$&'()*+,;=-._~[]{}|^`\\"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One reply, whole and bounded."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case, in the order of the wire
    body: bytes
    url: str  # that answered, after redirects on the same host
    started_at: datetime  # UTC, when the request that was answered was sent
    took_s: float  # until the end of the body
    peer: str = ""  # host:port that was asked
    quirks: tuple[str, ...] = ()  # named tolerances that reading it needed
    tls: str = ""  # negotiated version, such as TLSv1.3; "" over plain TCP
    tls_seen: TlsSeen | None = None  # what the handshake of its connection showed; None over plain TCP

    def header(self, name: str) -> str:
        """Return the first header of this (lower-case) name, "" where there is none."""
        for key, value in self.headers:
            if key == name:
                return value
        return ""

    def all(self, name: str) -> list[str]:
        """Return every header of this (lower-case) name."""
        return [value for key, value in self.headers if key == name]

    @property
    def media_type(self) -> str:
        """Return the media type without parameters, lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class _Place:
    """An address, taken apart once."""

    scheme: str
    host: str
    port: int
    peer: str  # for messages
    target: str  # path and query as in the request line
    head: str  # the lines that every request to it begins with, after the request line

    @classmethod
    def of(cls, url: str) -> "_Place":
        """Take an address apart.

        Raises:
            ValueError: it is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not an HTTP address")
        host = parts.hostname.lower()
        usual = 443 if parts.scheme == "https" else 80
        port = parts.port or usual
        name = f"[{host}]" if ":" in host else host
        named = name if port == usual else f"{name}:{port}"
        wire_name = named if named.isascii() else named.encode("idna").decode()
        head = f"Host: {wire_name}\r\nConnection: keep-alive\r\n"
        return cls(
            parts.scheme, host, port, parts.netloc.rpartition("@")[2], _target(parts.path, parts.query), head
        )


def _target(path: str, query: str) -> str:
    """Return path and query as they go out: what is not allowed there is escaped, escapes are kept."""
    text = f"{path or '/'}?{query}" if query else path or "/"
    if _PLAIN.fullmatch(text) is not None:
        return text
    return quote(text if text.startswith("/") else f"/{text}", safe=_AS_IT_IS)


def request_uri(url: str) -> str:
    """Return path and query exactly as they go out in the request line, for Digest's ``uri``.

    Raises:
        ValueError: this is no HTTP address.
    """
    return _Place.of(url).target


@dataclass(slots=True)
class _Ask:
    """What one request wants, as `HttpClient.request` says. Not frozen, because one is made for each request."""

    method: str
    url: str
    place: _Place
    operation: str
    peer: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    max_bytes: int
    read_body: bool
    complete: Callable[[bytes], bool] | None
    again: bool
    until_s: float  # monotonic, end of the whole request, redirects included
    allowed_s: float  # that this was when the request began

    def late(self) -> TimedOut:
        return TimedOut(self.operation, waited_s=self.allowed_s, peer=self.peer)

    def too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"{self.operation}: the reply of {self.peer} is longer than {self.max_bytes} bytes",
            reason=Reason.MALFORMED_HTTP,
            peer=self.peer,
            operation=self.operation,
            hint="Nothing so long is expected here; check what answers at this address",
        )

    def broken(self, bad: BadReply) -> AdapterError:
        """Return the adapter's error for a reply that cannot be read."""
        if bad.fault is Fault.TOO_LONG:
            return self.too_long()
        if bad.fault is Fault.NOT_HTTP:
            return RemoteProtocolError(
                f"{self.operation}: what answers at {self.peer} does not speak HTTP",
                reason=Reason.NOT_THE_PROTOCOL,
                spec="RFC 9112 section 4",
                peer=self.peer,
                operation=self.operation,
                hint="Check the port: 554 is usually RTSP, not ONVIF",
            )
        return RemoteProtocolError(
            f"{self.operation}: the HTTP reply of {self.peer} is broken: {bad}",
            reason=Reason.MALFORMED_HTTP,
            spec="RFC 9112",
            peer=self.peer,
            operation=self.operation,
            hint="Restart the camera or update its firmware",
        )

    def written(self) -> bytes:
        """Return the request's bytes.

        Raises:
            LocalProtocolError: a header would break the request.
        """
        lines = ""
        own = _OWN
        for name, value in self.headers:
            if "\r" in value or "\n" in value or "\0" in value or not name.isascii():
                raise LocalProtocolError(
                    f"{self.operation}: the header {name[:40]!r} cannot be sent",
                    peer=self.peer,
                    operation=self.operation,
                )
            lines += f"{name}: {value}\r\n"
            if name.lower() in _OWN_NAMES:
                own = ""
        if not own:
            given = {name.lower() for name, _value in self.headers}
            own = "".join(
                line
                for name, line in zip(_OWN_NAMES, _OWN.splitlines(True), strict=True)
                if name not in given
            )
        if self.body or self.method not in {"GET", "HEAD"}:
            lines += f"Content-Length: {len(self.body)}\r\n"
        place = self.place
        head = f"{self.method} {place.target} HTTP/1.1\r\n{place.head}{own}{lines}\r\n"
        return head.encode() + self.body


class HttpClient:
    """Requests to one enrolled host. Use as an async context manager; nothing is open before or after it.

    `on_request` is called for each request that goes out, retries and redirects included (courtesy meter).
    """

    def __init__(
        self,
        dialer: Dialer,
        clock: Clock,
        host: str,
        *,
        connections: int = 2,
        on_request: Callable[[], None] = lambda: None,
        tap: Tap | None = None,
    ) -> None:
        self._dialer = dialer
        self._clock = clock
        self._host = host.lower()
        self._connections = connections
        self._on_request = on_request
        self._tap = tap
        self._places: dict[str, _Place] = {}
        self._active = 0  # requests under way, each on a connection of its own
        self._waiting: deque[asyncio.Event] = deque()
        self._idle: list[HttpConnection] = []
        self._legacy: set[int] = set()  # ports where only old TLS is spoken
        self._entered = False

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered = False
        if self._idle:
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            await asyncio.sleep(0)  # the transports let go of their sockets in the loop's next round

    def request_uri(self, url: str) -> str:
        """Return path and query of an address as they go out, for Digest's ``uri``; as the function of this name.

        Raises:
            LocalProtocolError: the URL names another host, or is none.
        """
        return self._place(url, "request").target

    async def request(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        deadline: Deadline,
        limit_s: float,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        max_bytes: int = MAX_BODY,
        read_body: bool = True,
        complete: Callable[[bytes], bool] | None = None,
        follow: bool = False,
        again: bool = True,
    ) -> HttpReply:
        """Send one request and read its reply, all within `limit_s` and `deadline`.

        `read_body` False drops the connection after the head: the body is never seen (the short text of a refusal
        is read and thrown away, so that the connection can be kept). `complete` tells from the
        content that a body has ended, for cameras whose Content-Length is too long. `follow` follows redirects
        on the enrolled host; only requests without a credential may ask for it. `again` repeats a read once where
        a kept connection turns out to be closed; False for requests that are known to crash some cameras.

        Raises:
            TimedOut: phase `operation`.
            AddressRefused, Unreachable, TlsFailed: as they say.
            RemoteProtocolError: `malformed_http`, or `not_the_protocol` where the peer does not speak HTTP or
                sends elsewhere.
            LocalProtocolError: the URL names another host, or the client is not open.
        """
        place = self._places.get(url) or self._place(url, operation)
        now_s = self._clock.monotonic()
        allowed_s = max(0.0, min(limit_s, deadline.at_s - now_s))
        ask = _Ask(
            method,
            url,
            place,
            operation,
            place.peer,
            headers,
            body,
            max_bytes,
            read_body,
            complete,
            again,
            now_s + allowed_s,
            allowed_s,
        )
        hops = 0
        while True:
            reply = await (self._once(ask) if self._tap is None else self._overheard(ask, self._tap))
            if not follow or reply.status not in _MOVED or not (location := reply.header("location")):
                return reply
            if hops == _REDIRECTS:
                raise RemoteProtocolError(
                    f"{operation}: {ask.peer} redirects again and again",
                    reason=Reason.NOT_THE_PROTOCOL,
                    peer=ask.peer,
                    operation=operation,
                )
            hops += 1
            ask.url = self._redirected(ask.url, location, operation, ask.peer)
            ask.place = self._place(ask.url, operation)

    def _redirected(self, url: str, location: str, operation: str, peer: str) -> str:
        """Return where a redirect leads, if that is the enrolled host and not a step down from TLS."""
        try:
            there = urljoin(url, location.strip()[:MAX_URL])
            parts = urlsplit(there)
            host, _port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            there, host, parts = "", "", urlsplit("")
        down = url.startswith("https:") and parts.scheme != "https"
        if host != self._host or parts.scheme not in {"http", "https"} or down:
            raise RemoteProtocolError(
                f"{operation}: {peer} redirects to another host or protocol, which is not followed",
                reason=Reason.NOT_THE_PROTOCOL,
                peer=peer,
                operation=operation,
                hint="Enter the address where the camera itself answers",
            )
        return there

    async def _overheard(self, ask: _Ask, tap: Tap) -> HttpReply:
        """Send one request and let the capture have it, with its reply or the code of what came instead."""
        started_s = self._clock.monotonic()
        reply: HttpReply | None = None
        error = "cancelled"
        try:
            reply = await self._once(ask)
            error = ""
            return reply
        except AdapterError as refused:
            error = refused.code
            raise
        finally:
            parts = urlsplit(ask.url)
            tap.exchange(
                Heard(
                    protocol="http",
                    operation=ask.operation,
                    port=parts.port or (443 if parts.scheme == "https" else 80),
                    method=ask.method,
                    target=ask.url,
                    request_headers=tuple(ask.headers),
                    request_body=ask.body,
                    status=reply.status if reply is not None else 0,
                    reason="",
                    reply_headers=reply.headers if reply is not None else (),
                    reply_body=reply.body if reply is not None else b"",
                    started_s=started_s,
                    took_s=self._clock.monotonic() - started_s,
                    body_read=ask.read_body,
                    error=error,
                )
            )

    def _place(self, url: str, operation: str) -> _Place:
        """Return an address of the enrolled host, taken apart."""
        place = self._places.get(url)
        if place is None:
            try:
                place = _Place.of(url)
            except ValueError as error:
                raise LocalProtocolError(
                    f"{operation}: an address that is none", operation=operation
                ) from error
            if place.host != self._host:
                raise LocalProtocolError(
                    f"a request for {place.host} on the client of {self._host}",
                    peer=place.peer,
                    operation=operation,
                )
            if len(self._places) >= _PLACES:
                self._places.clear()
            self._places[url] = place
        return place

    async def _once(self, ask: _Ask) -> HttpReply:
        """Send one request and read its reply; a kept connection that turns out to be closed is made anew once."""
        if not self._entered:
            raise LocalProtocolError("the HTTP client is not open", peer=ask.peer, operation=ask.operation)
        if self._active >= self._connections:
            async with Deadline(self._clock, ask.until_s).phase(ask.operation, peer=ask.peer):
                await self._freed()
        self._active += 1
        try:
            return await self._exchanged(ask)
        finally:
            self._active -= 1
            if self._waiting:
                self._waiting.popleft().set()

    async def _freed(self) -> None:
        """Wait until fewer requests than connections are allowed are under way."""
        while self._active >= self._connections:
            turn = asyncio.Event()
            self._waiting.append(turn)
            try:
                await turn.wait()
            except BaseException:
                if not turn.is_set():
                    self._waiting.remove(turn)
                elif self._waiting:
                    self._waiting.popleft().set()  # the turn was ours and is not taken
                raise

    async def _exchanged(self, ask: _Ask) -> HttpReply:
        request = ask.written()
        retried = False
        while True:
            self._on_request()
            connection = self._kept(ask.place)
            fresh = connection is None
            if connection is None:
                connection = await self._connect(ask)
            reader = ReplyReader(
                ask.max_bytes, read_body=ask.read_body, no_body=ask.method == "HEAD", complete=ask.complete
            )
            started_at, started_s = self._clock.now(), self._clock.monotonic()
            try:
                await connection.exchange(request, reader, ask.until_s - started_s)
            except Gone as gone:
                if not fresh and ask.again and not retried:
                    retried = True  # quirk 28: it had closed the kept connection without saying so
                    continue
                raise Unreachable(
                    f"{ask.operation}: {ask.peer} closed the connection without an answer",
                    peer=ask.peer,
                    operation=ask.operation,
                    hint="Check that this is the camera's ONVIF or HTTP port",
                ) from gone
            except Late as late:
                raise ask.late() from late
            except BadReply as bad:
                raise ask.broken(bad) from bad
            ended_s = self._clock.monotonic()
            if retried:
                reader.quirks.insert(0, "closes_without_saying")
            self._keep(connection, reader.keeps, ended_s)
            return _reply(ask, connection.seen, reader, started_at, ended_s - started_s)

    def _kept(self, place: _Place) -> HttpConnection | None:
        """Return an idle connection to this port that may be used again."""
        if not self._idle:
            return None
        oldest_s = self._clock.monotonic() - _KEPT_S
        wanted = (place.scheme, place.port)
        for at, connection in enumerate(self._idle):
            if connection.serves == wanted and connection.open and connection.used_s >= oldest_s:
                del self._idle[at]
                return connection
        for connection in self._idle[:]:
            if not connection.open or connection.used_s < oldest_s:
                self._idle.remove(connection)
                connection.close()
        return None

    async def _connect(self, ask: _Ask) -> HttpConnection:
        """Open a connection, within the bound of connections to this device."""
        place, until = ask.place, Deadline(self._clock, ask.until_s)
        while self._idle and len(self._idle) + self._active > self._connections:
            self._idle.pop(0).close()
        try:
            if place.scheme == "https":
                _transport, connection, seen = await self._dialer.open_tls(
                    place.host, place.port, until, HttpConnection, legacy=place.port in self._legacy
                )
                connection.seen = seen
                if seen.legacy:
                    self._legacy.add(place.port)
            else:
                _transport, connection = await self._dialer.open(
                    place.host, place.port, until, HttpConnection
                )
        except TimedOut as error:
            if until.remaining_s() > 0:
                raise
            raise ask.late() from error
        connection.serves = (place.scheme, place.port)
        return connection

    def _keep(self, connection: HttpConnection, keeps: bool, now_s: float) -> None:
        """Keep a connection for the next request, or close it."""
        if keeps and connection.open and self._entered:
            connection.used_s = now_s
            self._idle.append(connection)
        else:
            connection.close()


def _reply(
    ask: _Ask, seen: TlsSeen | None, reader: ReplyReader, started_at: datetime, took_s: float
) -> HttpReply:
    """Return what was read, a content coding undone."""
    quirks = reader.quirks
    if seen is not None and seen.legacy:
        quirks.append(LEGACY)
    body = bytes(reader.body) if ask.read_body else b""
    if body:
        for name, value in reader.headers:
            if name == "content-encoding":
                body = _decoded(body, value, ask, quirks)
                break
    return HttpReply(
        status=reader.status,
        headers=tuple(reader.headers),
        body=body,
        url=ask.url,
        started_at=started_at,
        took_s=took_s,
        peer=ask.peer,
        quirks=tuple(quirks),
        tls=seen.version if seen is not None else "",
        tls_seen=seen,
    )


def _decoded(body: bytes, coding: str, ask: _Ask, quirks: list[str]) -> bytes:
    """Undo gzip or deflate that nobody asked for, never to more than `max_bytes` (quirk 30)."""
    if coding.strip().lower() not in {"gzip", "x-gzip", "deflate"} or not body:
        return body
    quirks.append("unasked_content_coding")
    unpacker = zlib.decompressobj(wbits=47)  # zlib or gzip, by its header
    try:
        plain = unpacker.decompress(body, ask.max_bytes + 1)
    except zlib.error:
        return body  # said gzip, sent plain
    if len(plain) > ask.max_bytes:
        raise ask.too_long()
    return plain


__all__ = ["MAX_BODY", "MAX_PICTURE", "MAX_URL", "HttpClient", "HttpReply", "request_uri"]
