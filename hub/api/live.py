"""Live views over WHEP (draft-ietf-wish-whep-03, which rests on RFC 9725), their sessions, and stills."""

import math
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post, put, route
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from hub.access.rights import CAMERAS_READ, CAMERAS_WRITE
from hub.api.cameras import visible
from hub.api.schemas import LayerBody
from hub.api.sdp import FRAGMENT, SDP, same_ice_session, sdp_text
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.problems import Problem
from hub.relay.errors import RelayRefused
from standards.observation import rfc3339

AnyRequest = Request[Any, Any, Any]
Purpose = Annotated[str, QueryParameter(max_length=32)]
IncidentNumber = Annotated[str, QueryParameter(max_length=64)]
Wanted = Annotated[Literal["main", "sub", "auto"], QueryParameter()]


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
        layer: Wanted = "main",
    ) -> Response[bytes]:
        """Take an SDP offer and answer it; frames flow while the view stays allowed.

        `Link` headers name the ICE servers, with a credential for this session, where the hub has any.
        """
        await visible(camera_id, caller, services)
        offer = await sdp_text(request, SDP)
        session, answer = await services.viewers.open(
            caller.principal,
            camera_id,
            purpose=purpose,
            incident=incident or None,
            offer=offer,
            login=caller.login_id,
            wanted=layer,
        )
        links = services.turn.links(session.id, services.clock.now().timestamp())
        return Response(
            answer.encode(),
            status_code=201,
            media_type=SDP,
            headers={
                "location": f"/api/v1/sessions/{session.id}",
                "etag": session.etag,
                "accept-patch": FRAGMENT,
                **({"link": ", ".join(links)} if links else {}),
            },
        )

    @route(
        "/cameras/{camera_id:str}/whep",
        http_method="OPTIONS",
        summary="What a WHEP client needs before it offers",
        operation_id="whep_options",
    )
    async def options(self, camera_id: FromPath[str], caller: Caller, services: Services) -> Response[None]:
        """Name the ICE servers before the offer is made (RFC 9725 4.6), for clients that cannot add them later."""
        await visible(camera_id, caller, services)
        links = services.turn.links(caller.principal.user_id, services.clock.now().timestamp())
        headers = {"allow": "OPTIONS, POST", "accept-post": SDP}
        return Response(
            None, status_code=204, headers={**headers, **({"link": ", ".join(links)} if links else {})}
        )

    @get(
        "/sessions/events",
        summary="Follow all one's views",
        operation_id="follow_sessions",
        media_type="text/event-stream",
    )
    async def all_events(self, caller: Caller, services: Services) -> Stream:
        """Send `state` and `layer` of every view of this person at each change, with the view's id as `session`."""
        feed = services.viewers.follow(caller.principal.user_id)
        return services.streams.respond(feed, [], allowed=caller.still(services))

    @get("/sessions/{session_id:str}", summary="A view", operation_id="get_session")
    async def session(self, session_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return one's own viewer session."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        return services.viewers.telling.session(session)

    @patch(
        "/sessions/{session_id:str}",
        status_code=200,
        summary="Trickle or restart ICE",
        operation_id="trickle",
    )
    async def trickle(
        self, request: AnyRequest, session_id: FromPath[str], caller: Caller, services: Services
    ) -> Response[bytes | None]:
        """Take further ICE candidates (204), or restart ICE (200, with our credentials and another ETag)."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        fragment = await sdp_text(request, FRAGMENT)
        same_ice_session(request, session.etag)
        answer = await services.viewers.trickle(session, fragment)
        if not answer:
            return Response(None, status_code=204, headers={"etag": session.etag})
        return Response(answer.encode(), status_code=200, media_type=FRAGMENT, headers={"etag": session.etag})

    @delete("/sessions/{session_id:str}", status_code=200, summary="Stop", operation_id="stop_session")
    async def stop(self, session_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """End a view; repeated, it stays ended."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        await services.viewers.leave(session)
        return services.viewers.telling.session(session)

    @get(
        "/sessions/{session_id:str}/events",
        summary="Follow a view",
        operation_id="follow_session",
        media_type="text/event-stream",
    )
    async def events(self, session_id: FromPath[str], caller: Caller, services: Services) -> Stream:
        """Send `state` and `layer` at once and at each change."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        feed, now = services.viewers.subscribe(session)
        first = [("state", now), ("layer", services.viewers.telling.layer(session))]
        return services.streams.respond(feed, first, allowed=caller.still(services))

    @put("/sessions/{session_id:str}/layer", summary="Choose a layer", operation_id="choose_layer")
    async def layer(
        self, session_id: FromPath[str], data: JSONBody[LayerBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Ask for another layer; the `layer` event tells when it is played, or why not. No renegotiation."""
        session = services.viewers.get(session_id, caller.principal.user_id)
        await services.viewers.choose_layer(session, data.layer)
        return services.viewers.telling.session(session)

    @get(
        "/relay/reachability",
        guards=[needs(CAMERAS_WRITE)],
        summary="By which ways browsers reach the relay",
        operation_id="relay_reachability",
    )
    async def reachability(self, services: Services) -> dict[str, Any]:
        """Walk every way now, which takes seconds, and say which one would fail a viewer, and why."""
        try:
            findings = await services.examine_relay()
        except RelayRefused as error:
            raise Problem("relay_down", headers={"retry-after": "2"}) from error
        return {
            "reachable": not any(finding.outcome == "failed" for finding in findings),
            "findings": [msgspec.to_builtins(finding) for finding in findings],
        }

    @get(
        "/relay/warm",
        guards=[needs(CAMERAS_WRITE)],
        summary="Cameras that are kept warm",
        operation_id="relay_warm",
    )
    async def warm(self, services: Services) -> list[dict[str, Any]]:
        """Say of each camera of `relay.keep_warm` whether it is pulled with nobody watching, and if not, why."""
        return services.warm.as_json()

    @get(
        "/relay/workers",
        guards=[needs(CAMERAS_WRITE)],
        summary="How the relay's processes do",
        operation_id="relay_workers",
    )
    async def workers(self, services: Services) -> dict[str, Any]:
        """Tell of each worker whether it runs, on which port, and how often it had to be started anew."""
        workers = services.relay_workers()
        return {
            "items": [
                {
                    "worker": one.index,
                    "port": one.port,
                    "state": "running" if one.pid is not None else "restarting",
                    "restarts": one.restarts,
                    "failures": one.failures,
                    "last_end": one.last_end or None,
                    "trouble": one.trouble or None,
                    "coder": None
                    if one.coder is None
                    else {
                        "name": one.coder.name,
                        "device": one.coder.device or None,
                        "why": one.coder.why or None,
                        "hardware_streams": one.hardware,
                    },
                }
                for one in workers
            ]
        }

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
