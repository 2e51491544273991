"""The table of areas: any tree, loaded from CSV.

Columns ``code,name,level,parent,valid_from,valid_to`` (dates ISO 8601, the last two may be empty). Vietnam since July
2025 has two levels, provinces of 2 digits and wards or communes of 5; a ward's code does not begin with its
province's, so the tree is in `parent`. The program brings a small made-up province to begin with; a hub loads its own.
"""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files

from sqlalchemy import insert, select, update

from hub.catalog.folding import fold, terms
from hub.catalog.types import Area
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid
from hub.store.store import Reading, Store

_AREAS = tables.areas
MAX_CSV = 16 * 1024 * 1024
MAX_DEPTH = 8
COLUMNS = ("code", "name", "level", "parent", "valid_from", "valid_to")


def parse_csv(text: str) -> tuple[Area, ...]:
    """Read an area table; parents come before their children in the result.

    Raises:
        Invalid: names the line and what does not fit.
    """
    if len(text) > MAX_CSV:
        raise Invalid("areas", f"the table has {len(text)} characters; at most {MAX_CSV}")
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    missing = [name for name in COLUMNS[:4] if name not in (reader.fieldnames or ())]
    if missing:
        raise Invalid(
            "areas", f"the first line must name the columns {', '.join(COLUMNS)}; {missing[0]} is missing"
        )
    found: dict[str, Area] = {}
    for row in reader:
        where = f"areas.{reader.line_num}"
        code, name = (row["code"] or "").strip(), (row["name"] or "").strip()
        if not code or len(code) > 16 or not code.isalnum():
            raise Invalid(where, "a code has 1 to 16 letters and digits")
        if not name or len(name) > 200:
            raise Invalid(where, "a name has 1 to 200 characters")
        if code in found:
            raise Invalid(where, f"the code {code} stands twice")
        found[code] = Area(
            code,
            name,
            (row["level"] or "").strip()[:16] or "area",
            (row["parent"] or "").strip() or None,
            valid_from=_date(row.get("valid_from"), where),
            valid_to=_date(row.get("valid_to"), where),
        )
    return _with_paths(found)


def default_areas() -> tuple[Area, ...]:
    """Return the made-up province that a new hub begins with."""
    return parse_csv((files("hub.catalog") / "areas.csv").read_text("utf-8"))


class AreaTable:
    """The areas of this hub."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self, areas: Iterable[Area], actor: Actor) -> int:
        """Add areas and rewrite those whose code is known; none is removed. Returns how many there were."""
        count = 0
        async with self._store.write() as tx:
            known = {row.code for row in await tx.all(select(_AREAS.c.code))}
            for area in areas:
                values = {
                    "name": area.name,
                    "level": area.level,
                    "parent": area.parent,
                    "path": f"/{'/'.join(area.path)}/",
                    "folded": fold(area.name),
                    "valid_from": area.valid_from,
                    "valid_to": area.valid_to,
                }
                if area.code in known:
                    await tx.execute(update(_AREAS).where(_AREAS.c.code == area.code).values(**values))
                else:
                    await tx.execute(insert(_AREAS).values(code=area.code, **values))
                count += 1
            await tx.audit("areas.loaded", actor, "hub", {"count": count})
        return count

    async def ensure(self, actor: Actor) -> None:
        """Load the default table where there is none."""
        async with self._store.read() as tx:
            known = await tx.scalar(select(_AREAS.c.code).limit(1))
        if known is None:
            await self.load(default_areas(), actor)

    async def find(self, text: str = "", limit: int = 100) -> tuple[Area, ...]:
        """Return areas whose name (accents aside) or code holds every word, provinces first."""
        statement = select(_AREAS).order_by(_AREAS.c.level, _AREAS.c.path).limit(max(1, min(limit, 200)))
        for term in terms(text):
            statement = statement.where(
                _AREAS.c.folded.contains(term, autoescape=True)
                | _AREAS.c.code.startswith(term, autoescape=True)
            )
        async with self._store.read() as tx:
            return tuple(area_from(row) for row in await tx.all(statement))

    async def get(self, code: str) -> Area | None:
        """Return one area, or None."""
        async with self._store.read() as tx:
            return await area_in(tx, code)

    async def lineage(self, codes: Iterable[str]) -> frozenset[str]:
        """Return these codes and those of all areas above them; unknown codes stand for themselves."""
        wanted = frozenset(codes)
        if not wanted:
            return wanted
        async with self._store.read() as tx:
            rows = await tx.all(select(_AREAS.c.path).where(_AREAS.c.code.in_(wanted)))
        return wanted.union(*(path_from(row.path) for row in rows))


async def area_in(tx: Reading, code: str) -> Area | None:
    """Return one area within a transaction, or None."""
    row = await tx.one(select(_AREAS).where(_AREAS.c.code == code))
    return area_from(row) if row is not None else None


def area_from(row: object) -> Area:
    """Read a row of the table."""
    return Area(
        row.code,  # type: ignore[attr-defined]
        row.name,  # type: ignore[attr-defined]
        row.level,  # type: ignore[attr-defined]
        row.parent,  # type: ignore[attr-defined]
        path_from(row.path),  # type: ignore[attr-defined]
        row.valid_from,  # type: ignore[attr-defined]
        row.valid_to,  # type: ignore[attr-defined]
    )


def path_from(text: str) -> tuple[str, ...]:
    """Read a path as stored."""
    return tuple(text.strip("/").split("/"))


def _date(text: str | None, where: str) -> datetime | None:
    if not text or not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError as error:
        raise Invalid(where, f"{text.strip()[:40]!r} is not a date; write 2025-07-01") from error


def _with_paths(found: dict[str, Area]) -> tuple[Area, ...]:
    out: list[Area] = []
    for area in found.values():
        path = [area.code]
        parent = area.parent
        while parent is not None:
            if parent not in found:
                raise Invalid("areas", f"the parent {parent} of {path[0]} is not in the table")
            if parent in path or len(path) >= MAX_DEPTH:
                raise Invalid(
                    "areas", f"the parents of {area.code} go in a circle or are more than {MAX_DEPTH}"
                )
            path.insert(0, parent)
            parent = found[parent].parent
        out.append(
            Area(area.code, area.name, area.level, area.parent, tuple(path), area.valid_from, area.valid_to)
        )
    return tuple(sorted(out, key=lambda area: (len(area.path), area.path)))
