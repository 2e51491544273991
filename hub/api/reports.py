"""Reports of areas, their files and signatures; judging all cameras again; the hub's public keys."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import Field

from hub.access.rights import REPORTS_READ, STANDARDS_APPROVE
from hub.api.language import language_of
from hub.api.schemas import Body
from hub.api.security import Caller, SignedInCaller, needs, signed_in
from hub.api.services import Services, ServiceSet
from hub.catalog.types import Scope
from hub.problems import Problem
from hub.reports.area.forms import FORMS, file_name
from hub.reports.area.jobs import ReportJob
from hub.reports.area.service import AreaReport
from hub.reports.formats import MEDIA_TYPES, FormatNotAvailable
from hub.reports.signing import SUFFIX
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError

Area = Annotated[str, Field(min_length=1, max_length=16)]


class ReportBody(Body):
    """Which report to make."""

    area: Area
    kind: Annotated[str, Field(pattern="^(area|yearly)$")] = "area"
    year: Annotated[int, Field(ge=2020, le=2200)] | None = None


class ReassessBody(Body):
    """What to judge again: everything by its own standard, or by another one, everywhere or in one area."""

    standard: Annotated[str, Field(max_length=64)] = ""
    area: Annotated[str, Field(max_length=16)] = ""


class ReportsController(Controller):
    """Reports of wards and provinces."""

    path = "/reports"
    tags = ("reports",)
    guards = (signed_in, needs(REPORTS_READ))

    @get("/", summary="List area reports", operation_id="list_area_reports")
    async def all(
        self, caller: Caller, services: Services, area: Annotated[str, QueryParameter(max_length=16)] = ""
    ) -> dict[str, Any]:
        """Return the reports of the areas that this person may see, newest first."""
        found = await services.area_reports.page(_scope(caller), area=area)
        return {"items": [_told(one) for one in found], "next": None, "total": len(found)}

    @post("/", summary="Make an area report", operation_id="make_area_report", status_code=202)
    async def make(
        self, data: JSONBody[ReportBody], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Begin to count an area; the job tells how far it is, and its report once it is kept."""
        await _may_see(data.area, caller, services)
        actor = caller.principal.actor()
        job = services.report_jobs.start(data.area, actor, kind=data.kind, year=data.year)
        return Response(
            {"job": _told_job(job)}, status_code=202, headers={"location": f"/api/v1/reports/jobs/{job.id}"}
        )

    @get("/jobs/{job_id:str}", summary="Progress of an area report", operation_id="get_area_report_job")
    async def job(self, job_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return how far a report is: `done` of `total` steps, and `report` where it is kept."""
        return {"job": _told_job(await _job(job_id, caller, services))}

    @delete(
        "/jobs/{job_id:str}",
        summary="Cancel an area report",
        operation_id="cancel_area_report",
        status_code=200,
    )
    async def cancel(self, job_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """End a report that is being made; nothing of it is kept. One that is kept already stays."""
        job = await _job(job_id, caller, services)
        await services.report_jobs.cancel(job)
        return {"job": _told_job(job)}

    @get("/{report_id:str}", summary="One area report", operation_id="get_area_report")
    async def one(self, report_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return the report's document without the list of cameras, for pages."""
        report, document = await services.area_reports.get(report_id, _scope(caller))
        return {
            **_told(report),
            "document": {name: value for name, value in document.items() if name != "list"},
        }

    @get("/{report_id:str}/file", summary="A file of an area report", operation_id="get_area_report_file")
    async def file(
        self,
        request: Request[Any, Any, Any],
        report_id: FromPath[str],
        caller: Caller,
        services: Services,
        form: Annotated[str, QueryParameter(name="format", max_length=20)] = "pdf",
        *,
        signature: Annotated[bool, QueryParameter()] = False,
    ) -> Response[bytes]:
        """Return the report as pdf, html, json, csv (the annex) or xlsx; with ``signature=true`` the signature of that file."""
        _, document = await services.area_reports.get(report_id, _scope(caller))
        language = language_of(request)
        try:
            data = await services.area_reports.rendered(report_id, document, form, language)
        except FormatNotAvailable as error:
            params = {"format": error.format[:20], "available": ", ".join(error.known)}
            raise Problem("format_not_available", params, field="format") from error
        digest, name = hashlib.sha256(data).hexdigest(), file_name(document, form)
        media = MEDIA_TYPES[form].partition(";")[0]
        if signature:
            data, name, media = (
                services.area_reports.signature(document, form, data),
                name + SUFFIX,
                "application/json",
            )
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        headers = {
            "etag": tag,
            "cache-control": "private, no-cache",
            "content-disposition": f'attachment; filename="{name}"',
            "content-language": language,
            "x-report-sha256": digest,
        }
        if request.headers.get("if-none-match") == tag:
            return Response(b"", status_code=304, headers=headers)
        return Response(data, media_type=media, headers=headers)


class ReassessmentsController(Controller):
    """Judging all cameras again after a rule change, without a packet."""

    path = "/reassessments"
    tags = ("reports",)
    guards = (signed_in, needs(STANDARDS_APPROVE))

    @get("/current", summary="Progress of judging again", operation_id="get_reassessment")
    async def current(self, services: Services) -> dict[str, Any]:
        """Return the run that goes on, else the last one; `run` is null where there never was one."""
        return {"run": await services.reassessments.last()}

    @delete("/current", summary="Stop judging again", operation_id="stop_reassessment", status_code=200)
    async def stop(self, caller: Caller, services: Services) -> dict[str, Any]:
        """Let the run that goes on end after its batch. What it has written stays; another run does the rest."""
        run = services.reassessments.current
        if run is not None and not _scope(caller).everywhere:
            if not run.area:
                raise Problem("forbidden", {"right": STANDARDS_APPROVE})
            await _may_see(run.area, caller, services)
        services.reassessments.stop()
        return {"run": await services.reassessments.last()}

    @post("/", summary="Judge all cameras again", operation_id="start_reassessment", status_code=202)
    async def start(self, data: JSONBody[ReassessBody], caller: Caller, services: Services) -> dict[str, Any]:
        """Begin a run in the background; `current` tells how far it is."""
        scope = _scope(caller)
        if not scope.everywhere:
            if not data.area:
                raise Problem("forbidden", {"right": STANDARDS_APPROVE})
            await _may_see(data.area, caller, services)
        try:
            run = services.reassessments.start(
                caller.principal.actor(), standard=data.standard, area=data.area
            )
        except Invalid:
            raise
        except ServiceError as error:
            raise Problem("conflict", {"what": error.detail}) from error
        return {"run": run.as_json()}


@get("/.well-known/hub", tags=["reports"], summary="This hub's public keys", operation_id="get_hub_keys")
async def well_known_hub(services: Services) -> Mapping[str, Any]:
    """Return who this hub is and the public keys by which its reports are checked."""
    return {
        "hub": await services.store.hub_id(),
        "name": services.settings.name,
        "version": services.version,
        "report_keys": services.area_reports.keys.as_json(),
    }


def _told(report: AreaReport) -> dict[str, Any]:
    """Return a report as lists show it; who made it is told as a role, not as a name."""
    told = report.as_json()
    actor = Actor.from_json(told.pop("by"))
    base = f"/api/v1/reports/{report.id}/file"
    return {
        **told,
        "by_role": actor.role or actor.kind,
        "files": {form: f"{base}?format={form}" for form in FORMS},
    }


def _told_job(job: ReportJob) -> dict[str, Any]:
    return {**job.as_json(), "report": _told(job.report) if job.report is not None else None}


async def _job(job_id: str, caller: SignedInCaller, services: ServiceSet) -> ReportJob:
    """Return a job of an area that this person may see; any other one is not there."""
    job = services.report_jobs.find(job_id)
    if job is None:
        raise Problem("not_found", {"what": {"vi": "việc lập báo cáo", "en": "report that is being made"}})
    await _may_see(job.area, caller, services)
    return job


def _scope(caller: SignedInCaller) -> Scope:
    return caller.principal.scope()


async def _may_see(area: str, caller: SignedInCaller, services: ServiceSet) -> None:
    """Refuse an area that is not there, or not this person's, alike."""
    scope, found = _scope(caller), await services.areas.get(area)
    if found is None or not (scope.everywhere or set(scope.areas) & set(found.path)):
        raise Problem("not_found", {"what": {"vi": "khu vực", "en": "area"}})
