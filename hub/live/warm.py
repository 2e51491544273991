"""Cameras that are pulled with nobody watching, so that whoever comes begins at once: those of the operator's list.

A camera is kept warm only while it could be watched by anybody of the hub at any time: an authority's, or a donated one
whose owner shares it `always`. A pause, a withdrawn consent or a lost decision ends the pull within two seconds. No
picture leaves the relay by it, so it is no view and has no receipt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from adapters.clock import Clock
from hub.access.decide import VIEWED
from hub.catalog.types import Camera, ConsentState, Kind, Mode
from hub.live.uplink import Uplink
from hub.problems import Problem
from hub.relay.errors import RelayRefused
from hub.relay.events import RelayEvent, SourceSpec, ViewerEnded
from hub.store.errors import ServiceError
from hub.texts import Texts

TICK_S: Final = 0.5
AGAIN_S: Final = 15.0  # a camera that could not be had is asked again after so long
_PREFIX: Final = "warm/"


class Relay(Protocol):
    """What is used of the relay."""

    async def keep_warm(self, viewer_id: str, source: SourceSpec, codecs: tuple[str, ...]) -> str:
        """Pull a camera's first layer with nobody watching; raises `RelayRefused`."""

    def renew(self, viewer_ids: Collection[str]) -> None:
        """Let it go on for two more seconds."""

    async def stop(self, viewer_id: str, code: str) -> None:
        """End it."""


@dataclass(slots=True, eq=False)
class _Kept:
    """One camera of the list. `code` says why it is not warm."""

    state: str = "waiting"  # waiting | opening | warm | left
    code: str = ""
    again_s: float = 0.0


def why_not(camera: Camera, now: datetime) -> str:
    """Return why a camera must not be kept warm now, "" where it may be."""
    if camera.decision not in VIEWED:
        return "not_admitted"
    until = camera.sharing.paused_until
    if camera.sharing.paused and (until is None or now < until):
        return "paused"
    if camera.custodian.kind is not Kind.AUTHORITY:
        consent = camera.consent
        if consent is None or consent.state(now) is not ConsentState.ACTIVE:
            return "no_consent"
        if consent.mode is not Mode.ALWAYS:
            return "not_always"
    if camera.masks.painted:
        return "masks"
    return "" if camera.playback.relay == "copy" else "recoded"


class KeepWarm:
    """Keeps the cameras of a list warm."""

    def __init__(
        self,
        camera_ids: Sequence[str],
        *,
        camera: Callable[[str], Awaitable[Camera]],
        source: Callable[[Camera], Awaitable[SourceSpec]],
        relay: Relay,
        uplink: Uplink,
        clock: Clock,
        texts: Texts,
    ) -> None:
        self._camera = camera
        self._source = source
        self._relay = relay
        self._uplink = uplink
        self._clock = clock
        self._texts = texts
        self._kept = {camera_id: _Kept() for camera_id in camera_ids}
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("live")

    def start(self) -> None:
        """Begin; does nothing with an empty list."""
        if self._kept:
            self._spawn(self._forever())

    async def aclose(self) -> None:
        """Let go of all. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for camera_id, kept in self._kept.items():
            if kept.state in {"opening", "warm"}:
                await self._leave(camera_id, kept, "hub_stopping")

    def on_relay_event(self, event: RelayEvent) -> None:
        """Take one event of the relay (called in the event loop)."""
        if not isinstance(event, ViewerEnded) or not event.viewer_id.startswith(_PREFIX):
            return
        kept = self._kept.get(event.viewer_id.removeprefix(_PREFIX))
        if kept is not None and kept.state == "warm":
            self._uplink.release(event.viewer_id)
            # a stream that changed, or a worker that died, is opened anew soon; a camera that refuses, later
            soon = event.code.startswith("relay_") or event.code in {"source_changed", "lease_expired"}
            kept.state, kept.code = "waiting", event.code
            kept.again_s = self._clock.monotonic() + (1.0 if soon else AGAIN_S)

    def as_json(self) -> list[dict[str, Any]]:
        """Return how each camera of the list stands, and why one is not warm."""
        return [
            {"camera_id": camera_id, "state": kept.state, "code": kept.code, "text": self._text(kept.code)}
            for camera_id, kept in self._kept.items()
        ]

    async def _forever(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  not renewed = let go of in 2 s
                self._log.error("live.warm.failed", error=type(error).__name__, exc_info=error)
            await self._clock.sleep(TICK_S)

    async def _look(self) -> None:
        """Decide about each camera again; renew, open or let go."""
        renewed = []
        for camera_id, kept in self._kept.items():
            try:
                camera = await self._camera(camera_id)
                code = why_not(camera, self._clock.now())
            except ServiceError:
                camera, code = None, "removed"
            if camera is None or code:
                if kept.state in {"opening", "warm"}:
                    await self._leave(camera_id, kept, code)
                kept.state, kept.code = "left", code
            elif kept.state == "warm":
                renewed.append(_PREFIX + camera_id)
            elif kept.state != "opening" and self._clock.monotonic() >= kept.again_s:
                kept.state = "opening"
                self._spawn(self._open(camera, kept))
        self._relay.renew(renewed)

    async def _open(self, camera: Camera, kept: _Kept) -> None:
        name = _PREFIX + camera.id
        try:
            source = await self._source(camera)
            self._uplink.claim(name, camera, source)
            codec = source.of_layer(source.layers[0]).codec or "H264"
            await self._relay.keep_warm(name, source, (codec,))
        except (RelayRefused, Problem) as error:
            self._uplink.release(name)
            if kept.state == "opening":
                kept.state, kept.code = "waiting", error.code
                kept.again_s = self._clock.monotonic() + AGAIN_S
            return
        if kept.state != "opening":  # let go of meanwhile
            await self._leave(camera.id, kept, kept.code)
            return
        kept.state, kept.code = "warm", ""
        self._relay.renew([name])
        self._log.info("live.warm", camera_id=camera.id)

    async def _leave(self, camera_id: str, kept: _Kept, code: str) -> None:
        kept.state, kept.code, kept.again_s = "left", code, 0.0
        self._uplink.release(_PREFIX + camera_id)
        await self._relay.stop(_PREFIX + camera_id, code)

    def _text(self, code: str) -> Any:
        if not code:
            return None
        for key in (f"live.warm.{code}", f"live.state.{code}", f"live.layer.{code}"):
            if self._texts.has(key):
                return self._texts.both(key)
        return self._texts.both("live.state.camera_error")

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
