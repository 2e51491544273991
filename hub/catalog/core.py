"""What all changes to the catalog share: read one camera, settle its derived states, tell the event bus."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, update

from adapters.clock import Clock
from hub.catalog.query import Finder
from hub.catalog.rows import camera_from, camera_select, shown_of
from hub.catalog.types import Camera
from hub.coordination.port import EventBus
from hub.store import tables
from hub.store.errors import ServiceError
from hub.store.sealer import Sealer
from hub.store.store import Reading, Store, Writing

CAMERA_CHANGED = "camera.changed"
_CAMERAS = tables.cameras


class CatalogCore:
    """The part of `hub.catalog.service.CatalogService` on which the others stand."""

    def __init__(
        self, store: Store, sealer: Sealer, bus: EventBus, clock: Clock, *, health_holds_s: int = 900
    ) -> None:
        self._store = store
        self._health_holds_s = health_holds_s  # a measurement of liveness speaks for so long after it
        self._sealer = sealer
        self._bus = bus
        self._clock = clock
        self._finder = Finder(store.dialect)

    @asynccontextmanager
    async def _within(self, transaction: Writing | None) -> AsyncIterator[Writing]:
        """Join the caller's transaction (an admission writes camera, consent and assessment as one), or make one."""
        if transaction is not None:
            yield transaction
            return
        async with self._store.write() as own:
            yield own

    async def _read(self, tx: Reading, camera_id: str) -> Camera:
        row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
        if row is None:
            raise ServiceError("not_found", "there is no such camera")
        return camera_from(row, self._clock.now())

    async def _touch(self, tx: Writing, before: Camera, values: Mapping[str, Any]) -> int:
        """Write values, the next version and the derived states."""
        await tx.execute(
            update(_CAMERAS)
            .where(_CAMERAS.c.id == before.id)
            .values(version=before.version + 1, changed_at=self._clock.now(), **values)
        )
        await self._settle(tx, before.id)
        return before.version + 1

    async def _settle(self, tx: Writing, camera_id: str) -> int:
        """Write the derived columns anew; returns the version."""
        now = self._clock.now()
        row: Row[Any] | None = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
        assert row is not None
        camera = camera_from(row, now)
        state = shown_of(row, camera.custodian.kind, camera.consent, now)
        values: dict[str, Any] = {
            "sharing": state.sharing,
            "consent_state": str(state.consent),
            "health": state.health,
            "next_change_at": state.next_change_at,
            "paused": state.paused,
            "paused_until": row.paused_until if state.paused else None,
        }
        if row.health != state.health:
            values["shown_since"] = now
        await tx.execute(update(_CAMERAS).where(_CAMERAS.c.id == camera_id).values(**values))
        return int(row.version)

    def _tell(self, tx: Writing, camera_id: str, what: str, version: int) -> None:
        async def publish() -> None:
            await self._bus.publish(CAMERA_CHANGED, {"id": camera_id, "what": what, "version": version})

        tx.after_commit(publish)
