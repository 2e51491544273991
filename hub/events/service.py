"""Pulls the events of municipal cameras: one subscription per device, gently, and only while it may.

A device (a recorder with several cameras is one) has one connection and one PullPoint. It is let go at once when its
camera is removed, paused, no longer admitted or switched off, and while the camera is checked. A camera that fails is
tried again later and later; one that refused its password not before its cool-down is over. Nothing is ever
subscribed for a donated camera, nor before admission: the adapter demands an `Actuation`, which is made here alone.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AddressRefused,
    AuthenticationFailed,
    CameraFault,
    CoolingDown,
    NotPermitted,
    PermissionDenied,
    Unsupported,
)
from adapters.onvif.events import DeviceEvent, EventSource
from adapters.port import Actuation, ProbeContext
from adapters.target import parse_target
from adapters.wire.dialer import Dialer
from adapters.wire.gate import COOL_DOWN, CredentialGate, DeviceBook, device_key
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera, CameraQuery
from hub.coordination.port import LOST, EventBus
from hub.events.book import CameraEvent, EventBook
from hub.events.kinds import active_of, kind_of
from hub.events.measures import Measures
from hub.events.wanted import why_not
from hub.observe import Metrics
from hub.settings import Events
from hub.store.store import new_id
from standards.observation import Observation, parse_rfc3339

CAMERA_EVENT: Final = "camera.event"  # bus topic: {"camera_id", "event"}
OPENING_S: Final = 30.0
LIST_EVERY_S: Final = 300.0  # everything is looked over again, should a hint have been lost
TEND_EVERY_S: Final = 0.5
WRITE_EVERY_S: Final = 2.0
SPREAD_S: Final = 3.0  # over which the first connections of a starting hub are spread
FIRST_WAIT_S: Final = 5.0
LONGEST_WAIT_S: Final = 600.0
SLOT_WAIT_S: Final = 900.0  # every pull point of the camera is taken
NEVER_WAIT_S: Final = 6 * 3600.0  # it has no event service; a new firmware may
STEADY_S: Final = 120.0  # a session that lasted so long makes the next wait short again
BURST: Final = 20  # events of one device at once; then one a second
AT_ONCE: Final = 8  # openings side by side
SLOT_S: Final = 60.0  # of the lease by which one node of several pulls a device
MAX_STATES: Final = 256  # topics with their sources, per device
MAX_TEXT: Final = 256


@dataclass(frozen=True, slots=True)
class Status:
    """How a camera's events stand: `off`, `connecting`, `listening`, `waiting`. `code` says why, `until` for how long."""

    state: str
    code: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Member:
    """One camera of a device."""

    camera: Camera
    source: str  # token of its video source, "" where it is not known
    alone: bool  # the device has no other video source


@dataclass(slots=True)
class _Device:
    """One device that is subscribed to."""

    key: str
    status: Status
    measures: Measures
    members: dict[str, _Member] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    held: bool = False  # a check runs: let go until it has ended
    states: dict[tuple[str, str], bool] = field(
        default_factory=dict
    )  # topic and source -> what was told last
    allowance: float = BURST
    counted_s: float = 0.0


class _TakenElsewhere(Exception):
    """Another node pulls this device."""


