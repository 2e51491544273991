"""One event stream per browser tab: changed cameras, counts, and views of one's own cameras.

One task reads the bus for all tabs; a changed camera is read once and shown to each tab as its reader may know it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from adapters.clock import Clock
from hub.access.principal import Principal
from hub.access.rights import may_pause, may_see_entry
from hub.api.present import Presenter, moment
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera, CameraQuery
from hub.coordination.port import LOST, EventBus
from hub.events.service import CAMERA_EVENT
from hub.feeds import Feed

GATHER_S = 0.25  # changes that come together are told together
COUNTS_EVERY_S = 2.0
MAX_NOTICED = 64  # events of cameras that are told at once; older ones are read from the list


@dataclass(slots=True, eq=False)
class _Tab:
    reader: Principal
    feed: Feed


class TabEvents:
    """The feeds of all open tabs."""

    def __init__(
        self,
        *,
        catalog: CatalogService,
        bus: EventBus,
        presenter: Presenter,
        watching: Callable[[str], int],
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._bus = bus
        self._presenter = presenter
        self._watching = watching
        self._clock = clock
        self._tabs: set[_Tab] = set()
        self._changed: set[str] = set()
        self._removed: set[str] = set()
        self._views: list[tuple[str, dict[str, Any]]] = []
        self._alerts: dict[str, str] = {}  # alert id -> camera id
        self._noticed: list[tuple[str, dict[str, Any]]] = []
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("api.tabs")

    def start(self) -> None:
        """Begin to read the bus."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="tabs-listen"),
            asyncio.create_task(self._tell_forever(), name="tabs-tell"),
        ]

    async def aclose(self) -> None:
        """Stop and end every tab's feed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for tab in tuple(self._tabs):
            tab.feed.close()

    def open(self, reader: Principal) -> Feed:
        """Return a feed for one tab."""
        feed = Feed(self._closed)
        self._tabs.add(_Tab(reader, feed))
        return feed

    def _closed(self, feed: Feed) -> None:
        self._tabs = {tab for tab in self._tabs if tab.feed is not feed}

    async def counts(self, reader: Principal) -> dict[str, Any]:
        """Return the numbers over what this reader may see."""
        counts = await self._catalog.counts(CameraQuery(scope=reader.scope()))
        return {
            "total": counts.total,
            "decision": dict(counts.decision),
            "health": dict(counts.health),
            "measured_at": moment(counts.measured_at),
        }

    async def _listen(self) -> None:
        with self._bus.subscribe() as events:
            async for topic, data in events:
                if not self._tabs:
                    continue
                if topic == "camera.changed":
                    chosen = self._removed if data.get("what") == "removed" else self._changed
                    chosen.add(str(data.get("id")))
                elif topic in {"view.started", "view.ended"}:
                    self._views.append((topic.partition(".")[2], data))
                    self._changed.add(str(data.get("camera_id")))
                elif topic == "alert.changed":
                    self._alerts[str(data.get("id"))] = str(data.get("camera_id"))
                    self._changed.add(str(data.get("camera_id")))
                elif topic == LOST:
                    for tab in tuple(self._tabs):
                        tab.feed.close()  # the browser reconnects and reads the whole state
                elif topic == CAMERA_EVENT:
                    self._noticed.append((str(data.get("camera_id")), data["event"]))
                    del self._noticed[:-MAX_NOTICED]
                else:
                    continue
                self._wake.set()

    async def _tell_forever(self) -> None:
        counts_due_s: float | None = None
        counts_told_s = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                wait = None if counts_due_s is None else max(0.0, counts_due_s - self._clock.monotonic())
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            try:
                if self._wake.is_set():
                    await asyncio.sleep(GATHER_S)
                    self._wake.clear()
                    await self._tell_changes()
                    counts_due_s = max(self._clock.monotonic(), counts_told_s + COUNTS_EVERY_S)
                if counts_due_s is not None and self._clock.monotonic() >= counts_due_s:
                    counts_due_s, counts_told_s = None, self._clock.monotonic()
                    await self._tell_counts()
            except Exception as error:  # noqa: BLE001  a missed hint is not worth the streams of all tabs
                self._log.error("tabs.tell.failed", exc_info=error)

    async def _tell_changes(self) -> None:
        changed, self._changed = self._changed, set()
        removed, self._removed = self._removed, set()
        views, self._views = self._views, []
        noticed, self._noticed = self._noticed, []
        alerts, self._alerts = self._alerts, {}
        cameras: dict[str, Camera] = {}
        for camera_id in (changed | {camera_id for camera_id, _event in noticed}) - removed:
            camera = await self._catalog.find(camera_id)
            if camera is not None:
                cameras[camera_id] = camera
        now = self._clock.now()
        for tab in tuple(self._tabs):
            for camera_id in removed:
                tab.feed.put("camera", {"id": camera_id, "removed": True})
            for camera_id, event in noticed:
                if camera_id in cameras and may_see_entry(tab.reader, cameras[camera_id]):
                    tab.feed.put("camera_event", event)
            for camera in cameras.values():
                if camera.id in changed and may_see_entry(tab.reader, camera):
                    shown = self._presenter.camera(camera, tab.reader, now, self._watching(camera.id))
                    tab.feed.put("camera", shown)
            for alert_id, camera_id in alerts.items():
                about = cameras.get(camera_id)
                if about is not None and self._presenter.works_on(tab.reader, about):
                    tab.feed.put("alert", {"id": alert_id, "camera_id": camera_id})
            for what, data in views:
                seen = cameras.get(str(data.get("camera_id")))
                if seen is not None and may_pause(tab.reader, seen):
                    tab.feed.put("view", {"what": what, **data["view"]})

    async def _tell_counts(self) -> None:
        by_scope: dict[Any, dict[str, Any]] = {}
        for tab in tuple(self._tabs):
            scope = tab.reader.scope()
            if scope not in by_scope:
                by_scope[scope] = await self.counts(tab.reader)
            tab.feed.put("counts", by_scope[scope])
