"""One probe of one RTSP address: what is asked, in which order, and what each answer means as a fact."""

import asyncio
from dataclasses import replace

import structlog

from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
)
from adapters.port import (
    AccessUnit,
    CodedSample,
    ProbeContext,
    ProbeRequest,
    ProbeResult,
    Progress,
    StreamOffer,
)
from adapters.rtsp.book import FactBook, reason_of
from adapters.rtsp.client import RtspClient
from adapters.rtsp.depacketize import depacketizer_for
from adapters.rtsp.dialogue import Exchange
from adapters.rtsp.login import Accepted
from adapters.rtsp.measure import CODEC_NAMES, FORMAT_FACTS, WINDOW_FACTS, Measurement
from adapters.rtsp.policy import DEFAULT, Policies
from adapters.rtsp.sampling import Sampler
from adapters.rtsp.sdp import Media, SessionDescription, parameter_sets
from adapters.rtsp.session import Login
from adapters.rtsp.source import no_video
from adapters.rtsp.stale import StaleSessions
from adapters.rtsp.timeline import JumpPolicy
from adapters.rtsp.tolerance import Tolerances
from adapters.rtsp.tracks import OpenTrack
from adapters.rtsp.ways import WAY_FACTS, tell_transport, tell_way
from adapters.target import Target
from adapters.wire.gate import device_key
from adapters.wire.redaction import Redactor
from standards.reason import Reason

log = structlog.get_logger()

REACH_REQUESTS = 3
FIRST_PICTURE_S = 5.0  # to complete parameter sets and a decodable frame (rule STR-05)
TEARDOWN_RESERVE_S = 2.0
RUN_RESERVE_S = 1.5  # kept for each further run and for the sub-stream
MIN_WINDOW_S = 1.0
_STEP_S = 0.1

_REACH_FACTS = ("reach.answers", "reach.slowest_s")
_RTSP_FACTS = (
    "rtsp.server",
    "rtsp.methods",
    "rtsp.anonymous_describe",
    "rtsp.auth_schemes",
    "rtsp.runs_ok",
    "rtsp.tcp_transport",
    "rtsp.udp_transport",
    "credential.accepted",
    *WAY_FACTS,
)
_DESCRIBED_FACTS = ("codec", "audio_codecs")
_MAIN_FACTS = tuple(f"stream.main.{name}" for name in (*_DESCRIBED_FACTS, *FORMAT_FACTS, *WINDOW_FACTS))
_SUB_FACTS = tuple(f"stream.sub.{name}" for name in ("uri", *_DESCRIBED_FACTS, *FORMAT_FACTS, *WINDOW_FACTS))


