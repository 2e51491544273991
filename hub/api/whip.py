"""WHIP (RFC 9725): where encoders push, and the tokens that let them."""

from typing import Any, Final

from litestar import Controller, Request, Response, delete, get, patch, post, route
from litestar.params import FromPath, JSONBody

from hub.access.push import may_make_tokens
from hub.api.cameras import visible
from hub.api.schemas import PushTokenCreate
from hub.api.sdp import FRAGMENT, SDP, same_ice_session, sdp_text
from hub.api.security import Caller, signed_in
from hub.api.services import Services
from hub.catalog.types import Camera
from hub.live.whip_tokens import PushToken, pushes
from hub.problems import Problem
from hub.store.errors import ServiceError

AnyRequest = Request[Any, Any, Any]
_NO_STORE: Final = {"cache-control": "no-store"}
_ENDPOINT: Final = "OPTIONS, POST"
_SESSION: Final = "DELETE, OPTIONS, PATCH"


async def _token(request: AnyRequest, camera_id: str, services: Services) -> PushToken:
    """Return the publishing token of a request (RFC 9725 4.7: a bearer token, RFC 6750)."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    secret = secret.strip() if scheme.lower() == "bearer" else ""
    return await services.encoders.token(secret, camera_id, _peer(request))


def _peer(request: AnyRequest) -> str:
    return request.client.host if request.client else "unknown"


def _takes(request: AnyRequest, media_type: str) -> None:
    """Refuse a request that names other forms of reply only (RFC 9110 12.5.1).

    Raises:
        Problem: ``not_acceptable``.
    """
    said = request.headers.get("accept", "")
    kinds = {one.partition(";")[0].strip().lower() for one in said.split(",")} - {""}
    if kinds and not kinds & {media_type, "application/*", "*/*"}:
        raise Problem("not_acceptable")


class WhipController(Controller):
    """The addresses of encoders: no sign-in opens them, a publishing token does. GET, HEAD and PUT are 405 (RFC 9725 4.1)."""

    # Litestar registers a controller's handlers by name, and answers OPTIONS by itself where another method of the same
    # path came first: hence `allows`, before the others in the alphabet.
    path = "/whip"
    tags = ("live",)
    security = ({"push": []},)

    @post("/{camera_id:str}", status_code=201, summary="Push a camera (WHIP)", operation_id="push_camera")
    async def begin(
        self, request: AnyRequest, camera_id: FromPath[str], services: Services
    ) -> Response[bytes]:
        """Take an encoder's SDP offer and answer it; pictures are received from then on."""
        token = await _token(request, camera_id, services)
        _takes(request, SDP)
        offer = await sdp_text(request, SDP)
        push, answer = await services.encoders.begin(token, offer, _peer(request))
        links = services.turn.links(push.id, services.clock.now().timestamp())
        return Response(
            answer.encode(),
            status_code=201,
            media_type=SDP,
            headers={
                "location": f"/whip/{camera_id}/{push.id}",
                "etag": push.etag,
                "accept-patch": FRAGMENT,
                **_NO_STORE,
                **({"link": ", ".join(links)} if links else {}),
            },
        )

    @route(
        "/{camera_id:str}",
        http_method="OPTIONS",
        status_code=200,
        summary="What a WHIP address takes",
        operation_id="whip_options",
    )
    async def allows(self, camera_id: FromPath[str]) -> Response[None]:
        """Say what may be sent here; the same for every camera, whether there is such a one or not."""
        del camera_id
        return Response(None, status_code=200, headers={"allow": _ENDPOINT, "accept-post": SDP})

    @patch(
        "/{camera_id:str}/{push_id:str}",
        status_code=200,
        summary="Trickle or restart ICE of a push",
        operation_id="trickle_push",
    )
    async def trickle(
        self, request: AnyRequest, camera_id: FromPath[str], push_id: FromPath[str], services: Services
    ) -> Response[bytes | None]:
        """Take further ICE candidates (204), or restart ICE (200, with our credentials and another ETag)."""
        push = services.encoders.running(await _token(request, camera_id, services), push_id)
        fragment = await sdp_text(request, FRAGMENT)
        same_ice_session(request, push.etag)
        answer = await services.encoders.trickle(push, fragment)
        headers = {"etag": push.etag, **_NO_STORE}
        if not answer:
            return Response(None, status_code=204, headers=headers)
        return Response(answer.encode(), status_code=200, media_type=FRAGMENT, headers=headers)

    @delete("/{camera_id:str}/{push_id:str}", status_code=200, summary="End a push", operation_id="end_push")
    async def end(
        self, request: AnyRequest, camera_id: FromPath[str], push_id: FromPath[str], services: Services
    ) -> Response[None]:
        """End a push; repeated, it stays ended."""
        push = services.encoders.running(await _token(request, camera_id, services), push_id)
        await services.encoders.leave(push)
        return Response(None, status_code=200)

    @route(
        "/{camera_id:str}/{push_id:str}",
        http_method="OPTIONS",
        status_code=200,
        summary="What a push takes",
        operation_id="push_options",
    )
    async def allows_session(self, camera_id: FromPath[str], push_id: FromPath[str]) -> Response[None]:
        """Say what may be sent here."""
        del camera_id, push_id
        return Response(None, status_code=200, headers={"allow": _SESSION, "accept-patch": FRAGMENT})


