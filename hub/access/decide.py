"""Whether one person may look at one camera now: a pure function, asked for every byte of picture.

The first of these that holds is the answer:

1. `no_role`: inspectors never look; donors look only at cameras of their own.
2. `wrong_area`: the camera lies in none of the person's areas (their own cameras aside).
3. `paused`: the owner has paused. Nobody looks: not the administrator, not the owner. Pause means that no picture
   leaves, so it has no exception to explain.
4. `purpose_not_covered`: a purpose outside the closed list.
5. `decision_pending`, `decision_rejected`: nobody looks but who speaks for the custodian (the owner; for an
   authority's camera its administrators and operators as installers), as a logged test (purpose `test`) of at
   most 60 s.
6. The owner's own view of an admitted camera needs no consent: it is theirs. It is logged like any other.
7. A donated camera: an active consent (`no_consent`), whose mode admits looking now (`not_at_this_level`,
   `outside_hours`), which names the person's role and level as recipient (`no_role` with `needs: recipient`), and
   covers the purpose (`purpose_not_covered`). Mode `scheduled` is not opened outside its hours by an incident.
8. `codec_not_playable`: nothing here can carry the camera's coding to a browser. Not asked of a still, which the
   hub codes anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub.access.principal import Principal
from hub.access.rights import acts_for_custodian, area_path
from hub.catalog.types import PURPOSES, Camera, Consent, ConsentState, Incident, Kind, Mode

TEST_SECONDS = 60.0
OUTPUT = "output"  # the kind of a view that goes to another system
VIEWED = frozenset({"ADMITTED", "CONDITIONAL"})
# What the relay can carry to a browser, as it is or recoded.
PLAYABLE_CODECS = frozenset({"H264", "H265", "JPEG", "MPEG4", "MP4V-ES"})


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for. `kind`: live, output, snapshot or test (a test is also asked for by the purpose `test`)."""

    principal: Principal
    purpose: str = "public_safety"
    incident: str | None = None  # number or id of an open incident
    kind: str = "live"

    @property
    def is_test(self) -> bool:
        """Tell whether this is the custodian's or installer's logged test."""
        return self.purpose == "test" or self.kind == "test"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of the camera. `incidents`: those that may cover it, open or not."""

    camera_id: str
    decision: str
    custodian_kind: Kind
    custodian_id: str
    area_path: tuple[str, ...] = ()
    consent: Consent | None = None
    paused: bool = False
    paused_until: datetime | None = None
    incidents: tuple[Incident, ...] = ()
    playable: bool = True


@dataclass(frozen=True, slots=True)
class Allowed:
    """The view may start, and go on while `decide` still says so."""

    test_only: bool = False
    max_s: float | None = None  # longest time of this view, seconds
    until: datetime | None = None  # when it ends by itself: schedule, incident or consent runs out
    audio: bool = False
    code: str = "ok"


@dataclass(frozen=True, slots=True)
class Refused:
    """The view may not start, or must end. `code` as in the HTTP API, `params` fill its sentence."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


Decision = Allowed | Refused


def subject_of(camera: Camera, incidents: tuple[Incident, ...] = ()) -> Subject:
    """Return what `decide` needs of a camera."""
    codec = camera.playback.codec
    return Subject(
        camera_id=camera.id,
        decision=camera.decision,
        custodian_kind=camera.custodian.kind,
        custodian_id=camera.custodian.id,
        area_path=area_path(camera),
        consent=camera.consent,
        paused=camera.sharing.paused,
        paused_until=camera.sharing.paused_until,
        incidents=incidents,
        playable=camera.playback.relay != "no" and (codec is None or codec in PLAYABLE_CODECS),
    )


def decide(ask: Ask, subject: Subject, now: datetime) -> Decision:
    """Answer whether this person may look at this camera at this moment."""
    who = ask.principal
    own = who.owns(subject.custodian_id)
    if who.role not in {"admin", "operator", "viewer", "donor"} or (who.role == "donor" and not own):
        return Refused("no_role", {"role": who.role})
    if not own and not who.in_area(subject.area_path):
        return Refused("wrong_area", {"area": subject.area_path[-1] if subject.area_path else ""})
    if subject.paused and (subject.paused_until is None or now < subject.paused_until):
        return Refused("paused", {"until": subject.paused_until})
    if ask.purpose not in PURPOSES:
        return Refused("purpose_not_covered", {"purpose": ask.purpose})
    custodian = acts_for_custodian(who, subject.custodian_kind, subject.custodian_id, subject.area_path)
    max_s = TEST_SECONDS if ask.is_test else None
    if subject.decision not in VIEWED:
        if not (custodian and ask.is_test):
            return Refused("decision_rejected" if subject.decision == "REJECTED" else "decision_pending")
        answer: Decision = Allowed(test_only=True, max_s=TEST_SECONDS)
    elif own or subject.custodian_kind is Kind.AUTHORITY:
        answer = Allowed(test_only=ask.is_test, max_s=max_s, audio=shares_sound(subject, now))
    else:
        answer = _by_consent(ask, subject, now)
    if isinstance(answer, Allowed) and not subject.playable and ask.kind != "snapshot":
        return Refused("codec_not_playable")
    return answer


