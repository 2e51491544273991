"""Sharing schedules: weekly hours in Vietnam's time, which may pass midnight."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hub.store.errors import Invalid

# Asia/Ho_Chi_Minh: UTC+7 all year, no daylight saving time since 1975, so no time zone table is needed.
VIETNAM = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")
MAX_WINDOWS = 50
_DAY = 24 * 60
_WEEK = 7 * _DAY
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class Window:
    """Hours on some weekdays (1 Monday to 7 Sunday), in minutes after midnight; `end` <= `start` is the next day.

    1440 stands for 24:00. The day is the one on which the window begins.
    """

    days: tuple[int, ...]
    start: int
    end: int

    def spans(self) -> tuple[tuple[int, int], ...]:
        """Return the spans in minutes of the week, those over Sunday's midnight cut in two."""
        out: list[tuple[int, int]] = []
        length = self.end - self.start if self.end > self.start else self.end + _DAY - self.start
        for day in self.days:
            begin = (day - 1) * _DAY + self.start
            end = begin + length
            if end <= _WEEK:
                out.append((begin, end))
            else:
                out += [(begin, _WEEK), (0, end - _WEEK)]
        return tuple(out)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Weekly windows; a moment in any of them is covered."""

    windows: tuple[Window, ...]

    def covers(self, now: datetime) -> bool:
        """Tell whether this moment is inside the hours."""
        minute = _minute_of_week(now)
        return any(begin <= minute < end for begin, end in self._merged())

    def next_change(self, now: datetime) -> datetime | None:
        """Return the next moment after `now` at which `covers` changes; None where it never does."""
        merged = self._merged()
        if not merged or merged == ((0, _WEEK),):
            return None
        inside = {edge for span in merged for edge in span}
        # a span that goes on over Sunday's midnight does not change there
        if merged[0][0] == 0 and merged[-1][1] == _WEEK:
            inside -= {0, _WEEK}
        minute = _minute_of_week(now)
        wait = min(((edge - minute) % _WEEK) or _WEEK for edge in inside)
        local = now.astimezone(VIETNAM).replace(second=0, microsecond=0)
        return (local + timedelta(minutes=wait)).astimezone(UTC)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the windows as in the HTTP API."""
        return [
            {"days": list(window.days), "from": _clock(window.start), "to": _clock(window.end)}
            for window in self.windows
        ]

    @classmethod
    def from_json(cls, told: Sequence[Mapping[str, Any]], field: str = "schedule") -> "Schedule":
        """Read windows ``{days, from, to}``.

        Raises:
            Invalid: names the window and what does not fit.
        """
        if not 1 <= len(told) <= MAX_WINDOWS:
            raise Invalid(field, f"a schedule has 1 to {MAX_WINDOWS} windows")
        return cls(tuple(_window(window, f"{field}.{index}") for index, window in enumerate(told)))

    def _merged(self) -> tuple[tuple[int, int], ...]:
        """Return the covered spans of the week in order, touching ones joined."""
        out: list[tuple[int, int]] = []
        for begin, end in sorted(span for window in self.windows for span in window.spans()):
            if out and begin <= out[-1][1]:
                out[-1] = (out[-1][0], max(out[-1][1], end))
            else:
                out.append((begin, end))
        return tuple(out)


def _window(told: Mapping[str, Any], field: str) -> Window:
    days = told.get("days")
    if (
        not isinstance(days, (list, tuple))
        or not days
        or not all(isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= 7 for day in days)
    ):
        raise Invalid(f"{field}.days", "name the weekdays as numbers, 1 Monday to 7 Sunday")
    start, end = _minutes(told.get("from"), f"{field}.from"), _minutes(told.get("to"), f"{field}.to")
    if start == _DAY:
        raise Invalid(f"{field}.from", "a window cannot begin at 24:00; write 00:00 of the next day")
    if start == end:
        raise Invalid(
            f"{field}.to", "a window cannot end when it begins; write 00:00 to 24:00 for a whole day"
        )
    return Window(tuple(sorted(set(days))), start, end)


def _minutes(value: Any, field: str) -> int:
    if value == "24:00":
        return _DAY
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Invalid(field, "write a time as 18:00 (24:00 for the end of a day)")
    return int(found[1]) * 60 + int(found[2])


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _minute_of_week(now: datetime) -> int:
    local = now.astimezone(VIETNAM)
    return (local.isoweekday() - 1) * _DAY + local.hour * 60 + local.minute
