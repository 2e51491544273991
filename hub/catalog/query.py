"""Finding cameras: one path from a query to a condition, used by the list, its total and the counts alike."""

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, false, func, literal, null, or_, select, tuple_

from hub.catalog.folding import exact, terms
from hub.catalog.types import (
    AUTHORITY_SHARING,
    DECISIONS,
    HEALTH_STATES,
    Box,
    CameraQuery,
    Mode,
    Near,
    Scope,
)
from hub.store import tables
from hub.store.errors import Invalid

CAMERAS, SEARCH, AREAS = tables.cameras, tables.camera_search, tables.areas
FAILED = tables.failed_rules
MAX_LIMIT = 200
MAX_RADIUS_M = 100_000.0
MAX_TEXT = 200
METRES_PER_DEGREE = 111_320.0
SHARINGS = (*(str(mode) for mode in Mode), AUTHORITY_SHARING, "paused")


class Finder:
    """Turns queries into statements for one database."""

    def __init__(self, dialect: str) -> None:
        self._inside = func.instr if dialect == "sqlite" else func.strpos

    def conditions(self, query: CameraQuery) -> list[ColumnElement[bool]]:
        """Return the conditions of a query, scope included.

        Raises:
            Invalid: a filter's value is not one that exists.
        """
        out = [*scoped(query.scope)]
        if query.area:
            out.append(CAMERAS.c.area_code.in_(_below(query.area)))
        if query.decision:
            out.append(CAMERAS.c.decision == _one_of(query.decision, DECISIONS, "decision"))
        if query.health:
            out.append(CAMERAS.c.health == _one_of(query.health, HEALTH_STATES, "health"))
        if query.sharing == "paused":
            out.append(CAMERAS.c.health == "paused")
        elif query.sharing:
            out.append(CAMERAS.c.sharing == _one_of(query.sharing, SHARINGS, "sharing"))
        if query.custodian_id:
            out.append(CAMERAS.c.custodian_id == query.custodian_id)
        if query.standard:
            out.append(CAMERAS.c.standard == query.standard)
        if query.failing:
            failing = select(FAILED.c.camera_id).where(FAILED.c.rule == query.failing)
            if query.standard:
                failing = failing.where(FAILED.c.standard == query.standard)
            out.append(CAMERAS.c.id.in_(failing))
        if query.group:
            out.append(CAMERAS.c.group_name == query.group)
        if query.near is not None:
            out.append(_near(query.near))
        if query.box is not None:
            out.append(_box(query.box))
        out += self._words(query.text)
        return out

    def order(self, query: CameraQuery) -> tuple[ColumnElement[Any], ...]:
        """Return what the list is sorted by: names with the very accents first, then names, then ids."""
        typed = exact(query.text[:MAX_TEXT])
        if not typed:
            return (CAMERAS.c.sort_key, CAMERAS.c.id)
        rank = case((self._inside(SEARCH.c.exact, typed) > 0, 0), else_=1)
        return (rank, SEARCH.c.sort_key, SEARCH.c.camera_id)

    def page(self, query: CameraQuery) -> Select[Any]:
        """Return the statement for the ids of one page and one more, in order: the total where
        `total_comes_along`, else NULL, then the sort values, the id last.
        """
        order = self.order(query)
        conditions = self.conditions(query)
        if query.cursor:
            after = read_cursor(query.cursor, len(order))
            conditions.append(tuple_(*order) > tuple_(*(literal(value) for value in after)))
        total = func.count().over() if total_comes_along(query) else null()
        return (
            select(total.label("total"), *(column.label(f"k{index}") for index, column in enumerate(order)))
            .select_from(_source(query))
            .where(*conditions)
            .order_by(*order)
            .limit(limit_of(query) + 1)
        )

    def total(self, query: CameraQuery) -> Select[Any]:
        """Return the statement for how many there are."""
        return select(func.count()).select_from(_source(query)).where(*self.conditions(query))

    def counts(self, query: CameraQuery) -> Select[Any]:
        """Return the statement for how many there are by decision and health."""
        return (
            select(CAMERAS.c.decision, CAMERAS.c.health, func.count().label("n"))
            .select_from(_source(query, whole=True))
            .where(*self.conditions(query))
            .group_by(CAMERAS.c.decision, CAMERAS.c.health)
        )

    def failures(self, query: CameraQuery) -> Select[Any]:
        """Return the statement for how many cameras fail each rule of the query's standard."""
        count = select(FAILED.c.rule, func.count().label("n")).group_by(FAILED.c.rule)
        inside = self.conditions(replace(query, standard=""))
        if not inside:
            return count.where(FAILED.c.standard == query.standard)
        # Cameras first, then their few rules: an index on the standard, which most cameras share, would be read whole.
        standard = func.coalesce(FAILED.c.standard, "")
        cameras = select(CAMERAS.c.id).where(*inside)
        return count.where(standard == query.standard, FAILED.c.camera_id.in_(cameras))

    def _words(self, text: str) -> list[ColumnElement[bool]]:
        return [self._inside(SEARCH.c.folded, word) > 0 for word in terms(text)]


