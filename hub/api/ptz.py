"""Moving municipal cameras (PTZ)."""

from typing import Annotated, Any

from litestar import Controller, get, post, put
from litestar.params import FromPath, JSONBody
from pydantic import Field, model_validator

from hub.access.move import approved, refusal_to_approve, refusal_to_move
from hub.access.rights import CAMERAS_DELETE, CAMERAS_READ
from hub.api.cameras import visible
from hub.api.schemas import Body, Line
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.live.ptz import Move
from hub.problems import Problem

Speed = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class Speeds(Body):
    """Speeds as shares of the device's greatest."""

    pan: Speed = 0.0
    tilt: Speed = 0.0
    zoom: Speed = 0.0


class PtzBody(Body):
    """One command: a movement with its time, a stop, or a preset."""

    move: Speeds | None = None
    seconds: Annotated[float, Field(ge=0.1, le=5, allow_inf_nan=False)] = 1.0
    stop: bool = False
    preset: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "PtzBody":
        if (self.move is not None) + self.stop + (self.preset is not None) != 1:
            raise ValueError("give one of move, stop and preset")
        if self.move is not None and not (self.move.pan or self.move.tilt or self.move.zoom):
            raise ValueError("one of pan, tilt and zoom must not be 0")
        return self


class ApprovalBody(Body):
    """The office's approval to move the camera, or its end."""

    allowed: bool
    granted_by: Line = ""
    basis: Line = ""

    @model_validator(mode="after")
    def _whose(self) -> "ApprovalBody":
        if self.allowed and not (self.granted_by and self.basis):
            raise ValueError("an approval names who granted it and on what basis")
        return self


class PtzController(Controller):
    """Movements, decided and recorded one by one."""

    path = "/cameras/{camera_id:str}/ptz"
    tags = ("ptz",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="May it be moved", operation_id="get_ptz")
    async def state(self, camera_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Tell whether this person may move it, else why not; where they may, ask the camera for its presets."""
        camera = await visible(camera_id, caller, services)
        body: dict[str, Any] = {"present": None, "presets": [], "approved": approved(camera.permission)}
        refused = refusal_to_move(caller.principal, camera)
        if refused is not None:
            problem = Problem(refused.code, refused.params)
            why = problem.said(services.texts)
            return {**body, "may": False, "code": refused.code, "why": why}
        try:
            presets = await services.movers.presets(caller.principal, camera)
        except Problem as problem:
            if problem.code != "no_ptz":
                raise
            why = problem.said(services.texts)
            return {**body, "present": False, "may": False, "code": problem.code, "why": why}
        shown = [{"token": preset.token, "name": preset.name} for preset in presets]
        return {**body, "present": True, "presets": shown, "may": True, "code": None, "why": None}

    @post("/", status_code=204, summary="Move", operation_id="move_camera", opt={"no_idempotency": True})
    async def command(
        self, camera_id: FromPath[str], data: JSONBody[PtzBody], caller: Caller, services: Services
    ) -> None:
        """Move, stop, or go to a preset. A movement ends by itself after its seconds."""
        camera = await visible(camera_id, caller, services)
        if data.move is not None:
            wanted = Move(data.move.pan, data.move.tilt, data.move.zoom, data.seconds)
            await services.movers.move(caller.principal, camera, wanted)
        elif data.preset is not None:
            await services.movers.goto(caller.principal, camera, data.preset)
        else:
            await services.movers.stop(caller.principal, camera)

    @put("/approval", status_code=204, summary="Approve movements", operation_id="approve_ptz")
    async def approve(
        self, camera_id: FromPath[str], data: JSONBody[ApprovalBody], caller: Caller, services: Services
    ) -> None:
        """Record or take back the approval; administrators alone, and never for a donated camera."""
        camera = await visible(camera_id, caller, services)
        refused = refusal_to_approve(caller.principal, camera, right=CAMERAS_DELETE)
        if refused is not None:
            raise Problem(refused.code, refused.params)
        granted = (data.granted_by, data.basis) if data.allowed else None
        await services.catalog.approve_ptz(camera_id, granted, caller.principal.actor())
