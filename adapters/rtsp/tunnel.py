"""RTSP inside two HTTP connections (Apple's QuickTime tunnel; ONVIF Streaming Specification 5.1.1, RTP/RTSP/HTTP/TCP).

A GET brings everything from the camera, a POST takes our requests to it in base64; one cookie ties them together.
The heads are read by a bounded reader of their own, because what follows the head of the GET is no HTTP body but RTSP
without end.
"""

import asyncio
import base64
import re
import secrets
from collections.abc import Callable
from typing import cast

from adapters.deadline import Deadline
from adapters.errors import AdapterError, RemoteProtocolError, TimedOut, Unreachable, Unsupported
from adapters.rtsp.connection import Connection, remote_error
from adapters.rtsp.line import Line
from adapters.rtsp.login import Attempt
from adapters.rtsp.message import Headers, Response
from adapters.rtsp.refusal import refusal
from adapters.rtsp.tolerance import Violation, excerpt_of
from adapters.wire.digest import DigestAuth, parse_challenges
from standards.reason import Reason

MAX_HEAD = 16_384  # bytes of a reply's head
MAX_LINES = 100
ANNOUNCED = 32_767  # Content-Length of the POST that is never ended; the value that QuickTime sent
_STATUS = re.compile(r"HTTP/1\.\d[ \t]+(\d{3})(?:[ \t]+(.*))?$")
_KIND = "application/x-rtsp-tunnelled"


def head_of(data: bytes) -> tuple[Response, int] | None:
    """Read the head of an HTTP reply; return it with its length, or None where bytes are missing.

    Raises:
        Violation: it is no HTTP, or longer than is bearable.
    """
    if not (data.startswith(b"HTTP/") or b"HTTP/".startswith(data[:5])):
        raise Violation(
            "the peer speaks no HTTP", reason=Reason.NOT_THE_PROTOCOL, excerpt=excerpt_of(data[:64])
        )
    found = re.search(rb"\r?\n\r?\n", data[: MAX_HEAD + 4])
    if found is None:
        if len(data) >= MAX_HEAD + 4:  # an end within the bound would be there, whole
            raise Violation(f"the HTTP head is longer than {MAX_HEAD} bytes", reason=Reason.MALFORMED_HTTP)
        return None
    lines = [line.rstrip("\r") for line in data[: found.start()].decode("utf-8", "replace").split("\n")]
    status = _STATUS.match(lines[0])
    if status is None or len(lines) > MAX_LINES:
        what = "its status line cannot be read" if status is None else f"it has more than {MAX_LINES} lines"
        raise Violation(f"the HTTP head is broken: {what}", reason=Reason.MALFORMED_HTTP)
    fields = (line.partition(":") for line in lines[1:])
    headers = Headers(tuple((name.strip(), value.strip()) for name, colon, value in fields if colon))
    return Response(int(status[1]), (status[2] or "").strip(), headers), found.end()


