"""How long the relay's pulls lasted and how often they broke: the soak of STR-12, measured while somebody watches."""

import asyncio
from dataclasses import dataclass

import structlog
from sqlalchemy import select

from adapters.clock import Clock
from hub.compliance.standing import read_memory, write_memory
from hub.relay.events import RelayEvent, SourceState
from hub.store import tables
from hub.store.store import Store

SHORTEST_MIN = 5.0  # a glance of a viewer says nothing
OWN_END = frozenset({"", "idle", "relay_restarted", "relay_stopped"})  # the hub hung up, not the camera

log = structlog.get_logger("pulls")


@dataclass(slots=True)
class _Pull:
    began_s: float
    drops: int = 0
    broken: bool = False  # stalled or offline since the last frame


class PullLog:
    """Follows the pulls of main streams; the end of one is written into the camera's memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pulls: dict[str, _Pull] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def on_relay_event(self, event: RelayEvent) -> None:
        """Take a camera's state from the relay (called in the event loop)."""
        if not isinstance(event, SourceState) or event.layer != "main":
            return
        pull = self._pulls.get(event.camera_id)
        if event.state == "live":
            if pull is None:
                self._pulls[event.camera_id] = _Pull(self._clock.monotonic())
            else:
                pull.broken = False
        elif pull is not None and event.state == "stalled" and not pull.broken:
            pull.drops, pull.broken = pull.drops + 1, True
        elif pull is not None and event.state == "offline":
            if event.code not in OWN_END and not pull.broken:
                pull.drops += 1
            del self._pulls[event.camera_id]
            self._ended(event.camera_id, pull)

    def _ended(self, camera_id: str, pull: _Pull) -> None:
        minutes = (self._clock.monotonic() - pull.began_s) / 60
        if minutes < SHORTEST_MIN:
            return
        task = asyncio.create_task(self._keep(camera_id, minutes, pull.drops), name=f"pull {camera_id}")
        self._writing.add(task)
        task.add_done_callback(self._done)

    async def _keep(self, camera_id: str, minutes: float, drops: int) -> None:
        now = self._clock.now()
        async with self._store.write() as tx:
            if await tx.one(select(tables.cameras.c.id).where(tables.cameras.c.id == camera_id)) is None:
                return  # it was removed while it was watched
            memory = await read_memory(tx, camera_id)
            after = memory.with_pull(minutes, drops, now)
            if after is not memory:
                await write_memory(tx, camera_id, after, now)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._writing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("pulls.failed", exc_info=task.exception())

    async def aclose(self) -> None:
        """Wait for what is being written. Idempotent."""
        await asyncio.gather(*self._writing, return_exceptions=True)
