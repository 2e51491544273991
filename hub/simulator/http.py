"""A small HTTP/1.1 server for cameras: Content-Length bodies, keep-alive, bounded reads."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import format_datetime
from http import HTTPStatus

from hub.simulator.device import Device
from hub.simulator.listener import Listener

_MAX_HEAD = 16_384
_MAX_BODY = 262_144
_IDLE_S = 60.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One answer."""

    status: int
    content_type: str = "text/plain; charset=utf-8"
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


Handler = Callable[[HttpRequest], Awaitable[HttpReply]]


class HttpServer:
    """Answers requests of one device by a handler."""

    def __init__(self, device: Device, handler: Handler) -> None:
        self._device = device
        self._handler = handler
        self._listener = Listener(self._serve)

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            OSError: the address cannot be had.
        """
        return await self._listener.start(host, port)

    async def kill(self) -> None:
        """Stop listening and cut every connection."""
        await self._listener.kill()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._device.counters.connections += 1
        while await self._exchange(reader, writer):
            pass

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request and tell whether the connection goes on."""
        async with asyncio.timeout(_IDLE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            parts = lines[0].split(" ")
            if len(head) > _MAX_HEAD or len(parts) != 3 or not parts[2].startswith("HTTP/1."):
                await self._send(writer, HttpReply(400), "close")
                return False
            headers: dict[str, str] = {}
            for line in lines[1:]:
                name, colon, value = line.partition(":")
                if colon:
                    headers[name.strip().lower()] = value.strip()
            if "transfer-encoding" in headers:
                await self._send(writer, HttpReply(411), "close")
                return False
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > _MAX_BODY:
                await self._send(writer, HttpReply(413), "close")
                return False
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(length))
        reply = await self._handler(HttpRequest(parts[0], parts[1], headers, body))
        lasting = headers.get("connection", "").lower() != "close" and parts[2] != "HTTP/1.0"
        await self._send(writer, reply, "keep-alive" if lasting else "close")
        return lasting

    async def _send(self, writer: asyncio.StreamWriter, reply: HttpReply, connection: str) -> None:
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines += [
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            f"Date: {format_datetime(self._device.now(), usegmt=True)}",
            "Server: CH-Sim",
            f"Connection: {connection}",
        ]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + reply.body)
        await writer.drain()
