"""What the hub knows of a camera over time, as facts; and what a run leaves behind.

`StandingFacts` is a supplier of `Knowledge`: it answers from the log of health, the memory of earlier runs, the marks
of the catalog and what the hub's own requests measured. `Aftermath.keep` writes what a run brought, in the run's own
transaction: memory, marks, alerts, the next date.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update

from adapters.clock import Clock
from adapters.errors import BadTarget
from adapters.target import parse_target
from hub.catalog.schedule import VIETNAM
from hub.catalog.service import CatalogService
from hub.catalog.types import PTZ_GRANTED_BY, Camera
from hub.catalog.uptime import share
from hub.compliance.alerts import AlertBook
from hub.compliance.drift import CRITICAL, WARNING, Change, compare
from hub.compliance.memory import Memory, compared
from hub.compliance.timetable import Window, interval, next_due, not_before
from hub.store import tables
from hub.store.store import Reading, Store, Writing
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance, Value
from standards.pack import Packs, UnknownStandard
from standards.reason import Reason

_MEMORY, _MARKS, _CHECKS = tables.camera_memory, tables.camera_marks, tables.checks
SOURCE = "hub/1"
UPTIME = timedelta(days=30)
KNOWN_SHARE = 0.5  # of the 30 days: with less, a ratio would speak of days that nobody watched
MAX_MARK = 200
MIN_SERIAL = 5  # characters; shorter ones ("0", "1234") are no names of one device
IDENTITY = ("serial", "mac", "urn")


@dataclass(frozen=True, slots=True)
class Link:
    """What the hub's own liveness requests showed of the way to a camera."""

    samples: int
    rtt_p95_ms: float | None
    loss_ratio: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When runs repeat by themselves; `enabled` False: never."""

    enabled: bool = True
    windows: tuple[Window, ...] = ()
    by_day: tuple[Window, ...] = ()  # once a week per camera, beside `windows`

    @property
    def open(self) -> tuple[Window, ...]:
        """Return the windows in which a run may begin; () for any time."""
        return (*self.windows, *self.by_day) if self.windows else ()

    def next_due(self, last: datetime, every: timedelta, camera_id: str) -> datetime:
        """Return when the next run of a camera begins."""
        return next_due(last, every, self.windows, camera_id, VIETNAM, by_day=self.by_day)

    def not_before(self, moment: datetime, camera_id: str) -> datetime:
        """Return the moment itself where a run may begin then, else the camera's next slot."""
        return not_before(moment, self.open, camera_id, VIETNAM)


Links = Callable[[str], Link | None]


class StandingFacts:
    """Supplies the facts over time of one camera."""

    def __init__(self, store: Store, catalog: CatalogService, links: Links) -> None:
        self._store = store
        self._catalog = catalog
        self._links = links

    async def supply(self, camera: Camera, now: datetime) -> Mapping[str, Observation]:
        """Return what is known of an enrolled camera (a `hub.compliance.known.Supplier`)."""
        memory = await self.memory(camera.id)
        marks = await self._own_marks(camera.id)
        return {
            **memory.facts(now),
            **await self._uptime(camera, now),
            **await self._likeness(camera.id, marks, _host(camera.address), now),
            **self._link(camera.id, now),
            **_rights(camera, now),
        }

    async def worked_out(
        self, camera: Camera | None, address: str, seen: Observations, now: datetime
    ) -> Mapping[str, Observation]:
        """Return the same facts with a run that has just ended, before it is kept."""
        memory = await self.memory(camera.id) if camera is not None else Memory()
        likeness = await self._likeness(
            camera.id if camera is not None else "", marks_of(seen, address), _host(address), now
        )
        return {**memory.after(seen, now).facts(now), **likeness}

    async def memory(self, camera_id: str) -> Memory:
        """Return what is remembered of a camera."""
        async with self._store.read() as tx:
            return await read_memory(tx, camera_id)

    async def _uptime(self, camera: Camera, now: datetime) -> dict[str, Observation]:
        since = now - UPTIME
        told = await self._catalog.health_log(camera.id, since)
        spent = share(told, int(since.timestamp()), int(now.timestamp()))
        provenance = _told("heartbeats of the hub over 30 days", now)
        if spent.ratio is None or spent.known < KNOWN_SHARE * UPTIME.total_seconds():
            days = spent.known / 86_400
            detail = f"known for {days:.1f} of 30 days; at least {KNOWN_SHARE * 30:.0f} are needed"
            return {"uptime.ratio_30d": NotObserved(Reason.TOO_FEW_SAMPLES, detail, provenance)}
        return {"uptime.ratio_30d": Observed(round(spent.ratio, 4), provenance)}

    async def _own_marks(self, camera_id: str) -> frozenset[tuple[str, str]]:
        async with self._store.read() as tx:
            rows = await tx.all(select(_MARKS.c.kind, _MARKS.c.value).where(_MARKS.c.camera_id == camera_id))
        return frozenset((str(row.kind), str(row.value)) for row in rows)

    async def _likeness(
        self, camera_id: str, marks: frozenset[tuple[str, str]], host: str, now: datetime
    ) -> dict[str, Observation]:
        """Return how many other cameras have this one's serial number, address, reference, and certificate."""
        facts: dict[str, Observation] = {}
        told = _told("comparison within the catalog", now)
        async with self._store.read() as tx:
            identity = [mark for mark in marks if mark[0] in IDENTITY]
            if identity:
                others: set[str] = set()
                for kind, value in identity:
                    others |= await _others(tx, kind, value, camera_id)
                facts["catalog.duplicates"] = Observed(len(others), told)
            certificates = [value for kind, value in marks if kind == "cert"]
            if certificates:
                same: set[str] = set()
                for value in certificates:
                    same |= await _others(tx, "cert", value, camera_id, not_host=host)
                facts["tls.shared_fingerprint"] = Observed(len(same), told)
        return facts

    def _link(self, camera_id: str, now: datetime) -> dict[str, Observation]:
        link = self._links(camera_id)
        if link is None or link.rtt_p95_ms is None:
            return {}
        told = _told("the hub's own liveness requests: time to connect, silences", now)
        return {
            "link.samples": Observed(link.samples, told),
            "link.rtt_p95_ms": Observed(round(link.rtt_p95_ms, 1), told),
            "link.loss_ratio": Observed(round(link.loss_ratio, 4), told),
        }


