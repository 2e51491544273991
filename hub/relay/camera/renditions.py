"""What is made of one pull: its copy, and its transcode where somebody needs one; each with a ring of its own.

A rendition that cannot be had, or fails, never ends the pull: the others go on. What failed is begun anew after a
pause, without touching the camera.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

import structlog

from adapters.clock import Clock
from adapters.errors import AdapterError
from adapters.port import AccessUnit, Track
from hub.relay.camera.processing import MakeProcessor, Picture, Unplayable
from hub.relay.errors import RelayRefused
from hub.relay.fanout import Fanout
from hub.relay.webrtc.sdp import Offered

log = structlog.get_logger(__name__)

Kind = Literal["copy", "transcode"]
_FIRST_PAUSE_S: Final = 0.3
_LONGEST_PAUSE_S: Final = 15.0
_SOUND_AFTER_S: Final = 20.0  # what ran so long begins anew without a longer pause


class Changes(Protocol):
    """Who hears what becomes of a rendition."""

    def rendition_ended(self, rendition: "Rendition", code: str) -> None:
        """Nothing more comes of it for those who get it."""

    def rendition_restarted(self, rendition: "Rendition") -> None:
        """It begins anew and needs a key frame of the camera."""

    def rendition_held(self, rendition: "Rendition") -> None:
        """It holds its pictures back until the camera's next whole key frame; said with each of them."""


