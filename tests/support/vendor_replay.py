"""Replays what vendor interfaces answered, on loopback, behind a real login of its own making.

Independent of the product's Digest and HTTP code: what it checks it works out itself, and it counts for itself how
many requests carried a credential.
"""

import asyncio
import base64
import hashlib
import json
import re
import secrets
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import corpus

USER, PASSWORD = "owner", "pa ss&w0rd"
_PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
NOT_SUPPORTED = (
    b'<?xml version="1.0" encoding="UTF-8"?><ResponseStatus version="2.0" '
    b'xmlns="http://www.isapi.org/ver20/XMLSchema"><statusCode>4</statusCode>'
    b"<statusString>Invalid Operation</statusString><subStatusCode>notSupport</subStatusCode></ResponseStatus>"
)


@dataclass(frozen=True)
class Seen:
    """One request as the device saw it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: value[0] for name, value in parse_qs(urlsplit(self.target).query).items()}


Made = tuple[int, str, bytes]  # status, media type, body
Answer = Callable[[Seen], Made | None]


@dataclass
class Replayer:
    """A device: `answer` gives the captured reply of a request, None where there is none."""

    answer: Answer
    auth: str = "digest"  # digest | sha256 | basic | none
    user: str = USER
    password: str = PASSWORD
    nonce_uses: int = 1000  # requests for which one nonce is good
    missing: Made = (404, "text/html", b"<html><body>404 Not Found</body></html>")
    denied: Callable[[Seen], Made | None] = lambda _seen: None  # what this account may not read
    hangs_up: Callable[[Seen], bool] = lambda _seen: False  # closes the connection instead of an answer
    open_paths: frozenset[str] = frozenset()
    asked: list[Seen] = field(default_factory=list)
    with_credential: int = 0  # by the server's own count
    refused: int = 0
    _nonces: dict[str, int] = field(default_factory=dict)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _version = head[0].split(" ")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:])
            }
            body = await reader.readexactly(int(headers.get("content-length") or 0))
            seen = Seen(method, target, headers, body)
            self.asked.append(seen)
            if self.hangs_up(seen):
                raise ConnectionResetError
            status, kind, content, more = self._reply(seen)
            lines = [
                f"HTTP/1.1 {status} X",
                f"Content-Type: {kind}",
                f"Content-Length: {len(content)}",
                *more,
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else content))
            await writer.drain()

    def _reply(self, seen: Seen) -> tuple[int, str, bytes, list[str]]:
        given = seen.headers.get("authorization", "")
        if given:
            self.with_credential += 1
        if self.auth != "none" and seen.path not in self.open_paths:
            verdict = self._judge(seen, given) if given else "none"
            if verdict != "good":
                self.refused += verdict == "bad"
                return (
                    401,
                    "text/html",
                    b"<html>401 Unauthorized</html>",
                    self._challenges(verdict == "stale"),
                )
        made = self.denied(seen) or self.answer(seen) or self.missing
        return (*made, [])

    def _challenges(self, stale: bool) -> list[str]:
        if self.auth == "basic":
            return ['WWW-Authenticate: Basic realm="device"']
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = 0
        algorithm = ', algorithm="SHA-256"' if self.auth == "sha256" else ""
        told = "TRUE" if stale else "FALSE"
        return [
            f'WWW-Authenticate: Digest qop="auth", realm="IP Camera(1)", nonce="{nonce}", stale="{told}"{algorithm}'
        ]

    def _judge(self, seen: Seen, given: str) -> str:
        if given.startswith("Basic "):
            pair = base64.b64decode(given[6:]).decode()
            return "good" if self.auth == "basic" and pair == f"{self.user}:{self.password}" else "bad"
        told = {name: quoted or plain for name, quoted, plain in _PARAMETER.findall(given)}
        hashed = hashlib.sha256 if self.auth == "sha256" else hashlib.md5

        def digest(text: str) -> str:
            return hashed(text.encode()).hexdigest()

        first = digest(f"{self.user}:IP Camera(1):{self.password}")
        second = digest(f"{seen.method}:{told.get('uri', '')}")
        expected = digest(f"{first}:{told['nonce']}:{told['nc']}:{told['cnonce']}:auth:{second}")
        if expected != told.get("response") or told.get("uri") != seen.target:
            return "bad"
        uses = self._nonces.get(told["nonce"], self.nonce_uses)
        if uses >= self.nonce_uses or int(told["nc"], 16) != uses + 1:
            return "stale"
        self._nonces[told["nonce"]] = uses + 1
        return "good"


@asynccontextmanager
async def serving(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on loopback; yields the port."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)  # type: ignore[misc]
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0)


@contextmanager
def serving_thread(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve from a thread, for a program that runs beside; yields the port."""
    started: list[int] = []
    ready, over = threading.Event(), threading.Event()

    async def run() -> None:
        async with serving(handler, tls) as port:
            started.append(port)
            ready.set()
            await asyncio.to_thread(over.wait)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield started[0]
    finally:
        over.set()
        thread.join(20)