class HeadReader(asyncio.Protocol):
    """Reads one head, then stops reading until somebody else takes the connection over."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._end = 0  # of the head
        self._reply: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    @property
    def rest(self) -> bytes:
        """Return what came behind the head. Ask when the connection is taken over, not earlier."""
        return self._data[self._end :]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Collect the head."""
        self._data += data
        if self._reply.done():
            return
        try:
            found = head_of(self._data)
        except Violation as violation:
            self._reply.set_exception(violation)
            return
        if found is not None:
            if self._transport is not None:
                self._transport.pause_reading()
            self._end = found[1]
            self._reply.set_result(found[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if not self._reply.done():
            what = f"after {len(self._data)} bytes of a head" if self._data else "without an answer"
            self._reply.set_exception(
                Violation(f"the connection was closed {what}", reason=Reason.EMPTY_REPLY)
            )

    async def reply(self, deadline: Deadline, *, limit_s: float, peer: str) -> Response:
        """Return the head.

        Raises:
            RemoteProtocolError: no HTTP, too long, or cut short.
            TimedOut: it did not come in time.
        """
        operation = "RTSP over HTTP GET"
        try:
            async with deadline.phase(operation, limit_s, peer=peer):
                return await self._reply
        except Violation as violation:
            raise remote_error(violation, peer=peer, operation=operation) from violation
        except TimedOut as error:
            raise TimedOut(
                operation,
                waited_s=error.waited_s,
                peer=peer,
                hint="Check that the port is the camera's HTTP port, and that it offers RTSP over HTTP",
            ) from error


class PostWatch(asyncio.Protocol):
    """Listens on the connection of the POST, where nothing is due but a refusal."""

    def __init__(self, peer: str, on_lost: Callable[[AdapterError], None]) -> None:
        self._peer = peer
        self._on_lost = on_lost
        self._data = b""
        self._answered = False

    def data_received(self, data: bytes) -> None:
        """Read a refusal; what else comes here means nothing."""
        if self._answered:
            return
        operation = "RTSP over HTTP POST"
        self._data += data
        try:
            found = head_of(self._data)
        except Violation as violation:
            self._answered = True
            self._on_lost(remote_error(violation, peer=self._peer, operation=operation))
            return
        if found is not None:
            self._answered = True
            if found[0].status >= 300:
                self._on_lost(refusal(found[0], peer=self._peer, operation=operation))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that requests reach the camera no more."""
        self._on_lost(
            Unreachable(
                f"{self._peer} closed the sending half of the tunnel",
                peer=self._peer,
                operation="RTSP over HTTP POST",
                hint="Check the camera's power and network, and that it allows another client",
            )
        )


class Tunnel:
    """Digs one tunnel. `auth` answers for the HTTP head where the camera guards that, too."""

    def __init__(
        self,
        line: Line,
        attempt: Attempt,
        auth: DigestAuth | None,
        *,
        user_agent: str,
        heard: Callable[[str, Response], None],
    ) -> None:
        """Prepare; `heard` is told of each request that was answered."""
        self._line = line
        self._attempt = attempt
        self.auth = auth
        self._user_agent = user_agent
        self._heard = heard
        self._peer = line.target.authority
        self._path = line.target.path or "/"

    async def dig(self, connection: Connection, deadline: Deadline, *, limit_s: float) -> None:
        """Open both connections and let RTSP pass through them.

        Raises:
            AuthenticationFailed, CoolingDown: the camera guards the HTTP head, and refuses.
            Unsupported, CameraFault, PermissionDenied: it digs no tunnel here.
            RemoteProtocolError, Unreachable, TlsFailed, TimedOut: as they say.
        """
        cookie = secrets.token_hex(11)
        fresh = self.auth is None
        transport, reader, response = await self._get(cookie, deadline, limit_s)
        try:
            if response.status == 401:
                await self._challenged(response)
                transport.abort()
                transport, reader, response = await self._get(cookie, deadline, limit_s)
                if response.status == 401:
                    raise await self._attempt.refused("RTSP over HTTP GET", accepted_before=not fresh)
            if not response.ok:
                raise self._no_tunnel(response)
            post, _watch = await self._line.dial(deadline, lambda: PostWatch(self._peer, connection.fail))
            try:
                post.write(self._head("POST", cookie))
                connection.take_over(transport, reader.rest, out=post, encode=base64.b64encode)
            except BaseException:
                post.abort()
                raise
        except BaseException:
            transport.abort()
            raise

    async def _get(
        self, cookie: str, deadline: Deadline, limit_s: float
    ) -> tuple[asyncio.Transport, HeadReader, Response]:
        transport, reader = await self._line.dial(deadline, HeadReader)
        try:
            transport.write(self._head("GET", cookie))
            response = await reader.reply(deadline, limit_s=limit_s, peer=self._peer)
        except BaseException:
            transport.abort()
            raise
        self._heard("GET", response)
        return transport, reader, response

    async def _challenged(self, response: Response) -> None:
        """Prepare the one answer to a 401 of the HTTP head, or the one renewal of an accepted login."""
        operation = "RTSP over HTTP GET"
        challenges = parse_challenges(response.headers.get_all("WWW-Authenticate"))
        if self.auth is None:
            self.auth = await self._attempt.answer(challenges, operation)
            return
        renewed = next((challenge for challenge in challenges if self.auth.renewable(challenge)), None)
        if renewed is None:
            raise await self._attempt.refused(operation, accepted_before=True)
        self.auth.renew(renewed)

    def _head(self, method: str, cookie: str) -> bytes:
        host = self._line.target.authority
        lines = [
            f"{method} {self._path} HTTP/1.0",
            f"Host: {host}",
            f"User-Agent: {self._user_agent}",
            f"x-sessioncookie: {cookie}",
            "Pragma: no-cache",
            "Cache-Control: no-cache",
        ]
        if method == "GET":
            lines.append(f"Accept: {_KIND}")
        else:
            lines += [
                f"Content-Type: {_KIND}",
                f"Content-Length: {ANNOUNCED}",
                "Expires: Sun, 9 Jan 1972 00:00:00 GMT",
            ]
        if self.auth is not None:
            lines.append(f"Authorization: {self.auth.authorization(method, self._path)}")
        return "\r\n".join([*lines, "", ""]).encode()

    def _no_tunnel(self, response: Response) -> AdapterError:
        operation = "RTSP over HTTP GET"
        if 300 <= response.status < 400:
            return RemoteProtocolError(
                f"{operation} of {self._peer}: the camera redirects ({response.status}), which is not followed",
                reason=Reason.DEVICE_FAULT,
                peer=self._peer,
                operation=operation,
                hint="Where the camera wants HTTPS, write rtsp+https:// in the address",
            )
        if response.status in (400, 404, 405, 501):
            return Unsupported(
                f"{operation} of {self._peer} was answered with {response.status}: no RTSP over HTTP is offered there",
                peer=self._peer,
                operation=operation,
                hint="Check path and port, or use the rtsp:// address",
            )
        return refusal(response, peer=self._peer, operation=operation)
