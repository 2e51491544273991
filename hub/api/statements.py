"""Waivers and attestations: proposed by one person, approved by another."""

from typing import Annotated, Any, Literal

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.access.rights import CAMERAS_READ
from hub.api.cameras import Limit
from hub.api.days import begins, ends
from hub.api.schemas import AttestationCreate, ReasonBody, WaiverCreate
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.compliance.selector import Selector
from hub.compliance.statement import NewAttestation, NewWaiver, Sort, Statement
from hub.problems import Problem
from hub.store.errors import ServiceError
from standards.observation import rfc3339

State = Annotated[
    Literal["", "proposed", "active", "expired", "rejected", "revoked"],
    QueryParameter(name="state", description="only those in this state"),
]
Rule = Annotated[str, QueryParameter(max_length=16)]
OfCamera = Annotated[str, QueryParameter(max_length=64)]
Cursor = Annotated[str, QueryParameter(max_length=500)]


class WaiversController(Controller):
    """Rules set aside for some cameras until a date. A waiver never changes a verdict."""

    path = "/waivers"
    tags = ("statements",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="Waivers", operation_id="list_waivers")
    async def all(
        self,
        *,
        caller: Caller,
        services: Services,
        in_state: State = "",
        rule: Rule = "",
        camera: OfCamera = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Return waivers, newest proposal first, and how many there are in each state."""
        return await _page(
            Sort.WAIVER,
            caller,
            services,
            state=in_state,
            rule=rule,
            camera_id=camera,
            cursor=cursor,
            limit=limit,
        )

    @post("/", summary="Propose a waiver", operation_id="propose_waiver")
    async def propose(
        self, data: JSONBody[WaiverCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Propose; nothing is waived before another person approves."""
        given = data.selector.model_dump(exclude_none=True) if data.selector is not None else {}
        new = NewWaiver(
            rule=data.rule,
            selector=Selector.of(given),
            justification=data.justification,
            authority=data.authority,
            compensating_control=data.compensating_control,
            expires=ends(data.expires),
        )
        made = await services.statements.propose_waiver(new, caller.principal)
        return Response(await _out(made, caller, services), status_code=201)

    @get("/{waiver_id:str}", summary="One waiver", operation_id="get_waiver")
    async def one(self, waiver_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return one waiver."""
        return await _out(await _found(Sort.WAIVER, waiver_id, caller, services), caller, services)

    @post("/{waiver_id:str}/approve", status_code=200, summary="Approve", operation_id="approve_waiver")
    async def approve(self, waiver_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Approve what somebody else proposed; the cameras are judged again without a packet."""
        return await _decided(Sort.WAIVER, waiver_id, caller, services, act="approve")

    @post("/{waiver_id:str}/reject", status_code=200, summary="Reject", operation_id="reject_waiver")
    async def reject(
        self, waiver_id: FromPath[str], data: JSONBody[ReasonBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Reject a proposal, with a reason; who proposed it may take it back so."""
        return await _decided(Sort.WAIVER, waiver_id, caller, services, act="reject", reason=data.reason)

    @post("/{waiver_id:str}/revoke", status_code=200, summary="Revoke", operation_id="revoke_waiver")
    async def revoke(
        self, waiver_id: FromPath[str], data: JSONBody[ReasonBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """End it now, with a reason; the failures are plain again."""
        return await _decided(Sort.WAIVER, waiver_id, caller, services, act="revoke", reason=data.reason)


class AttestationsController(Controller):
    """Papers behind a rule's outcome. An attestation never changes a verdict."""

    path = "/attestations"
    tags = ("statements",)
    guards = (signed_in, needs(CAMERAS_READ))

    @get("/", summary="Attestations", operation_id="list_attestations")
    async def all(
        self,
        *,
        caller: Caller,
        services: Services,
        in_state: State = "",
        rule: Rule = "",
        camera: OfCamera = "",
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Return attestations, newest proposal first, and how many there are in each state."""
        return await _page(
            Sort.ATTESTATION,
            caller,
            services,
            state=in_state,
            rule=rule,
            camera_id=camera,
            cursor=cursor,
            limit=limit,
        )

    @post("/", summary="Propose an attestation", operation_id="propose_attestation")
    async def propose(
        self, data: JSONBody[AttestationCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Propose; it counts once another person has approved it."""
        new = NewAttestation(
            rule=data.rule,
            camera_id=data.camera_id,
            author=data.author,
            role=data.role,
            explanation=data.explanation,
            declared=begins(data.date),
            valid_until=ends(data.valid_until),
            attachment_sha256=data.attachment_sha256,
        )
        made = await services.statements.propose_attestation(new, caller.principal)
        return Response(await _out(made, caller, services), status_code=201)

    @get("/{attestation_id:str}", summary="One attestation", operation_id="get_attestation")
    async def one(self, attestation_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """Return one attestation."""
        return await _out(await _found(Sort.ATTESTATION, attestation_id, caller, services), caller, services)

    @post(
        "/{attestation_id:str}/approve",
        status_code=200,
        summary="Approve",
        operation_id="approve_attestation",
    )
    async def approve(
        self, attestation_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Approve what somebody else proposed."""
        return await _decided(Sort.ATTESTATION, attestation_id, caller, services, act="approve")

    @post(
        "/{attestation_id:str}/reject", status_code=200, summary="Reject", operation_id="reject_attestation"
    )
    async def reject(
        self, attestation_id: FromPath[str], data: JSONBody[ReasonBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Reject a proposal, with a reason; who proposed it may take it back so."""
        return await _decided(
            Sort.ATTESTATION, attestation_id, caller, services, act="reject", reason=data.reason
        )

    @post(
        "/{attestation_id:str}/revoke", status_code=200, summary="Revoke", operation_id="revoke_attestation"
    )
    async def revoke(
        self, attestation_id: FromPath[str], data: JSONBody[ReasonBody], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """End it now, with a reason."""
        return await _decided(
            Sort.ATTESTATION, attestation_id, caller, services, act="revoke", reason=data.reason
        )


async def _page(kind: Sort, caller: Caller, services: Services, **query: Any) -> dict[str, Any]:
    page = await services.statements.page(kind, caller.principal, **query)
    return {
        "items": [await _out(one, caller, services) for one in page.items],
        "next": page.next,
        "total": page.total,
        "counts": await services.statements.counts(kind, caller.principal),
    }


async def _found(kind: Sort, statement_id: str, caller: Caller, services: Services) -> Statement:
    what = (
        {"vi": "đề nghị miễn áp dụng", "en": "waiver"}
        if kind is Sort.WAIVER
        else {"vi": "bản cam kết", "en": "attestation"}
    )
    unknown = Problem("not_found", {"what": what})
    try:
        found = await services.statements.get(statement_id, caller.principal)
    except ServiceError as error:
        raise unknown from error
    if found.kind is not kind:
        raise unknown
    return found


async def _decided(
    kind: Sort, statement_id: str, caller: Caller, services: Services, *, act: str, reason: str = ""
) -> dict[str, Any]:
    found = await _found(kind, statement_id, caller, services)
    who = caller.principal
    if act == "approve":
        decided = await services.statements.approve(found.id, who)
    elif act == "reject":
        decided = await services.statements.reject(found.id, who, reason)
    else:
        decided = await services.statements.revoke(found.id, who, reason)
    if act != "reject":
        await services.restating.after(decided.selector)
    return await _out(decided, caller, services)


async def _out(one: Statement, caller: Caller, services: Services) -> dict[str, Any]:
    now, who = services.clock.now(), caller.principal
    camera = await services.catalog.find(one.camera_id) if one.camera_id else None
    rule = services.packs.rules.get(one.rule)
    state = one.state(now)
    area = await services.areas.get(one.area_code) if one.area_code else None
    path = area.path if area is not None else ()
    why = services.statements.why_not(one, who, path, owner=camera.custodian.id if camera is not None else "")
    hidden = who.role == "donor" and one.proposed_by != who.user_id
    label = one.selector.value
    if camera is not None:
        label = camera.name
    elif area is not None:
        label = area.name
    return {
        "id": one.id,
        "kind": str(one.kind),
        "rule": one.rule,
        "rule_title": rule.title.as_json() if rule is not None else None,
        "selector": one.selector.as_json(),
        "selector_label": label,
        "camera_id": one.camera_id,
        **one.data,
        "created": rfc3339(one.starts_at),
        "expires": rfc3339(one.expires_at),
        "state": state,
        "proposed_by": None if hidden else one.proposer,
        "proposed_at": rfc3339(one.proposed_at),
        "mine": one.proposed_by == who.user_id,
        "decided_by": None if who.role == "donor" else one.decider,
        "decided_at": rfc3339(one.decided_at) if one.decided_at else None,
        "reason": one.reason or None,
        "may": {
            "approve": state == "proposed" and not why,
            "reject": state == "proposed" and (not why or one.proposed_by == who.user_id),
            "revoke": state == "active" and why in ("", "own"),
        },
        "why_not": why or None,
    }
