"""Who calls: bearer token or session cookie, with CSRF and origin checks on writes that come with a cookie."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler
from litestar.params import SkipValidation
from litestar.types import Guard, Receive, Scope, Send

from hub.access.accounts import LoginSession, SignedIn
from hub.access.principal import Principal
from hub.access.rights import has_right
from hub.access.tokens import PROGRAM
from hub.api.services import Services
from hub.problems import Problem

SESSION_COOKIE = "camhub_session"
CSRF_COOKIE = "csrftoken"
CSRF_HEADER = "x-csrftoken"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
WEBSOCKET_PROTOCOL = "camhub"
_BEARER_PROTOCOL = f"{WEBSOCKET_PROTOCOL}.bearer."
_STATE = "camhub_caller"

Connection = ASGIConnection[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class SignedInCaller:
    """Who sent this request. `login` is the cookie's sign-in; None for the bearer token of `token_id`."""

    principal: Principal
    login: LoginSession | None
    token_id: str = ""

    @property
    def login_id(self) -> str:
        """Return what a view of this caller hangs on: the id of the sign-in, or the token's."""
        return self.login.id if self.login is not None else PROGRAM + self.token_id

    def still(self, services: Services) -> Callable[[], Awaitable[bool]]:
        """Return the question whether this caller may still listen: asked at each heartbeat of a stream."""

        async def lives() -> bool:
            if self.login is not None:
                return await services.accounts.session_lives(self.login.id)
            return await services.tokens.person(self.token_id) is not None

        return lives


# in handlers: handed over as it is
Caller = NamedDependency[SkipValidation[SignedInCaller]]


def services_of(connection: Connection) -> Services:
    """Return the services of the application that serves this connection."""
    services: Services = connection.app.state.services
    return services


async def authenticate(connection: Connection) -> Caller:
    """Return who calls, once per request.

    Raises:
        Problem: ``token_refused``, ``not_signed_in``, ``csrf_failed`` or ``origin_refused``.
    """
    known = connection.scope.get(_STATE)
    if isinstance(known, SignedInCaller):
        return known
    services = services_of(connection)
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if not scheme and connection.scope["type"] == ScopeType.WEBSOCKET:
        token = _token_of_protocols(connection)
        if token:
            scheme = "bearer"
            _check_listed_origin(connection)
    if scheme:
        bearer = await services.tokens.bearer(token.strip()) if scheme.lower() == "bearer" else None
        if bearer is None:
            raise Problem("token_refused", headers={"www-authenticate": 'Bearer realm="camhub"'})
        caller = SignedInCaller(bearer.principal, None, bearer.token_id)
    else:
        cookie = connection.cookies.get(SESSION_COOKIE, "")
        login = await services.accounts.session(cookie) if 0 < len(cookie) <= 200 else None
        if login is None:
            raise Problem("not_signed_in", headers={"www-authenticate": 'Bearer realm="camhub"'})
        if connection.scope["type"] == ScopeType.WEBSOCKET:
            # A browser sends cookies with a WebSocket of any page, and no header of ours: its Origin alone tells.
            check_origin(connection, required=True)
        elif connection.scope.get("method") not in SAFE:
            check_origin(connection)
            _check_csrf(connection, login)
        caller = SignedInCaller(login.principal, login)
    connection.scope[_STATE] = caller  # type: ignore[literal-required]
    return caller


def _check_csrf(connection: Connection, login: LoginSession) -> None:
    """Refuse a write whose header is not the cookie, or whose cookie is not of this sign-in."""
    sent = connection.headers.get(CSRF_HEADER, "")
    cookie = connection.cookies.get(CSRF_COOKIE, "")
    same = hmac.compare_digest(sent.encode("utf-8", "replace"), cookie.encode("utf-8", "replace"))
    if not sent or not same or not login.csrf_fits(sent):
        raise Problem("csrf_failed")


def check_origin(connection: Connection, *, required: bool = False) -> None:
    """Refuse what a browser says comes from another site (Origin against Host, RFC 6454), or does not say it at all."""
    if connection.headers.get("sec-fetch-site", "same-origin") in {"cross-site", "same-site"}:
        raise Problem("origin_refused", {"origin": _shown(connection.headers.get("origin", "?"))})
    origin = connection.headers.get("origin")
    if origin is None and not required:
        return
    origin = origin or "?"
    hosts = {connection.headers.get("host", "").lower()}
    if services_of(connection).settings.behind_proxy:
        hosts.add(connection.headers.get("x-forwarded-host", "").lower())  # only the proxy reaches this port
    if urlsplit(origin).netloc.lower() not in hosts - {""}:
        raise Problem("origin_refused", {"origin": _shown(origin)})


def _token_of_protocols(connection: Connection) -> str:
    """Return the token among the protocols that a WebSocket offers, "" where there is none.

    A browser's script cannot set a header of a WebSocket (RFC 6455 1.9 leaves it the protocols); an address would end up in logs.
    """
    offered = connection.headers.get("sec-websocket-protocol", "")[:1000]
    for one in offered.split(","):
        if one.strip().startswith(_BEARER_PROTOCOL):
            return one.strip().removeprefix(_BEARER_PROTOCOL)
    return ""


def _check_listed_origin(connection: Connection) -> None:
    """Refuse a page of another site that the operator did not list, as CORS does for requests; scripts send no Origin."""
    origin = connection.headers.get("origin")
    if origin is None or origin in services_of(connection).settings.whep.origins:
        return
    check_origin(connection)


def _shown(origin: str) -> str:
    return "".join(char for char in origin if char.isprintable())[:120]


async def signed_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard of every route but sign-in: authenticated, and the one-time password changed where there is one."""
    caller = await authenticate(connection)
    if caller.principal.must_change_password and not handler.opt.get("before_password_change"):
        raise Problem("password_change_needed")


def needs(right: str) -> Guard:
    """Return a guard that asks for one right."""

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        caller = await authenticate(connection)
        if not has_right(caller.principal, right):
            raise Problem("forbidden", {"right": right})

    return guard


async def caller_name(scope: Scope, receive: Receive, send: Send) -> str:
    """Return whose idempotency keys these are."""
    request: Request[Any, Any, Any] = Request(scope, receive=receive, send=send)
    return (await authenticate(request)).principal.user_id


def sign_in_cookies(signed: SignedIn, *, secure: bool) -> list[Cookie]:
    """Return the cookies of a sign-in; they end with the browser, the sign-in itself on the server."""
    return [
        Cookie(
            key=SESSION_COOKIE,
            value=signed.token.reveal(),
            path="/",
            httponly=True,
            secure=secure,
            samesite="strict",
        ),
        Cookie(
            key=CSRF_COOKIE,
            value=signed.csrf.reveal(),
            path="/",
            httponly=False,
            secure=secure,
            samesite="strict",
        ),
    ]


def sign_out_cookies(*, secure: bool) -> list[Cookie]:
    """Return cookies that erase those of a sign-in."""
    return [
        Cookie(
            key=SESSION_COOKIE, value="", path="/", max_age=0, httponly=True, secure=secure, samesite="strict"
        ),
        Cookie(key=CSRF_COOKIE, value="", path="/", max_age=0, secure=secure, samesite="strict"),
    ]
