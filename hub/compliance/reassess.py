"""Judging all cameras again after a rule change, without a packet.

One run at a time. It reads judgements in batches by camera id, lets a process of its own judge them, and writes each
batch in one transaction, so that the hub answers meanwhile and a run that is cut off has done whole batches: running
it again finishes the rest. A camera whose verdicts stay the same under the same version is left alone. The assessments
it writes are small; their reports are written out when somebody opens them (`hub.reports.unwritten`).
"""

import asyncio
import multiprocessing
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import structlog
from sqlalchemy import LargeBinary, Text, bindparam, delete, func, insert, select, update

from adapters.clock import Clock
from hub.catalog.core import CAMERA_CHANGED
from hub.catalog.judgements import (
    UNWRITTEN,
    KeptStandard,
    failed_rules,
    keep_judgement,
    keep_standard,
    kept_standards,
)
from hub.catalog.rows import assessment_from
from hub.catalog.types import Kind, NewAssessment
from hub.compliance.judging import Asked, Judged, judge_all, prepare
from hub.compliance.stated import Holding, Stated
from hub.coordination.port import EventBus
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Store, Writing, new_id
from standards.assess import PROBATION
from standards.observation import canonical_json, rfc3339
from standards.pack import Packs, UnknownStandard

_log = structlog.get_logger("reassess")
_J, _C, _A, _CUSTODIANS, _AREAS = (
    tables.judgements,
    tables.cameras,
    tables.assessments,
    tables.custodians,
    tables.areas,
)
_FAILED = tables.failed_rules
BATCH = 800
_NOTHING = zlib.compress(b"{}")  # as `PackedJson` packs it; 136,000 of them are not packed one by one
LAST = "reassess.last"  # key in the settings table
_WORST_FIRST = ("REJECTED", "PENDING", "CONDITIONAL", "ADMITTED")
_OPEN = ("not_needed", "active")


@dataclass(frozen=True, slots=True)
class _Known:
    """The standards of a run: all that ever judged here by hash, and the present ones by id (None: gone)."""

    kept: dict[str, KeptStandard]
    wanted: dict[str, KeptStandard | None]


@dataclass
class Reassessment:
    """One run, as it goes."""

    id: str
    standard: str  # "" each camera by its own
    area: str  # "" everywhere
    started_at: datetime
    total: int = 0
    done: int = 0
    changed: int = 0  # cameras whose decision is another one now
    rewritten: int = 0  # cameras that got a new assessment
    unread: int = 0  # cameras whose facts could not be read
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    state: str = "running"  # running | done | failed
    failure: str = ""
    ended_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON for progress and for the record of the last run."""
        return {
            "id": self.id,
            "standard": self.standard or None,
            "area": self.area or None,
            "state": self.state,
            "total": self.total,
            "done": self.done,
            "changed": self.changed,
            "rewritten": self.rewritten,
            "unread": self.unread,
            "before": dict(sorted(self.before.items())),
            "after": dict(sorted(self.after.items())),
            "failure": self.failure or None,
            "started_at": rfc3339(self.started_at),
            "ended_at": rfc3339(self.ended_at) if self.ended_at else None,
        }


def judging_process(files: Mapping[str, str]) -> Executor:
    """Return the executor with the one judging process; `files` are this hub's own packs."""
    return ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=prepare, initargs=(dict(files),)
    )


