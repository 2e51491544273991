"""What is said to a camera and what it answers: one request after another, the one login among them, all of it kept."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from adapters.deadline import Deadline
from adapters.errors import AdapterError, AuthenticationFailed, LocalProtocolError
from adapters.port import ProbeContext
from adapters.rtsp.connection import Connection, remote_error
from adapters.rtsp.login import Attempt
from adapters.rtsp.message import Request, Response
from adapters.rtsp.policy import Policies
from adapters.rtsp.refusal import refusal
from adapters.rtsp.session import Challenged, Login, Session
from adapters.rtsp.tolerance import Tolerance, Violation
from adapters.target import Target
from adapters.wire.tap import Heard

_SETTLE_S: Final = (
    0.02  # between a challenge and the attempt: a camera that closes behind its 401 has done so by then
)
_KEPT: Final = 64  # exchanges: a session that plays for days keeps the last ones


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, for provenance. Holds no header of ours and so no credential."""

    operation: str
    status: int
    started_s: float  # monotonic
    duration_s: float
    response: Response


class Dialogue:
    """Speaks for one client: `session`, `attempt` and `target` are what it speaks with now, `connection` where.

    `redial` opens another connection where the camera closed this one behind its challenge.
    """

    def __init__(
        self,
        target: Target,
        context: ProbeContext,
        policies: Policies,
        session: Session,
        attempt: Attempt,
        *,
        redial: Callable[[Deadline], Awaitable[None]],
    ) -> None:
        self.target = target
        self.session = session
        self.attempt = attempt
        self.connection: Connection | None = None
        self.exchanges: list[Exchange] = []
        self.anonymous_describe: Response | None = None  # the answer to DESCRIBE without credential
        self.tapped = context.tap.session() if context.tap is not None else 0
        self._context = context
        self._policies = policies
        self._redial = redial

    async def request(self, method: str, uri: str, deadline: Deadline, *fields: tuple[str, str]) -> Response:
        """Send a request and answer a 401: once to log in, or once to renew an accepted login.

        Raises:
            AdapterError: no answer, or the login is refused.
        """
        limit_s = self._policies.answer_s
        response = await self.exchange(method, uri, deadline, *fields, limit_s=limit_s)
        session = self.session
        if session.login is Login.NONE and method == "DESCRIBE":
            self.anonymous_describe = response
        if response.status != 401:
            session.answered()
            return response
        meaning = session.challenged(response)
        if meaning is Challenged.LOGIN:
            await self._log_in(f"RTSP {method}")
            await self._settle(response)
            if self.connection is not None and self.connection.closed:
                session.tolerances.note(Tolerance.RECONNECTED_AFTER_CHALLENGE)
                await self._redial(deadline)
            response = await self.exchange(method, uri, deadline, *fields, limit_s=limit_s)
            if response.status != 401:
                session.answered()
                return response
            session.challenged(response)
        elif meaning is Challenged.RENEW:
            response = await self.exchange(method, uri, deadline, *fields, limit_s=limit_s)
            if response.status != 401:
                return response
        raise await self._refused(f"RTSP {method}")

    async def exchange(
        self,
        method: str,
        uri: str,
        deadline: Deadline,
        *fields: tuple[str, str],
        limit_s: float,
        anonymous: bool = False,
    ) -> Response:
        """Send a request and return its answer, whatever it is.

        Raises:
            AdapterError: there is no connection, or no answer.
        """
        connection = self.connection
        if connection is None:
            raise LocalProtocolError("not connected", peer=self.target.authority, operation=f"RTSP {method}")
        sequence, request = self.session.build(method, uri, *fields, anonymous=anonymous)
        self._context.courtesy.reads += 1
        started_s = self._now()
        try:
            response = await connection.exchange(
                sequence, request, deadline, operation=f"RTSP {method}", limit_s=limit_s
            )
        except AdapterError as error:
            self.tell_tap(request, None, started_s, error.code)
            raise
        self.tell_tap(request, response, started_s)
        took_s = self._now() - started_s
        self.exchanges.append(Exchange(f"RTSP {method}", response.status, started_s, took_s, response))
        del self.exchanges[:-_KEPT]
        return response

    def require(self, response: Response, method: str) -> None:
        """Turn a refusal into its error.

        Raises:
            AdapterError: it is one.
        """
        if not response.ok:
            raise refusal(response, peer=self.target.authority, operation=f"RTSP {method}")

    def note(self, tolerance: Tolerance, operation: str) -> None:
        """Count a deviation.

        Raises:
            RemoteProtocolError: the policy refuses it.
        """
        try:
            self.session.tolerances.note(tolerance)
        except Violation as violation:
            raise remote_error(violation, peer=self.target.authority, operation=operation) from violation

    def tell_tap(
        self,
        request: Request,
        response: Response | None,
        started_s: float,
        error: str = "",
        *,
        protocol: str = "rtsp",
    ) -> None:
        """Let the capture, if one listens, have a request and its answer."""
        tap = self._context.tap
        if tap is None:
            return
        over = "RTSP" if protocol == "rtsp" else "RTSP over HTTP"
        tap.exchange(
            Heard(
                protocol=protocol,
                operation=f"{over} {request.method}",
                port=self.target.port,
                method=request.method,
                target=request.uri,
                request_headers=tuple(request.headers),
                request_body=b"",
                status=response.status if response is not None else 0,
                reason=response.reason if response is not None else "",
                reply_headers=tuple(response.headers) if response is not None else (),
                reply_body=response.body if response is not None else b"",
                started_s=started_s,
                took_s=self._now() - started_s,
                error=error,
                session=self.tapped,
            )
        )

    async def _log_in(self, operation: str) -> None:
        """Choose the answer to the first challenge and ask the gate for the one attempt."""
        self.session.auth = await self.attempt.answer(self.session.challenges, operation)
        self.session.login = Login.SENT

    async def _settle(self, response: Response) -> None:
        """See whether the camera closes behind its challenge, before the one attempt is spent on a dead line."""
        connection = self.connection
        if connection is None:
            return
        if (response.headers.get("Connection") or "").strip().lower() == "close":
            connection.close()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await connection.lost.wait()

    async def _refused(self, operation: str) -> AuthenticationFailed:
        session = self.session
        accepted_before = session.login is Login.ACCEPTED
        session.login = Login.REFUSED
        session.auth = None
        return await self.attempt.refused(operation, accepted_before=accepted_before)

    def _now(self) -> float:
        return self._context.clock.monotonic()
