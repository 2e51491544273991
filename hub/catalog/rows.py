"""From rows to values: how a camera is read from the store."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from types import MappingProxyType, SimpleNamespace
from typing import Any

from sqlalchemy import Row, Select, select

from hub.catalog.areas import path_from
from hub.catalog.consent import recipients_from
from hub.catalog.schedule import Schedule
from hub.catalog.states import Shown, shown
from hub.catalog.types import (
    Area,
    Camera,
    Consent,
    ConsentState,
    Custodian,
    DeclaredMasks,
    Health,
    Kind,
    Mode,
    Origin,
    Playback,
    Position,
    Sharing,
    Siting,
    StoredAssessment,
)
from hub.store import tables

CAMERAS, AREAS, CUSTODIANS = tables.cameras, tables.areas, tables.custodians
CONSENTS, HEALTH, CREDENTIALS = tables.consents, tables.health, tables.credentials


def camera_select() -> Select[Any]:
    """Return the one statement by which cameras are read; callers add what narrows it."""
    return select(
        CAMERAS,
        AREAS.c.name.label("area_name"),
        AREAS.c.level.label("area_level"),
        AREAS.c.parent.label("area_parent"),
        AREAS.c.path.label("area_path"),
        AREAS.c.valid_from.label("area_valid_from"),
        AREAS.c.valid_to.label("area_valid_to"),
        CUSTODIANS.c.kind.label("custodian_kind"),
        CUSTODIANS.c.name.label("custodian_name"),
        CUSTODIANS.c.contact.label("custodian_contact"),
        HEALTH.c.state.label("measured_state"),
        HEALTH.c.since.label("measured_since"),
        HEALTH.c.cause.label("measured_cause"),
        HEALTH.c.measured_at.label("measured_at"),
        CREDENTIALS.c.changed_at.label("credential_at"),
        CONSENTS.c.camera_id.label("consent_camera_id"),
        CONSENTS.c.version.label("consent_version"),
        CONSENTS.c.state.label("consent_stored_state"),
        CONSENTS.c.terms.label("consent_terms"),
        CONSENTS.c.text_version.label("consent_text_version"),
        CONSENTS.c.text_hash.label("consent_text_hash"),
        CONSENTS.c.given_at.label("consent_given_at"),
        CONSENTS.c.expires_at.label("consent_expires_at"),
        CONSENTS.c.ended_at.label("consent_ended_at"),
    ).select_from(
        CAMERAS.join(CUSTODIANS, CUSTODIANS.c.id == CAMERAS.c.custodian_id)
        .outerjoin(AREAS, AREAS.c.code == CAMERAS.c.area_code)
        .outerjoin(HEALTH, HEALTH.c.camera_id == CAMERAS.c.id)
        .outerjoin(CREDENTIALS, CREDENTIALS.c.camera_id == CAMERAS.c.id)
        .outerjoin(CONSENTS, CONSENTS.c.id == CAMERAS.c.consent_id)
    )


_NAMES = tuple(str(column.key) for column in camera_select().selected_columns)


def camera_from(found: Row[Any], now: datetime) -> Camera:
    """Read one camera as it is at this moment."""
    # A list reads 5000 values: plain attributes are ten times cheaper to get at than those of a Row.
    row = SimpleNamespace(**dict(zip(_NAMES, found, strict=True)))
    custodian = Custodian(
        row.custodian_id, Kind(row.custodian_kind), row.custodian_name, row.custodian_contact
    )
    consent = _joined_consent(row)
    state = shown_of(row, custodian.kind, consent, now)
    measured = Health("not_measured")
    if row.measured_state is not None:
        measured = Health(row.measured_state, row.measured_since, row.measured_cause, row.measured_at)
    health = measured
    if state.health != measured.state:
        # a silence of the owner's; what was measured last stays in `measured`
        health = Health(state.health, row.shown_since, None, row.measured_at)
    return Camera(
        id=row.id,
        name=row.name,
        area=_area(row),
        custodian=custodian,
        address=row.address,
        sub_address=row.sub_address,
        position=_position(row),
        notes=row.notes,
        permission=MappingProxyType(row.permission),
        decision=row.decision,
        decision_reasons=tuple(row.decision_reasons),
        assessment_id=row.assessment_id,
        playback=Playback(**row.playback),
        health=health,
        measured=measured,
        sharing=Sharing(
            mode=state.sharing,
            paused=state.paused,
            paused_until=row.paused_until if state.paused else None,
            schedule=consent.schedule if consent is not None and state.sharing == Mode.SCHEDULED else None,
            consent=state.consent,
        ),
        consent=consent,
        has_credential=row.credential_at is not None,
        enrolled_at=row.enrolled_at,
        changed_at=row.changed_at,
        version=row.version,
        alert=row.alert,
        origin=_origin(row),
        masks=_masks(row.masks),
    )


def _masks(told: Mapping[str, Any] | None) -> DeclaredMasks:
    if not told:
        return DeclaredMasks()
    zones = tuple(tuple((float(x), float(y)) for x, y in zone) for zone in told["zones"])
    words = ("declared_by", "declared_at", "verified_by", "verified_at")
    return DeclaredMasks(zones, **{word: str(told[word]) for word in words})


def shown_of(row: Row[Any] | SimpleNamespace, kind: Kind, consent: Consent | None, now: datetime) -> Shown:
    """Work out the effective states of one row."""
    return shown(
        kind=kind,
        paused=row.paused,
        paused_until=row.paused_until,
        consent=consent,
        measured=row.measured_state,
        now=now,
    )


def consent_from(row: Row[Any]) -> Consent:
    """Read a row of the consents table."""
    return _consent(
        row.terms,
        {
            "id": row.id,
            "camera_id": row.camera_id,
            "version": row.version,
            "state": row.state,
            "text_version": row.text_version,
            "text_hash": row.text_hash,
            "given_at": row.given_at,
            "expires_at": row.expires_at,
            "ended_at": row.ended_at,
        },
    )


def assessment_from(row: Row[Any], *, whole: bool) -> StoredAssessment:
    """Read a row of the assessments table; the large columns only where they were selected."""
    return StoredAssessment(
        id=row.id,
        camera_id=row.camera_id,
        standard=row.standard,
        standard_version=row.standard_version,
        decision=row.decision,
        as_of=row.as_of,
        counts=row.counts,
        report=row.report if whole else {},
        observations=row.observations if whole else {},
    )


def _joined_consent(row: SimpleNamespace) -> Consent | None:
    if row.consent_camera_id is None:
        return None
    return _consent(
        row.consent_terms,
        {
            "id": row.consent_id,
            "camera_id": row.consent_camera_id,
            "version": row.consent_version,
            "state": row.consent_stored_state,
            "text_version": row.consent_text_version,
            "text_hash": row.consent_text_hash,
            "given_at": row.consent_given_at,
            "expires_at": row.consent_expires_at,
            "ended_at": row.consent_ended_at,
        },
    )


def _consent(terms: Mapping[str, Any], told: Mapping[str, Any]) -> Consent:
    return Consent(
        id=told["id"],
        camera_id=told["camera_id"],
        version=told["version"],
        mode=Mode(terms["sharing_mode"]),
        purposes=tuple(terms["purposes"]),
        recipients=recipients_from(terms["recipients"]),
        audio=bool(terms["audio"]),
        schedule=Schedule.from_json(terms["schedule"]) if terms["schedule"] else None,
        given_at=told["given_at"],
        expires_at=told["expires_at"],
        text_version=told["text_version"],
        text_hash=told["text_hash"],
        signed_by=terms["signed_by"],
        witnessed_by=terms["witnessed_by"],
        ended_at=told["ended_at"],
        stored_state=ConsentState(told["state"]),
    )


def _area(row: SimpleNamespace) -> Area | None:
    if row.area_code is None:
        return None
    told = (
        row.area_code,
        row.area_name,
        row.area_level,
        row.area_parent,
        row.area_path,
        row.area_valid_from,
        row.area_valid_to,
    )
    return _one_area(told)


@lru_cache(maxsize=4096)
def _one_area(told: tuple[Any, ...]) -> Area:
    """Return an area; the same ones come again with every camera."""
    code, name, level, parent, path, valid_from, valid_to = told
    return Area(code, name, level, parent, path_from(path), valid_from, valid_to)


def _origin(row: SimpleNamespace) -> Origin:
    told = row.siting
    siting = Siting(told["document"], told["authority"], date.fromisoformat(told["date"])) if told else None
    return Origin(row.group_name, row.funding, row.source_class, siting)


def _position(row: SimpleNamespace) -> Position | None:
    if row.latitude is None or row.longitude is None:
        return None
    return Position(row.latitude, row.longitude, row.accuracy_m, row.azimuth_deg)
