"""What the controllers work with: the hub's services, handed over by the composition root."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from adapters.clock import Clock
from adapters.wire.gate import DeviceBook
from hub.access.accounts import Accounts
from hub.access.audit import AuditLog
from hub.access.tokens import ApiTokens
from hub.api.chain import ChainWatch
from hub.api.errors import Errors
from hub.api.present import Presenter
from hub.api.sse import EventStreams
from hub.api.tabs import TabEvents
from hub.catalog.areas import AreaTable
from hub.catalog.incidents import Incidents
from hub.catalog.service import CatalogService
from hub.compliance.alerts import AlertBook
from hub.compliance.declarations import Declarations
from hub.compliance.reassess import Reassessments
from hub.compliance.rescore import Rescorer
from hub.compliance.statements import Statements
from hub.compliance.trial import Trials
from hub.coordination.port import Coordination
from hub.events.service import CameraEvents
from hub.health.service import HealthService
from hub.live.outputs import Outputs
from hub.live.ptz import Movers
from hub.live.receipts import Receipts
from hub.live.sessions import ViewerSessions
from hub.live.stills import Stills
from hub.live.warm import KeepWarm
from hub.live.whip import Encoders
from hub.live.whip_tokens import PushTokens
from hub.observe import Metrics
from hub.onboarding.discoveries import Discoveries
from hub.onboarding.rechecks import Rechecks
from hub.onboarding.restating import Restating
from hub.onboarding.service import OnboardingService
from hub.relay.events import Finding
from hub.relay.webrtc.turn import TurnSetup
from hub.relay.workers.process import WorkerState
from hub.relay.workers.series import RelaySeries
from hub.reports.area.jobs import ReportJobs
from hub.reports.area.service import AreaReports
from hub.settings import Settings
from hub.store.store import Store
from hub.texts import Texts
from standards.pack import Packs


@dataclass(frozen=True, slots=True)
class ServiceSet:
    """All of them; nothing here is global."""

    settings: Settings
    version: str
    clock: Clock
    texts: Texts
    metrics: Metrics
    store: Store
    coordination: Coordination
    devices: DeviceBook
    accounts: Accounts
    tokens: ApiTokens
    audit: AuditLog
    chain: ChainWatch
    areas: AreaTable
    catalog: CatalogService
    incidents: Incidents
    onboarding: OnboardingService
    alerts: AlertBook
    rechecks: Rechecks
    rescorer: Rescorer
    reassessments: Reassessments
    area_reports: AreaReports
    report_jobs: ReportJobs
    declarations: Declarations
    statements: Statements
    restating: Restating
    trials: Trials
    viewers: ViewerSessions
    warm: KeepWarm
    stills: Stills
    movers: Movers
    outputs: Outputs
    encoders: Encoders
    push_tokens: PushTokens
    camera_events: CameraEvents
    discoveries: Discoveries
    receipts: Receipts
    health: HealthService
    packs: Packs
    presenter: Presenter
    errors: Errors
    streams: EventStreams
    tabs: TabEvents
    ready: Callable[[], Awaitable[dict[str, str]]]  # part -> "" where it works, else why not
    turn: TurnSetup
    examine_relay: Callable[[], Awaitable[tuple[Finding, ...]]]  # raises RelayRefused likewise
    relay_series: RelaySeries
    relay_workers: Callable[[], tuple[WorkerState, ...]]


# in handlers: handed over as it is, not taken apart and checked like a request's data
Services = NamedDependency[SkipValidation[ServiceSet]]
