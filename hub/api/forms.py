"""From request bodies to the services' values, and what many routes share: entity tags, limits."""

from typing import Any

from litestar.connection import ASGIConnection

from adapters.secret import Credential, Secret
from hub.api.schemas import ConsentInput as ConsentBody
from hub.api.schemas import CustodianInput, OriginInput, Position
from hub.api.security import SignedInCaller
from hub.api.services import ServiceSet
from hub.catalog import types
from hub.catalog.schedule import Schedule
from hub.catalog.types import Kind, NewCustodian, Recipient
from hub.problems import FieldProblem, Problem


def credential_of(username: str | None, password: Any) -> Credential | None:
    """Return the camera account that was typed, if any part of one was."""
    if username is None and password is None:
        return None
    return Credential(username or "", Secret(password.get_secret_value() if password is not None else ""))


def position_of(body: Position | None) -> types.Position | None:
    """Return a position."""
    return None if body is None else types.Position(body.lat, body.lon, body.accuracy_m, body.azimuth_deg)


def origin_of(body: OriginInput | None) -> types.Origin:
    """Return where a camera comes from; what is not given is not recorded."""
    if body is None:
        return types.Origin()
    siting = body.siting
    told = None if siting is None else types.Siting(siting.document, siting.authority, siting.date)
    return types.Origin(body.group, body.funding, body.source_class, told)


async def custodian_of(body: CustodianInput, services: ServiceSet) -> str | NewCustodian:
    """Return an existing custodian's id, or a new custodian. An authority of the same name is the same one.

    Raises:
        Problem: neither `id` nor `kind` is given.
    """
    if body.id is not None:
        return body.id
    if body.kind is None:
        missing = services.texts.both("live.field.missing")
        raise Problem(
            "invalid_input",
            {"count": 1, "field": "custodian.kind", "what": missing},
            field="custodian.kind",
            errors=[FieldProblem("custodian.kind", missing["en"])],
        )
    kind = Kind(body.kind)
    if kind is Kind.AUTHORITY and body.name:
        for known in await services.catalog.custodians():
            if known.kind is kind and known.name == body.name:
                return known.id
    return NewCustodian(kind, body.name or "", body.contact or "")


async def check_place(caller: SignedInCaller, services: ServiceSet, area: str | None) -> None:
    """Refuse to put a camera outside one's own areas (where nobody of these areas would see it again).

    Raises:
        Problem: ``wrong_area``. An area that does not exist is left to the catalog.
    """
    if caller.principal.everywhere:
        return
    found = await services.areas.get(area) if area else None
    if area is None or (found is not None and not caller.principal.in_area(found.path)):
        raise Problem("wrong_area", field="area")


def consent_of(body: ConsentBody) -> types.ConsentInput:
    """Return what an owner signs. Raises Invalid where the schedule does not fit."""
    schedule = None
    if body.schedule:
        told = [{"days": list(one.days), "from": one.from_, "to": one.to} for one in body.schedule]
        schedule = Schedule.from_json(told)
    return types.ConsentInput(
        sharing_mode=body.sharing_mode,
        purposes=tuple(body.purposes),
        recipients=tuple(Recipient(one.area, one.role) for one in body.recipients),
        text_version=body.text_version,
        signed_by=body.signed_by,
        schedule=schedule,
        audio=body.audio,
        expires_at=body.expires_at,
        witnessed_by=body.witnessed_by or "",
    )


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def if_match(connection: ASGIConnection[Any, Any, Any, Any]) -> int | None:
    """Return the version that If-Match names; None where any will do.

    Raises:
        Problem: ``if_match_bad``.
    """
    header = connection.headers.get("if-match", "").strip()
    if header in {"", "*"}:
        return None
    plain = header.removeprefix("W/").strip('"')
    if not plain.isascii() or not plain.isdigit() or len(plain) > 12:
        raise Problem("if_match_bad")
    return int(plain)
