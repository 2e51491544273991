"""Cameras: list, counts, one, register, change, remove, pause, who watched."""

import contextlib
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from adapters.secret import Credential
from adapters.target import parse_target
from adapters.wire.gate import device_key
from hub.access.rights import (
    CAMERAS_DELETE,
    CAMERAS_READ,
    CAMERAS_WRITE,
    CONSENTS_WRITE,
    PEOPLE_READ,
    has_right,
    may_change_entry,
    may_pause,
    may_read_views,
    may_record_consent,
    may_see_entry,
)
from hub.api.forms import check_place, credential_of, custodian_of, etag, if_match, origin_of, position_of
from hub.api.schemas import CameraCreate, CameraPatch, CustodianInput, PauseBody, PortsBody
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.catalog import types
from hub.catalog.types import UNCHANGED, Box, Camera, CameraQuery, Near, NewCamera
from hub.problems import FieldProblem, Problem
from hub.store.errors import ServiceError

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="entries per page")]
Text = Annotated[str, QueryParameter(max_length=200)]


async def visible(camera_id: str, caller: Caller, services: Services) -> Camera:
    """Return a camera whose entry this person may see.

    Raises:
        Problem: ``not_found``, also where it exists but is none of theirs to know.
    """
    camera = await services.catalog.find(camera_id) if len(camera_id) <= 64 else None
    if camera is None or not may_see_entry(caller.principal, camera):
        raise Problem("not_found", {"what": {"vi": "camera", "en": "camera"}})
    return camera


def shown(camera: Camera, caller: Caller, services: Services) -> dict[str, Any]:
    """Return a `Camera` for this reader."""
    watching = services.viewers.watching(camera.id)
    return services.presenter.camera(camera, caller.principal, services.clock.now(), watching)


async def whole(camera: Camera, caller: Caller, services: Services) -> dict[str, Any]:
    """Return a `CameraDetail` for this reader."""
    assessment = None
    if camera.assessment_id is not None:
        try:
            assessment = await services.catalog.assessment(camera.assessment_id)
        except ServiceError:
            assessment = None  # removed between the two reads
    newest = await services.catalog.assessments(camera.id, 1)
    later = None  # a run that decided nothing: a vote of three is open
    if assessment is not None and newest and newest[0].id != assessment.id:
        with contextlib.suppress(ServiceError):
            later = (await services.catalog.assessment(newest[0].id)).report.get("series")
    target, _ = parse_target(camera.address)
    until = await services.devices.cooldown_until(device_key(target))
    return services.presenter.detail(
        camera,
        caller.principal,
        services.clock.now(),
        services.viewers.watching(camera.id),
        assessment=assessment,
        series=later,
        cooldown_until=until,
    )


