"""Live views over WHEP (draft-ietf-wish-whep), their sessions, and stills."""

import math
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from hub.access.rights import CAMERAS_READ
from hub.api.cameras import visible
from hub.api.schemas import LayerBody
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.problems import Problem
from standards.observation import rfc3339

AnyRequest = Request[Any, Any, Any]
Purpose = Annotated[str, QueryParameter(max_length=32)]
IncidentNumber = Annotated[str, QueryParameter(max_length=64)]
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
MAX_SDP = 65_536


async def _text(request: AnyRequest, wanted: str) -> str:
    """Return a body of one media type as text.

    Raises:
        Problem: ``media_type``, ``too_large`` or ``bad_sdp``.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise Problem("media_type", {"wanted": wanted})
    body = await request.body()
    if len(body) > MAX_SDP:
        raise Problem("too_large", {"limit": MAX_SDP})
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        what = {"vi": "không phải UTF-8", "en": "it is not UTF-8"}
        raise Problem("bad_sdp", {"what": what}) from error


class LiveController(Controller):
    """Pictures. Each request here is decided, recorded and receipted."""

    path = "/"
    tags = ("live",)
    guards = (signed_in, needs(CAMERAS_READ))

    @post(
        "/cameras/{camera_id:str}/whep",
        opt={"no_idempotency": True},
        summary="Watch (WHEP)",
        operation_id="watch_camera",
    )
    async def whep(
        self,
        *,
        request: AnyRequest,
        camera_id: FromPath[str],
        caller: Caller,
        services: Services,
        purpose: Purpose = "public_safety",
        incident: IncidentNumber = "",
        layer: Purpose = "main",
    ) -> Response[bytes]:
        """Take an SDP offer and answer it; frames flow while the view stays allowed."""
        if layer not in {"main", "auto"}:
            raise Problem("no_layers")
        await visible(camera_id, caller, services)
        offer = await _text(request, SDP)
        session, answer = await services.viewers.open(
            caller.principal,
            camera_id,
            purpose=purpose,
            incident=incident or None,
            offer=offer,
            login=caller.login_id,
        )
        return Response(
            answer.encode(),
            status_code=201,
            media_type=SDP,
            headers={
                "location": f"/api/v1/sessions/{session.id}",
                "etag": f'"{session.id}"',
                "accept-patch": FRAGMENT,
            },
        )

    @get("/sessions/{session_id:str}", summary="A view", operation_id="get_session")
    async def session(self, session_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return one's own viewer session."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        return services.viewers.session_json(session)

    @patch("/sessions/{session_id:str}", status_code=204, summary="Trickle ICE", operation_id="trickle")
    async def trickle(
        self, request: AnyRequest, session_id: FromPath[str], caller: Caller, services: Services
    ) -> None:
        """Take further ICE candidates (RFC 8840)."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        await services.viewers.trickle(session, await _text(request, FRAGMENT))

    @delete("/sessions/{session_id:str}", status_code=200, summary="Stop", operation_id="stop_session")
    async def stop(self, session_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """End a view; repeated, it stays ended."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        await services.viewers.leave(session)
        return services.viewers.session_json(session)

    @get(
        "/sessions/{session_id:str}/events",
        summary="Follow a view",
        operation_id="follow_session",
        media_type="text/event-stream",
    )
    async def events(self, session_id: FromPath[str], caller: Caller, services: Services) -> Stream:
        """Send `state` at once and at each change."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        feed, now = services.viewers.subscribe(session)
        return services.streams.respond(feed, [("state", now)], allowed=caller.still(services))

    @put("/sessions/{session_id:str}/layer", summary="Choose a layer", operation_id="choose_layer")
    async def layer(
        self, session_id: FromPath[str], data: JSONBody[LayerBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Refuse: layers do not exist yet, only `main` is played."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        if data.layer == "main":
            return services.viewers.session_json(session)
        raise Problem("no_layers")

    @get("/cameras/{camera_id:str}/snapshot.jpg", summary="A still", operation_id="get_snapshot")
    async def snapshot(
        self,
        camera_id: FromPath[str],
        caller: Caller,
        services: Services,
        purpose: Purpose = "public_safety",
        incident: IncidentNumber = "",
    ) -> Response[bytes]:
        """Take a still now: a view like any other. `age` tells how many seconds old the picture is."""
        await visible(camera_id, caller, services)
        still = await services.stills.fetch(
            caller.principal, camera_id, purpose=purpose, incident=incident or None
        )
        age_s = max(0.0, (services.clock.now() - still.taken_at).total_seconds())
        return Response(
            still.body,
            media_type="image/jpeg",
            headers={
                "age": str(math.ceil(age_s)),
                "x-taken-at": rfc3339(still.taken_at),
                "cache-control": "no-store",
            },
        )
