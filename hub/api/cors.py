"""Cross-origin requests of WHEP players and WHIP encoders that other sites embed (Fetch standard, section 3.2).

Only the kinds of address that such a client needs, only for the origins that the operator listed, and never with
cookies: another site's page authenticates with a token of its own.
"""

import re

from hub.api.envelope import AsgiApp, Message, Receive, Scope, Send

_PATHS = re.compile(r"/api/v1/(cameras/[^/]+/whep|sessions/[^/]+(/events|/layer)?)|/whip/[^/]+(/[^/]+)?")
_METHODS = b"GET, POST, PATCH, PUT, DELETE, OPTIONS"
_HEADERS = b"authorization, content-type, if-match, last-event-id"
_EXPOSED = b"location, etag, link, accept-patch, accept-post, retry-after"
_MAX_AGE_S = b"600"


class WhepCors:
    """Wraps the application. Without origins it changes nothing."""

    def __init__(self, app: AsgiApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if not self._origins or scope["type"] != "http" or not _PATHS.fullmatch(str(scope.get("path", ""))):
            await self._app(scope, receive, send)
            return
        given = {name.lower(): value for name, value in scope.get("headers", ())}
        origin = given.get(b"origin", b"")
        allowed = origin in self._origins
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in given:
            headers = [(b"vary", b"origin"), (b"content-length", b"0")]
            if allowed:
                headers += [
                    (b"access-control-allow-origin", origin),
                    (b"access-control-allow-methods", _METHODS),
                    (b"access-control-allow-headers", _HEADERS),
                    (b"access-control-max-age", _MAX_AGE_S),
                ]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"vary", b"origin")]
                if allowed:
                    headers += [
                        (b"access-control-allow-origin", origin),
                        (b"access-control-expose-headers", _EXPOSED),
                    ]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, sending)
