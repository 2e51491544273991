"""HTTP towards cameras: every socket through the guarded dialer, every length and every wait bounded.

httpx on aiohttp (flat CPU per request at many requests in flight). One `HttpClient` serves one device for one
action: at most two connections, no cookies, no proxies from the environment, no host but the enrolled one.
Certificates of cameras are self-signed and are not verified; what was negotiated is kept in the reply.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import httpx
import yarl
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError, LocalProtocolError, RemoteProtocolError, TlsFailed, Unreachable
from adapters.wire.dialer import Dialer
from adapters.wire.tap import Heard, Tap
from standards.reason import Reason

MAX_BODY = 4 << 20  # a SOAP reply
MAX_PICTURE = 8 << 20  # a snapshot
MAX_URL = 2048
_REDIRECTS = 2
_TAIL_WAIT_S = 0.3  # for the end of a reply that is already complete by its content
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One reply, whole and bounded."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case, in the order of the wire
    body: bytes
    url: str  # that answered, after redirects on the same host
    started_at: datetime  # UTC, when the request that was answered was sent
    took_s: float  # until the end of the body
    quirks: tuple[str, ...] = ()  # named tolerances that reading it needed
    tls: str = ""  # negotiated version, such as TLSv1.3; "" over plain TCP

    def header(self, name: str) -> str:
        """Return the first header of this (lower-case) name, "" where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return every header of this (lower-case) name."""
        return [value for key, value in self.headers if key == name]

    @property
    def media_type(self) -> str:
        """Return the media type without parameters, lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()


class CameraTls(ssl.SSLContext):
    """A TLS context for cameras that remembers what it negotiated; one per client.

    Nothing is verified and old key exchanges and short keys are accepted: cameras carry self-signed certificates
    and RSA-only key exchange (quirk 43). The protocol floor stays TLS 1.2.
    """

    def __new__(cls) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self) -> None:
        self.check_hostname = False
        self.verify_mode = ssl.CERT_NONE
        self.set_ciphers("DEFAULT:@SECLEVEL=0")
        self._last: ssl.SSLObject | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Wrap a connection as the base class does and remember it."""
        self._last = super().wrap_bio(*args, **kwargs)
        return self._last

    @property
    def negotiated(self) -> str:
        """Return the TLS version of the latest connection, such as TLSv1.3; "" where there was none."""
        return (self._last.version() or "") if self._last is not None else ""


class _GuardedResolver(AbstractResolver):
    """aiohttp's resolver, answered by the dialer: one name, one checked address."""

    def __init__(self, dialer: Dialer, clock: Clock) -> None:
        self._dialer = dialer
        self._clock = clock

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        address = await self._dialer.resolve(host, port, Deadline.after(self._clock, 5.0))
        version = ipaddress.ip_address(address.split("%", 1)[0]).version
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET if version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """What one request wants, as `HttpClient.request` says."""

    method: str
    url: str
    operation: str
    peer: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    max_bytes: int
    read_body: bool
    complete: Callable[[bytes], bool] | None
    again: bool

    def too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"{self.operation}: the reply of {self.peer} is longer than {self.max_bytes} bytes",
            reason=Reason.MALFORMED_HTTP,
            peer=self.peer,
            operation=self.operation,
            hint="Nothing so long is expected here; check what answers at this address",
        )


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
        self._tls = CameraTls()
        self._on_request = on_request
        self._tap = tap
        self._client: httpx.AsyncClient | None = None
        self._opened = 0  # sockets of this client: tells a kept connection from a fresh one

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            ssl=self._tls,
            resolver=_GuardedResolver(self._dialer, self._clock),
            use_dns_cache=False,
            happy_eyeballs_delay=None,
            socket_factory=self._socket,
            keepalive_timeout=10.0,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            max_line_size=8190,
            max_field_size=8190,
            max_headers=100,
            read_bufsize=_CHUNK,
        )
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(verify=self._tls, trust_env=False, client=session),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113  deadlines bound every request, see `request`
            headers={"User-Agent": "camhub", "Accept-Encoding": "identity"},
        )
        return self

    def _socket(self, info: AddrInfoType) -> socket.socket:
        fresh = self._dialer.socket_for(info[0], info[1], info[2], info[4])
        self._opened += 1
        return fresh

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

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

        `read_body` False drops the connection after the head: the body is never seen. `complete` tells from the
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
        peer = urlsplit(url).netloc.rpartition("@")[2]
        async with deadline.phase(operation, limit_s, peer=peer):
            for hop in range(_REDIRECTS + 1):
                ask = _Ask(
                    method,
                    url,
                    operation,
                    peer,
                    tuple(headers),
                    body,
                    max_bytes,
                    read_body,
                    complete,
                    again,
                )
                reply = await (self._once(ask) if self._tap is None else self._overheard(ask, self._tap))
                location = reply.header("location")
                if not follow or reply.status not in {301, 302, 307, 308} or not location:
                    return reply
                if hop == _REDIRECTS:
                    break
                url = self._redirected(url, location, operation, peer)
        raise RemoteProtocolError(
            f"{operation}: {peer} redirects again and again",
            reason=Reason.NOT_THE_PROTOCOL,
            peer=peer,
            operation=operation,
        )

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
                    request_headers=ask.headers,
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

    async def _once(self, ask: _Ask) -> HttpReply:
        client = self._client
        if client is None:
            raise LocalProtocolError("the HTTP client is not open", peer=ask.peer, operation=ask.operation)
        named = (urlsplit(ask.url).hostname or "").lower()
        if named != self._host:
            raise LocalProtocolError(
                f"a request for {named or 'no host'} on the client of {self._host}",
                peer=ask.peer,
                operation=ask.operation,
            )
        retried = False
        while True:
            opened = self._opened
            started_at, started_s = self._clock.now(), self._clock.monotonic()
            self._on_request()
            try:
                request = client.build_request(
                    ask.method,
                    ask.url,
                    headers=[(name.encode(), value.encode()) for name, value in ask.headers],
                    content=ask.body,
                )
                response = await client.send(request, stream=True)
            except Exception as error:
                cause = _cause(error)
                gone = isinstance(cause, aiohttp.ClientConnectionError) and self._opened == opened
                if gone and ask.again and not retried:
                    retried = True  # quirk 28: it had closed the kept connection without saying so
                    continue
                raise _typed(cause, ask.operation, ask.peer) from error
            quirks = ["closes_without_saying"] if retried else []
            try:
                content = await _read(response, ask, quirks) if ask.read_body else b""
            finally:
                with contextlib.suppress(httpx.HTTPError, aiohttp.ClientError):
                    await response.aclose()
            return HttpReply(
                status=response.status_code,
                headers=tuple((name.lower(), value) for name, value in response.headers.multi_items()),
                body=content,
                url=ask.url,
                started_at=started_at,
                took_s=self._clock.monotonic() - started_s,
                quirks=tuple(quirks),
                tls=self._tls.negotiated if ask.url.startswith("https:") else "",
            )


