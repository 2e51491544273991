"""What a camera is at one moment, for display and for filters: a pure function of stored facts and time."""

from dataclasses import dataclass
from datetime import datetime

from hub.catalog.types import AUTHORITY_SHARING, Consent, ConsentState, Kind, Mode


@dataclass(frozen=True, slots=True)
class Shown:
    """The effective states, and the next moment at which one of them changes by itself (None: never)."""

    sharing: str  # a Mode, or "authority"
    consent: ConsentState
    paused: bool
    health: str
    next_change_at: datetime | None


def shown(
    *,
    kind: Kind,
    paused: bool,
    paused_until: datetime | None,
    consent: Consent | None,
    measured: str | None,
    now: datetime,
) -> Shown:
    """Work out the effective states. `measured`: the measured health state, None where there is none.

    Order of the silences, the first that holds is shown: paused, not_shared (a donated camera without an active
    consent, or whose owner keeps it private), outside_hours (mode scheduled, outside the schedule), not_measured,
    then what was measured. A donated camera without an active consent is at mode `private`, whatever it was.
    """
    changes: list[datetime] = []
    still_paused = paused and (paused_until is None or now < paused_until)
    if still_paused and paused_until is not None:
        changes.append(paused_until)
    mode, state = AUTHORITY_SHARING, ConsentState.NOT_NEEDED
    if kind is not Kind.AUTHORITY:
        state = consent.state(now) if consent is not None else ConsentState.MISSING
        mode = Mode.PRIVATE
        if consent is not None and state is ConsentState.ACTIVE:
            mode = consent.mode
            changes.append(consent.expires_at)
    health = measured or "not_measured"
    if mode == Mode.PRIVATE:
        health = "not_shared"
    elif mode == Mode.SCHEDULED and consent is not None and consent.schedule is not None:
        change = consent.schedule.next_change(now)
        if change is not None:
            changes.append(change)
        if not consent.schedule.covers(now):
            health = "outside_hours"
    if still_paused:
        health = "paused"
    return Shown(str(mode), state, still_paused, health, min(changes, default=None))
