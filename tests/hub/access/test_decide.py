"""Whether somebody may look: the rules one by one, and the laws that no case may break."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hub_world import OTHER_WARD, PROVINCE, START, WARD, person
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.access.decide import TEST_SECONDS, Allowed, Ask, Refused, Subject, decide, shares_sound, viewable
from hub.access.principal import Principal
from hub.catalog.schedule import Schedule
from hub.catalog.types import (
    DECISIONS,
    PURPOSES,
    ROLES,
    Consent,
    ConsentState,
    Incident,
    Kind,
    Mode,
    Recipient,
)

NOW = START  # Saturday 10:00 in Vietnam
OWNER, OTHER = "owner", "somebody else"
MORNING = Schedule.from_json([{"days": [6], "from": "08:00", "to": "12:00"}])
EVENING = Schedule.from_json([{"days": [6], "from": "18:00", "to": "22:00"}])


def a_consent(mode: Mode = Mode.ALWAYS, **more: object) -> Consent:
    values: dict[str, object] = {
        "id": "c", "camera_id": "k", "version": 1, "mode": mode, "purposes": ("public_safety",),
        "recipients": (Recipient(WARD, "viewer"),), "audio": False, "schedule": None,
        "given_at": NOW - timedelta(days=1), "expires_at": NOW + timedelta(days=30), "text_version": "1",
        "text_hash": "", "signed_by": "x", **more,
    }  # fmt: skip
    return Consent(**values)  # type: ignore[arg-type]


def an_incident(**more: object) -> Incident:
    values: dict[str, object] = {
        "id": "i", "number": "VV-1", "title": "x", "area": WARD, "camera_ids": (),
        "opened_at": NOW - timedelta(hours=1), "closes_at": NOW + timedelta(hours=1), **more,
    }  # fmt: skip
    return Incident(**values)  # type: ignore[arg-type]


def municipal(**more: object) -> Subject:
    values: dict[str, object] = {
        "camera_id": "k", "decision": "ADMITTED", "custodian_kind": Kind.AUTHORITY, "custodian_id": OWNER,
        "area_path": (PROVINCE, WARD), **more,
    }  # fmt: skip
    return Subject(**values)  # type: ignore[arg-type]


def donated(**more: object) -> Subject:
    return municipal(**{"custodian_kind": Kind.HOUSEHOLD, "consent": a_consent(), **more})


def code(ask: Ask, subject: Subject, now: datetime = NOW) -> str:
    return decide(ask, subject, now).code


VIEWER, ADMIN = person(), person("admin", ())
DONOR = person("donor", (), custodian_id=OWNER)


@pytest.mark.parametrize(
    ("principal", "answer"),
    [
        (ADMIN, "ok"),
        (person("operator", ()), "ok"),
        (person("operator", (OTHER_WARD,)), "wrong_area"),
        (VIEWER, "ok"),
        (person("viewer", (PROVINCE,)), "ok"),
        (person("viewer", (OTHER_WARD,)), "wrong_area"),
        (person("viewer", ()), "wrong_area"),
        (person("viewer", ("*",)), "ok"),
        (person("inspector", ()), "no_role"),
        (person("donor", (), custodian_id=OTHER), "no_role"),
        (person("donor", ()), "no_role"),
        (person("somebody", ("*",)), "no_role"),
        (DONOR, "ok"),
    ],
)
def test_who_looks_at_a_municipal_camera(principal: Principal, answer: str) -> None:
    """Administrators, operators and viewers of the area; inspectors never; donors only their own."""
    assert code(Ask(principal), municipal()) == answer


def test_a_camera_without_a_place_is_nobodys_area() -> None:
    """Only those whose area is the whole hub look at a camera that has no area."""
    assert code(Ask(VIEWER), municipal(area_path=())) == "wrong_area"
    assert code(Ask(ADMIN), municipal(area_path=())) == "ok"


@pytest.mark.parametrize("decision", ["PENDING", "REJECTED"])
@pytest.mark.parametrize(
    ("principal", "kind", "may_test"),
    [
        (ADMIN, Kind.AUTHORITY, True),
        (person("operator"), Kind.AUTHORITY, True),
        (person("operator", (), custodian_id=OTHER), Kind.AUTHORITY, False),
        (person("operator", (), custodian_id=OWNER), Kind.AUTHORITY, True),
        (VIEWER, Kind.AUTHORITY, False),
        (ADMIN, Kind.HOUSEHOLD, False),
        (person("operator"), Kind.SCHOOL, False),
        (DONOR, Kind.HOUSEHOLD, True),
        (person("viewer", (), custodian_id=OWNER), Kind.SHOP, True),
    ],
)
def test_what_is_not_admitted_is_only_tested(
    decision: str, principal: Principal, kind: Kind, may_test: bool
) -> None:
    """Who speaks for the custodian runs a logged test of at most 60 s; nobody looks otherwise."""
    subject = donated(custodian_kind=kind, decision=decision)
    refusal = "decision_pending" if decision == "PENDING" else "decision_rejected"

    assert code(Ask(principal), subject) == refusal
    answer = decide(Ask(principal, "test", kind="test"), subject, NOW)
    if may_test:
        assert answer == Allowed(test_only=True, max_s=TEST_SECONDS)
        assert viewable(principal, subject, NOW) == (answer, "test")
    else:
        assert answer == Refused(refusal)
        assert viewable(principal, subject, NOW)[0].code == refusal


@pytest.mark.parametrize(
    ("consent", "answer"),
    [
        (a_consent(), "ok"),
        (None, "no_consent"),
        (a_consent(camera_id="another"), "no_consent"),
        (a_consent(expires_at=NOW), "no_consent"),
        (a_consent(given_at=NOW + timedelta(seconds=1)), "no_consent"),
        (a_consent(stored_state=ConsentState.WITHDRAWN), "no_consent"),
        (a_consent(stored_state=ConsentState.SUPERSEDED), "no_consent"),
        (a_consent(Mode.PRIVATE), "not_at_this_level"),
        (a_consent(Mode.REGISTERED), "not_at_this_level"),
        (a_consent(Mode.HEALTH), "not_at_this_level"),
        (a_consent(Mode.ON_INCIDENT), "not_at_this_level"),
        (a_consent(Mode.SCHEDULED, schedule=EVENING), "outside_hours"),
        (a_consent(Mode.SCHEDULED, schedule=MORNING), "ok"),
        (a_consent(Mode.SCHEDULED), "outside_hours"),
        (a_consent(purposes=("traffic",)), "purpose_not_covered"),
        (a_consent(recipients=(Recipient(OTHER_WARD, "viewer"),)), "no_role"),
        (a_consent(recipients=(Recipient(WARD, "operator"),)), "no_role"),
        (a_consent(recipients=(Recipient(PROVINCE, "viewer"),)), "ok"),
        (a_consent(recipients=(Recipient("", "viewer"),)), "ok"),
    ],
)
def test_a_donated_camera_is_looked_at_as_its_owner_said(consent: Consent | None, answer: str) -> None:
    """Consent, level, hours, recipients and purpose: each that is missing has its own word."""
    assert code(Ask(VIEWER), donated(consent=consent)) == answer


def test_a_level_above_is_no_recipient() -> None:
    """The province is not "viewers of the ward"; the hub's own administrator is only meant where admins are named."""
    province = person("viewer", (PROVINCE,))
    assert code(Ask(province), donated()) == "no_role"
    assert code(Ask(ADMIN), donated()) == "no_role"
    assert code(Ask(ADMIN), donated(consent=a_consent(recipients=(Recipient(WARD, "admin"),)))) == "ok"


