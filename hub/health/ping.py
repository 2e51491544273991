"""One gentle question to a camera: does it answer? One connection, one request, no credential, nothing decoded.

RTSP: ``OPTIONS`` (RFC 2326 10.1), which needs no login. ONVIF: ``GetSystemDateAndTime`` (Core specification 8.3.5,
access class PRE_AUTH), which must be answered without one. A maker's own interface: ``GET /``, of which only the head is read. Any answer in the
right protocol counts, errors too: the question is whether the device is alive, not whether it obeys.
"""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from typing import Protocol

from adapters.deadline import Deadline
from adapters.errors import BadTarget, RemoteProtocolError, Unreachable
from adapters.target import BUILT_IN, Target
from standards.reason import Reason

REPLY = 8192  # bytes read at most
ONVIF_PATH = "/onvif/device_service"

_SOAP = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
    '<s:Body><GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></s:Body></s:Envelope>'
)


class Connect(Protocol):
    """The guarded dialer."""

    async def connect(
        self, host: str, port: int, deadline: Deadline, *, tls: ssl.SSLContext | None = None, limit: int = ...
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to a checked address."""


async def ping(target: Target, dialer: Connect, deadline: Deadline) -> float:
    """Return when the camera answered: how long the connection took, in seconds (one round trip, TLS apart).

    Raises:
        AdapterError: it did not, and why.
    """
    question = _question(target)
    tls = _lenient_tls() if target.tls else None
    began_s = deadline.clock.monotonic()
    reader, writer = await dialer.connect(target.host, target.port, deadline, tls=tls, limit=REPLY)
    connected_s = deadline.clock.monotonic() - began_s
    try:
        async with deadline.phase(question.name, peer=target.authority):
            try:
                writer.write(question.request)
                await writer.drain()
                seen = await _read(reader, question.until)
            except OSError as error:
                raise Unreachable(
                    f"{target.authority} closed the connection", peer=target.authority
                ) from error
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
    if not seen:
        raise RemoteProtocolError(
            f"{target.authority} closed without an answer", reason=Reason.EMPTY_REPLY, peer=target.authority
        )
    if not seen.startswith(question.begins) or question.holds not in seen:
        raise RemoteProtocolError(
            f"{target.authority} answers in another protocol",
            reason=Reason.NOT_THE_PROTOCOL,
            excerpt=seen[:40].decode("latin-1"),
            peer=target.authority,
        )
    return connected_s


@dataclass(frozen=True, slots=True)
class _Question:
    """What is sent, until where the reply is read, and by what a reply in the right protocol is known."""

    name: str
    request: bytes
    until: bytes
    begins: bytes
    holds: bytes = b""


def _question(target: Target) -> _Question:
    if target.scheme in {"rtsp", "rtsps"}:
        return _Question("RTSP OPTIONS", _rtsp(target), b"\r\n\r\n", b"RTSP/")
    if target.scheme in {"onvif", "onvifs"}:
        return _Question(
            "ONVIF GetSystemDateAndTime", _onvif(target), b"Envelope>", b"HTTP/1.", holds=b"Envelope"
        )
    if target.scheme in BUILT_IN.ports:
        return _Question("HTTP GET", _get(target), b"\r\n\r\n", b"HTTP/1.")
    raise BadTarget(f"the scheme {target.scheme!r} has no liveness question")


def _get(target: Target) -> bytes:
    return (
        f"GET / HTTP/1.1\r\nHost: {target.authority}\r\nUser-Agent: camhub\r\nConnection: close\r\n\r\n"
    ).encode()


def _rtsp(target: Target) -> bytes:
    return (
        f"OPTIONS rtsp://{target.authority}/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: camhub\r\nConnection: close\r\n\r\n"
    ).encode()


def _onvif(target: Target) -> bytes:
    body = _SOAP.encode()
    head = (
        f"POST {target.path or ONVIF_PATH} HTTP/1.1\r\nHost: {target.authority}\r\nUser-Agent: camhub\r\n"
        f"Content-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def _read(reader: asyncio.StreamReader, until: bytes) -> bytes:
    """Return the reply so far once it holds `until`, at its end, or at the limit."""
    seen = b""
    while len(seen) < REPLY and until not in seen:
        chunk = await reader.read(REPLY - len(seen))
        if not chunk:
            break
        seen += chunk
    return seen


def _lenient_tls() -> ssl.SSLContext:
    """Return a context for a question that carries no secret: cameras have certificates of their own making."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
