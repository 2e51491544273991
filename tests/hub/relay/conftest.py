"""A synthetic camera, and an engine in this process, for the relay's tests."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from patience import PATIENCE_S
from relay_camera import SyntheticCamera

from adapters.clock import SystemClock
from hub.relay.engine import EngineLimits, RelayEngine
from hub.relay.events import RelayEvent, SourceSpec

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine."""
    return asyncio.run(work)


async def until(condition: Callable[[], bool], limit_s: float, what: str) -> float:
    """Wait until a condition holds, with the patience that a busy machine asks for; return the seconds it took."""
    loop = asyncio.get_running_loop()
    began, limit_s = loop.time(), max(limit_s, PATIENCE_S)
    while not condition():
        if loop.time() - began > limit_s:
            raise AssertionError(f"not within {limit_s} s: {what}")
        await asyncio.sleep(0.02)
    return loop.time() - began


async def still(count: Callable[[], int], what: str, *, for_s: float = 0.6, within_s: float = 10.0) -> None:
    """Wait until a number rises no more: what was under way has arrived. A stream that goes on never rests so long."""
    loop = asyncio.get_running_loop()
    ends, seen, since = loop.time() + within_s, count(), loop.time()
    while loop.time() - since < for_s:
        await asyncio.sleep(0.02)
        if count() != seen:
            assert loop.time() < ends, f"goes on: {what}"
            seen, since = count(), loop.time()


def spec(camera_id: str = "camera-1", url: str = "synthetic://camera/", **fields: Any) -> SourceSpec:
    """Return the description of a synthetic camera."""
    return SourceSpec(camera_id, url, None, **fields)


class Harness:
    """An engine in this process with its events and an automatic lease."""

    def __init__(self, engine: RelayEngine, events: list[RelayEvent], camera: SyntheticCamera) -> None:
        self.engine = engine
        self.events = events
        self.camera = camera
        self.vouched: set[str] = set()

    async def view(
        self, offer: str, viewer_id: str = "", *, may_hear: bool = False, **fields: Any
    ) -> tuple[str, str]:
        """Answer an offer and keep its lease; return (viewer id, answer)."""
        viewer_id = viewer_id or secrets.token_hex(4)
        fields.setdefault(
            "audio", bool(self.camera.sound)
        )  # what is shared; `may_hear`: and with this viewer
        answer = await self.engine.view(viewer_id, spec(**fields), offer, audio=may_hear)
        self.vouched.add(viewer_id)
        return viewer_id, answer

    def of(self, kind: type) -> list[Any]:
        """Return the events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def engine_with(camera: SyntheticCamera, limits: EngineLimits | None = None, **fields: Any):
    """Run an engine that opens `camera` for every spec."""
    events: list[RelayEvent] = []
    engine = RelayEngine(fields.pop("open_source", camera.open), SystemClock(), events.append, limits)
    engine.start((fields.pop("host", "127.0.0.1"),), 0)
    harness = Harness(engine, events, camera)

    async def vouch() -> None:
        while True:
            engine.renew(harness.vouched)
            await asyncio.sleep(0.3)

    lease = asyncio.create_task(vouch())
    try:
        yield harness
    finally:
        lease.cancel()
        await engine.aclose()


@pytest.fixture
def camera() -> SyntheticCamera:
    """A camera of 320x240 at 25 pictures a second with a key frame each 2 s."""
    return SyntheticCamera()


Answer = Callable[[str], Awaitable[str]]