class Rendition:
    """One way of sending a pull's pictures. `on_picture` of `attach` hears each one."""

    def __init__(
        self, kind: Kind, fanout: Fanout, process: MakeProcessor, clock: Clock, changes: Changes
    ) -> None:
        self.kind: Kind = kind
        self.fanout = fanout
        self.waiting = 0  # who waits until it is known what it sends
        self.idle_since_s: float | None = None
        self.refused: RelayRefused | None = None  # why nothing comes of it in this connection
        self.why = ""  # a word of `processing.WHY` for that
        self.closing = False
        self._clock = clock
        self._changes = changes
        self._processor = process(self._made)
        self._on_picture: Callable[[Picture], None] = lambda _picture: None
        self._track: Track | None = None
        self._shown = False  # a picture was made in this connection
        self._again_s = 0.0  # when what failed is begun anew (monotonic); 0: it runs
        self._begun_s = 0.0
        self._failures = 0
        loop = asyncio.get_running_loop()
        self._codec: asyncio.Future[str] = loop.create_future()
        self._offered: asyncio.Future[Offered] = loop.create_future()
        for future in (self._codec, self._offered):
            future.add_done_callback(_seen)

    @property
    def used(self) -> bool:
        """Tell whether anybody gets it or waits for it."""
        return bool(self.waiting or self.fanout.busy)

    @property
    def held(self) -> bool:
        """Tell whether packets of the camera were lost, and nothing goes out before its next whole key frame."""
        return self.refused is None and self._processor.held

    @property
    def known(self) -> bool:
        """Tell whether it is known what it sends, or that it cannot be had."""
        return self.refused is not None or self._offered.done()

    @property
    def sends(self) -> str:
        """Return the codec of what it sends now; "" where that is not known, or nothing comes."""
        done = self._offered.done() and not self._offered.cancelled() and self.refused is None
        return self._offered.result().codec if done else ""

    def attach(self, on_picture: Callable[[Picture], None]) -> None:
        """Tell a pull of each picture, before the fan-out gets it."""
        self._on_picture = on_picture

    async def codec(self) -> str:
        """Return the codec of the camera's pictures, waiting for the first connection.

        Raises:
            RelayRefused: the camera cannot be reached, or its pictures cannot be had so.
        """
        return await asyncio.shield(self._codec)

    async def offered(self) -> Offered:
        """Return what it sends, waiting until that is sure.

        Raises:
            RelayRefused: as `codec`.
        """
        return await asyncio.shield(self._offered)

    def begin(self, track: Track, opened_s: float) -> None:
        """Expect a new connection of the camera."""
        before, self._track = self._track, track
        self._shown, self._again_s = False, 0.0
        changed = before is not None and before.codec != track.codec and self.kind == "copy"
        if changed or self.refused is not None:
            self._expect()
            if changed:
                self._changes.rendition_ended(self, "source_changed")
        self.refused, self.why = None, ""
        self._begin(opened_s)
        if not self._codec.done():
            self._codec.set_result(track.codec)

    def take(self, unit: AccessUnit) -> None:
        """Take one access unit.

        Raises:
            ValueError, IndexError, OverflowError: it cannot be read.
        """
        if self.refused is not None:
            return
        if self._again_s:
            if unit.arrived_s < self._again_s or self._track is None:
                return
            self._again_s = 0.0
            if not self._begin(self._clock.monotonic()):
                return
            self._changes.rendition_restarted(self)
        try:
            self._processor.take(unit)
        except Unplayable as error:
            self._refuse(RelayRefused(406, "codec_not_playable", str(error)), error.why)
        except AdapterError as error:
            self._failed(error)
        else:
            if not self._offered.done():
                self.look()
            if self._processor.held:
                # What is in the ring is as old as the gap: nobody begins with it.
                self.fanout.ring.forget_start()
                self._changes.rendition_held(self)

    def look(self) -> None:
        """See whether it is sure by now what goes out."""
        if self.refused is None and self._track is not None and not self._offered.done():
            offered = self._processor.offered(self._clock.monotonic())
            if offered is not None:
                self._offered.set_result(offered)

    def sound_changed(self) -> None:
        """End those who get it: what was agreed about the sound holds no more."""
        self._changes.rendition_ended(self, "source_changed")

    def want_key_frame(self) -> bool:
        """Make the next picture a key frame; false where only the camera can."""
        return self._processor.want_key_frame()

    def end(self, refusal: RelayRefused) -> None:
        """Tell those who wait that the pull has ended."""
        self.refused = refusal
        for future in (self._codec, self._offered):
            if not future.done():
                future.set_exception(refusal)

    async def aclose(self) -> None:
        """Stop sending and free what was taken. Idempotent."""
        self.closing = True
        await self.fanout.aclose()
        await self._processor.aclose()
        self.end(
            RelayRefused(503, "relay_busy", "the camera was being released; try again", retry_after_s=1.0)
        )

    def _begin(self, opened_s: float) -> bool:
        track = self._track
        assert track is not None
        self._begun_s = self._clock.monotonic()
        try:
            self._processor.begin(track, opened_s)
        except Unplayable as error:
            self._refuse(RelayRefused(406, "codec_not_playable", str(error)), error.why)
            return False
        except AdapterError as error:
            words = f"{error}. {error.hint}" if error.hint else str(error)
            self._refuse(RelayRefused(503, error.code, words, retry_after_s=30.0), "")
            return False
        return True

    def _made(self, picture: Picture) -> None:
        if self.closing:
            return
        if not self._shown:
            self._shown = True
            self.fanout.reopened()
        self._on_picture(picture)
        self.fanout.picture(picture)
        if not self._offered.done():
            self.look()

    def _failed(self, error: AdapterError) -> None:
        """Begin anew after a pause; whoever still waits for a first picture is told now."""
        if not self._offered.done():
            self._refuse(RelayRefused(503, error.code, str(error), retry_after_s=5.0), "")
            return
        ran_s = self._clock.monotonic() - self._begun_s
        self._failures = 1 if ran_s > _SOUND_AFTER_S else self._failures + 1
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self._failures - 1))
        self._again_s = self._clock.monotonic() + pause * random.uniform(0.7, 1.3)  # noqa: S311  no secret
        log.warning(
            "relay.rendition.failed", camera_id=self.fanout.camera_id, kind=self.kind, code=error.code
        )

    def _refuse(self, refusal: RelayRefused, why: str) -> None:
        """Give nothing more in this connection: those who get it find something else, or learn why not."""
        log.info(
            "relay.rendition.refused",
            camera_id=self.fanout.camera_id,
            kind=self.kind,
            code=refusal.code,
            why=why,
        )
        self.refused, self.why = refusal, why
        served = self._offered.done()
        if served:
            self._expect()
        for future in (self._codec, self._offered):
            if not future.done():
                future.set_exception(refusal)
        self._changes.rendition_ended(
            self, "source_changed" if served and self.kind == "copy" else refusal.code
        )

    def _expect(self) -> None:
        """Wait anew for what was known of the old stream; who waits already goes on waiting."""
        loop = asyncio.get_running_loop()
        if self._codec.done():
            self._codec = loop.create_future()
            self._codec.add_done_callback(_seen)
        if self._offered.done():
            self._offered = loop.create_future()
            self._offered.add_done_callback(_seen)


def _seen(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()  # somebody may have waited or not; either way it is not "never retrieved"
