"""Searches of the hub's network for cameras."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody
from pydantic import StringConstraints

from hub.access.rights import CAMERAS_WRITE
from hub.api.language import language_of
from hub.api.schemas import Body
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.onboarding.discoveries import Discovery
from hub.problems import Problem

AnyRequest = Request[Any, Any, Any]


class DiscoveryBody(Body):
    """Where to look: everywhere around the hub, or at one host."""

    host: Annotated[str, StringConstraints(strip_whitespace=True, max_length=253)] = ""


async def _shown(found: Discovery, request: AnyRequest, services: Services) -> dict[str, Any]:
    language = language_of(request)

    def said(problem: Problem) -> dict[str, Any]:
        return problem.as_json(services.texts, language)

    return await services.discoveries.as_json(found, said)


class DiscoveriesController(Controller):
    """WS-Discovery from the hub's machine."""

    path = "/discoveries"
    tags = ("onboarding",)
    guards = (signed_in, needs(CAMERAS_WRITE))

    @post("/", summary="Search for cameras", operation_id="start_discovery", opt={"no_idempotency": True})
    async def start(
        self,
        request: AnyRequest,
        caller: Caller,
        services: Services,
        data: JSONBody[DiscoveryBody | None] = None,
    ) -> Response[dict[str, Any]]:
        """Ask on the hub's network who is there, for some seconds; a search that runs is joined."""
        found = await services.discoveries.start(data.host if data is not None else "")
        await services.audit.append(
            "discovery.started", caller.principal.actor(), "hub", {"host": found.host}
        )
        return Response(
            await _shown(found, request, services),
            status_code=201,
            headers={"location": f"/api/v1/discoveries/{found.id}"},
        )

    @get("/{discovery_id:str}", summary="One search", operation_id="get_discovery")
    async def one(
        self, request: AnyRequest, discovery_id: FromPath[str], services: Services
    ) -> dict[str, Any]:
        """Return what has answered so far."""
        return await _shown(services.discoveries.get(discovery_id), request, services)
