"""What is counted about an area, read from the store in a few statements however many cameras there are.

No owner's name and no position is read. What the numbers mean is said in docs/ref/area-report.md.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import compress, groupby
from operator import itemgetter
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import func, select

from hub.catalog.areas import area_in
from hub.catalog.judgements import KeptStandard, kept_standards
from hub.catalog.types import Area, Kind
from hub.catalog.uptime import total
from hub.reports.area.quiet import paused_collection
from hub.store import tables
from hub.store.columns import KeptMoments
from hub.store.errors import ServiceError
from hub.store.store import Reading
from standards.compiled import VERDICTS

VIETNAM = timezone(timedelta(hours=7))
DECISIONS = ("ADMITTED", "CONDITIONAL", "PENDING", "REJECTED")
COUNTING = ("cameras", "clauses", "uptime", "trend")  # steps of a census, in order
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
    enrolled: str  # day, UTC
    recent: bool  # enrolled in the period of the report
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
    progress: Callable[[str], None] = lambda _step: None,
) -> Census:
    """Count an area as it is at `as_of`; up-time and views from `since` on. `progress` is told each of `COUNTING`.

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
    with paused_collection():
        progress("cameras")
        entries, measured = await _entries(tx, below, since)
        progress("clauses")
        standards = await kept_standards(tx)
        used = {entry.standard for entry in entries}
        clauses, unseen = await asyncio.to_thread(
            lambda: (_clauses(entries, standards), _unseen(entries, standards))
        )
        newest = max((at for at in measured.values() if at is not None), default=None)
        progress("uptime")
        uptime = await _uptime(tx, below, measured, since=since, until=as_of, holds_s=holds_s)
        progress("trend")
        trend = await _trend(tx, below, as_of)
        views = await _views(tx, below, since, as_of)
    return Census(
        area=area,
        as_of=as_of,
        since=since,
        entries=entries,
        area_names=names,
        standards={hash_: one for hash_, one in standards.items() if hash_ in used},
        clauses=clauses,
        unseen=unseen,
        uptime=uptime,
        trend=trend,
        views=views,
        measured_at=None if newest is None else tx.moments.moment(newest),
    )


async def _entries(tx: Reading, below: Any, since: datetime) -> tuple[tuple[Entry, ...], dict[str, Any]]:
    """Return the cameras, and when each was measured last, as the database keeps moments."""
    rows = await tx.tuples(
        select(
            _H.c.measured_at,
            _C.c.enrolled_at,
            _C.c.id, _C.c.name, _C.c.area_code, _K.c.kind, _C.c.custodian_id, _C.c.group_name, _C.c.decision,
            _C.c.health, _C.c.consent_state,
            func.coalesce(_J.c.standard_hash, ""), func.coalesce(_J.c.verdicts, ""), func.coalesce(_J.c.reasons, ""),
        )
        .select_from(
            _C.join(_K, _K.c.id == _C.c.custodian_id)
            .outerjoin(_J, _J.c.camera_id == _C.c.id)
            .outerjoin(_H, _H.c.camera_id == _C.c.id)
        )
        .where(_C.c.area_code.in_(below))
    )  # fmt: skip
    return await asyncio.to_thread(_entries_of, rows, tx.moments, since)


def _entries_of(
    rows: Sequence[tuple[Any, ...]], moments: KeptMoments, since: datetime
) -> tuple[tuple[Entry, ...], dict[str, Any]]:
    day, begins = moments.day, moments.kept(since)
    entries = tuple(
        Entry(
            camera, name, area, kind, custodian, group, decision, health, consent, day(enrolled), enrolled >= begins,
            standard, verdicts, reasons,
        )
        for (
            _, enrolled, camera, name, area, kind, custodian, group, decision, health, consent, standard, verdicts,
            reasons,
        ) in rows
    )  # fmt: skip
    return entries, {row[2]: row[0] for row in rows}


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
            lowering = _letters(entry.verdicts).translate(None, _SMALL)
            if len(lowering) == 1 and (entry.kind == Kind.AUTHORITY or entry.consent in _OPEN):
                admits[kept.rules[entry.verdicts.index(lowering.decode())][0]] += 1
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
_SMALL = "".join(VERDICTS).encode()
# 1 for a letter that lowers the decision, and says neither met nor failed
_UNSEEN = bytes(chr(code) in "IEN" for code in range(256))


def _letters(verdicts: str) -> bytes:
    """Return letters as bytes, one for each: their tables are looked up without a step per letter."""
    return verdicts.encode("latin-1", "replace")


