"""Outputs: a camera's stream for another system, over RTSP."""

from typing import Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from hub.access.rights import OUTPUTS_WRITE
from hub.api.cameras import visible
from hub.api.schemas import OutputCreate
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.live.outputs import NewOutput, Output
from hub.problems import Problem
from hub.store.errors import ServiceError


class OutputsController(Controller):
    """Who else may take a camera's pictures, until when."""

    path = "/cameras/{camera_id:str}/outputs"
    tags = ("live",)
    guards = (signed_in, needs(OUTPUTS_WRITE))

    @get("/", summary="Outputs for other systems", operation_id="list_outputs")
    async def all(self, camera_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return the camera's outputs, newest first, without their tokens.

        `port` and `secure_port` (TLS) are null where this hub has no such door; it gives none where both are.
        """
        await visible(camera_id, caller, services)
        items = [_out(one, services) for one in await services.outputs.of_camera(camera_id)]
        ports = {"port": services.outputs.port, "secure_port": services.outputs.secure_port}
        return {"items": items, "next": None, "total": len(items), **ports}

    @post("/", opt={"no_idempotency": True}, summary="Make an output", operation_id="make_output")
    async def make(
        self,
        *,
        request: Request[Any, Any, Any],
        camera_id: FromPath[str],
        data: JSONBody[OutputCreate],
        caller: Caller,
        services: Services,
    ) -> Response[dict[str, Any]]:
        """Make one, where the view would be allowed now. `url` and `secure_url` (TLS) hold the token: they are shown in this reply alone."""
        await visible(camera_id, caller, services)
        new = NewOutput(
            recipient=data.recipient,
            purpose=data.purpose,
            reason=data.reason,
            expires_at=data.expires_at,
            incident=data.incident or None,
            layer=data.layer,
            h265=data.h265,
            audio=data.audio,
        )
        made, token = await services.outputs.make(caller.principal, camera_id, new)
        host = request.base_url.hostname or services.settings.host
        shown = f"[{host}]" if ":" in host else host
        outputs = services.outputs
        urls = {
            "url": f"rtsp://{shown}:{outputs.port}/{token.reveal()}" if outputs.port else None,
            "secure_url": f"rtsps://{shown}:{outputs.secure_port}/{token.reveal()}"
            if outputs.secure_port
            else None,
        }
        return Response(
            {**_out(made, services), **urls}, status_code=201, headers={"cache-control": "no-store"}
        )

    @delete("/{output_id:str}", status_code=200, summary="Revoke an output", operation_id="revoke_output")
    async def revoke(
        self, camera_id: FromPath[str], output_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """End it now; what plays by it is cut before the reply. Repeated, it stays revoked."""
        await visible(camera_id, caller, services)
        try:
            ended = await services.outputs.revoke(camera_id, output_id, caller.principal.actor())
        except ServiceError as error:
            raise Problem("not_found", {"what": {"vi": "luồng ra", "en": "output"}}) from error
        return _out(ended, services)


def _out(output: Output, services: Services) -> dict[str, Any]:
    return output.as_json(services.clock.now(), services.outputs.playing(output.id))
