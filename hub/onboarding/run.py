"""One onboarding while it runs: probe, then one transaction, or one sentence about what went wrong."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from adapters.clock import Clock
from adapters.errors import AdapterError, NotPushed
from adapters.port import Permission, Progress, StreamOffer
from adapters.secret import Credential
from adapters.target import Target, parse_target
from adapters.wire.gate import DeviceBook, device_key
from hub.access.rights import may_measure
from hub.catalog.service import CatalogService
from hub.catalog.sources import target_json
from hub.catalog.types import PORTS_GRANTED_BY, Camera, Kind, NewCamera, NewCustodian
from hub.compliance.checker import Checker, CheckOutcome, CheckRequest, OverTime
from hub.compliance.known import Knowledge, Known, declared_facts
from hub.compliance.standing import Aftermath, StandingFacts
from hub.feeds import Feeds
from hub.observe import Metrics
from hub.onboarding.book import Onboarding, OnboardingBook
from hub.onboarding.declared import consent_gate, new_assessment, step_params
from hub.onboarding.intake import Intake
from hub.onboarding.makers import advised
from hub.onboarding.steps import FROM_PROBE, Steps
from hub.problems import STATUS, Problem
from hub.reports.document import Method, document
from hub.store.chain import Actor
from hub.store.errors import ServiceError
from hub.store.store import Store
from hub.texts import Texts
from hub.trouble import problem_of
from standards.observation import Observation, Observations, rfc3339

log = structlog.get_logger("onboarding")


@dataclass(frozen=True, slots=True)
class Parts:
    """What every run works with. `room` bounds how many probe at once; times in seconds."""

    store: Store
    book: OnboardingBook
    catalog: CatalogService
    checker: Checker
    knowledge: Knowledge
    standing: StandingFacts
    aftermath: Aftermath
    devices: DeviceBook
    clock: Clock
    texts: Texts
    metrics: Metrics
    room: asyncio.Semaphore
    window_s: float
    limit_s: float
    checking: Callable[[str], bool]  # whether a person's check of a camera runs

    def over_time(self, camera: Camera | None, address: str) -> OverTime:
        """Return what works out the facts over time once a run has seen a camera; None: one that is not enrolled."""

        async def work_out(seen: Observations) -> Mapping[str, Observation]:
            return await self.standing.worked_out(camera, address, seen, self.clock.now())

        return work_out


class Run:
    """One onboarding, from its start to its end. `on_end` is called once, whatever happened."""

    def __init__(
        self, entry: Onboarding, steps: Steps, actor: Actor, parts: Parts, on_end: Callable[["Run"], None]
    ) -> None:
        self.entry = entry
        self.steps = steps
        self.actor = actor
        self.feeds = Feeds()
        self.ended = asyncio.Event()
        self._parts = parts
        self._on_end = on_end
        self._cancelled = False
        self._task: asyncio.Task[None] | None = None

    def start(self, target: Target, credential: Credential | None, after: "Run | None" = None) -> None:
        """Begin, once `after` has ended: a recorder is asked about one of its cameras at a time."""
        self._task = asyncio.create_task(
            self._work(target, credential, after), name=f"onboarding {self.entry.id}"
        )

    async def cancel(self) -> None:
        """Stop and return once it has ended; what is being written at this moment is still written whole."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self, target: Target, credential: Credential | None, after: "Run | None") -> None:
        entry = self.entry
        try:
            if after is not None:
                await after.ended.wait()
            async with self._parts.room:
                await self._probe_and_admit(target, credential)
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            await self._end_cancelled()
        except AdapterError as error:
            await self._failed(self._trouble(error, self.steps.running, entry.request["address"]))
        except (Problem, ServiceError) as error:
            problem = error if isinstance(error, Problem) else _problem_of_service(error)
            await self._failed(problem)
        except Exception as error:
            error_id = secrets.token_hex(6)
            log.error("onboarding.broke", onboarding=entry.id, error_id=error_id, exc_info=error)
            await self._failed(
                Problem("check_broke", said_step(self._parts.texts, self.steps.running, error_id))
            )
        finally:
            self.ended.set()
            self._on_end(self)
            self._parts.metrics.onboardings.labels(entry.state).inc()
            self.feeds.put("done", {"id": entry.id})
            self.feeds.end()

    async def _probe_and_admit(self, target: Target, credential: Credential | None) -> None:
        entry, steps = self.entry, self.steps
        intake = Intake.from_json(entry.request)
        sub_target = parse_target(intake.sub_address)[0] if intake.sub_address else None
        camera = await self._parts.catalog.find(entry.recheck_of) if entry.recheck_of else None
        kind, now = await self._custodian_kind(intake), self._parts.clock.now()
        known = (
            await self._parts.knowledge.of(camera, now)
            if camera is not None
            else Known(declared_facts(intake, intake.consent, now, kind=kind))
        )
        self._show(steps.start("address"))
        outcome = await self._parts.checker.run(
            CheckRequest(
                target=target,
                credential=credential,
                permission=Permission(intake.granted_by, intake.basis, entry.started_at),
                standard=intake.standard,
                window_s=self._parts.window_s,
                sub_target=sub_target,
                vendor=intake.vendor,
                ports=_agreed_to_ports(intake, camera),
                declared=known.facts,
                waivers=known.waivers,
                attestations=known.attestations,
                enrolled_at=camera.enrolled_at if camera else None,
                limit_s=self._parts.limit_s,
                over_time=self._parts.over_time(camera, target.url),
            ),
            self._progress,
        )
        entry.courtesy = {"reads": outcome.courtesy.reads, "logins": outcome.courtesy.logins}
        self.feeds.put("courtesy", dict(entry.courtesy))
        if isinstance(outcome.failure, NotPushed) and camera is None:
            self._wait_for_encoder(outcome)
        elif outcome.failure is not None:
            problem = self._trouble(outcome.failure, _failed_step(steps, outcome.failure), target.url)
            if problem.code == "login_refused":
                until = await self._parts.devices.cooldown_until(device_key(target))
                if until is not None:
                    problem.params["until"] = rfc3339(until)
            if not intake.keep_unreachable or camera is not None:
                await self._failed(problem)
                return
            entry.problem = {"code": problem.code, "params": problem.params, "field": problem.field}
            self._fail_steps(problem)
        else:
            self._tell_outcome(outcome)
            entry.channels = channels(target, outcome.offers, outcome.observations)
        admission = asyncio.create_task(
            self._admit(intake, camera, kind, outcome=outcome, credential=credential),
            name=f"admit {entry.id}",
        )
        try:
            await asyncio.shield(admission)
        except asyncio.CancelledError:
            await admission  # too late to cancel: what is being written is written whole, and told as it is

    async def _admit(
        self,
        intake: Intake,
        camera: Camera | None,
        kind: Kind,
        *,
        outcome: CheckOutcome,
        credential: Credential | None,
    ) -> None:
        """Write everything in one transaction."""
        entry, steps = self.entry, self.steps
        self._show(steps.start("decision"))
        now = self._parts.clock.now()
        consent = None
        async with self._parts.store.write() as tx:
            if camera is None:
                made = await self._parts.catalog.register(
                    new_camera(intake, entry), self.actor, credential=credential, within=tx
                )
                camera_id = made.id
                if intake.ports:
                    granted = (intake.granted_by, intake.basis)
                    await self._parts.catalog.allow_ports(camera_id, granted, self.actor, within=tx)
                if intake.consent is not None:
                    consent = await self._parts.catalog.give_consent(
                        camera_id, intake.consent, self.actor, within=tx
                    )
            else:
                camera_id, consent = camera.id, camera.consent
            gate = consent_gate(kind, consent, now, self._parts.texts)
            method = Method(
                permission=Permission(intake.granted_by, intake.basis, entry.started_at),
                courtesy=outcome.courtesy,
                started_at=outcome.started_at,
                seconds=outcome.seconds,
                failure=outcome.failure,
            )
            name = camera.name if camera is not None else _name(intake)
            told = document(outcome.assessment, outcome.observations, target=name, method=method)
            kept = new_assessment(
                {**told, **sources_json(outcome)},
                outcome.assessment,
                outcome.observations.as_json(),
                gate,
                self._parts.texts,
            )
            stored = await self._parts.catalog.record_assessment(camera_id, kept, self.actor, within=tx)
            enrolled = await self._parts.catalog.find(camera_id, within=tx)
            if enrolled is not None:
                await self._parts.aftermath.keep(
                    tx,
                    enrolled,
                    outcome.observations,
                    standard=kept.standard,
                    decision=kept.decision,
                    assessment_id=stored.id,
                )
            said = {"decision": self._parts.texts.both(f"step.outcome.{kept.decision}")}
            decided = steps.ok("decision", said)
            settled = replace(
                entry,
                camera_id=camera_id,
                decision=kept.decision,
                state=kept.decision.lower(),
                ended_at=self._parts.clock.now(),
                steps=steps.as_json(),
            )
            await self._parts.book.save(tx, settled, forget_credential=True)
            facts = {"state": settled.state, "camera": camera_id, **entry.courtesy}
            await tx.audit("onboarding.ended", self.actor, f"onboarding/{entry.id}", facts)
        # Told only now that it is written: who hears of a camera asks for it at once.
        self._settle(settled)
        self._show(decided)
        if outcome.failure is None and may_measure(await self._parts.catalog.get(camera_id)):
            await self._parts.catalog.set_health(
                camera_id, "alive", cause=None, measured_at=outcome.started_at
            )
        log.info("onboarding.ended", onboarding=entry.id, camera_id=camera_id, state=entry.state)

    def _settle(self, settled: Onboarding) -> None:
        """Take over what was written; the entry itself is what everybody reads."""
        for name in ("camera_id", "decision", "state", "ended_at", "steps"):
            setattr(self.entry, name, getattr(settled, name))

    def _tell_outcome(self, outcome: CheckOutcome) -> None:
        """Close the steps of a probe that went through, each with what was seen."""
        steps, said = self.steps, step_params(outcome, self._parts.texts)
        self._show(steps.ok("address"))
        if outcome.observations.value("credential.accepted") is True:
            self._show(steps.ok("login"))
        else:
            why = "anonymous" if outcome.observations.value("credential.supplied") else "no_account"
            self._show(steps.skip("login", {"why": self._parts.texts.both(f"step.why.{why}")}))
        if "device" in said:
            self._show(steps.ok("identify", said))
        else:
            self._show(steps.skip("identify"))
        if "picture" in said:
            self._show(steps.ok("picture", said))
        else:
            self._show(steps.skip("picture"))
        self._show(steps.start("rules"))
        self._show(steps.ok("rules", said))
        self._tell_consent(outcome)

    def _tell_consent(self, outcome: CheckOutcome) -> None:
        steps = self.steps
        self._show(steps.start("consent"))
        intake = Intake.from_json(self.entry.request)
        kind = intake.custodian.kind if isinstance(intake.custodian, NewCustodian) else None
        if outcome.observations.value("consent.state") == "active":
            self._show(steps.ok("consent"))
        else:
            authority = kind is Kind.AUTHORITY or outcome.observations.value("consent.state") == "not_needed"
            why = "authority" if authority else "consent_missing"
            self._show(steps.skip("consent", {"why": self._parts.texts.both(f"step.why.{why}")}))

    def _wait_for_encoder(self, outcome: CheckOutcome) -> None:
        """Leave out what cannot be done before the encoder comes: it gets its token once the camera is in the list."""
        why = {"why": self._parts.texts.both("step.why.encoder_waits")}
        for name in ("address", "login", "identify", "picture"):
            self._show(self.steps.skip(name, why))
        self._show(self.steps.start("rules"))
        self._show(self.steps.ok("rules", step_params(outcome, self._parts.texts)))
        self._tell_consent(outcome)

    def _fail_steps(self, problem: Problem) -> None:
        step = self.steps.running if self.steps.running != "decision" else "address"
        title, hint = problem.said(self._parts.texts, "title"), problem.said(self._parts.texts, "hint")
        changed = self.steps.fail(step, title, hint)
        decision = self.steps.all["decision"]
        decision.state = "waiting"  # the camera is kept: there is still something to decide
        self._show(changed)

    async def _failed(self, problem: Problem) -> None:
        entry, steps = self.entry, self.steps
        step = steps.running
        title, hint = problem.said(self._parts.texts, "title"), problem.said(self._parts.texts, "hint")
        self._show(steps.fail(step, title, hint))
        entry.problem = {"code": problem.code, "params": problem.params, "field": problem.field}
        await self._ended("failed", {"problem": problem.code, "step": step})

    async def _end_cancelled(self) -> None:
        for step in self.steps.all.values():
            if step.state in {"waiting", "running"}:
                why = {"why": self._parts.texts.both("step.why.not_reached")}
                self._show(self.steps.skip(step.name, why))
        await self._ended("cancelled", {})

    async def _ended(self, state: str, facts: dict[str, Any]) -> None:
        entry = self.entry
        entry.state, entry.ended_at, entry.steps = state, self._parts.clock.now(), self.steps.as_json()
        async with self._parts.store.write() as tx:
            await self._parts.book.save(tx, entry)
            await tx.audit(
                "onboarding.ended",
                self.actor,
                f"onboarding/{entry.id}",
                {"state": state, **facts, **entry.courtesy},
            )
        log.info("onboarding.ended", onboarding=entry.id, state=state, **facts)

    def _progress(self, progress: Progress) -> None:
        """Take one step of the probe (called in the event loop)."""
        name = FROM_PROBE.get(progress.step)
        if name is None:
            return
        self._show(self.steps.start(name))

    def _show(self, changed: list[Any]) -> None:
        for step in changed:
            self.feeds.put("step", step.as_json())

    def _trouble(self, error: Exception, step: str, typed: str) -> Problem:
        problem = problem_of(error, step=step, peer=authority_of(typed), typed=typed, texts=self._parts.texts)
        return advised(problem, self.entry.request.get("vendor", ""))

    async def _custodian_kind(self, intake: Intake) -> Kind:
        if isinstance(intake.custodian, NewCustodian):
            return intake.custodian.kind
        custodian = await self._parts.catalog.custodian(intake.custodian)
        if custodian is None:
            raise Problem("custodian_unknown", {"custodian": intake.custodian}, field="custodian.id")
        return custodian.kind


