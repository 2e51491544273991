"""The composition root: builds every part of a hub, wires them, and stops them in the reverse order.

Nothing else constructs services, and nothing here lives longer than the ``async with`` around it::

    async with Hub.start(settings) as hub:
        ...  # hub.url is served
"""

import asyncio
import hashlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
from litestar import Litestar

from adapters.clock import Clock, SystemClock
from adapters.registry import Registry
from adapters.secret import Secret
from adapters.wire.dialer import Dialer
from adapters.wire.gate import CredentialGate
from hub.access.accounts import Accounts, User
from hub.access.audit import AuditLog
from hub.access.principal import Principal
from hub.access.tokens import PROGRAM, ApiTokens
from hub.api.application import build
from hub.api.chain import ChainWatch
from hub.api.cors import WhepCors
from hub.api.envelope import Envelope
from hub.api.errors import Errors
from hub.api.idempotency import IdempotencyBook
from hub.api.present import Presenter
from hub.api.readiness import Readiness
from hub.api.server import HttpServer
from hub.api.services import ServiceSet
from hub.api.sse import EventStreams
from hub.api.tabs import TabEvents
from hub.api.translate import translate
from hub.api.ui import Ui, installed_ui
from hub.catalog.areas import AreaTable
from hub.catalog.incidents import Incidents
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera, Kind
from hub.compliance.alerts import AlertBook
from hub.compliance.checker import Checker
from hub.compliance.declarations import Declarations
from hub.compliance.known import Knowledge
from hub.compliance.reassess import Reassessments
from hub.compliance.rescore import Rescorer
from hub.compliance.standing import Aftermath, Link, Rhythm, StandingFacts
from hub.compliance.statements import Statements
from hub.compliance.trial import Trials
from hub.coordination.factory import coordination_for
from hub.coordination.peers import addresses_of
from hub.decode.limits import MIB
from hub.decode.process import DecodeSetup
from hub.decode.service import DecodeService
from hub.events.book import EventBook
from hub.events.service import CameraEvents
from hub.health.pulls import PullLog
from hub.health.service import HealthService
from hub.live.outputs import LOGIN, Outputs
from hub.live.pictures import StreamPictures
from hub.live.ptz import Movers
from hub.live.receipts import Receipts
from hub.live.sessions import ViewerSessions
from hub.live.source import Sources
from hub.live.stills import Stills
from hub.live.uplink import Uplink, UplinkRules
from hub.live.warm import KeepWarm
from hub.live.whip import Encoders
from hub.live.whip_tokens import PushToken, PushTokens
from hub.observe import Metrics
from hub.onboarding.book import OnboardingBook
from hub.onboarding.declared import consent_gate
from hub.onboarding.discoveries import Discoveries
from hub.onboarding.rechecks import Rechecks
from hub.onboarding.restating import Restating
from hub.onboarding.service import OnboardingService
from hub.packs import read_packs
from hub.relay.events import RelayEvent
from hub.relay.hosts import hosts_to_bind
from hub.relay.outputs.rtsp_door import HandOver, RtspDoor
from hub.relay.outputs.tls_door import Certificate, CertificateRefused, TlsDoor
from hub.relay.webrtc.turn import TurnSetup
from hub.relay.workers.series import RelaySeries
from hub.relay.workers.service import RelayService, RelaySetup
from hub.reports.area.jobs import ReportJobs
from hub.reports.area.service import AreaReports
from hub.reports.signing import SIGNING_KEYS, SigningKeys
from hub.reports.unwritten import ReportWriter
from hub.rulebook import advisories_of, packs_of
from hub.settings import Settings, SettingsRefused
from hub.store.chain import HUB
from hub.store.sealer import Sealer
from hub.store.store import Store
from hub.texts import Texts

KEY_FILE = "keys"
UPKEEP_S = 600.0  # how often sign-ins that ran out are forgotten


