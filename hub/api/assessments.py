"""Assessments: over time, side by side, as files, and as they would be under another standard."""

import asyncio
from itertools import pairwise
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.access.rights import CAMERAS_READ
from hub.api.cameras import Limit, visible
from hub.api.language import language_of
from hub.api.live import IncidentNumber, Purpose
from hub.api.present import assessment_json, assessment_line, report_document, still_now
from hub.api.schemas import CameraTrial
from hub.api.security import Caller, SignedInCaller, needs, signed_in
from hub.api.services import Services, ServiceSet
from hub.catalog.folding import fold
from hub.catalog.types import Camera, StoredAssessment
from hub.compliance.rescore import Rescored
from hub.onboarding.declared import consent_gate, new_assessment
from hub.problems import Problem
from hub.reports.compare import changes, compared
from hub.reports.document import document
from hub.reports.formats import MEDIA_TYPES, SUFFIXES, FormatNotAvailable, render_bytes
from hub.store.errors import Invalid, ServiceError
from standards.observation import rfc3339

MOST = 1000  # assessments of one camera that its list reaches back to
WITH_CHANGES = 20  # of one page, when each is to say what changed: two whole reports are read for each
WITH_STILL = frozenset({"html", "pdf"})  # forms that can carry a picture
READ_IN_PLACE = frozenset({"html", "pdf", "text"})  # the others are files for a program
NAME = 60  # characters of a camera's name in a file's name


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
    async def of_camera(
        self,
        *,
        camera_id: FromPath[str],
        caller: Caller,
        services: Services,
        changed: Annotated[bool, QueryParameter(description="with what turned since the one before")] = False,
        cursor: Annotated[str, QueryParameter(max_length=64)] = "",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Return the assessments of one camera, newest first; with `changed` at most 20 of a page."""
        await visible(camera_id, caller, services)
        found = await services.catalog.assessments(camera_id, MOST)
        start = _after(found, cursor)
        size = min(limit, WITH_CHANGES) if changed else limit
        page = found[start : start + size]
        items = [assessment_line(one) for one in page]
        if changed:
            reach = found[start : start + size + 1]
            whole = [await services.catalog.assessment(one.id) for one in reach]
            for item, (newer, older) in zip(items, pairwise(whole), strict=False):
                item["changes"] = {
                    "against": older.id,
                    "decision": older.decision,
                    **changes(older.report, newer.report),
                }
        more = start + size < len(found)
        return {"items": items, "next": page[-1].id if more and page else None, "total": len(found)}

    @post(
        "/cameras/{camera_id:str}/what-if",
        status_code=200,
        opt={"no_idempotency": True},
        summary="What another standard would say",
        operation_id="what_if",
    )
    async def what_if(
        self, camera_id: FromPath[str], data: JSONBody[CameraTrial], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Judge what is stored of a camera by another standard or other limits. The camera is not asked, nothing is kept."""
        camera = await visible(camera_id, caller, services)
        trial = await services.trials.one(camera.id, data.standard, data.set)
        knows = services.presenter.works_on(caller.principal, camera)
        before, after = _as_stored(trial.now, services), _as_stored(trial.then, services)
        return {
            "trial": True,
            "observed_at": rfc3339(trial.now.stored.as_of),
            "before": assessment_line(before),
            "after": assessment_line(after),
            **compared(before.report, after.report),
            "assessment": assessment_json(after, knows=knows),
        }

    @get("/assessments/{assessment_id:str}", summary="One assessment", operation_id="get_assessment")
    async def one(self, assessment_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return a whole assessment."""
        found, camera = await self._visible(assessment_id, caller, services)
        return assessment_json(found, knows=services.presenter.works_on(caller.principal, camera))

    @get(
        "/assessments/{assessment_id:str}/compare/{other_id:str}",
        summary="Two assessments side by side",
        operation_id="compare_assessments",
    )
    async def compare(
        self, assessment_id: FromPath[str], other_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Return every rule of two assessments of one camera, those that turned first. The older is `before`."""
        first, camera = await self._visible(assessment_id, caller, services)
        second, other = await self._visible(other_id, caller, services)
        if camera.id != other.id:
            raise Problem(
                "not_found", {"what": {"vi": "báo cáo của camera này", "en": "assessment of this camera"}}
            )
        before, after = sorted((first, second), key=lambda one: (one.as_of, one.id))
        return {
            "before": assessment_line(before),
            "after": assessment_line(after),
            **compared(before.report, after.report),
        }

    @get("/assessments/{assessment_id:str}/report", summary="A report", operation_id="get_report")
    async def report(
        self,
        *,
        request: Request[Any, Any, Any],
        assessment_id: FromPath[str],
        caller: Caller,
        services: Services,
        form: Annotated[str, QueryParameter(name="format", max_length=20)] = "html",
        still: Annotated[bool, QueryParameter(description="with a still taken now: html and pdf")] = False,
        purpose: Purpose = "public_safety",
        incident: IncidentNumber = "",
    ) -> Response[bytes]:
        """Return the report as html, pdf, json, text, csv, xlsx, sarif, junit or oscal; 304 where the reader has it.

        With `still` a picture taken now is put in: a view like any other, refused like any other, and kept nowhere.
        """
        found, camera = await self._visible(assessment_id, caller, services)
        knows = services.presenter.works_on(caller.principal, camera)
        language = language_of(request)
        if form not in MEDIA_TYPES:
            error = FormatNotAvailable(form)
            params = {"format": error.format[:20], "available": ", ".join(error.known)}
            raise Problem("format_not_available", params, field="format") from error
        name = _file_name(camera, found, form, language)
        if still:
            if form not in WITH_STILL:
                known = {"format": form, "available": ", ".join(sorted(WITH_STILL))}
                raise Problem("format_not_available", known, field="still")
            taken = await services.stills.fetch(
                caller.principal, camera.id, purpose=purpose, incident=incident or None
            )
            shown = {**report_document(found, knows=knows), "still": still_now(taken)}
            return Response(
                await asyncio.to_thread(render_bytes, shown, form, language),
                media_type=MEDIA_TYPES[form].partition(";")[0],
                headers={
                    "cache-control": "no-store",
                    "content-language": language,
                    "content-disposition": f'inline; filename="{name}"',
                },
            )
        # a stored report never changes; how it is written may, with the program
        tag = f'"{found.id}-{form}-{language}-{"full" if knows else "plain"}-{services.version}"'
        headers = {
            "etag": tag,
            "cache-control": "private, no-cache",
            "vary": "accept-language, cookie, authorization",
            "content-language": language,
        }
        if tag in [one.strip() for one in request.headers.get("if-none-match", "")[:1000].split(",")]:
            return Response(b"", status_code=304, headers=headers)
        told = render_bytes(report_document(found, knows=knows), form, language)
        where = "inline" if form in READ_IN_PLACE else "attachment"
        headers["content-disposition"] = f'{where}; filename="{name}"'
        return Response(told, media_type=MEDIA_TYPES[form].partition(";")[0], headers=headers)

    @staticmethod
    async def _visible(
        assessment_id: str, caller: SignedInCaller, services: ServiceSet
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


def _after(found: tuple[StoredAssessment, ...], cursor: str) -> int:
    """Return where a page begins.

    Raises:
        Invalid: `bad_cursor`: no assessment of this camera has this id (any more).
    """
    if not cursor:
        return 0
    for place, one in enumerate(found):
        if one.id == cursor:
            return place + 1
    raise Invalid("cursor", "begin again without a cursor", code="bad_cursor")


def _as_stored(judged: Rescored, services: ServiceSet) -> StoredAssessment:
    """Return a trial in the form in which assessments are kept, after the gate of consent, without keeping it."""
    camera, assessment = judged.camera, judged.assessment
    gate = consent_gate(camera.custodian.kind, camera.consent, assessment.as_of, services.texts)
    told = document(assessment, judged.observations, target=camera.name)
    kept = new_assessment(told, assessment, {}, gate, services.texts)
    return StoredAssessment(
        id="",
        camera_id=camera.id,
        standard=kept.standard,
        standard_version=kept.standard_version,
        decision=kept.decision,
        as_of=kept.as_of,
        counts=kept.counts,
        report=kept.report,
    )


def _file_name(camera: Camera, found: StoredAssessment, form: str, language: str) -> str:
    """Return a name that tells files of many cameras apart, of plain letters for every system."""
    letters = "".join(char if char.isascii() and char.isalnum() else "-" for char in fold(camera.name))
    name = "-".join(part for part in letters.split("-") if part)[:NAME].strip("-") or camera.id[:8]
    return f"camhub-{name}-{found.standard}-{found.as_of:%Y%m%d-%H%M}-{language}{SUFFIXES[form]}"
