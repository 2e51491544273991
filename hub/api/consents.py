"""Consents: record, withdraw, read; and the text that owners sign."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.access.rights import CONSENTS_WRITE, may_read_views, may_record_consent
from hub.api.cameras import visible
from hub.api.forms import consent_of
from hub.api.language import language_of
from hub.api.present import consent_out
from hub.api.schemas import ConsentCreate
from hub.api.security import Caller, signed_in
from hub.api.services import Services
from hub.catalog.consent import current_text
from hub.problems import Problem
from hub.store.errors import ServiceError


class ConsentsController(Controller):
    """What owners agreed to."""

    path = "/consents"
    tags = ("consents",)
    guards = (signed_in,)

    @get("/", summary="A camera's consents", operation_id="list_consents")
    async def all(
        self,
        caller: Caller,
        services: Services,
        camera: Annotated[str, QueryParameter(min_length=1, max_length=64)],
    ) -> dict[str, Any]:
        """Return all versions of a camera's consent, newest first."""
        found = await visible(camera, caller, services)
        allowed = may_record_consent(caller.principal, found) or may_read_views(caller.principal, found)
        if not allowed:
            raise Problem("forbidden", {"right": "consents.read"})
        now = services.clock.now()
        consents = await services.catalog.consents(camera)
        items = [consent_out(one, now) for one in consents]
        return {"items": items, "next": None, "total": len(items)}

    @get("/text", summary="The text in force", operation_id="consent_text")
    async def text(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Return the text that is signed today."""
        language = language_of(request)
        text = current_text()
        return {"version": text.version, "hash": text.hash, "text": text.said(language), "lang": language}

    @post("/", summary="Record a consent", operation_id="give_consent")
    async def give(
        self, data: JSONBody[ConsentCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Record what the owner signed; a version before it is superseded."""
        camera = await visible(data.camera_id, caller, services)
        if not may_record_consent(caller.principal, camera):
            raise Problem("forbidden", {"right": CONSENTS_WRITE})
        consent = await services.catalog.give_consent(camera.id, consent_of(data), caller.principal.actor())
        await services.onboarding.redecide(camera.id, caller.principal.actor())
        await services.viewers.recheck(camera.id)
        return Response(consent_out(consent, services.clock.now()), status_code=201)

    @post("/{consent_id:str}/withdraw", status_code=200, summary="Withdraw", operation_id="withdraw_consent")
    async def withdraw(self, consent_id: FromPath[str], caller: Caller, services: Services) -> dict[str, Any]:
        """End a consent now; running views are cut before the reply."""
        unknown = Problem("not_found", {"what": {"vi": "bản đồng ý", "en": "consent"}})
        try:
            consent = await services.catalog.consent(consent_id)
        except ServiceError as error:
            raise unknown from error
        camera = await visible(consent.camera_id, caller, services)
        if not may_record_consent(caller.principal, camera):
            raise Problem("forbidden", {"right": CONSENTS_WRITE})
        ended = await services.catalog.withdraw_consent(consent_id, caller.principal.actor())
        await services.viewers.recheck(camera.id)
        return consent_out(ended, services.clock.now())
