"""Area reports of a hub: made on request, kept as documents, given out in any form with a signature."""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import LargeBinary, bindparam, delete, insert, or_, select

from adapters.clock import Clock
from hub.catalog.types import Scope
from hub.reports.area.census import COUNTING, VIETNAM, take
from hub.reports.area.document import Document, as_json, document
from hub.reports.area.forms import about, render
from hub.reports.signing import SigningKeys
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Store, new_id
from standards.observation import rfc3339

KINDS = ("area", "yearly")
SPAN = timedelta(days=30)  # of an ordinary report's up-time and views
KEPT = 200  # reports per area; older ones go
RENDERED = 6  # forms held in memory: a PDF of 33,060 cameras costs a second
STEPS = (*COUNTING, "list", "keeping")  # of making a report, in order
_R, _AREAS = tables.area_reports, tables.areas


def _silent(_step: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class AreaReport:
    """One report as lists show it."""

    id: str
    area: str
    kind: str
    as_of: datetime
    by: dict[str, str]
    cameras: int

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "id": self.id,
            "area": self.area,
            "kind": self.kind,
            "as_of": rfc3339(self.as_of),
            "by": self.by,
            "cameras": self.cameras,
        }


class AreaReports:
    """Makes and keeps area reports."""

    def __init__(
        self, store: Store, clock: Clock, keys: SigningKeys, *, name: str, holds_s: int = 900
    ) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys
        self._name = name
        self._holds_s = holds_s
        self._rendered: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._working = asyncio.Lock()  # one at a time: a report of a province holds 33,060 cameras in memory

    @property
    def keys(self) -> SigningKeys:
        """Return the keys that sign."""
        return self._keys

    def refuse(self, kind: str, year: int | None) -> None:
        """Refuse what no report can be made of, before any work.

        Raises:
            Invalid: `kind` or `year`.
        """
        if kind not in KINDS:
            raise Invalid("kind", f"choose one of {', '.join(KINDS)}")
        if kind == "yearly":
            yearly_since(self._clock.now(), year)

    async def make(
        self,
        area: str,
        actor: Actor,
        *,
        kind: str = "area",
        year: int | None = None,
        progress: Callable[[str], None] = _silent,
    ) -> AreaReport:
        """Count an area now and keep the report; `progress` is told each of `STEPS` as it begins.

        Cancelled, it leaves nothing: the report is written in one transaction at the end.

        Raises:
            ServiceError: `not_found`: no such area.
            Invalid: `kind` or `year`.
        """
        self.refuse(kind, year)
        hub = {"id": await self._store.hub_id(), "name": self._name}
        async with self._working:
            now = self._clock.now()
            since = yearly_since(now, year) if kind == "yearly" else now - SPAN
            async with self._store.read() as tx:
                census = await take(
                    tx, area, as_of=now, since=since, holds_s=self._holds_s, progress=progress
                )
            progress("list")
            made = await asyncio.to_thread(document, census, kind=kind, hub=hub)
            del census
            progress("keeping")
            packed = await asyncio.to_thread(_packed, made)
        report = AreaReport(new_id(), area, kind, now, actor.as_json(), made["total"])
        async with self._store.write() as tx:
            await tx.execute(
                insert(_R).values(
                    id=report.id, area_code=area, kind=kind, as_of=now, by=report.by, cameras=report.cameras,
                    document=bindparam("packed", type_=LargeBinary()),
                ),
                {"packed": packed},
            )  # fmt: skip
            said = {"area": area, "kind": kind, "cameras": report.cameras, "annex": made["annex"]["sha256"]}
            await tx.audit("report.made", actor, f"report/{report.id}", said)
            old = await tx.all(
                select(_R.c.id).where(_R.c.area_code == area).order_by(_R.c.as_of.desc(), _R.c.id).offset(KEPT)
            )  # fmt: skip
            if old:
                await tx.execute(delete(_R).where(_R.c.id.in_([row.id for row in old])))
        return report

    async def page(self, scope: Scope, *, area: str = "", limit: int = 100) -> tuple[AreaReport, ...]:
        """Return reports, newest first, of the areas that somebody may see."""
        statement = (
            select(_R.c.id, _R.c.area_code, _R.c.kind, _R.c.as_of, _R.c.by, _R.c.cameras)
            .order_by(_R.c.as_of.desc(), _R.c.id)
            .limit(max(1, min(limit, 200)))
        )
        if area:
            statement = statement.where(_R.c.area_code == area)
        if not scope.everywhere:
            below = [
                _R.c.area_code.in_(select(_AREAS.c.code).where(_AREAS.c.path.contains(f"/{code}/", autoescape=True)))
                for code in scope.areas
            ]  # fmt: skip
            if not below:
                return ()
            statement = statement.where(or_(*below))
        async with self._store.read() as tx:
            return tuple(_line(row) for row in await tx.all(statement))

    async def get(self, report_id: str, scope: Scope) -> tuple[AreaReport, Document]:
        """Return one report with its document.

        Raises:
            ServiceError: `not_found`: no such report, or of an area that this person may not see.
        """
        async with self._store.read() as tx:
            row = await tx.one(select(_R).where(_R.c.id == report_id))
            if row is None or not await _within(tx, row.area_code, scope):
                raise ServiceError("not_found", "there is no such report")
        return _line(row), row.document

    async def rendered(self, report_id: str, made: Document, form: str, language: str) -> bytes:
        """Return a report in one form, made beside the hub's other work.

        Raises:
            FormatNotAvailable: there is no such form.
        """
        key = (report_id, form, language if form not in ("json", "csv") else "")
        found = self._rendered.get(key)
        if found is None:
            async with self._working:
                found = await asyncio.to_thread(render, made, form, language)
            self._rendered[key] = found
            while len(self._rendered) > RENDERED:
                self._rendered.popitem(last=False)
        return found

    def signature(self, made: Document, form: str, data: bytes) -> bytes:
        """Return the detached signature of a form."""
        return self._keys.sign(data, about(made, form))

    def signed_json(self, made: Document) -> bytes:
        """Return the JSON form with its signature inside."""
        return self._keys.embedded(made, about(made, "json"))


def _packed(made: Document) -> bytes:
    """Return a document as `PackedJson` keeps it, made beside the hub's other work: 20 MB of a province take a second."""
    return zlib.compress(as_json(made).rstrip(b"\n"), 6)


def _line(row: Any) -> AreaReport:
    return AreaReport(row.id, row.area_code, row.kind, row.as_of, row.by, row.cameras)


async def _within(tx: Any, area: str, scope: Scope) -> bool:
    if scope.everywhere:
        return True
    path = await tx.scalar(select(_AREAS.c.path).where(_AREAS.c.code == area))
    return path is not None and any(f"/{code}/" in path for code in scope.areas)


def yearly_since(now: datetime, year: int | None) -> datetime:
    """Return where the reporting year begins: 1 December before it, as it is due on 30 November (time of Viet Nam).

    Raises:
        Invalid: a year that is over or has not begun: a report counts the cameras that are enrolled now.
    """
    local = now.astimezone(VIETNAM)
    possible = (local.year, local.year + 1) if local.month == 12 else (local.year,)
    chosen = year or local.year
    if chosen not in possible:
        raise Invalid(
            "year",
            f"a report counts cameras as they are now, so that only {' or '.join(map(str, possible))} can be made; "
            "reports of other years are in the list of reports",
        )
    return datetime(chosen - 1, 12, 1, tzinfo=VIETNAM)
