"""Up-time out of a log of changes: how long a camera was known to live, known not to, and not known at all. Pure.

Times here are whole seconds since 1970 (UTC): a log of 136,000 cameras is read and added up by the million.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

# The state from a change on. `unknown`: nobody measured; `degraded` answers, but its picture stands still.
CODES = {"unknown": 0, "alive": 1, "degraded": 2, "fault": 3, "unreachable": 4}
NAMES = {code: name for name, code in CODES.items()}
UNKNOWN, ALIVE = CODES["unknown"], CODES["alive"]

Change = tuple[int, int]  # (second, code): from then on


@dataclass(frozen=True, slots=True)
class Share:
    """Seconds of a span. `up`: known to live; `down`: known not to; the rest was not known."""

    up: int
    down: int
    unknown: int

    @property
    def known(self) -> int:
        """Return the seconds in which it was known."""
        return self.up + self.down

    @property
    def ratio(self) -> float | None:
        """Return up / known, None where nothing was known."""
        return self.up / self.known if self.known else None


@dataclass(frozen=True, slots=True)
class Outage:
    """One time in which the camera was known not to live. `until` None: it lasts."""

    since: int
    until: int | None
    state: str


def share(changes: Sequence[Change], since: int, until: int) -> Share:
    """Return the share of ``[since, until)``. `changes` ascend; what lies before the first one was not known."""
    up = down = unknown = 0
    for begins, ends, code in _spans(changes, since, until):
        if code == ALIVE:
            up += ends - begins
        elif code == UNKNOWN:
            unknown += ends - begins
        else:
            down += ends - begins
    return Share(up, down, unknown)


def days(
    changes: Sequence[Change], first: date, last: date, until: int, zone: tzinfo
) -> list[tuple[date, Share]]:
    """Return the share of each day from `first` to `last`, in a time zone; nothing after `until` is counted."""
    out = []
    day = first
    while day <= last:
        begins = _midnight(day, zone)
        ends = min(_midnight(day + timedelta(days=1), zone), max(until, begins))
        out.append((day, share(changes, begins, ends)))
        day += timedelta(days=1)
    return out


def outages(changes: Sequence[Change], since: int, until: int) -> list[Outage]:
    """Return the times of being down, newest first; one after another without an answer between is one."""
    found: list[Outage] = []
    for begins, ends, code in _spans(changes, since, until):
        if code in (UNKNOWN, ALIVE):
            continue
        lasts = None if ends >= until else ends
        if found and found[-1].until == begins:
            found[-1] = Outage(found[-1].since, lasts, found[-1].state)
        else:
            found.append(Outage(begins, lasts, NAMES[code]))
    return found[::-1]


class Total(NamedTuple):
    """What one camera's log adds up to over a span, in seconds."""

    up: int
    down: int
    longest: int  # of its times of being down, as far as they lie in the span
    lasting: int  # of the one that lasts at the end of the span; 0 where it is not down then


def total(
    changes: Iterable[tuple[Any, int, int]], measured_until: int | None, since: int, until: int, holds_s: int
) -> Total:
    """Return in one pass what `known_until`, `share` and `outages` say of a camera: for reports of thousands.

    `changes` are ``(camera, second, code)``, ascending, none from `until` on.
    """
    code, begins, at = UNKNOWN, since, since
    up = down = longest = 0
    fell: int | None = None  # when the time of being down that goes on began
    for _, at, following in changes:
        if at > begins:
            if code == ALIVE:
                up += at - begins
            elif code != UNKNOWN:
                down += at - begins
                fell = begins if fell is None else fell
            if fell is not None and following in _NOT_DOWN:
                longest, fell = max(longest, at - fell), None
            begins = at
        code = following
    if code == UNKNOWN:
        return Total(up, down, longest, 0)
    lapses = (at if measured_until is None else max(at, measured_until)) + holds_s
    ends = max(begins, min(until, lapses))
    if code == ALIVE:
        return Total(up + ends - begins, down, longest, 0)
    lasted = ends - (begins if fell is None else fell)
    return Total(up, down + ends - begins, max(longest, lasted), lasted if ends == until else 0)


_NOT_DOWN = (UNKNOWN, ALIVE)


def settled(
    last: Change | None, measured_until: int | None, at: int, code: int, holds_s: int
) -> list[Change]:
    """Return what to add to a log for a measurement at `at`.

    `last` is the newest change and `measured_until` the newest measurement. A measurement holds for `holds_s`: where
    the next one comes later than that, the time between was not known.
    """
    if last is None or measured_until is None:
        return [(at, code)]
    if at <= last[0]:
        return []  # the clock was set back, or two measurements came in one second: the log only grows
    out: list[Change] = []
    lapses = max(measured_until, last[0]) + holds_s
    if at > lapses and last[1] != UNKNOWN:
        out.append((lapses, UNKNOWN))
    if (out or [last])[-1][1] != code:
        out.append((at, code))
    return out


def known_until(
    changes: Iterable[Change], measured_until: int | None, now: int, holds_s: int
) -> list[Change]:
    """Return a log as it stands now: what was measured last holds for `holds_s`, then it is not known."""
    log = list(changes)
    if not log or log[-1][1] == UNKNOWN:
        return log
    lapses = max(measured_until if measured_until is not None else log[-1][0], log[-1][0]) + holds_s
    if lapses < now:
        log.append((lapses, UNKNOWN))
    return log


def _spans(changes: Sequence[Change], since: int, until: int) -> Iterable[tuple[int, int, int]]:
    if until <= since:
        return
    index = bisect_right(changes, (since, 99)) - 1
    code = changes[index][1] if index >= 0 else UNKNOWN
    begins = since
    for at, next_code in changes[index + 1 :]:
        if at >= until:
            break
        if at > begins:
            yield begins, at, code
        begins, code = at, next_code
    yield begins, until, code


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())
