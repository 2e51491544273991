"""Alerts: what drift said about a camera, kept until a person has seen it. Quiet: one open alert per kind and camera."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select, update

from adapters.clock import Clock
from hub.catalog.query import scoped
from hub.catalog.types import Scope
from hub.compliance.drift import SEVERITIES, Change
from hub.coordination.port import EventBus
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Store, Writing, new_id
from hub.texts import Both, Texts
from standards.observation import rfc3339

_ALERTS, _CAMERAS, _AREAS = tables.alerts, tables.cameras, tables.areas
STATES = ("open", "acknowledged", "all")
MAX_LIMIT = 200
MAX_NOTE = 500
ACKNOWLEDGED = "alert.acknowledged"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `times`: how often it was seen while it was open."""

    id: str
    camera_id: str
    camera_name: str
    area: tuple[str, str] | None  # code, name
    kind: str
    severity: str
    params: Mapping[str, Any]
    first_at: datetime
    last_at: datetime
    times: int
    assessment_id: str | None
    acknowledged_at: datetime | None
    acknowledged_by: Mapping[str, Any] | None
    note: str

    def as_json(self, texts: Texts) -> dict[str, Any]:
        """Return the representation of the HTTP API."""
        by = self.acknowledged_by
        return {
            "id": self.id,
            "camera": {"id": self.camera_id, "name": self.camera_name},
            "area": {"code": self.area[0], "name": self.area[1]} if self.area else None,
            "kind": self.kind,
            "severity": self.severity,
            "text": sentence(self.kind, self.params, texts),
            "first_at": rfc3339(self.first_at),
            "last_at": rfc3339(self.last_at),
            "times": self.times,
            "assessment_id": self.assessment_id,
            "acknowledged": None
            if self.acknowledged_at is None
            else {
                "at": rfc3339(self.acknowledged_at),
                "by": by.get("name") if by else None,
                "note": self.note,
            },
        }


@dataclass(frozen=True, slots=True)
class AlertQuery:
    """What to list. Empty fields do not filter."""

    scope: Scope
    camera_id: str = ""
    severity: str = ""
    kind: str = ""
    state: str = "open"
    cursor: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AlertPage:
    """One page, newest first; `total` counts all pages."""

    items: tuple[Alert, ...]
    next: str | None
    total: int


def sentence(kind: str, params: Mapping[str, Any], texts: Texts) -> Both:
    """Return what changed, in one sentence."""
    key = f"drift.{kind}"
    if kind == "fell":
        params = {name: texts.both(f"step.outcome.{decision}") for name, decision in params.items()}
    return texts.both(key, params) if texts.has(key) else texts.both("drift.unknown", {"kind": kind})


