"""Whether running views may go on: asked anew at each tick, and at once when the camera, its consent or the person changed.

Leases are renewed only for the views that `decide` allowed at that tick, so a hub that hangs, dies or cannot read its store
stops the frames within 2 s.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Protocol

import structlog

from adapters.clock import Clock
from hub.access.decide import Ask, Decision, Refused, decide, subject_of
from hub.access.principal import Principal
from hub.access.tokens import PROGRAM
from hub.catalog.types import Camera, Incident
from hub.coordination.port import EventBus
from hub.live.session import ViewerSession
from hub.store.errors import ServiceError

TICK_S = 0.5
PEOPLE_EVERY_S = 1.0  # how often rights are read again where no event told of a change

log = structlog.get_logger("live")


class Catalog(Protocol):
    """What views read of the catalog."""

    async def get(self, camera_id: str) -> Camera:
        """Return one camera; ServiceError ``not_found``."""


class Vouching:
    """Vouches for the views of `running` by `renew`, and ends the others by `finish`, which gets the code."""

    def __init__(
        self,
        running: Mapping[str, ViewerSession],
        *,
        catalog: Catalog,
        incidents: Callable[[Camera], Awaitable[tuple[Incident, ...]]],
        people: Callable[[str, str], Awaitable[Principal | None]],
        renew: Callable[[Collection[str]], None],
        finish: Callable[[ViewerSession, str], Awaitable[None]],
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._running = running
        self._catalog = catalog
        self._incidents = incidents
        self._people = people
        self._renew = renew
        self._finish = finish
        self._bus = bus
        self._clock = clock
        self._urgent: set[str] = set()  # cameras to look at again now; "*" = all
        self._wake = asyncio.Event()
        self._people_read_s = 0.0
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Watch from now on."""
        self._loops = [
            asyncio.create_task(self._tick_forever(), name="live-tick"),
            asyncio.create_task(self._listen(), name="live-events"),
        ]

    async def aclose(self) -> None:
        """Watch no more. Idempotent."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []

    async def decide(self, camera_id: str, ask: Ask) -> tuple[Camera, Decision]:
        """Decide about one camera as it is now.

        Raises:
            ServiceError: ``not_found``.
        """
        camera = await self._catalog.get(camera_id)
        return camera, await self._decision(camera, ask)

    async def review(self, sessions: Iterable[ViewerSession]) -> None:
        """Decide anew about some views; renew those still allowed, end the others."""
        chosen = [session for session in sessions if not session.ended]
        if not chosen:
            return
        await self._refresh_people(chosen)
        cameras: dict[str, Camera | None] = {}
        for camera_id in {session.camera_id for session in chosen}:
            try:
                cameras[camera_id] = await self._catalog.get(camera_id)
            except ServiceError:
                cameras[camera_id] = None
        renewed: list[str] = []
        ending: list[tuple[ViewerSession, str]] = []
        for session in chosen:
            if session.ended:
                continue
            camera = cameras[session.camera_id]
            code = "removed" if camera is None else await self._why_to_end(session, camera)
            if code:
                ending.append((session, code))
            else:
                renewed.append(session.id)
        if renewed:
            self._renew(renewed)
        await asyncio.gather(*(self._finish(session, code) for session, code in ending))

    async def _why_to_end(self, session: ViewerSession, camera: Camera) -> str:
        """Return why a view may not go on, "" where it may."""
        answer = await self._decision(camera, session.ask)
        if isinstance(answer, Refused):
            withdrawn = answer.code == "no_consent" and answer.params.get("state") == "withdrawn"
            return "withdrawn" if withdrawn else answer.code
        if session.max_s is not None and self._clock.monotonic() - session.started_s >= session.max_s:
            return "time_limit"
        if session.terms.until is not None and self._clock.now() >= session.terms.until:
            return "output_expired"
        # Sound is shared now, or no more: it is answered anew.
        return "changed" if answer.audio != session.audio else ""

    async def _decision(self, camera: Camera, ask: Ask) -> Decision:
        incidents = await self._incidents(camera) if ask.incident else ()
        return decide(ask, subject_of(camera, incidents), self._clock.now())

    async def _tick_forever(self) -> None:
        due_s = self._clock.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due_s - self._clock.monotonic())):
                    await self._wake.wait()
            self._wake.clear()
            urgent, self._urgent = self._urgent, set()
            chosen = tuple(self._running.values())
            if self._clock.monotonic() >= due_s or "*" in urgent:
                due_s = self._clock.monotonic() + TICK_S
            else:
                chosen = tuple(session for session in chosen if session.camera_id in urgent)
            try:
                await self.review(chosen)
            except Exception as error:
                log.error("live.review.failed", error=type(error).__name__, exc_info=error)

    async def _refresh_people(self, sessions: list[ViewerSession]) -> None:
        """Read rights again: at most each second, or at once after an event about a person."""
        now = self._clock.monotonic()
        if now - self._people_read_s < PEOPLE_EVERY_S:
            return
        self._people_read_s = now
        try:
            await self._read_people(sessions)
        except BaseException:
            self._people_read_s = 0.0  # not known: the next tick must not vouch by what was known before
            raise

    async def _read_people(self, sessions: list[ViewerSession]) -> None:
        by_login: dict[tuple[str, str], list[ViewerSession]] = {}
        for session in sessions:
            by_login.setdefault((session.user_id, session.terms.login), []).append(session)
        for (user_id, login), theirs in by_login.items():
            person = await self._people(user_id, login)
            for session in theirs:
                if person is None:
                    await self._finish(session, self._left(session))
                else:
                    session.ask = Ask(person, session.ask.purpose, session.ask.incident, session.ask.kind)

    def _left(self, session: ViewerSession) -> str:
        """Return why nobody stands for a view any more."""
        if session.terms.recipient:
            until = session.terms.until
            return "output_expired" if until is not None and self._clock.now() >= until else "output_revoked"
        return "token_ended" if session.terms.login.startswith(PROGRAM) else "signed_out"

    async def _listen(self) -> None:
        with self._bus.subscribe() as events:
            async for topic, data in events:
                word = topic.split(".", 1)[0]
                if word == "camera":
                    self._urgent.add(str(data.get("id", "*")))
                elif word in {"user", "incident", "output", "bus"}:
                    # `bus.lost`: events were missed, look at everything
                    self._people_read_s = 0.0
                    self._urgent.add("*")
                else:
                    continue
                self._wake.set()
