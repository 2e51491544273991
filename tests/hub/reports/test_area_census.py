"""What the census of an area reads from the store: decisions month by month, neighbourhood groups."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub_world import ANNA, OTHER_WARD, WARD, World, assessment, run, world
from sqlalchemy import insert

from hub.reports.area.census import Census, take
from hub.store import tables

NewUrl = Callable[[], str]
AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


async def judged(room: World, camera_id: str, *told: tuple[str, datetime]) -> None:
    """Store assessments of a camera with a decision and a moment."""
    async with room.store.write() as tx:
        for number, (decision, at) in enumerate(told):
            new = assessment(decision)
            await tx.execute(
                insert(tables.assessments).values(
                    id=f"{camera_id[:30]}{number:06}", camera_id=camera_id, standard=new.standard,
                    standard_version="1", decision=decision, as_of=at, counts={}, report={}, observations={},
                )
            )  # fmt: skip


async def census(room: World, area: str = WARD) -> Census:
    """Return the census of an area at the tests' moment."""
    async with room.store.read() as tx:
        return await take(tx, area, as_of=AT, since=AT - timedelta(days=30), holds_s=900)


def test_an_assessment_holds_until_the_next_one(tmp_path: Path) -> None:
    """A month counts each camera once, by its newest decision at the month's end, also one from long before."""

    async def work() -> None:
        async with world(f"sqlite:///{tmp_path}/hub.db", tmp_path) as room:
            old, often, elsewhere = (
                await room.camera("A"), await room.camera("B"), await room.camera("C", area=OTHER_WARD)
            )  # fmt: skip
            await judged(room, old.id, ("REJECTED", datetime(2020, 1, 5, tzinfo=UTC)))
            await judged(
                room,
                often.id,
                ("PENDING", datetime(2026, 9, 1, tzinfo=UTC)),
                ("REJECTED", datetime(2026, 9, 30, 23, 59, 59, 999999, tzinfo=UTC)),
                ("ADMITTED", datetime(2026, 11, 2, tzinfo=UTC)),
                ("PENDING", AT + timedelta(hours=1)),  # not yet so at that moment
            )
            await judged(room, elsewhere.id, ("ADMITTED", AT))
            trend = dict((await census(room)).trend)
            assert next(iter(trend)) == "2025-12"
            assert list(trend)[-1] == "2026-11"
            assert (trend["2026-08"]["REJECTED"], sum(trend["2026-08"].values())) == (1, 1)
            assert (trend["2026-09"]["REJECTED"], trend["2026-09"]["PENDING"]) == (2, 0)
            assert trend["2026-10"]["REJECTED"] == 2
            assert (trend["2026-11"]["ADMITTED"], trend["2026-11"]["REJECTED"]) == (1, 1)
            assert [sum(trend[f"2026-{month:02}"].values()) for month in range(8, 12)] == [1, 2, 2, 2]

    run(work())


def test_what_the_driver_gives_means_the_same_everywhere(new_url: NewUrl, tmp_path: Path) -> None:
    """Days, months, up-time and when anything was measured last, on SQLite and on PostgreSQL, to the millisecond."""
    last = AT - timedelta(seconds=5, milliseconds=7)

    async def work() -> None:
        async with world(new_url(), tmp_path) as room:
            one = await room.camera("A")
            at = datetime(2026, 9, 30, 23, 59, tzinfo=UTC)
            await judged(room, one.id, ("REJECTED", at), ("ADMITTED", AT - timedelta(days=3)))
            begins = int((AT - timedelta(days=30)).timestamp())
            async with room.store.write() as tx:
                row = {"camera_id": one.id, "state": "fault", "since": AT, "measured_at": last}
                await tx.execute(insert(tables.health).values(row))
                for second, state in ((begins - 60, 1), (begins + 86_400, 3)):
                    change = {"camera_id": one.id, "at": second, "state": state}
                    await tx.execute(insert(tables.health_changes).values(change))
            found = await census(room)
            spent = found.uptime
            assert (spent.known, spent.dead, spent.longest_outage_s) == (1, 1, 29 * 86_400)
            assert spent.median == spent.mean == 1 / 30
            assert [(month, told["REJECTED"], told["ADMITTED"]) for month, told in found.trend] == [
                ("2026-09", 1, 0), ("2026-10", 1, 0), ("2026-11", 0, 1),
            ]  # fmt: skip
            assert found.measured_at == last
            (entry,) = found.entries
            assert entry.enrolled == one.enrolled_at.isoformat()[:10]
            assert entry.recent is (one.enrolled_at >= found.since)

    run(work())


def test_months_before_the_first_assessment_are_left_out(tmp_path: Path) -> None:
    """A ward that began in October has no empty columns before it."""

    async def work() -> None:
        async with world(f"sqlite:///{tmp_path}/hub.db", tmp_path) as room:
            one = await room.camera("A")
            await judged(room, one.id, ("PENDING", datetime(2026, 10, 31, 23, 0, tzinfo=UTC)))
            assert [month for month, _ in (await census(room)).trend] == ["2026-10", "2026-11"]
            await room.catalog.record_assessment(one.id, assessment("ADMITTED"), ANNA)
            assert (await census(room)).trend[-1][1]["ADMITTED"] == 1

    run(work())
