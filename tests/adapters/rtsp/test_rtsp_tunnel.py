"""RTSP inside HTTP: guarded heads, refusals, and cameras that are hostile to it."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtsp_support import OWNER, GoodCamera, ScriptedCamera, context, probe, run

from adapters.errors import AdapterError, AuthenticationFailed
from adapters.port import ProbeResult
from adapters.rtsp.policy import DEFAULT
from adapters.rtsp.tolerance import Violation
from adapters.rtsp.tunnel import MAX_HEAD, head_of
from adapters.secret import Credential, Secret

QUICK = replace(DEFAULT, answer_s=0.6, options_s=0.6, teardown_s=0.3)
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"
Handler = Callable[["TunnelCamera", "Head", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Head:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class TunnelCamera:
    """A camera whose HTTP side a test writes; RTSP inside is that of `GoodCamera`."""

    handler: Handler
    port: int = 0
    heads: list[Head] = field(default_factory=list)
    gets: dict[str, asyncio.StreamWriter] = field(default_factory=dict)
    inner: ScriptedCamera = field(default_factory=lambda: ScriptedCamera(GoodCamera()))

    @property
    def url(self) -> str:
        return f"rtsp+http://127.0.0.1:{self.port}/ch1"

    @property
    def credentialed(self) -> int:
        return sum("authorization" in head.headers for head in self.heads)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _version = lines[0].split(" ")
            fields = (line.partition(": ") for line in lines[1:] if line)
            head = Head(method, path, {name.lower(): value for name, _, value in fields})
            self.heads.append(head)
            await self.handler(self, head, reader, writer)
        writer.close()

    async def pass_on(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve RTSP: the GET waits, the POST's requests are answered through it."""
        cookie = head.headers["x-sessioncookie"]
        if head.method == "GET":
            self.gets[cookie] = writer
            writer.write(HEAD)
            await reader.read()
            return
        inside = asyncio.StreamReader()
        served = asyncio.create_task(self.inner.serve(inside, self.gets[cookie]))
        held = b""
        while data := await reader.read(4096):
            held += data
            whole = len(held) // 4 * 4
            for at in range(0, whole, 4):
                inside.feed_data(base64.b64decode(held[at : at + 4]))
            held = held[whole:]
        inside.feed_eof()
        await served


