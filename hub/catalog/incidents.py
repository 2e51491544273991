"""Incidents: the only key to cameras shared on incident. They name a place, close by themselves, extend once."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, or_, select, update

from hub.catalog.areas import area_in
from hub.catalog.types import Camera, Incident
from hub.coordination.port import EventBus
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Reading, Store, new_id

_INCIDENTS = tables.incidents
INCIDENT_CHANGED = "incident.changed"
DEFAULT_LIFE = timedelta(hours=2)
LONGEST_LIFE = timedelta(hours=12)
MAX_CAMERAS = 200


class Incidents:
    """The incidents of this hub."""

    def __init__(self, store: Store, bus: EventBus) -> None:
        self._store = store
        self._bus = bus
        self._clock = store.clock

    async def open(
        self,
        number: str,
        title: str,
        actor: Actor,
        *,
        area: str | None = None,
        camera_ids: tuple[str, ...] = (),
        life: timedelta = DEFAULT_LIFE,
    ) -> Incident:
        """Open an incident that covers an area, some cameras, or both.

        Raises:
            Invalid: names the field. ServiceError: `conflict` where the number is taken.
        """
        number, title = number.strip(), title.strip()
        if not 1 <= len(number) <= 64:
            raise Invalid("number", "give the incident's number, at most 64 characters")
        if not 1 <= len(title) <= 200:
            raise Invalid("title", "say in a few words what it is, at most 200 characters")
        if area is None and not camera_ids:
            raise Invalid("area", "say where: an area, cameras, or both")
        if len(camera_ids) > MAX_CAMERAS:
            raise Invalid("camera_ids", f"at most {MAX_CAMERAS} cameras")
        if not timedelta(0) < life <= LONGEST_LIFE:
            raise Invalid("closes_at", "an incident is open for 12 hours at most")
        now = self._clock.now()
        incident = Incident(new_id(), number, title, area, tuple(dict.fromkeys(camera_ids)), now, now + life)
        async with self._store.write() as tx:
            if area is not None and await area_in(tx, area) is None:
                raise Invalid("area", "this area is not in this hub's table", code="area_unknown")
            if await tx.scalar(select(_INCIDENTS.c.id).where(_INCIDENTS.c.number == number)) is not None:
                raise ServiceError("conflict", "an incident with this number exists", field="number")
            await tx.execute(
                insert(_INCIDENTS).values(
                    id=incident.id,
                    number=number,
                    title=title,
                    area_code=area,
                    camera_ids=list(incident.camera_ids),
                    opened_by=actor.as_json(),
                    opened_at=now,
                    closes_at=incident.closes_at,
                    extended=False,
                )
            )
            facts = {"number": number, "area": area, "cameras": list(incident.camera_ids)}
            await tx.audit("incident.opened", actor, f"incident/{incident.id}", facts)
            tx.after_commit(lambda: self._bus.publish(INCIDENT_CHANGED, {"id": incident.id}))
        return incident

    async def extend(self, incident_id: str, actor: Actor) -> Incident:
        """Keep an open incident open for as long again, once.

        Raises:
            ServiceError: `not_found`; `conflict` where it is closed or was extended before.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            incident = await self._get(tx, incident_id)
            if not incident.open_at(now) or incident.extended:
                raise ServiceError("conflict", "an incident is extended once, while it is open")
            closes_at = incident.closes_at + (incident.closes_at - incident.opened_at)
            await tx.execute(
                update(_INCIDENTS)
                .where(_INCIDENTS.c.id == incident_id)
                .values(closes_at=closes_at, extended=True)
            )
            await tx.audit("incident.extended", actor, f"incident/{incident_id}", {"number": incident.number})
            tx.after_commit(lambda: self._bus.publish(INCIDENT_CHANGED, {"id": incident_id}))
            return await self._get(tx, incident_id)

    async def close(self, incident_id: str, actor: Actor) -> Incident:
        """Close an incident now; views that stand on it are re-decided by the event.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.write() as tx:
            incident = await self._get(tx, incident_id)
            if incident.open_at(self._clock.now()):
                await tx.execute(
                    update(_INCIDENTS)
                    .where(_INCIDENTS.c.id == incident_id)
                    .values(closed_at=self._clock.now())
                )
                facts = {"number": incident.number}
                await tx.audit("incident.closed", actor, f"incident/{incident_id}", facts)
                tx.after_commit(lambda: self._bus.publish(INCIDENT_CHANGED, {"id": incident_id}))
            return await self._get(tx, incident_id)

    async def get(self, incident_id: str) -> Incident:
        """Return one incident.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            return await self._get(tx, incident_id)

    async def open_now(self) -> tuple[Incident, ...]:
        """Return all that are open at this moment, newest first."""
        now = self._clock.now()
        statement = (
            select(_INCIDENTS)
            .where(
                _INCIDENTS.c.closes_at > now,
                or_(_INCIDENTS.c.closed_at.is_(None), _INCIDENTS.c.closed_at > now),
            )
            .order_by(_INCIDENTS.c.opened_at.desc())
        )
        async with self._store.read() as tx:
            return tuple(_incident_from(row) for row in await tx.all(statement))

    async def covering(self, camera: Camera) -> tuple[Incident, ...]:
        """Return the open incidents that cover a camera: what `hub.access.decide.Subject` wants."""
        path = camera.area.path if camera.area is not None else ()
        return tuple(one for one in await self.open_now() if one.covers(camera.id, path))

    async def _get(self, tx: Reading, incident_id: str) -> Incident:
        row = await tx.one(select(_INCIDENTS).where(_INCIDENTS.c.id == incident_id))
        if row is None:
            raise ServiceError("not_found", "there is no such incident")
        return _incident_from(row)


def _incident_from(row: Row[Any]) -> Incident:
    closed_at: datetime | None = row.closed_at
    return Incident(
        id=row.id,
        number=row.number,
        title=row.title,
        area=row.area_code,
        camera_ids=tuple(row.camera_ids),
        opened_at=row.opened_at,
        closes_at=row.closes_at,
        closed_at=closed_at,
        extended=row.extended,
    )
