"""What cameras noticed by themselves."""

from typing import Annotated, Any

from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.access.rights import CAMERAS_READ, CAMERAS_WRITE, acts_for_custodian, area_path, has_right
from hub.api.cameras import visible
from hub.api.present import moment
from hub.api.schemas import Body
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.catalog.types import EVENTS_OFF_AT, Camera, Kind
from hub.problems import Problem

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="entries per page")]
Text = Annotated[str, QueryParameter(max_length=200)]


class EventsBody(Body):
    """Whether the hub pulls the events of one camera."""

    pull: bool


class CameraEventsController(Controller):
    """The events of one camera."""

    path = "/cameras/{camera_id:str}/events"
    tags = ("cameras",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="What a camera noticed", operation_id="list_camera_events")
    async def all(
        self,
        camera_id: FromPath[str],
        caller: Caller,
        services: Services,
        cursor: Text = "",
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Return the last events, newest first, as CloudEvents, and whether events are pulled at all."""
        camera = await visible(camera_id, caller, services)
        events, following, total = await services.camera_events.book.page(camera_id, cursor, limit)
        return {
            "items": [event.as_json() for event in events],
            "next": following,
            "total": total,
            "pulling": _pulling(camera, caller, services),
        }

    @put("/pulling", status_code=204, summary="Pull events or not", operation_id="set_camera_events")
    async def set(
        self, camera_id: FromPath[str], data: JSONBody[EventsBody], caller: Caller, services: Services
    ) -> None:
        """Switch the pulling of one municipal camera's events on or off."""
        camera = await visible(camera_id, caller, services)
        if camera.custodian.kind is not Kind.AUTHORITY:
            raise Problem("events_donated")
        if not _may_switch(camera, caller):
            raise Problem("forbidden", {"right": CAMERAS_WRITE})
        await services.catalog.switch_events(camera_id, caller.principal.actor(), on=data.pull)


def _may_switch(camera: Camera, caller: Caller) -> bool:
    custodian, path = camera.custodian, area_path(camera)
    return (
        custodian.kind is Kind.AUTHORITY
        and has_right(caller.principal, CAMERAS_WRITE)
        and acts_for_custodian(caller.principal, custodian.kind, custodian.id, path)
    )


def _pulling(camera: Camera, caller: Caller, services: Services) -> dict[str, Any]:
    """Return how the pulling stands, with its reason in words."""
    status = services.camera_events.status(camera)
    key = f"live.events.{status.code or status.state}"
    known = services.texts.has(key)
    return {
        "state": status.state,
        "code": status.code or None,
        "text": services.texts.both(key if known else "live.events.trouble"),
        "since": moment(status.since),
        "until": moment(status.until),
        "switched_on": not camera.permission.get(EVENTS_OFF_AT),
        "may_switch": _may_switch(camera, caller),
    }
