"""Re-checks that repeat by themselves: at night, a few at once, gently; and two of three before a camera falls.

A camera is due by the shortest maximum age of its rules (`hub.compliance.timetable`). A run obeys what a person's check
obeys (permission on record, gate, cool-down, one probe per device) and more: nothing is asked of a camera whose owner
paused or withdrew, and a person's own check of a camera ends the run of that camera.

The first run that is worse than the decision that holds books two more (`standards.series`): until two of three agree,
the camera stays as it is, the report says how many saw it, and a quiet alert is raised.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import delete, select

from adapters.errors import (
    AddressRefused,
    AuthenticationFailed,
    BadTarget,
    CoolingDown,
    LocalProtocolError,
)
from adapters.port import Permission
from adapters.target import Target, parse_target
from adapters.wire.gate import device_key
from hub.access.rights import may_measure
from hub.catalog.types import PORTS_GRANTED_BY, Camera, ConsentState, NewAssessment
from hub.compliance.alerts import AlertBook, sentence
from hub.compliance.checker import CheckOutcome, CheckRequest
from hub.compliance.drift import Change
from hub.compliance.standing import Rhythm, book, doubted, fallen, read_memory, write_memory
from hub.onboarding.declared import Gate, consent_gate, new_assessment
from hub.onboarding.run import Parts, sources_json
from hub.reports.document import Method, document
from hub.store import tables
from hub.store.chain import HUB
from hub.store.errors import ServiceError
from hub.store.store import Writing
from standards.series import IN_USE, RUNS, Standing, vote
from standards.verdict import Decision

_CHECKS, _CAMERAS, _ASSESSMENTS = tables.checks, tables.cameras, tables.assessments
TICK_S = 5.0
AGAIN = timedelta(hours=1)  # after a run that could not be
AFTER_COOLDOWN = timedelta(minutes=1)
FILL = 500  # cameras without a date that get one per tick
WAITING_CONSENT = frozenset({ConsentState.MISSING, ConsentState.WITHDRAWN, ConsentState.EXPIRED})

log = structlog.get_logger("rechecks")


@dataclass(frozen=True, slots=True)
class Booked:
    """One line of the timetable."""

    camera_id: str
    due_at: datetime
    why: str
    votes: tuple[Decision, ...]


class Rechecks:
    """Runs what is due."""

    def __init__(
        self, parts: Parts, rhythm: Rhythm, alerts: AlertBook, *, at_once: int, confirm_after_s: float
    ) -> None:
        self._parts = parts
        self._rhythm = rhythm
        self._alerts = alerts
        self._at_once = at_once
        self._confirm_after = timedelta(seconds=confirm_after_s)
        self._runs: dict[str, asyncio.Task[str]] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, where runs are switched on."""
        if self._rhythm.enabled:
            self._loop = asyncio.create_task(self._forever(), name="rechecks")

    async def aclose(self) -> None:
        """Stop; runs that are under way are given up, and are due again. Idempotent."""
        tasks = [task for task in (self._loop, *self._runs.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop = None

    def busy(self, camera_id: str) -> bool:
        """Tell whether a camera is being checked by itself now."""
        return camera_id in self._runs

    async def yield_to_person(self, camera_id: str) -> None:
        """End the run of a camera that a person is about to check, and return once it has ended."""
        task = self._runs.get(camera_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- the timetable

    async def due(self, now: datetime, limit: int) -> list[Booked]:
        """Return what is due, the longest overdue first."""
        statement = select(_CHECKS).where(_CHECKS.c.due_at <= now).order_by(_CHECKS.c.due_at).limit(limit)
        async with self._parts.store.read() as tx:
            return [_booked(row) for row in await tx.all(statement)]

    async def booked(self, camera_id: str) -> Booked | None:
        """Return when a camera is due, None where it is not in the timetable."""
        async with self._parts.store.read() as tx:
            row = await tx.one(select(_CHECKS).where(_CHECKS.c.camera_id == camera_id))
        return _booked(row) if row is not None else None

    async def fill(self) -> int:
        """Give dates to cameras that were assessed and have none (a hub that ran before there were dates)."""
        statement = (
            select(_CAMERAS.c.id)
            .outerjoin(_CHECKS, _CHECKS.c.camera_id == _CAMERAS.c.id)
            .where(_CHECKS.c.camera_id.is_(None), _CAMERAS.c.assessment_id.is_not(None))
            .limit(FILL)
        )
        async with self._parts.store.read() as tx:
            found = [str(row.id) for row in await tx.all(statement)]
        if found:
            now, day = self._parts.clock.now(), timedelta(days=1)
            async with self._parts.store.write() as tx:
                for camera_id in found:
                    due = self._rhythm.next_due(now, day, camera_id)
                    await book(tx, camera_id, due, "regular", ())
        return len(found)

    async def _forever(self) -> None:
        while True:
            try:
                await self.fill()
                await self._start_due()
            except Exception as error:
                log.error("rechecks.failed", exc_info=error)
            await self._parts.clock.sleep(TICK_S)

    async def _start_due(self) -> None:
        room = self._at_once - len(self._runs)
        if room <= 0:
            return
        now = self._parts.clock.now()
        for one in await self.due(now, self._at_once * 2):
            if room <= 0:
                return
            if one.camera_id in self._runs:
                continue
            later = self._rhythm.not_before(now, one.camera_id)
            if later > now:  # the window closed before its turn came
                await self._postpone(one, later)
                continue
            task = asyncio.create_task(self.check(one), name=f"recheck {one.camera_id}")
            self._runs[one.camera_id] = task
            task.add_done_callback(partial(self._done, one.camera_id))
            room -= 1

    def _done(self, camera_id: str, task: "asyncio.Task[str]") -> None:
        self._runs.pop(camera_id, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("recheck.broke", camera_id=camera_id, exc_info=task.exception())

    async def _postpone(self, one: Booked, until: datetime) -> None:
        async with self._parts.store.write() as tx:
            await book(tx, one.camera_id, until, one.why, one.votes)

    async def _later(self, one: Booked, why: str, until: datetime | None = None) -> str:
        moment = until or self._parts.clock.now() + AGAIN
        await self._postpone(one, self._rhythm.not_before(moment, one.camera_id))
        log.info("recheck.postponed", camera_id=one.camera_id, why=why)
        return why

    # --- one run

    async def check(self, one: Booked) -> str:
        """Run one camera's check now. Returns ``kept``, ``held`` (a vote is open), ``fell``, or why it was not run."""
        camera = await self._parts.catalog.find(one.camera_id)
        if camera is None or camera.assessment_id is None:
            async with self._parts.store.write() as tx:
                await tx.execute(delete(_CHECKS).where(_CHECKS.c.camera_id == one.camera_id))
            return "gone"
        try:
            target, _ = parse_target(camera.address)
        except BadTarget:
            return await self._later(one, "bad_address")
        until = await self._parts.devices.cooldown_until(device_key(target))
        if until is not None:
            return await self._later(one, "cooling_down", until + AFTER_COOLDOWN)
        why = self._why_not(camera)
        if why:
            return await self._later(one, why)
        standard = (await self._parts.catalog.assessment(camera.assessment_id)).standard
        outcome = await self._run(camera, target, standard)
        failure = outcome.failure
        if isinstance(failure, LocalProtocolError | CoolingDown | AddressRefused):
            return await self._later(one, failure.code)  # about this hub, not about the camera: no vote
        return await self._keep(one, camera, target, outcome)

    def _why_not(self, camera: Camera) -> str:
        """Return why a camera is not to be asked now, "" where it may be."""
        if not camera.permission.get("granted_by"):
            return "no_permission"
        if camera.sharing.paused:
            return "paused"
        if camera.sharing.consent in WAITING_CONSENT or not may_measure(camera):
            return "no_consent"
        return "busy" if self._parts.checking(camera.id) else ""

    async def _run(self, camera: Camera, target: Target, standard: str) -> CheckOutcome:
        parts, now = self._parts, self._parts.clock.now()
        known = await parts.knowledge.of(camera, now)
        granted = camera.permission
        with contextlib.suppress(BadTarget):
            sub = parse_target(camera.sub_address)[0] if camera.sub_address else None
            return await parts.checker.run(
                CheckRequest(
                    target=target,
                    credential=await parts.catalog.credential_for(camera.id),
                    permission=Permission(granted.get("granted_by", ""), granted.get("basis", ""), now),
                    standard=standard,
                    window_s=parts.window_s,
                    sub_target=sub,
                    declared=known.facts,
                    waivers=known.waivers,
                    attestations=known.attestations,
                    enrolled_at=camera.enrolled_at,
                    limit_s=parts.limit_s,
                    ports=granted.get(PORTS_GRANTED_BY, ""),
                    over_time=parts.over_time(camera, target.url),
                )
            )
        raise ServiceError("invalid_input", "the address of the second stream cannot be read")

    async def _keep(self, one: Booked, camera: Camera, target: Target, outcome: CheckOutcome) -> str:
        parts, now = self._parts, self._parts.clock.now()
        seen = outcome.assessment.decision
        gate = consent_gate(camera.custodian.kind, camera.consent, now, parts.texts)
        async with parts.store.write() as tx:
            fresh = await parts.catalog.find(camera.id, within=tx)
            if fresh is None or (fresh.assessment_id, fresh.address) != (
                camera.assessment_id,
                camera.address,
            ):
                return "overtaken"  # a person's check, or another address, came meanwhile
            held = Decision(camera.decision)
            standing = vote(held, one.votes, seen)
            kept = self._assessment(outcome, camera, gate, standing)
            decides = not standing.open
            stored = await parts.catalog.record_assessment(camera.id, kept, HUB, decides=decides, within=tx)
            changes = await parts.aftermath.keep(
                tx,
                fresh,
                outcome.observations,
                standard=kept.standard,
                decision=kept.decision if decides else str(held),
                assessment_id=stored.id,
            )
            if standing.open:
                await self._confirm(tx, camera, target, outcome, standing)
                return "held"
            fell = (
                held in IN_USE and Decision(kept.decision) not in {held, Decision.ADMITTED} and standing.worse
            )
            if fell:
                change = fallen(str(held), kept.decision)
                await self._alerts.raise_all(tx, camera.id, [change], stored.id)
            await self._thin(tx, camera, stored.id, quiet=not changes and kept.decision == camera.decision)
        return "fell" if fell else "kept"

    async def _confirm(
        self, tx: Writing, camera: Camera, target: Target, outcome: CheckOutcome, standing: Standing
    ) -> None:
        """Book the next of the three runs; after a refused login not before the device's cool-down is over."""
        due = self._parts.clock.now() + self._confirm_after
        if isinstance(outcome.failure, AuthenticationFailed):
            until = await self._parts.devices.cooldown_until(device_key(target))
            due = max(due, until + AFTER_COOLDOWN) if until is not None else due
        due = self._rhythm.not_before(due, camera.id)
        await book(tx, camera.id, due, "confirm", [str(one) for one in standing.votes])
        await self._alerts.raise_all(tx, camera.id, [doubted(standing.worse, standing.cast)], None)

    def _assessment(
        self, outcome: CheckOutcome, camera: Camera, gate: Gate, standing: Standing
    ) -> NewAssessment:
        granted = camera.permission
        method = Method(
            permission=Permission(
                granted.get("granted_by", ""), granted.get("basis", ""), outcome.started_at
            ),
            courtesy=outcome.courtesy,
            started_at=outcome.started_at,
            seconds=outcome.seconds,
            failure=outcome.failure,
        )
        told = document(outcome.assessment, outcome.observations, target=camera.name, method=method)
        kept = new_assessment(
            {**told, **sources_json(outcome)},
            outcome.assessment,
            outcome.observations.as_json(),
            gate,
            self._parts.texts,
        )
        series = self._series(standing, outcome.assessment.decision)
        settled = str(standing.held)
        decision = kept.decision if standing.open or gate.reason is not None else settled
        return replace(kept, decision=decision, report={**kept.report, "series": series})

    def _series(self, standing: Standing, seen: Decision) -> Mapping[str, Any]:
        """Return what the report says about the runs before it."""
        change = Change("worse", "", {"worse": standing.worse, "cast": standing.cast})
        text = sentence("worse", change.params, self._parts.texts) if standing.open else None
        return {
            "scheduled": True,
            "seen": str(seen),
            "held": str(standing.held),
            "runs": max(standing.cast, 1),
            "worse": standing.worse,
            "of": RUNS,
            "open": standing.open,
            "text": text,
        }

    async def _thin(self, tx: Writing, camera: Camera, assessment_id: str, *, quiet: bool) -> None:
        """Keep one of the runs of a month that changed nothing: the newest."""
        memory = await read_memory(tx, camera.id)
        month = f"{self._parts.clock.now():%Y-%m}"
        if quiet and memory.quiet[1:] == (month,) and memory.quiet[0] != assessment_id:
            await tx.execute(delete(_ASSESSMENTS).where(_ASSESSMENTS.c.id == memory.quiet[0]))
        marked = (assessment_id, month) if quiet else ()
        if memory.quiet != marked:
            await write_memory(tx, camera.id, replace(memory, quiet=marked), self._parts.clock.now())


def _booked(row: Any) -> Booked:
    votes = tuple(Decision(one) for one in row.votes if one in set(Decision))
    return Booked(row.camera_id, row.due_at, row.why, votes)