def request_uri(url: str) -> str:
    """Return path and query exactly as they go out in the request line, for Digest's ``uri``."""
    return yarl.URL(str(httpx.URL(url))).raw_path_qs


async def _read(response: httpx.Response, ask: _Ask, quirks: list[str]) -> bytes:
    """Read the body up to its bound, tolerant of a wrong Content-Length, undoing a content coding."""
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:20]) > ask.max_bytes:
        raise ask.too_long()
    whole = bytearray()
    chunks = response.aiter_raw()
    while True:
        ended = ask.complete is not None and bool(whole) and ask.complete(bytes(whole[-256:]))
        try:
            async with asyncio.timeout(_TAIL_WAIT_S if ended else None) as tail:
                chunk = await _following(chunks)
        except TimeoutError:
            if not tail.expired():
                raise
            quirks.append("content_length_too_long")
            break
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            cause = _cause(error)
            if whole and isinstance(cause, aiohttp.ClientPayloadError):
                quirks.append("content_length_too_long" if ended else "body_cut_short")
                break
            raise _typed(cause, ask.operation, ask.peer) from error
        if chunk is None:
            break
        whole += chunk
        if len(whole) > ask.max_bytes:
            raise ask.too_long()
    return _decoded(bytes(whole), response.headers.get("content-encoding", ""), ask, quirks)


async def _following(chunks: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(chunks)
    except StopAsyncIteration:
        return None


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


def _cause(error: BaseException) -> BaseException:
    """Return what aiohttp raised: the httpx transport maps classes loosely and keeps the original as cause."""
    if isinstance(error, httpx.HTTPError) and error.__cause__ is not None:
        return error.__cause__
    return error


def _typed(error: BaseException, operation: str, peer: str) -> AdapterError:
    """Return the adapter's error for one of the HTTP stack's. The message never repeats the cause's text."""
    if isinstance(error, AdapterError):
        return error
    where: dict[str, Any] = {"peer": peer, "operation": operation}
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return TlsFailed(
            f"{operation}: TLS with {peer} failed",
            hint="Check that the port is the camera's HTTPS port, or use http://",
            **where,
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            return Unreachable(
                f"{peer} refused the connection: nothing listens on port {peer.rpartition(':')[2]}",
                hint="Check the port, and that the service is switched on in the camera",
                **where,
            )
        return Unreachable(
            f"{peer} cannot be reached",
            hint="Check power, cable, and that the camera is on this network",
            **where,
        )
    if isinstance(error, (aiohttp.ClientConnectionError, ConnectionError)):
        return Unreachable(
            f"{operation}: {peer} closed the connection without an answer",
            hint="Check that this is the camera's ONVIF or HTTP port",
            **where,
        )
    if isinstance(error, aiohttp.ClientResponseError) and "Expected HTTP/" in str(error.message):
        return RemoteProtocolError(
            f"{operation}: what answers at {peer} does not speak HTTP",
            reason=Reason.NOT_THE_PROTOCOL,
            spec="RFC 9112 section 4",
            hint="Check the port: 554 is usually RTSP, not ONVIF",
            **where,
        )
    if isinstance(error, (aiohttp.ClientError, httpx.HTTPError)):
        return RemoteProtocolError(
            f"{operation}: the HTTP reply of {peer} is broken ({type(error).__name__})",
            reason=Reason.MALFORMED_HTTP,
            spec="RFC 9112",
            hint="Restart the camera or update its firmware",
            **where,
        )
    return LocalProtocolError(f"{operation}: {type(error).__name__} while asking {peer}", **where)


__all__ = ["MAX_BODY", "MAX_PICTURE", "MAX_URL", "CameraTls", "HttpClient", "HttpReply", "request_uri"]
