"""The Litestar application: routes, guards, errors, OpenAPI. Built once per hub from its services."""

from typing import Any

from litestar import Litestar, Request, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Contact, License, SecurityScheme, Tag

from hub.api.alerts import AlertsController, UptimeController
from hub.api.assessments import AssessmentsController
from hub.api.cameras import CamerasController, CustodiansController
from hub.api.consents import ConsentsController
from hub.api.declarations import DeclarationsController
from hub.api.discoveries import DiscoveriesController
from hub.api.events import CameraEventsController
from hub.api.idempotency import Idempotency, IdempotencyBook
from hub.api.live import LiveController
from hub.api.login import LoginController, MeController
from hub.api.masks import MasksController
from hub.api.mse import watch_by_mse
from hub.api.onboardings import OnboardingsController
from hub.api.operations import healthz, metrics, problem_codes, readyz, tab_events
from hub.api.outputs import OutputsController
from hub.api.ptz import PtzController
from hub.api.reference import (
    AreasController,
    AuditController,
    IncidentsController,
    MakersController,
)
from hub.api.reports import ReassessmentsController, ReportsController, well_known_hub
from hub.api.security import SignedInCaller, authenticate, caller_name, services_of
from hub.api.services import ServiceSet
from hub.api.standards import StandardsController
from hub.api.statements import AttestationsController, WaiversController
from hub.api.tokens import MyTokensController, TokensController
from hub.api.ui import Ui, ui_handler, ui_start
from hub.api.users import UsersController
from hub.api.whip import PushTokensController, WhipController

BASE = "/api/v1"
MAX_BODY = 256 * 1024
TAGS = {
    "people": "Sign-in, oneself, people",
    "cameras": "The catalog",
    "onboarding": "Cameras on their way in",
    "alerts": "What changed on cameras",
    "assessments": "Findings, decisions, reports",
    "reports": "Reports of areas, signatures, judging again",
    "live": "WHEP, viewer sessions, stills, events",
    "consents": "What owners agreed to",
    "declarations": "What people state about a camera",
    "statements": "Waivers and attestations",
    "incidents": "What opens cameras shared on incident",
    "standards": "Rule packs",
    "areas": "Administrative units",
    "audit": "The hash-chained log",
}


async def provide_caller(request: Request[Any, Any, Any]) -> SignedInCaller:
    """Return who calls."""
    return await authenticate(request)


async def provide_services(request: Request[Any, Any, Any]) -> ServiceSet:
    """Return the services of this application."""
    return services_of(request)


def build(services: ServiceSet, idempotency: IdempotencyBook, ui: Ui) -> Litestar:
    """Return the application."""

    api = Router(
        BASE,
        route_handlers=[
            LoginController,
            MeController,
            UsersController,
            MyTokensController,
            TokensController,
            CamerasController,
            CustodiansController,
            AlertsController,
            UptimeController,
            AssessmentsController,
            ReportsController,
            ReassessmentsController,
            OnboardingsController,
            LiveController,
            watch_by_mse,
            PtzController,
            MasksController,
            OutputsController,
            PushTokensController,
            CameraEventsController,
            DiscoveriesController,
            ConsentsController,
            DeclarationsController,
            WaiversController,
            AttestationsController,
            IncidentsController,
            StandardsController,
            MakersController,
            AreasController,
            AuditController,
            tab_events,
        ],
        middleware=[Idempotency(caller_name)],
        dependencies={"caller": Provide(provide_caller)},
        security=[{"session": []}, {"token": []}],
    )
    return Litestar(
        route_handlers=[
            api,
            WhipController,
            well_known_hub,
            healthz,
            readyz,
            metrics,
            problem_codes,
            ui_start,
            ui_handler,
        ],
        dependencies={"services": Provide(provide_services)},
        exception_handlers=services.errors.handlers(),
        request_max_body_size=MAX_BODY,
        openapi_config=OpenAPIConfig(
            title="camhub",
            version=services.version,
            description="Cameras that exist: onboarded, checked, catalogued, shown live.",
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
            contact=Contact(name="The camhub authors"),
            path="/schema",
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
            tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
            components=Components(
                security_schemes={
                    "session": SecurityScheme(
                        type="apiKey", name="camhub_session", security_scheme_in="cookie"
                    ),
                    "token": SecurityScheme(type="http", scheme="bearer"),
                    "push": SecurityScheme(
                        type="http", scheme="bearer", description="a publishing token of the camera"
                    ),
                }
            ),
        ),
        state=State({"services": services, "ui": ui, "idempotency": idempotency}),
        logging_config=None,
        debug=False,
    )
