"""What browsers cannot play, recoded: one process per layer that needs it, shared by all its viewers.

MJPEG, MPEG-4 part 2, H.265 and H.264 with B pictures become H.264; so does whatever carries a declared mask that nobody
verified at the camera, for then no unmasked picture may be kept or sent.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from adapters.errors import AdapterError
from adapters.port import AccessUnit, Track
from adapters.rtsp.measure import CODEC_NAMES
from hub.decode import recode_messages as m
from hub.decode.errors import DecodeError
from hub.decode.recode import RecodeSetup, Recoding
from hub.relay.camera.chain import Chain
from hub.relay.camera.hardware import Hardware
from hub.relay.camera.packetise import H264Packetiser
from hub.relay.camera.places import SharedPlaces
from hub.relay.camera.processing import Picture, Unplayable, why_not
from hub.relay.webrtc.sdp import Offered

log = structlog.get_logger(__name__)

CODECS: Final = frozenset({"H264", "H265", "JPEG", "MPEG4"})  # what can be recoded
_WAITING_BYTES: Final = 16 << 20  # of pictures that came before the process was ready
_REMEMBERED: Final = 256  # arrival times of pictures that are inside the process


class NoRoom(AdapterError):
    """As many streams are recoded as this machine is to recode."""

    code = "transcodes_full"
    retryable = True


class RecodingFailed(AdapterError):
    """The recoding process died, hung, or cannot be had; it is tried again like a lost connection."""

    code = "transcode_failed"
    retryable = True


@dataclass(slots=True)
class Places:
    """How many streams are recoded at once: by this worker, or by all that share the places.

    A stream that hardware codes has a place like any other: it is decoded and scaled by the processor all the same, and libx264
    takes it over at any moment.
    """

    limit: int
    shared: SharedPlaces | None = None
    taken: int = 0  # by this worker
    refused: int = 0  # streams that found no place
    failed: int = 0  # recoding processes that died, hung or could not be started
    hardware: Hardware = field(default_factory=Hardware)

    @property
    def full(self) -> bool:
        """Tell whether all are taken."""
        return self.taken >= self.limit or (self.shared is not None and not self.shared.left)

    def take(self, peer: str) -> None:
        """Take a place.

        Raises:
            NoRoom: all are taken.
        """
        if self.taken >= self.limit or (self.shared is not None and not self.shared.take()):
            self.refused += 1
            raise NoRoom(
                f"{self.limit} streams are recoded already, which is what this machine is set to recode",
                peer=peer,
                operation="transcode",
                hint="Set the camera's sub-stream to H.264 without B-frames: such a stream is not recoded",
            )
        self.taken += 1

    def free(self) -> None:
        """Give a place back."""
        self.taken -= 1
        if self.shared is not None:
            self.shared.free()


@dataclass(frozen=True, slots=True)
class Transcoding:
    """How streams are recoded: bounds of what goes out, and masks as polygons, corners (x, y) from 0 to 1.

    `encoder` is the setting `relay.encoder`: auto | software | nvenc | qsv.
    """

    max_width: int = 1280  # px
    max_fps: float = 25.0
    bit_s: int = 2_000_000
    key_every_s: float = 2.0
    masks: tuple[tuple[tuple[float, float], ...], ...] = ()
    encoder: str = "software"
    setup: RecodeSetup = field(default_factory=RecodeSetup)


class TranscodeH264:
    """The `Processor` of streams that are recoded to H.264."""

    def __init__(
        self, on_picture: Callable[[Picture], None], how: Transcoding, places: Places, peer: str
    ) -> None:
        self._on_picture = on_picture
        self._how = how
        self._places = places
        self._peer = peer
        self._held = False
        self._packetiser = H264Packetiser()
        self._clock_rate_hz = 90_000
        self._recoding: Recoding | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._waiting: list[AccessUnit] = []
        self._waiting_bytes = 0
        self._arrived: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        self._want_key = False
        self._chain = Chain()

    @property
    def held(self) -> bool:
        """Tell whether packets were lost, and nothing is decoded before the camera's next whole key frame."""
        return self._chain.broken

    def begin(self, track: Track, opened_s: float) -> None:
        """Expect a new connection: another process, so that nothing of the old stream is left in a decoder.

        Raises:
            Unplayable: the codec cannot be decoded here.
            NoRoom: too many streams are recoded already.
        """
        del opened_s
        codec = CODEC_NAMES.get(track.codec, track.codec)
        if codec not in CODECS:
            raise Unplayable(
                f"the camera sends {Offered(track.codec).words}, which is not decoded here; set the camera's encoding to "
                "H.264",
                why_not(track.codec),
            )
        if not self._held:
            self._places.take(self._peer)
            self._held = True
        self._stop()
        self._clock_rate_hz = track.clock_rate_hz
        self._packetiser = H264Packetiser()
        self._chain.begin(codec)
        self._failure = None
        self._waiting, self._waiting_bytes = [], 0
        self._arrived.clear()
        asked = m.OpenPicture(
            codec=codec,
            clock_hz=track.clock_rate_hz,
            parameter_sets=track.parameter_sets,
            max_width=self._how.max_width,
            max_fps=self._how.max_fps,
            bit_s=self._how.bit_s,
            key_every_s=self._how.key_every_s,
            masks=self._how.masks,
        )
        self._task = asyncio.create_task(self._run(asked), name=f"transcode {self._peer}")

    def take(self, unit: AccessUnit) -> None:
        """Hand one access unit to the process; the picture comes later.

        Raises:
            RecodingFailed: the process failed.
            Unplayable: the pictures cannot be decoded.
        """
        if self._failure is not None:
            raise self._failure
        if not self._chain.takes(unit):
            return
        if self._recoding is None:
            self._keep(unit)
            return
        self._feed(self._recoding, unit)

    def want_key_frame(self) -> bool:
        """Make the next picture a key frame: a viewer lacks one."""
        self._want_key = True
        return True

    def offered(self, now_s: float) -> Offered | None:
        """Say what goes out once the first picture did."""
        del now_s
        sps = self._packetiser.sps
        return None if sps is None else Offered("H264", sps)

    async def aclose(self) -> None:
        """End the process and give its place back. Idempotent."""
        task = self._task
        self._stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        if self._held:
            self._held = False
            self._places.free()

    def _keep(self, unit: AccessUnit) -> None:
        """Keep what comes before the process is ready, from the newest key frame on."""
        if unit.key_frame:
            self._waiting, self._waiting_bytes = [], 0
        size = sum(map(len, unit.nals))
        if (self._waiting or unit.key_frame) and self._waiting_bytes + size <= _WAITING_BYTES:
            self._waiting.append(unit)
            self._waiting_bytes += size
        else:
            self._waiting, self._waiting_bytes = [], 0  # a gap: only a key frame begins anew

    def _feed(self, recoding: Recoding, unit: AccessUnit) -> None:
        if recoding.feed(unit.timestamp, unit.nals, key_frame=unit.key_frame, want_key=self._want_key):
            self._want_key = False
            self._arrived.append((unit.timestamp, unit.arrived_s))

    async def _run(self, asked: m.OpenPicture) -> None:
        recoding: Recoding | None = None
        hardware, loop = self._places.hardware, asyncio.get_running_loop()
        on_hardware = False

        def told(coder: m.Coder) -> None:
            nonlocal on_hardware
            hardware.failed += on_hardware and not coder.hardware
            hardware.streams += coder.hardware - on_hardware
            on_hardware = coder.hardware
            hardware.told(coder, self._peer, loop.time())

        try:
            recoding = await Recoding.start(
                self._how.setup,
                asked,
                self._coded,
                hardware=hardware.kind(self._how.encoder, loop.time()),
                told=told,
            )
            self._recoding = recoding
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            for unit in waiting:
                self._feed(recoding, unit)
            await recoding.run()
        except DecodeError as error:
            log.warning("relay.transcode.failed", peer=self._peer, code=error.code, detail=str(error))
            if error.code == "not_decodable":
                self._failure = Unplayable(f"the camera's pictures cannot be decoded: {error}")
            else:
                self._places.failed += 1
                self._failure = RecodingFailed(str(error), peer=self._peer, operation="transcode")
        finally:
            hardware.streams -= on_hardware
            if recoding is not None:
                if self._recoding is recoding:
                    self._recoding = None
                with contextlib.suppress(OSError):
                    await asyncio.shield(recoding.aclose())

    def _coded(self, coded: m.Coded) -> None:
        try:
            payloads = self._packetiser.payloads(coded.nals, key_frame=coded.key)
        except (ValueError, IndexError, OverflowError) as error:
            self._failure = RecodingFailed(
                f"the recoding process gave what is no H.264 ({type(error).__name__})",
                peer=self._peer,
                operation="transcode",
            )
            return
        if payloads:
            self._on_picture(
                Picture(
                    payloads, coded.timestamp, self._clock_rate_hz, self._arrival(coded.timestamp), coded.key
                )
            )

    def _arrival(self, timestamp: int) -> float:
        """Return when the camera's picture of that timestamp came: what the recoding took is part of its age."""
        for stamp, arrived_s in self._arrived:
            if stamp == timestamp:
                return arrived_s
        return self._arrived[-1][1] if self._arrived else 0.0

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._recoding = None
