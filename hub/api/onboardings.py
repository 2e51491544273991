"""Onboardings: offer a camera, follow its steps, cancel, retry, keep."""

from typing import Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from hub.access.principal import Principal
from hub.access.rights import CAMERAS_WRITE
from hub.api.forms import check_place, consent_of, credential_of, custodian_of, origin_of, position_of
from hub.api.language import language_of
from hub.api.schemas import ChannelsBody, OnboardingCreate, RetryBody
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.feeds import Event
from hub.onboarding.book import Onboarding
from hub.onboarding.intake import Intake
from hub.problems import Problem

AnyRequest = Request[Any, Any, Any]


def onboarding_json(entry: Onboarding, services: Services, language: str) -> dict[str, Any]:
    """Return an `Onboarding` of the HTTP API, its problem in the reader's language."""
    problem = entry.problem_value()
    return entry.as_json(problem.as_json(services.texts, language) if problem is not None else None)


def _mine(entry: Onboarding, reader: Principal) -> None:
    """Refuse somebody else's onboarding, except to those who see the whole hub."""
    if entry.started_by != reader.user_id and not reader.everywhere:
        raise Problem("not_found", {"what": {"vi": "lần tiếp nhận", "en": "onboarding"}})


class OnboardingsController(Controller):
    """Cameras on their way into the catalog."""

    path = "/onboardings"
    tags = ("onboarding",)
    guards = (signed_in, needs(CAMERAS_WRITE))

    @post("/", summary="Offer a camera", operation_id="start_onboarding")
    async def start(
        self, request: AnyRequest, data: JSONBody[OnboardingCreate], caller: Caller, services: Services
    ) -> Response[dict[str, Any]]:
        """Record the permission, then probe, assess and admit; the reply comes at once."""
        if data.permission is None:
            raise Problem("permission_needed", field="permission")
        area = data.area or services.settings.area or None
        await check_place(caller, services, area)
        intake = Intake(
            address=data.address,
            custodian=await custodian_of(data.custodian, services),
            granted_by=data.permission.granted_by,
            basis=data.permission.basis,
            name=data.name or "",
            area=area,
            position=position_of(data.position),
            sub_address=data.sub_address or "",
            consent=consent_of(data.consent) if data.consent is not None else None,
            standard=data.standard or services.settings.standard,
            keep_unreachable=data.keep_unreachable,
            vendor=data.vendor,
            ports=data.permission.ports,
            origin=origin_of(data.origin),
        )
        entry = await services.onboarding.start(
            intake, credential_of(data.username, data.password), caller.principal
        )
        return Response(
            onboarding_json(entry, services, language_of(request)),
            status_code=201,
            headers={"location": f"/api/v1/onboardings/{entry.id}"},
        )

    @get("/{onboarding_id:str}", summary="One onboarding", operation_id="get_onboarding")
    async def one(
        self, request: AnyRequest, onboarding_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Return how far it is."""
        entry = await services.onboarding.get(onboarding_id)
        _mine(entry, caller.principal)
        return onboarding_json(entry, services, language_of(request))

    @get(
        "/{onboarding_id:str}/events",
        summary="Follow an onboarding",
        operation_id="follow_onboarding",
        media_type="text/event-stream",
    )
    async def events(
        self, request: AnyRequest, onboarding_id: FromPath[str], caller: Caller, services: Services
    ) -> Stream:
        """Send `step`, `courtesy`, and at the end `done` with the whole onboarding."""
        entry, feed = await services.onboarding.subscribe(onboarding_id)
        try:
            _mine(entry, caller.principal)
        except Problem:
            feed.close()
            raise
        language = language_of(request)
        first: list[Event] = [("step", step) for step in entry.steps]
        first.append(("courtesy", dict(entry.courtesy)))
        if entry.state != "running":
            first.append(("done", onboarding_json(entry, services, language)))
            feed.close()

        async def said(event: Event) -> Event:
            name, data = event
            if name == "done":
                return name, onboarding_json(await services.onboarding.get(onboarding_id), services, language)
            return name, data

        return services.streams.respond(feed, first, allowed=caller.still(services), said=said)

    @delete("/{onboarding_id:str}", status_code=200, summary="Cancel", operation_id="cancel_onboarding")
    async def cancel(
        self, request: AnyRequest, onboarding_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Cancel; one that has ended stays as it is."""
        _mine(await services.onboarding.get(onboarding_id), caller.principal)
        entry = await services.onboarding.cancel(onboarding_id)
        return onboarding_json(entry, services, language_of(request))

    @post("/{onboarding_id:str}/retry", status_code=200, summary="Retry", operation_id="retry_onboarding")
    async def retry(
        self,
        request: AnyRequest,
        onboarding_id: FromPath[str],
        caller: Caller,
        services: Services,
        data: JSONBody[RetryBody | None] = None,
    ) -> dict[str, Any]:
        """Run a failed or cancelled one again; another user name or password ends the cool-down."""
        _mine(await services.onboarding.get(onboarding_id), caller.principal)
        credential = credential_of(data.username, data.password) if data is not None else None
        entry = await services.onboarding.retry(onboarding_id, credential, caller.principal)
        return onboarding_json(entry, services, language_of(request))

    @get("/{onboarding_id:str}/channels", summary="Other cameras of a recorder", operation_id="list_channels")
    async def channels(
        self, onboarding_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Return the other video sources that the device told, each with its camera where it is enrolled."""
        entry = await services.onboarding.get(onboarding_id)
        _mine(entry, caller.principal)
        items = []
        for channel in entry.channels:
            camera = await services.catalog.at_address(channel["address"])
            items.append({"name": "", **channel, "camera_id": camera.id if camera is not None else None})
        return {"items": items, "next": None, "total": len(items)}

    @post("/{onboarding_id:str}/channels", summary="Take in more cameras", operation_id="enrol_channels")
    async def enrol(
        self,
        request: AnyRequest,
        onboarding_id: FromPath[str],
        data: JSONBody[ChannelsBody],
        caller: Caller,
        services: Services,
    ) -> dict[str, Any]:
        """Take in chosen cameras of a recorder one after the other, with the account and the leave of the first."""
        _mine(await services.onboarding.get(onboarding_id), caller.principal)
        begun = await services.onboarding.enrol_channels(onboarding_id, data.sources, caller.principal)
        language = language_of(request)
        items = [onboarding_json(entry, services, language) for entry in begun]
        return {"items": items, "next": None, "total": len(items)}

    @post("/{onboarding_id:str}/keep", status_code=200, summary="Keep", operation_id="keep_onboarding")
    async def keep(
        self, request: AnyRequest, onboarding_id: FromPath[str], caller: Caller, services: Services
    ) -> dict[str, Any]:
        """Write a failed one into the catalog as PENDING."""
        _mine(await services.onboarding.get(onboarding_id), caller.principal)
        entry = await services.onboarding.keep(onboarding_id, caller.principal)
        return onboarding_json(entry, services, language_of(request))
