"""One pull of one camera, for as many viewers as there are.

State: ``opening`` until the first picture, ``live``, ``stalled`` after 3 s without a picture, ``offline`` when the
connection is gone, then ``opening`` again after a jittered pause. A refused login is not repeated: the pull ends and
says so.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AddressRefused,
    AuthenticationFailed,
    BadTarget,
    CoolingDown,
    PermissionDenied,
    Unsupported,
)
from adapters.port import AccessUnit, MediaSource, Track
from hub.relay.camera.keyframes import LONG_S, KeyFrames
from hub.relay.camera.processing import Picture, Sound
from hub.relay.camera.renditions import Rendition
from hub.relay.camera.sound import AAC, Sounds, SoundSetup, copied
from hub.relay.errors import RelayRefused
from hub.relay.events import SourceSpec, SourceState, State

log = structlog.get_logger(__name__)

OpenSource = Callable[[SourceSpec, Deadline, bool], Awaitable[MediaSource]]  # the last: with audio

OPEN_WITHIN_S: Final = 10.0
STALLED_AFTER_S: Final = 3.0
REOPEN_AFTER_S: Final = (
    12.0  # of silence: longer than a camera's slowest hiccup, shorter than its session time-out
)
KEY_FRAME_WITHIN_S: Final = 60.0  # so long pictures without one are waited through
_WATCH_EVERY_S = 0.5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_FAULTS_LIMIT = 50  # unreadable pictures in a row before the connection is opened anew
_DAMAGED: Final = (
    "packets were lost between camera and hub; the picture waits for the camera's next whole key frame"
)
_NO_KEY_FRAME: Final = "the camera sends pictures; the first to begin with, a key frame, has not come yet"
# Trying again cannot help, and with a credential it would harm.
_FINAL: Final = (
    AddressRefused,
    AuthenticationFailed,
    BadTarget,
    CoolingDown,
    PermissionDenied,
    Unsupported,
)


class Pull:
    """Keeps one camera's stream open until `aclose`, and feeds what is made of it (`add`): one pull, however many those are.

    The camera is asked for its sound only where `spec.audio` says that it is shared. `on_state` hears each change,
    `on_sound` that there is sound now or none any more, `on_end` the refusal once the pull has ended for good by itself.
    """

    def __init__(
        self,
        spec: SourceSpec,
        open_source: OpenSource,
        clock: Clock,
        *,
        layer: str = "main",
        sound: SoundSetup,
        on_state: Callable[[SourceState], None],
        on_sound: Callable[[], None],
        on_end: Callable[[RelayRefused], None],
    ) -> None:
        self.spec = spec
        self.layer = layer
        self._open = open_source
        self._clock = clock
        self._on_state = on_state
        self._on_sound = on_sound
        self._on_end = on_end
        self._renditions: list[Rendition] = []
        self._source: MediaSource | None = None
        self._video: Track | None = None
        self._heard: Track | None = None
        self._told_sound = ""
        self.sounds = Sounds(
            sound,
            clock,
            f"{spec.camera_id} {layer}",
            give=self._give_sound,
            listened=lambda codec: any(rendition.fanout.hears(codec) for rendition in self._renditions),
        )
        self._opened_s = 0.0
        self._key_frames = KeyFrames()
        self._early_s = 0.0  # when a picture last came in this connection before its first key frame
        self._pictures = 0  # handed on in this connection
        self._last_picture_s = 0.0
        self._held_s = 0.0  # when a picture last was held back, for others before it were damaged
        self._faults = 0
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._alarm: asyncio.TimerHandle
        self._failure: Exception | None = None
        self._state: State = "opening"
        self._since = clock.now()
        self._code = self._detail = ""
        self._known = False  # what the camera sends was seen at least once
        self.ended: RelayRefused | None = None
        self.reconnects = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to pull."""
        self._task = asyncio.create_task(self._run(), name=f"pull {self.spec.camera_id}")

    async def aclose(self) -> None:
        """Stop pulling; the camera is told (TEARDOWN). Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.sounds.aclose()

    def add(self, rendition: Rendition) -> None:
        """Feed a rendition from now on."""
        rendition.attach(self._picture)
        self._renditions.append(rendition)
        if self.ended is not None:
            rendition.end(self.ended)
        elif self._video is not None and self._source is not None:
            rendition.begin(self._video, self._opened_s)

    def remove(self, rendition: Rendition) -> None:
        """Feed a rendition no more. Idempotent."""
        if rendition in self._renditions:
            self._renditions.remove(rendition)

    def state(self) -> SourceState:
        """Return the present state as an event."""
        age = self._clock.monotonic() - self._last_picture_s if self._last_picture_s else -1.0
        return SourceState(
            self.spec.camera_id,
            self._state,
            self._since,
            self._code,
            self._detail,
            round(age, 2),
            self.layer,
            self._key_frames.long_s,
        )

    async def ask_key_frame(self) -> bool:
        """Ask the camera for a key frame where its adapter can; tell whether it was asked.

        Raises:
            AdapterError: it refused, or did not answer.
        """
        ask = getattr(self._source, "key_frame", None)
        if ask is None:
            return False
        await ask()
        return True

    async def _run(self) -> None:
        attempt = 0
        while True:
            before = self._clock.monotonic()
            try:
                await self._connection()
            except _NoPicture as error:
                self._finish(RelayRefused(406, "codec_not_playable", str(error)))
                return
            except _FINAL as error:
                self._set("offline", error.code, _sentence(error))
                self._finish(
                    RelayRefused(
                        503, error.code, _sentence(error), retry_after_s=_retry_after(error, self._clock)
                    )
                )
                return
            except AdapterError as error:
                self._set("offline", error.code, _sentence(error))
            except Exception as error:  # one camera's parser fault costs its own pull, never the process
                log.exception("relay.pull.fault", camera_id=self.spec.camera_id)
                self._set(
                    "offline",
                    "internal",
                    f"the stream broke the reader ({type(error).__name__}); it is opened anew",
                )
            if not self._known:
                # Nobody has ever seen this stream: those who wait are told now, the next one may try again.
                self._finish(RelayRefused(503, self._code, self._detail, retry_after_s=5.0))
                return
            if self._pictures and self._clock.monotonic() - before > _LONGEST_PAUSE_S:
                attempt = 0
            pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
            attempt = min(attempt + 1, 10)
            # Jitter: two hundred cameras behind one switch that came back must not be dialled in one instant.
            await self._clock.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311  no secret depends on it
            self.reconnects += 1
            log.info("relay.pull.reopening", camera_id=self.spec.camera_id, attempt=attempt, code=self._code)

    async def _connection(self) -> None:
        """Open the stream and read it until it ends.

        Raises:
            AdapterError: why it ended; always raises.
        """
        self._pictures = self._faults = 0
        self._early_s = 0.0
        self._key_frames.begin()
        self._failed = asyncio.get_running_loop().create_future()
        self._failure = None
        if self._state != "offline":
            self._set("opening")
        source = await self._open(self.spec, Deadline.after(self._clock, OPEN_WITHIN_S), self.spec.audio)
        try:
            self._video = _video_track(source)
            heard = _sound_track(source) if self.spec.audio else None
            changed = self._heard is not None and heard is not None and heard != self._heard
            self._heard = heard
            self.sounds.begin(heard)
            self._opened_s = self._clock.monotonic()
            self._source = source
            for rendition in tuple(self._renditions):
                rendition.begin(self._video, self._opened_s)
                if changed:
                    rendition.sound_changed()
            self._look()
            reader = asyncio.create_task(source.run(self._take), name=f"read {self.spec.camera_id}")
            self._watch_later()
            try:
                await asyncio.wait({reader, self._failed}, return_when=asyncio.FIRST_COMPLETED)
                if self._failure is not None:
                    raise self._failure
                reader.result()
                raise _Ended(self.spec.url)
            finally:
                self._alarm.cancel()
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
        finally:
            self._source = None
            with contextlib.suppress(AdapterError, OSError):
                await asyncio.wait_for(source.aclose(), 3.0)

    def _watch_later(self) -> None:
        # By a timer: a task that wakes costs more, which two hundred cameras feel.
        self._alarm = asyncio.get_running_loop().call_later(_WATCH_EVERY_S, self._on_alarm)

    def _on_alarm(self) -> None:
        try:
            self._watch()
        except Exception as error:  # noqa: BLE001  raised by `_connection`
            self._fail(error)
        else:
            self._watch_later()

    def _watch(self) -> None:
        now = self._clock.monotonic()
        unseen = now - max(self._last_picture_s, self._opened_s)
        silent = min(unseen, now - self._held_s)
        if now - self._opened_s < KEY_FRAME_WITHIN_S:
            silent = min(silent, now - self._early_s)  # to open it anew would begin the same wait again
        if silent > REOPEN_AFTER_S:
            raise _Silent(self.spec.url, silent)
        if unseen > STALLED_AFTER_S and self._state == "live":
            if silent < unseen:
                self._set("stalled", "damaged", _DAMAGED, began_s=unseen)
            else:
                self._set("stalled", "no_frames", f"no picture for {unseen:.0f} s", began_s=unseen)
        elif self._state == "opening" and self._early_s and unseen > LONG_S:
            self._set("opening", "no_key_frame", _NO_KEY_FRAME)
        if self._key_frames.news():
            self._on_state(self.state())
        self._look()

    def _take(self, unit: AccessUnit) -> None:
        video, heard = self._video, self._heard
        if heard is not None and unit.track == heard.index:
            if self._pictures:
                self.sounds.take(unit)
            return
        if video is None or unit.track != video.index or self._failure is not None:
            return
        if unit.key_frame:
            self._key_frames.came(unit.timestamp, video.clock_rate_hz)
            self._early_s = 0.0
        elif self._key_frames.none_yet:
            self._early_s = unit.arrived_s
        unread = copied = held = False
        for rendition in tuple(self._renditions):
            try:
                rendition.take(unit)
            except (ValueError, IndexError, OverflowError):
                unread = True
            copied = copied or (rendition.kind == "copy" and rendition.refused is None)
            held = held or rendition.held
        if unread:
            self._faults += 1
            if self._faults > _FAULTS_LIMIT:
                self._fail(_Garbage(self.spec.url))
            return
        if held:
            self._held_s = unit.arrived_s
        elif not copied:
            # Recoded only: the camera lives as long as its pictures come, whatever becomes of them.
            self._last_picture_s = unit.arrived_s
        if not self._known:
            self._look()

    def _picture(self, picture: Picture) -> None:
        """Note that a picture goes out."""
        self._faults = 0
        self._pictures += 1
        self._last_picture_s = max(self._last_picture_s, picture.arrived_s)
        self._set("live")

    def _look(self) -> None:
        for rendition in tuple(self._renditions):
            rendition.look()
            self._known = self._known or rendition.known
        self.sounds.look()
        if self._known and self.sounds.why != self._told_sound:
            self._told_sound = self.sounds.why
            self._on_sound()

    def _give_sound(self, sound: Sound) -> None:
        for rendition in self._renditions:
            rendition.fanout.sound(sound)

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        if not self._failed.done():
            self._failed.set_result(None)

    def _finish(self, refusal: RelayRefused) -> None:
        self.ended = refusal
        for rendition in tuple(self._renditions):
            rendition.end(refusal)
        self._on_end(refusal)

    def _set(self, state: State, code: str = "", detail: str = "", *, began_s: float = 0.0) -> None:
        if state == self._state and code == self._code:
            return
        if state != self._state:
            self._since = self._clock.now() - timedelta(seconds=began_s)
        self._state, self._code, self._detail = state, code, detail
        log.info("relay.source.state", camera_id=self.spec.camera_id, state=state, code=code)
        self._on_state(self.state())


class _NoPicture(Exception):
    """There is nothing to be seen in the stream."""


class _Ended(AdapterError):
    code = "ended"

    def __init__(self, url: str) -> None:
        super().__init__(f"the camera ended the stream {url}", operation="play")


class _Silent(AdapterError):
    code = "no_frames"

    def __init__(self, url: str, silent_s: float) -> None:
        super().__init__(f"no picture came from {url} for {silent_s:.0f} s", operation="play")


class _Garbage(AdapterError):
    code = "malformed_media"

    def __init__(self, url: str) -> None:
        super().__init__(f"{_FAULTS_LIMIT} pictures in a row from {url} could not be read", operation="play")


def _video_track(source: MediaSource) -> Track:
    video = next((track for track in source.tracks if track.kind == "video"), None)
    if video is None:
        raise _NoPicture("the camera's stream has no video track")
    return video


def _sound_track(source: MediaSource) -> Track | None:
    """Return the sound that costs the least to hear: what goes out as it is, else what can be recoded, else any."""
    tracks = [track for track in source.tracks if track.kind == "audio"]
    return min(tracks, key=lambda track: 0 if copied(track) else 1 if track.codec == AAC else 2, default=None)


def _sentence(error: AdapterError) -> str:
    return f"{error}. {error.hint}" if error.hint else str(error)


def _retry_after(error: AdapterError, clock: Clock) -> float:
    return max(1.0, (error.until - clock.now()).total_seconds()) if isinstance(error, CoolingDown) else 0.0
