"""A camera's sound for those who may hear it: G.711 as the camera cut it, AAC recoded to Opus in a confined process.

A browser must take G.711 and Opus (RFC 7874 section 3) and takes no AAC. One process recodes for all who hear a stream; it
starts with the first of them and ends 10 s after the last. What becomes of the sound never touches the picture.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from adapters.clock import Clock
from adapters.port import AccessUnit, Track
from hub.decode import recode_messages as m
from hub.decode.errors import DecodeError
from hub.decode.recode import RecodeSetup, Recoding
from hub.relay.camera.packetise import PAYLOAD_MAX
from hub.relay.camera.processing import Sound
from hub.relay.camera.transcoding import NoRoom, Places

log = structlog.get_logger(__name__)

AAC: Final = "MPEG4-GENERIC"  # RFC 3640
OPUS: Final = "OPUS"
OPUS_HZ: Final = 48_000
_IDLE_S: Final = 10.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_REMEMBERED: Final = 256  # arrival times of frames that are inside the process


@dataclass(slots=True)
class SoundSetup:
    """How AAC is recoded, and how many tracks of it at once; none at all where `places` are 0."""

    places: Places = field(default_factory=lambda: Places(0))
    recode: RecodeSetup = field(default_factory=RecodeSetup)
    bit_s: int = 32_000  # of Opus


class Sounds:
    """The sound of one pull. `give` gets each packet for browsers, `listened` whether anybody hears a codec."""

    def __init__(
        self,
        how: SoundSetup,
        clock: Clock,
        peer: str,
        *,
        give: Callable[[Sound], None],
        listened: Callable[[str], bool],
    ) -> None:
        self._how = how
        self._clock = clock
        self._peer = peer
        self._give = give
        self._listened = listened
        self._track: Track | None = None
        self._recoding: Recoding | None = None
        self._task: asyncio.Task[None] | None = None
        self._held = False
        self._lacks = False  # a place, since it was looked for
        self._arrived: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        self._unheard_s: float | None = None  # since when nobody hears it (monotonic)
        self._again_s = 0.0  # not before this is a process that failed begun anew
        self._failures = 0

    @property
    def codec(self) -> str:
        """Return what goes out to browsers: PCMU | PCMA | OPUS, "" where nothing does (`why`)."""
        if self._track is None or self.why:
            return ""
        return OPUS if self._track.codec == AAC else self._track.codec

    @property
    def why(self) -> str:
        """Return why there is no sound: ``none`` (the camera sends none), ``codec``, ``full``, ``failed``; "" where there is."""
        track = self._track
        if track is None:
            return "none"
        if copied(track):
            return ""
        places = self._how.places
        if track.codec != AAC or not track.configuration or not places.limit:
            return "codec"
        if self._failures:
            return "failed"
        return "full" if not self._held and places.full else ""

    @property
    def aac(self) -> Track | None:
        """Return the track of AAC, where the camera sends it and tells its configuration."""
        track = self._track
        return track if track is not None and track.codec == AAC and track.configuration else None

    @property
    def own(self) -> Track | None:
        """Return the track that goes out as the camera cut it: G.711, Opus or AAC."""
        return self._track if self._track is not None and copied(self._track) else self.aac

    def begin(self, track: Track | None) -> None:
        """Expect a new connection of the camera, with this track of sound or none."""
        self._stop()
        self._track, self._again_s, self._failures = track, 0.0, 0

    def take(self, unit: AccessUnit) -> None:
        """Take one frame of that track."""
        track = self._track
        if track is None:
            return
        if copied(track):
            payload = b"".join(unit.nals)
            if 0 < len(payload) <= PAYLOAD_MAX:
                self._give(Sound(payload, unit.timestamp, unit.arrived_s, track.codec, track.clock_rate_hz))
            return
        if self.aac is not None and self._listened(AAC):
            frame = b"".join(unit.nals)
            self._give(Sound(frame, unit.timestamp, unit.arrived_s, AAC, track.clock_rate_hz))
        if self._recoding is not None and self._recoding.feed(unit.timestamp, unit.nals, key_frame=True):
            self._arrived.append((unit.timestamp * OPUS_HZ // track.clock_rate_hz, unit.arrived_s))

    def look(self) -> None:
        """Begin to recode for those who came, end it where all have gone (called a few times a second)."""
        if self._track is None or copied(self._track):
            return
        now = self._clock.monotonic()
        if self._listened(OPUS):
            self._unheard_s = None
            if self._task is None and now >= self._again_s:
                self._start(self._track)
        elif self._task is not None:
            self._unheard_s = now if self._unheard_s is None else self._unheard_s
            if now - self._unheard_s > _IDLE_S:
                self._stop()

    async def aclose(self) -> None:
        """End the process and give its place back. Idempotent."""
        task = self._task
        self._stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _start(self, track: Track) -> None:
        places = self._how.places
        try:
            if self._lacks and places.full:
                return
            places.take(self._peer)  # counts the refusal, once while it lasts
        except NoRoom:
            self._lacks = True  # whoever hears it goes on without sound, and has it when a place is free
            return
        self._held, self._lacks = True, False
        self._arrived.clear()
        asked = m.OpenSound(AAC, track.clock_rate_hz, track.channels, track.configuration, self._how.bit_s)
        self._task = asyncio.create_task(self._run(asked), name=f"sound of {self._peer}")

    async def _run(self, asked: m.OpenSound) -> None:
        recoding: Recoding | None = None
        try:
            recoding = await Recoding.start(self._how.recode, asked, self._coded)
            self._recoding = recoding
            await recoding.run()
        except DecodeError as error:
            log.warning("relay.sound.failed", peer=self._peer, code=error.code, detail=str(error))
            self._how.places.failed += 1
            pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
            self._failures = min(self._failures + 1, 10)
            self._again_s = self._clock.monotonic() + pause * random.uniform(0.7, 1.3)  # noqa: S311  no secret
            self._release()
        finally:
            if recoding is not None:
                if self._recoding is recoding:
                    self._recoding = None
                with contextlib.suppress(OSError):
                    await asyncio.shield(recoding.aclose())

    def _coded(self, coded: m.Coded) -> None:
        self._failures = 0
        payload = coded.nals[0]
        if 0 < len(payload) <= PAYLOAD_MAX:
            self._give(Sound(payload, coded.timestamp, self._arrival(coded.timestamp), OPUS, OPUS_HZ))

    def _arrival(self, timestamp: int) -> float:
        """Return when the sound of that timestamp came: what the recoding took is part of its age."""
        while len(self._arrived) > 1 and self._arrived[1][0] <= timestamp:
            self._arrived.popleft()
        stamp, arrived_s = self._arrived[0] if self._arrived else (timestamp, self._clock.monotonic())
        return arrived_s + max(0.0, min(1.0, (timestamp - stamp) / OPUS_HZ))

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._recoding = self._unheard_s = None
        self._release()

    def _release(self) -> None:
        self._task = None
        if self._held:
            self._held = False
            self._how.places.free()


def copied(track: Track) -> bool:
    """Tell whether browsers take this sound as it is (G.711 or Opus, RFC 7874 section 3)."""
    if track.codec == OPUS:
        return track.clock_rate_hz == OPUS_HZ
    return track.codec in {"PCMU", "PCMA"} and (track.clock_rate_hz, track.channels) == (8000, 1)
