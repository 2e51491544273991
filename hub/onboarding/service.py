"""Onboarding: permission -> probe -> assessment -> consent gate -> admission.

Permission is recorded before the first packet. A camera, its sealed credential, its consent and its assessment are
written in one transaction, or nothing is. A failure leaves the catalog as it was and says which step failed, what
was seen and what to do; `keep_unreachable` or `keep` writes such a camera as PENDING.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from adapters.clock import Clock
from adapters.errors import BadTarget
from adapters.secret import Credential
from adapters.target import Target, parse_target
from adapters.wire.gate import DeviceBook, device_key
from hub.access.principal import Principal
from hub.catalog.areas import AreaTable
from hub.catalog.consent import checked
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera, Kind
from hub.compliance.checker import Checker
from hub.compliance.known import Knowledge
from hub.compliance.rescore import Rescorer
from hub.compliance.standing import Aftermath, StandingFacts
from hub.coordination.port import RateLimiter
from hub.feeds import Feed
from hub.observe import Metrics
from hub.onboarding.book import AGAIN, RUNNING, Onboarding, OnboardingBook
from hub.onboarding.declared import consent_gate, new_assessment
from hub.onboarding.intake import Intake
from hub.onboarding.makers import routed
from hub.onboarding.run import Parts, Run, new_camera, said_step
from hub.onboarding.steps import Steps
from hub.problems import Problem
from hub.reports.document import document
from hub.store.chain import HUB, Actor
from hub.store.errors import ServiceError
from hub.store.store import Store, new_id
from hub.texts import Texts
from hub.trouble import problem_of
from standards.observation import rfc3339

# of a stored report: what a decision without a probe takes over
KEPT = ("sources", "still", "method", "failure")
RETRIES = 3  # with another password, per device in the time of one cool-down: more would lock the camera
RETRY_WINDOW_S = 1800.0

_PUSHED = frozenset({"whip:", "whip://"})  # a camera that pushes gets a name from the hub


class OnboardingService:
    """Takes cameras in, one task each, at most some at once."""

    def __init__(
        self,
        *,
        store: Store,
        book: OnboardingBook,
        catalog: CatalogService,
        areas: AreaTable,
        checker: Checker,
        knowledge: Knowledge,
        standing: StandingFacts,
        aftermath: Aftermath,
        rescorer: Rescorer,
        standards: Callable[[], tuple[str, ...]],
        devices: DeviceBook,
        limiter: RateLimiter,
        clock: Clock,
        texts: Texts,
        metrics: Metrics,
        at_once: int,
        window_s: float,
        limit_s: float,
        default_area: str = "",
    ) -> None:
        self._parts = Parts(
            store=store,
            book=book,
            catalog=catalog,
            checker=checker,
            knowledge=knowledge,
            standing=standing,
            aftermath=aftermath,
            devices=devices,
            clock=clock,
            texts=texts,
            metrics=metrics,
            room=asyncio.Semaphore(at_once),
            window_s=window_s,
            limit_s=limit_s,
            checking=self.busy,
        )
        self._store = store
        self._book = book
        self._catalog = catalog
        self._areas = areas
        self._checker = checker
        self._knowledge = knowledge
        self._rescorer = rescorer
        self._standards = standards
        self._devices = devices
        self._limiter = limiter
        self._clock = clock
        self._texts = texts
        self._metrics = metrics
        self._default_area = default_area
        self._runs: dict[str, Run] = {}
        self._closing = False
        # told before a person's check of an enrolled camera begins: what runs by itself on that camera ends first
        self.before_recheck: Callable[[str], Awaitable[None]] = _nobody

    # --- life

    @property
    def parts(self) -> Parts:
        """Return what every run works with; those that repeat by themselves work with the same."""
        return self._parts

    async def recover(self) -> None:
        """Mark as failed what a hub that died left running: nothing of it is in the catalog."""
        for entry in await self._book.left_running():
            entry.state, entry.ended_at = "failed", self._clock.now()
            entry.problem = {
                "code": "check_broke",
                "params": said_step(self._texts, "decision", "restart"),
                "field": "",
            }
            async with self._store.write() as tx:
                await self._book.save(tx, entry)
                await tx.audit("onboarding.ended", HUB, f"onboarding/{entry.id}", {"state": "failed"})

    async def aclose(self) -> None:
        """Cancel what runs; each says so. Idempotent."""
        self._closing = True
        await asyncio.gather(*(run.cancel() for run in tuple(self._runs.values())))

    # --- what the API calls

    async def start(self, intake: Intake, credential: Credential | None, who: Principal) -> Onboarding:
        """Record the permission and begin.

        Raises:
            Problem: the standard, the area, the custodian or the maker is unknown, there is no route to the maker's
                cameras, or the hub stops.
            ServiceError: the consent does not fit, or the address is enrolled already.
        """
        if self._closing:
            raise Problem("stopping", headers={"retry-after": "5"})
        if not intake.area and self._default_area:
            intake = replace(intake, area=self._default_area)
        if intake.address.strip().lower() in _PUSHED:
            intake = replace(intake, address=f"whip://camera-{secrets.token_hex(4)}")
        await self._check(intake)
        try:
            target, inside = parse_target(intake.address)
        except BadTarget as error:
            return await self._unreadable(intake, error, who)
        found = routed(intake.address, target, intake.vendor)
        target, sub = found.target, found.sub.url if found.sub is not None else ""
        intake = replace(intake, address=target.url, sub_address=intake.sub_address or sub)
        taken = await self._catalog.at_address(target.url)
        if taken is not None:
            raise Problem("already_enrolled", {"address": target.url, "camera_id": taken.id}, field="address")
        request = {**intake.as_json(), "recheck_of": None}
        login = credential or inside if target.port else None
        return await self._begin(request, target, login, who.actor(), who.user_id)

    async def recheck(self, camera: Camera, who: Principal) -> Onboarding:
        """Probe an enrolled camera again, with its stored credential and the permission on record.

        A result replaces the decision; a failure leaves it as it is.
        """
        if self._closing:
            raise Problem("stopping", headers={"retry-after": "5"})
        for run in self._runs.values():
            if run.entry.recheck_of == camera.id:
                return run.entry
        await self.before_recheck(camera.id)
        target, _ = parse_target(camera.address)
        intake = Intake(
            address=camera.address,
            custodian=camera.custodian.id,
            granted_by=camera.permission.get("granted_by", ""),
            basis=camera.permission.get("basis", ""),
            name=camera.name,
            area=camera.area.code if camera.area else None,
            position=camera.position,
            sub_address=camera.sub_address,
            standard=await self._standard_of(camera),
        )
        request = {**intake.as_json(), "recheck_of": camera.id}
        credential = await self._catalog.credential_for(camera.id)
        return await self._begin(request, target, credential, who.actor(), who.user_id, keep_sealed=False)

    async def enrol_channels(self, entry_id: str, sources: list[str], who: Principal) -> list[Onboarding]:
        """Take in other cameras of a recorder, one after the other, by the leave and with the account of its first one.

        Those that are enrolled already are left out.

        Raises:
            Problem: ``not_found``; ``channel_unknown`` names the source; ``conflict`` where the first one is not enrolled.
        """
        if self._closing:
            raise Problem("stopping", headers={"retry-after": "5"})
        entry = await self.get(entry_id)
        first = await self._catalog.find(entry.camera_id) if entry.camera_id else None
        if first is None or entry.state == "running":
            what = {
                "vi": "Camera đầu tiên chưa được ghi vào danh sách",
                "en": "The first camera is not in the list",
            }
            raise Problem("conflict", {"what": what})
        known = {channel["source"]: channel for channel in entry.channels}
        for source in sources:
            if source not in known:
                raise Problem("channel_unknown", {"source": source}, field="sources")
        credential = await self._catalog.credential_for(first.id)
        begun: list[Onboarding] = []
        before: Run | None = None
        for source in dict.fromkeys(sources):
            channel = known[source]
            target, _ = parse_target(channel["address"])
            if await self._catalog.at_address(target.url) is not None:
                continue
            intake = Intake(
                address=target.url,
                custodian=first.custodian.id,
                granted_by=entry.request["granted_by"],
                basis=entry.request["basis"],
                name=f"{first.name} · {channel.get('name') or source}"[:120],
                area=first.area.code if first.area else None,
                position=first.position,
                origin=first.origin,
                standard=entry.request["standard"],
            )
            request = {**intake.as_json(), "recheck_of": None}
            made = await self._begin(request, target, credential, who.actor(), who.user_id, after=before)
            before = self._runs.get(made.id)
            begun.append(made)
        return begun

    async def get(self, entry_id: str) -> Onboarding:
        """Return one onboarding.

        Raises:
            Problem: ``not_found``.
        """
        run = self._runs.get(entry_id)
        if run is not None:
            run.entry.steps = run.steps.as_json()
            return run.entry
        entry = await self._book.get(entry_id)
        if entry is None:
            raise Problem("not_found", {"what": {"vi": "lần tiếp nhận", "en": "onboarding"}})
        return entry

    async def subscribe(self, entry_id: str) -> tuple[Onboarding, Feed]:
        """Return an onboarding and a feed of its events, ended at once where it does not run."""
        entry = await self.get(entry_id)
        run = self._runs.get(entry_id)
        feed = run.feeds.open() if run is not None else Feed()
        if run is None:
            feed.end()
        return entry, feed

    async def cancel(self, entry_id: str) -> Onboarding:
        """Cancel a running onboarding; one that has ended stays as it is."""
        run = self._runs.get(entry_id)
        if run is not None:
            await run.cancel()
        return await self.get(entry_id)

    async def retry(self, entry_id: str, credential: Credential | None, who: Principal) -> Onboarding:
        """Run a failed or cancelled onboarding again, perhaps with another credential.

        Another credential ends the device's cool-down, three times per half hour at most.

        Raises:
            Problem: ``conflict`` (not in a state to retry), ``cooling_down``, ``too_many_requests``.
        """
        entry = await self.get(entry_id)
        if self._closing or entry.state not in AGAIN:
            raise Problem(
                "conflict",
                {
                    "what": {
                        "vi": "Chỉ thử lại khi lần trước chưa xong",
                        "en": "Only one that failed or was cancelled is retried",
                    }
                },
            )
        try:
            target, _ = parse_target(str(entry.request["address"]))
        except BadTarget as error:
            raise self._unreadable_problem(error, str(entry.request["address"])) from error
        device = device_key(target)
        kept = await self._book.credential(entry_id)
        if credential is not None and credential != kept:
            await self.other_credential(device)
            async with self._store.write() as tx:
                await self._book.set_credential(tx, entry_id, credential)
        else:
            until = await self._devices.cooldown_until(device)
            if until is not None:
                raise Problem(
                    "cooling_down", {"peer": target.authority, "until": rfc3339(until)}, field="password"
                )
            credential = kept
        entry.state, entry.problem, entry.decision, entry.ended_at = RUNNING, None, None, None
        entry.started_at = self._clock.now()
        entry.courtesy = {"reads": 0, "logins": 0}
        self._launch(entry, target, credential, who.actor())
        async with self._store.write() as tx:
            await self._book.save(tx, entry)
            await tx.audit(
                "permission.recorded", who.actor(), f"onboarding/{entry.id}", _permission_facts(entry)
            )
        return entry

    async def keep(self, entry_id: str, who: Principal) -> Onboarding:
        """Write a failed onboarding's camera as PENDING, unprobed.

        Raises:
            Problem: ``conflict``. ServiceError: as `CatalogService.register`.
        """
        entry = await self.get(entry_id)
        if entry.state not in AGAIN or entry.recheck_of is not None:
            raise Problem(
                "conflict",
                {
                    "what": {
                        "vi": "Chỉ giữ lại camera của lần kiểm tra chưa xong",
                        "en": "Only a failed onboarding is kept",
                    }
                },
            )
        intake = Intake.from_json(entry.request)
        credential = await self._book.credential(entry_id)
        async with self._store.write() as tx:
            camera = await self._catalog.register(
                new_camera(intake, entry), who.actor(), credential=credential, within=tx
            )
            if intake.consent is not None:
                await self._catalog.give_consent(camera.id, intake.consent, who.actor(), within=tx)
            entry.camera_id, entry.state, entry.ended_at = camera.id, "pending", self._clock.now()
            entry.decision = "PENDING"
            await self._book.save(tx, entry, forget_credential=True)
            await tx.audit(
                "onboarding.ended",
                who.actor(),
                f"onboarding/{entry.id}",
                {"state": "pending", "camera": camera.id},
            )
        return entry

    async def other_credential(self, device: str) -> None:
        """End a device's cool-down because its owner supplied another credential.

        Raises:
            Problem: ``too_many_requests``: that happened three times in half an hour; more would lock the camera.
        """
        if await self._devices.cooldown_until(device) is None:
            return
        verdict = await self._limiter.hit(f"onboarding.retry:{device}", RETRIES, RETRY_WINDOW_S)
        if not verdict.allowed:
            wait = str(max(1, round(verdict.retry_after_s)))
            raise Problem("too_many_requests", {"retry_after_s": wait}, headers={"retry-after": wait})
        await self._devices.clear_cooldown(device)

    async def readdressed(self, camera_id: str, actor: Actor) -> None:
        """Take back the decision of a camera whose address was changed: what was seen belonged to another device.

        It is decided from what people declared alone, which leaves every blocker rule unseen: PENDING until re-checked.
        """
        camera = await self._catalog.get(camera_id)
        if camera.assessment_id is None:
            return
        standard = (await self._catalog.assessment(camera.assessment_id)).standard
        now = self._clock.now()
        known = await self._knowledge.of(camera, now)
        seen = known.facts
        assessment = self._checker.reassess(
            seen,
            standard,
            waivers=known.waivers,
            attestations=known.attestations,
            enrolled_at=camera.enrolled_at,
            camera=camera.address,
        )
        gate = consent_gate(camera.custodian.kind, camera.consent, now, self._texts)
        report = document(assessment, seen, target=camera.name)
        await self._catalog.record_assessment(
            camera_id, new_assessment(report, assessment, seen.as_json(), gate, self._texts), actor
        )

    async def redecide(self, camera_id: str, actor: Actor, *, only_if_changed: bool = False) -> bool:
        """Decide a camera again from its stored observations, after what people state of it changed. Sends no packet.

        Returns whether a new assessment was kept. `only_if_changed` keeps none where no finding and no decision moved.
        """
        if (await self._catalog.get(camera_id)).assessment_id is None:
            return False
        again = await self._rescorer.rescored(camera_id)
        camera, seen = again.camera, again.observations
        gate = consent_gate(camera.custodian.kind, camera.consent, self._clock.now(), self._texts)
        kept = {name: again.stored.report[name] for name in KEPT if name in again.stored.report}
        report = {**document(again.assessment, seen, target=camera.name), **kept}
        new = new_assessment(report, again.assessment, seen.as_json(), gate, self._texts)
        if only_if_changed and _outcome(new.report) == _outcome(again.stored.report):
            return False
        await self._catalog.record_assessment(camera_id, new, actor)
        return True

    def busy(self, camera_id: str) -> bool:
        """Tell whether a camera is being probed now."""
        return any(run.entry.recheck_of == camera_id for run in self._runs.values())

    # --- inside

    async def _check(self, intake: Intake) -> None:
        known = self._standards()
        if intake.standard not in known:
            raise Problem(
                "standard_unknown",
                {"standard": intake.standard, "available": ", ".join(known)},
                field="standard",
            )
        if intake.area and await self._areas.get(intake.area) is None:
            raise Problem("area_unknown", {"area": intake.area}, field="area")
        if isinstance(intake.custodian, str):
            custodian = await self._catalog.custodian(intake.custodian)
            if custodian is None:
                raise Problem("custodian_unknown", {"custodian": intake.custodian}, field="custodian.id")
            kind = custodian.kind
        else:
            kind = intake.custodian.kind
        if intake.consent is not None:
            if kind is Kind.AUTHORITY:
                raise ServiceError(
                    "consent_not_needed", "an authority's camera needs no consent", field="consent"
                )
            checked(intake.consent, self._clock.now())

    async def _unreadable(self, intake: Intake, error: BadTarget, who: Principal) -> Onboarding:
        """Return an onboarding that failed at once: nothing could be sent, nothing is kept but the attempt."""
        shown = _without_credential(intake.address)
        entry = self._entry({**replace(intake, address=shown).as_json(), "recheck_of": None}, who.user_id)
        steps = Steps(self._texts, self._clock, {"peer": shown, "standard": intake.standard})
        problem = self._unreadable_problem(error, shown)
        steps.start("address")
        steps.fail("address", problem.said(self._texts, "title"), problem.said(self._texts, "hint"))
        entry.state, entry.ended_at, entry.steps = "failed", self._clock.now(), steps.as_json()
        entry.problem = {"code": problem.code, "params": problem.params, "field": problem.field}
        async with self._store.write() as tx:
            await self._book.add(tx, entry, None)
            await tx.audit("onboarding.ended", who.actor(), f"onboarding/{entry.id}", {"state": "failed"})
        self._metrics.onboardings.labels("failed").inc()
        return entry

    def _unreadable_problem(self, error: BadTarget, typed: str) -> Problem:
        return problem_of(error, step="address", peer=typed, typed=typed, texts=self._texts)

    def _entry(self, request: dict[str, Any], user_id: str) -> Onboarding:
        return Onboarding(
            id=new_id(), state=RUNNING, started_by=user_id, started_at=self._clock.now(), request=request
        )

    async def _begin(
        self,
        request: dict[str, Any],
        target: Target,
        credential: Credential | None,
        actor: Actor,
        user_id: str,
        *,
        keep_sealed: bool = True,
        after: Run | None = None,
    ) -> Onboarding:
        entry = self._entry(request, user_id)
        entry.camera_id = request["recheck_of"]
        async with self._store.write() as tx:  # the permission is on record before the first packet
            await self._book.add(tx, entry, credential if keep_sealed else None)
            await tx.audit("permission.recorded", actor, f"onboarding/{entry.id}", _permission_facts(entry))
        self._launch(entry, target, credential, actor, after)
        return entry

    def _launch(
        self,
        entry: Onboarding,
        target: Target,
        credential: Credential | None,
        actor: Actor,
        after: Run | None = None,
    ) -> None:
        steps = Steps(
            self._texts, self._clock, {"peer": target.authority, "standard": entry.request["standard"]}
        )
        run = Run(entry, steps, actor, self._parts, self._forget)
        entry.steps = steps.as_json()
        self._runs[entry.id] = run
        self._metrics.onboardings_running.set(len(self._runs))
        run.start(target, credential, after)

    def _forget(self, run: Run) -> None:
        self._runs.pop(run.entry.id, None)
        self._metrics.onboardings_running.set(len(self._runs))

    async def _standard_of(self, camera: Camera) -> str:
        if camera.assessment_id is None:
            return "technical"
        return (await self._catalog.assessment(camera.assessment_id)).standard


def _outcome(report: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a report comes to: the decision, and each rule's verdict, reason and overlays."""
    findings = report.get("findings", ())
    return (
        report.get("decision"),
        report.get("standard"),
        sorted((one["rule"], one["verdict"], str(one["reason"]), *one["overlays"]) for one in findings),
    )


async def _nobody(_camera_id: str) -> None:
    """Nothing runs by itself."""


def _permission_facts(entry: Onboarding) -> dict[str, Any]:
    request = entry.request
    return {
        "address": request["address"],
        "granted_by": request["granted_by"],
        "basis": request["basis"],
        "ports": bool(request.get("ports")),
        "recheck_of": request["recheck_of"],
    }


def _without_credential(typed: str) -> str:
    """Return what was typed without a user and password, for an address that could not be taken apart."""
    head, separator, tail = typed.partition("://")
    if not separator:
        head, tail = "", typed
    return f"{head}{separator}{tail.rpartition('@')[2]}"[:200]