# --- captured devices


def isapi_device(prefix: str, **extra: bytes) -> Answer:
    """Return the answers of one captured Hikvision device; `extra` adds replies by path with ``__`` for ``/``."""
    folder = corpus.path("isapi", "hikvision-isapi-performance")
    known = {
        "/" + file.name.partition("__ISAPI_")[2].removesuffix(".xml"): file.read_bytes()
        for file in folder.glob(f"{prefix}__*.xml")
    }
    by_path = {f"/ISAPI{name.replace('_', '/')}": body for name, body in known.items()}
    by_path |= {f"/ISAPI/{name.replace('__', '/')}": body for name, body in extra.items()}

    def answer(seen: Seen) -> Made | None:
        body = by_path.get(seen.path)
        if body is None:
            return 403, "application/xml", NOT_SUPPORTED
        return 200, "application/xml", body

    return answer


def isapi_cassette(name: str) -> tuple[Answer, list[tuple[int, str, bytes, dict[str, str]]]]:
    """Return the answers of a recorded cassette, and all its replies: status, path, body, headers."""
    text = corpus.path("isapi", "hikvisionapi", name).read_text()
    replies = []
    for part in text.split("\n- request:")[1:]:
        path = urlsplit(re.search(r"\n    uri: (\S+)", part)[1]).path  # type: ignore[index]
        quoted = re.search(r'body: \{string: ("(?:[^"\\]|\\.|\\\n)*")\}', part, re.DOTALL)[1]  # type: ignore[index]
        body = json.loads(re.sub(r"\\\n\s*\\?", "", quoted.replace("\\\n        \\ ", " ")))
        status = int(re.search(r"status: \{code: (\d+)", part)[1])  # type: ignore[index]
        response = part.split("response:", 1)[1]
        headers = dict(re.findall(r"\n      ([\w-]+): \['?(.*?)'?\](?=\n)", response, re.DOTALL))
        replies.append((status, path, body.encode(), headers))
    good = {path.lower(): body for status, path, body, _headers in replies if status == 200}

    def answer(seen: Seen) -> Made | None:
        body = good.get(seen.path.lower())
        return (200, "application/xml", body) if body is not None else None

    return answer, replies


def dahua_device(replies: dict[str, str]) -> Answer:
    """Return answers by ``action`` or, for getConfig, by ``name``; the values are texts."""

    def answer(seen: Seen) -> Made | None:
        action = seen.query.get("action", "")
        key = seen.query.get("name", "") if action == "getConfig" else action
        text = replies.get(key)
        if text is None:
            return 400, "text/plain", b"Error\r\nBad Request!\r\n"
        return 200, "text/plain;charset=utf-8", text.replace("\n", "\r\n").encode()

    return answer