def new_camera(intake: Intake, entry: Onboarding) -> NewCamera:
    """Return the catalog entry for an intake."""
    return NewCamera(
        name=_name(intake),
        address=intake.address,
        custodian=intake.custodian,
        permission={
            "granted_by": intake.granted_by,
            "basis": intake.basis,
            "granted_at": rfc3339(entry.started_at),
        },
        area=intake.area,
        sub_address=intake.sub_address,
        position=intake.position,
        notes=intake.notes,
        origin=intake.origin,
    )


def _agreed_to_ports(intake: Intake, camera: Camera | None) -> str:
    """Return who agreed to tests of ports, "" for nobody: on record of an enrolled camera, else as it is offered."""
    if camera is not None:
        return camera.permission.get(PORTS_GRANTED_BY, "")
    return intake.granted_by if intake.ports else ""


def _name(intake: Intake) -> str:
    return intake.name or authority_of(intake.address)


def sources_json(outcome: CheckOutcome) -> dict[str, Any]:
    """Return the addresses that the relay and the still need, of this camera alone; they are never shown."""
    own = outcome.offers[0].video_source_token if outcome.offers else ""
    return {
        "sources": [
            {
                "layer": offer.layer,
                "source": offer.video_source_token,
                "target": target_json(offer.target),
                "codec": offer.encoding,
                "width": offer.width,
                "height": offer.height,
            }
            for offer in outcome.offers
            if offer.video_source_token == own
        ],
        "still": target_json(outcome.snapshot) if outcome.snapshot is not None else None,
    }