def _by_consent(ask: Ask, subject: Subject, now: datetime) -> Decision:
    """Answer by the owner's consent: for everybody but the owner, on an admitted camera."""
    consent = subject.consent
    if consent is None or consent.camera_id != subject.camera_id or now < consent.given_at:
        return Refused("no_consent", {"state": str(ConsentState.MISSING)})
    state = consent.state(now)
    if state is not ConsentState.ACTIVE:
        return Refused("no_consent", {"state": str(state)})
    ends = [consent.expires_at]
    if consent.mode is Mode.ON_INCIDENT:
        incident = _open_incident(ask, subject, now)
        if incident is None:
            return Refused("not_at_this_level", {"mode": str(consent.mode), "needs": "incident"})
        ends.append(incident.closed_at or incident.closes_at)
    elif consent.mode is Mode.SCHEDULED:
        if consent.schedule is None or not consent.schedule.covers(now):
            opens = consent.schedule.next_change(now) if consent.schedule is not None else None
            hours = consent.schedule.as_json() if consent.schedule is not None else []
            return Refused("outside_hours", {"opens_at": opens, "schedule": hours})
        change = consent.schedule.next_change(now)
        if change is not None:
            ends.append(change)
    elif consent.mode is not Mode.ALWAYS:
        return Refused("not_at_this_level", {"mode": str(consent.mode), "needs": "mode"})
    if not any(_is_recipient(ask.principal, item.area, item.role) for item in consent.recipients):
        return Refused("no_role", {"role": ask.principal.role, "needs": "recipient"})
    if ask.purpose not in consent.purposes or (ask.is_test and "test" not in consent.purposes):
        return Refused("purpose_not_covered", {"purpose": ask.purpose, "covered": list(consent.purposes)})
    return Allowed(
        test_only=ask.is_test,
        max_s=TEST_SECONDS if ask.is_test else None,
        until=min(ends),
        audio=consent.audio,
    )


def shares_sound(subject: Subject, now: datetime) -> bool:
    """Tell whether a consent in force says that the camera may be heard too; no other ground allows that.

    An authority's camera has no consent record, so nobody hears it; of one that may not be viewed nothing is heard either.
    """
    consent = subject.consent
    return (
        subject.decision in VIEWED
        and consent is not None
        and consent.camera_id == subject.camera_id
        and now >= consent.given_at
        and consent.state(now) is ConsentState.ACTIVE
        and consent.audio
    )


def _open_incident(ask: Ask, subject: Subject, now: datetime) -> Incident | None:
    if not ask.incident:
        return None
    for incident in subject.incidents:
        named = ask.incident in {incident.id, incident.number}
        if named and incident.open_at(now) and incident.covers(subject.camera_id, subject.area_path):
            return incident
    return None


def _is_recipient(principal: Principal, area: str, role: str) -> bool:
    """Tell whether a person is meant by "role at area": the same role, working at that level or below it.

    Someone of the province is not "a viewer of ward 26734", though the ward lies in the province. The hub's own
    people (areas: the whole hub) are meant at every level, because the hub next to the lens is theirs.
    """
    if principal.role != role:
        return False
    return principal.everywhere or area in {"", "*"} or area in principal.lineage


def viewable(principal: Principal, subject: Subject, now: datetime) -> tuple[Decision, str]:
    """Return what a list should say: the answer for the first purpose that is allowed, and that purpose.

    Where none is, the custodian's test is tried; else the answer for `public_safety` (or, where that is only not
    covered, for the consent's own first purpose) tells why not.
    """
    first = decide(Ask(principal), subject, now)
    if isinstance(first, Allowed):
        return first, "public_safety"
    if first.code == "purpose_not_covered":
        for purpose in PURPOSES:
            answer = decide(Ask(principal, purpose), subject, now)
            if isinstance(answer, Allowed):
                return answer, purpose
    test = decide(Ask(principal, "test", kind="test"), subject, now)
    return (test, "test") if isinstance(test, Allowed) else (first, "public_safety")
