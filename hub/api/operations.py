"""For those who run the hub: health of the process, metrics, and the tab's event stream."""

from typing import Any

from litestar import Request, Response, get
from litestar.response import Stream

from hub.access.rights import AUDIT_READ, CAMERAS_READ, has_right
from hub.api.language import language_of
from hub.api.security import Caller, authenticate, needs, signed_in
from hub.api.services import Services
from hub.api.ui import problems_page

AnyRequest = Request[Any, Any, Any]

_NEEDED = frozenset({"store", "relay"})


@get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, str]:
    """Answer while the process lives."""
    return {"status": "ok"}


@get("/readyz", include_in_schema=False)
async def readyz(services: Services) -> Response[dict[str, Any]]:
    """Answer 200 when the store and the relay work, else 503 with what does not; without decoding a hub still serves."""
    parts = await services.ready()
    ready = not any(why for name, why in parts.items() if name in _NEEDED)
    shown = {name: why or "ok" for name, why in parts.items()}
    return Response({"ready": ready, "parts": shown}, status_code=200 if ready else 503)


@get("/metrics", include_in_schema=False)
async def metrics(request: AnyRequest, services: Services) -> Response[bytes]:
    """Return Prometheus metrics. Those of single cameras tell which are being watched: not for everybody who asks."""
    relay = services.relay_series
    await relay.refresh()
    more = (relay.workers, relay.cameras) if await _may_see_cameras(request, services) else (relay.workers,)
    return Response(services.metrics.exposition(*more), media_type="text/plain; version=0.0.4")


async def _may_see_cameras(request: AnyRequest, services: Services) -> bool:
    """Tell whether metrics of single cameras are shown: on this machine itself, and to who may read the audit log.

    Raises:
        Problem: ``token_refused``.
    """
    if "authorization" in request.headers:
        principal = (await authenticate(request)).principal
        return has_right(principal, AUDIT_READ) and principal.everywhere
    host = request.client.host if request.client else ""
    # Behind a proxy every request may look as if it came from here.
    return not services.settings.behind_proxy and host in {"127.0.0.1", "::1"}


@get("/docs/problems", include_in_schema=False)
async def problem_codes(request: AnyRequest, services: Services) -> Response[bytes]:
    """Document every problem code."""
    return problems_page(services.texts, language_of(request))


@get(
    "/events",
    guards=[signed_in, needs(CAMERAS_READ)],
    tags=["live"],
    summary="Follow the hub",
    operation_id="follow_hub",
    media_type="text/event-stream",
)
async def tab_events(caller: Caller, services: Services) -> Stream:
    """Send `camera`, `counts` and `view` for one browser tab."""
    feed = services.tabs.open(caller.principal)
    first = [("counts", await services.tabs.counts(caller.principal))]
    return services.streams.respond(feed, first, allowed=caller.still(services))
