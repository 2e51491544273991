"""The checker: a whole check against a real TCP server, through a small adapter of this test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.certificates import camera_pem

from adapters.clock import SystemClock
from adapters.errors import AdapterError, AuthenticationFailed, CoolingDown, LocalProtocolError, TimedOut
from adapters.port import AdapterManifest, Permission, ProbeContext, ProbeRequest, ProbeResult, Progress
from adapters.registry import Registry
from adapters.secret import Credential, Secret
from adapters.target import Target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, DeviceBusy, MemoryBook, device_key
from hub.compliance.checker import RTSP_ONLY, Checker, CheckOutcome, CheckRequest
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance
from standards.pack import UnknownStandard, packaged
from standards.reason import Reason
from standards.verdict import Decision, Verdict

CLOCK = SystemClock()
LEAVE = Permission("Nguyễn Văn A", "owner", datetime(2026, 11, 20, tzinfo=UTC))


class BannerAdapter:
    """Asks a server for one line three times, as a probe of its reachability."""

    def __init__(self, probe: Callable[[ProbeRequest], None] = lambda _request: None) -> None:
        self.asked: list[ProbeRequest] = []
        self._probe = probe

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        self.asked.append(request)
        self._probe(request)
        told = Provenance(Method.TEST, "banner/1", "BANNER", request.target.authority, context.clock.now())
        facts: dict[str, Observation] = {}
        context.progress(Progress("address", "running"))
        try:
            answers = 0
            for _ in range(3):
                reader, writer = await context.dialer.connect(
                    request.target.host, request.target.port, request.deadline
                )
                context.courtesy.reads += 1
                try:
                    async with request.deadline.phase("BANNER", 0.5, peer=request.target.authority):
                        answers += (await reader.readline()) == b"camera\n"
                finally:
                    writer.close()
                    await writer.wait_closed()
        except AdapterError as error:
            facts["reach.answers"] = NotObserved(error.reason, str(error), told)
            return ProbeResult(Observations(facts), failure=error)
        facts["reach.answers"] = Observed(answers, told)
        facts["reach.slowest_s"] = Observed(0.01, told)
        return ProbeResult(Observations(facts))

    async def open(self, *_args: object, **_more: object) -> object:
        raise NotImplementedError


def checker(
    adapter: BannerAdapter, policy: NetworkPolicy = LAN_AND_LOOPBACK, scheme: str = "rtsp"
) -> Checker:
    registry = Registry()
    registry.add(AdapterManifest("banner", "1", (scheme,), {scheme: 1}, ("reach.",), lambda: adapter))  # type: ignore[arg-type,return-value]
    return Checker(registry, Dialer(policy), CredentialGate(MemoryBook(CLOCK), CLOCK), CLOCK, packaged())


@asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[Target]:
    """A server that says one line, or (None) accepts and says nothing."""
    over = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield Target("rtsp", "127.0.0.1", listening.sockets[0].getsockname()[1], "/main")
        over.set()


async def check(target: Target, one: Checker, **more: object) -> CheckOutcome:
    return await one.run(CheckRequest(target, None, LEAVE, **more))  # type: ignore[arg-type]


def test_a_check_joins_the_probe_with_what_the_hub_knows() -> None:
    """The probe's facts are judged together with the hub's; an RTSP address leaves ONVIF unasked, with the way to ask."""

    async def run() -> None:
        async with server(b"camera\n") as target:
            outcome = await check(target, checker(BannerAdapter()))
        seen = outcome.observations

        assert outcome.failure is None
        assert outcome.courtesy.reads == 3
        assert seen.value("reach.answers") == 3
        assert seen.value("target.interfaces") == ("rtsp",)
        assert seen.value("credential.supplied") is False
        assert seen["onvif.services"].detail == RTSP_ONLY  # type: ignore[union-attr]
        assert seen["stream.main.claimed_fps"].reason is Reason.NOT_ASKED  # type: ignore[union-attr]
        assert seen["place.stated"].reason is Reason.NO_DECLARATION  # type: ignore[union-attr]
        findings = outcome.assessment
        assert findings.finding("CON-01").verdict is Verdict.PASS
        assert findings.finding("SEC-02").verdict is Verdict.NOT_APPLICABLE
        assert findings.finding("SEC-03").reason is Reason.NO_CREDENTIAL
        assert findings.decision is Decision.PENDING

    asyncio.run(run())


def test_a_dead_camera_is_pending_and_the_step_is_named() -> None:
    """A server that accepts and says nothing ends as PENDING, first CON-01, whose text names the step."""

    async def run() -> None:
        async with server(None) as target:
            outcome = await check(target, checker(BannerAdapter()))

        assert isinstance(outcome.failure, TimedOut)
        assert outcome.assessment.decision is Decision.PENDING
        first = outcome.assessment.because[0]
        assert (first.rule.id, first.reason) == ("CON-01", Reason.TIMED_OUT)
        assert "BANNER" in first.text("en")
        assert "the check ended before" in outcome.observations["rtsp.runs_ok"].detail  # type: ignore[union-attr]

    asyncio.run(run())


class TlsAdapter(BannerAdapter):
    """Makes one handshake and tells what it showed."""

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        _reader, writer, seen = await context.dialer.connect_tls(
            request.target.host, request.target.port, request.deadline
        )
        writer.close()
        context.courtesy.reads += 1
        told = Provenance(Method.TEST, "banner/1", "TLS handshake", "camera", context.clock.now())
        found = seen.facts("tls", context.clock.now())
        return ProbeResult(Observations({name: Observed(value, told) for name, value in found.items()}))


@pytest.mark.parametrize(("extended", "sockets"), [(True, 2), (False, 1)])
def test_where_tls_is_spoken_old_tls_is_offered_once(tmp_path: Path, extended: bool, sockets: int) -> None:
    """A whole check makes one connection more, without a login, and counts it (SEC-09); a sweep leaves it out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(camera_pem(tmp_path / "camera.pem"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> None:
        one = checker(TlsAdapter(), scheme="onvifs")
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listening:
            target = Target("onvifs", "127.0.0.1", listening.sockets[0].getsockname()[1])
            outcome = await check(target, one, extended=extended, standard="vn-municipal-2026")

        finding = outcome.assessment.finding("SEC-09")
        assert (one.dialer.opened, outcome.courtesy.reads) == (sockets, sockets)
        if extended:
            assert outcome.observations.value("tls.legacy_refused") is True
            assert finding.verdict is Verdict.PASS
        else:
            assert (finding.verdict, finding.reason) == (Verdict.NOT_CHECKED, Reason.NOT_ASKED)

    asyncio.run(run())


def test_every_fact_of_every_rule_is_observed_or_has_a_reason() -> None:
    """After a check no fact that a rule asks for is simply absent, however the probe ended."""

    async def run() -> None:
        asked = {fact for rule in packaged().rules.values() for fact in rule.facts}
        for scheme in ("rtsp", "onvif"):
            one = checker(BannerAdapter(), NetworkPolicy(), scheme)
            outcome = await check(Target(scheme, "127.0.0.1", 1), one)
            assert asked <= set(outcome.observations)

    asyncio.run(run())


def test_a_refused_address_is_a_failure_and_nothing_was_sent() -> None:
    """An address that the dialer refuses ends as failure; no socket was opened and no fact was observed."""

    async def run() -> None:
        one = checker(BannerAdapter(), NetworkPolicy())
        outcome = await check(Target("rtsp", "169.254.169.254", 554), one)

        assert outcome.failure is not None
        assert outcome.failure.code == "address_refused"
        assert one.dialer.opened == 0
        assert outcome.observations["reach.answers"].reason is Reason.NO_PERMISSION  # type: ignore[union-attr]
        assert outcome.assessment.decision is Decision.PENDING

    asyncio.run(run())


def test_an_unknown_scheme_is_a_failure() -> None:
    """A scheme that no adapter speaks comes back as failure with the schemes that are installed."""

    async def run() -> None:
        outcome = await check(Target("onvif", "127.0.0.1", 80), checker(BannerAdapter()))

        assert outcome.failure is not None
        assert outcome.failure.code == "bad_target"
        assert "rtsp" in outcome.failure.hint

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CoolingDown("wait", until=CLOCK.now()), Reason.NO_CREDENTIAL),
        (AuthenticationFailed("no", scheme="digest", credential_sent=True), Reason.NO_CREDENTIAL),
        (ZeroDivisionError(), Reason.INTERNAL),
    ],
    ids=["cooling down", "refused", "our bug"],
)
def test_what_an_adapter_raises_becomes_the_failure(error: Exception, reason: Reason) -> None:
    """Whatever an adapter raises, the check ends with an assessment, and unseen facts carry the matching reason."""

    def fail(_request: ProbeRequest) -> None:
        raise error

    async def run() -> None:
        outcome = await check(Target("rtsp", "127.0.0.1", 9), checker(BannerAdapter(fail)))

        assert isinstance(
            outcome.failure, type(error) if isinstance(error, AdapterError) else LocalProtocolError
        )
        assert outcome.observations["rtsp.runs_ok"].reason is reason  # type: ignore[union-attr]
        assert outcome.assessment.decision is Decision.PENDING

    asyncio.run(run())


