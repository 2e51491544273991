"""Area reports in the background: one after another, told step by step, cancelled without a trace."""

import asyncio
from pathlib import Path

import pytest
from hub_world import ANNA, OTHER_WARD, WARD, World, run, world
from sqlalchemy import func, select

from adapters.clock import SystemClock
from hub.catalog.types import Scope
from hub.reports.area.jobs import MOST_OPEN, ReportJob, ReportJobs
from hub.reports.area.service import STEPS, AreaReports
from hub.reports.signing import SigningKeys
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError

BINH = Actor("user", id="binh", role="operator")


def jobs_of(room: World, folder: Path) -> tuple[AreaReports, ReportJobs]:
    """Return the reports of a store, and who makes them."""
    reports = AreaReports(room.store, SystemClock(), SigningKeys.open(folder / "signing"), name="Nút")
    return reports, ReportJobs(reports, SystemClock())


async def until(job: ReportJob, *, step: str = "", state: str = "") -> None:
    """Wait until a job is there."""
    async with asyncio.timeout(120):
        while (step and job.step != step) or (state and job.state != state):
            await asyncio.sleep(0.005)


def test_a_cancelled_report_leaves_nothing(tmp_path: Path) -> None:
    """Cancelled before it is kept, neither the report nor a record of it is there; the one that waits behind goes on."""

    async def work() -> None:
        async with world(f"sqlite:///{tmp_path}/hub.db", tmp_path) as room:
            await room.camera("A")
            await room.store.hub_id()
            reports, jobs = jobs_of(room, tmp_path)
            async with room.store.write():  # keeps every other writer waiting
                job = jobs.start(WARD, ANNA)
                await until(job, step="keeping")
                assert job.as_json() | {"state": "running", "done": len(STEPS) - 1} == job.as_json()
                assert jobs.start(WARD, ANNA) is job
                other = jobs.start(OTHER_WARD, BINH)
                await jobs.cancel(job)
                assert (job.state, job.report) == ("cancelled", None)
            await until(other, state="done")
            assert [one.area for one in await reports.page(Scope.everything())] == [OTHER_WARD]
            async with room.store.read() as tx:
                made = select(func.count()).where(tables.audit.c.kind == "report.made")
                assert await tx.scalar(made) == 1
            again = jobs.start(WARD, ANNA)
            assert again is not job
            await until(again, state="done")
            assert again.report is not None
            assert again.report.cameras == 1
            assert jobs.find(job.id) is job
            await jobs.aclose()

    run(work())


def test_what_breaks_a_report_is_told_and_the_next_one_works(tmp_path: Path) -> None:
    """An area that went away fails its job with a code; kinds that there are none of are refused before any job."""

    async def work() -> None:
        async with world(f"sqlite:///{tmp_path}/hub.db", tmp_path) as room:
            _, jobs = jobs_of(room, tmp_path)
            lost = jobs.start("00000", ANNA)
            await until(lost, state="failed")
            assert lost.as_json() | {"failure": "not_found", "done": 0} == lost.as_json()
            with pytest.raises(Invalid):
                jobs.start(WARD, ANNA, kind="daily")
            await until(jobs.start(WARD, ANNA), state="done")
            await jobs.aclose()

    run(work())


def test_no_more_jobs_are_open_than_can_be_followed(tmp_path: Path) -> None:
    """Beyond the bound a report is refused, and closing the hub ends those that wait."""

    async def work() -> None:
        async with world(f"sqlite:///{tmp_path}/hub.db", tmp_path) as room:
            await room.store.hub_id()
            _, jobs = jobs_of(room, tmp_path)
            async with room.store.write():
                many = [jobs.start(WARD, Actor("user", id=f"u{n}")) for n in range(MOST_OPEN)]
                with pytest.raises(ServiceError) as refused:
                    jobs.start(WARD, ANNA)
                assert refused.value.code == "reports_busy"
                await jobs.aclose()
            assert {job.state for job in many} == {"cancelled"}

    run(work())
