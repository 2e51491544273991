"""The six silences: what is shown of a camera at one moment."""

from datetime import timedelta

import pytest
from hub_world import START

from hub.catalog.schedule import Schedule
from hub.catalog.states import shown
from hub.catalog.types import Consent, ConsentState, Kind, Mode

NOW = START  # Saturday 10:00 in Vietnam


def _consent(mode: Mode, **more: object) -> Consent:
    values: dict[str, object] = {
        "id": "c", "camera_id": "k", "version": 1, "mode": mode, "purposes": (), "recipients": (), "audio": False,
        "schedule": None, "given_at": NOW - timedelta(days=1), "expires_at": NOW + timedelta(days=30),
        "text_version": "1", "text_hash": "", "signed_by": "x", **more,
    }  # fmt: skip
    return Consent(**values)  # type: ignore[arg-type]


def _health(**more: object) -> str:
    values: dict[str, object] = {
        "kind": Kind.HOUSEHOLD, "paused": False, "paused_until": None, "consent": _consent(Mode.ALWAYS),
        "measured": "alive", "now": NOW, **more,
    }  # fmt: skip
    return shown(**values).health  # type: ignore[arg-type]


EVENING = Schedule.from_json([{"days": [6], "from": "18:00", "to": "22:00"}])
MORNING = Schedule.from_json([{"days": [6], "from": "08:00", "to": "12:00"}])


@pytest.mark.parametrize(
    ("facts", "health"),
    [
        ({}, "alive"),
        ({"measured": None}, "not_measured"),
        ({"measured": "fault"}, "fault"),
        ({"consent": None}, "not_shared"),
        ({"consent": _consent(Mode.PRIVATE)}, "not_shared"),
        ({"consent": _consent(Mode.REGISTERED)}, "alive"),
        ({"consent": _consent(Mode.ALWAYS, expires_at=NOW)}, "not_shared"),
        ({"consent": _consent(Mode.ALWAYS, stored_state=ConsentState.WITHDRAWN)}, "not_shared"),
        ({"consent": _consent(Mode.SCHEDULED, schedule=EVENING)}, "outside_hours"),
        ({"consent": _consent(Mode.SCHEDULED, schedule=MORNING)}, "alive"),
        ({"paused": True}, "paused"),
        ({"paused": True, "consent": None}, "paused"),
        ({"paused": True, "paused_until": NOW}, "alive"),
        ({"kind": Kind.AUTHORITY, "consent": None}, "alive"),
        ({"kind": Kind.AUTHORITY, "consent": None, "paused": True}, "paused"),
    ],
)
def test_each_silence_has_its_own_word(facts: dict[str, object], health: str) -> None:
    """Paused, not shared, outside hours, not measured and the measured states are told apart, in this order."""
    assert _health(**facts) == health


def test_the_next_change_is_the_earliest() -> None:
    """The end of a pause, of the shared hours or of the consent, whichever comes first."""
    state = shown(
        kind=Kind.HOUSEHOLD,
        paused=True,
        paused_until=NOW + timedelta(hours=3),
        consent=_consent(Mode.SCHEDULED, schedule=MORNING),
        measured="alive",
        now=NOW,
    )

    assert state.next_change_at == NOW + timedelta(hours=2)
    assert state.consent is ConsentState.ACTIVE
    assert state.sharing == "scheduled"


def test_an_expired_consent_is_worth_nothing() -> None:
    """Expiry needs no job: the mode falls to private by itself."""
    state = shown(
        kind=Kind.SHOP,
        paused=False,
        paused_until=None,
        consent=_consent(Mode.ALWAYS, expires_at=NOW),
        measured=None,
        now=NOW,
    )

    assert (state.sharing, state.consent, state.next_change_at) == ("private", ConsentState.EXPIRED, None)
