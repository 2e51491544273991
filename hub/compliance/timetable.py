"""When a camera is checked next: by the shortest age that its rules allow, inside the nightly windows, spread. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from standards.profile import StandardProfile

LONGEST = timedelta(days=7)  # between two runs, where no rule asks for less
REJECTED_EVERY = timedelta(days=7)  # nobody uses it; its owner presses the button once it is repaired
BY_DAY_AFTER = 4  # a run by day comes a quarter of the interval after the one before, or later
GRACE = timedelta(hours=1)  # a run of the same slot on the next day is not late
_ASKED_OF_PEOPLE = frozenset({"D", "F", "O"})
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day in which runs may begin; it may pass midnight. Minutes since midnight."""

    begins: int
    ends: int

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read ``22:00-04:00``.

        Raises:
            ValueError: the text is not of that form, or the window is empty.
        """
        first, dash, last = text.strip().partition("-")
        begins, ends = _minutes(first), _minutes(last)
        if not dash or begins in (ends, 24 * 60):
            raise ValueError(f"{text!r} is not a window such as 00:00-05:00")
        return cls(begins, ends)

    @property
    def minutes(self) -> int:
        """Return its length."""
        return (self.ends - self.begins) % (24 * 60) or 24 * 60

    def slot(self, day: date, share: float, zone: tzinfo) -> datetime:
        """Return the moment at a share (0 to 1) of the window that begins on a day."""
        begins = datetime.combine(day, time(), zone) + timedelta(minutes=self.begins)
        return (begins + timedelta(minutes=self.minutes * share)).astimezone(UTC)

    def holds(self, moment: datetime, zone: tzinfo) -> bool:
        """Tell whether a moment lies inside."""
        local = moment.astimezone(zone)
        return (local.hour * 60 + local.minute - self.begins) % (24 * 60) < self.minutes


def interval(profile: StandardProfile, decision: str) -> timedelta:
    """Return how often a camera is checked: by the shortest maximum age of a rule that a run can answer."""
    ages = [
        rule.max_age_h
        for rule in profile.rules
        if rule.max_age_h is not None and not set(rule.observable.split("+")) <= _ASKED_OF_PEOPLE
    ]
    shortest = min([timedelta(hours=age) for age in ages], default=LONGEST)
    every = min(shortest, LONGEST)
    return max(every, REJECTED_EVERY) if decision == "REJECTED" else every


def share_of(camera_id: str) -> float:
    """Return a camera's own place (0 to 1) in each window: the same every day, and spread over all cameras."""
    return int.from_bytes(hashlib.sha256(camera_id.encode()).digest()[:6], "big") / float(1 << 48)


def next_due(
    last: datetime,
    every: timedelta,
    windows: Sequence[Window],
    camera_id: str,
    zone: tzinfo,
    *,
    by_day: Sequence[Window] = (),
) -> datetime:
    """Return when the next run begins: the latest slot of the camera that is not later than it should be.

    A slot is the camera's place in a window. Where no slot falls in the time (half of `every` has passed, and no more
    than `every` and an hour), the first one after it is taken: late, and the report says that the facts are stale.

    Once a week, on the camera's own weekday, a slot of the windows `by_day` comes first: what a picture shows in
    daylight (VQ-06, VQ-07) is not seen at night.
    """
    share = share_of(camera_id)
    if not windows:
        return last + every * (0.8 + 0.2 * share)
    due = _next_slot(last, every, windows, share, zone)
    daylight = [
        slot
        for slot in _slots(by_day, last, due, share, zone)
        if last + every / BY_DAY_AFTER <= slot < due
        and slot.astimezone(zone).weekday() == weekday_of(camera_id)
    ]
    return min(daylight, default=due)


def weekday_of(camera_id: str) -> int:
    """Return the weekday (0 Monday) on which a camera is checked by day too: spread over all cameras."""
    return hashlib.sha256(camera_id.encode()).digest()[6] % 7


def _next_slot(
    last: datetime, every: timedelta, windows: Sequence[Window], share: float, zone: tzinfo
) -> datetime:
    earliest, latest = last + every / 2, last + every + GRACE
    before = [
        slot for slot in _slots(windows, latest - 2 * DAY, latest, share, zone) if earliest <= slot <= latest
    ]
    if before:
        return max(before)
    return min(slot for slot in _slots(windows, latest, latest + 2 * DAY, share, zone) if slot > earliest)


def not_before(moment: datetime, windows: Sequence[Window], camera_id: str, zone: tzinfo) -> datetime:
    """Return the moment itself where a window holds it, else the camera's next slot."""
    if not windows or any(window.holds(moment, zone) for window in windows):
        return moment
    share = share_of(camera_id)
    return min(slot for slot in _slots(windows, moment, moment + 2 * DAY, share, zone) if slot >= moment)


def _slots(
    windows: Sequence[Window], since: datetime, until: datetime, share: float, zone: tzinfo
) -> Iterable[datetime]:
    day, last = since.astimezone(zone).date() - DAY, until.astimezone(zone).date()
    while day <= last:
        yield from (window.slot(day, share, zone) for window in windows)
        day += DAY


def _minutes(text: str) -> int:
    hours, colon, minutes = text.strip().partition(":")
    if not (colon and hours.isdigit() and minutes.isdigit() and len(minutes) == 2):
        raise ValueError(f"{text!r} is not a time of day")
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > 24 * 60:
        raise ValueError(f"{text!r} is not a time of day")
    return found
