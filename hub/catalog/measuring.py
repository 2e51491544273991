"""What is measured of a camera: assessments, which decide about it, and liveness."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from hub.catalog.checks import playback_of, write_search_text
from hub.catalog.core import CatalogCore
from hub.catalog.judgements import UNWRITTEN, KeptStandard, keep_judgement, kept_standard
from hub.catalog.rows import assessment_from, camera_select
from hub.catalog.types import DECISIONS, MEASURED_STATES, NewAssessment, StoredAssessment
from hub.catalog.uptime import CODES, Change, known_until, settled
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import ServiceError
from hub.store.store import Writing, new_id

_CAMERAS, _ASSESSMENTS, _HEALTH = tables.cameras, tables.assessments, tables.health
_FAILED = tables.failed_rules
_CHANGES = tables.health_changes
MAX_CAUSE = 500
KEPT_DAYS = 92  # of the log of changes: 90 are shown
DAY_S = 86_400


def failed_in(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the rules that a report found not met, each once."""
    findings = report.get("findings") or ()
    return tuple(dict.fromkeys(str(one["rule"]) for one in findings if one.get("verdict") == "FAIL"))


class Measurements(CatalogCore):
    """The measuring half of `hub.catalog.service.CatalogService`."""

    # How a report that waits to be written out is written (`hub.reports.unwritten`): the assessment, the one of the
    # probe, the version of the standard. The composition root sets it; reports are made above the catalog.
    write_out: Callable[[StoredAssessment, StoredAssessment, KeptStandard | None], StoredAssessment] = (
        staticmethod(
            lambda one, basis, _kept: replace(one, report=basis.report, observations=basis.observations)
        )
    )

    # assessments

    async def record_assessment(
        self,
        camera_id: str,
        new: NewAssessment,
        actor: Actor,
        *,
        decides: bool = True,
        within: Writing | None = None,
    ) -> StoredAssessment:
        """Keep an assessment and let it decide about the camera. What plays is read from its observations.

        `decides` False: it is one vote among several, and the camera's decision stays as it is.

        Raises:
            ServiceError: `not_found`.
            ValueError: the decision is not one of the four.
        """
        if new.decision not in DECISIONS:
            raise ValueError(f"{new.decision!r} is not a decision")
        assessment_id = new_id()
        async with self._within(within) as tx:
            before = await self._read(tx, camera_id)
            await tx.execute(
                insert(_ASSESSMENTS).values(
                    id=assessment_id,
                    camera_id=camera_id,
                    standard=new.standard,
                    standard_version=new.standard_version,
                    decision=new.decision,
                    as_of=new.as_of,
                    counts=dict(new.counts),
                    report=dict(new.report),
                    observations=dict(new.observations),
                )
            )
            await keep_judgement(tx, camera_id, assessment_id, new)
            version = before.version
            if decides:
                version = await self._touch(
                    tx,
                    before,
                    {
                        "decision": new.decision,
                        "decision_reasons": [dict(reason) for reason in new.reasons],
                        "assessment_id": assessment_id,
                        "standard": new.standard,
                        "playback": playback_of(new.observations),
                    },
                )
                await tx.execute(delete(_FAILED).where(_FAILED.c.camera_id == camera_id))
                failed = [
                    {"camera_id": camera_id, "rule": rule, "standard": new.standard}
                    for rule in failed_in(new.report)
                ]
                if failed:
                    await tx.execute(insert(_FAILED), failed)
                await write_search_text(tx, camera_id, new.observations)
            facts = {
                "decision": new.decision,
                "before": before.decision,
                "standard": new.standard,
                "assessment": assessment_id,
            }
            kind = "camera.decided" if decides else "camera.checked"
            await tx.audit(kind, actor, f"camera/{camera_id}", facts)
            self._tell(tx, camera_id, "assessment", version)
        return StoredAssessment(
            assessment_id,
            camera_id,
            new.standard,
            new.standard_version,
            new.decision,
            new.as_of,
            new.counts,
            new.report,
            new.observations,
        )

    async def assessments(self, camera_id: str, limit: int = 100) -> tuple[StoredAssessment, ...]:
        """Return a camera's assessments, newest first, without report and observations."""
        columns = [column for column in _ASSESSMENTS.c if column.name not in {"report", "observations"}]
        statement = (
            select(*columns)
            .where(_ASSESSMENTS.c.camera_id == camera_id)
            .order_by(_ASSESSMENTS.c.as_of.desc(), _ASSESSMENTS.c.id)
            .limit(max(1, min(limit, 1000)))
        )
        async with self._store.read() as tx:
            return tuple(assessment_from(row, whole=False) for row in await tx.all(statement))

    async def assessment(self, assessment_id: str) -> StoredAssessment:
        """Return one whole assessment.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            row = await tx.one(select(_ASSESSMENTS).where(_ASSESSMENTS.c.id == assessment_id))
            if row is None:
                raise ServiceError("not_found", "there is no such assessment")
            one = assessment_from(row, whole=True)
            if UNWRITTEN not in one.report:
                return one
            found = await tx.one(select(_ASSESSMENTS).where(_ASSESSMENTS.c.id == one.report[UNWRITTEN]))
            kept = await kept_standard(tx, str(one.report["hash"]))
        if found is None:
            raise ServiceError("not_found", "the check on which this assessment stands is gone")
        return self.write_out(one, assessment_from(found, whole=True), kept)

    # health

    async def set_health(
        self, camera_id: str, state: str, *, cause: Mapping[str, str] | None, measured_at: datetime
    ) -> bool:
        """Keep one measurement (`alive`, `degraded`, `fault`, `unreachable`); `since` moves only when the state does.

        Returns whether something that is shown changed. A camera that is gone is no error: it was removed meanwhile.
        """
        return bool(await self.set_healths([(camera_id, state, cause, measured_at)]))

    async def set_healths(
        self, measured: Sequence[tuple[str, str, Mapping[str, str] | None, datetime]]
    ) -> tuple[str, ...]:
        """Keep many measurements ``(camera id, state, cause, measured_at)`` in one transaction.

        Returns the ids of those that changed; these are told on the bus.
        """
        changed: list[str] = []
        async with self._store.write() as tx:
            for camera_id, state, cause, measured_at in measured:
                if state not in MEASURED_STATES:
                    raise ValueError(f"{state!r} is not a measured state")
                row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
                if row is None:
                    continue
                said = {key: text[:MAX_CAUSE] for key, text in cause.items()} if cause else None
                same = row.measured_state == state
                await self._log_health(
                    tx, camera_id, (row.measured_state, row.measured_at), CODES[state], measured_at
                )
                values = {"state": state, "cause": said, "measured_at": measured_at}
                if row.measured_state is None:
                    await tx.execute(insert(_HEALTH).values(camera_id=camera_id, since=measured_at, **values))
                else:
                    since = row.measured_since if same else measured_at
                    await tx.execute(
                        update(_HEALTH).where(_HEALTH.c.camera_id == camera_id).values(since=since, **values)
                    )
                if not same or row.measured_cause != said:
                    await self._settle(tx, camera_id)
                    changed.append(camera_id)
                    self._tell(tx, camera_id, "health", row.version)
        return tuple(changed)

    async def _log_health(
        self,
        tx: Writing,
        camera_id: str,
        before: tuple[str | None, datetime | None],
        code: int,
        measured_at: datetime,
    ) -> None:
        """Add a measurement to the log where it changes something; most do not, and cost no statement."""
        at = int(measured_at.timestamp())
        known, measured_before = before
        until = int(measured_before.timestamp()) if measured_before is not None else None
        if (
            known is not None
            and until is not None
            and CODES[known] == code
            and at - until <= self._health_holds_s
        ):
            return
        newest = await tx.one(
            select(_CHANGES.c.at, _CHANGES.c.state)
            .where(_CHANGES.c.camera_id == camera_id)
            .order_by(_CHANGES.c.at.desc())
            .limit(1)
        )
        last = (newest.at, newest.state) if newest is not None else None
        added = settled(last, until, at, code, self._health_holds_s)
        if not added:
            return
        await tx.execute(
            insert(_CHANGES), [{"camera_id": camera_id, "at": when, "state": what} for when, what in added]
        )
        older = _CHANGES.alias()
        begins = (
            select(func.max(older.c.at))
            .where(older.c.camera_id == camera_id, older.c.at < at - KEPT_DAYS * DAY_S)
            .scalar_subquery()
        )
        await tx.execute(delete(_CHANGES).where(_CHANGES.c.camera_id == camera_id, _CHANGES.c.at < begins))

    async def health_log(self, camera_id: str, since: datetime) -> list[Change]:
        """Return the changes of a camera's health from `since` on, and the one before it, as they stand now."""
        begins = int(since.timestamp())
        first = (
            select(func.max(_CHANGES.c.at))
            .where(_CHANGES.c.camera_id == camera_id, _CHANGES.c.at <= begins)
            .scalar_subquery()
        )
        statement = (
            select(_CHANGES.c.at, _CHANGES.c.state)
            .where(_CHANGES.c.camera_id == camera_id, _CHANGES.c.at >= func.coalesce(first, begins))
            .order_by(_CHANGES.c.at)
        )
        async with self._store.read() as tx:
            rows = await tx.all(statement)
            measured = await tx.scalar(select(_HEALTH.c.measured_at).where(_HEALTH.c.camera_id == camera_id))
        until = int(measured.timestamp()) if measured is not None else None
        log = [(int(row.at), int(row.state)) for row in rows]
        return known_until(log, until, int(self._clock.now().timestamp()), self._health_holds_s)
