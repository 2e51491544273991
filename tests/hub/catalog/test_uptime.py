"""Up-time out of changes: known time and unknown time apart, bounded, by day; the log grows with changes, not questions."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hub_world import START, World, run, world
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from hub.catalog.schedule import VIETNAM
from hub.catalog.uptime import ALIVE, CODES, days, known_until, outages, settled, share, total
from hub.store import tables

codes = st.sampled_from(sorted(CODES.values()))
logs = st.lists(st.tuples(st.integers(0, 10_000), codes), unique_by=lambda one: one[0], max_size=30).map(
    sorted
)
FAULT = CODES["fault"]


@settings(deadline=None)
@given(log=logs, since=st.integers(-100, 10_000), length=st.integers(0, 12_000), cut=st.integers(0, 12_000))
def test_shares_are_bounded_and_add_up(log: list[tuple[int, int]], since: int, length: int, cut: int) -> None:
    """Up, down and unknown fill the span; two parts of a span add up to it; the ratio lies between 0 and 1."""
    until, middle = since + length, since + min(cut, length)
    whole = share(log, since, until)
    assert whole.up + whole.down + whole.unknown == length
    assert min(whole.up, whole.down, whole.unknown) >= 0
    assert whole.ratio is None or 0 <= whole.ratio <= 1
    first, second = share(log, since, middle), share(log, middle, until)
    assert (first.up + second.up, first.down + second.down) == (whole.up, whole.down)


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 2000), st.sampled_from([1, 2, 3, 4])), min_size=1, max_size=40)
)
def test_log_of_measurements_never_claims_more_than_was_measured(steps: list[tuple[int, int]]) -> None:
    """Each measurement speaks for at most 900 s: known time is no longer than that per measurement."""
    log: list[tuple[int, int]] = []
    at, until = 1_000, None
    for wait, code in steps:
        at += wait
        log += settled(log[-1] if log else None, until, at, code, 900)
        until = at
    now = at + 5_000
    spent = share(known_until(log, until, now, 900), 0, now)
    assert spent.known <= 900 * len(steps)
    assert [one[0] for one in log] == sorted({one[0] for one in log})
    assert all(one[1] != next_one[1] for one, next_one in pairwise(log))


@settings(deadline=None)
@given(
    log=logs,
    since=st.integers(-100, 10_000),
    length=st.integers(1, 12_000),
    measured=st.none() | st.integers(0, 12_000),
)
def test_a_total_says_what_share_and_outages_say(
    log: list[tuple[int, int]], since: int, length: int, measured: int | None
) -> None:
    """One pass over a log, as reports of areas make it, gives the same seconds as the functions that explain it."""
    until = since + length
    told = [one for one in log if one[0] < until]
    whole = known_until(told, measured, until, 900)
    spent, down = share(whole, since, until), outages(whole, since, until)
    found = total([("camera", *one) for one in told], measured, since, until, 900)
    assert (found.up, found.down) == (spent.up, spent.down)
    assert found.longest == max(((one.until or until) - one.since for one in down), default=0)
    assert found.lasting == (until - down[0].since if down and down[0].until is None else 0)


def test_outages_are_told_newest_first_and_joined() -> None:
    """Fault after unreachable is one outage; the one that lasts has no end."""
    log = [(0, ALIVE), (100, 3), (150, 4), (200, ALIVE), (300, 3)]
    found = outages(log, 0, 400)
    assert [(one.since, one.until) for one in found] == [(300, None), (100, 200)]


def test_days_are_those_of_the_time_zone() -> None:
    """A day begins at midnight in Vietnam, 17:00 UTC the day before."""
    begins = int((START - timedelta(hours=10)).timestamp())  # midnight of 21 November in Vietnam
    told = days([(begins, ALIVE)], START.date() - timedelta(days=1), START.date(), begins + 3600, VIETNAM)
    assert [(spent.up, spent.unknown) for _, spent in told] == [(0, 86_400), (3600, 0)]


@pytest.mark.long
def test_a_thousand_answers_are_one_row(sqlite_url: str, tmp_path_factory: object) -> None:
    """Answers that change nothing add no row; a silence of the hub is unknown; a fault is down."""

    async def measure(place: World) -> None:
        camera = await place.camera()
        for _ in range(1000):
            place.clock.turn(seconds=300)
            await place.catalog.set_health(camera.id, "alive", cause=None, measured_at=place.clock.now())
        async with place.store.read() as tx:
            rows = await tx.all(select(tables.health_changes))
        assert len(rows) == 1
        place.clock.turn(hours=10)  # the hub was off
        begins = place.clock.now()
        await place.catalog.set_health(camera.id, "fault", cause=None, measured_at=begins)
        place.clock.turn(seconds=600)
        log = await place.catalog.health_log(camera.id, place.clock.now() - timedelta(days=30))
        spent = share(
            log, int((begins - timedelta(hours=11)).timestamp()), int(place.clock.now().timestamp())
        )
        assert (spent.down, spent.unknown) == (600, 10 * 3600 - 900)

    async def go() -> None:
        from pathlib import Path
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            async with world(sqlite_url, Path(folder)) as place:
                await measure(place)

    run(go())