def _unseen(entries: Sequence[Entry], standards: Mapping[str, KeptStandard]) -> tuple[tuple[str, int], ...]:
    """Count, by reason, the cameras whose decision is lowered by something that could not be seen."""
    found: Counter[str] = Counter()
    pairs = Counter((entry.standard, entry.verdicts, entry.reasons) for entry in entries if entry.verdicts)
    for (hash_, verdicts, reasons), cameras in pairs.items():
        kept = standards.get(hash_)
        if kept is None:
            continue
        for why in set(compress(reasons, _letters(verdicts).translate(_UNSEEN))):
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
    tx: Reading, below: Any, measured: Mapping[str, Any], *, since: datetime, until: datetime, holds_s: int
) -> UpTime:
    """Add up the log of health: changes that lie in the span, and what held when it began."""
    begins, ends = int(since.timestamp()), int(until.timestamp())
    newest = (
        select(func.max(_LOG.c.at))
        .where(_LOG.c.camera_id == _C.c.id, _LOG.c.at <= begins)
        .correlate(_C)
        .scalar_subquery()
    )
    rows = await tx.tuples(
        select(_LOG.c.camera_id, _LOG.c.at, _LOG.c.state)
        .select_from(_C.join(_LOG, _LOG.c.camera_id == _C.c.id))
        .where(_C.c.area_code.in_(below), _LOG.c.at >= func.coalesce(newest, 0), _LOG.c.at < ends)
        .order_by(_C.c.area_code, _C.c.sort_key, _C.c.id, _LOG.c.at)  # as the cameras' index has them
    )
    return await asyncio.to_thread(
        _uptime_of, rows, measured, tx.moments, since=since, until=until, holds_s=holds_s
    )


def _uptime_of(
    rows: Sequence[tuple[Any, ...]],
    measured: Mapping[str, Any],
    moments: KeptMoments,
    *,
    since: datetime,
    until: datetime,
    holds_s: int,
) -> UpTime:
    begins, ends = int(since.timestamp()), int(until.timestamp())
    lately = moments.kept(until - timedelta(seconds=holds_s))
    ratios: list[float] = []
    up = known = longest = dead = 0
    for camera, changes in groupby(rows, key=itemgetter(0)):
        at = measured.get(camera)
        if at is not None:
            at = ends if at >= lately else moments.second(at)
        spent = total(changes, at, begins, ends, holds_s)
        seen = spent.up + spent.down
        if not seen:
            continue
        ratios.append(spent.up / seen)
        up, known = up + spent.up, known + seen
        if spent.down:
            longest = max(longest, spent.longest)
            dead += spent.lasting > DEAD_S
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

    An assessment holds until the camera's next one. A month before the first assessment of all is left out.
    """
    rows = await tx.tuples(
        select(_A.c.camera_id, _A.c.as_of, _A.c.decision)
        .select_from(_C.join(_A, _A.c.camera_id == _C.c.id))
        .where(_C.c.area_code.in_(below), _A.c.as_of <= as_of)
        .order_by(_C.c.area_code, _C.c.sort_key, _C.c.id, _A.c.as_of, _A.c.id)
    )
    return await asyncio.to_thread(_trend_of, rows, tx.moments, as_of)


def _trend_of(
    rows: Sequence[tuple[Any, ...]], moments: KeptMoments, as_of: datetime
) -> tuple[tuple[str, Mapping[str, int]], ...]:
    last = as_of.year * 12 + as_of.month - 1
    months = [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(last - MONTHS + 1, last + 1)]
    places = {month: place for place, month in enumerate(months)}
    month_of = moments.month
    held: Counter[tuple[str, int, int]] = Counter()  # decision, its first month, the first one after it
    current, holding, begun = "", "", 0
    for camera, at, decision in rows:
        place = places.get(month_of(at), 0)  # whatever was before holds when the first month begins
        if camera != current:
            held[holding, begun, len(months)] += 1
            current, holding, begun = camera, decision, place
        else:
            if place != begun:
                held[holding, begun, place] += 1
                begun = place
            holding = decision
    held[holding, begun, len(months)] += 1
    counts: dict[str, Counter[str]] = {month: Counter() for month in months}
    for (decision, first, end), cameras in held.items():
        for month in months[first:end]:
            counts[month][decision] += cameras
    return tuple(
        (month, {name: counted[name] for name in DECISIONS})
        for month, counted in counts.items()
        if any(counted[name] for name in DECISIONS)
    )


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
