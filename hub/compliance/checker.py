"""The checker: permission, probe, hub facts, assessment. One camera, one run, at most `limit_s` seconds.

It never raises for a camera's fault. What stops a run before or while it talks to the camera (an address that is
refused, a cool-down, a dead device) comes back as `CheckOutcome.failure`, with every fact that is missing for it
NotObserved, so that the report can say what was not seen and why.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib.metadata import version

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AddressRefused,
    AuthenticationFailed,
    CoolingDown,
    LocalProtocolError,
    TimedOut,
)
from adapters.port import (
    Courtesy,
    Permission,
    ProbeContext,
    ProbeRequest,
    ProbeResult,
    Progress,
    PushDesk,
    StreamOffer,
)
from adapters.registry import Registry
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.dialer import Dialer
from adapters.wire.gate import CredentialGate, device_key
from adapters.wire.tap import Tap
from adapters.wire.tls_legacy import FACT as LEGACY_REFUSED
from adapters.wire.tls_legacy import legacy_refused
from hub.compliance.derived import worked_out
from hub.compliance.known import joined
from hub.compliance.lan import LanRequest, Neighbour
from hub.compliance.pictures import RESERVED_S, WANTED, picture_facts, still_of
from hub.compliance.suppliers import absence_of, suppliers_of
from hub.decode.service import DecodeService, Still
from standards.advisories import Advisories, shipped
from standards.assess import assess
from standards.assessment import Assessment
from standards.factory_defaults import is_factory_default
from standards.observation import (
    Method,
    NotObserved,
    Observation,
    Observations,
    Observed,
    Provenance,
    Value,
)
from standards.pack import Packs
from standards.profile import StandardProfile
from standards.reason import Reason
from standards.waiver import Attestation, Waiver

_log = structlog.get_logger(__name__)

RTSP_ONLY = "the address given is RTSP only; give onvif://host:port to check ONVIF"
VENDOR_ONLY = "the address given is of the maker's own interface; give onvif://host:port to check ONVIF"
PUSHED = "the camera pushes its stream to the hub and cannot be dialled"
NO_TLS = "the address given does not speak TLS; give onvifs:// or rtsps:// where the camera has it"
_UNTOLD = {
    "vendor.family": "the device's words name no maker that is known here",
    "firmware.flaws": "the device did not tell its model and firmware",
}
_OF_TLS = ("tls.", "rtsps.")
_OF_ONVIF = ("onvif.", "time.", "device.", "http.")
_OF_PEOPLE = ("custodian.", "consent.", "purpose.", "signage.", "place.")
_OF_THE_HUB = ("relay.", "catalog.", "uptime.")
_MARGIN_S = 1.0  # kept back from the adapters' deadline for the assessment and for closing connections


OverTime = Callable[[Observations], Awaitable[Mapping[str, Observation]]]


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """One check: which camera, with what, by whose leave, against which standard.

    `window_s` is the media window in which all stream rules are measured side by side; `limit_s` bounds the whole run.
    `declared` holds what people declared and what the catalog knows (custodian, consent, place, up-time).
    """

    target: Target
    credential: Credential | None
    permission: Permission
    standard: str = "technical"
    window_s: float = 8.0
    runs: int | None = None  # complete RTSP runs; None takes what the standard asks for in STR-03
    transport: str = "auto"  # tcp | udp | auto
    sub_target: Target | None = None
    vendor: str = (
        ""  # maker that the owner named (`adapters.vendors`), where no interface tells the stream's address
    )
    extended: bool = True  # with the reads beyond identity and streams; a sweep leaves them out
    video_source: str = (
        ""  # token of the video source that is the camera, on a device with several; "" the first
    )
    declared: Observations = field(default_factory=Observations)
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    enrolled_at: datetime | None = None
    camera: str = ""
    limit_s: float = 20.0
    still: bool = False  # keep one picture of the check: a view, and decided by whoever asks for the check
    ports: str = ""  # who agreed to tests of ports (SEC-13, SEC-14, CON-08); "" for nobody, and none is tried
    over_time: OverTime | None = None  # what a hub works out from this run and those before it


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check brought. `failure` is what ended the probe early, if something did."""

    assessment: Assessment
    observations: Observations
    offers: tuple[StreamOffer, ...]
    snapshot: Target | None
    courtesy: Courtesy
    failure: AdapterError | None
    started_at: datetime
    seconds: float
    still: Still | None = None


