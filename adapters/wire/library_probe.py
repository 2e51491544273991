"""A probe through a maker's client library: reachability by ourselves, one login and the reads by the library.

What differs between makers is `Maker`: which requests carry the credential, what is read, what it means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from yarl import URL

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    CoolingDown,
    LocalProtocolError,
    Unreachable,
)
from adapters.port import ProbeContext, ProbeRequest, ProbeResult, Progress, StreamOffer
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.facts import FactBook, why
from adapters.wire.http import HttpClient, HttpReply
from adapters.wire.library import SecondLogin, causes, library_session, typed
from adapters.wire.redaction import Redactor
from standards.observation import Value
from standards.reason import Reason

REACH_READS = 3  # CON-01: three answers, each within 3 s
REACH_LIMIT_S = 3.0
_RESERVE_S = 4.0  # kept for the stream probe after the reads, beside its media window
_LEAST_S = 4.0
CLAIMS = ("encoding", "width", "height", "fps", "bitrate_kbps", "gov_length")


class LoginRefused(Exception):
    """The device refused the credential; the library's own words are not repeated."""


@dataclass(frozen=True, slots=True)
class LibraryStream:
    """One stream as the device lists it. Numbers are 0 where it does not tell."""

    source: str  # the camera or channel it belongs to, as the device names it
    layer: str  # main | sub
    target: Target | None  # None where it is switched off
    encoding: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    bitrate_kbps: int = 0
    gov_length: int = 0  # frames
    secret_path: bool = False  # whoever knows the path may watch


@dataclass(frozen=True, slots=True)
class Told:
    """What the reads brought, in the words of the facts."""

    facts: Mapping[str, Value]
    streams: tuple[LibraryStream, ...] = ()
    quirks: tuple[str, ...] = field(default=())


class Maker(Protocol):
    """What one library brings to the probe."""

    name: str
    version: str
    interface: str
    facts: tuple[str, ...]  # that `read` may tell

    def is_login(self, method: str, url: URL) -> bool:
        """Tell whether a request carries the credential."""

    async def read(
        self,
        session: aiohttp.ClientSession,
        request: ProbeRequest,
        credential: Credential,
        clock: Clock,
        deadline: Deadline,
    ) -> Told:
        """Log in once, read, log out.

        Raises:
            LoginRefused: the device refused the credential.
        """


