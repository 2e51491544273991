"""A probe over a vendor's own HTTP interface: reachability, login, the table of reads, streams, the still.

What differs between the families is data and small pure functions (`Family`); the steps are the same for all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from urllib.parse import urlsplit

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AddressRefused,
    AuthenticationFailed,
    CoolingDown,
    PermissionDenied,
    RemoteProtocolError,
    TlsFailed,
    Unreachable,
    Unsupported,
)
from adapters.port import (
    ProbeContext,
    ProbeRequest,
    ProbeResult,
    Progress,
    StreamOffer,
)
from adapters.target import Target
from adapters.wire.facts import FactBook, why
from adapters.wire.http import HttpClient, HttpReply
from adapters.wire.no_media import NoMedia
from adapters.wire.reads import MAX_STREAMS, Explain, Notes, Read, ReadSession, VendorStream
from adapters.wire.redaction import Redactor
from standards.observation import Value
from standards.reason import Reason

REACH_READS = 3  # CON-01: three answers
REACH_LIMIT_S = 3.0  # CON-01: each within 3 s
RTSP_PORT = 554
_RESERVE_S = 4.0  # kept for the stream probe after the reads, beside its media window
_LEAST_S = 4.0  # that the reads get in any case
_LEFT_S = 0.2  # with less than this no further read is begun
_CLAIMS = {
    "claimed_encoding": "encoding",
    "claimed_width": "width",
    "claimed_height": "height",
    "claimed_fps": "fps",
    "claimed_bitrate_kbps": "bitrate_kbps",
    "claimed_gov_length": "gov_length",
}
CLAIMS = tuple(f"stream.{layer}.{name}" for layer in ("main", "sub") for name in _CLAIMS)
COMMON = (
    "reach.answers",
    "reach.slowest_s",
    "http.auth_schemes",
    "http.tls",
    "vendor.family",
    "vendor.interface",
    "vendor.quirks",
)
STILL = ("snapshot.anonymous", "snapshot.status", "snapshot.content_type")
_FINAL = (AuthenticationFailed, CoolingDown, AddressRefused, TlsFailed)
# What several reads add to: the latest word holds the earlier ones.
_GROWING = frozenset({"service.ports", "vendor.apis", "privacy.masks", "privacy.mask_supported"})


@dataclass(frozen=True, slots=True)
class Family:
    """What one family of devices brings to the probe.

    `still` returns the path of the still of a stream's channel, "" where there is none; `explain` what an error
    reply means. The streams are those that the reads put into `Notes.streams`.
    """

    name: str  # hikvision | dahua | axis
    version: str
    interface: str  # ISAPI | CGI | VAPIX
    reach: Read  # asked of a stranger three times: shows the challenge
    reads: tuple[Read, ...]
    usual: tuple[VendorStream, ...]  # by the family's address rule, where the device tells of no stream
    still: Callable[[VendorStream], str]
    explain: Explain

    def __post_init__(self) -> None:
        # The login is made with the read that showed the challenge: a path that is not there may be answered with
        # 404 whoever asks, which says nothing about the password.
        assert self.reads[0] is self.reach, (
            f"{self.name}: the first read must be the one that is asked of a stranger"
        )

    @property
    def facts(self) -> tuple[str, ...]:
        """Return every fact that a probe of this family speaks about."""
        told = (fact for read in self.reads for fact in read.facts)
        return tuple(dict.fromkeys((*COMMON, *told, *STILL, *CLAIMS, "media.video_sources")))


class Ended(Exception):
    """The probe stops here: `error` says why, and the facts that are still open get its reason."""

    def __init__(self, error: AdapterError, operation: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.operation = operation


class VendorProbe:
    """The state of one probe. Use once."""

    def __init__(self, family: Family, request: ProbeRequest, context: ProbeContext) -> None:
        self._family = family
        self._request = request
        self._context = context
        self._target = request.target
        secrets = (request.credential.password,) if request.credential is not None else ()
        source = f"{family.name}/{family.version}"
        self._facts = FactBook(source, request.target.authority, context.clock, Redactor(secrets))
        self._notes = Notes(user=request.credential.user if request.credential is not None else "")
        self._deadline = self._reads_deadline()
        self._step = "address"
        self._offers: tuple[StreamOffer, ...] = ()
        self._snapshot: Target | None = None

    def _reads_deadline(self) -> Deadline:
        """Keep time for the stream probe that follows, where the action has that much."""
        left = self._request.deadline.remaining_s()
        return self._request.deadline.sooner(max(_LEAST_S, left - self._request.window_s - _RESERVE_S))

    async def run(self) -> ProbeResult:
        """Ask what the table lists and return what was learned. Never raises for a camera's fault."""

        def count() -> None:
            self._context.courtesy.reads += 1

        scheme = "https" if self._target.tls else "http"
        failure: AdapterError | None = None
        async with HttpClient(
            self._context.dialer,
            self._context.clock,
            self._target.host,
            on_request=count,
            tap=self._context.tap,
        ) as http:
            self._session = ReadSession(
                http,
                f"{scheme}://{self._target.authority}",
                self._request.credential,
                self._context,
                deadline=self._deadline,
                explain=self._family.explain,
            )
            try:
                await self._steps()
            except Ended as ended:
                failure = ended.error
                self._after(ended)
                self._tell("failed", str(failure))
        self._conclude(failure)
        return ProbeResult(self._facts.observations(), self._offers, self._snapshot, failure)

    async def _steps(self) -> None:
        family = self._family
        self._tell("running", f"asking {self._target.authority} without a login", step="address")
        stranger = await self._reach()
        self._tell("ok", "answers over HTTP")

        self._tell("running", f"reading what the device is over {family.interface}", step="login")
        identity = [read for read in family.reads if read.identity]
        await self._identify(identity, stranger)
        self._facts.saw("vendor.family", family.name, f"{family.interface} probe")
        self._facts.saw("vendor.interface", family.interface, f"{family.interface} probe")
        self._tell("ok", self._login_sentence())

        self._tell("running", "reading its settings", step="identify")
        for read in family.reads:
            if not read.identity:
                await self._read(read)
        told = [self._facts.value(f"device.{name}") for name in ("manufacturer", "model", "firmware")]
        self._tell("ok", " ".join(str(word) for word in told if word) or "the device does not say what it is")

        self._tell("running", "working out its streams and still", step="picture")
        main = self._streams()
        await self._still(main)
        if self._offers:
            first = self._offers[0]
            self._tell(
                "ok", f"{first.encoding or 'video'} {first.width}x{first.height} at {first.target.url}"
            )
        else:
            self._tell("failed", "the device tells of no stream")

    def _tell(self, state: str, detail: str, *, step: str = "") -> None:
        self._step = step or self._step
        self._context.progress(Progress(self._step, state, detail))

    async def _reach(self) -> HttpReply | None:
        """Ask three times as a stranger: reachability, and the challenge. Return the last reply."""
        read, answers, slowest_s = self._family.reach, 0, 0.0
        last: AdapterError | None = None
        reply: HttpReply | None = None
        for _attempt in range(REACH_READS):
            try:
                reply = await self._session.as_stranger(read, limit_s=REACH_LIMIT_S)
            except AdapterError as error:
                last = error
                hopeless = isinstance(error, (Unreachable, AddressRefused, TlsFailed, RemoteProtocolError))
                if not answers and (hopeless or self._session.stopped is not None):
                    self._facts.failed(("reach.answers", "reach.slowest_s"), error, read.name)
                    raise Ended(error, read.name) from error
                if self._session.stopped is not None:
                    break
            else:
                answers += 1
                slowest_s = max(slowest_s, reply.took_s)
        if not answers and last is not None:
            self._facts.failed(("reach.answers", "reach.slowest_s"), last, read.name)
            raise Ended(last, read.name) from last
        self._facts.saw("reach.answers", answers, read.name, reply)
        self._facts.saw("reach.slowest_s", round(slowest_s, 3), read.name, reply)
        if self._session.stopped is not None:
            raise Ended(self._session.stopped, read.name)
        return reply

    async def _identify(self, identity: Iterable[Read], stranger: HttpReply | None) -> None:
        """Make the reads that show that this is the vendor's device; the first of them logs in."""
        error: AdapterError | None = None
        spoke = False
        operation = ""
        for read in identity:
            failed = await self._read(read)
            operation = read.name
            spoke = spoke or failed is None or isinstance(failed, PermissionDenied)
            error = failed or error
        if spoke or error is None:
            if stranger is not None and stranger.status == 200 and not self._session.guarded:
                self._notes.quirk("answers_without_login")
            return
        if isinstance(error, Unsupported) or (
            isinstance(error, RemoteProtocolError) and error.reason is Reason.NOT_THE_PROTOCOL
        ):
            error = RemoteProtocolError(
                f"{operation}: {self._session.peer} answers, but not with {self._family.interface}",
                reason=Reason.NOT_THE_PROTOCOL,
                peer=self._session.peer,
                operation=operation,
                hint="Check the maker and the web port of the camera, or try onvif://host:port",
            )
        raise Ended(error, operation)

    async def _read(self, read: Read) -> AdapterError | None:
        """Make one read of the table and record what it tells. Return what went wrong, or end the probe."""
        if not read.when(self._notes):
            return None
        if self._deadline.remaining_s() < _LEFT_S:
            self._facts.missed(read.facts, Reason.NOT_ASKED, "not asked: no time was left for it", read.name)
            return None
        offsets: list[float] = []
        for attempt in range(read.times):
            try:
                reply = await self._session.ask(read)
                found = read.take(reply, self._notes)
            except AdapterError as error:
                if attempt:
                    break
                if isinstance(error, Unsupported):
                    for fact, value in read.unknown.items():
                        self._facts.saw(fact, value, read.name)
                self._facts.failed(read.facts, error, read.name)
                self._end_if_final(error, read.name)
                return error
            offset = found.get("time.offset_s")
            if isinstance(offset, float):
                offsets.append(offset)
            if not attempt:
                self._record(read, reply, found)
        if len(offsets) > 1:
            self._saw("time.offset_s", round(median(offsets), 3), read, reply)
        return None

    def _record(self, read: Read, reply: HttpReply, found: Mapping[str, Value]) -> None:
        for name in reply.quirks:
            self._notes.quirk(name)
        for fact in read.facts:
            if fact in found and (fact in _GROWING or not self._facts.seen(fact)):
                self._saw(fact, found[fact], read, reply)
        open_still = [fact for fact in read.facts if fact not in found]
        self._facts.missed(
            open_still, Reason.EMPTY_REPLY, f"{read.name}: the answer does not tell it", read.name
        )

    def _saw(self, fact: str, value: Value, read: Read, reply: HttpReply) -> None:
        self._facts.saw(fact, value, read.name, reply, quote=read.quote)
        self._notes.facts[fact] = value

    def _end_if_final(self, error: AdapterError, operation: str) -> None:
        """End the probe where going on is useless or impolite."""
        stopped = self._session.stopped
        if isinstance(error, _FINAL) or self._session.failure is error or stopped is not None:
            raise Ended(error, operation) from error

    def _streams(self) -> VendorStream | None:
        """Make facts and offers of the streams; return the main stream of the camera that is meant."""
        operation = f"{self._family.interface} streams"
        streams = tuple(self._notes.streams[:MAX_STREAMS])
        if streams:
            self._facts.saw("vendor.streams", tuple(stream.as_value() for stream in streams), operation)
        else:
            reason, detail = self._facts.absence("vendor.streams") or (
                Reason.EMPTY_REPLY,
                "no stream is told",
            )
            self._facts.missed(("vendor.streams", "media.video_sources", *CLAIMS), reason, detail, operation)
            streams = self._family.usual
        channels = tuple(dict.fromkeys(stream.channel for stream in streams))
        chosen = channels[0]
        meant = self._request.video_source or self._target.source
        if meant in {str(channel) for channel in channels}:
            chosen = int(meant)
        ordered = sorted(
            streams, key=lambda stream: stream.channel != chosen
        )  # stable: only the chosen moves up
        port = self._facts.value("service.rtsp_port")
        rtsp = Target("rtsp", self._target.host, port if isinstance(port, int) else RTSP_PORT)
        on = not self._rtsp_is_off()
        self._offers = tuple(
            StreamOffer(
                replace(rtsp, path=stream.path),
                stream.layer,
                stream.encoding,
                stream.width,
                stream.height,
                media_profile_token=stream.id,
                video_source_token=str(stream.channel),
            )
            for stream in ordered
            if on and stream.path and stream.layer in {"main", "sub"} and stream.enabled is not False
        )
        mine = [stream for stream in ordered if stream.channel == chosen]
        if self._notes.streams:
            self._facts.saw("media.video_sources", len(channels), operation)
            for layer in ("main", "sub"):
                self._claims(layer, next((stream for stream in mine if stream.layer == layer), None))
        return next((stream for stream in mine if stream.layer == "main"), None)

    def _claims(self, layer: str, stream: VendorStream | None) -> None:
        operation = f"{self._family.interface} streams"
        for name, field in _CLAIMS.items():
            fact = f"stream.{layer}.{name}"
            value = getattr(stream, field) if stream is not None else None
            if value:
                self._facts.saw(fact, value, operation)
            elif stream is None:
                detail = f"{operation}: the device has no {layer} stream"
                self._facts.missed((fact,), Reason.DENIED_BY_DEVICE, detail, operation)
            else:
                detail = f"{operation}: the stream {stream.id} does not tell it"
                self._facts.missed((fact,), Reason.EMPTY_REPLY, detail, operation)

    def _rtsp_is_off(self) -> bool:
        """Tell whether the device says itself that its RTSP service is switched off."""
        ports = self._facts.value("service.ports")
        return any(
            isinstance(entry, Mapping) and entry.get("name") == "rtsp" and entry.get("enabled") is False
            for entry in (ports if isinstance(ports, tuple) else ())
        )

    async def _still(self, main: VendorStream | None) -> None:
        """Ask for the still as a stranger, then with the login (SEC-01, STR-13); no picture is read."""
        operation = "HTTP GET snapshot"
        path = self._family.still(main) if main is not None else ""
        if not path or self._session.stopped is not None or self._deadline.remaining_s() < _LEFT_S:
            self._facts.missed(STILL, Reason.NOT_ASKED, f"{operation}: not asked", operation)
            return
        read = replace(self._family.reach, name=operation, body=b"")
        parts = urlsplit(self._session.base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._snapshot = Target(parts.scheme, self._target.host, port, path)
        try:
            reply = await self._session.as_stranger(read, path=path, read_body=False)
            if not self._judge_still(reply, operation):
                return
            if reply.status == 401 and self._session.accepted:
                reply = await self._session.ask(read, path=path, read_body=False)
        except PermissionDenied as error:
            self._facts.failed(STILL, error, operation)
        except AdapterError as error:
            self._facts.failed(STILL, error, operation)
            self._end_if_final(error, operation)
        else:
            self._facts.saw("snapshot.status", reply.status, operation, reply)
            if reply.status == 200 and reply.media_type:
                self._facts.saw("snapshot.content_type", reply.media_type[:64], operation, reply)
            else:
                detail = f"{operation}: HTTP {reply.status} names no media type"
                self._facts.missed(("snapshot.content_type",), Reason.EMPTY_REPLY, detail, operation)

    def _judge_still(self, reply: HttpReply, operation: str) -> bool:
        """Record what the still's address says to a stranger. Return whether there is a still at all."""
        if reply.status in {401, 403}:
            self._facts.saw("snapshot.anonymous", "refused", operation, reply)
            return True
        if reply.status == 200 and not reply.media_type.startswith("text/"):
            self._facts.saw("snapshot.anonymous", "answered", operation, reply)
            return True
        self._snapshot = None
        if reply.status in {404, 501}:
            self._facts.saw("snapshot.anonymous", "none", operation, reply)
            detail = f"{operation}: the device does not have it (HTTP {reply.status})"
            self._facts.missed(STILL, Reason.DENIED_BY_DEVICE, detail, operation)
            return False
        detail = f"{operation}: HTTP {reply.status} with {reply.media_type or 'no media type'}, no picture"
        self._facts.missed(STILL, Reason.CONTRADICTORY, detail, operation)
        return False

    def _login_sentence(self) -> str:
        if self._session.accepted:
            return f"logged in ({self._session.scheme})"
        return "the device answers without a login"

    def _after(self, ended: Ended) -> None:
        """Give every open fact the reason of the end."""
        reason, detail = why(ended.error)
        if isinstance(ended.error, (AuthenticationFailed, CoolingDown)):
            reason, detail = Reason.NO_CREDENTIAL, f"not asked: {detail}"
        self._about_http(ended.operation)
        self._facts.missed(self._family.facts, reason, detail, ended.operation)

    def _about_http(self, operation: str) -> None:
        """Record what the replies showed beside their content: schemes and TLS."""
        last = self._session.last_http
        if last is None:
            return
        self._facts.saw("http.auth_schemes", tuple(self._session.schemes), operation)
        self._facts.saw("http.tls", last.tls or "none", operation)
        if last.tls_seen is not None:
            for fact, value in last.tls_seen.facts("tls", self._context.clock.now()).items():
                self._facts.saw(fact, value, operation)

    def _conclude(self, failure: AdapterError | None) -> None:
        """Record what the whole probe tells, and close every fact that is still open."""
        session, facts, family = self._session, self._facts, self._family
        step = f"{family.interface} probe"
        facts.saw("target.interfaces", (family.name, "rtsp") if self._offers else (family.name,), step)
        if self._request.credential is None:
            facts.missed(("credential.accepted",), Reason.NO_CREDENTIAL, "no credential was supplied", step)
        elif session.accepted:
            facts.saw("credential.accepted", True, step)
        elif isinstance(session.failure, AuthenticationFailed) and session.failure.credential_sent:
            facts.saw("credential.accepted", False, step)
        elif session.failure is not None or failure is not None:
            facts.failed(("credential.accepted",), session.failure or failure, step)  # type: ignore[arg-type]
        else:
            detail = "the device answers without a login, so the credential was not sent"
            facts.missed(("credential.accepted",), Reason.NOT_ASKED, detail, step)
        if failure is not None:
            return
        self._about_http(step)
        facts.saw("vendor.quirks", tuple(sorted(self._notes.quirks)), step)
        facts.missed(family.facts, Reason.NOT_ASKED, "not asked by this probe", step)


class VendorAdapter(NoMedia):
    """Implements `adapters.port.Adapter` for one family; holds nothing of any camera."""

    def __init__(self, family: Family) -> None:
        self._family = family

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect what the device tells over the vendor's interface. Never raises for a camera's fault."""
        return await VendorProbe(self._family, request, context).run()


__all__ = [
    "CLAIMS",
    "COMMON",
    "STILL",
    "Family",
    "VendorAdapter",
    "VendorProbe",
]