@dataclass(frozen=True)
class Checker:
    """Runs checks. Holds no state of its own: cool-downs and slots live in the gate's book."""

    registry: Registry
    dialer: Dialer
    gate: CredentialGate
    clock: Clock
    packs: Packs
    tap: Tap | None = None
    advisories: Advisories = field(default_factory=shipped)
    decode: DecodeService | None = None  # without it no picture is judged, and the report says so
    pushes: PushDesk | None = None  # where encoders push to; None outside a hub

    async def run(
        self, request: CheckRequest, progress: Callable[[Progress], None] = lambda _progress: None
    ) -> CheckOutcome:
        """Probe the camera and judge it.

        Raises:
            standards.pack.UnknownStandard: before anything is sent.
        """
        profile = self.packs.profile(request.standard)
        started_at, started_s = self.clock.now(), self.clock.monotonic()
        courtesy = Courtesy()
        limit_s = max(request.limit_s, 2 * _MARGIN_S)
        ends = Deadline.after(self.clock, limit_s)
        result, failure = await self._probe(request, profile, courtesy, progress, limit_s)
        pictures = await picture_facts(
            result,
            self.decode,
            self.clock,
            ends,
            window_s=request.window_s,
            peer=request.target.authority,
            device=device_key(request.target),
        )
        still = None
        if request.still:
            still = await still_of(result, self.decode, ends, device=device_key(request.target))
        seen = Observations(pictures).merged(result.observations)
        if request.ports and failure is None and request.target.port:
            near = Neighbour(self.dialer, self.clock)
            known = frozenset({request.target.port, *(offer.target.port for offer in result.offers)})
            seen = seen.merged(await near.look(LanRequest(request.target, request.ports, known)))
        if request.extended:
            seen = seen.merged(await self._old_tls(request.target, seen, courtesy, ends))
        follows = dict(worked_out(seen, self.advisories, self.clock.now()))
        if request.over_time is not None:
            follows.update(await request.over_time(seen))
        observations = self._complete(request, seen, follows, failure)
        progress(Progress("rules", "running", f"{len(profile.rules)} rules"))
        assessment = assess(
            observations,
            profile,
            waivers=request.waivers,
            attestations=request.attestations,
            as_of=self.clock.now(),
            enrolled_at=request.enrolled_at,
            camera=request.camera or request.target.url,
        )
        progress(Progress("rules", "ok", f"{len(assessment.findings)} rules"))
        return CheckOutcome(
            assessment=assessment,
            observations=observations,
            offers=result.offers,
            snapshot=result.snapshot,
            courtesy=courtesy,
            failure=failure,
            started_at=started_at,
            seconds=self.clock.monotonic() - started_s,
            still=still,
        )

    def reassess(
        self,
        observations: Mapping[str, Observation],
        standard: str,
        *,
        as_of: datetime | None = None,
        waivers: Iterable[Waiver] = (),
        attestations: Iterable[Attestation] = (),
        enrolled_at: datetime | None = None,
        camera: str = "",
    ) -> Assessment:
        """Judge stored observations again, without a packet. `as_of` is now where it is not given.

        Raises:
            standards.pack.UnknownStandard: no such standard.
        """
        return assess(
            observations,
            self.packs.profile(standard),
            waivers=waivers,
            attestations=attestations,
            as_of=as_of or self.clock.now(),
            enrolled_at=enrolled_at,
            camera=camera,
        )

    async def _probe(
        self,
        request: CheckRequest,
        profile: StandardProfile,
        courtesy: Courtesy,
        progress: Callable[[Progress], None],
        limit_s: float,
    ) -> tuple[ProbeResult, AdapterError | None]:
        """Probe within the limit. Every error comes back as the failure; a bug of an adapter as LocalProtocolError."""
        context = ProbeContext(
            dialer=self.dialer,
            gate=self.gate,
            clock=self.clock,
            device=device_key(request.target),
            progress=progress,
            courtesy=courtesy,
            tap=self.tap,
            pushes=self.pushes,
        )
        judged = self.decode is not None and request.window_s > 0
        kept_back_s = _MARGIN_S + (RESERVED_S if judged and limit_s > 4 * RESERVED_S else 0.0)
        probe = ProbeRequest(
            target=request.target,
            credential=request.credential,
            permission=request.permission,
            deadline=Deadline.after(self.clock, limit_s - kept_back_s),
            window_s=request.window_s,
            runs=request.runs or _runs(profile),
            sub_target=request.sub_target,
            transport=request.transport,
            vendor=request.vendor,
            extended=request.extended,
            video_source=request.video_source,
            samples=WANTED if judged else 0,
        )
        peer = request.target.authority
        _log.info("check.started", peer=peer, standard=profile.id, basis=request.permission.basis)
        nothing = ProbeResult(Observations())
        try:
            async with asyncio.timeout(limit_s):
                result = await self.registry.probe(probe, context)
        except AdapterError as error:
            return nothing, error
        except TimeoutError:
            return nothing, TimedOut("check", waited_s=limit_s, peer=peer)
        except Exception as error:  # noqa: BLE001  an adapter's bug costs this check, not the caller
            _log.exception("check.adapter_broke", peer=peer, scheme=request.target.scheme)
            return nothing, LocalProtocolError(
                f"the adapter for {request.target.scheme}:// broke: {type(error).__name__}",
                peer=peer,
                operation="probe",
                hint="This is a fault of camhub, not of the camera; report it with the log",
            )
        failure = result.failure
        if failure is not None and not isinstance(failure, AdapterError):
            failure = LocalProtocolError(f"the probe ended early: {type(failure).__name__}", peer=peer)
        return result, failure

    async def _old_tls(
        self, target: Target, seen: Observations, courtesy: Courtesy, ends: Deadline
    ) -> dict[str, Observation]:
        """Ask a service that has just spoken TLS whether it still speaks an old version (SEC-09): one connection, no login."""
        spoken = seen.get("tls.version")
        if not isinstance(spoken, Observed) or not target.tls or LEGACY_REFUSED in seen:
            return {}
        courtesy.reads += 1
        deadline = ends.sooner(max(0.0, ends.remaining_s() - _MARGIN_S / 2))
        told = await legacy_refused(self.dialer, self.clock, target, deadline, spoken=str(spoken.value))
        return {LEGACY_REFUSED: told}

    def _complete(
        self,
        request: CheckRequest,
        seen: Observations,
        follows: Mapping[str, Observation],
        failure: AdapterError | None,
    ) -> Observations:
        """Add what the hub knows, and give every fact that a rule may ask for its value or its reason."""
        own = Observations(self._hub_facts(request))
        facts = dict(joined(follows, joined(request.declared, own.merged(seen))))
        for fact in self._asked:
            if fact not in facts:
                facts[fact] = self._absent(fact, request, failure)
        return Observations(facts)

    @cached_property
    def _asked(self) -> tuple[str, ...]:
        """Return the facts that any known rule looks at."""
        return tuple(sorted({fact for rule in self.packs.rules.values() for fact in rule.facts}))

    def _hub_facts(self, request: CheckRequest) -> dict[str, Observation]:
        interface = _interface(request.target)
        spoken = ("whip",) if interface == "whip" else tuple(dict.fromkeys((interface, "rtsp")))
        facts: dict[str, Observation] = {
            "target.scheme": self._known("address as given", request.target.scheme),
            "target.interfaces": self._known("address as given", spoken),
            "credential.supplied": self._known("credential as given", request.credential is not None),
        }
        operation = "list of factory defaults"
        if request.credential is None:
            facts["credential.factory_default"] = NotObserved(
                Reason.NO_CREDENTIAL, "no credential was supplied", self._provenance(operation)
            )
        else:
            listed = is_factory_default(request.credential.user, request.credential.password.reveal())
            facts["credential.factory_default"] = self._known(operation, listed)
        return facts

    def _absent(self, fact: str, request: CheckRequest, failure: AdapterError | None) -> NotObserved:
        """Say why a fact is missing: not declared, not the camera's interface, or the probe ended before it."""
        provenance = self._provenance("check")
        absence = absence_of(fact)
        if absence is not None:
            return NotObserved(absence.reason, absence.detail, provenance)
        if fact.startswith(_OF_PEOPLE):
            return NotObserved(Reason.NO_DECLARATION, "nothing was declared", provenance)
        if fact.startswith(_OF_THE_HUB):
            return NotObserved(
                Reason.NOT_ASKED, "known only to a hub in which the camera is enrolled", provenance
            )
        if not request.target.port:
            return NotObserved(Reason.NO_VANTAGE, PUSHED, provenance)
        if request.target.scheme.startswith("rtsp") and _beyond_rtsp(fact):
            return NotObserved(Reason.NOT_ASKED, RTSP_ONLY, provenance)
        if fact.startswith("onvif.") and _interface(request.target) != "onvif":
            return NotObserved(Reason.NOT_ASKED, VENDOR_ONLY, provenance)
        if failure is None:
            detail = NO_TLS if fact.startswith(_OF_TLS) and not request.target.tls else ""
            return NotObserved(Reason.NOT_ASKED, _UNTOLD.get(fact, detail), provenance)
        if isinstance(failure, AuthenticationFailed | CoolingDown):
            return NotObserved(Reason.NO_CREDENTIAL, str(failure), provenance)
        if fact.startswith("reach.") or isinstance(failure, AddressRefused | LocalProtocolError):
            reason = failure.reason if failure.reason is not Reason.INTERNAL else _stopped(failure)
            return NotObserved(reason, str(failure), provenance)
        return NotObserved(Reason.NOT_ASKED, f"the check ended before: {failure}", provenance)

    def _known(self, operation: str, value: Value) -> Observed:
        return Observed(value, self._provenance(operation))

    def _provenance(self, operation: str) -> Provenance:
        return Provenance(Method.EXAMINE, f"hub/{_VERSION}", operation, "hub", self.clock.now())


_VERSION = version("camhub")


def _interface(target: Target) -> str:
    """Return the interface that an address is of, as in ``target.interfaces``: onvif rtsp hikvision dahua ..."""
    family = target.scheme.partition("+")[0]
    return {"onvifs": "onvif", "rtsps": "rtsp"}.get(family, family)


def _beyond_rtsp(fact: str) -> bool:
    """Tell whether a fact is read over ONVIF or a maker's interface, never over RTSP alone."""
    modules = [module for module in suppliers_of(fact) if module.startswith("adapters.")]
    spoken = any(module.startswith(("adapters.rtsp", "adapters.wire.tls")) for module in modules)
    return fact.startswith(_OF_ONVIF) or ".claimed_" in fact or (bool(modules) and not spoken)


def _stopped(failure: AdapterError) -> Reason:
    """Return the word for what stopped a run that has no word of its own (a bad address, a busy device)."""
    return Reason.INTERNAL if isinstance(failure, LocalProtocolError) else Reason.NOT_ASKED


def _runs(profile: StandardProfile) -> int:
    """Return how many complete RTSP runs a standard asks for."""
    rule = profile.rule("STR-03")
    runs = rule.values.get("runs") if rule else None
    return runs if isinstance(runs, int) else 1
