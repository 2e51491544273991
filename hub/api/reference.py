"""What everything else refers to: makers, areas, the audit log, incidents."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from adapters.vendors.families import families
from hub.access.rights import AUDIT_READ, CAMERAS_READ, CAMERAS_WRITE
from hub.api.cameras import Limit
from hub.api.schemas import IncidentCreate
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.catalog.types import Incident
from hub.problems import Problem
from hub.store.chain import AuditRecord
from hub.texts import Texts
from standards.observation import rfc3339


class MakersController(Controller):
    """Makers of cameras: what works, what to switch on, or why there is no route."""

    path = "/makers"
    tags = ("onboarding",)
    guards = (signed_in,)

    @get("/", summary="List makers", operation_id="list_makers")
    async def all(self) -> list[dict[str, Any]]:
        """Return every family that the hub knows, in the order in which they are offered."""
        return [
            {
                "id": one.id,
                "label": one.label,
                "route": one.route,
                "advice": one.advice.as_json(),
                "account": one.account.as_json() if one.account else None,
                "why": one.why.as_json() if one.why else None,
                "certainty": one.certainty,
            }
            for one in families()
        ]


class AreasController(Controller):
    """Administrative units."""

    path = "/areas"
    tags = ("areas",)
    guards = (signed_in,)

    @get("/", summary="Find areas", operation_id="list_areas")
    async def all(
        self, services: Services, q: Annotated[str, QueryParameter(max_length=200)] = "", limit: Limit = 100
    ) -> dict[str, Any]:
        """Return areas by name (accents aside) or code."""
        found = await services.areas.find(q, limit)
        items = [
            {"code": one.code, "name": one.name, "level": one.level, "parent": one.parent} for one in found
        ]
        return {"items": items, "next": None, "total": len(items)}


def audit_json(record: AuditRecord, texts: Texts) -> dict[str, Any]:
    """Return one audit record, said in both languages."""
    actor = record.actor.name or record.actor.kind
    params = {"actor": actor, "subject": record.subject, "kind": record.kind, **dict(record.data)}
    key = f"live.audit.{record.kind}"
    return {
        "seq": record.seq,
        "at": record.at,
        "actor": actor,
        "role": record.actor.role,
        "kind": record.kind,
        "subject": record.subject,
        "data": dict(record.data),
        "text": texts.both(key if texts.has(key) else "live.audit.other", params),
        "hash": record.hash,
    }


class AuditController(Controller):
    """The audit log, for inspectors and administrators."""

    path = "/audit"
    tags = ("audit",)
    guards = (signed_in, needs(AUDIT_READ))

    @get("/", summary="The audit log", operation_id="list_audit")
    async def all(
        self,
        *,
        services: Services,
        cursor: Annotated[str, QueryParameter(max_length=40)] = "",
        limit: Limit = 100,
        camera: Annotated[str, QueryParameter(max_length=64)] = "",
        kind: Annotated[str, QueryParameter(max_length=64)] = "",
    ) -> dict[str, Any]:
        """Return records, newest first, and whether the chain is whole."""
        page = await services.audit.page(cursor=cursor, limit=limit, kind=kind, camera=camera)
        state = await services.chain.state()
        return {
            "items": [audit_json(record, services.texts) for record in page.items],
            "next": page.next,
            "total": page.total,
            "chain": {
                "ok": state.ok,
                "checked_to": state.checked_to,
                "broken_at": state.broken_at,
                "why": state.why or None,
            },
        }


def incident_json(incident: Incident) -> dict[str, Any]:
    """Return one incident."""
    return {
        "id": incident.id,
        "number": incident.number,
        "title": incident.title,
        "area": incident.area,
        "camera_ids": list(incident.camera_ids),
        "opened_at": rfc3339(incident.opened_at),
        "closes_at": rfc3339(incident.closes_at),
        "closed_at": rfc3339(incident.closed_at) if incident.closed_at else None,
        "extended": incident.extended,
    }


class IncidentsController(Controller):
    """Incidents: the only key to cameras that are shared on incident."""

    path = "/incidents"
    tags = ("incidents",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="Open incidents", operation_id="list_incidents")
    async def all(self, caller: Caller, services: Services) -> dict[str, Any]:
        """Return the incidents that are open now."""
        if caller.principal.role == "donor":
            raise Problem("forbidden", {"right": "incidents.read"})
        found = await services.incidents.open_now()
        return {"items": [incident_json(one) for one in found], "next": None, "total": len(found)}

    @post("/", guards=[needs(CAMERAS_WRITE)], summary="Open an incident", operation_id="open_incident")
    async def open(
        self, data: JSONBody[IncidentCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Open an incident that covers an area, some cameras, or both; it closes by itself."""
        incident = await services.incidents.open(
            data.number,
            data.title,
            caller.principal.actor(),
            area=data.area,
            camera_ids=tuple(data.camera_ids),
            life=timedelta(minutes=data.minutes),
        )
        return Response(incident_json(incident), status_code=201)

    @post(
        "/{incident_id:str}/close",
        status_code=200,
        guards=[needs(CAMERAS_WRITE)],
        summary="Close an incident",
        operation_id="close_incident",
    )
    async def close(self, incident_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Close it now; views that stand on it end."""
        return incident_json(await services.incidents.close(incident_id, caller.principal.actor()))
