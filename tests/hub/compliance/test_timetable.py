"""When cameras are checked: as often as their rules ask, inside the windows, spread, and the same place each night."""

from datetime import datetime, timedelta

import pytest
from hub_world import START
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalog.schedule import VIETNAM
from hub.compliance.timetable import GRACE, Window, interval, next_due, not_before
from standards.pack import packaged

NIGHT = (Window.parse("00:00-05:00"),)
windows = st.lists(
    st.sampled_from(["00:00-05:00", "22:00-04:00", "12:00-13:00", "23:30-00:30"]).map(Window.parse),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)
moments = st.integers(0, 400 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))


@settings(deadline=None)
@given(last=moments, hours=st.integers(2, 168), chosen=windows, camera=st.text(min_size=1, max_size=8))
def test_a_run_is_due_in_a_window_and_never_at_once(
    last: datetime, hours: int, chosen: tuple[Window, ...], camera: str
) -> None:
    """The next run lies in a window, after half the interval, and at most two days beyond it."""
    every = timedelta(hours=hours)
    due = next_due(last, every, chosen, camera, VIETNAM)
    assert any(window.holds(due, VIETNAM) for window in chosen)
    assert last + every / 2 < due + timedelta(seconds=1)
    assert due <= last + every + GRACE + timedelta(days=2)
    assert not_before(due, chosen, camera, VIETNAM) == due


def test_a_daily_rule_is_checked_each_night_at_the_same_place() -> None:
    """Thirty nights, one run each, a day apart: the facts are never more than an hour older than allowed."""
    at = next_due(START, timedelta(days=1), NIGHT, "camera", VIETNAM)
    for _ in range(30):
        following = next_due(at, timedelta(days=1), NIGHT, "camera", VIETNAM)
        assert following - at == timedelta(days=1)
        at = following


def test_once_a_week_a_camera_is_seen_by_daylight() -> None:
    """Four weeks of a daily rule: each night as before, and once a week by day, each camera on its own weekday."""
    daylight = (Window.parse("09:00-11:00"),)
    weekdays = set()
    for number in range(40):
        at, by_day = START, []
        nights = 0
        while at < START + timedelta(days=28):
            following = next_due(at, timedelta(days=1), NIGHT, f"camera {number}", VIETNAM, by_day=daylight)
            assert timedelta(hours=5) < following - at <= timedelta(days=1, hours=5)
            at = following
            if daylight[0].holds(at, VIETNAM):
                by_day.append(at.astimezone(VIETNAM).weekday())
            else:
                assert NIGHT[0].holds(at, VIETNAM)
                nights += 1
        assert len(by_day) in (4, 5)
        assert len(set(by_day)) == 1
        assert nights >= 27
        weekdays.add(by_day[0])
    assert len(weekdays) == 7


def test_without_windows_of_its_own_no_run_is_moved_to_the_day() -> None:
    """A hub that checks at any time sees daylight anyway."""
    daylight = (Window.parse("09:00-11:00"),)
    due = next_due(START, timedelta(days=1), (), "camera", VIETNAM, by_day=daylight)
    assert due == next_due(START, timedelta(days=1), (), "camera", VIETNAM)


def test_cameras_are_spread_over_the_window() -> None:
    """A thousand cameras do not begin together: no tenth of the window holds more than a fifth of them."""
    tenths = [0] * 10
    for number in range(1000):
        due = next_due(START, timedelta(days=1), NIGHT, f"camera {number}", VIETNAM).astimezone(VIETNAM)
        tenths[int((due.hour * 60 + due.minute) / 30)] += 1
    assert max(tenths) < 200
    assert min(tenths) > 0


def test_interval_is_the_shortest_age_of_the_rules() -> None:
    """The municipal standard asks for a day; a rejected camera waits a week for its owner."""
    profile = packaged().profile("vn-municipal-2026")
    assert interval(profile, "ADMITTED") == timedelta(hours=24)
    assert interval(profile, "REJECTED") == timedelta(days=7)


@pytest.mark.parametrize(
    "text", ["", "5", "05:00", "00:00-00:00", "24:00-05:00", "1:0-5:00", "25:00-26:00", "a:b-c:d"]
)
def test_windows_that_cannot_be_read_are_refused(text: str) -> None:
    """A window that is none is an error, not a night without checks."""
    with pytest.raises(ValueError, match=r"window|time of day"):
        Window.parse(text)
