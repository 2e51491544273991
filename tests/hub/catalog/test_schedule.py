"""Sharing schedules."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalog.schedule import VIETNAM, Schedule
from hub.store.errors import Invalid

MONDAY = datetime(2026, 11, 16, tzinfo=VIETNAM)

times = st.builds(lambda minute: f"{minute // 60:02d}:{minute % 60:02d}", st.integers(0, 1439))
windows = st.fixed_dictionaries(
    {
        "days": st.lists(st.integers(1, 7), min_size=1, max_size=7),
        "from": times,
        "to": times | st.just("24:00"),
    }
).filter(lambda window: window["from"] != window["to"])
schedules = st.lists(windows, min_size=1, max_size=4).map(Schedule.from_json)
moments = st.integers(0, 2 * 365 * 86_400).map(lambda after: MONDAY + timedelta(seconds=after))


def test_hours_are_those_of_vietnam() -> None:
    """18:00 to 22:00 is in Vietnam's time; the last minute is outside."""
    schedule = Schedule.from_json([{"days": [1], "from": "18:00", "to": "22:00"}])

    assert not schedule.covers(datetime(2026, 11, 16, 10, 59, 59, tzinfo=UTC))
    assert schedule.covers(datetime(2026, 11, 16, 11, 0, tzinfo=UTC))
    assert schedule.covers(datetime(2026, 11, 16, 14, 59, 59, tzinfo=UTC))
    assert not schedule.covers(datetime(2026, 11, 16, 15, 0, tzinfo=UTC))


def test_a_window_may_pass_midnight() -> None:
    """22:00 to 05:00 on Sunday covers Monday's early morning, not Sunday's."""
    schedule = Schedule.from_json([{"days": [7], "from": "22:00", "to": "05:00"}])

    assert schedule.covers(MONDAY + timedelta(hours=4, minutes=59))
    assert not schedule.covers(MONDAY + timedelta(hours=5))
    assert not schedule.covers(MONDAY + timedelta(days=6, hours=3))
    assert schedule.covers(MONDAY + timedelta(days=6, hours=23))
    assert schedule.next_change(MONDAY + timedelta(days=6, hours=23)) == MONDAY + timedelta(days=7, hours=5)


def test_all_week_never_changes() -> None:
    """Around the clock there is no next change."""
    schedule = Schedule.from_json([{"days": [1, 2, 3, 4, 5, 6, 7], "from": "00:00", "to": "24:00"}])

    assert schedule.covers(MONDAY)
    assert schedule.next_change(MONDAY) is None


@given(schedules, moments)
def test_nothing_changes_before_the_next_change(schedule: Schedule, now: datetime) -> None:
    """Until the next change `covers` stays as it is, and at it it turns."""
    change = schedule.next_change(now)
    if change is None:
        assert all(
            schedule.covers(now + timedelta(hours=hour)) == schedule.covers(now) for hour in range(0, 168, 5)
        )
        return

    assert now < change <= now + timedelta(days=7)
    assert schedule.covers(change) != schedule.covers(now)
    assert schedule.covers(change - timedelta(seconds=1)) == schedule.covers(now)
    middle = now + (change - now) / 2
    assert schedule.covers(middle) == schedule.covers(now)


@given(schedules)
def test_a_schedule_reads_what_it_writes(schedule: Schedule) -> None:
    """JSON and back is the same schedule."""
    assert Schedule.from_json(schedule.as_json()) == schedule


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ({"from": "18:00", "to": "22:00"}, "schedule.0.days"),
        ({"days": [0], "from": "18:00", "to": "22:00"}, "schedule.0.days"),
        ({"days": [True], "from": "18:00", "to": "22:00"}, "schedule.0.days"),
        ({"days": [1], "from": "6pm", "to": "22:00"}, "schedule.0.from"),
        ({"days": [1], "from": "18:00", "to": "25:00"}, "schedule.0.to"),
        ({"days": [1], "from": "18:00\n", "to": "22:00"}, "schedule.0.from"),
        ({"days": [1], "from": "24:00", "to": "05:00"}, "schedule.0.from"),
        ({"days": [1], "from": "18:00", "to": "18:00"}, "schedule.0.to"),
    ],
)
def test_a_window_that_does_not_fit_is_named(window: dict[str, object], field: str) -> None:
    """The field that does not fit is told by its path."""
    with pytest.raises(Invalid) as told:
        Schedule.from_json([window])

    assert told.value.field == field
