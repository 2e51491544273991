"""Receipts of views: one per view, kept for the owner's "who watched" page; they outlive the camera."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, tuple_, update

from hub.store import tables
from hub.store.errors import Invalid
from hub.store.store import Store, Writing
from standards.observation import parse_rfc3339

_VIEWS = tables.views
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class View:
    """One view. `by` is what owners see (office, role, number); `by_name` only inspectors and administrators."""

    id: str
    camera_id: str
    user_id: str
    by: Mapping[str, Any]
    by_name: str
    kind: str  # live | snapshot | test
    purpose: str
    incident: str | None
    started_at: datetime
    ended_at: datetime | None = None
    seconds: float = 0.0
    ended_cause: str | None = None
    stills: int = 0


@dataclass(frozen=True, slots=True)
class ViewPage:
    """One page of views, newest first."""

    items: tuple[View, ...] = field(default_factory=tuple)
    next: str | None = None
    total: int = 0


class Receipts:
    """The views of this hub. `start` and `end` take the caller's transaction, so that the audit record is in it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def start(self, tx: Writing, view: View) -> None:
        """Write the receipt of a view that begins (or, for a snapshot, of the whole of it)."""
        await tx.execute(
            insert(_VIEWS).values(
                id=view.id,
                camera_id=view.camera_id,
                user_id=view.user_id,
                by=dict(view.by),
                by_name=view.by_name,
                kind=view.kind,
                purpose=view.purpose,
                incident=view.incident,
                started_at=view.started_at,
                ended_at=view.ended_at,
                seconds=view.seconds,
                ended_cause=view.ended_cause,
                stills=view.stills,
            )
        )

    async def end(self, tx: Writing, view_id: str, *, at: datetime, seconds: float, cause: str) -> bool:
        """Close a receipt. Returns False where it was closed already or never began."""
        ended = await tx.execute(
            update(_VIEWS)
            .where(_VIEWS.c.id == view_id, _VIEWS.c.ended_at.is_(None))
            .values(ended_at=at, seconds=seconds, ended_cause=cause)
        )
        return bool(ended.rowcount)

    async def count_still(self, tx: Writing, view_id: str) -> None:
        """Count a still picture taken during a view."""
        await tx.execute(update(_VIEWS).where(_VIEWS.c.id == view_id).values(stills=_VIEWS.c.stills + 1))

    async def open_views(self) -> tuple[View, ...]:
        """Return the views without an end: after a crash, those that the last run left behind."""
        async with self._store.read() as tx:
            rows = await tx.all(
                select(_VIEWS).where(_VIEWS.c.ended_at.is_(None)).order_by(_VIEWS.c.started_at)
            )
        return tuple(_view_from(row) for row in rows)

    async def get(self, view_id: str) -> View | None:
        """Return one view, or None."""
        async with self._store.read() as tx:
            row = await tx.one(select(_VIEWS).where(_VIEWS.c.id == view_id))
        return _view_from(row) if row is not None else None

    async def page(self, camera_id: str, *, cursor: str = "", limit: int = 100) -> ViewPage:
        """Return a camera's views, newest first.

        Raises:
            Invalid: `bad_cursor`, or a limit outside 1-200.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid("limit", f"choose 1 to {MAX_LIMIT}")
        mine = _VIEWS.c.camera_id == camera_id
        statement = (
            select(_VIEWS)
            .where(mine)
            .order_by(_VIEWS.c.started_at.desc(), _VIEWS.c.id.desc())
            .limit(limit + 1)
        )
        if cursor:
            at, _, view_id = cursor.partition("_")
            try:
                moment = parse_rfc3339(at)
            except ValueError as error:
                raise Invalid("cursor", "begin again without a cursor", code="bad_cursor") from error
            statement = statement.where(tuple_(_VIEWS.c.started_at, _VIEWS.c.id) < tuple_(moment, view_id))
        async with self._store.read() as tx:
            rows = await tx.all(statement)
            total = await tx.scalar(select(func.count()).select_from(_VIEWS).where(mine))
        items = tuple(_view_from(row) for row in rows[:limit])
        more = f"{items[-1].started_at:%Y-%m-%dT%H:%M:%S.%fZ}_{items[-1].id}" if len(rows) > limit else None
        return ViewPage(items, more, int(total))


def _view_from(row: Row[Any]) -> View:
    return View(
        id=row.id,
        camera_id=row.camera_id,
        user_id=row.user_id,
        by=row.by,
        by_name=row.by_name,
        kind=row.kind,
        purpose=row.purpose,
        incident=row.incident,
        started_at=row.started_at,
        ended_at=row.ended_at,
        seconds=row.seconds,
        ended_cause=row.ended_cause,
        stills=row.stills,
    )
