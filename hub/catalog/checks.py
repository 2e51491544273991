"""Checks on what people type, and what is derived from it: each says the field that does not fit."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, select, update

from adapters.errors import BadTarget
from adapters.secret import Credential
from adapters.target import parse_target
from hub.catalog.areas import area_from, area_in
from hub.catalog.folding import exact, fold
from hub.catalog.rows import camera_select
from hub.catalog.types import Area, Custodian, Kind, Mode, Origin, Position
from hub.store import tables
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Reading, Writing

_CAMERAS, _SEARCH, _ASSESSMENTS = tables.cameras, tables.camera_search, tables.assessments

MAX_NAME = 200
MAX_ADDRESS = 2000
MAX_NOTES = 10_000


async def check_free(tx: Reading, address: str) -> None:
    taken = await tx.scalar(select(_CAMERAS.c.id).where(_CAMERAS.c.address == address))
    if taken is not None:
        raise ServiceError(
            "already_enrolled",
            "a camera with this address is in the catalog already",
            field="address",
            params={"camera_id": taken},
        )


async def write_search_text(
    tx: Writing, camera_id: str, observations: Mapping[str, Any] | None = None
) -> None:
    """Write the search texts: name, places, who answers (no private person's name), manufacturer and model."""
    row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
    assert row is not None
    words = [row.name]
    if row.area_code is not None:
        codes = row.area_path.strip("/").split("/")
        places = await tx.all(select(tables.areas).where(tables.areas.c.code.in_(codes)))
        words += [area_from(place).name for place in places]
    if row.custodian_kind != Kind.HOUSEHOLD:
        words.append(row.custodian_name)
    if observations is None and row.assessment_id is not None:
        observations = await tx.scalar(
            select(_ASSESSMENTS.c.observations).where(_ASSESSMENTS.c.id == row.assessment_id)
        )
    words += [
        str(value)[:100]
        for fact in ("device.manufacturer", "device.model")
        if (value := observed_value(observations or {}, fact)) is not None
    ]
    said = " | ".join(word for word in words if word)
    await tx.execute(
        update(_SEARCH)
        .where(_SEARCH.c.camera_id == camera_id)
        .values(sort_key=row.sort_key, folded=fold(said), exact=exact(said))
    )


def observed_value(observations: Mapping[str, Any], fact: str) -> Any:
    """Return an observed fact's value from the JSON form, or None."""
    entry = observations.get(fact)
    return entry.get("value") if isinstance(entry, Mapping) else None


def playback_of(observations: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the main stream was seen to be; claims only where nothing was measured."""
    out: dict[str, Any] = {
        name: observed_value(observations, f"stream.main.{name}")
        for name in ("codec", "relay", "width", "height", "fps")
    }
    for name in ("width", "height"):
        if out[name] is None:
            out[name] = observed_value(observations, f"stream.main.claimed_{name}")
    return out


def checked_name(text: Any) -> str:
    name = checked_text(text, "name", MAX_NAME).strip()
    if not name:
        raise Invalid("name", "give the camera a name")
    return name


def checked_text(text: Any, field: str, most: int) -> str:
    if not isinstance(text, str) or len(text) > most or "\x00" in text:
        raise Invalid(field, f"write at most {most} characters")
    return text


def checked_address(text: Any, field: str = "address") -> tuple[str, Credential | None]:
    """Return an address without credential, and the credential that stood in it."""
    typed = checked_text(text, field, MAX_ADDRESS)
    try:
        target, credential = parse_target(typed)
    except BadTarget as error:
        raise Invalid(
            field, f"{error}. {error.hint}", code="address_bad", params={"detail": str(error)}
        ) from error
    return target.url, credential


def checked_place(position: Position | None) -> dict[str, Any]:
    if position is None:
        return {"latitude": None, "longitude": None, "accuracy_m": None, "azimuth_deg": None}
    if not (-90 <= position.lat <= 90 and -180 <= position.lon <= 180):
        raise Invalid("position", "latitude is -90 to 90, longitude -180 to 180, in degrees")
    if position.accuracy_m is not None and not 0 <= position.accuracy_m <= 100_000:
        raise Invalid("position.accuracy_m", "write metres, 0 to 100000")
    if position.azimuth_deg is not None and not 0 <= position.azimuth_deg < 360:
        raise Invalid("position.azimuth_deg", "write degrees from north, 0 to 359.9")
    return {
        "latitude": position.lat,
        "longitude": position.lon,
        "accuracy_m": position.accuracy_m,
        "azimuth_deg": position.azimuth_deg,
    }


def checked_origin(origin: Origin) -> dict[str, Any]:
    """Return the columns of where a camera comes from; names of groups without spaces around them, so that they meet."""
    siting = None
    if origin.siting is not None:
        siting = {
            "document": checked_text(origin.siting.document, "origin.siting.document", MAX_NAME).strip(),
            "authority": checked_text(origin.siting.authority, "origin.siting.authority", MAX_NAME).strip(),
            "date": origin.siting.date.isoformat(),
        }
    return {
        "group_name": checked_text(origin.group, "origin.group", MAX_NAME).strip(),
        "funding": checked_text(origin.funding, "origin.funding", MAX_NAME).strip(),
        "source_class": checked_text(origin.source_class, "origin.source_class", 32).strip(),
        "siting": siting,
    }


async def known_area(tx: Reading, code: str | None, field: str = "area") -> Area | None:
    if not code:
        return None
    area = await area_in(tx, code)
    if area is None:
        raise Invalid(field, f"the area {code[:16]!r} is not in this hub's table", code="area_unknown")
    return area


def narrower(mode: Mode) -> frozenset[Mode]:
    """Return the modes under which nothing may be seen that was not before."""
    ladder = tuple(Mode)
    sometimes = {Mode.SCHEDULED} if mode is Mode.ALWAYS else {Mode.SCHEDULED, Mode.ON_INCIDENT}
    return frozenset(lower for lower in ladder[: ladder.index(mode)] if lower not in sometimes)


def custodian_from(row: Row[Any]) -> Custodian:
    return Custodian(row.id, Kind(row.kind), row.name, row.contact)
