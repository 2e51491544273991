"""Judging all cameras again after a rule change, without a packet.

One run at a time. It reads judgements in batches by camera id, lets a process of its own judge them, and writes each
batch in one transaction, so that the hub answers meanwhile and a run that is cut off has done whole batches: running
it again finishes the rest. A camera whose verdicts stay the same under the same version is left alone. The assessments
it writes are small; their reports are written out when somebody opens them (`hub.reports.unwritten`).
"""

import asyncio
import multiprocessing
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import structlog
from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

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
from hub.store.columns import JsonText
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Store, Writing, ids_in_order, new_id
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
    compared: dict[tuple[str, str], bool] = field(default_factory=dict)

    def alike(self, one: KeptStandard, other: KeptStandard) -> bool:
        """Tell whether two versions are of one standard with the same rules, so that the same letters say the same."""
        known = self.compared.get((one.hash, other.hash))
        if known is None:
            known = [rule[0] for rule in one.rules] == [rule[0] for rule in other.rules]
            known = self.compared[one.hash, other.hash] = known and one.standard == other.standard
        return known


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
    state: str = "running"  # running | done | stopped | failed
    stopping: bool = False  # somebody asked to stop it; the batch that is being judged is still written
    failure: str = ""
    ended_at: datetime | None = None
    ids: Iterator[str] = field(default_factory=ids_in_order, repr=False)  # of the assessments it writes

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

    def stop(self) -> None:
        """Let a run that goes on end after its batch; what it has written stays, and another run does the rest."""
        if self._run is not None:
            self._run.stopping = True

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
            run.state = "stopped" if run.stopping and run.done < run.total else "done"
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
                cameras, asked = self._asked(read, holding)
                judging = loop.run_in_executor(executor, judge_all, asked)
                coming, judged = await asyncio.gather(self._batch(rows[-1].camera_id, path), judging)
                await self._write(
                    run, actor, zip(cameras, (said for one in judged for said in one), strict=True), known
                )
                rows = () if run.stopping else coming
        finally:
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)
        said = {
            "standards": {name: one.version for name, one in sorted(wanted.items()) if one is not None},
            **{name: run.as_json()[name] for name in ("changed", "before", "after", "area")},
            "total": run.done,
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
                _C.c.decision, _C.c.standard, _C.c.version, _C.c.enrolled_at, _C.c.consent_state, _CUSTODIANS.c.kind,
                _AREAS.c.path.label("area_path"),
            )
            .select_from(_joined().outerjoin(_AREAS, _AREAS.c.code == _C.c.area_code))
            .where(_J.c.camera_id > after)
            .order_by(_J.c.camera_id)
            .limit(BATCH)
        )  # fmt: skip
        async with self._store.read() as tx:
            return await tx.all(_within(statement, path))

    def _asked(self, read: Sequence[tuple[Any, str]], holding: Holding) -> tuple[list["_Asked"], list[Asked]]:
        """Return the cameras of a batch by standard, and what is asked of the judging process, in the same order."""
        now = self._clock.now()
        groups: dict[str, list[_Asked]] = defaultdict(list)
        for row, standard in read:
            stated = holding.of(row.camera_id, row.area_path or "", row.kind, row.facts)
            aged = now - row.enrolled_at
            days = round(aged.total_seconds() / 86_400, 2)
            groups[standard].append(_Asked(row, standard, stated, days, aged < PROBATION))
        return [one for group in groups.values() for one in group], [
            Asked(
                standard,
                [one.row.facts for one in group],
                {
                    "consent.state": [one.row.consent_state for one in group],
                    "catalog.enrolled_days": [one.enrolled_days for one in group],
                },
                [one.on_probation for one in group],
                {
                    place: (one.stated.waived, one.stated.lapsed)
                    for place, one in enumerate(group)
                    if one.stated.waivers or one.stated.lapsed
                },
            )
            for standard, group in groups.items()
        ]

    async def _write(
        self,
        run: Reassessment,
        actor: Actor,
        judged: Iterable[tuple["_Asked", Judged | str]],
        known: "_Known",
    ) -> None:
        now = self._clock.now()
        new: list[_New] = []
        failing: list[tuple[str, str, tuple[str, ...]]] = []
        for asked, said in judged:
            row = asked.row
            run.done += 1
            run.before[row.decision] += 1
            if isinstance(said, str):
                run.unread += 1
                run.after[row.decision] += 1
                _log.warning("reassess.unread", camera=row.camera_id, cause=said)
                continue
            standard = known.wanted[asked.standard]
            assert standard is not None
            decision, because = self._gated(row, said.decision, said.because)
            held = row.decision != row.judged  # 2 of 3 keep the camera's decision above that of its last run
            worse = _WORST_FIRST.index(decision) < _WORST_FIRST.index(row.decision)
            decides = row.decision if held and worse else decision
            run.after[decides] += 1
            same = (row.standard_hash, row.verdicts, row.reasons, row.judged, row.decision)
            if same == (standard.hash, said.verdicts, said.reasons, decision, decides):
                continue
            before = known.kept[row.standard_hash]
            if row.verdicts != said.verdicts or not known.alike(before, standard):
                failed = failed_rules(standard, said.verdicts)
                if before.standard != standard.standard or failed != failed_rules(before, row.verdicts):
                    failing.append((row.camera_id, standard.standard, failed))
            new.append(_New(next(run.ids), asked, standard, decision, decides, said, because))
        if not new:
            return
        async with self._store.write() as tx:
            new = await self._unchanged_meanwhile(tx, new)
            await _store_all(tx, new, now)
            living = {one.asked.row.camera_id for one in new}
            await _store_failing(tx, [one for one in failing if one[0] in living])
            decided = [one for one in new if one.decides != one.asked.row.decision]
            await tx.audit_many(
                "camera.decided",
                actor,
                [
                    (
                        f"camera/{one.asked.row.camera_id}",
                        {
                            "decision": one.decides,
                            "before": one.asked.row.decision,
                            "standard": one.standard.standard,
                            "assessment": one.id,
                        },
                    )
                    for one in decided
                ],
            )
            run.rewritten += len(new)
            run.changed += len(decided)
            for told in decided:
                self._tell(tx, told.asked.row.camera_id, told.asked.row.version + 1)

    def _gated(self, row: Any, by_rules: str, because: str) -> tuple[str, str]:
        """Apply the consent gate: a donated camera without an active consent is PENDING at best."""
        if row.kind == Kind.AUTHORITY or row.consent_state in _OPEN:
            return by_rules, because
        gate = canonical_json(dict(self._gate)).decode()
        if by_rules == "REJECTED":
            return by_rules, because[:-1] + ("," if because != "[]" else "") + gate + "]"
        return "PENDING", "[" + gate + ("," if because != "[]" else "") + because[1:]

    @staticmethod
    async def _unchanged_meanwhile(tx: Writing, new: list["_New"]) -> list["_New"]:
        """Leave out cameras that were assessed, or removed, while they were judged here."""
        ids = [one.asked.row.camera_id for one in new]
        found = await tx.all(select(_J.c.camera_id, _J.c.assessment_id).where(_J.c.camera_id.in_(ids)))
        newest = {row.camera_id: row.assessment_id for row in found}
        return [one for one in new if newest.get(one.asked.row.camera_id) == one.asked.row.assessment_id]

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