class Reassessments:
    """Runs re-assessments, one at a time."""

    def __init__(
        self,
        store: Store,
        bus: EventBus,
        clock: Clock,
        packs: Packs,
        *,
        files: Mapping[str, str],
        gate: Mapping[str, Any],
        executor: Callable[[Mapping[str, str]], Executor] = judging_process,
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._packs = packs
        self._files = files
        self._gate = gate  # the reason of a donated camera without an active consent, for lists
        self._executor = executor
        self._run: Reassessment | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def current(self) -> Reassessment | None:
        """Return the run that goes on, or the last one since this hub started."""
        return self._run

    async def last(self) -> dict[str, Any] | None:
        """Return the run that goes on, or the last one ever, as JSON."""
        if self._run is not None:
            return self._run.as_json()
        kept: dict[str, Any] | None = await self._store.setting(LAST)
        return kept

    def start(self, actor: Actor, *, standard: str = "", area: str = "") -> Reassessment:
        """Begin a run in the background.

        Raises:
            ServiceError: `busy`: one goes on.
            Invalid: `standard_unknown`.
        """
        run = self._begin(standard, area)
        self._task = asyncio.create_task(self._guarded(run, actor), name="reassess")
        return run

    async def run(self, actor: Actor, *, standard: str = "", area: str = "") -> Reassessment:
        """Run one to its end. Raises as `start`."""
        run = self._begin(standard, area)
        await self._guarded(run, actor)
        return run

    async def aclose(self) -> None:
        """Stop a run after its batch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, standard: str, area: str) -> Reassessment:
        if self._run is not None and self._run.state == "running":
            raise ServiceError("reassess_busy", "all cameras are being judged again already")
        if standard:
            try:
                self._packs.profile(standard)
            except UnknownStandard as error:
                said = {"standard": standard[:64], "available": ", ".join(error.known)}
                raise Invalid("standard", str(error), code="standard_unknown", params=said) from error
        self._run = Reassessment(new_id(), standard, area, self._clock.now())
        return self._run

    async def _guarded(self, run: Reassessment, actor: Actor) -> None:
        try:
            await self._all(run, actor)
            run.state = "done"
        except asyncio.CancelledError:
            run.state, run.failure = "failed", "the hub was stopped; start it again to judge the rest"
            raise
        except BrokenProcessPool:
            run.state, run.failure = "failed", "the judging process ended; start it again to judge the rest"
            _log.error("reassess.process_ended", done=run.done)
        except Exception as error:  # noqa: BLE001  whatever broke a run is told where it is watched
            run.state, run.failure = "failed", f"{type(error).__name__}; see the log"
            _log.exception("reassess.failed", done=run.done)
        finally:
            run.ended_at = self._clock.now()
            await self._store.set_setting(LAST, run.as_json())

    async def _all(self, run: Reassessment, actor: Actor) -> None:
        await self._backfill()
        async with self._store.read() as tx:
            kept = await kept_standards(tx)
            path = await self._path(tx, run.area)
            holding = await Holding.at(tx, run.started_at)
            counted = select(func.count()).select_from(_joined())
            run.total = int(await tx.scalar(_within(counted, path)))
        known = _Known(kept, {})
        wanted = known.wanted
        loop = asyncio.get_running_loop()
        executor = self._executor(self._files)
        try:
            rows = await self._batch("", path)
            while rows:
                names = [run.standard or kept[row.standard_hash].standard for row in rows]
                for name in set(names) - set(wanted):
                    wanted[name] = await self._wanted(name, kept)
                read = [
                    (row, name) for row, name in zip(rows, names, strict=True) if wanted[name] is not None
                ]
                run.done += len(rows) - len(read)
                run.unread += len(rows) - len(read)
                stated = [
                    holding.of(row.camera_id, row.area_path or "", row.kind, row.facts) for row, _ in read
                ]
                asked = [self._asked(row, name, said) for (row, name), said in zip(read, stated, strict=True)]
                judging = loop.run_in_executor(executor, judge_all, asked)
                coming, judged = await asyncio.gather(self._batch(rows[-1].camera_id, path), judging)
                await self._write(
                    run, actor, list(zip((row for row, _ in read), asked, stated, judged, strict=True)), known
                )
                rows = coming
        finally:
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)
        said = {
            "standards": {name: one.version for name, one in sorted(wanted.items()) if one is not None},
            **{name: run.as_json()[name] for name in ("total", "changed", "before", "after", "area")},
        }
        async with self._store.write() as tx:
            await tx.audit("standards.reassessed", actor, "hub", said)
        _log.info("reassess.done", total=run.total, changed=run.changed)

    async def _wanted(self, name: str, kept: dict[str, KeptStandard]) -> KeptStandard | None:
        """Return the present version of a standard, and keep it; None for one that this hub no longer has."""
        if name not in self._packs.standards():
            _log.warning("reassess.standard_gone", standard=name)
            return None
        profile = self._packs.profile(name)
        one = kept.get(profile.hash)
        if one is None or (self._files and not one.files):
            one = KeptStandard.of_profile(profile, self._files)
            async with self._store.write() as tx:
                await keep_standard(tx, one)
            kept[one.hash] = one
        return one

    @staticmethod
    async def _path(tx: Any, area: str) -> str:
        if not area:
            return ""
        path = await tx.scalar(select(_AREAS.c.path).where(_AREAS.c.code == area))
        if path is None:
            raise ServiceError("not_found", f"there is no area {area}")
        return str(path)

    async def _batch(self, after: str, path: str) -> Sequence[Any]:
        statement = (
            select(
                _J.c.camera_id, _J.c.assessment_id, _J.c.basis_id, _J.c.standard_hash, _J.c.verdicts,
                _J.c.reasons, _J.c.facts, _J.c.decision.label("judged"),
                _C.c.decision, _C.c.version, _C.c.enrolled_at, _C.c.consent_state, _CUSTODIANS.c.kind,
                _AREAS.c.path.label("area_path"),
            )
            .select_from(_joined().outerjoin(_AREAS, _AREAS.c.code == _C.c.area_code))
            .where(_J.c.camera_id > after)
            .order_by(_J.c.camera_id)
            .limit(BATCH)
        )  # fmt: skip
        async with self._store.read() as tx:
            return await tx.all(_within(statement, path))

    def _asked(self, row: Any, standard: str, stated: Stated) -> Asked:
        now = self._clock.now()
        aged = now - row.enrolled_at
        return Asked(
            standard,
            row.facts,
            {
                "consent.state": row.consent_state,
                "catalog.enrolled_days": round(aged.total_seconds() / 86_400, 2),
            },
            aged < PROBATION,
            stated.waived,
            stated.lapsed,
        )

    async def _write(
        self,
        run: Reassessment,
        actor: Actor,
        judged: Sequence[tuple[Any, Asked, Stated, Judged | str]],
        known: "_Known",
    ) -> None:
        now = self._clock.now()
        new: list[dict[str, Any]] = []
        failing: list[tuple[str, str, tuple[str, ...]]] = []
        for row, one, stated, said in judged:
            run.done += 1
            run.before[row.decision] += 1
            if isinstance(said, str):
                run.unread += 1
                run.after[row.decision] += 1
                _log.warning("reassess.unread", camera=row.camera_id, cause=said)
                continue
            by_rules, verdicts, reasons, counts, because = said
            standard = known.wanted[one.standard]
            assert standard is not None
            decision, because = self._gated(row, by_rules, because)
            held = row.decision != row.judged  # 2 of 3 keep the camera's decision above that of its last run
            worse = _WORST_FIRST.index(decision) < _WORST_FIRST.index(row.decision)
            decides = row.decision if held and worse else decision
            run.after[decides] += 1
            same = (row.standard_hash, row.verdicts, row.reasons, row.judged, row.decision)
            if same == (standard.hash, verdicts, reasons, decision, decides):
                continue
            failed = failed_rules(standard, verdicts)
            before = known.kept[row.standard_hash]
            if before.standard != standard.standard or failed != failed_rules(before, row.verdicts):
                failing.append((row.camera_id, standard.standard, failed))
            new.append(
                {
                    "id": new_id(),
                    "camera_id": row.camera_id,
                    "was": row.assessment_id,
                    "basis": row.basis_id,
                    "standard": standard.standard,
                    "standard_version": standard.version,
                    "hash": standard.hash,
                    "decision": decision,
                    "decides": decides,
                    "before": row.decision,
                    "verdicts": verdicts,
                    "reasons": reasons,
                    "counts": counts,
                    "because": because,
                    "known": one.known,
                    "stated": stated.as_json(),
                    "version": row.version + 1,
                }
            )
        if not new:
            return
        async with self._store.write() as tx:
            new = await self._unchanged_meanwhile(tx, new)
            await self._store_all(tx, new, now)
            living = {one["camera_id"] for one in new}
            await _store_failing(tx, [one for one in failing if one[0] in living])
            decided = [one for one in new if one["decides"] != one["before"]]
            await tx.audit_many(
                "camera.decided",
                actor,
                [
                    (
                        f"camera/{one['camera_id']}",
                        {
                            "decision": one["decides"],
                            "before": one["before"],
                            "standard": one["standard"],
                            "assessment": one["id"],
                        },
                    )
                    for one in decided
                ],
            )
            run.rewritten += len(new)
            run.changed += len(decided)
            for told in decided:
                self._tell(tx, told["camera_id"], told["version"])

    def _gated(self, row: Any, by_rules: str, because: str) -> tuple[str, str]:
        """Apply the consent gate: a donated camera without an active consent is PENDING at best."""
        if row.kind == Kind.AUTHORITY or row.consent_state in _OPEN:
            return by_rules, because
        gate = canonical_json(dict(self._gate)).decode()
        if by_rules == "REJECTED":
            return by_rules, because[:-1] + ("," if because != "[]" else "") + gate + "]"
        return "PENDING", "[" + gate + ("," if because != "[]" else "") + because[1:]

    @staticmethod
    async def _unchanged_meanwhile(tx: Writing, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave out cameras that were assessed, or removed, while they were judged here."""
        ids = [one["camera_id"] for one in new]
        found = await tx.all(select(_J.c.camera_id, _J.c.assessment_id).where(_J.c.camera_id.in_(ids)))
        newest = {row.camera_id: row.assessment_id for row in found}
        return [one for one in new if newest.get(one["camera_id"]) == one["was"]]

    @staticmethod
    async def _store_all(tx: Writing, new: Sequence[Mapping[str, Any]], now: datetime) -> None:
        if not new:
            return
        await tx.execute(
            insert(_A).values(
                report=bindparam("told", type_=LargeBinary()),
                observations=bindparam("seen", type_=LargeBinary()),
            ),
            [
                {
                    "id": one["id"],
                    "camera_id": one["camera_id"],
                    "standard": one["standard"],
                    "standard_version": one["standard_version"],
                    "decision": one["decision"],
                    "as_of": now,
                    "counts": one["counts"],
                    "told": zlib.compress(
                        msgspec.json.encode(
                            {
                                UNWRITTEN: one["basis"],
                                "hash": one["hash"],
                                "known": one["known"],
                                **one["stated"],
                            }
                        ),
                        1,
                    ),
                    "seen": _NOTHING,
                }
                for one in new
            ],
        )
        await tx.execute(
            update(_J)
            .where(_J.c.camera_id == bindparam("of"))
            .values(
                assessment_id=bindparam("id"), standard_hash=bindparam("hash"), as_of=bindparam("now"),
                decision=bindparam("decision"), verdicts=bindparam("verdicts"), reasons=bindparam("reasons"),
            ),
            [
                {
                    "of": one["camera_id"], "id": one["id"], "hash": one["hash"], "now": now,
                    "decision": one["decision"], "verdicts": one["verdicts"], "reasons": one["reasons"],
                }
                for one in new
            ],
        )  # fmt: skip
        await tx.execute(
            update(_C)
            .where(_C.c.id == bindparam("of"))
            .values(
                decision=bindparam("decides"),
                decision_reasons=bindparam("because", type_=Text()),  # canonical JSON already
                assessment_id=bindparam("assessment"),
                standard=bindparam("of_standard"),
                version=bindparam("new_version"),
                changed_at=bindparam("now"),
            ),
            [
                {
                    "of": one["camera_id"], "decides": one["decides"], "because": one["because"],
                    "assessment": one["id"], "of_standard": one["standard"], "now": now,
                    "new_version": one["version"],
                }
                for one in new
            ],
        )  # fmt: skip

    def _tell(self, tx: Writing, camera_id: str, version: int) -> None:
        async def publish() -> None:
            await self._bus.publish(
                CAMERA_CHANGED, {"id": camera_id, "what": "assessment", "version": version}
            )

        tx.after_commit(publish)

    async def _backfill(self) -> None:
        """Make the judgements that an older program did not keep, from whole assessments."""
        bare = (
            select(_C.c.id, _C.c.assessment_id)
            .select_from(_C.outerjoin(_J, _J.c.camera_id == _C.c.id))
            .where(_J.c.camera_id.is_(None), _C.c.assessment_id.is_not(None))
            .order_by(_C.c.id)
            .limit(20)
        )
        after = ""
        while True:
            async with self._store.read() as tx:
                rows = await tx.all(bare.where(_C.c.id > after))
            if not rows:
                return
            after = rows[-1].id
            async with self._store.write() as tx:
                for row in rows:
                    whole = await tx.one(select(_A).where(_A.c.id == row.assessment_id))
                    if whole is not None:
                        await keep_judgement(tx, row.id, row.assessment_id, _as_new(whole))
            await asyncio.sleep(0)


def _joined() -> Any:
    return _J.join(_C, _C.c.id == _J.c.camera_id).join(_CUSTODIANS, _CUSTODIANS.c.id == _C.c.custodian_id)


def _within(statement: Any, path: str) -> Any:
    if not path:
        return statement
    below = select(_AREAS.c.code).where(_AREAS.c.path.startswith(path, autoescape=True))
    return statement.where(_C.c.area_code.in_(below))


def _as_new(row: Any) -> NewAssessment:
    one = assessment_from(row, whole=True)
    return NewAssessment(
        one.standard,
        one.standard_version,
        one.decision,
        one.as_of,
        one.counts,
        (),
        one.report,
        one.observations,
    )


async def _store_failing(tx: Writing, failing: Sequence[tuple[str, str, tuple[str, ...]]]) -> None:
    """Keep which rules cameras fail now."""
    if not failing:
        return
    await tx.execute(delete(_FAILED).where(_FAILED.c.camera_id.in_([camera for camera, _s, _f in failing])))
    rows = [
        {"camera_id": camera, "rule": rule, "standard": standard}
        for camera, standard, failed in failing
        for rule in failed
    ]
    if rows:
        await tx.execute(insert(_FAILED), rows)