class Aftermath:
    """Keeps what a run leaves behind."""

    def __init__(self, alerts: AlertBook, packs: Packs, rhythm: Rhythm, clock: Clock) -> None:
        self._alerts = alerts
        self._packs = packs
        self._rhythm = rhythm
        self._clock = clock

    async def keep(
        self,
        tx: Writing,
        camera: Camera,
        seen: Observations,
        *,
        standard: str,
        decision: str,
        assessment_id: str | None,
    ) -> tuple[Change, ...]:
        """Write memory, marks, alerts and the next date. `decision`: the one that holds for the camera now.

        Returns what changed against the run before.
        """
        now = self._clock.now()
        before = await read_memory(tx, camera.id)
        changes = compare(before.seen, compared(seen))
        after = before.after(seen, now, admitted=decision in {"ADMITTED", "CONDITIONAL"})
        await write_memory(tx, camera.id, after, now)
        await _write_marks(tx, camera.id, marks_of(seen, camera.address), _host(camera.address))
        if changes:
            await self._alerts.raise_all(tx, camera.id, changes, assessment_id)
        await self.plan(tx, camera.id, standard, decision)
        return changes

    async def plan(self, tx: Writing, camera_id: str, standard: str, decision: str) -> None:
        """Book the next regular run after one that settled the decision; an open vote is over."""
        if not self._rhythm.enabled:
            return
        now = self._clock.now()
        due = self._rhythm.next_due(now, self.every(standard, decision), camera_id)
        await book(tx, camera_id, due, "regular", (), last_at=now)
        await self._alerts.settle(tx, camera_id, ("worse",))

    def every(self, standard: str, decision: str) -> timedelta:
        """Return how often a camera of a standard is checked."""
        try:
            return interval(self._packs.profile(standard), decision)
        except UnknownStandard:  # a pack that was taken away; its cameras keep the longest rhythm
            return timedelta(days=7)


def fallen(before: str, after: str) -> Change:
    """Return the alert of a decision that fell by two of three."""
    return Change("fell", CRITICAL, {"before": before, "after": after})


def doubted(worse: int, cast: int) -> Change:
    """Return the alert of a vote that is open."""
    return Change("worse", WARNING, {"worse": worse, "cast": cast})


async def book(
    tx: Writing,
    camera_id: str,
    due: datetime,
    why: str,
    votes: Sequence[str],
    *,
    last_at: datetime | None = None,
) -> None:
    """Write when a camera is due next."""
    values: dict[str, Any] = {"due_at": due, "why": why, "votes": list(votes)}
    if last_at is not None:
        values["last_at"] = last_at
    changed = await tx.execute(update(_CHECKS).where(_CHECKS.c.camera_id == camera_id).values(**values))
    if not changed.rowcount:
        await tx.execute(insert(_CHECKS).values(camera_id=camera_id, **{"last_at": None, **values}))