class _Asked(NamedTuple):
    """A camera that is judged again."""

    row: Any
    standard: str
    stated: Stated
    enrolled_days: float
    on_probation: bool


class _New(NamedTuple):
    """A camera of which another thing is said than before, or by another version."""

    id: str  # of its new assessment
    asked: _Asked
    standard: KeptStandard
    decision: str
    decides: str
    said: Judged
    because: str


async def _store_all(tx: Writing, new: Sequence[_New], now: datetime) -> None:
    """Write a batch, statement by statement."""
    shared = {"as_of": now, "observations": _NOTHING}
    names = ("id", "camera_id", "standard", "standard_version", "decision", "counts", "report")
    await tx.many(
        insert(_A).values(
            counts=bindparam("counts", type_=Text()),
            report=bindparam("report", type_=LargeBinary()),
            observations=bindparam("observations", type_=LargeBinary()),
        ),
        shared,
        names,
        (
            (one.id, one.asked.row.camera_id, one.standard.standard, one.standard.version, one.decision, one.said.counts, _report(one))
            for one in new
        ),
    )  # fmt: skip
    changed = ("assessment_id", "standard_hash", "decision", "verdicts", "reasons")
    await tx.many(
        _setting(_J, _J.c.camera_id, (*changed, "as_of")),
        {"as_of": now},
        (*changed, "of"),
        (
            (one.id, one.standard.hash, one.decision, one.said.verdicts, one.said.reasons, one.asked.row.camera_id)
            for one in new
        ),
    )  # fmt: skip
    shown = ("decision_reasons", "assessment_id", "version")
    await tx.many(
        _setting(_C, _C.c.id, (*shown, "changed_at")),
        {"changed_at": now},
        (*shown, "of"),
        ((one.because, one.id, one.asked.row.version + 1, one.asked.row.camera_id) for one in new),
    )
    # Apart, because both are indexed: an update writes the index of a column that it names, whatever its value.
    await tx.many(
        _setting(_C, _C.c.id, ("decision", "standard")),
        {},
        ("decision", "standard", "of"),
        (
            (one.decides, one.standard.standard, one.asked.row.camera_id)
            for one in new
            if (one.decides, one.standard.standard) != (one.asked.row.decision, one.asked.row.standard)
        ),
    )


def _setting(table: Table, key: ColumnElement[Any], names: Iterable[str]) -> Update:
    """Return the update of some columns of one row; JSON comes as its text."""
    kinds = {
        name: Text() if isinstance(table.c[name].type, JsonText) else table.c[name].type for name in names
    }
    values = {name: bindparam(name, type_=kind) for name, kind in kinds.items()}
    return update(table).where(key == bindparam("of")).values(values)


def _report(one: _New) -> bytes:
    """Return the report that is written out when somebody opens it, as `PackedJson` reads it."""
    row = one.asked.row
    known = {"consent.state": row.consent_state, "catalog.enrolled_days": one.asked.enrolled_days}
    told = {UNWRITTEN: row.basis_id, "hash": one.standard.hash, "known": known, **one.asked.stated.as_json()}
    return zlib.compress(
        msgspec.json.encode(told), 0
    )  # a small thing, and packing it costs eight times as much


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