def test_a_second_check_of_a_device_waits_its_turn() -> None:
    """While one check of a device runs, another one comes back as busy and sends nothing."""

    async def run() -> None:
        async with server(b"camera\n") as target:
            one = checker(BannerAdapter())
            async with one.gate.probing(device_key(target)):
                outcome = await check(target, one)

        assert isinstance(outcome.failure, DeviceBusy)
        assert outcome.courtesy.reads == 0

    asyncio.run(run())


@pytest.mark.long
def test_the_limit_holds_against_an_adapter_that_ignores_its_deadline() -> None:
    """A probe that ignores its deadline is cut at the limit; the check still ends with an assessment."""

    class Sleeper(BannerAdapter):
        async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
            await asyncio.sleep(60)
            raise AssertionError

    async def run() -> None:
        outcome = await check(Target("rtsp", "127.0.0.1", 9), checker(Sleeper()), limit_s=2.0)

        assert isinstance(outcome.failure, TimedOut)
        assert outcome.seconds < 50

    asyncio.run(run())


def test_factory_defaults_are_recognised_without_a_packet() -> None:
    """The supplied credential is compared offline; a maker's password makes the camera REJECTED or worse to come."""

    async def run() -> None:
        async with server(b"camera\n") as target:
            one = checker(BannerAdapter())
            request = CheckRequest(target, Credential("admin", Secret("12345")), LEAVE)
            outcome = await one.run(request)

        assert outcome.assessment.decision is Decision.REJECTED
        assert outcome.assessment.because[0].rule.id == "SEC-03"
        assert outcome.courtesy.logins == 0

    asyncio.run(run())