class CameraEvents:
    """Follows every camera that it may follow."""

    def __init__(
        self,
        *,
        catalog: CatalogService,
        book: EventBook,
        devices: DeviceBook,
        bus: EventBus,
        dialer: Dialer,
        gate: CredentialGate,
        clock: Clock,
        metrics: Metrics,
        settings: Events,
        busy: Callable[[str], bool],
    ) -> None:
        self._catalog = catalog
        self.book = book
        self._slots = devices
        self._bus = bus
        self._dialer = dialer
        self._gate = gate
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._busy = busy
        self._devices: dict[str, _Device] = {}
        self._homes: dict[str, str] = {}  # camera -> device
        self._measures: dict[str, Measures] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._settling = asyncio.Lock()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._log = structlog.get_logger("events")

    # --- life

    def start(self) -> None:
        """Begin to follow cameras."""
        self._loops = [
            asyncio.create_task(self._listen(), name="events-listen"),
            asyncio.create_task(self._tend(), name="events-tend"),
        ]

    async def aclose(self) -> None:
        """Let every device go, with its Unsubscribe, and write what is not written. Idempotent."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        for device in self._devices.values():
            self._stop(device)
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._devices.clear()
        await self._flush()

    # --- what others ask

    def status(self, camera: Camera) -> Status:
        """Return how the events of a camera stand."""
        device = self._devices.get(self._homes.get(camera.id, ""))
        code = why_not(camera, switched_on=self._settings.pull)
        if code is not None or device is None:
            return Status("off", code or "no_room", camera.changed_at)
        return device.status

    async def facts(self, camera: Camera, _now: datetime) -> Mapping[str, Observation]:
        """Return what was measured of a camera (a supplier of `hub.compliance.known.Knowledge`)."""
        key = self._homes.get(camera.id) or _key(camera)
        measures = self._measures.get(key) if why_not(camera, switched_on=True) is None else None
        return measures.facts() if measures is not None else {}

    # --- which devices

    async def _listen(self) -> None:
        with self._bus.subscribe("camera.changed", LOST) as events:
            async for topic, data in events:
                if topic == LOST:
                    await self._guarded(self._settle_all())
                elif data.get("what") == "removed":
                    await self._guarded(self._forget(str(data.get("id"))))
                elif data.get("what") != "health":
                    await self._guarded(
                        self._settle(str(data.get("id")), anew=data.get("what") == "credential")
                    )

    async def _tend(self) -> None:
        """Look everything over now and then, let go of devices that are being checked, and write."""
        listed_s: float | None = None
        written_s = self._clock.monotonic()
        while True:
            now_s = self._clock.monotonic()
            if listed_s is None or now_s - listed_s >= LIST_EVERY_S:
                listed_s = now_s
                await self._guarded(self._settle_all())
            for device in tuple(self._devices.values()):
                held = any(self._busy(camera_id) for camera_id in device.members)
                if held != device.held:
                    device.held = held
                    self._restart(device, "checking")
            if now_s - written_s >= WRITE_EVERY_S:
                written_s = now_s
                await self._flush()
            self._count()
            await self._clock.sleep(TEND_EVERY_S)

    async def _settle_all(self) -> None:
        cursor, seen = "", set()
        while True:
            page = await self._catalog.list(CameraQuery(cursor=cursor, limit=200))
            for camera in page.items:
                seen.add(camera.id)
                await self._settle(camera.id)
            if page.next is None:
                break
            cursor = page.next
        for camera_id in set(self._homes) - seen:
            await self._forget(camera_id)

    async def _settle(self, camera_id: str, *, anew: bool = False) -> None:
        """Follow a camera, or let it go, as it is now. `anew`: its address or credential is another."""
        async with self._settling:
            camera = await self._catalog.find(camera_id)
            if camera is None:
                self._leave(camera_id)
                return
            key = _key(camera) if why_not(camera, switched_on=self._settings.pull) is None else ""
            if anew or self._homes.get(camera_id, "") != key:
                self._leave(camera_id)
            if not key:
                return
            device = self._devices.get(key)
            if device is None:
                if len(self._devices) >= self._settings.at_most:
                    return
                measures = self._measures.setdefault(key, Measures(key))
                device = _Device(key, Status("connecting", "", self._clock.now()), measures)
                self._devices[key] = device
            known = camera_id in device.members
            device.members[camera_id] = await self._member(camera)
            self._homes[camera_id] = key
            if not known and len(device.members) == 1:
                self._restart(device)

    async def _forget(self, camera_id: str) -> None:
        async with self._settling:
            self._leave(camera_id)

    def _leave(self, camera_id: str) -> None:
        device = self._devices.get(self._homes.pop(camera_id, ""))
        if device is None:
            return
        first = next(iter(device.members)) == camera_id
        del device.members[camera_id]
        if not device.members:
            self._stop(device)
            del self._devices[device.key]
            self._measures.pop(device.key, None)
        elif first:  # the session stands on its credential and its permission
            self._restart(device)

    async def _member(self, camera: Camera) -> _Member:
        target, _ = parse_target(camera.address)
        source, alone = target.source, not target.source
        if camera.assessment_id is not None:
            kept = await self._catalog.assessment(camera.assessment_id)
            listed = kept.report.get("sources") or ()
            source = source or next((str(one["source"]) for one in listed if one.get("source")), "")
            count = (kept.observations.get("media.video_sources") or {}).get("value")
            alone = alone and not (isinstance(count, int) and count > 1)
        return _Member(camera, source, alone)

    # --- one device

    def _restart(self, device: _Device, code: str = "") -> None:
        before = device.task
        self._stop(device)
        if device.held:
            device.status = Status("waiting", code, self._clock.now())
            return
        device.status = Status("connecting", "", self._clock.now())
        device.task = asyncio.create_task(self._follow(device, before), name=f"events {device.key}")

    def _stop(self, device: _Device) -> None:
        task, device.task = device.task, None
        if task is not None and not task.done():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _follow(self, device: _Device, before: "asyncio.Task[None] | None") -> None:
        """Keep a session, for ever; `before` is the one that ends."""
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        wait_s = FIRST_WAIT_S
        await self._clock.sleep(random.uniform(0.0, SPREAD_S))  # noqa: S311  spreads load
        while True:
            began_s = self._clock.monotonic()
            device.status = Status("connecting", "", self._clock.now())
            try:
                await self._session(device)
                code, pause_s = "elsewhere", SLOT_S
            except _TakenElsewhere:
                code, pause_s = "elsewhere", SLOT_S
            except AdapterError as error:
                code, pause_s = error.code, self._pause_s(error, wait_s)
                if isinstance(error, Unsupported):
                    device.measures.pulled(self._clock.now(), error)
                self._log.info("events.interrupted", peer=device.key, code=code, error=str(error))
            except Exception as error:  # noqa: BLE001  a bug costs this device's events, not the hub
                code, pause_s = "broke", wait_s
                self._log.error("events.broke", peer=device.key, exc_info=error)
            if self._clock.monotonic() - began_s >= STEADY_S:
                wait_s = FIRST_WAIT_S
            pause_s *= random.uniform(0.7, 1.3)  # noqa: S311  so that many cameras do not come back at once
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            now = self._clock.now()
            device.status = Status("waiting", code, now, now + timedelta(seconds=pause_s))
            await self._clock.sleep(pause_s)

    def _pause_s(self, error: AdapterError, wait_s: float) -> float:
        match error:
            case CoolingDown():
                return max(60.0, (error.until - self._clock.now()).total_seconds() * 1.5)
            case AuthenticationFailed():
                return COOL_DOWN.total_seconds() * 1.5
            case Unsupported():
                return NEVER_WAIT_S
            case PermissionDenied() | NotPermitted() | AddressRefused() | CameraFault():
                return SLOT_WAIT_S
            case _:
                return wait_s

    async def _session(self, device: _Device) -> None:
        """Subscribe and pull until the device or the slot is lost.

        Raises:
            _TakenElsewhere: another node pulls it.
            AdapterError: what the device did.
        """
        async with self._slot(device.key) as lost:
            camera = next(iter(device.members.values())).camera
            target, _ = parse_target(camera.address)
            granted = camera.permission
            leave = Actuation(
                granted.get("granted_by", ""),
                granted.get("basis", ""),
                parse_rfc3339(granted["granted_at"]) if granted.get("granted_at") else camera.enrolled_at,
                municipal=why_not(camera, switched_on=True) is None,
            )
            source = EventSource(
                target,
                await self._catalog.credential_for(camera.id),
                ProbeContext(self._dialer, self._gate, self._clock, device_key(target)),
                leave,
                Deadline.after(self._clock, OPENING_S),
            )
            async with self._opened(source):
                device.status = Status("listening", "", self._clock.now())
                self._log.info("events.listening", peer=device.key)
                if not device.measures.answered:
                    await self._measure(device, source)
                while not lost.is_set():
                    asked_s = self._clock.monotonic()
                    told = await source.pull()
                    for event in told:
                        await self._take(device, event)
                    if not told and self._clock.monotonic() - asked_s < TEND_EVERY_S:
                        await self._clock.sleep(1.0)  # it answers at once whatever time-out it is given

    @asynccontextmanager
    async def _opened(self, source: EventSource) -> AsyncIterator[None]:
        """Open a source, few at once, and close it."""
        async with self._room:
            await source.__aenter__()
        try:
            yield
        finally:
            await source.__aexit__(None, None, None)

    async def _measure(self, device: _Device, source: EventSource) -> None:
        """Make the one long pull of a device (EVT-02)."""
        try:
            told, took_s = await source.long_pull()
        except AdapterError as error:
            device.measures.pulled(self._clock.now(), error)
            self._log.info("events.long_pull_failed", peer=device.key, error=str(error))
            return
        if all(event.operation == "Initialized" for event in told):
            # the present states come at once whatever was asked: ask again, now for what changes
            for event in told:
                await self._take(device, event)
            try:
                told, took_s = await source.long_pull()
            except AdapterError as error:
                device.measures.pulled(self._clock.now(), error)
                return
        device.measures.pulled(self._clock.now(), took_s)
        for event in told:
            await self._take(device, event)

    @asynccontextmanager
    async def _slot(self, key: str) -> AsyncIterator[asyncio.Event]:
        """Hold the device for this node; the event is set once another node has it."""
        name = f"events:{key}"
        held = [await self._slots.acquire(name, SLOT_S)]
        if not held[0]:
            raise _TakenElsewhere
        lost = asyncio.Event()

        async def keep() -> None:
            while True:
                await self._clock.sleep(SLOT_S / 3)
                await self._slots.release(name, held[0])
                held[0] = await self._slots.acquire(name, SLOT_S)
                if not held[0]:
                    lost.set()
                    return

        keeper = asyncio.create_task(keep(), name=f"hold {name}")
        try:
            yield lost
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            if held[0]:
                await self._slots.release(name, held[0])

    # --- one event

    async def _take(self, device: _Device, told: DeviceEvent) -> None:
        """Measure one event, and keep and tell it where it is news."""
        device.measures.came(told)
        kind, active = kind_of(told.topic), active_of(told.data)
        if not self._is_news(device, told, active):
            self._metrics.camera_events.labels(kind, "repeated").inc()
            return
        if not self._is_affordable(device):
            self._metrics.camera_events.labels(kind, "dropped").inc()
            return
        self._metrics.camera_events.labels(kind, "kept").inc()
        for member in tuple(device.members.values()):
            if not _concerns(told, member):
                continue
            event = CameraEvent(
                id=new_id(),
                camera_id=member.camera.id,
                kind=kind,
                active=active,
                topic=told.topic[:MAX_TEXT],
                operation=told.operation,
                source=_bounded(told.source),
                values=_bounded(told.data),
                told_at=told.at,
                in_utc=told.at_in_utc,
                arrived_at=told.arrived_at,
            )
            self.book.add(event)
            await self._bus.publish(CAMERA_EVENT, {"camera_id": event.camera_id, "event": event.as_json()})

    def _is_news(self, device: _Device, told: DeviceEvent, active: bool | None) -> bool:
        """Tell whether an event is no mere repetition. Many cameras repeat a state each second while it lasts."""
        if active is None:
            return told.operation != "Initialized"
        named = "|".join(f"{name}={value}" for name, value in sorted(told.source.items()))
        key = (told.topic, named[:MAX_TEXT])
        before = device.states.pop(key, None)
        device.states[key] = active
        if len(device.states) > MAX_STATES:
            del device.states[next(iter(device.states))]
        return before is not active if before is not None else active or told.operation != "Initialized"

    def _is_affordable(self, device: _Device) -> bool:
        now_s = self._clock.monotonic()
        device.allowance = min(float(BURST), device.allowance + now_s - device.counted_s)
        device.counted_s = now_s
        if device.allowance < 1.0:
            return False
        device.allowance -= 1.0
        return True

    # --- inside

    async def _flush(self) -> None:
        try:
            await self.book.flush()
        except Exception as error:  # noqa: BLE001  it is kept for the next time
            self._log.error("events.write.failed", exc_info=error)

    def _count(self) -> None:
        counts = dict.fromkeys(("connecting", "listening", "waiting"), 0)
        for device in self._devices.values():
            counts[device.status.state] += 1
        for state, number in counts.items():
            self._metrics.event_sources.labels(state).set(number)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  one camera's trouble does not end the service
            self._log.error("events.settle.failed", exc_info=error)


def _key(camera: Camera) -> str:
    target, _ = parse_target(camera.address)
    return device_key(replace(target, source=""))


def _concerns(told: DeviceEvent, member: _Member) -> bool:
    """Tell whether an event is of this camera: on a device with several, by the video source that it names."""
    if member.alone:
        return True
    named = [value for name, value in told.source.items() if name.lower() in _SOURCE_NAMES]
    if not named:
        return kind_of(told.topic) != "motion"
    return member.source in named


_SOURCE_NAMES: Final = frozenset({"source", "videosource", "videosourcetoken"})


def _bounded(items: Mapping[str, str]) -> dict[str, str]:
    return {name[:64]: value[:MAX_TEXT] for name, value in list(items.items())[:16]}