def channels(target: Target, offers: tuple[StreamOffer, ...], seen: Observations) -> list[dict[str, Any]]:
    """Return the other video sources of a recorder, each with the address by which it is taken in as a camera."""
    own = offers[0].video_source_token if offers else ""
    names: dict[str, str] = {}
    profiles = seen.value("onvif.media_profiles")
    for profile in profiles if isinstance(profiles, tuple) else ():
        if isinstance(profile, Mapping) and profile.get("name"):
            names.setdefault(str(profile.get("source")), str(profile["name"])[:60])
    return [
        {
            "source": offer.video_source_token,
            "name": names.get(offer.video_source_token, ""),
            "address": replace(target, source=offer.video_source_token).url,
            "codec": offer.encoding,
            "width": offer.width,
            "height": offer.height,
        }
        for offer in offers
        if offer.layer == "main" and offer.video_source_token != own
    ]


def _failed_step(steps: Steps, error: Exception) -> str:
    return "login" if getattr(error, "code", "") in {"login_refused", "cooling_down"} else steps.running


def said_step(texts: Texts, step: str, error_id: str) -> dict[str, Any]:
    """Return the parameters of ``check_broke``."""
    return {"step": texts.both(f"step.name.{step}"), "error_id": error_id}


def _problem_of_service(error: ServiceError) -> Problem:
    if error.code in STATUS:
        return Problem(error.code, {"what": error.detail, **error.params}, field=error.field)
    return Problem("conflict", {"what": error.detail})


def authority_of(url: str) -> str:
    """Return host:port of an address."""
    return url.partition("://")[2].partition("/")[0] or url
