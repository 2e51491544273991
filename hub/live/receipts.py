"""Receipts: one row per view, written with its audit record in the same transaction, read by "who watched"."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, desc, func, insert, or_, select, update

from adapters.clock import Clock
from hub.access.decide import Ask
from hub.problems import Problem
from hub.store import tables
from hub.store.chain import HUB
from hub.store.store import Store, Writing
from standards.observation import parse_rfc3339, rfc3339

_VIEWS = tables.views


@dataclass(frozen=True, slots=True)
class View:
    """One receipt. `by_name` is shown to inspectors and administrators only."""

    id: str
    camera_id: str
    user_id: str
    by: dict[str, Any]  # office, role, number; and the recipient of an output
    by_name: str
    kind: str  # live | output | snapshot | test
    purpose: str
    incident: str | None
    started_at: datetime
    ended_at: datetime | None
    seconds: float
    ended_cause: str | None
    stills: int

    def as_json(self, *, names: bool) -> dict[str, Any]:
        """Return the representation of the HTTP API."""
        by = {**self.by, "name": self.by_name} if names else dict(self.by)
        return {
            "id": self.id,
            "camera_id": self.camera_id,
            "started_at": rfc3339(self.started_at),
            "ended_at": rfc3339(self.ended_at) if self.ended_at else None,
            "seconds": round(self.seconds, 1),
            "kind": self.kind,
            "by": by,
            "purpose": self.purpose,
            "incident": self.incident,
            "ended_cause": self.ended_cause,
            "stills": self.stills,
        }


class Receipts:
    """The views table."""

    def __init__(self, store: Store, clock: Clock, office: str) -> None:
        self._store = store
        self._clock = clock
        self._office = office

    async def begin(self, view_id: str, camera_id: str, ask: Ask, kind: str, *, recipient: str = "") -> View:
        """Record that a view starts: before the first packet of picture leaves. `recipient`: who gets it, if not the person."""
        who = ask.principal
        goes_to = {"recipient": recipient} if recipient else {}
        view = View(
            id=view_id,
            camera_id=camera_id,
            user_id=who.user_id,
            by={"office": self._office, "role": who.role, "number": str(who.number), **goes_to},
            by_name=who.display_name or who.name,
            kind=kind,
            purpose=ask.purpose,
            incident=ask.incident,
            started_at=self._clock.now(),
            ended_at=None,
            seconds=0.0,
            ended_cause=None,
            stills=0,
        )
        async with self._store.write() as tx:
            await tx.execute(
                insert(_VIEWS).values(
                    id=view.id,
                    camera_id=view.camera_id,
                    user_id=view.user_id,
                    by=view.by,
                    by_name=view.by_name,
                    kind=view.kind,
                    purpose=view.purpose,
                    incident=view.incident,
                    started_at=view.started_at,
                    ended_at=None,
                    seconds=0.0,
                    ended_cause=None,
                    stills=0,
                )
            )
            await tx.audit(
                "view.started",
                who.actor(),
                f"camera/{camera_id}",
                {
                    "view": view_id,
                    "view_kind": kind,
                    "purpose": ask.purpose,
                    "incident": ask.incident,
                    **goes_to,
                },
            )
        return view

    async def end(self, view: View, ask: Ask, *, cause: str, seconds: float, stills: int = 0) -> View:
        """Record that a view ended. A view that has an end keeps it."""
        ended_at = self._clock.now()
        async with self._store.write() as tx:
            changed = await tx.execute(
                update(_VIEWS)
                .where(_VIEWS.c.id == view.id, _VIEWS.c.ended_at.is_(None))
                .values(ended_at=ended_at, seconds=seconds, ended_cause=cause[:64], stills=stills)
            )
            if changed.rowcount:
                await self._audit_end(tx, view.id, view.camera_id, ask, cause=cause, seconds=seconds)
        return View(
            **{
                **{name: getattr(view, name) for name in View.__slots__},
                "ended_at": ended_at,
                "seconds": seconds,
                "ended_cause": cause,
                "stills": stills,
            }
        )

    @staticmethod
    async def _audit_end(
        tx: Writing, view_id: str, camera_id: str, ask: Ask, *, cause: str, seconds: float
    ) -> None:
        data = {"view": view_id, "cause": cause, "seconds": round(seconds, 1)}
        await tx.audit("view.ended", ask.principal.actor(), f"camera/{camera_id}", data)

    async def refused(self, camera_id: str, ask: Ask, kind: str, code: str) -> None:
        """Record that a view was asked for and refused."""
        async with self._store.write() as tx:
            await tx.audit(
                "view.refused",
                ask.principal.actor(),
                f"camera/{camera_id}",
                {"code": code, "view_kind": kind, "purpose": ask.purpose, "incident": ask.incident},
            )

    async def close_left_open(self) -> int:
        """End the views that a hub which died left open; their true end is not known, so seconds stay as they are."""
        async with self._store.write() as tx:
            rows = await tx.all(select(_VIEWS.c.id, _VIEWS.c.camera_id).where(_VIEWS.c.ended_at.is_(None)))
            for row in rows:
                await tx.execute(
                    update(_VIEWS)
                    .where(_VIEWS.c.id == row.id)
                    .values(ended_at=self._clock.now(), ended_cause="hub_died")
                )
                await tx.audit(
                    "view.ended", HUB, f"camera/{row.camera_id}", {"view": row.id, "cause": "hub_died"}
                )
        return len(rows)

    async def page(self, camera_id: str, cursor: str, limit: int) -> tuple[list[View], str | None, int]:
        """Return views of one camera, newest first, the cursor of the next page, and how many there are.

        Raises:
            Problem: ``bad_cursor``.
        """
        here = _VIEWS.c.camera_id == camera_id
        where = here
        if cursor:
            at, view_id = _read(cursor)
            where = and_(
                here,
                or_(_VIEWS.c.started_at < at, and_(_VIEWS.c.started_at == at, _VIEWS.c.id < view_id)),
            )
        async with self._store.read() as tx:
            total = int(await tx.scalar(select(func.count()).select_from(_VIEWS).where(here)))
            rows = await tx.all(
                select(_VIEWS)
                .where(where)
                .order_by(desc(_VIEWS.c.started_at), desc(_VIEWS.c.id))
                .limit(limit + 1)
            )
        views = [View(**{name: getattr(row, name) for name in View.__slots__}) for row in rows[:limit]]
        following = _write(views[-1]) if len(rows) > limit else None
        return views, following, total


def _write(view: View) -> str:
    return (
        base64.urlsafe_b64encode(f"{rfc3339_exact(view.started_at)}|{view.id}".encode()).decode().rstrip("=")
    )


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        told = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, view_id = told.partition("|")
        return parse_rfc3339(at), view_id
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise Problem("bad_cursor", field="cursor") from error


def rfc3339_exact(moment: datetime) -> str:
    """Return a moment with all its digits, for a cursor (rows are compared by the microsecond)."""
    return moment.isoformat()
