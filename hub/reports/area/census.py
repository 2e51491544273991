"""What is counted about an area, read from the store in a few statements however many cameras there are.

No owner's name and no position is read. What the numbers mean is said in docs/ref/area-report.md.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby
from operator import itemgetter
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, case, func, literal_column, or_, select

from hub.catalog.areas import area_in
from hub.catalog.judgements import KeptStandard, kept_standards
from hub.catalog.types import Area, Kind
from hub.catalog.uptime import UNKNOWN, known_until, outages, share
from hub.store import tables
from hub.store.errors import ServiceError
from hub.store.store import Reading
from standards.compiled import VERDICTS

VIETNAM = timezone(timedelta(hours=7))
DECISIONS = ("ADMITTED", "CONDITIONAL", "PENDING", "REJECTED")
SMALLEST_GROUP = 5  # owners; smaller neighbourhood groups are told together
DEAD_S = 7 * 86_400
MONTHS = 12
_C, _J, _K, _AREAS = tables.cameras, tables.judgements, tables.custodians, tables.areas
_H, _LOG, _A, _V = tables.health, tables.health_changes, tables.assessments, tables.views
_OPEN = ("not_needed", "active")


class Entry(NamedTuple):
    """One camera, as far as an area report knows it."""

    id: str
    name: str
    area: str
    kind: str
    custodian: str
    group: str
    decision: str
    health: str
    consent: str
    enrolled_at: datetime
    measured_at: datetime | None
    standard: str  # hash, "" where it was never judged
    verdicts: str
    reasons: str


@dataclass(frozen=True, slots=True)
class UpTime:
    """Measured up-time over a span, of the cameras of which anything is known."""

    since: datetime
    until: datetime
    known: int = 0
    median: float | None = None
    mean: float | None = None
    below: int = 0  # cameras below 95 %
    longest_outage_s: int = 0
    dead: int = 0  # known not to live for more than 7 days, now


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule over the area."""

    rule: str
    title: Mapping[str, str]
    severity: str
    failing: int  # not met
    unseen: int  # could not be concluded, and lowers the decision
    concluded: int  # met or not met
    admits: int  # cameras that would be admitted if this rule alone were met


@dataclass(frozen=True, slots=True)
class Census:
    """All that an area report is made from."""

    area: Area
    as_of: datetime
    since: datetime
    entries: tuple[Entry, ...]
    area_names: Mapping[str, str]
    standards: Mapping[str, KeptStandard]
    clauses: tuple[Clause, ...]
    unseen: tuple[tuple[str, int], ...]  # reason, cameras whose decision it lowers
    uptime: UpTime
    trend: tuple[tuple[str, Mapping[str, int]], ...]  # month, decisions at its end
    views: tuple[tuple[str, int, float], ...]  # purpose, number, minutes
    measured_at: datetime | None = field(default=None)


async def take(
    tx: Reading,
    code: str,
    *,
    as_of: datetime,
    since: datetime,
    holds_s: int,
) -> Census:
    """Count an area as it is at `as_of`; up-time and views from `since` on.

    Raises:
        ServiceError: `not_found`: there is no such area.
    """
    area = await area_in(tx, code)
    if area is None:
        raise ServiceError("not_found", f"there is no area {code}")
    path = "/" + "/".join(area.path) + "/"
    below = select(_AREAS.c.code).where(_AREAS.c.path.startswith(path, autoescape=True))
    names = {row.code: row.name for row in await tx.all(
        select(_AREAS.c.code, _AREAS.c.name).where(_AREAS.c.path.startswith(path, autoescape=True))
    )}  # fmt: skip
    entries = tuple(
        Entry._make(row)
        for row in await tx.all(
            select(
                _C.c.id, _C.c.name, _C.c.area_code, _K.c.kind, _C.c.custodian_id, _C.c.group_name, _C.c.decision,
                _C.c.health, _C.c.consent_state, _C.c.enrolled_at, _H.c.measured_at,
                func.coalesce(_J.c.standard_hash, ""), func.coalesce(_J.c.verdicts, ""), func.coalesce(_J.c.reasons, ""),
            )
            .select_from(
                _C.join(_K, _K.c.id == _C.c.custodian_id)
                .outerjoin(_J, _J.c.camera_id == _C.c.id)
                .outerjoin(_H, _H.c.camera_id == _C.c.id)
            )
            .where(_C.c.area_code.in_(below))
        )
    )  # fmt: skip
    standards = await kept_standards(tx)
    used = {entry.standard for entry in entries}
    measured = [entry.measured_at for entry in entries if entry.measured_at is not None]
    return Census(
        area=area,
        as_of=as_of,
        since=since,
        entries=entries,
        area_names=names,
        standards={hash_: one for hash_, one in standards.items() if hash_ in used},
        clauses=_clauses(entries, standards),
        unseen=_unseen(entries, standards),
        uptime=await _uptime(tx, below, entries, since=since, until=as_of, holds_s=holds_s),
        trend=await _trend(tx, below, as_of),
        views=await _views(tx, below, since, as_of),
        measured_at=max(measured, default=None),
    )  # fmt: skip