def test_the_probe_gets_what_the_standard_and_the_caller_ask() -> None:
    """Window, transport and sub-stream travel down; the runs are those of the standard; the deadline is the limit."""

    async def run() -> None:
        adapter = BannerAdapter()
        async with server(b"camera\n") as target:
            one = checker(adapter)
            await check(target, one, window_s=3.0, transport="udp", sub_target=target)
            await check(target, one, standard="base")

        quick, base = adapter.asked
        assert (quick.window_s, quick.transport, quick.sub_target, quick.runs) == (3.0, "udp", target, 1)
        assert base.runs == 3
        assert 0 < quick.deadline.at_s - CLOCK.monotonic() <= 20
        assert quick.permission is LEAVE

    asyncio.run(run())


def test_declarations_are_judged_and_probes_win_nothing_over_them() -> None:
    """What was declared is judged beside what was seen."""

    async def run() -> None:
        told = Provenance(Method.INTERVIEW, "hub", "consent", "hub", CLOCK.now())
        declared = Observations(
            {"custodian.kind": Observed("household", told), "consent.state": Observed("missing", told)}
        )
        async with server(b"camera\n") as target:
            outcome = await check(target, checker(BannerAdapter()), standard="base", declared=declared)

        assert outcome.assessment.finding("PRV-01").reason is Reason.NO_CONSENT

    asyncio.run(run())


def test_an_unknown_standard_is_refused_before_anything_is_sent() -> None:
    """A standard that does not exist raises at once, naming those that do."""

    async def run() -> None:
        adapter = BannerAdapter()
        with pytest.raises(UnknownStandard, match="technical"):
            await check(Target("rtsp", "127.0.0.1", 9), checker(adapter), standard="technicl")
        assert adapter.asked == []

    asyncio.run(run())


def test_stored_observations_are_judged_again_without_a_packet() -> None:
    """Reassessing stored observations gives the same verdicts and dials nothing."""

    async def run() -> None:
        async with server(b"camera\n") as target:
            one = checker(BannerAdapter())
            outcome = await check(target, one)
        dialled = one.dialer.opened
        stored = Observations.from_json(outcome.observations.as_json())

        again = one.reassess(stored, "technical", as_of=outcome.assessment.as_of, camera=target.url)

        assert again.canonical() == outcome.assessment.canonical()
        assert one.dialer.opened == dialled

    asyncio.run(run())


def test_progress_is_told() -> None:
    """The steps of the adapter and the judging of rules are told as they happen."""

    async def run() -> None:
        told: list[Progress] = []
        async with server(b"camera\n") as target:
            await checker(BannerAdapter()).run(CheckRequest(target, None, LEAVE), told.append)

        assert [(one.step, one.state) for one in told] == [
            ("address", "running"),
            ("rules", "running"),
            ("rules", "ok"),
        ]

    asyncio.run(run())
