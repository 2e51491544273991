"""PTZ of a municipal camera, after its admission: move, stop, presets (ONVIF PTZ 5.3).

For the hub::

    async with PtzControl(target, credential, context, actuation, deadline) as ptz:
        for preset in await ptz.presets(): ...
        await ptz.move(pan=0.5, tilt=0.0, zoom=0.0, seconds=1.0)
        await ptz.stop()
        await ptz.goto("3")

A movement ends by itself: the device is told a time-out, and Stop is sent when it has passed, because some devices
ignore it; leaving the block stops a movement that still runs. Presets are gone to, never set; home positions,
auxiliary commands and everything that writes do not exist here. A probe's session sends none of this.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from adapters.deadline import Deadline
from adapters.errors import AdapterError, Unsupported
from adapters.onvif import details, mapping, operations, requests, templates
from adapters.onvif.conversation import Conversation, conversation
from adapters.onvif.session import OnvifSession
from adapters.port import Actuation, ProbeContext
from adapters.secret import Credential
from adapters.target import Target

MAX_MOVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset of the camera."""

    token: str
    name: str  # as the owner wrote it; may name a place


class PtzControl:
    """Moves one camera. Use once, as an async context manager; one call at a time.

    `video_source` chooses the camera on a device with several. Entering raises:
        NotPermitted: the leave is not for a municipal camera; nothing was sent.
        AuthenticationFailed, CoolingDown: no login, or a refused one; one attempt was made at most.
        Unsupported: no PTZ service, or no MediaProfile of this camera carries PTZ.
        TimedOut, Unreachable, RemoteProtocolError, CameraFault, AddressRefused: as they say.
    """

    def __init__(
        self,
        target: Target,
        credential: Credential | None,
        context: ProbeContext,
        actuation: Actuation,
        deadline: Deadline,
        *,
        video_source: str = "",
    ) -> None:
        self._target = target
        self._context = context
        self._video_source = video_source
        self._opening: AbstractAsyncContextManager[Conversation] = conversation(
            target, credential, context, actuation, service="ptz", deadline=deadline
        )
        self._open: Conversation | None = None
        self._profile = ""
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._open = await self._opening.__aenter__()
        try:
            self._profile = await self._profile_with_ptz(self._open)
        except BaseException as error:
            await self._opening.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._watch is not None:
                with suppress(AdapterError):
                    await self.stop()
        finally:
            await self._opening.__aexit__(kind, error, trace)

    async def presets(self) -> tuple[Preset, ...]:
        """Read the presets.

        Raises:
            AdapterError: as the session says.
        """
        operation = operations.PTZ_GET_PRESETS
        reply = await self._session.ask(operation, requests.plain(operation, ProfileToken=self._profile))
        return tuple(Preset(token, name) for token, name in details.presets(reply))

    async def move(self, *, pan: float = 0.0, tilt: float = 0.0, zoom: float = 0.0, seconds: float) -> None:
        """Move with these speeds (-1 to 1, of the device's greatest) for at most `seconds`; returns at once.

        Raises:
            ValueError: a speed or the time is out of bounds, or all speeds are 0; nothing was sent.
            PermissionDenied: the account may not move the camera. And as the session says.
        """
        speeds = (pan, tilt, zoom)
        if not all(-1.0 <= speed <= 1.0 for speed in speeds) or not any(speeds):
            raise ValueError("pan, tilt and zoom are speeds from -1 to 1, one of them not 0")
        if not 0.0 < seconds <= MAX_MOVE_S:
            raise ValueError(f"a movement lasts more than 0 and at most {MAX_MOVE_S:.0f} seconds")
        self._forget()
        operation = operations.CONTINUOUS_MOVE
        body = requests.continuous_move(
            operation, self._profile, pan=pan, tilt=tilt, zoom=zoom, seconds=seconds
        )
        # Watched before it is sent: a lost answer does not mean that nothing moves.
        self._watch = asyncio.create_task(self._stop_after(seconds), name="stop ptz")
        await self._session.ask(operation, body, fragile=True)

    async def stop(self) -> None:
        """Stop every movement.

        Raises:
            AdapterError: as the session says.
        """
        self._forget()
        await self._stop()

    async def goto(self, preset: str) -> None:
        """Go to a preset, by its token.

        Raises:
            CameraFault: no such preset. And as the session says.
        """
        self._forget()
        operation = operations.GOTO_PRESET
        body = requests.plain(operation, ProfileToken=self._profile, PresetToken=preset)
        await self._session.ask(operation, body, fragile=True)

    async def _stop(self) -> None:
        operation = operations.STOP
        body = requests.plain(operation, ProfileToken=self._profile, PanTilt="true", Zoom="true")
        await self._session.ask(operation, body)

    async def _stop_after(self, seconds: float) -> None:
        await self._context.clock.sleep(seconds)
        with suppress(AdapterError):
            await self._stop()
        self._watch = None

    def _forget(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()

    @property
    def _session(self) -> OnvifSession:
        assert self._open is not None
        return self._open.session

    async def _profile_with_ptz(self, opened: Conversation) -> str:
        """Return the token of the MediaProfile of this camera that carries PTZ."""
        found: tuple[mapping.MediaProfile, ...] = ()
        if "media" in opened.session.endpoints:
            operation = operations.MEDIA_GET_PROFILES
            found = mapping.media_profiles(await opened.session.ask(operation, requests.plain(operation)))
        if not found and "media2" in opened.session.endpoints:
            operation = operations.MEDIA2_GET_PROFILES
            body = templates.media2_get_profiles("VideoSource", "PTZ")
            found = mapping.media2_profiles(await opened.session.ask(operation, body))
        wanted = self._video_source
        for profile in found:
            if profile.ptz and (not wanted or profile.source == wanted):
                return profile.token
        raise Unsupported(
            f"{self._target.authority} has no MediaProfile that carries PTZ",
            peer=self._target.authority,
            operation="ONVIF ptz",
        )


__all__ = ["MAX_MOVE_S", "Preset", "PtzControl"]