def total_comes_along(query: CameraQuery) -> bool:
    """Tell whether the first page of a text search counts as it goes: words are looked for once, not twice."""
    return bool(query.text) and not query.cursor


def limit_of(query: CameraQuery) -> int:
    """Return the page size.

    Raises:
        Invalid: it is outside 1-200.
    """
    if not 1 <= query.limit <= MAX_LIMIT:
        raise Invalid("limit", f"choose 1 to {MAX_LIMIT}")
    return query.limit


def write_cursor(values: Sequence[Any]) -> str:
    """Return the sort values of a page's last row in an opaque form."""
    return base64.urlsafe_b64encode(json.dumps(list(values)).encode()).decode().rstrip("=")


def read_cursor(text: str, length: int) -> tuple[Any, ...]:
    """Read what `write_cursor` wrote.

    Raises:
        Invalid: `bad_cursor`: it was not made by this list.
    """
    try:
        if len(text) > 2000:
            raise ValueError("too long")
        told = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        kinds = (int, str, str)[-length:]  # rank, name, id
        if not isinstance(told, list) or tuple(type(value) for value in told) != kinds:
            raise ValueError("other form")
    except (ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise Invalid("cursor", "begin again without a cursor", code="bad_cursor") from error
    return tuple(told)


def _source(query: CameraQuery, *, whole: bool = False) -> Any:
    """Return where to look: for words alone the narrow search table alone is read."""
    if not exact(query.text[:MAX_TEXT]):
        return CAMERAS
    words_alone = replace(query, text="", cursor="", limit=100) == CameraQuery()
    if words_alone and not whole:
        return SEARCH
    return SEARCH.join(CAMERAS, CAMERAS.c.id == SEARCH.c.camera_id)


def scoped(scope: Scope) -> list[ColumnElement[bool]]:
    """Return the conditions on `cameras` for what somebody may see."""
    if scope.everywhere:
        return []
    parts: list[ColumnElement[bool]] = [CAMERAS.c.area_code.in_(_below(code)) for code in scope.areas]
    if scope.custodian_id is not None:
        parts.append(CAMERAS.c.custodian_id == scope.custodian_id)
    return [or_(*parts)] if parts else [false()]


def _below(code: str) -> Select[Any]:
    """Return the codes of an area and of all below it."""
    return select(AREAS.c.code).where(AREAS.c.path.contains(f"/{code[:16]}/", autoescape=True))


def _near(near: Near) -> ColumnElement[bool]:
    """Return a circle. Distances on a plane at that latitude: at 100 km in Vietnam wrong by less than 1 %."""
    if not (-90 <= near.lat <= 90 and -180 <= near.lon <= 180 and 0 < near.radius_m <= MAX_RADIUS_M):
        raise Invalid("near", f"write lat,lon,metres with a radius of at most {MAX_RADIUS_M:.0f} m")
    per_longitude = METRES_PER_DEGREE * max(math.cos(math.radians(near.lat)), 0.01)
    high, wide = near.radius_m / METRES_PER_DEGREE, near.radius_m / per_longitude
    north = (CAMERAS.c.latitude - near.lat) * METRES_PER_DEGREE
    east = (CAMERAS.c.longitude - near.lon) * per_longitude
    return and_(
        CAMERAS.c.latitude.between(near.lat - high, near.lat + high),
        CAMERAS.c.longitude.between(near.lon - wide, near.lon + wide),
        north * north + east * east <= near.radius_m * near.radius_m,
    )


def _box(box: Box) -> ColumnElement[bool]:
    fits = -180 <= box.west <= box.east <= 180 and -90 <= box.south <= box.north <= 90
    if not fits:
        raise Invalid("bbox", "write west,south,east,north in degrees, west below east and south below north")
    return and_(
        CAMERAS.c.latitude.between(box.south, box.north), CAMERAS.c.longitude.between(box.west, box.east)
    )


def _one_of(value: str, known: Sequence[str], field: str) -> str:
    if value not in known:
        raise Invalid(field, f"choose one of {', '.join(known)}")
    return value