async def good(
    camera: TunnelCamera, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await camera.pass_on(head, reader, writer)


@asynccontextmanager
async def running(handler: Handler) -> AsyncIterator[TunnelCamera]:
    camera = TunnelCamera(handler)
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
    camera.port = server.sockets[0].getsockname()[1]
    try:
        yield camera
    finally:
        for task in camera.inner.tasks:
            task.cancel()
        await asyncio.gather(*camera.inner.tasks, return_exceptions=True)
        server.close()
        for writer in (*camera.gets.values(), *camera.inner.writers):
            writer.close()
        await asyncio.sleep(0.02)


def answering(data: bytes) -> Handler:
    """Return a camera that answers every head with these bytes and keeps the line open."""

    async def handler(
        _camera: TunnelCamera, _head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(data)
        await reader.read()

    return handler


def probed(handler: Handler, credential: Credential | None = OWNER) -> tuple[ProbeResult, TunnelCamera]:
    async def work() -> tuple[ProbeResult, TunnelCamera]:
        async with running(handler) as camera:
            within = context(camera.url)
            return await probe(camera.url, credential, within=within, policies=QUICK, limit_s=6.0), camera

    return run(work())


class Guarded:
    """A camera that wants HTTP Digest for both heads, and verifies it."""

    def __init__(self) -> None:
        self.nonce = "n1"

    async def __call__(
        self, camera: TunnelCamera, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self.verify(head):
            challenge = f'Digest realm="web", nonce="{self.nonce}", qop="auth"'
            writer.write(
                f"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 2\r\n\r\nno".encode()
            )
            return
        await camera.pass_on(head, reader, writer)

    def verify(self, head: Head) -> bool:
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', head.headers.get("authorization", "")))
        if told.get("nonce") != self.nonce:
            return False

        def digest(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        secret = digest(f"{OWNER.user}:web:{OWNER.password.reveal()}")
        request = digest(f"{head.method}:{head.path}")
        return told["response"] == digest(
            f"{secret}:{self.nonce}:{told['nc']}:{told['cnonce']}:auth:{request}"
        )


def test_a_tunnel_carries_the_whole_dialogue() -> None:
    """GET and POST share a cookie, pictures come, and both connections are closed at the end."""
    result, camera = probed(good)
    assert result.failure is None
    assert result.observations.value("rtsp.http_tunnel") == "played"
    assert [head.method for head in camera.heads] == ["GET", "POST"]
    assert len({head.headers["x-sessioncookie"] for head in camera.heads}) == 1
    assert all(head.headers["user-agent"] for head in camera.heads)
    assert camera.inner.count("TEARDOWN") == 1
    assert all(asked.uri.startswith("rtsp://") for asked in camera.inner.asked)


def test_a_guarded_head_is_answered_once_and_the_login_is_kept() -> None:
    """Axis guards the HTTP head as well: one attempt, then both heads carry it."""
    result, camera = probed(Guarded())
    assert result.failure is None
    assert [head.method for head in camera.heads] == ["GET", "GET", "POST"]
    assert camera.credentialed == 2


def test_a_wrong_password_at_the_head_is_sent_once() -> None:
    """The second 401 ends the action before any RTSP."""
    result, camera = probed(Guarded(), Credential("owner", Secret("wrong")))
    assert isinstance(result.failure, AuthenticationFailed)
    assert camera.credentialed == 1
    assert result.observations.value("rtsp.http_tunnel") == "refused"


def test_no_credential_means_no_attempt() -> None:
    """Without a credential the challenge is reported, nothing more is sent."""
    result, camera = probed(Guarded(), None)
    assert isinstance(result.failure, AuthenticationFailed)
    assert not result.failure.credential_sent
    assert len(camera.heads) == 1


@pytest.mark.parametrize(
    ("data", "code", "outcome"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "unsupported", "refused"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "no_privilege", "refused"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "device_fault", "refused"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", "device_fault", "failed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "malformed_http", "failed"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "malformed_http", "failed"),
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", "not_the_protocol", "failed"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "not_the_protocol", "failed"),
        (b"HTTP/1.1 2", "timed_out", "failed"),
        (b"", "timed_out", "failed"),
        (HEAD + b"<html>" + b"x" * 70_000, "not_the_protocol", "failed"),
        (HEAD, "timed_out", "failed"),
    ],
)
def test_a_hostile_head_ends_in_a_typed_error(data: bytes, code: str, outcome: str) -> None:
    """Whatever comes, it ends within its deadline, follows nothing and sends no credential."""
    result, camera = probed(answering(data))
    assert isinstance(result.failure, AdapterError)
    assert result.failure.code == code, result.failure
    assert camera.credentialed == 0
    assert result.observations.value("rtsp.http_tunnel") == outcome


def test_a_refused_post_is_told() -> None:
    """The GET is taken, the POST is refused: the error says so at once."""

    async def handler(
        camera: TunnelCamera, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if head.method == "GET":
            await camera.pass_on(head, reader, writer)
        else:
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            await writer.drain()
            await reader.read()

    result, _camera = probed(handler)
    assert isinstance(result.failure, AdapterError)
    assert "POST" in str(result.failure)


@given(st.binary(max_size=200), st.integers(0, 80))
def test_a_head_reads_the_same_wherever_it_is_cut(rest: bytes, cut: int) -> None:
    """Before its end there is no head; from then on it is the same, whatever follows."""
    found = head_of(HEAD + rest)
    assert found is not None
    assert (found[0].status, found[1]) == (200, len(HEAD))
    if cut < len(HEAD) - 1:
        assert head_of(HEAD[:cut]) is None


@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_head_a_wait_or_a_violation(data: bytes) -> None:
    """Nothing else leaves the reader."""
    with suppress(Violation):
        found = head_of(b"HTTP/" + data)
        assert found is None or found[1] <= MAX_HEAD + 4