class RtspProbe:
    """The state of one probe."""

    def __init__(
        self,
        request: ProbeRequest,
        context: ProbeContext,
        policies: Policies = DEFAULT,
        *,
        stale: StaleSessions | None = None,
    ) -> None:
        self._request = request
        self._context = context
        self._stale = stale
        # What is measured is the camera's own time, jumps included.
        self._policies = replace(policies, jump=JumpPolicy.FOLLOW)
        secrets = (request.credential.password,) if request.credential is not None else ()
        self._book = FactBook(request.target.authority, context.clock, Redactor(secrets))
        # The last seconds belong to TEARDOWN: no phase may use them up.
        allowed = request.deadline.remaining_s()
        self._deadline = request.deadline.sooner(max(allowed / 2, allowed - TEARDOWN_RESERVE_S))
        self._step = "address"
        self._login: Accepted | None = None
        self._tcp = request.transport != "udp"
        self._quirks: set[str] = set()
        self._offers: list[StreamOffer] = []
        self._samples: tuple[CodedSample, ...] = ()
        self._failure: AdapterError | None = None
        self._media_came = False
        self._run_ok = 0
        self._runs_made = 0

    async def run(self) -> ProbeResult:
        """Do everything that the deadline allows. Raises nothing for a camera's fault."""
        book, request = self._book, self._request
        book.seen("target.interfaces", ("rtsp",), "address")
        book.seen("stream.main.uri", request.target.url, "address")
        book.seen("snapshot.anonymous", "none", "address")
        try:
            await self._main_stream()
            await self._further_runs()
            await self._sub_stream()
        except AdapterError as error:
            self._fail(error)
        except (
            Exception
        ) as error:  # our bug must not look like a verdict on the camera, nor stop a batch of checks
            log.exception("rtsp.probe_failed", peer=request.target.authority)
            self._fail(
                LocalProtocolError(
                    f"the check itself failed: {type(error).__name__}", peer=request.target.authority
                )
            )
        self._conclude()
        return ProbeResult(
            book.observations(), tuple(self._offers), None, self._failure, samples=self._samples
        )

    # the main stream

    async def _main_stream(self) -> None:
        lost = asyncio.Event()
        client = self._client(self._request.target, lost)
        try:
            self._progress("address", "running")
            await self._reach(client)
            self._progress("login", "running")
            description = await self._describe(client)
            video = self._described(client, description)
            self._progress("picture", "running")
            await self._picture(client, video, lost)
        except AdapterError as error:
            self._fail(error)
        finally:
            self._answers(client)
            self._runs_made += 1
            played = any(item.operation == "RTSP PLAY" and item.status < 300 for item in client.exchanges)
            if await client.teardown() and played:
                self._run_ok += 1
            tell_way(
                self._book,
                client.target,
                played=self._media_came,
                failure=self._failure,
                seen=client.tls,
                clock=self._context.clock,
            )
            self._quirks.update(client.tolerances.names)

    async def _reach(self, client: RtspClient) -> None:
        """Ask OPTIONS three times on one connection (CON-01)."""
        deadline = self._deadline
        slowest_s, answers = 0.0, 0
        failure: AdapterError | None = None
        last: Exchange | None = None
        for _ in range(REACH_REQUESTS):
            try:
                if not client.connected:
                    await client.connect(deadline)
                await client.options(deadline)
            except AdapterError as error:
                failure = error
                if answers == 0:
                    break  # nothing answers: three times the waiting would tell no more
                continue
            answers += 1
            last = client.exchanges[-1]
            slowest_s = max(slowest_s, last.duration_s)
        if answers == 0:
            assert failure is not None
            self._book.failed(_REACH_FACTS, failure)
            raise failure
        self._book.seen("reach.answers", answers, "RTSP OPTIONS", exchange=last)
        self._book.seen("reach.slowest_s", round(slowest_s, 4), "RTSP OPTIONS", exchange=last)
        self._offers.append(StreamOffer(self._request.target, "main"))
        self._progress("address", "ok", f"RTSP answered {answers} of {REACH_REQUESTS} times")
        if not client.connected:
            await client.connect(deadline)

    async def _describe(self, client: RtspClient) -> SessionDescription:
        description = await client.describe(self._deadline)
        if client.session.login is Login.ACCEPTED:
            self._progress("login", "ok", "the camera accepted the user name and password")
        else:
            self._progress("login", "ok", "the camera asked for no password")
        return description

    def _described(self, client: RtspClient, description: SessionDescription) -> Media:
        """Note what the description tells and return its first video section."""
        exchange = _last(client, "RTSP DESCRIBE")
        audio = tuple(dict.fromkeys(item.codec for item in _audio(description) if item.codec))
        self._book.seen("stream.main.audio_codecs", audio, "RTSP DESCRIBE", exchange=exchange)
        video = _video(description)
        if video is None:
            raise no_video(client)
        if not video.codec:
            raise RemoteProtocolError(
                f"RTSP DESCRIBE of {client.peer}: the video track names no codec",
                reason=Reason.MALFORMED_MEDIA,
                peer=client.peer,
                operation="RTSP DESCRIBE",
                hint="Update the camera's firmware",
            )
        codec = CODEC_NAMES.get(video.codec, video.codec)
        self._book.seen("stream.main.codec", codec, "RTSP DESCRIBE", exchange=exchange)
        self._offers[0] = replace(self._offers[0], encoding=codec)
        return video

    async def _picture(self, client: RtspClient, video: Media, lost: asyncio.Event) -> None:
        """Set up, play, wait for the first picture, measure."""
        request, deadline = self._request, self._deadline
        sampler = Sampler(
            CODEC_NAMES.get(video.codec, video.codec),
            parameter_sets(video, client.tolerances),
            wanted=request.samples,
        )
        measurement, opened = await self._play(client, video, lost, sampler=sampler)
        try:
            await self._first_picture(client, measurement, opened, lost)
            picture = measurement.picture
            size = f", {picture.width}x{picture.height}" if picture is not None else ""
            self._progress("picture", "ok", f"{measurement.codec}{size}")
            if picture is not None:
                self._offers[0] = replace(self._offers[0], width=picture.width, height=picture.height)
            spare_s = deadline.remaining_s() - RUN_RESERVE_S * self._still_to_do()
            window_s = min(request.window_s, spare_s)
            if request.window_s > 0 and window_s >= MIN_WINDOW_S:
                self._progress("measure", "running", f"{window_s:.0f} s")
                sampler.begin(self._context.clock.monotonic(), window_s)
                await self._measure(client, measurement, window_s, lost)
                self._progress("measure", "ok")
            elif request.window_s > 0:
                self._no_window(Reason.TIMED_OUT, "no time was left for the media window")
            else:
                self._no_window(Reason.WINDOW, "no media window was asked for")
        finally:
            self._book.measured("stream.main.", measurement.window_facts(), "RTP media window")
            if measurement.packets:
                self._book.measured("stream.main.", measurement.format_facts(), "RTP first pictures")
            tell_transport(
                self._book,
                request.target,
                asked=request.transport,
                used="tcp" if opened.channels is not None else "udp",
                packets=measurement.packets,
            )
            self._media_came = measurement.packets > 0
            if sampler.sample is not None:
                self._samples = (sampler.sample,)

    async def _play(
        self, client: RtspClient, video: Media, lost: asyncio.Event, *, sampler: Sampler | None = None
    ) -> tuple[Measurement, OpenTrack]:
        """Set the track up and play it; over TCP in a new session where nothing comes over UDP (quirk 31)."""
        deadline, clock = self._deadline, self._context.clock
        measurement: Measurement | None = None

        def deliver(unit: AccessUnit) -> None:
            if measurement is not None:
                measurement.unit(unit)
            if sampler is not None:
                sampler.unit(unit)

        while True:
            opened = await client.setup(video, deadline, deliver=deliver, tcp=self._tcp)
            measurement = Measurement(
                CODEC_NAMES.get(video.codec, video.codec),
                opened.track.clock_rate_hz,
                opened.track.parameter_sets,
                wall=clock.now(),
                now_s=clock.monotonic(),
            )
            opened.receiver.observer = measurement
            await client.play(deadline)
            if await client.media_comes(deadline):
                return measurement, opened
            self._book.seen("rtsp.udp_transport", False, "RTSP media")
            self._tcp = True
            description = await client.start_over(deadline)
            lost.clear()
            again = _video(description)
            if again is None:
                raise no_video(client)
            video = again

    async def _first_picture(
        self, client: RtspClient, measurement: Measurement, opened: OpenTrack, lost: asyncio.Event
    ) -> None:
        """Wait for a decodable frame; go on without one where packets flow (a key frame may be far away).

        Raises:
            TimedOut: not one RTP packet came.
            RemoteProtocolError: what came on the media channel is no RTP, or gave no picture.
            AdapterError: the connection was lost.
        """
        clock = self._context.clock
        known = depacketizer_for(opened.media.codec, 0, Tolerances()) is not None
        limit_s = min(FIRST_PICTURE_S, max(0.5, self._deadline.remaining_s()))
        ends_s = clock.monotonic() + limit_s
        while not measurement.decodable and clock.monotonic() < ends_s:
            if not known and measurement.packets:
                return
            if lost.is_set():
                break
            await _pause(lost, _STEP_S)
        if measurement.decodable:
            return
        peer, operation = client.peer, "RTSP media"
        receiver = opened.receiver
        if measurement.packets == 0 and receiver.unreadable:
            raise RemoteProtocolError(
                f"{operation} of {peer}: {receiver.unreadable} packets on the media channel are not RTP",
                reason=Reason.MALFORMED_MEDIA,
                peer=peer,
                operation=operation,
                spec="RFC 3550 section 5.1",
                hint="Restart the camera; update its firmware if it happens again",
            )
        if lost.is_set() and client.failure is not None:
            raise client.failure
        if measurement.packets == 0:
            way = "TCP" if opened.channels is not None else "UDP"
            raise TimedOut(
                f"{operation} over {way}: first RTP packet",
                waited_s=limit_s,
                peer=peer,
                hint="Restart the camera, and check that it does not serve its highest number of viewers already",
            )
        if known and measurement.units == 0:
            raise RemoteProtocolError(
                f"{operation} of {peer}: {measurement.packets} RTP packets in {limit_s:.1f} s gave no "
                f"{measurement.codec} picture",
                reason=Reason.MALFORMED_MEDIA,
                peer=peer,
                operation=operation,
                hint="Restart the camera; choose H.264 in its video settings",
            )

    async def _measure(
        self, client: RtspClient, measurement: Measurement, window_s: float, lost: asyncio.Event
    ) -> None:
        """Let the window pass; report and keep alive like any client.

        Raises:
            AdapterError: the connection was lost inside the window.
        """
        self._step = "measure"
        clock, policies = self._context.clock, self._policies
        begin_s = clock.monotonic()
        measurement.begin_window(begin_s)
        next_report_s = begin_s + min(policies.report_every_s, 1.0)
        alive_every_s = min(client.session.timeout_s / 2, policies.keepalive_cap_s)
        next_alive_s = begin_s + alive_every_s
        try:
            while (left_s := begin_s + window_s - clock.monotonic()) > 0 and not lost.is_set():
                await _pause(lost, min(left_s, 0.5))
                now_s = clock.monotonic()
                if now_s >= next_report_s:
                    client.send_receiver_reports()
                    next_report_s = now_s + policies.report_every_s
                if now_s >= next_alive_s:
                    next_alive_s = now_s + alive_every_s
                    await client.keep_alive(self._deadline)
        finally:
            measurement.end_window(clock.monotonic())
        if lost.is_set() and client.failure is not None:
            raise client.failure

    def _no_window(self, reason: Reason, detail: str) -> None:
        names = [f"stream.main.{name}" for name in WINDOW_FACTS]
        self._book.all_missed(names, reason, detail, "RTP media window")

    # what the answers tell besides

    def _answers(self, client: RtspClient) -> None:
        """Note the facts that any answer may have brought."""
        book, session = self._book, client.session
        answered = _last(client, "RTSP OPTIONS") or _last(client, "RTSP DESCRIBE")
        if answered is not None:
            if session.server:
                book.seen("rtsp.server", session.server, answered.operation, exchange=answered)
            else:
                book.missed(
                    "rtsp.server", Reason.EMPTY_REPLY, "no answer has a Server header", answered.operation
                )
            if session.methods:
                book.seen("rtsp.methods", session.methods, answered.operation, exchange=answered)
            else:
                book.missed(
                    "rtsp.methods", Reason.EMPTY_REPLY, "no answer has a Public header", answered.operation
                )
        first = client.anonymous_describe
        if first is None:
            return
        exchange = next((item for item in client.exchanges if item.response is first), None)
        if first.ok:
            book.seen("rtsp.anonymous_describe", "answered", "RTSP DESCRIBE", exchange=exchange)
        elif first.status in (401, 403):
            book.seen("rtsp.anonymous_describe", "refused", "RTSP DESCRIBE", exchange=exchange)
        else:
            book.missed(
                "rtsp.anonymous_describe",
                Reason.DEVICE_FAULT,
                f"RTSP DESCRIBE without credential was answered with {first.status}, which is neither",
                "RTSP DESCRIBE",
                exchange=exchange,
            )
        if first.ok or session.challenges:
            labels = tuple(dict.fromkeys(challenge.label for challenge in session.challenges))
            book.seen("rtsp.auth_schemes", labels, "RTSP DESCRIBE", exchange=exchange)
        if session.login is Login.ACCEPTED:
            book.seen("credential.accepted", True, "RTSP DESCRIBE")
        elif session.login is Login.REFUSED:
            book.seen("credential.accepted", False, "RTSP DESCRIBE")
        elif self._request.credential is not None and first.ok:
            book.missed(
                "credential.accepted",
                Reason.NOT_ASKED,
                "the camera asked for no password, so none was sent",
                "RTSP DESCRIBE",
            )
        self._login = client.accepted

    # further runs and the sub-stream

    def _still_to_do(self) -> int:
        return self._request.runs - 1 + (1 if self._request.sub_target is not None else 0)

    async def _further_runs(self) -> None:
        """Repeat the whole dialogue, without media, as often as asked (STR-03)."""
        request = self._request
        if self._failure is not None:
            return
        for _ in range(request.runs - 1):
            if self._deadline.remaining_s() < 0.5:
                break
            client = self._client(request.target, asyncio.Event())
            self._runs_made += 1
            try:
                await client.connect(self._deadline)
                await client.options(self._deadline)
                video = _video(await client.describe(self._deadline))
                if video is not None:
                    await client.setup(video, self._deadline, deliver=_ignore, tcp=self._tcp)
                    await client.play(self._deadline)
                    self._run_ok += await client.teardown()
            except AuthenticationFailed as error:
                self._fail(error)
                break
            except AdapterError as error:
                log.info("rtsp.run_failed", peer=client.peer, code=error.code)
            finally:
                await client.teardown()
                self._quirks.update(client.tolerances.names)

    async def _sub_stream(self) -> None:
        """Describe the sub-stream that was named; play it only where its description lacks the parameter sets."""
        request, book = self._request, self._book
        target = request.sub_target
        if target is None:
            detail = "no address of a sub-stream is known"
            book.all_missed(_SUB_FACTS, Reason.NO_DECLARATION, detail, "address")
            return
        book.seen("stream.sub.uri", target.url, "address")
        if device_key(target) != device_key(request.target):
            self._sub_missed(Reason.NO_PERMISSION, "the sub-stream's address names another device")
            return
        if self._failure is not None:
            self._sub_missed(reason_of(self._failure), "the main stream failed before")
            return
        lost = asyncio.Event()
        client = self._client(target, lost)
        try:
            await client.connect(self._deadline)
            description = await client.describe(self._deadline)
            exchange = _last(client, "RTSP DESCRIBE")
            video = _video(description)
            if video is None:
                raise no_video(client)
            codec = CODEC_NAMES.get(video.codec, video.codec)
            audio = tuple(dict.fromkeys(item.codec for item in _audio(description) if item.codec))
            book.seen("stream.sub.audio_codecs", audio, "RTSP DESCRIBE", exchange=exchange)
            book.seen("stream.sub.codec", codec, "RTSP DESCRIBE", exchange=exchange)
            clock = self._context.clock
            measurement = Measurement(
                codec,
                video.clock_rate_hz or 90000,
                parameter_sets(video, client.tolerances),
                wall=clock.now(),
                now_s=clock.monotonic(),
            )
            if measurement.picture is None:
                measurement, opened = await self._play(client, video, lost)
                await self._first_picture(client, measurement, opened, lost)
            facts = measurement.format_facts()
            if measurement.first_frame_s is None:
                facts.pop("first_frame_s")
            book.measured("stream.sub.", facts, "RTSP DESCRIBE")
            picture = measurement.picture
            width, height = (picture.width, picture.height) if picture is not None else (0, 0)
            self._offers.append(StreamOffer(target, "sub", codec, width, height))
        except AdapterError as error:
            book.failed(
                _SUB_FACTS, error
            )  # the main stream's verdicts stand; the sub-stream's facts say why not
        finally:
            await client.teardown()
            self._quirks.update(client.tolerances.names)
        self._sub_missed(Reason.NOT_ASKED, "the sub-stream is described, not measured")

    def _sub_missed(self, reason: Reason, detail: str) -> None:
        self._book.all_missed(_SUB_FACTS, reason, detail, "RTSP DESCRIBE")

    # the end

    def _fail(self, error: AdapterError) -> None:
        if self._failure is None:
            self._failure = error
            self._progress(self._step, "failed", str(error))

    def _conclude(self) -> None:
        """Give every fact that is still open its reason."""
        book, failure = self._book, self._failure
        if self._runs_made and failure is None and self._run_ok == self._runs_made < self._request.runs:
            book.missed(
                "rtsp.runs_ok",
                Reason.TIMED_OUT,
                f"the time allowed for {self._runs_made} of {self._request.runs} runs, all good",
                "RTSP runs",
            )
        elif failure is None:
            book.seen("rtsp.runs_ok", self._run_ok, "RTSP OPTIONS DESCRIBE SETUP PLAY TEARDOWN")
        if "reach.answers" in book:
            book.seen("rtsp.quirks", tuple(sorted(self._quirks)), "RTSP")
        if self._request.credential is None:
            book.missed(
                "credential.accepted", Reason.NO_CREDENTIAL, "no credential was supplied", "RTSP DESCRIBE"
            )
        names = (*_REACH_FACTS, *_RTSP_FACTS, "rtsp.quirks", *_MAIN_FACTS, *_SUB_FACTS)
        if failure is not None:
            book.failed(names, failure)
        book.all_missed(names, Reason.EMPTY_REPLY, "no answer of the camera told it", "RTSP")

    def _client(self, target: Target, lost: asyncio.Event) -> RtspClient:
        return RtspClient(
            target,
            self._request.credential,
            self._context,
            policies=self._policies,
            login=self._login,
            stale=self._stale,
            on_lost=lambda _error: lost.set(),
        )

    def _progress(self, step: str, state: str, detail: str = "") -> None:
        self._step = step
        self._context.progress(Progress(step, state, detail))


def _video(description: SessionDescription) -> Media | None:
    return next((item for item in description.receivable() if item.kind == "video"), None)


def _audio(description: SessionDescription) -> tuple[Media, ...]:
    return tuple(item for item in description.receivable() if item.kind == "audio")


def _last(client: RtspClient, operation: str) -> Exchange | None:
    return next((item for item in reversed(client.exchanges) if item.operation == operation), None)


def _ignore(_unit: AccessUnit) -> None:
    """Drop a picture: a run without a window shows that the dialogue works."""


async def _pause(lost: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than the connection lives."""
    try:
        async with asyncio.timeout(seconds):
            await lost.wait()
    except TimeoutError:
        return