async def read_memory(tx: Reading, camera_id: str) -> Memory:
    """Return what is remembered of a camera; nothing where it was never checked."""
    data = await tx.scalar(select(_MEMORY.c.data).where(_MEMORY.c.camera_id == camera_id))
    return Memory.from_json(data) if data else Memory()


async def write_memory(tx: Writing, camera_id: str, memory: Memory, now: datetime) -> None:
    """Keep a memory."""
    values = {"data": memory.as_json(), "changed_at": now}
    changed = await tx.execute(update(_MEMORY).where(_MEMORY.c.camera_id == camera_id).values(**values))
    if not changed.rowcount:
        await tx.execute(insert(_MEMORY).values(camera_id=camera_id, **values))


def marks_of(seen: Observations, address: str) -> frozenset[tuple[str, str]]:
    """Return by what a device is told from others; the channels of one recorder differ by their video source."""
    source = _source(address)
    found: set[tuple[str, str]] = set()
    serial, maker = _text(seen, "device.serial"), _text(seen, "device.manufacturer")
    if len(serial) >= MIN_SERIAL and len(set(serial)) > 1:
        found.add(("serial", f"{maker.lower()}|{serial}#{source}"))
    mac = seen.value("device.mac")
    for one in mac if isinstance(mac, tuple) else ():
        if isinstance(one, str) and len(set(one)) > 2:
            found.add(("mac", f"{one.lower()}#{source}"))
    reference = _text(seen, "device.endpoint_reference")
    if reference:
        found.add(("urn", f"{reference.lower()}#{source}"))
    for fact in ("tls.fingerprint", "rtsps.fingerprint"):
        if _text(seen, fact):
            found.add(("cert", _text(seen, fact)))
    return frozenset((kind, value[:MAX_MARK]) for kind, value in found)


async def _write_marks(tx: Writing, camera_id: str, marks: frozenset[tuple[str, str]], host: str) -> None:
    """Put new marks in the place of old ones of the same kind; kinds that this run did not see stay."""
    kinds = {kind for kind, _ in marks}
    if not kinds:
        return
    await tx.execute(delete(_MARKS).where(_MARKS.c.camera_id == camera_id, _MARKS.c.kind.in_(kinds)))
    rows = [
        {"camera_id": camera_id, "kind": kind, "value": value, "host": host} for kind, value in sorted(marks)
    ]
    await tx.execute(insert(_MARKS), rows)


async def _others(tx: Reading, kind: str, value: str, camera_id: str, *, not_host: str = "") -> set[str]:
    statement = (
        select(_MARKS.c.camera_id)
        .where(_MARKS.c.kind == kind, _MARKS.c.value == value, _MARKS.c.camera_id != camera_id)
        .limit(1000)
    )
    if not_host:
        statement = statement.where(_MARKS.c.host != not_host)
    return {str(row.camera_id) for row in await tx.all(statement)}


def _rights(camera: Camera, now: datetime) -> dict[str, Observation]:
    """Return what the hub may do on a camera, and whether its donor's name stands beside its stream's data (PRV-09)."""
    moves = bool(camera.permission.get(PTZ_GRANTED_BY))
    facts: dict[str, Observation] = {
        "hub.control_right": Observed(
            moves, _told("approvals on record; the hub has no way to configure", now)
        )
    }
    if camera.custodian.is_donor:
        beside = f"{camera.name}\n{camera.notes}\n{camera.address}".casefold()
        named = [
            word.casefold() for word in (camera.custodian.name, camera.custodian.contact) if len(word) >= 4
        ]
        apart = not any(word in beside for word in named)
        facts["donor.identity_apart"] = Observed(
            apart,
            _told("the donor's name and contact, looked for in the camera's name, notes and address", now),
        )
    return facts


def _host(address: str) -> str:
    try:
        return parse_target(address)[0].host
    except BadTarget:
        return ""


def _source(address: str) -> str:
    try:
        return parse_target(address)[0].source
    except BadTarget:
        return ""


def _text(seen: Observations, fact: str) -> str:
    value: Value = seen.value(fact)
    return value.strip() if isinstance(value, str) else ""


def _told(operation: str, now: datetime) -> Provenance:
    return Provenance(Method.EXAMINE, SOURCE, operation, "hub", now)