@pytest.mark.parametrize(
    ("incident", "named", "answer"),
    [
        (an_incident(), "VV-1", "ok"),
        (an_incident(), "i", "ok"),
        (an_incident(), None, "not_at_this_level"),
        (an_incident(), "VV-2", "not_at_this_level"),
        (an_incident(area=OTHER_WARD), "VV-1", "not_at_this_level"),
        (an_incident(area=PROVINCE), "VV-1", "ok"),
        (an_incident(area=None, camera_ids=("k",)), "VV-1", "ok"),
        (an_incident(closes_at=NOW), "VV-1", "not_at_this_level"),
        (an_incident(closed_at=NOW), "VV-1", "not_at_this_level"),
        (an_incident(opened_at=NOW + timedelta(seconds=1)), "VV-1", "not_at_this_level"),
    ],
)
def test_on_incident_needs_an_open_incident_here(incident: Incident, named: str | None, answer: str) -> None:
    """The incident is named, open now, and covers the camera's place; the view ends when it closes."""
    subject = donated(consent=a_consent(Mode.ON_INCIDENT), incidents=(incident,))
    got = decide(Ask(VIEWER, incident=named), subject, NOW)

    assert got.code == answer
    if isinstance(got, Allowed):
        assert got.until == incident.closes_at


def test_a_view_says_when_it_will_end() -> None:
    """At the end of the hours, or of the consent if that is sooner; audio only where it was consented to."""
    hours = a_consent(Mode.SCHEDULED, schedule=MORNING)
    assert decide(Ask(VIEWER), donated(consent=hours), NOW) == Allowed(until=NOW + timedelta(hours=2))
    sooner = replace(hours, expires_at=NOW + timedelta(minutes=5), audio=True)
    got = decide(Ask(VIEWER), donated(consent=sooner), NOW)
    assert got == Allowed(until=NOW + timedelta(minutes=5), audio=True)
    refused = decide(Ask(VIEWER), donated(consent=a_consent(Mode.SCHEDULED, schedule=EVENING)), NOW)
    assert isinstance(refused, Refused)
    assert refused.params["opens_at"] == NOW + timedelta(hours=8)


