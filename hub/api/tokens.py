"""Tokens by which programs speak in a person's name: one's own, and for administrators those of others."""

from typing import Any

from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from adapters.secret import Secret
from hub.access.rights import USERS_WRITE
from hub.access.tokens import PROGRAM
from hub.api.schemas import TokenCreate
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.api.users import check_reach
from hub.problems import Problem
from hub.store.errors import ServiceError


class MyTokensController(Controller):
    """The caller's own tokens."""

    path = "/me/tokens"
    tags = ("people",)
    guards = (signed_in,)

    @get("/", summary="My tokens", operation_id="list_my_tokens")
    async def all(self, caller: Caller, services: Services) -> dict[str, Any]:
        """Return one's tokens, newest first, without the tokens themselves."""
        return await _listed(caller.principal.user_id, services)

    @post("/", opt={"no_idempotency": True}, summary="Make a token", operation_id="make_my_token")
    async def make(
        self, data: JSONBody[TokenCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Make one, with one's password: it outlives the sign-in. `token` is shown in this reply alone."""
        if caller.login is None:
            raise Problem("token_makes_none")
        me = caller.principal
        await services.accounts.prove(me.user_id, Secret(data.current_password.get_secret_value()))
        made, token = await services.tokens.issue(
            me.user_id, data.label, me.actor(), expires_at=data.expires_at
        )
        return Response(
            {**made.as_json(services.clock.now()), "token": token.reveal()},
            status_code=201,
            headers={"cache-control": "no-store"},
        )

    @delete("/{token_id:str}", status_code=200, summary="Revoke a token", operation_id="revoke_my_token")
    async def revoke(self, token_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """End it now; what plays by it is cut before the reply. Repeated, it stays revoked."""
        return await _revoked(caller.principal.user_id, token_id, caller, services)


class TokensController(Controller):
    """The tokens of people, for administrators."""

    path = "/users/{user_id:str}/tokens"
    tags = ("people",)
    guards = (signed_in, needs(USERS_WRITE))

    @get("/", summary="A person's tokens", operation_id="list_tokens")
    async def all(self, user_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return a person's tokens, newest first, without the tokens themselves."""
        await _reached(user_id, caller, services)
        return await _listed(user_id, services)

    @delete(
        "/{token_id:str}", status_code=200, summary="Revoke a person's token", operation_id="revoke_token"
    )
    async def revoke(
        self, user_id: FromPath[str], token_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """End it now; what plays by it is cut before the reply. Repeated, it stays revoked."""
        await _reached(user_id, caller, services)
        return await _revoked(user_id, token_id, caller, services)


async def _reached(user_id: str, caller: Caller, services: Services) -> None:
    person = await services.accounts.get(user_id)
    await check_reach(caller, services, person.areas, person.role)


async def _listed(user_id: str, services: Services) -> dict[str, Any]:
    now = services.clock.now()
    items = [one.as_json(now) for one in await services.tokens.of(user_id)]
    return {"items": items, "next": None, "total": len(items)}


async def _revoked(user_id: str, token_id: str, caller: Caller, services: Services) -> dict[str, Any]:
    try:
        ended = await services.tokens.revoke(user_id, token_id, caller.principal.actor())
    except ServiceError as error:
        raise Problem("not_found", {"what": {"vi": "mã truy cập", "en": "token"}}) from error
    await services.viewers.end_hanging_on(PROGRAM + token_id, "token_ended")
    await services.coordination.bus.publish(
        "user.changed", {"id": user_id}
    )  # views at other nodes of this hub
    return ended.as_json(services.clock.now())
