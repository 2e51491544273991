"""The outermost layer of every reply: security headers, request metrics, and a last net under errors."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from adapters.clock import Clock
from hub.observe import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "media-src 'self' blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(self), payment=()"),
)
# HSTS only where browsers reach the hub over HTTPS (RFC 6797 7.2: never over plain HTTP).
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


class Envelope:
    """Wraps the application. Replies under ``/api`` are never cached unless they say so themselves."""

    def __init__(self, app: AsgiApp, *, metrics: Metrics, clock: Clock, secure: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock
        self._headers = (*HEADERS, STRICT_TRANSPORT) if secure else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.monotonic()
        status = 0
        stream = False

        async def sending(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers.extend(pair for pair in self._headers if pair[0] not in present)
                if b"cache-control" not in present and str(scope.get("path", "")).startswith("/api"):
                    headers.append((b"cache-control", b"no-store"))
                stream = any(
                    name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in headers
                )
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            status = status or 499  # the client left before the reply
            raise
        finally:
            method = str(scope.get("method", ""))
            method = (
                method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
            )
            # the template, never the path: labels stay a closed set
            route = str(scope.get("path_template") or "unmatched")
            self._metrics.requests.labels(method, route, str(status or 500)).inc()
            if not stream:
                self._metrics.request_seconds.labels(method, route).observe(self._clock.monotonic() - began)
