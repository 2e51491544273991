"""Making area reports in the background: a report of a province takes seconds, and nobody should wait for a page.

One report is counted at a time, in the order in which they were asked for. A job lives in memory: what it makes is
written in one transaction at its end, so that a hub that stops, or a person who cancels, leaves nothing half-made.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import structlog

from adapters.clock import Clock
from hub.reports.area.service import STEPS, AreaReport, AreaReports
from hub.store.chain import Actor
from hub.store.errors import ServiceError
from hub.store.store import new_id
from standards.observation import rfc3339

_log = structlog.get_logger("reports")
MOST_OPEN = 20  # jobs that wait or run; more are refused
REMEMBERED = 50  # jobs that ended, for those who look again
State = Literal["waiting", "running", "done", "cancelled", "failed"]
_OPEN = ("waiting", "running")


@dataclass
class ReportJob:
    """One report that is being made."""

    id: str
    area: str
    kind: str
    year: int | None
    actor: Actor
    asked_at: datetime
    state: State = "waiting"
    step: str = ""
    report: AreaReport | None = None
    failure: str = ""  # code of a problem, "internal" for a bug
    ended_at: datetime | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def open(self) -> bool:
        """Tell whether it waits or runs."""
        return self.state in _OPEN

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON: how far it is, in steps."""
        done = len(STEPS) if self.state == "done" else STEPS.index(self.step) if self.step else 0
        return {
            "id": self.id,
            "area": self.area,
            "kind": self.kind,
            "state": self.state,
            "step": self.step or None,
            "done": done,
            "total": len(STEPS),
            "failure": self.failure or None,
            "asked_at": rfc3339(self.asked_at),
            "ended_at": rfc3339(self.ended_at) if self.ended_at else None,
        }


class ReportJobs:
    """Makes area reports, one after another."""

    def __init__(self, reports: AreaReports, clock: Clock) -> None:
        self._reports = reports
        self._clock = clock
        self._jobs: dict[str, ReportJob] = {}

    def start(self, area: str, actor: Actor, *, kind: str = "area", year: int | None = None) -> ReportJob:
        """Begin one; the same one, asked for again by the same person while it is open, is that job.

        Raises:
            Invalid: `kind` or `year`.
            ServiceError: `reports_busy`: too many are open.
        """
        self._reports.refuse(kind, year)
        waiting = [job for job in self._jobs.values() if job.open]
        for job in waiting:
            if (job.area, job.kind, job.year, job.actor) == (area, kind, year, actor):
                return job
        if len(waiting) >= MOST_OPEN:
            raise ServiceError("reports_busy", f"{len(waiting)} reports are being made already")
        job = ReportJob(new_id(), area, kind, year, actor, self._clock.now())
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._make(job), name=f"report {job.id}")
        return job

    def find(self, job_id: str) -> ReportJob | None:
        """Return one job, or None where there is none or it ended long ago."""
        return self._jobs.get(job_id)

    async def cancel(self, job: ReportJob) -> None:
        """End a job that is open; nothing of it is kept. One that ended stays as it is."""
        if job.task is not None and job.open:
            job.task.cancel()
            await asyncio.gather(job.task, return_exceptions=True)

    async def aclose(self) -> None:
        """End all jobs."""
        await asyncio.gather(*(self.cancel(job) for job in list(self._jobs.values())))

    async def _make(self, job: ReportJob) -> None:
        def step(name: str) -> None:
            job.state, job.step = "running", name

        try:
            job.report = await self._reports.make(
                job.area, job.actor, kind=job.kind, year=job.year, progress=step
            )
            job.state = "done"
        except asyncio.CancelledError:
            job.state = "cancelled"
        except ServiceError as error:
            job.state, job.failure = "failed", error.code
        except Exception:  # noqa: BLE001  whatever broke a job is told where it is watched
            job.state, job.failure = "failed", "internal"
            _log.exception("reports.job_failed", area=job.area, kind=job.kind)
        finally:
            job.ended_at = self._clock.now()
            self._forget()

    def _forget(self) -> None:
        ended = [job for job in self._jobs.values() if not job.open]
        for job in ended[: max(0, len(ended) - REMEMBERED)]:
            del self._jobs[job.id]
