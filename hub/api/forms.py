"""From request bodies to the services' values, and what many routes share: entity tags, limits."""

from typing import Any

from litestar.connection import ASGIConnection

from adapters.secret import Credential, Secret
from hub.api.schemas import ConsentInput as ConsentBody
from hub.api.schemas import CustodianInput, Position
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


def custodian_of(body: CustodianInput) -> str | NewCustodian:
    """Return an existing custodian's id, or a new custodian.

    Raises:
        Problem: neither `id` nor `kind` is given.
    """
    if body.id is not None:
        return body.id
    if body.kind is None:
        raise Problem(
            "invalid_input",
            {"count": 1, "field": "custodian.kind", "what": {"vi": "chưa điền", "en": "is missing"}},
            field="custodian.kind",
            errors=[FieldProblem("custodian.kind", "missing")],
        )
    return NewCustodian(Kind(body.kind), body.name or "", body.contact or "")


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
