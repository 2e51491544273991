"""Alerts about cameras that changed, and measured up-time."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import Field

from hub.access.principal import Principal
from hub.access.rights import AUDIT_READ, CAMERAS_READ, CAMERAS_WRITE, has_right, may_change_entry
from hub.api.cameras import Limit, visible
from hub.api.schemas import Body, Line
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.catalog.schedule import VIETNAM
from hub.catalog.uptime import Share, days, outages, share
from hub.compliance.alerts import Alert, AlertQuery
from hub.problems import Problem
from hub.store.errors import ServiceError
from standards.observation import rfc3339

SHOWN_DAYS = 90
SPANS = (30, 90)  # days
MAX_OUTAGES = 20
MAX_NOTE = 500

Severity = Annotated[
    Literal["", "info", "warning", "critical"], QueryParameter(description="only those of this severity")
]
State = Annotated[
    Literal["open", "acknowledged", "all"], QueryParameter(name="state", description="open ones, unless said")
]
Kind = Annotated[str, QueryParameter(max_length=32)]
OfCamera = Annotated[str, QueryParameter(max_length=64)]
Cursor = Annotated[str, QueryParameter(max_length=64)]


class AcknowledgeBody(Body):
    """What the person says about it."""

    note: Annotated[Line, Field(max_length=MAX_NOTE)] = ""


class AlertsController(Controller):
    """What changed on cameras, until somebody has seen it."""

    path = "/alerts"
    tags = ("alerts",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="Alerts", operation_id="list_alerts")
    async def all(
        self,
        *,
        caller: Caller,
        services: Services,
        in_state: State = "open",
        severity: Severity = "",
        kind: Kind = "",
        camera: OfCamera = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Return alerts of the cameras that this person works on, newest first."""
        _may_know(caller.principal)
        if camera:
            await visible(camera, caller, services)
        page = await services.alerts.page(
            AlertQuery(caller.principal.scope(), camera, severity, kind, in_state, cursor, limit)
        )
        items = [one.as_json(services.texts) for one in page.items]
        return {"items": items, "next": page.next, "total": page.total}

    @post(
        "/{alert_id:str}/acknowledge",
        status_code=200,
        summary="Acknowledge an alert",
        operation_id="acknowledge_alert",
    )
    async def acknowledge(
        self, alert_id: FromPath[str], data: JSONBody[AcknowledgeBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Record that it was seen; one that was acknowledged before stays as it was."""
        found = await self._visible(alert_id, caller, services)
        camera = await visible(found.camera_id, caller, services)
        if not may_change_entry(caller.principal, camera):
            raise Problem("forbidden", {"right": CAMERAS_WRITE})
        done = await services.alerts.acknowledge(alert_id, data.note, caller.principal.actor())
        return done.as_json(services.texts)

    @staticmethod
    async def _visible(alert_id: str, caller: Caller, services: Services) -> Alert:
        unknown = Problem("not_found", {"what": {"vi": "cảnh báo", "en": "alert"}})
        if len(alert_id) > 64:
            raise unknown
        try:
            found = await services.alerts.get(alert_id)
            await visible(found.camera_id, caller, services)
        except (ServiceError, Problem) as error:
            raise unknown from error
        return found


class UptimeController(Controller):
    """Measured up-time of one camera."""

    path = "/cameras/{camera_id:str}/uptime"
    tags = ("cameras",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="Measured up-time", operation_id="get_uptime")
    async def one(self, camera_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return the last 90 days: known to live, known not to, not known; by day and in all."""
        camera = await visible(camera_id, caller, services)
        now = services.clock.now()
        today = now.astimezone(VIETNAM).date()
        since = now - timedelta(days=SHOWN_DAYS + 1)
        log = await services.catalog.health_log(camera.id, since)
        until = int(now.timestamp())
        strip = days(log, today - timedelta(days=SHOWN_DAYS - 1), today, until, VIETNAM)
        spans = {
            str(span): _share_json(share(log, int((now - timedelta(days=span)).timestamp()), until))
            for span in SPANS
        }
        return {
            "as_of": rfc3339(now),
            "measured_at": rfc3339(camera.measured.measured_at) if camera.measured.measured_at else None,
            "spans": spans,
            "days": [{"date": day.isoformat(), **_share_json(spent)} for day, spent in strip],
            "outages": [
                {
                    "since": rfc3339(datetime.fromtimestamp(one.since, UTC)),
                    "until": rfc3339(datetime.fromtimestamp(one.until, UTC))
                    if one.until is not None
                    else None,
                    "state": one.state,
                }
                for one in outages(log, int(since.timestamp()), until)[:MAX_OUTAGES]
            ],
        }


def _share_json(spent: Share) -> dict[str, Any]:
    return {
        "up_s": spent.up,
        "down_s": spent.down,
        "unknown_s": spent.unknown,
        "ratio": None if spent.ratio is None else round(spent.ratio, 5),
    }


def _may_know(reader: Principal) -> None:
    """Alerts are for those who work on cameras, look after the hub, or own the camera.

    Raises:
        Problem: ``forbidden``.
    """
    if has_right(reader, CAMERAS_WRITE) or has_right(reader, AUDIT_READ) or reader.custodian_id is not None:
        return
    raise Problem("forbidden", {"right": CAMERAS_WRITE})