def dahua_captured() -> dict[str, str]:
    """Return the captured replies of one device (IPC-HDW5831R-ZE and others) by action or configuration."""
    names = {
        "get_system_info": "getSystemInfo",
        "get_device_type__variant_a": "getDeviceType",
        "get_software_version": "getSoftwareVersion",
        "get_machine_name": "General",
    }
    folder = corpus.path("dahua_cgi", "rroller-dahua")
    return {key: (folder / f"{name}.txt").read_text() for name, key in names.items()}


def axis_device(parameters: str, posts: dict[str, bytes] | None = None, users: bytes = b"") -> Answer:
    """Return the answers of an Axis device: parameter groups cut from one captured list, JSON by script name."""

    def answer(seen: Seen) -> Made | None:
        if seen.path == "/axis-cgi/param.cgi":
            groups = unquote(seen.query.get("group", "root")).split(",")
            lines = [
                line
                for line in parameters.splitlines()
                if any(line.startswith(f"{group}.") for group in groups)
            ]
            text = "\n".join(lines) or f"# Error: Error -1 getting param in group '{groups[0]}'"
            return 200, "text/plain", text.encode()
        if seen.path == "/axis-cgi/pwdgrp.cgi" and users:
            return 200, "text/plain", users
        script = seen.path.removeprefix("/axis-cgi/")
        body = (posts or {}).get(script)
        return (200, "application/json", body) if body is not None else None

    return answer


def axis_recorded() -> Answer:
    """Return the answers of the recorded AXIS P5512 5.51.7: its transactions, and groups of its whole list."""
    told = json.loads(corpus.path("axis_vapix", "vapix-rs", "AXIS_P5512_v5.51.7.json").read_text())
    whole = next(
        one["response"]["body"]["string"]
        for one in told["transactions"]
        if one["request"]["path"] == "/axis-cgi/param.cgi?action=list"
    )
    return axis_device(whole)


@dataclass
class Vigi:
    """A VIGI camera's OpenAPI, by TP-Link's FAQ 5198 and the published SDK: challenge, login, one method."""

    user: str = USER
    password: str = PASSWORD
    algorithm: str = "SHA-256"
    port_reply: bytes = b'{"method":"getStreamPort","errCode":0,"result":{"rtsp_port":8554}}'
    first_reply: bytes = b""  # instead of the challenge
    asked: list[Seen] = field(default_factory=list)
    with_credential: int = 0
    token: str = "tok-3n-0815"
    _nonce: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _version = head[0].split(" ")
            length = next(
                int(line.split(":")[1]) for line in head if line.lower().startswith("content-length")
            )
            seen = Seen(method, target, {}, await reader.readexactly(length))
            self.asked.append(seen)
            status, body = self._reply(seen)
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()

    def _reply(self, seen: Seen) -> tuple[int, bytes]:
        told = json.loads(seen.body)
        if seen.target == f"/stok={self.token}" and told["method"] == "getStreamPort":
            return 200, self.port_reply
        if seen.target != "/" or told["method"] != "doAuth":
            return 404, b"{}"
        if told["params"] is None:
            self._nonce = secrets.token_hex(16)
            given = {
                "realm": "TP-LINK IPC",
                "nonce": self._nonce,
                "algorithm": self.algorithm,
                "uri": "doAuth",
                "method": "POST",
            }
            told = {"method": "doAuth", "errCode": -10020, "authenticate": given}
            return 401, self.first_reply or json.dumps(told).encode()
        self.with_credential += 1

        def digest(text: str) -> str:
            return hashlib.sha256(text.encode()).hexdigest()

        secret = digest(f"{self.user}:TP-LINK IPC:{self.password}")
        expected = digest(f"{secret}:{self._nonce}:{digest('POST:doAuth')}")
        if told["params"] != {"nonce": self._nonce, "response": expected}:
            return 401, b'{"method":"doAuth","errCode":-10021}'
        return 200, json.dumps({"method": "doAuth", "errCode": 0, "stok": self.token}).encode()


def self_signed() -> ssl.SSLContext:
    """Return a server's TLS context with a certificate of its own making."""
    import trustme

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context