@dataclass(frozen=True, slots=True)
class FirstAdministrator:
    """The administrator of a new hub; the password is shown once and kept nowhere."""

    user: User
    password: Secret


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub."""

    settings: Settings
    services: ServiceSet
    litestar: Litestar
    http: HttpServer
    relay: RelayService
    dialer: Dialer
    first_administrator: FirstAdministrator | None

    @property
    def url(self) -> str:
        """Return the address for a browser on this machine."""
        return self.http.url

    @classmethod
    @asynccontextmanager
    async def start(
        cls, settings: Settings, *, clock: Clock | None = None, ui: Path | None = None
    ) -> AsyncIterator["Hub"]:
        """Build, start and serve a hub; leaving the block stops it.

        Raises:
            SettingsRefused: the address, the port or the certificate cannot be used.
            StoreError: the database or the key file cannot be used.
            CoordinationError: Redis cannot be reached.
            RelayUnavailable: the relay worker cannot start.
        """
        settings.check_exposure()
        log = structlog.get_logger("hub")
        async with AsyncExitStack() as stack:
            hub = await _assemble(settings, clock or SystemClock(), ui or installed_ui(), stack)
            await hub.services.audit.append("hub.started", HUB, "hub", {"version": hub.services.version})
            ports = [worker.port for worker in hub.relay.workers()]
            log.info("hub.started", url=hub.url, media_ports=ports, version=hub.services.version)
            yield hub
            log.info("hub.stopping")
        log.info("hub.stopped")


async def _assemble(settings: Settings, clock: Clock, ui: Path, stack: AsyncExitStack) -> Hub:
    """Build all parts in order. Each registers its own end; they end in the reverse order."""
    texts, metrics = Texts.installed(), Metrics()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)

    http = HttpServer(settings)
    http.bind()
    stack.push_async_callback(http.aclose)

    store = await Store.open(settings.database(), clock)
    stack.push_async_callback(store.aclose)
    audit = AuditLog(store)
    stack.push_async_callback(_say_stopped, audit)
    key_file = settings.data_dir / KEY_FILE
    sealer = Sealer.open(key_file)
    redis = settings.redis_url.get_secret_value() if settings.redis_url is not None else None
    coordination = await coordination_for(Secret(redis) if redis else None, clock, store)
    stack.push_async_callback(coordination.aclose)
    bus, book = coordination.bus, coordination.book

    areas = AreaTable(store)
    await areas.ensure(HUB)
    packs = packs_of(settings)
    if settings.standard not in packs.standards():
        known = ", ".join(packs.standards())
        raise SettingsRefused(f"standard: there is no standard {settings.standard!r}; known: {known}")
    if settings.area and await areas.get(settings.area) is None:
        raise SettingsRefused(f"area: the area {settings.area!r} is not in this hub's table")
    accounts = Accounts(store, coordination.limiter, clock, idle=timedelta(hours=settings.login_hours))
    made = await accounts.ensure_administrator()
    tokens = ApiTokens(store, accounts, clock)
    # a measurement of liveness speaks until two more could have come
    holds_s = int(max(900.0, 3 * settings.health.interval_s))
    catalog = CatalogService(store, sealer, bus, clock, health_holds_s=holds_s)
    closed = consent_gate(Kind.HOUSEHOLD, None, clock.now(), texts).reason or {}
    catalog.write_out = ReportWriter(packs, closed)
    reassessments = Reassessments(
        store, bus, clock, packs, files=read_packs(settings.packs) if settings.packs else {}, gate=closed
    )
    stack.push_async_callback(reassessments.aclose)
    signing = SigningKeys.open(settings.data_dir / SIGNING_KEYS)
    area_reports = AreaReports(store, clock, signing, name=settings.name, holds_s=holds_s)
    report_jobs = ReportJobs(area_reports, clock)
    stack.push_async_callback(report_jobs.aclose)
    incidents = Incidents(store, bus)

    # Behind a proxy the HTTP side listens on loopback, and media still comes straight from the browsers.
    relay_host = settings.relay.host or ("0.0.0.0" if settings.behind_proxy else settings.host.strip("[]"))  # noqa: S104
    turn_secret = settings.turn.secret.get_secret_value() if settings.turn.secret is not None else ""
    turn = TurnSetup(tuple(settings.turn.urls), Secret(turn_secret))
    outside = await addresses_of((*coordination.peers, *store.peers))

    def own_listeners() -> frozenset[tuple[str, int]]:
        return (
            frozenset({("*", http.port)})
            | relay.listeners()
            | door.listeners()
            | tls_door.listeners()
            | outside
        )

    dialer = Dialer(settings.networks.policy(), own_listeners)
    gate = CredentialGate(book, clock)
    relay = RelayService(
        RelaySetup(
            hosts=await hosts_to_bind(relay_host),
            port=settings.relay.udp_port,
            workers=settings.relay.processes,
            public_addresses=tuple(settings.relay.public_addresses),
            turn=turn,
            max_transcodes=settings.relay.recoded_at_once,
            max_sounds=settings.relay.sounds,
            encoder=settings.relay.encoder,
            transcode_width=settings.relay.transcode_width,
            transcode_fps=float(settings.relay.transcode_fps),
            transcode_bit_s=settings.relay.transcode_kbit_s * 1000,
            rtsp=settings.relay.gives_rtsp,
            spare=settings.relay.keeps_spare,
            push_kbit_s=settings.relay.push_kbit_s,
            log_level=settings.log_level,
            log_format=settings.log_format,
        ),
        policy=lambda: dialer.policy,
        own_listeners=own_listeners,
        book=book,
        clock=clock,
    )

    async def hand_over(digest: str, sock: socket.socket, address: str) -> None:
        relay.pass_on(await outputs.camera_of(digest), sock, address)

    door, tls_door = RtspDoor(hand_over), _tls_door(settings, hand_over)
    decode = DecodeService(
        DecodeSetup(processes=settings.decode.processes, memory=settings.decode.memory_mb * MIB),
        clock=clock,
        metrics=metrics,
    )
    stack.push_async_callback(decode.aclose)
    decode.start()  # beside the relay; a hub without it serves everything but stills and picture rules, see readyz
    await relay.start()
    stack.push_async_callback(relay.aclose)
    await decode.settled()

    async def person(user_id: str, login: str) -> Principal | None:
        if login.startswith(LOGIN):
            return await outputs.person(login.removeprefix(LOGIN))
        if login.startswith(PROGRAM):
            return await tokens.person(login.removeprefix(PROGRAM))
        return await accounts.principal(user_id) if await accounts.session_lives(login) else None

    def being_probed(camera_id: str) -> bool:
        return onboarding.busy(camera_id) or rechecks.busy(camera_id)

    camera_events = CameraEvents(
        catalog=catalog,
        book=EventBook(store),
        devices=book,
        bus=bus,
        dialer=dialer,
        gate=gate,
        clock=clock,
        metrics=metrics,
        settings=settings.events,
        busy=being_probed,
    )
    push_tokens = PushTokens(store, clock)

    async def check_pushed(camera: Camera, token: PushToken) -> None:
        """Check a camera whose pictures come for the first time, in the name of who let its encoder in."""
        person = await accounts.principal(token.created_by, "token")
        if person is not None:
            await onboarding.recheck(camera, person)

    encoders = Encoders(
        store=store,
        tokens=push_tokens,
        catalog=catalog,
        relay=relay,
        bus=bus,
        limiter=coordination.limiter,
        clock=clock,
        metrics=metrics,
        texts=texts,
        unmeasured=check_pushed,
    )
    registry = Registry.installed()
    receipts = Receipts(store, clock, office=settings.name)
    rules = UplinkRules(
        settings.uplink.sub_only_above_hops,
        tuple(ipaddress.ip_network(one) for one in settings.uplink.lines),
        {Kind(kind): limit for kind, limit in settings.uplink.kbit_s.items()},
        settings.uplink.custodians,
    )
    uplink = Uplink(rules, office=settings.name)
    sources = Sources(catalog, clock, uplink)
    viewers = ViewerSessions(
        catalog=catalog,
        incidents=incidents.covering,
        people=person,
        receipts=receipts,
        relay=relay,
        source=sources.stream,
        bus=bus,
        clock=clock,
        metrics=metrics,
        texts=texts,
        uplink=uplink,
    )
    warm = KeepWarm(
        settings.relay.keep_warm,
        camera=catalog.get,
        source=sources.stream,
        relay=relay,
        uplink=uplink,
        clock=clock,
        texts=texts,
    )
    outputs = Outputs(
        store=store,
        accounts=accounts,
        viewers=viewers,
        bus=bus,
        clock=clock,
        port=lambda: door.port or None,
        secure_port=lambda: tls_door.port or None,
    )
    relay.on_recipient = outputs.take
    declarations, statements = Declarations(store, clock), Statements(store, clock, packs)
    alerts = AlertBook(store, bus, clock)

    def link(camera_id: str) -> Link | None:
        return health.link(camera_id)

    rhythm = Rhythm(settings.rechecks.enabled, settings.rechecks.parsed(), settings.rechecks.by_day())
    standing = StandingFacts(store, catalog, link)
    aftermath = Aftermath(alerts, packs, rhythm, clock)
    knowledge = Knowledge((standing.supply, camera_events.facts, declarations.facts), statements.of)
    rescorer = Rescorer(catalog, packs, knowledge, clock)
    onboarding = OnboardingService(
        store=store,
        book=OnboardingBook(store, sealer),
        catalog=catalog,
        areas=areas,
        checker=Checker(
            registry,
            dialer,
            gate,
            clock,
            packs,
            decode=decode,
            advisories=advisories_of(settings),
            pushes=encoders,
        ),
        knowledge=knowledge,
        standing=standing,
        aftermath=aftermath,
        rescorer=rescorer,
        standards=packs.standards,
        devices=book,
        limiter=coordination.limiter,
        clock=clock,
        texts=texts,
        metrics=metrics,
        at_once=settings.probes_at_once,
        window_s=settings.probe_window_s,
        limit_s=settings.check_limit_s,
        default_area=settings.area,
    )
    restating = Restating(statements, declarations, onboarding, clock)
    rechecks = Rechecks(
        onboarding.parts,
        rhythm,
        alerts,
        at_once=settings.rechecks.at_once,
        confirm_after_s=settings.rechecks.confirm_after_s,
    )
    onboarding.before_recheck = rechecks.yield_to_person
    pulls = PullLog(store, clock)
    health = HealthService(
        catalog=catalog,
        bus=bus,
        dialer=dialer,
        clock=clock,
        texts=texts,
        metrics=metrics,
        settings=settings.health,
        busy=being_probed,
        pushed=encoders.pushed,
    )

    def on_relay_event(event: RelayEvent) -> None:
        encoders.on_relay_event(event)
        viewers.on_relay_event(event)
        health.on_relay_event(event)
        pulls.on_relay_event(event)
        warm.on_relay_event(event)

    relay.on_event = on_relay_event

    movers = Movers(
        catalog=catalog,
        audit=audit,
        dialer=dialer,
        gate=gate,
        limiter=coordination.limiter,
        clock=clock,
        texts=texts,
    )
    discoveries = Discoveries(catalog=catalog, dialer=dialer, limiter=coordination.limiter, clock=clock)
    stack.push_async_callback(discoveries.aclose)
    presenter = Presenter(texts)
    streams = EventStreams(metrics, clock)
    tabs = TabEvents(catalog=catalog, bus=bus, presenter=presenter, watching=viewers.watching, clock=clock)
    services = ServiceSet(
        settings=settings,
        version=version("camhub"),
        clock=clock,
        texts=texts,
        metrics=metrics,
        store=store,
        coordination=coordination,
        devices=book,
        accounts=accounts,
        tokens=tokens,
        audit=audit,
        chain=ChainWatch(audit, clock),
        areas=areas,
        catalog=catalog,
        incidents=incidents,
        onboarding=onboarding,
        alerts=alerts,
        rechecks=rechecks,
        rescorer=rescorer,
        reassessments=reassessments,
        area_reports=area_reports,
        report_jobs=report_jobs,
        declarations=declarations,
        statements=statements,
        restating=restating,
        trials=Trials(rescorer),
        viewers=viewers,
        warm=warm,
        stills=Stills(
            viewers=viewers,
            receipts=receipts,
            sources=sources,
            catalog=catalog,
            pictures=StreamPictures(
                registry=registry,
                dialer=dialer,
                gate=gate,
                warm=relay.key_frame,
                pushes=encoders,
                clock=clock,
            ),
            decode=decode,
            dialer=dialer,
            gate=gate,
            limiter=coordination.limiter,
            clock=clock,
            metrics=metrics,
            texts=texts,
        ),
        movers=movers,
        outputs=outputs,
        encoders=encoders,
        push_tokens=push_tokens,
        camera_events=camera_events,
        discoveries=discoveries,
        receipts=receipts,
        health=health,
        packs=packs,
        presenter=presenter,
        errors=Errors(texts, metrics, partial(translate, texts=texts)),
        streams=streams,
        tabs=tabs,
        ready=Readiness(store, relay, decode).parts,
        turn=turn,
        examine_relay=relay.examine,
        relay_series=RelaySeries(relay.figures),
        relay_workers=relay.workers,
    )
    fingerprints = IdempotencyBook(
        store, clock, hashlib.sha256(b"idempotency" + key_file.read_bytes()).digest()
    )
    litestar = build(services, fingerprints, Ui(ui))

    # What ends first is registered last: views get their end and their receipt while everything still works.
    await viewers.start()
    encoders.start()
    warm.start()
    stack.push_async_callback(warm.aclose)
    await onboarding.recover()
    health.start()
    stack.push_async_callback(health.aclose)
    rechecks.start()
    stack.push_async_callback(rechecks.aclose)
    stack.push_async_callback(pulls.aclose)
    restating.start()
    stack.push_async_callback(restating.aclose)
    camera_events.start()
    stack.push_async_callback(camera_events.aclose)
    tabs.start()
    stack.push_async_callback(tabs.aclose)
    upkeep = asyncio.create_task(_upkeep(accounts, clock), name="upkeep")
    stack.push_async_callback(_cancelled, upkeep)
    reachable = WhepCors(litestar, tuple(settings.whep.origins))
    await http.start(Envelope(reachable, metrics=metrics, clock=clock, secure=settings.secure))
    stack.push_async_callback(http.aclose)
    stack.callback(streams.close)
    stack.push_async_callback(onboarding.aclose)
    stack.push_async_callback(viewers.aclose)
    stack.push_async_callback(encoders.aclose)
    rtsp_host = settings.relay.rtsp_host or relay_host
    if settings.relay.rtsp_port is not None:
        await _listen(door, rtsp_host, settings.relay.rtsp_port, "relay.rtsp_port")
    if settings.relay.rtsps_port is not None:
        await _listen(tls_door, rtsp_host, settings.relay.rtsps_port, "relay.rtsps_port")
    stack.push_async_callback(outputs.aclose)
    stack.push_async_callback(door.aclose)
    stack.push_async_callback(tls_door.aclose)
    stack.push_async_callback(movers.aclose)
    administrator = FirstAdministrator(*made) if made is not None else None
    return Hub(settings, services, litestar, http, relay, dialer, administrator)


def _tls_door(settings: Settings, hand_over: HandOver) -> RtspDoor:
    """Return the door for recipients who come by TLS; one that stays shut where there is to be none.

    Raises:
        SettingsRefused: its certificate cannot be used.
    """
    chain, key = settings.rtsps_certificate
    if settings.relay.rtsps_port is None or chain is None or key is None:
        return RtspDoor(hand_over)
    try:
        return TlsDoor(hand_over, Certificate(chain, key))
    except CertificateRefused as error:
        raise SettingsRefused(f"relay.rtsps_port: {error}") from error


async def _listen(door: RtspDoor, host: str, port: int, name: str) -> None:
    """Open a door for recipients of RTSP.

    Raises:
        SettingsRefused: the port cannot be had.
    """
    try:
        door.start(await hosts_to_bind(host), port)
    except OSError as error:
        raise SettingsRefused(f"{name}: port {port} cannot be bound: {error.strerror}") from error


async def _upkeep(accounts: Accounts, clock: Clock) -> None:
    log = structlog.get_logger("hub")
    while True:
        await clock.sleep(UPKEEP_S)
        try:
            await accounts.forget_ended_sessions()
        except Exception as error:
            log.error("hub.upkeep.failed", exc_info=error)


async def _say_stopped(audit: AuditLog) -> None:
    await audit.append("hub.stopped", HUB, "hub")


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