class PushTokensController(Controller):
    """A camera that pushes: its address, how its push stands, and who may push."""

    path = "/cameras/{camera_id:str}/push"
    tags = ("live",)
    guards = (signed_in,)

    @get("/", summary="How a camera is pushed", operation_id="get_push")
    async def state(
        self, request: AnyRequest, camera_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Return the address for the encoder, how the push stands, and the tokens without their secrets."""
        camera = await _of(camera_id, caller, services)
        if not pushes(camera):
            raise Problem("push_off")
        now = services.clock.now()
        items = [one.as_json(now) for one in await services.push_tokens.of_camera(camera_id)]
        return {
            "url": _address(request, camera_id),
            "push": services.encoders.state_json(camera_id),
            "items": items,
            "next": None,
            "total": len(items),
        }

    @post(
        "/", opt={"no_idempotency": True}, summary="Make a publishing token", operation_id="make_push_token"
    )
    async def make(
        self,
        *,
        request: AnyRequest,
        camera_id: FromPath[str],
        data: JSONBody[PushTokenCreate],
        caller: Caller,
        services: Services,
    ) -> Response[dict[str, Any]]:
        """Make one. `token` is shown in this reply alone."""
        camera = await _of(camera_id, caller, services)
        made, secret = await services.push_tokens.make(caller.principal, camera, data.name, data.expires_at)
        body = {
            **made.as_json(services.clock.now()),
            "token": secret.reveal(),
            "url": _address(request, camera_id),
        }
        return Response(body, status_code=201, headers=_NO_STORE)

    @delete(
        "/{token_id:str}",
        status_code=200,
        summary="Revoke a publishing token",
        operation_id="revoke_push_token",
    )
    async def revoke(
        self, camera_id: FromPath[str], token_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Revoke it now; what is pushed with it is ended before the reply. Repeated, it stays revoked."""
        await _of(camera_id, caller, services)
        try:
            token = await services.push_tokens.revoke(camera_id, token_id, caller.principal.actor())
        except ServiceError as error:
            raise Problem("not_found", {"what": {"vi": "mã phát", "en": "publishing token"}}) from error
        await services.encoders.end_of(camera_id, "token_revoked", token_id=token_id)
        return token.as_json(services.clock.now())


async def _of(camera_id: str, caller: Caller, services: Services) -> Camera:
    """Return a camera whose tokens this person may see, make and revoke.

    Raises:
        Problem: ``not_found``, ``forbidden``.
    """
    camera = await visible(camera_id, caller, services)
    if not may_make_tokens(caller.principal, camera):
        raise Problem("forbidden", {"right": "cameras.write"})
    return camera


def _address(request: AnyRequest, camera_id: str) -> str:
    """Return the address for an encoder, as the person who asks reaches the hub."""
    return f"{str(request.base_url).rstrip('/')}/whip/{camera_id}"
