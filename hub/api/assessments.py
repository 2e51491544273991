"""Assessments and their reports."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.params import FromPath, QueryParameter

from hub.access.rights import CAMERAS_READ
from hub.api.cameras import visible
from hub.api.language import language_of
from hub.api.present import assessment_json, assessment_line, report_document
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.catalog.types import Camera, StoredAssessment
from hub.problems import Problem
from hub.reports.formats import MEDIA_TYPES, SUFFIXES, FormatNotAvailable, render_bytes
from hub.store.errors import ServiceError


class AssessmentsController(Controller):
    """What was found, and the decision that followed."""

    path = "/"
    tags = ("assessments",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get(
        "/cameras/{camera_id:str}/assessments",
        summary="A camera's assessments",
        operation_id="list_assessments",
    )
    async def of_camera(self, camera_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return the assessments of one camera, newest first."""
        await visible(camera_id, caller, services)
        found = await services.catalog.assessments(camera_id)
        return {"items": [assessment_line(one) for one in found], "next": None, "total": len(found)}

    @get("/assessments/{assessment_id:str}", summary="One assessment", operation_id="get_assessment")
    async def one(self, assessment_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return a whole assessment."""
        found, camera = await self._visible(assessment_id, caller, services)
        return assessment_json(found, knows=services.presenter.works_on(caller.principal, camera))

    @get("/assessments/{assessment_id:str}/report", summary="A report", operation_id="get_report")
    async def report(
        self,
        request: Request[Any, Any, Any],
        assessment_id: FromPath[str],
        caller: Caller,
        services: Services,
        form: Annotated[str, QueryParameter(name="format", max_length=20)] = "html",
    ) -> Response[bytes]:
        """Return the report as html, pdf, json, text, csv, xlsx, sarif, junit or oscal."""
        found, camera = await self._visible(assessment_id, caller, services)
        document = report_document(found, knows=services.presenter.works_on(caller.principal, camera))
        language = language_of(request)
        try:
            told = render_bytes(document, form, language)
        except FormatNotAvailable as error:
            params = {"format": error.format[:20], "available": ", ".join(error.known)}
            raise Problem("format_not_available", params, field="format") from error
        name = f"camhub-{found.camera_id[:8]}-{found.as_of:%Y%m%d}{SUFFIXES[form]}"
        return Response(
            told,
            media_type=MEDIA_TYPES[form].partition(";")[0],
            headers={"content-disposition": f'inline; filename="{name}"', "content-language": language},
        )

    @staticmethod
    async def _visible(
        assessment_id: str, caller: Caller, services: Services
    ) -> tuple[StoredAssessment, Camera]:
        unknown = Problem("not_found", {"what": {"vi": "báo cáo", "en": "assessment"}})
        try:
            found = await services.catalog.assessment(assessment_id)
        except ServiceError as error:
            raise unknown from error
        try:
            return found, await visible(found.camera_id, caller, services)
        except Problem as error:
            raise unknown from error