def _clauses(entries: Sequence[Entry], standards: Mapping[str, KeptStandard]) -> tuple[Clause, ...]:
    """Count each rule, column by column: the letters of all cameras side by side."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    told: dict[str, tuple[str, Mapping[str, str]]] = {}
    admits: Counter[str] = Counter()
    for hash_, group in _by_standard(entries).items():
        kept = standards.get(hash_)
        if kept is None:
            continue
        width = len(kept.rules)
        rows = [entry for entry in group if len(entry.verdicts) == width]
        whole = "".join(entry.verdicts for entry in rows)
        for place, (rule, severity, title) in enumerate(kept.rules):
            column = whole[place::width]
            counted[rule].update({letter: column.count(letter) for letter in _COUNTED})
            told[rule] = (severity, title)
        for entry in rows:
            lowering = entry.verdicts.translate(_NO_SMALL)
            gated = entry.kind != Kind.AUTHORITY and entry.consent not in _OPEN
            if len(lowering) == 1 and not gated:
                admits[kept.rules[entry.verdicts.index(lowering)][0]] += 1
    found = [
        Clause(
            rule=rule,
            title=told[rule][1],
            severity=told[rule][0],
            failing=letters["f"] + letters["F"],
            unseen=letters["I"] + letters["E"] + letters["N"],
            concluded=letters["p"] + letters["f"] + letters["F"],
            admits=admits[rule],
        )
        for rule, letters in counted.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.failing, -one.admits, one.rule)))


_COUNTED = "pfFIEN"  # met, failed, and what could not be concluded and lowers the decision
_UNSEEN = re.compile("[IEN]")  # lowers the decision, and is neither met nor failed
_NO_SMALL = {ord(letter): None for letter in VERDICTS}


def _unseen(entries: Sequence[Entry], standards: Mapping[str, KeptStandard]) -> tuple[tuple[str, int], ...]:
    """Count, by reason, the cameras whose decision is lowered by something that could not be seen."""
    found: Counter[str] = Counter()
    pairs = Counter((entry.standard, entry.verdicts, entry.reasons) for entry in entries if entry.verdicts)
    for (hash_, verdicts, reasons), cameras in pairs.items():
        kept = standards.get(hash_)
        if kept is None:
            continue
        for why in {reasons[one.start()] for one in _UNSEEN.finditer(verdicts, 0, len(reasons))}:
            place = ord(why) - ord("A")
            if 0 <= place < len(kept.reasons):
                found[kept.reasons[place]] += cameras
    return tuple(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _by_standard(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.standard:
            groups[entry.standard].append(entry)
    return groups


async def _uptime(
    tx: Reading, below: Any, entries: Sequence[Entry], *, since: datetime, until: datetime, holds_s: int
) -> UpTime:
    """Add up the log of health: changes that lie in the span, and what held when it began."""
    begins, ends = int(since.timestamp()), int(until.timestamp())
    newest = (
        select(func.max(_LOG.c.at))
        .where(_LOG.c.camera_id == _C.c.id, _LOG.c.at <= begins)
        .correlate(_C)
        .scalar_subquery()
    )
    rows: Sequence[Any] = await tx.all(
        select(_LOG.c.camera_id, _LOG.c.at, _LOG.c.state)
        .select_from(_C.join(_LOG, _LOG.c.camera_id == _C.c.id))
        .where(_C.c.area_code.in_(below), _LOG.c.at >= func.coalesce(newest, 0), _LOG.c.at < ends)
        .order_by(_LOG.c.camera_id, _LOG.c.at)
    )
    measured = {entry.id: entry.measured_at for entry in entries}
    ratios: list[float] = []
    up = known = longest = dead = 0
    for camera, changes in groupby(rows, key=itemgetter(0)):
        at = measured.get(camera)
        log = known_until(
            [(row[1], row[2]) for row in changes],
            int(at.timestamp()) if at is not None else None,
            ends,
            holds_s,
        )
        spent = share(log, begins, ends)
        seen = spent.known
        if not seen:
            continue
        ratios.append(spent.up / seen)
        up, known = up + spent.up, known + seen
        if spent.down:
            for outage in outages(log, begins, ends):
                lasted = (outage.until or ends) - outage.since
                longest = max(longest, lasted)
                dead += outage.until is None and lasted > DEAD_S and log[-1][1] != UNKNOWN
    return UpTime(
        since,
        until,
        len(ratios),
        median(ratios) if ratios else None,
        up / known if known else None,
        sum(1 for ratio in ratios if ratio < 0.95),
        longest,
        dead,
    )


async def _trend(tx: Reading, below: Any, as_of: datetime) -> tuple[tuple[str, Mapping[str, int]], ...]:
    """Return the decisions at the end of each of the last months, of the cameras that are enrolled now.

    An assessment holds until the camera's next one. Counted in the database: by decision, by the month in which it
    began to hold and that in which it ended. A month before the first assessment of all is left out.
    """
    last = as_of.year * 12 + as_of.month - 1
    months = range(last - MONTHS + 1, last + 1)
    later = _A.alias()
    ended = (
        select(later.c.as_of)
        .where(
            later.c.camera_id == _A.c.camera_id,
            later.c.as_of >= _A.c.as_of,
            or_(later.c.as_of > _A.c.as_of, later.c.id > _A.c.id),
            later.c.as_of <= as_of,
        )
        .order_by(later.c.as_of)
        .limit(1)
        .correlate(_A)
        .scalar_subquery()  # one look into the index; a window would sort all rows first
    )
    held = (
        select(_A.c.decision, _A.c.as_of.label("began"), ended.label("ended"))
        .select_from(_C.join(_A, _A.c.camera_id == _C.c.id))
        .where(_C.c.area_code.in_(below), _A.c.as_of <= as_of)
        .cte()
        .prefix_with("MATERIALIZED")  # else the database looks for the next assessment once per month
    )
    began, until = _month_of(held.c.began, months), _month_of(held.c.ended, months)
    rows: Sequence[Any] = await tx.all(
        select(held.c.decision, began, until, func.count())
        .group_by(held.c.decision, began, until)
        .order_by(held.c.decision, began, until)
    )
    counts: dict[int, Counter[str]] = {month: Counter() for month in months}
    for decision, first, end, cameras in rows:
        for month in months[first:end]:
            counts[month][decision] += cameras
    return tuple(
        (f"{month // 12:04}-{month % 12 + 1:02}", {name: counted[name] for name in DECISIONS})
        for month, counted in counts.items()
        if counted
    )


def _month_of(moment: ColumnElement[Any], months: range) -> ColumnElement[int]:
    """Return the place of the month (UTC) in which a moment lies: 0 for all before, one past the end where there is none."""
    starts = [
        (place, datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)) for place, month in enumerate(months)
    ]
    places = [(moment >= start, literal_column(str(place), Integer)) for place, start in reversed(starts[1:])]
    nowhere = literal_column(str(len(months)), Integer)
    return case((moment.is_(None), nowhere), *places, else_=literal_column("0", Integer))


async def _views(
    tx: Reading, below: Any, since: datetime, until: datetime
) -> tuple[tuple[str, int, float], ...]:
    """Return how often and how long cameras were looked at, by purpose."""
    rows: Sequence[Any] = await tx.all(
        select(_V.c.purpose, func.count(), func.sum(_V.c.seconds))
        .select_from(_C.join(_V, _V.c.camera_id == _C.c.id))
        .where(_C.c.area_code.in_(below), _V.c.started_at >= since, _V.c.started_at < until)
        .group_by(_V.c.purpose)
        .order_by(_V.c.purpose)
    )
    return tuple((str(row[0]), int(row[1]), round(float(row[2] or 0) / 60, 1)) for row in rows)
