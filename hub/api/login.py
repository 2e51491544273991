"""Sign-in, sign-out and oneself."""

from typing import Any

from litestar import Controller, Request, Response, get, patch, post
from litestar.params import JSONBody

from adapters.secret import Secret
from hub.access.accounts import User
from hub.access.principal import Principal
from hub.access.rights import rights_of
from hub.api.schemas import LoginBody, MePatch
from hub.api.security import (
    Caller,
    authenticate,
    check_origin,
    sign_in_cookies,
    sign_out_cookies,
    signed_in,
)
from hub.api.services import Services
from hub.problems import FieldProblem, Problem

AnyRequest = Request[Any, Any, Any]
BEFORE_CHANGE: dict[str, Any] = {"before_password_change": True}  # open while a one-time password waits


def user_json(user: User, principal: Principal, services: Services) -> dict[str, Any]:
    """Return a `User` of the HTTP API, as its owner sees it."""
    return {
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "role": user.role,
        "areas": list(user.areas),
        "custodian_id": user.custodian_id,
        "must_change_password": user.must_change_password,
        "locale": user.locale,
        "rights": list(rights_of(principal)),
        "hub": {"name": services.settings.name, "version": services.version},
    }


class LoginController(Controller):
    """Sign-in: the only route of the API that needs none."""

    path = "/login"
    tags = ("people",)

    @post("/", status_code=200, opt={"no_idempotency": True}, summary="Sign in", operation_id="login")
    async def login(
        self, request: AnyRequest, data: JSONBody[LoginBody], services: Services
    ) -> Response[dict[str, Any]]:
        """Sign in with a name and a password; sets the session cookie and the CSRF cookie."""
        check_origin(request)
        address = request.client.host if request.client else "unknown"
        signed = await services.accounts.login(
            data.username, Secret(data.password.get_secret_value()), address
        )
        user = user_json(signed.session.user, signed.session.principal, services)
        return Response(
            {"user": user},
            status_code=200,
            cookies=sign_in_cookies(signed, secure=services.settings.secure),
        )


class MeController(Controller):
    """Oneself."""

    path = "/"
    tags = ("people",)
    guards = (signed_in,)

    @post(
        "/logout",
        status_code=204,
        opt={**BEFORE_CHANGE, "no_idempotency": True},
        summary="Sign out",
        operation_id="logout",
    )
    async def logout(self, request: AnyRequest, services: Services) -> Response[None]:
        """End this sign-in and the views that hang on it."""
        caller = await authenticate(request)
        if caller.login is not None:
            await services.accounts.logout(caller.login)
            await services.viewers.signed_out(caller.login.id)
        return Response(None, status_code=204, cookies=sign_out_cookies(secure=services.settings.secure))

    @get("/me", opt=BEFORE_CHANGE, summary="Who am I", operation_id="me")
    async def me(self, caller: Caller, services: Services) -> dict[str, Any]:
        """Return the signed-in person."""
        user = await services.accounts.get(caller.principal.user_id)
        return user_json(user, caller.principal, services)

    @patch("/me", opt=BEFORE_CHANGE, summary="Change oneself", operation_id="change_me")
    async def change(self, data: JSONBody[MePatch], caller: Caller, services: Services) -> dict[str, Any]:
        """Change one's password (with the current one), language or shown name."""
        me = caller.principal
        if data.new_password is not None:
            if data.current_password is None:
                missing = services.texts.both("live.field.missing")
                raise Problem(
                    "invalid_input",
                    {"count": 1, "field": "current_password", "what": missing},
                    field="current_password",
                    errors=[FieldProblem("current_password", missing["en"])],
                )
            await services.accounts.change_password(
                me.user_id,
                Secret(data.current_password.get_secret_value()),
                Secret(data.new_password.get_secret_value()),
                keep_session=caller.login.id if caller.login is not None else None,
            )
            await services.coordination.bus.publish("user.changed", {"id": me.user_id})
        if data.locale is not None or data.display_name is not None:
            await services.accounts.change(
                me.user_id, me.actor(), locale=data.locale, display_name=data.display_name
            )
        principal = await services.accounts.principal(me.user_id, me.via)
        user = await services.accounts.get(me.user_id)
        return user_json(user, principal or me, services)
