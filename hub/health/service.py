"""Measured liveness: what the relay sees while it pulls, and a gentle sweep over the rest.

A camera is asked at most once per interval (default 5 minutes), all of them together at a bounded rate. One silent
answer is not a fault: the camera is asked again soon, and only the second miss in a row makes it one, dated from the
first. One answer makes it alive. What was never measured stays not measured. Cameras whose owner does not share
health (private, registered, no active consent) or has paused are not asked at all.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AddressRefused,
    CameraFault,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
)
from adapters.target import parse_target
from adapters.wire.dialer import Dialer
from hub.access.rights import may_measure
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera, CameraQuery
from hub.compliance.standing import Link
from hub.coordination.port import EventBus
from hub.health.ping import ping
from hub.observe import Metrics
from hub.relay.events import PushState, RelayEvent, SourceState
from hub.settings import Health
from hub.store.errors import ServiceError
from hub.texts import Texts

MISSES = 2  # in a row, before a silence is a fault
AGAIN_S = 15.0  # after a first miss
LIST_EVERY_S = 60.0
MAX_AT_ONCE = 32
SERIES = 120  # requests of which the way to a camera is judged: half a day at the usual interval
MISSED = -1.0
IDLE_S = 0.25
# what the relay says when it stops by itself: no news about the camera
NO_NEWS = frozenset(
    {
        "",
        "idle",
        "relay_restarted",
        "relay_stopped",
        "cooling_down",
        "codec_not_playable",
        "address_refused",
        "not_pushed",
    }
)

# how a push ended -> what is said of its camera
ENDS_OF_PUSHES: Mapping[str, str] = {
    "pusher_left": "push_ended",
    "pusher_gone": "push_lost",
    "push_silent": "push_silent",
    "push_too_fast": "push_too_much",
    "push_too_many_pictures": "push_too_much",
}


@dataclass(slots=True)
class _Watched:
    """What the sweep knows of one camera."""

    address: str
    due_s: float
    misses: int = 0
    first_miss: datetime | None = None
    pulled: bool = False  # the relay sees it now
    series: deque[float] = field(
        default_factory=lambda: deque(maxlen=SERIES)
    )  # seconds to connect, or MISSED


class HealthService:
    """Keeps the measured state of every camera up to date."""

    def __init__(
        self,
        *,
        catalog: CatalogService,
        bus: EventBus,
        dialer: Dialer,
        clock: Clock,
        texts: Texts,
        metrics: Metrics,
        settings: Health,
        busy: Callable[[str], bool],
        pushed: Callable[[str], bool],
    ) -> None:
        self._pushed = pushed
        self._in_order = asyncio.Lock()  # what pushes tell is kept in the order in which it was told
        self._catalog = catalog
        self._bus = bus
        self._dialer = dialer
        self._clock = clock
        self._texts = texts
        self._metrics = metrics
        self._settings = settings
        self._busy = busy
        self._watched: dict[str, _Watched] = {}
        self._listed_s: float | None = None
        self._stale = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("health")

    def start(self) -> None:
        """Begin the sweep, where it is switched on, and the upkeep of states that change with time."""
        self._loops.append(asyncio.create_task(self._refresh(), name="health-refresh"))
        if self._settings.sweep:
            self._loops.append(asyncio.create_task(self._sweep(), name="health-sweep"))
            self._loops.append(asyncio.create_task(self._listen(), name="health-events"))

    async def aclose(self) -> None:
        """Stop. Idempotent."""
        for task in (*self._loops, *self._asking):
            task.cancel()
        await asyncio.gather(*self._loops, *self._asking, return_exceptions=True)
        self._loops.clear()

    def link(self, camera_id: str) -> Link | None:
        """Return what the last requests showed of the way to a camera, None where none was made."""
        watched = self._watched.get(camera_id)
        if watched is None or not watched.series:
            return None
        answered = sorted(one for one in watched.series if one >= 0)
        p95_ms = answered[min(len(answered) - 1, int(len(answered) * 0.95))] * 1000 if answered else None
        return Link(len(watched.series), p95_ms, 1 - len(answered) / len(watched.series))

    # --- what the relay sees

    def on_relay_event(self, event: RelayEvent) -> None:
        """Take a camera's state from the relay (called in the event loop)."""
        if isinstance(event, PushState):
            self._spawn(self._push_changed(event))
            return
        if not isinstance(event, SourceState) or (event.layer != "main" and event.state != "live"):
            return  # a smaller stream that stops says nothing about the camera; one that runs shows that it lives
        watched = self._watched.get(event.camera_id)
        if watched is not None:
            watched.pulled = event.state in {"live", "stalled"}
            watched.due_s = self._clock.monotonic() + (self._settings.interval_s if watched.pulled else 1.0)
        if event.state == "live":
            self._spawn(self._measured(event.camera_id, "alive", "frames", self._clock.now()))
        elif event.state == "stalled":
            self._spawn(self._measured(event.camera_id, "degraded", "stalled", self._clock.now()))
        elif event.state == "offline" and event.code not in NO_NEWS:
            self._spawn(self._measured(event.camera_id, "fault", _relay_cause(event.code), self._clock.now()))

    async def _push_changed(self, event: PushState) -> None:
        """Keep what an encoder's coming and going says about a camera whose custodian shares its health."""
        if not event.pushed and event.code not in ENDS_OF_PUSHES:
            return  # the owner's word, or ours: no news about the camera
        async with self._in_order:
            try:
                camera = await self._catalog.get(event.camera_id)
            except ServiceError:
                return
            if not may_measure(camera):
                return
            if event.pushed:
                await self._measured(camera.id, "alive", "frames", event.since)
            elif camera.measured.state in {
                "alive",
                "degraded",
            }:  # an encoder that never sent a picture is no news
                await self._measured(camera.id, "fault", ENDS_OF_PUSHES[event.code], event.since)

    # --- the sweep

    async def _refresh(self) -> None:
        """Each second bring states up to now that change with time: schedules, pauses and consents that end."""
        while True:
            await self._clock.sleep(1.0)
            try:
                await self._catalog.refresh_due()
            except Exception as error:  # noqa: BLE001  tried again in a second
                self._log.error("health.refresh.failed", exc_info=error)

    async def _listen(self) -> None:
        with self._bus.subscribe("camera.changed", "bus.lost") as events:
            async for _topic, data in events:
                if data.get("what") != "health":
                    self._stale.set()

    async def _sweep(self) -> None:
        pause_s = 1.0 / self._settings.per_second
        while True:
            try:
                await self._list_if_due()
                now = self._clock.monotonic()
                due = next((one for one in self._watched.items() if one[1].due_s <= now), None)
                if due is None or len(self._asking) >= MAX_AT_ONCE:
                    await self._clock.sleep(IDLE_S)
                    continue
                camera_id, watched = due
                watched.due_s = now + self._settings.interval_s
                if not watched.pulled:
                    self._spawn(self._ask(camera_id, watched))
                await self._clock.sleep(pause_s)
            except Exception as error:  # noqa: BLE001  the sweep goes on
                self._log.error("health.sweep.failed", exc_info=error)
                await self._clock.sleep(1.0)

    async def _list_if_due(self) -> None:
        """Read which cameras are to be asked: each minute, and soon after a change."""
        now = self._clock.monotonic()
        if self._listed_s is not None and now - self._listed_s < (
            1.0 if self._stale.is_set() else LIST_EVERY_S
        ):
            return
        self._stale.clear()
        self._listed_s = now
        found: dict[str, _Watched] = {}
        counts: dict[str, int] = {}
        cursor = ""
        while True:
            page = await self._catalog.list(CameraQuery(cursor=cursor, limit=200))
            for camera in page.items:
                counts[camera.health.state] = counts.get(camera.health.state, 0) + 1
                if not may_measure(camera):
                    continue
                known = self._watched.get(camera.id)
                if known is not None and known.address == camera.address:
                    found[camera.id] = known
                else:
                    found[camera.id] = _Watched(camera.address, now + self._first_wait(camera))
            if page.next is None:
                break
            cursor = page.next
        self._watched = found
        for state, number in counts.items():
            self._metrics.cameras.labels(state).set(number)

    def _first_wait(self, camera: Camera) -> float:
        """Spread the first questions over the interval; one that was just measured waits its turn."""
        if camera.measured.measured_at is None:
            return random.uniform(0.0, min(5.0, self._settings.interval_s))  # noqa: S311  spreads load, no secret
        return random.uniform(0.0, self._settings.interval_s)  # noqa: S311

    async def _ask(self, camera_id: str, watched: _Watched) -> None:
        target, _ = parse_target(watched.address)
        if self._busy(camera_id):
            return
        asked_at = self._clock.now()
        try:
            if not target.port:
                await self._look(camera_id, watched)
                return
            took_s = await ping(target, self._dialer, Deadline.after(self._clock, self._settings.timeout_s))
        except AdapterError as error:
            self._metrics.health_probes.labels("missed").inc()
            watched.series.append(MISSED)
            watched.misses += 1
            watched.first_miss = watched.first_miss or asked_at
            if watched.misses < MISSES:
                watched.due_s = self._clock.monotonic() + min(AGAIN_S, self._settings.interval_s)
                return
            if watched.pulled:
                return  # frames came meanwhile
            await self._measured(
                camera_id, "fault", _cause(error), self._clock.now(), since=watched.first_miss
            )
        else:
            self._metrics.health_probes.labels("answered").inc()
            watched.series.append(took_s)
            watched.misses, watched.first_miss = 0, None
            await self._measured(camera_id, "alive", "answers", self._clock.now())

    async def _look(self, camera_id: str, watched: _Watched) -> None:
        """Look whether a camera pushes: it is not asked anything. One that never came is waited for, not faulty."""
        if self._pushed(camera_id):
            watched.misses, watched.first_miss = 0, None
            await self._measured(camera_id, "alive", "frames", self._clock.now())
            return
        camera = await self._catalog.get(camera_id)
        if camera.measured.measured_at is None or camera.measured.state == "fault":
            return
        watched.misses += 1
        watched.first_miss = watched.first_miss or self._clock.now()
        if watched.misses < MISSES:
            watched.due_s = self._clock.monotonic() + min(AGAIN_S, self._settings.interval_s)
            return
        await self._measured(camera_id, "fault", "not_pushed", self._clock.now(), since=watched.first_miss)

    async def _measured(
        self, camera_id: str, state: str, cause: str, at: datetime, *, since: datetime | None = None
    ) -> None:
        """Keep a measurement. `since`: when the state was first seen, where that is earlier than `at`."""
        said: Mapping[str, str] | None = (
            self._texts.both(f"live.health.{cause}") if state != "alive" else None
        )
        if since is not None:
            await self._catalog.set_health(camera_id, state, cause=said, measured_at=since)
        if await self._catalog.set_health(camera_id, state, cause=said, measured_at=at) or since is not None:
            self._log.info("health.changed", camera_id=camera_id, state=state, cause=cause)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._asking.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("health.ask.failed", exc_info=task.exception())


def _cause(error: AdapterError) -> str:
    match error:
        case TimedOut():
            return "timed_out"
        case AddressRefused():
            return "address_refused"
        case Unreachable() if "refused" in str(error):
            return "refused"
        case RemoteProtocolError():
            return "not_the_protocol"
        case CameraFault():
            return "fault"
        case _:
            return "unreachable"


def _relay_cause(code: str) -> str:
    return {
        "timed_out": "timed_out",
        "login_refused": "login_refused",
        "no_frames": "stalled",
        "damaged": "stalled",
    }.get(
        code,
        "not_the_protocol"
        if code in {"not_the_protocol", "malformed_rtsp", "malformed_media"}
        else "unreachable",
    )
