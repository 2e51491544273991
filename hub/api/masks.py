"""Zones of a camera's picture that are to be black: declared, painted by the hub, verified at the camera."""

from dataclasses import asdict
from typing import Annotated, Any

from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody
from pydantic import Field

from hub.access.rights import CAMERAS_READ, CAMERAS_WRITE, may_change_entry
from hub.api.cameras import visible
from hub.api.schemas import Body
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.compliance.selector import Selector
from hub.problems import Problem

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Zone = Annotated[list[tuple[Share, Share]], Field(min_length=3, max_length=32)]


class MasksBody(Body):
    """The zones, each a polygon with corners (x, y) from 0 to 1; `verified`: the camera was seen to mask them itself."""

    zones: Annotated[list[Zone], Field(max_length=16)]
    verified: bool = False


class MasksController(Controller):
    """What of a camera's picture nobody may see."""

    path = "/cameras/{camera_id:str}/masks"
    tags = ("cameras",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="Declared zones", operation_id="get_masks")
    async def state(self, camera_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return the declared zones and who paints them: the hub until they are verified."""
        return asdict((await visible(camera_id, caller, services)).masks)

    @put("/", summary="Declare zones", operation_id="declare_masks")
    async def declare(
        self, camera_id: FromPath[str], data: JSONBody[MasksBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Take the place of the declared zones; none takes them back. Views that run end and begin anew; PRV-03 is judged again."""
        camera = await visible(camera_id, caller, services)
        if not may_change_entry(caller.principal, camera):
            raise Problem("forbidden", {"right": CAMERAS_WRITE})
        zones = tuple(tuple(corners) for corners in data.zones)
        masks = await services.catalog.declare_masks(
            camera_id,
            zones,
            caller.principal.actor(),
            name=caller.principal.name,
            verified=data.verified and bool(zones),
        )
        await services.viewers.end_camera(camera_id, "changed")
        await services.restating.after(Selector("camera", camera_id))
        return asdict(masks)
