"""Makers' HTTPS interfaces on loopback: real TLS servers that count every request and every credential."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme
from aiohttp import web

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.port import Adapter, Permission, ProbeContext, ProbeRequest, ProbeResult
from adapters.secret import Credential, Secret
from adapters.target import Target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, MemoryBook

CLOCK = SystemClock()
USER, PASSWORD = "viewer", "right-4711"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Device:
    """A TLS server: what it was asked, and how often a credential came."""

    answer: Answer
    port: int = 0
    asked: list[str] = field(default_factory=list)
    credentials: int = 0
    connections: int = 0


@asynccontextmanager
async def device(answer: Answer) -> AsyncIterator[Device]:
    """Run one until the end of the block."""
    made = Device(answer)

    async def handle(request: web.Request) -> web.StreamResponse:
        made.asked.append(f"{request.method} {request.path_qs}")
        if PASSWORD in await request.text() or "wrong" in await request.text():
            made.credentials += 1
        return await answer(request)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    server = web.Server(handle)

    def counted() -> asyncio.BaseProtocol:
        made.connections += 1
        return server()

    listener = await asyncio.get_running_loop().create_server(counted, "127.0.0.1", 0, ssl=tls)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()
        await server.shutdown(1.0)


def make_context() -> ProbeContext:
    """Return a context with a gate and a counting dialer of its own."""
    return ProbeContext(
        Dialer(LAN_AND_LOOPBACK), CredentialGate(MemoryBook(CLOCK), CLOCK), CLOCK, "camera-under-test"
    )


async def probe(
    adapter: Adapter,
    scheme: str,
    port: int,
    password: str | None = PASSWORD,
    *,
    context: ProbeContext | None = None,
    path: str = "",
    limit_s: float = 20.0,
) -> ProbeResult:
    """Probe a device on loopback."""
    credential = Credential(USER, Secret(password)) if password is not None else None
    request = ProbeRequest(
        Target(scheme, "127.0.0.1", port, path),
        credential,
        Permission("test", "test", CLOCK.now()),
        Deadline.after(CLOCK, limit_s),
    )
    return await adapter.probe(request, context or make_context())