class LibraryProbe:
    """The state of one probe. Use once."""

    def __init__(self, maker: Maker, request: ProbeRequest, context: ProbeContext) -> None:
        self._maker = maker
        self._request = request
        self._context = context
        secrets = (request.credential.password,) if request.credential is not None else ()
        peer = request.target.authority
        self._facts = FactBook(f"{maker.name}/{maker.version}", peer, context.clock, Redactor(secrets))
        left = request.deadline.remaining_s()
        self._deadline = request.deadline.sooner(max(_LEAST_S, left - request.window_s - _RESERVE_S))
        self._step = "address"

    async def run(self) -> ProbeResult:
        """Ask and return what was learned. Never raises for a camera's fault."""
        maker, facts, step = self._maker, self._facts, f"{self._maker.interface} probe"
        offers: tuple[StreamOffer, ...] = ()
        failure: AdapterError | None = None
        try:
            await self._reach()
            told = await self._read()
        except AdapterError as error:
            failure = error
            self._tell("failed", str(error))
            reason, detail = why(error)
            if isinstance(error, AuthenticationFailed | CoolingDown):
                reason, detail = Reason.NO_CREDENTIAL, f"not asked: {detail}"
            facts.missed(("reach.answers", "reach.slowest_s"), reason, detail, step)
        else:
            reason, detail = Reason.EMPTY_REPLY, f"{step}: the device does not tell it"
            for fact, value in told.facts.items():
                facts.saw(fact, value, step)
            facts.saw("vendor.family", maker.name, step)
            facts.saw("vendor.interface", maker.interface, step)
            facts.saw("vendor.quirks", told.quirks, step)
            offers = self._streams(told.streams, step)
            what = [told.facts.get(f"device.{name}") for name in ("manufacturer", "model", "firmware")]
            self._tell("ok", " ".join(str(word) for word in what if word), step="identify")
        facts.saw("target.interfaces", (maker.name, "rtsp") if offers else (maker.name,), step)
        self._login_fact(failure, step)
        claims = [f"stream.{layer}.claimed_{name}" for layer in ("main", "sub") for name in CLAIMS]
        facts.missed((*maker.facts, *claims), reason, detail, step)
        return ProbeResult(facts.observations(), offers, None, failure)

    def _login_fact(self, failure: AdapterError | None, step: str) -> None:
        if self._request.credential is None:
            self._facts.missed(
                ("credential.accepted",), Reason.NO_CREDENTIAL, "no credential was supplied", step
            )
        elif failure is None:
            self._facts.saw("credential.accepted", True, step)
        elif isinstance(failure, AuthenticationFailed) and failure.credential_sent:
            self._facts.saw("credential.accepted", False, step)
        else:
            self._facts.failed(("credential.accepted",), failure, step)

    def _tell(self, state: str, detail: str, *, step: str = "") -> None:
        self._step = step or self._step
        self._context.progress(Progress(self._step, state, detail))

    async def _reach(self) -> None:
        """Ask for the start page three times as a stranger: reachability, and what TLS shows."""
        target, answers, slowest_s = self._request.target, 0, 0.0
        reply: HttpReply | None = None
        self._tell("running", f"asking {target.authority} without a login", step="address")

        def count() -> None:
            self._context.courtesy.reads += 1

        async with HttpClient(
            self._context.dialer,
            self._context.clock,
            target.host,
            on_request=count,
            tap=self._context.tap,
        ) as http:
            for _attempt in range(REACH_READS):
                try:
                    reply = await http.request(
                        "GET",
                        f"https://{target.authority}/",
                        operation="start page",
                        deadline=self._deadline,
                        limit_s=REACH_LIMIT_S,
                        read_body=False,
                    )
                except AdapterError:
                    if not answers:
                        raise
                else:
                    answers += 1
                    slowest_s = max(slowest_s, reply.took_s)
        assert reply is not None
        self._facts.saw("reach.answers", answers, "start page", reply)
        self._facts.saw("reach.slowest_s", round(slowest_s, 3), "start page", reply)
        self._facts.saw("http.tls", reply.tls or "none", "start page")
        if reply.tls_seen is not None:
            for fact, value in reply.tls_seen.facts("tls", self._context.clock.now()).items():
                self._facts.saw(fact, value, "start page")
        self._tell("ok", "answers over HTTPS")

    async def _read(self) -> Told:
        maker, target, credential = self._maker, self._request.target, self._request.credential
        operation, peer = f"{maker.interface} login", target.authority
        self._tell("running", f"reading what the device is over {maker.interface}", step="login")
        if credential is None:
            raise AuthenticationFailed(
                f"{operation}: {peer} wants a login and none was supplied",
                scheme="",
                credential_sent=False,
                peer=peer,
                operation=operation,
                hint="Supply the device's user name and password; an account that may only view is enough",
            )
        await self._context.gate.admit(self._context.device)
        try:
            async with (
                self._deadline.phase(f"{maker.interface} reads", peer=peer),
                library_session(self._context, target.host, self._deadline, maker.is_login) as session,
            ):
                told = await maker.read(
                    session, self._request, credential, self._context.clock, self._deadline
                )
        except LoginRefused as error:
            raise await self._refused(operation) from error
        except Exception as error:
            if any(isinstance(cause, SecondLogin) for cause in causes(error)):
                raise Unreachable(
                    f"{operation}: {peer} did not answer the login; it is not sent twice",
                    peer=peer,
                    operation=operation,
                    hint="Wait a minute, then try again",
                ) from error
            raise typed(error, operation, peer) from error
        self._tell("ok", "logged in")
        return told

    async def _refused(self, operation: str) -> AuthenticationFailed:
        until = await self._context.gate.refused(self._context.device)
        peer = self._request.target.authority
        return AuthenticationFailed(
            f"{operation}: {peer} refused the supplied login; nothing more is tried before {until:%H:%M:%S} UTC",
            scheme=self._maker.interface,
            credential_sent=True,
            peer=peer,
            operation=operation,
            hint="Check user name and password",
        )

    def _streams(self, streams: tuple[LibraryStream, ...], step: str) -> tuple[StreamOffer, ...]:
        """Make facts of the camera that is meant, and offers of all, that camera's first."""
        sources = tuple(dict.fromkeys(stream.source for stream in streams))
        if not sources:
            return ()
        self._facts.saw("media.video_sources", len(sources), step)
        wanted = self._request.video_source or self._request.target.path.strip("/")
        chosen = wanted if wanted in sources else sources[0]
        ordered = sorted(streams, key=lambda stream: stream.source != chosen)
        for stream in reversed(ordered):
            if stream.source == chosen:
                for name in CLAIMS:
                    if getattr(stream, name):
                        self._facts.saw(f"stream.{stream.layer}.claimed_{name}", getattr(stream, name), step)
        return tuple(
            StreamOffer(
                stream.target,
                stream.layer,
                stream.encoding,
                stream.width,
                stream.height,
                video_source_token=stream.source,
                secret_path=stream.secret_path,
            )
            for stream in ordered
            if stream.target is not None
        )


def missing(library: str, extra: str) -> LocalProtocolError:
    """Return the error for a library that is not installed."""
    return LocalProtocolError(
        f"the library {library} is not installed", operation="load", hint=f'pip install "camhub[{extra}]"'
    )


__all__ = ["LibraryProbe", "LibraryStream", "LoginRefused", "Maker", "Told", "missing"]