def test_the_owner_needs_no_consent_to_see_their_own() -> None:
    """An admitted camera of one's own may be looked at at every level, but not while it is paused."""
    for consent in (None, a_consent(Mode.PRIVATE), a_consent(stored_state=ConsentState.WITHDRAWN)):
        assert code(Ask(DONOR), donated(consent=consent)) == "ok"
    assert code(Ask(DONOR), donated(paused=True)) == "paused"


def test_a_pause_that_is_over_stops_nobody() -> None:
    """A pause until a time ends by itself at that time."""
    assert code(Ask(VIEWER), donated(paused=True, paused_until=NOW + timedelta(seconds=1))) == "paused"
    assert code(Ask(VIEWER), donated(paused=True, paused_until=NOW)) == "ok"


def test_a_test_lasts_sixty_seconds_everywhere() -> None:
    """Purpose `test` on an admitted camera is bounded too, and on a donated one it must be covered."""
    answer = decide(Ask(VIEWER, "test"), municipal(), NOW)
    assert answer == Allowed(test_only=True, max_s=TEST_SECONDS)
    assert code(Ask(VIEWER, "test"), donated()) == "purpose_not_covered"
    covered = donated(consent=a_consent(purposes=("public_safety", "test")))
    answer = decide(Ask(VIEWER, "test"), covered, NOW)
    assert isinstance(answer, Allowed)
    assert (answer.test_only, answer.max_s) == (True, TEST_SECONDS)
    assert code(Ask(VIEWER, kind="test"), donated()) == "purpose_not_covered"


def test_purposes_are_a_closed_list() -> None:
    """Nobody looks for a purpose that is not on the list."""
    for subject in (municipal(), donated()):
        assert code(
            Ask(ADMIN if subject.custodian_kind is Kind.AUTHORITY else VIEWER, "curiosity"), subject
        ) == ("purpose_not_covered")


def test_a_coding_that_no_browser_plays_is_said_last() -> None:
    """A camera that may be looked at but cannot be played says so; one that may not keeps its reason."""
    assert code(Ask(VIEWER), municipal(playable=False)) == "codec_not_playable"
    assert code(Ask(VIEWER, kind="snapshot"), municipal(playable=False)) == "ok"  # a still is coded anew
    assert code(Ask(VIEWER), municipal(playable=False, decision="REJECTED")) == "decision_rejected"


