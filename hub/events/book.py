"""The last events of each camera: written behind in batches, read with what is not written yet."""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, delete, desc, func, insert, or_, select

from hub.problems import Problem
from hub.store import tables
from hub.store.store import Store
from standards.observation import parse_rfc3339, rfc3339

KEEP: Final = 50  # events per camera
MAX_UNWRITTEN: Final = 5000  # of all cameras, while the store does not take them; the oldest go first
_EVENTS = tables.camera_events
_CAMERAS = tables.cameras


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """One event of one camera. `told_at` is by the camera's clock, None where it told no readable time."""

    id: str
    camera_id: str
    kind: str
    active: bool | None
    topic: str
    operation: str
    source: dict[str, str]
    values: dict[str, str]
    told_at: datetime | None
    in_utc: bool
    arrived_at: datetime

    @property
    def difference_s(self) -> float | None:
        """Return the camera's time minus ours, in seconds."""
        if self.told_at is None:
            return None
        return (self.told_at - self.arrived_at).total_seconds()

    def as_json(self) -> dict[str, Any]:
        """Return it with the attribute names of CloudEvents 1.0 (JSON format)."""
        difference_s = self.difference_s
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/api/v1/cameras/{self.camera_id}",
            "type": f"camhub.camera.{self.kind}",
            "time": rfc3339(self.told_at or self.arrived_at),
            "datacontenttype": "application/json",
            "data": {
                "camera_id": self.camera_id,
                "kind": self.kind,
                "active": self.active,
                "topic": self.topic,
                "operation": self.operation,
                "source": self.source,
                "values": self.values,
                "told_at": rfc3339(self.told_at) if self.told_at else None,
                "in_utc": self.in_utc,
                "arrived_at": rfc3339(self.arrived_at),
                "difference_s": None if difference_s is None else round(difference_s, 1),
            },
        }


class EventBook:
    """The table of camera events."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten: list[CameraEvent] = []
        self._flushing = asyncio.Lock()

    def add(self, event: CameraEvent) -> None:
        """Keep an event; it is written by the next `flush`."""
        self._unwritten.append(event)
        del self._unwritten[:-MAX_UNWRITTEN]

    async def flush(self) -> None:
        """Write what is not written yet, and forget what is beyond the newest of each camera.

        Raises:
            StoreError: the store does not take it; it is kept for the next time.
        """
        # who comes while another flush writes waits for it: then all of it can be read
        async with self._flushing:
            if not self._unwritten:
                return
            writing = self._unwritten
            self._unwritten = []
            try:
                await self._write(writing)
            except BaseException:
                self._unwritten = [*writing, *self._unwritten][-MAX_UNWRITTEN:]
                raise

    async def _write(self, writing: list[CameraEvent]) -> None:
        touched = {event.camera_id for event in writing}
        async with self._store.write() as tx:
            living = {row.id for row in await tx.all(select(_CAMERAS.c.id).where(_CAMERAS.c.id.in_(touched)))}
            rows = [
                {
                    "id": event.id,
                    "camera_id": event.camera_id,
                    "kind": event.kind,
                    "active": event.active,
                    "arrived_at": event.arrived_at,
                    "told_at": event.told_at,
                    "said": {
                        "topic": event.topic,
                        "operation": event.operation,
                        "source": event.source,
                        "values": event.values,
                        "in_utc": event.in_utc,
                    },
                }
                for event in writing
                if event.camera_id in living
            ]
            if rows:
                await tx.execute(insert(_EVENTS), rows)
            for camera_id in living:
                oldest = await tx.one(
                    select(_EVENTS.c.arrived_at)
                    .where(_EVENTS.c.camera_id == camera_id)
                    .order_by(desc(_EVENTS.c.arrived_at), desc(_EVENTS.c.id))
                    .offset(KEEP - 1)
                    .limit(1)
                )
                if oldest is not None:
                    await tx.execute(
                        delete(_EVENTS).where(
                            _EVENTS.c.camera_id == camera_id, _EVENTS.c.arrived_at < oldest.arrived_at
                        )
                    )

    async def page(
        self, camera_id: str, cursor: str, limit: int
    ) -> tuple[list[CameraEvent], str | None, int]:
        """Return events of one camera, newest first, the cursor of the next page, and how many are kept.

        Raises:
            Problem: ``bad_cursor``.
        """
        after = _read(cursor) if cursor else None
        await self.flush()
        here = _EVENTS.c.camera_id == camera_id
        where = here
        if after is not None:
            at, event_id = after
            where = and_(
                here,
                or_(_EVENTS.c.arrived_at < at, and_(_EVENTS.c.arrived_at == at, _EVENTS.c.id < event_id)),
            )
        async with self._store.read() as tx:
            total = int(await tx.scalar(select(func.count()).select_from(_EVENTS).where(here)))
            rows = await tx.all(
                select(_EVENTS)
                .where(where)
                .order_by(desc(_EVENTS.c.arrived_at), desc(_EVENTS.c.id))
                .limit(limit + 1)
            )
        events = [
            CameraEvent(
                id=row.id,
                camera_id=row.camera_id,
                kind=row.kind,
                active=row.active,
                told_at=row.told_at,
                arrived_at=row.arrived_at,
                **row.said,
            )
            for row in rows[:limit]
        ]
        following = _write_cursor(events[-1]) if len(rows) > limit else None
        return events, following, total


def _write_cursor(event: CameraEvent) -> str:
    told = f"{event.arrived_at.isoformat()}|{event.id}"
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        told = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, event_id = told.partition("|")
        return parse_rfc3339(at), event_id
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise Problem("bad_cursor", field="cursor") from error