class AlertBook:
    """Raises, lists and acknowledges alerts."""

    def __init__(self, store: Store, bus: EventBus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock

    async def raise_all(
        self, tx: Writing, camera_id: str, changes: Iterable[Change], assessment_id: str | None
    ) -> tuple[str, ...]:
        """Keep what changed, within the caller's transaction; an open alert of the same kind is brought up to date."""
        now, ids = self._clock.now(), []
        for change in changes:
            open_one = await tx.one(
                select(_ALERTS.c.id, _ALERTS.c.times).where(
                    _ALERTS.c.camera_id == camera_id,
                    _ALERTS.c.kind == change.kind,
                    _ALERTS.c.acknowledged_at.is_(None),
                )
            )
            values = {
                "severity": change.severity,
                "params": dict(change.params),
                "last_at": now,
                "assessment_id": assessment_id,
            }
            if open_one is not None:
                alert_id = str(open_one.id)
                await tx.execute(
                    update(_ALERTS).where(_ALERTS.c.id == alert_id).values(times=open_one.times + 1, **values)
                )
            else:
                alert_id = new_id()
                await tx.execute(
                    insert(_ALERTS).values(
                        id=alert_id,
                        camera_id=camera_id,
                        kind=change.kind,
                        first_at=now,
                        times=1,
                        note="",
                        **values,
                    )
                )
            ids.append(alert_id)
        if ids:
            await self._mark(tx, camera_id)
            self._tell(tx, camera_id, ids)
        return tuple(ids)

    async def settle(self, tx: Writing, camera_id: str, kinds: Iterable[str]) -> None:
        """Close open alerts of some kinds that are true no more (a vote that ended), in the hub's own name."""
        closed = await tx.execute(
            update(_ALERTS)
            .where(
                _ALERTS.c.camera_id == camera_id,
                _ALERTS.c.kind.in_(list(kinds)),
                _ALERTS.c.acknowledged_at.is_(None),
            )
            .values(acknowledged_at=self._clock.now(), acknowledged_by={"kind": "hub", "name": "hub"})
        )
        if closed.rowcount:
            await self._mark(tx, camera_id)
            self._tell(tx, camera_id, [])

    async def page(self, query: AlertQuery) -> AlertPage:
        """Return one page.

        Raises:
            Invalid: a filter, the limit or the cursor is not one of those that there are.
        """
        conditions = _conditions(query)
        if not 1 <= query.limit <= MAX_LIMIT:
            raise Invalid("limit", f"choose 1 to {MAX_LIMIT}")
        paged = list(conditions)
        async with self._store.read() as tx:
            if query.cursor:
                after = await tx.one(
                    select(_ALERTS.c.last_at, _ALERTS.c.id).where(_ALERTS.c.id == query.cursor)
                )
                if after is None:
                    raise Invalid("cursor", "begin again without a cursor", code="bad_cursor")
                paged.append(
                    or_(
                        _ALERTS.c.last_at < after.last_at,
                        and_(_ALERTS.c.last_at == after.last_at, _ALERTS.c.id < after.id),
                    )
                )
            rows = await tx.all(
                _select()
                .where(*paged)
                .order_by(_ALERTS.c.last_at.desc(), _ALERTS.c.id.desc())
                .limit(query.limit + 1)
            )
            total = await tx.scalar(
                select(func.count()).select_from(_ALERTS.join(_CAMERAS)).where(*conditions)
            )
        items = tuple(_alert(row) for row in rows[: query.limit])
        return AlertPage(items, items[-1].id if len(rows) > query.limit else None, int(total or 0))

    async def get(self, alert_id: str) -> Alert:
        """Return one alert.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            row = await tx.one(_select().where(_ALERTS.c.id == alert_id))
        if row is None:
            raise ServiceError("not_found", "there is no such alert")
        return _alert(row)

    async def acknowledge(self, alert_id: str, note: str, actor: Actor) -> Alert:
        """Record that a person has seen an alert. One that was acknowledged stays as it was.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.write() as tx:
            row = await tx.one(_select().where(_ALERTS.c.id == alert_id))
            if row is None:
                raise ServiceError("not_found", "there is no such alert")
            if row.acknowledged_at is None:
                by = {"kind": actor.kind, "id": actor.id, "name": actor.name}
                await tx.execute(
                    update(_ALERTS)
                    .where(_ALERTS.c.id == alert_id)
                    .values(acknowledged_at=self._clock.now(), acknowledged_by=by, note=note[:MAX_NOTE])
                )
                await self._mark(tx, row.camera_id)
                facts = {
                    "alert": alert_id,
                    "kind": row.kind,
                    "severity": row.severity,
                    "note": note[:MAX_NOTE],
                }
                await tx.audit(ACKNOWLEDGED, actor, f"camera/{row.camera_id}", facts)
                self._tell(tx, row.camera_id, [alert_id])
        return await self.get(alert_id)

    async def _mark(self, tx: Writing, camera_id: str) -> None:
        """Write the worst open severity beside the camera."""
        rows = await tx.all(
            select(_ALERTS.c.severity)
            .where(_ALERTS.c.camera_id == camera_id, _ALERTS.c.acknowledged_at.is_(None))
            .distinct()
        )
        worst = max((str(row.severity) for row in rows), key=SEVERITIES.index, default="")
        await tx.execute(update(_CAMERAS).where(_CAMERAS.c.id == camera_id).values(alert=worst))

    def _tell(self, tx: Writing, camera_id: str, ids: list[str]) -> None:
        async def publish() -> None:
            await self._bus.publish("camera.changed", {"id": camera_id, "what": "alert"})
            for alert_id in ids:
                await self._bus.publish("alert.changed", {"id": alert_id, "camera_id": camera_id})

        tx.after_commit(publish)


def _select() -> Any:
    return select(
        _ALERTS,
        _CAMERAS.c.name.label("camera_name"),
        _CAMERAS.c.area_code.label("area_code"),
        _AREAS.c.name.label("area_name"),
    ).select_from(_ALERTS.join(_CAMERAS).outerjoin(_AREAS, _AREAS.c.code == _CAMERAS.c.area_code))


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        id=row.id,
        camera_id=row.camera_id,
        camera_name=row.camera_name,
        area=(row.area_code, row.area_name or row.area_code) if row.area_code else None,
        kind=row.kind,
        severity=row.severity,
        params=row.params,
        first_at=row.first_at,
        last_at=row.last_at,
        times=row.times,
        assessment_id=row.assessment_id,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
    )


def _conditions(query: AlertQuery) -> list[ColumnElement[bool]]:
    if query.state not in STATES:
        raise Invalid("state", f"choose one of {', '.join(STATES)}")
    if query.severity and query.severity not in SEVERITIES:
        raise Invalid("severity", f"choose one of {', '.join(SEVERITIES)}")
    out = scoped(query.scope)
    if query.state != "all":
        acknowledged = _ALERTS.c.acknowledged_at
        out.append(acknowledged.is_(None) if query.state == "open" else acknowledged.is_not(None))
    for column, value in (("camera_id", query.camera_id), ("severity", query.severity), ("kind", query.kind)):
        if value:
            out.append(_ALERTS.c[column] == value)
    return out
