"""Moving a municipal camera: decided, leased to one person, recorded before it is sent, and always ended.

Every movement has an end that the hub keeps: the adapter tells the device a time-out and sends Stop when it has passed,
whether or not the person who asked is still there.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError
from adapters.onvif.ptz import Preset, PtzControl
from adapters.port import Actuation, ProbeContext
from adapters.target import Target, parse_target
from adapters.wire.dialer import Dialer
from adapters.wire.gate import CredentialGate, device_key
from hub.access.audit import AuditLog
from hub.access.move import refusal_to_move
from hub.access.principal import Principal
from hub.catalog.service import CatalogService
from hub.catalog.types import PTZ_BASIS, PTZ_GRANTED_AT, PTZ_GRANTED_BY, Camera
from hub.coordination.port import RateLimiter
from hub.problems import Problem
from hub.texts import Texts
from hub.trouble import problem_of
from standards.observation import parse_rfc3339

LIMIT_S: Final = 20.0  # one command with its login, apart from the time of the movement
PER_CAMERA: Final = 30  # commands, Stop aside
WINDOW_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Move:
    """Speeds from -1 to 1 of the device's greatest, for `seconds`."""

    pan: float
    tilt: float
    zoom: float
    seconds: float


@dataclass(slots=True)
class _Movement:
    """A movement that runs; its task ends it."""

    user_id: str
    ended: asyncio.Event
    task: "asyncio.Task[None] | None" = None


