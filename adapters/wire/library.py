"""An aiohttp session for a maker's client library: one host, one login, bounded replies, guarded sockets.

Libraries bring their own HTTP stack, follow redirects, retry and log in again as they please. What they are handed
here lets them speak only to the enrolled host, only by GET and POST, log in once, and read so much.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AddressRefused,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from adapters.port import ProbeContext
from adapters.wire.dialer import Dialer
from adapters.wire.tls import CameraTls
from standards.reason import Reason

MAX_REPLY = 8 << 20  # bytes: the whole state of a console with a hundred cameras has about 2 MB
_CHUNK = 1 << 16


class SecondLogin(LocalProtocolError):
    """The library was about to send the credential a second time; it was not sent."""


class _Reply(aiohttp.ClientResponse):
    """A reply that is read up to its bound and no further."""

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            RemoteProtocolError: it is longer than `MAX_REPLY`.
        """
        if self._body is None:
            whole = bytearray()
            async for chunk in self.content.iter_chunked(_CHUNK):
                whole += chunk
                if len(whole) > MAX_REPLY:
                    self.close()
                    raise RemoteProtocolError(
                        f"the reply of {self.url.authority} is longer than {MAX_REPLY} bytes",
                        reason=Reason.MALFORMED_HTTP,
                        peer=self.url.authority,
                        hint="Check what answers at this address",
                    )
            self._body = bytes(whole)
        return await super().read()


class _Guard(AbstractResolver):
    """Resolves and dials the enrolled host, and nothing else."""

    def __init__(self, dialer: Dialer, host: str, deadline: Deadline) -> None:
        self._dialer = dialer
        self._host = host.lower()
        self._deadline = deadline
        self._checked = {self._host}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the one address that the dialer checked."""
        if host.lower() != self._host:
            raise self._elsewhere(host)
        address = await self._dialer.resolve(host, port, self._deadline)
        self._checked.add(address)
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

    def dial(self, info: AddrInfoType) -> socket.socket:
        """Return a socket for the final address, if that is the enrolled host's."""
        address = str(info[4][0])
        if address not in self._checked:
            raise self._elsewhere(address)
        return self._dialer.socket_for(info[0], info[1], info[2], info[4])

    def _elsewhere(self, host: str) -> AddressRefused:
        return AddressRefused(
            f"{host} is not dialled: only {self._host} is enrolled", peer=host, operation="connect"
        )


class _Watch:
    """Sees each request before it goes out, and stops what may not."""

    def __init__(self, context: ProbeContext, host: str, is_login: Callable[[str, URL], bool]) -> None:
        self._context = context
        self._host = host.lower()
        self._is_login = is_login
        self._logins = 0

    def config(self) -> aiohttp.TraceConfig:
        """Return it as aiohttp wants it."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._starts)
        trace.on_request_redirect.append(self._redirects)
        return trace

    async def _starts(
        self, _session: aiohttp.ClientSession, _ctx: SimpleNamespace, params: aiohttp.TraceRequestStartParams
    ) -> None:
        where: dict[str, Any] = {"peer": self._host, "operation": f"{params.method} {params.url.path}"[:80]}
        if (params.url.host or "").lower() != self._host or params.method.upper() not in {"GET", "POST"}:
            raise LocalProtocolError(
                "the library was about to do more than read from the enrolled host", **where
            )
        if self._is_login(params.method.upper(), params.url):
            if self._logins:
                raise SecondLogin("the library was about to log in a second time", **where)
            self._logins += 1
            self._context.courtesy.logins += 1
        self._context.courtesy.reads += 1

    async def _redirects(
        self,
        _session: aiohttp.ClientSession,
        _ctx: SimpleNamespace,
        _params: aiohttp.TraceRequestRedirectParams,
    ) -> None:
        raise RemoteProtocolError(
            f"{self._host} redirects elsewhere, which is not followed",
            reason=Reason.NOT_THE_PROTOCOL,
            peer=self._host,
            hint="Enter the address where the device itself answers",
        )


@asynccontextmanager
async def library_session(
    context: ProbeContext, host: str, deadline: Deadline, is_login: Callable[[str, URL], bool]
) -> AsyncIterator[aiohttp.ClientSession]:
    """Give one session for one action with one enrolled host; closed at the end whatever the library did.

    `is_login` tells which requests carry the credential: the first passes, a second raises `SecondLogin`.
    """
    guard = _Guard(context.dialer, host, deadline)
    connector = aiohttp.TCPConnector(
        limit=2,
        ssl=CameraTls().modern,
        resolver=guard,
        use_dns_cache=False,
        happy_eyeballs_delay=None,
        socket_factory=guard.dial,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=_Reply,
        trust_env=False,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=max(1.0, deadline.remaining_s())),
        max_line_size=8190,
        max_field_size=8190,
        read_bufsize=_CHUNK,
        trace_configs=[_Watch(context, host, is_login).config()],
    )
    try:
        yield session
    finally:
        await session.close()


def quiet(name: str) -> None:
    """Keep a library's own log lines out of ours: some hold tokens, or characters of a password. Its errors stay."""
    logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error and what caused it, outermost first."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or now.__context__


def typed(error: BaseException, operation: str, peer: str) -> AdapterError:
    """Return the adapter's error for one of a library's. The message never repeats the library's text."""
    where: dict[str, Any] = {"peer": peer, "operation": operation}
    for cause in causes(error):
        if isinstance(cause, AdapterError):
            return cause
        if isinstance(cause, aiohttp.ClientSSLError):
            return TlsFailed(
                f"{operation}: TLS with {peer} failed",
                hint="Check that this is the device's HTTPS port",
                **where,
            )
        if isinstance(cause, aiohttp.ClientConnectorError):
            refused = isinstance(cause.os_error, ConnectionRefusedError)
            return Unreachable(
                f"{peer} refused the connection: nothing listens on port {peer.rpartition(':')[2]}"
                if refused
                else f"{peer} cannot be reached",
                hint="Check the port, and that HTTPS is switched on in the device",
                **where,
            )
        if isinstance(cause, asyncio.TimeoutError):
            return TimedOut(operation, waited_s=0.0, peer=peer)
        if isinstance(cause, aiohttp.ClientConnectionError):
            return Unreachable(f"{operation}: {peer} closed the connection without an answer", **where)
    return RemoteProtocolError(
        f"{operation}: {peer} answers, but not as this maker's devices do ({type(error).__name__})",
        reason=Reason.NOT_THE_PROTOCOL,
        hint="Check the maker and the port, or try onvif://host:port",
        **where,
    )


__all__ = ["MAX_REPLY", "SecondLogin", "causes", "library_session", "quiet", "typed"]
