"""httpx over the guarded reader: its face, our bounds, errors and host."""

import asyncio

import httpx
import pytest
from raw_server import serving

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import LocalProtocolError, RemoteProtocolError, TimedOut
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.http import HttpClient
from adapters.wire.transport import camera_client, seen

CLOCK = SystemClock()


def ask(answer: bytes, *, within_s: float = 5.0, **said: object) -> tuple[httpx.Response, bytes]:
    """Ask a scripted server once through httpx; return the response and the head that the server was sent."""
    heads: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        await reader.read()

    async def story() -> httpx.Response:
        async with (
            serving(handler) as port,
            HttpClient(Dialer(LAN_AND_LOOPBACK), CLOCK, "127.0.0.1") as http,
        ):
            client = camera_client(http, Deadline.after(CLOCK, within_s))
            return await client.get(f"http://127.0.0.1:{port}/x", extensions=said)

    return asyncio.run(story()), heads[0]


def test_a_response_carries_what_was_seen_on_the_wire() -> None:
    """Status, headers and body are httpx's; the reply as seen, tolerances included, travels along."""
    response, sent = ask(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nhi"
    )

    assert (response.status_code, response.text, response.headers.get_list("x-a")) == (200, "hi", ["1", "2"])
    assert seen(response).status == 200
    assert sent.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"httpx" not in sent.lower()


def test_bounds_and_errors_are_the_readers_own() -> None:
    """A body beyond its bound, a wait beyond the deadline and another host each end in our typed error."""
    with pytest.raises(RemoteProtocolError, match="longer than 10 bytes"):
        ask(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b"x" * 11, max_bytes=10, operation="probe")
    with pytest.raises(TimedOut):
        ask(b"", within_s=0.2)

    async def elsewhere() -> None:
        async with HttpClient(Dialer(LAN_AND_LOOPBACK), CLOCK, "127.0.0.1") as http:
            await camera_client(http, Deadline.after(CLOCK, 5.0)).get("http://127.0.0.2/x")

    with pytest.raises(LocalProtocolError, match="on the client of"):
        asyncio.run(elsewhere())


def test_redirects_are_followed_on_the_host_alone_and_only_when_asked() -> None:
    """A redirect is an answer; asked to follow, one to another host is refused."""
    away = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"

    assert ask(away)[0].status_code == 302
    with pytest.raises(RemoteProtocolError, match="redirects to another host"):
        ask(away, follow=True)