class Movers:
    """Moves cameras for people; at most one person and one movement per camera at a time."""

    def __init__(
        self,
        *,
        catalog: CatalogService,
        audit: AuditLog,
        dialer: Dialer,
        gate: CredentialGate,
        limiter: RateLimiter,
        clock: Clock,
        texts: Texts,
    ) -> None:
        self._catalog = catalog
        self._audit = audit
        self._dialer = dialer
        self._gate = gate
        self._limiter = limiter
        self._clock = clock
        self._texts = texts
        self._running: dict[str, _Movement] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def aclose(self) -> None:
        """End every movement; each sends its Stop."""
        for movement in self._running.values():
            movement.ended.set()
        tasks = [one.task for one in self._running.values() if one.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def presets(self, principal: Principal, camera: Camera) -> tuple[Preset, ...]:
        """Read the presets of a camera.

        Raises:
            Problem: refused, or what the camera did.
        """
        await self._decided(principal, camera, {"command": "presets"})
        await self._counted(camera)
        try:
            async with await self._control(camera) as control:
                return await control.presets()
        except AdapterError as error:
            raise self._problem(error, camera) from error

    async def move(self, principal: Principal, camera: Camera, wanted: Move) -> None:
        """Begin a movement; returns once the camera has taken it.

        Raises:
            Problem: refused, ``ptz_busy``, ``too_many_requests``, or what the camera did.
        """
        said = {"command": "move", "pan": wanted.pan, "tilt": wanted.tilt, "zoom": wanted.zoom}
        await self._decided(principal, camera, {**said, "seconds": wanted.seconds})
        await self._counted(camera)
        async with self._locks.setdefault(camera.id, asyncio.Lock()):
            await self._end(camera.id, principal)
            key = _lease(camera)
            verdict = await self._limiter.hit(key, 1, wanted.seconds + LIMIT_S)
            if not verdict.allowed:
                raise Problem("ptz_busy")
            movement = _Movement(principal.user_id, asyncio.Event())
            taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            taken.add_done_callback(_seen)  # who asked may have left
            self._running[camera.id] = movement
            movement.task = asyncio.create_task(self._move(camera, wanted, movement, taken), name="ptz")
        try:
            # the movement is the hub's, not the request's: a person who leaves does not leave it running
            await asyncio.shield(taken)
        except AdapterError as error:
            raise self._problem(error, camera) from error

    async def stop(self, principal: Principal, camera: Camera) -> None:
        """Stop the camera: the person's own movement, or whatever moves it where the hub runs none.

        Raises:
            Problem: refused, ``ptz_busy``, or what the camera did.
        """
        await self._decided(principal, camera, {"command": "stop"})
        async with self._locks.setdefault(camera.id, asyncio.Lock()):
            if await self._end(camera.id, principal):
                return
            try:
                async with await self._control(camera) as control:
                    await control.stop()
            except AdapterError as error:
                raise self._problem(error, camera) from error

    async def goto(self, principal: Principal, camera: Camera, preset: str) -> None:
        """Send the camera to a preset, by its token.

        Raises:
            Problem: refused, ``ptz_busy``, ``too_many_requests``, or what the camera did.
        """
        await self._decided(principal, camera, {"command": "preset", "preset": preset})
        await self._counted(camera)
        async with self._locks.setdefault(camera.id, asyncio.Lock()):
            await self._end(camera.id, principal)
            if not (await self._limiter.hit(_lease(camera), 1, LIMIT_S)).allowed:
                raise Problem("ptz_busy")
            try:
                async with await self._control(camera) as control:
                    await control.goto(preset)
            except AdapterError as error:
                raise self._problem(error, camera) from error
            finally:
                await self._limiter.reset(_lease(camera))

    async def _move(
        self, camera: Camera, wanted: Move, movement: _Movement, taken: "asyncio.Future[None]"
    ) -> None:
        try:
            async with await self._control(camera, wanted.seconds) as control:
                await control.move(pan=wanted.pan, tilt=wanted.tilt, zoom=wanted.zoom, seconds=wanted.seconds)
                if not taken.done():
                    taken.set_result(None)
                sleeping = asyncio.ensure_future(self._clock.sleep(wanted.seconds))
                ending = asyncio.ensure_future(movement.ended.wait())
                await asyncio.wait({sleeping, ending}, return_when=asyncio.FIRST_COMPLETED)
                sleeping.cancel()
                ending.cancel()
        except Exception as error:  # noqa: BLE001  handed to who asked
            if not taken.done():
                taken.set_exception(error)
        finally:
            self._running.pop(camera.id, None)
            await self._limiter.reset(_lease(camera))

    async def _end(self, camera_id: str, principal: Principal) -> bool:
        """End the person's own movement and tell whether one ran; another person's is left alone."""
        movement = self._running.get(camera_id)
        if movement is None:
            return False
        if movement.user_id != principal.user_id:
            raise Problem("ptz_busy")
        movement.ended.set()
        if movement.task is not None:
            await asyncio.gather(movement.task, return_exceptions=True)
        return True

    async def _decided(self, principal: Principal, camera: Camera, said: dict[str, Any]) -> None:
        """Decide, and record command or refusal before anything is sent."""
        refused = refusal_to_move(principal, camera)
        subject, actor = f"camera/{camera.id}", principal.actor()
        if refused is not None:
            await self._audit.append("ptz.refused", actor, subject, {**said, "code": refused.code})
            raise Problem(refused.code, refused.params)
        await self._audit.append("ptz.command", actor, subject, said)

    async def _counted(self, camera: Camera) -> None:
        verdict = await self._limiter.hit(f"ptz:{camera.id}", PER_CAMERA, WINDOW_S)
        if not verdict.allowed:
            wait = str(max(1, round(verdict.retry_after_s)))
            raise Problem("too_many_requests", {"retry_after_s": wait}, headers={"retry-after": wait})

    async def _control(self, camera: Camera, more_s: float = 0.0) -> PtzControl:
        target, _ = parse_target(camera.address)
        if not target.scheme.startswith("onvif"):
            raise Problem("no_ptz")
        context = ProbeContext(self._dialer, self._gate, self._clock, device_key(target))
        granted = camera.permission
        leave = Actuation(
            granted[PTZ_GRANTED_BY],
            granted[PTZ_BASIS],
            parse_rfc3339(granted[PTZ_GRANTED_AT]),
            municipal=True,
        )
        return PtzControl(
            target,
            await self._catalog.credential_for(camera.id),
            context,
            leave,
            Deadline.after(self._clock, LIMIT_S + more_s),
            video_source=await self._video_source(camera, target),
        )

    async def _video_source(self, camera: Camera, target: Target) -> str:
        """Return which camera of the device this is: on a recorder another one must never move."""
        if target.source:
            return target.source
        if camera.assessment_id is not None:
            report = (await self._catalog.assessment(camera.assessment_id)).report
            for one in report.get("sources") or ():
                if one.get("source"):
                    return str(one["source"])
        raise Problem("no_stream")

    def _problem(self, error: AdapterError, camera: Camera) -> Problem:
        target, _ = parse_target(camera.address)
        if error.code == "unsupported":
            return Problem("no_ptz")
        return problem_of(error, step="login", peer=target.authority, typed=target.url, texts=self._texts)


def _seen(taken: "asyncio.Future[None]") -> None:
    if not taken.cancelled():
        taken.exception()


def _lease(camera: Camera) -> str:
    return f"ptz.mover:{camera.id}"
