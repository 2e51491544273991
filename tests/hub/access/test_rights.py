"""What people may do apart from looking."""

import pytest
from hub_world import OTHER_WARD, PROVINCE, START, WARD, person

from hub.access.principal import Principal
from hub.access.rights import (
    RIGHTS,
    may_change_entry,
    may_pause,
    may_read_views,
    may_record_consent,
    may_see_entry,
    rights_of,
)
from hub.catalog.types import (
    ROLES,
    Area,
    Camera,
    ConsentState,
    Custodian,
    Health,
    Kind,
    Playback,
    Sharing,
)


def a_camera(kind: Kind = Kind.HOUSEHOLD, ward: str | None = WARD) -> Camera:
    area = Area(ward, "x", "ward", PROVINCE, (PROVINCE, ward)) if ward else None
    return Camera(
        id="k",
        name="x",
        area=area,
        custodian=Custodian("owner", kind),
        address="rtsp://10.0.0.1:554/",
        sub_address="",
        position=None,
        notes="",
        permission={},
        decision="ADMITTED",
        decision_reasons=(),
        assessment_id=None,
        playback=Playback(),
        health=Health("alive"),
        measured=Health("alive"),
        sharing=Sharing("private", False, None, None, ConsentState.MISSING),
        consent=None,
        has_credential=False,
        enrolled_at=START,
        changed_at=START,
        version=1,
    )


ADMIN, OPERATOR, VIEWER = person("admin", ()), person("operator"), person()
INSPECTOR, OWNER = person("inspector", ()), person("donor", (), custodian_id="owner")
NEIGHBOUR, ELSEWHERE = person("donor", (), custodian_id="x"), person("operator", (OTHER_WARD,))
EVERYBODY = (ADMIN, OPERATOR, VIEWER, INSPECTOR, OWNER, NEIGHBOUR, ELSEWHERE)


@pytest.mark.parametrize(
    ("ask", "kind", "who"),
    [
        (may_see_entry, Kind.HOUSEHOLD, {ADMIN, OPERATOR, VIEWER, INSPECTOR, OWNER}),
        (may_change_entry, Kind.HOUSEHOLD, {ADMIN, OPERATOR}),
        (may_pause, Kind.HOUSEHOLD, {OWNER}),
        (may_pause, Kind.AUTHORITY, {ADMIN, OPERATOR, OWNER}),
        (may_record_consent, Kind.HOUSEHOLD, {ADMIN, OPERATOR, OWNER}),
        (may_read_views, Kind.HOUSEHOLD, {ADMIN, INSPECTOR, OWNER}),
        (may_read_views, Kind.AUTHORITY, {ADMIN, OPERATOR, INSPECTOR, OWNER}),
    ],
)
def test_who_may(ask, kind: Kind, who: set[Principal]) -> None:  # type: ignore[no-untyped-def]
    """Exactly these people may; another ward's operator and another donor never."""
    assert {person for person in EVERYBODY if ask(person, a_camera(kind))} == who


def test_nobody_has_rights_before_the_one_time_password_is_changed() -> None:
    """A one-time password opens nothing but its own change."""
    for role in ROLES:
        assert rights_of(person(role, must_change_password=True)) == ()
        assert rights_of(person(role)) == RIGHTS[role]


def test_only_inspectors_and_administrators_read_the_log() -> None:
    """Reading the audit log and the names behind views is not for those who look."""
    assert {role for role in ROLES if "audit.read" in RIGHTS[role]} == {"admin", "inspector"}
    assert {role for role in ROLES if "people.read" in RIGHTS[role]} == {"admin", "inspector"}
    assert "cameras.view" not in RIGHTS["inspector"]