def test_a_list_shows_the_purpose_that_is_covered() -> None:
    """Where the consent is for traffic only, the camera can be watched, for traffic."""
    subject = donated(consent=a_consent(purposes=("traffic",)))

    answer, purpose = viewable(VIEWER, subject, NOW)
    assert (answer.code, purpose) == ("ok", "traffic")


# The laws

areas = st.sampled_from([(), (WARD,), (OTHER_WARD,), (PROVINCE,), ("*",)])
principals = st.builds(
    person, st.sampled_from(ROLES), areas, custodian_id=st.sampled_from([None, OWNER, OTHER])
)
recipients = st.builds(Recipient, st.sampled_from(["", PROVINCE, WARD, OTHER_WARD]), st.sampled_from(ROLES))
moments = st.integers(-72, 72).map(lambda hours: NOW + timedelta(hours=hours))
consents = st.builds(
    a_consent,
    st.sampled_from(list(Mode)),
    purposes=st.lists(st.sampled_from(PURPOSES), max_size=5).map(tuple),
    recipients=st.lists(recipients, max_size=6).map(tuple),
    schedule=st.sampled_from([None, MORNING, EVENING]),
    given_at=moments,
    expires_at=moments,
    audio=st.booleans(),
    stored_state=st.sampled_from([ConsentState.ACTIVE, ConsentState.WITHDRAWN, ConsentState.SUPERSEDED]),
)
incidents = st.builds(
    an_incident, area=st.sampled_from([None, WARD, OTHER_WARD]), opened_at=moments, closes_at=moments
)
subjects = st.builds(
    municipal,
    decision=st.sampled_from(DECISIONS),
    custodian_kind=st.sampled_from(list(Kind)),
    area_path=st.sampled_from([(), (PROVINCE, WARD), (PROVINCE, OTHER_WARD)]),
    consent=st.none() | consents,
    paused=st.booleans(),
    paused_until=st.none() | moments,
    incidents=st.lists(incidents, max_size=2).map(tuple),
    playable=st.booleans(),
)
asks = st.builds(
    Ask,
    principals,
    st.sampled_from([*PURPOSES, "curiosity"]),
    st.sampled_from([None, "VV-1", "other"]),
    st.sampled_from(["live", "snapshot", "test"]),
)


@pytest.mark.long
@settings(max_examples=250)
@given(asks, subjects)
def test_no_role_passes_a_pause(ask: Ask, subject: Subject) -> None:
    """While paused nobody is allowed, whoever asks for whatever."""
    assert isinstance(decide(ask, replace(subject, paused=True, paused_until=None), NOW), Refused)


@pytest.mark.long
@settings(max_examples=250)
@given(asks, subjects)
def test_no_role_passes_the_consent(ask: Ask, subject: Subject) -> None:
    """On a donated camera only its owner is allowed without an active consent that names mode, purpose and role."""
    answer = decide(ask, subject, NOW)
    if isinstance(answer, Refused) or subject.custodian_kind is Kind.AUTHORITY:
        return
    if ask.principal.custodian_id == subject.custodian_id:
        return

    consent = subject.consent
    assert consent is not None
    assert consent.state(NOW) is ConsentState.ACTIVE
    assert consent.mode in {Mode.ON_INCIDENT, Mode.SCHEDULED, Mode.ALWAYS}
    assert ask.purpose in consent.purposes
    assert ask.principal.role in {recipient.role for recipient in consent.recipients}
    assert answer.until is not None
    assert NOW < answer.until <= consent.expires_at
    assert consent.audio or not answer.audio


@pytest.mark.long
@settings(max_examples=250)
@given(asks, subjects)
def test_what_is_not_admitted_is_never_more_than_a_test(ask: Ask, subject: Subject) -> None:
    """Below CONDITIONAL every allowed view is a test of at most 60 s; inspectors are never allowed."""
    answer = decide(ask, subject, NOW)
    if isinstance(answer, Allowed):
        assert ask.principal.role != "inspector"
        if subject.decision in {"PENDING", "REJECTED"}:
            assert answer.test_only
            assert answer.max_s is not None
            assert answer.max_s <= 60