def _numbers(text: str, count: int, field: str, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or any(number != number or abs(number) > 1e7 for number in numbers):  # noqa: PLR0124  NaN
        what = {"vi": f"phải có dạng {form}", "en": f"must have the form {form}"}
        raise Problem(
            "invalid_input",
            {"count": 1, "field": field, "what": what},
            field=field,
            errors=[FieldProblem(field, what["en"])],
        )
    return numbers


def query_of(
    caller: Caller,
    *,
    q: str,
    area: str,
    decision: str,
    health: str,
    sharing: str,
    custodian: str,
    standard: str = "",
    failing: str = "",
    group: str = "",
    near: str,
    bbox: str,
    cursor: str = "",
    limit: int = 100,
) -> CameraQuery:
    """Return the catalog query of one request, cut to what the caller may see."""
    around = Near(*_numbers(near, 3, "near", "lat,lon,m")) if near else None
    box = Box(*_numbers(bbox, 4, "bbox", "w,s,e,n")) if bbox else None
    return CameraQuery(
        scope=caller.principal.scope(),
        text=q,
        area=area,
        decision=decision,
        health=health,
        sharing=sharing,
        custodian_id=custodian,
        standard=standard,
        failing=failing,
        group=group,
        near=around,
        box=box,
        cursor=cursor,
        limit=limit,
    )


class CamerasController(Controller):
    """The catalog."""

    path = "/cameras"
    tags = ("cameras",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="List cameras", operation_id="list_cameras")
    async def all(
        self,
        *,
        caller: Caller,
        services: Services,
        q: Text = "",
        area: Text = "",
        decision: Text = "",
        health: Text = "",
        sharing: Text = "",
        custodian: Text = "",
        standard: Text = "",
        failing: Text = "",
        group: Text = "",
        near: Text = "",
        bbox: Text = "",
        cursor: Annotated[str, QueryParameter(max_length=500)] = "",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Return cameras by name; `q` ignores accents."""
        page = await services.catalog.list(
            query_of(
                caller,
                q=q,
                area=area,
                decision=decision,
                health=health,
                sharing=sharing,
                custodian=custodian,
                standard=standard,
                failing=failing,
                group=group,
                near=near,
                bbox=bbox,
                cursor=cursor,
                limit=limit,
            )
        )
        items = [shown(camera, caller, services) for camera in page.items]
        return {"items": items, "next": page.next, "total": page.total}

    @get("/counts", summary="Numbers", operation_id="count_cameras")
    async def counts(self, caller: Caller, services: Services) -> dict[str, Any]:
        """Return numbers by decision and health; each equals the list with that filter."""
        return await services.tabs.counts(caller.principal)

    @post("/", guards=[needs(CAMERAS_WRITE)], summary="Register without probing", operation_id="add_camera")
    async def add(
        self, data: JSONBody[CameraCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Register a camera as PENDING; nothing is sent to it."""
        area = data.area or services.settings.area or None
        await check_place(caller, services, area)
        body = data.custodian or CustodianInput(kind="authority", name=services.settings.name)
        custodian = await custodian_of(body, services)
        camera = await services.catalog.register(
            NewCamera(
                name=data.name,
                address=data.address,
                custodian=custodian,
                permission={},
                area=area,
                sub_address=data.sub_address or "",
                position=position_of(data.position),
                notes=data.notes,
                origin=origin_of(data.origin),
            ),
            caller.principal.actor(),
            credential=credential_of(data.username, data.password),
        )
        return Response(
            shown(camera, caller, services),
            status_code=201,
            headers={"location": f"/api/v1/cameras/{camera.id}", "etag": etag(camera.version)},
        )

    @get("/{camera_id:str}", summary="One camera", operation_id="get_camera")
    async def one(
        self, camera_id: FromPath[str], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Return one camera with its device, facts and last assessment."""
        camera = await visible(camera_id, caller, services)
        body = await whole(camera, caller, services)
        return Response(body, headers={"etag": etag(camera.version)})

    @patch("/{camera_id:str}", summary="Change a camera", operation_id="change_camera")
    async def change(
        self,
        request: AnyRequest,
        camera_id: FromPath[str],
        data: JSONBody[CameraPatch],
        caller: Caller,
        services: Services,
    ) -> Response[dict[str, Any]]:
        """Change what is given; what is absent stays. Another address takes the decision back until a re-check."""
        camera = await visible(camera_id, caller, services)
        if not may_change_entry(caller.principal, camera):
            raise Problem("forbidden", {"right": CAMERAS_WRITE})
        given = data.model_fields_set
        if "area" in given:
            await check_place(caller, services, data.area)
        credential: Any = UNCHANGED
        known: Credential | None = None
        if given & {"username", "password"}:
            known = await services.catalog.credential_for(camera_id)
            typed = credential_of(data.username, data.password)
            if typed is not None and known is not None and "username" not in given:
                typed = type(typed)(known.user, typed.password)
            elif typed is not None and known is not None and "password" not in given:
                typed = type(typed)(typed.user, known.password)
            credential = typed
        patched = types.CameraPatch(
            name=data.name if data.name is not None else UNCHANGED,
            area=data.area if "area" in given else UNCHANGED,
            position=position_of(data.position) if "position" in given else UNCHANGED,
            address=data.address if data.address is not None else UNCHANGED,
            sub_address=(data.sub_address or "") if "sub_address" in given else UNCHANGED,
            notes=data.notes if data.notes is not None else UNCHANGED,
            credential=credential,
            origin=origin_of(data.origin) if "origin" in given else UNCHANGED,
        )
        try:
            after = await services.catalog.update(
                camera_id, patched, caller.principal.actor(), if_version=if_match(request)
            )
        except ServiceError as error:
            if error.code != "changed_meanwhile":
                raise
            now = await visible(camera_id, caller, services)
            raise Problem(
                "changed_meanwhile",
                {"version": now.version},
                headers={"etag": etag(now.version)},
                current=await whole(now, caller, services),
            ) from error
        actor = caller.principal.actor()
        if after.address != camera.address:
            await services.onboarding.readdressed(camera_id, actor)
        if credential is not UNCHANGED and credential != known:
            target, _ = parse_target(after.address)
            with contextlib.suppress(Problem):  # too many passwords in a short time: the cool-down stays
                await services.onboarding.other_credential(device_key(target))
        after = await visible(camera_id, caller, services)
        return Response(await whole(after, caller, services), headers={"etag": etag(after.version)})

    @delete(
        "/{camera_id:str}",
        status_code=204,
        guards=[needs(CAMERAS_DELETE)],
        summary="Remove a camera",
        operation_id="remove_camera",
    )
    async def remove(self, camera_id: FromPath[str], caller: Caller, services: Services) -> None:
        """End its views, erase its credential; consents, receipts and audit stay."""
        await visible(camera_id, caller, services)
        await services.catalog.remove(camera_id, caller.principal.actor())
        await services.viewers.end_camera(camera_id, "removed")
        await services.encoders.end_of(camera_id, "removed")

    @post(
        "/{camera_id:str}/recheck",
        status_code=202,
        summary="Probe again",
        operation_id="recheck_camera",
    )
    async def recheck(
        self, camera_id: FromPath[str], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Probe an enrolled camera again with its stored credential."""
        camera = await visible(camera_id, caller, services)
        if not may_change_entry(caller.principal, camera):
            raise Problem("forbidden", {"right": CAMERAS_WRITE})
        entry = await services.onboarding.recheck(camera, caller.principal)
        where = f"/api/v1/onboardings/{entry.id}"
        return Response({"onboarding": entry.as_json(None)}, status_code=202, headers={"location": where})

    @put(
        "/{camera_id:str}/port-tests",
        status_code=204,
        summary="Allow tests of ports",
        operation_id="allow_ports",
    )
    async def port_tests(
        self, camera_id: FromPath[str], data: JSONBody[PortsBody], caller: Caller, services: Services
    ) -> None:
        """Record or take back the leave to try the named ports: by the owner, or at the desk in their name."""
        camera = await visible(camera_id, caller, services)
        if not may_record_consent(caller.principal, camera):
            raise Problem("forbidden", {"right": CONSENTS_WRITE})
        granted = (data.granted_by, data.basis) if data.granted_by and data.basis else None
        await services.catalog.allow_ports(
            camera_id, granted if data.allowed else None, caller.principal.actor()
        )

    @post("/{camera_id:str}/pause", status_code=200, summary="Pause sharing", operation_id="pause_camera")
    async def pause(
        self,
        camera_id: FromPath[str],
        caller: Caller,
        services: Services,
        data: JSONBody[PauseBody | None] = None,
    ) -> dict[str, Any]:
        """Stop all views now, until resumed or until a time."""
        camera = await self._mine(camera_id, caller, services)
        until = data.until if data is not None else None
        watching = services.viewers.watching(camera_id)
        after = await services.catalog.pause(camera.id, caller.principal.actor(), until=until)
        # the event of the pause ends them too; the reply is sent when none runs any more
        await services.viewers.end_camera(camera_id, "paused")
        await services.encoders.end_of(camera_id, "paused")
        return {"sharing": shown(after, caller, services)["sharing"], "ended_views": watching}

    @post("/{camera_id:str}/resume", status_code=200, summary="Resume sharing", operation_id="resume_camera")
    async def resume(self, camera_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """End a pause."""
        camera = await self._mine(camera_id, caller, services)
        after = await services.catalog.resume(camera.id, caller.principal.actor())
        return {"sharing": shown(after, caller, services)["sharing"], "ended_views": 0}

    @get("/{camera_id:str}/views", summary="Who watched", operation_id="list_views")
    async def views(
        self,
        camera_id: FromPath[str],
        caller: Caller,
        services: Services,
        cursor: Annotated[str, QueryParameter(max_length=500)] = "",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Return the receipts of one camera, newest first. Names are shown to inspectors and administrators."""
        camera = await visible(camera_id, caller, services)
        if not may_read_views(caller.principal, camera):
            raise Problem("forbidden", {"right": "views.read"})
        names = has_right(caller.principal, PEOPLE_READ)
        views, following, total = await services.receipts.page(camera_id, cursor, limit)
        if names and views:
            subject = f"camera/{camera_id}"
            await services.audit.append(
                "people.resolved", caller.principal.actor(), subject, {"views": len(views)}
            )
        items = [view.as_json(names=names) for view in views]
        return {"items": items, "next": following, "total": total}

    async def _mine(self, camera_id: str, caller: Caller, services: Services) -> Camera:
        camera = await visible(camera_id, caller, services)
        if not may_pause(caller.principal, camera):
            raise Problem("forbidden", {"right": "sharing.pause"})
        return camera


class CustodiansController(Controller):
    """Custodians, for the form that adds a camera."""

    path = "/custodians"
    tags = ("cameras",)
    guards = (signed_in, needs(CAMERAS_WRITE))

    @get("/", summary="List custodians", operation_id="list_custodians")
    async def all(self, services: Services) -> dict[str, Any]:
        """Return custodians, oldest first."""
        found = await services.catalog.custodians()
        items = [{"id": one.id, "kind": str(one.kind), "name": one.name or None} for one in found]
        return {"items": items, "next": None, "total": len(items)}