@pytest.mark.long
@settings(max_examples=250)
@given(asks, subjects, consents, st.data())
def test_narrowing_a_consent_never_widens_access(
    ask: Ask, subject: Subject, consent: Consent, data: st.DataObject
) -> None:
    """Dropping purposes, recipients, hours, sound, life or level never allows what was refused before."""
    wide = replace(subject, consent=consent)
    narrow_mode = data.draw(
        st.sampled_from([consent.mode, Mode.PRIVATE, Mode.REGISTERED, Mode.HEALTH])
        | (st.just(Mode.ON_INCIDENT) if consent.mode is Mode.ALWAYS else st.nothing())
    )
    narrower = replace(
        consent,
        mode=narrow_mode,
        purposes=data.draw(_some_of(consent.purposes)),
        recipients=data.draw(_some_of(consent.recipients)),
        audio=consent.audio and data.draw(st.booleans()),
        expires_at=consent.expires_at - timedelta(hours=data.draw(st.integers(0, 48))),
        stored_state=data.draw(st.sampled_from([consent.stored_state, ConsentState.WITHDRAWN])),
    )
    answer = decide(ask, replace(subject, consent=data.draw(st.none() | st.just(narrower))), NOW)
    if isinstance(answer, Allowed):
        before = decide(ask, wide, NOW)
        assert isinstance(before, Allowed)
        assert before.audio or not answer.audio
        if before.until is not None:
            assert answer.until is not None
            assert answer.until <= before.until


def _some_of(items: tuple) -> st.SearchStrategy[tuple]:  # type: ignore[type-arg]
    return st.lists(st.sampled_from(items), unique=True).map(tuple) if items else st.just(())


@pytest.mark.long
@settings(max_examples=150)
@given(asks, subjects)
def test_a_view_that_ended_by_itself_is_not_allowed_again_then(ask: Ask, subject: Subject) -> None:
    """At the moment that `until` names the answer is another: the promise of an end is kept by the rules themselves."""
    answer = decide(ask, subject, NOW)
    if isinstance(answer, Allowed) and answer.until is not None:
        assert isinstance(decide(ask, subject, answer.until), Refused)
        assert isinstance(decide(ask, subject, answer.until - timedelta(seconds=1)), Allowed)


@pytest.mark.parametrize(
    ("who", "subject", "heard"),
    [
        (VIEWER, donated(consent=a_consent(audio=True)), True),
        (VIEWER, donated(), False),
        (DONOR, donated(consent=a_consent(audio=True)), True),
        (DONOR, donated(), False),
        (DONOR, donated(consent=None), False),
        (DONOR, donated(consent=a_consent(audio=True, expires_at=NOW)), False),
        (DONOR, donated(consent=a_consent(audio=True, stored_state=ConsentState.WITHDRAWN)), False),
        (DONOR, donated(consent=a_consent(audio=True, camera_id="another")), False),
        (ADMIN, municipal(), False),
    ],
)
def test_a_camera_is_heard_by_a_consent_in_force_alone(who: Principal, subject: Subject, heard: bool) -> None:
    """Neither the owner nor an authority hears a camera without one; and what one viewer may hear all may."""
    answer = decide(Ask(who), subject, NOW)
    assert isinstance(answer, Allowed)
    assert answer.audio is heard
    assert shares_sound(subject, NOW) is heard


def test_a_test_of_what_is_not_admitted_is_silent() -> None:
    """The owner's test of a pending camera shows its picture, whatever the consent says of the sound."""
    subject = donated(decision="PENDING", consent=a_consent(audio=True))
    answer = decide(Ask(DONOR, "test", kind="test"), subject, NOW)
    assert isinstance(answer, Allowed)
    assert not answer.audio
    assert not shares_sound(subject, NOW)
