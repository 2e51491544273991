"""The studio: one encoder per stream of a preset, shared by all its cameras and clients, running only while pulled."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

import av
import structlog
from av.video.frame import PictureType

from adapters.clock import Clock
from hub.simulator import packets
from hub.simulator.picture import Picture, Planes
from hub.simulator.presets import Preset, StreamScript

CLOCK_RATE_HZ = 90_000
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """One coded picture, packetised once for everybody. `ticks` counts 90 kHz since the studio's time zero."""

    ticks: int
    key: bool
    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What the SDP tells about the codec. For H.264 SPS, PPS; for H.265 VPS, SPS, PPS; empty for JPEG."""

    units: tuple[bytes, ...]


Sink = Callable[[CodedPicture], None]
Aim = Callable[[], tuple[float, float]]  # where a head looks now: pan and tilt, -1 to 1; called in any thread


def straight() -> tuple[float, float]:
    """Look where a camera without a moving head looks."""
    return 0.0, 0.0


class Studio:
    """Owns the encoders of one event loop.

    Time zero is the clock's monotonic 0, so that `ticks` of every stream run with the machine's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._encoders: dict[tuple[Preset, str], Encoder] = {}
        self._stills: dict[tuple[Preset, str], _Still] = {}
        self._aims: dict[Preset, Aim] = {}

    def aim(self, preset: Preset, aim: Aim) -> None:
        """Let the picture of a preset follow a moving head; the last head of a preset counts."""
        self._aims[preset] = aim

    def encoder(self, preset: Preset, stream: StreamScript) -> "Encoder":
        """Return the encoder of one stream of a preset; it does not run yet."""
        key = (preset, stream.path)
        if key not in self._encoders:
            self._encoders[key] = Encoder(self._clock, preset, stream, self._aims.get(preset, straight))
        return self._encoders[key]

    async def still(self, preset: Preset, stream: StreamScript) -> bytes:
        """Return the present picture of a stream as a JPEG."""
        key = (preset, stream.path)
        if key not in self._stills:
            self._stills[key] = _Still(self._clock, preset, stream, self._aims.get(preset, straight))
        return await asyncio.to_thread(self._stills[key].take)

    @property
    def running(self) -> int:
        """Return how many encoders run."""
        return sum(encoder.running for encoder in self._encoders.values())

    async def aclose(self) -> None:
        """Stop every encoder and wait for the threads."""
        for encoder in self._encoders.values():
            await encoder.aclose()


class Encoder:
    """Draws and encodes one stream in a thread while somebody takes it. To be used from one event loop."""

    def __init__(self, clock: Clock, preset: Preset, stream: StreamScript, aim: Aim) -> None:
        self._clock = clock
        self._preset = preset
        self._stream = stream
        self._aim = aim
        self._sinks: dict[Sink, bool] = {}  # sink -> has had its key frame
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._key_wanted = threading.Event()
        self._sets: ParameterSets | None = None
        self._sets_lock = asyncio.Lock()

    @property
    def running(self) -> bool:
        """Tell whether the encoder works at this moment."""
        return self._stop is not None

    async def parameter_sets(self) -> ParameterSets:
        """Return the parameter sets, learned once by encoding one picture."""
        async with self._sets_lock:
            if self._sets is None:
                self._sets = await asyncio.to_thread(self._learn)
            return self._sets

    def subscribe(self, sink: Sink) -> None:
        """Begin to deliver to `sink`, in the event loop, as a rule from a key frame on, which is made at once."""
        # where PLAY brings no key frame, the pictures begin in the middle, as with cameras of long key frame distance
        self._sinks[sink] = not self._stream.key_on_play
        if self._stream.key_on_play:
            self._key_wanted.set()
        if self._stop is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run,
                args=(asyncio.get_running_loop(), self._stop, self._thread),
                name=f"encoder {self._preset.id} {self._stream.layer}",
                daemon=True,
            )
            self._thread.start()

    def unsubscribe(self, sink: Sink) -> None:
        """Stop delivering to `sink`; the last one that goes stops the encoder."""
        self._sinks.pop(sink, None)
        if not self._sinks and self._stop is not None:
            self._stop.set()
            self._stop = None

    async def aclose(self) -> None:
        """Stop and wait for the thread."""
        self._sinks.clear()
        if self._stop is not None:
            self._stop.set()
            self._stop = None
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _deliver(self, stop: threading.Event, picture: CodedPicture) -> None:
        if stop is not self._stop:
            return
        for sink, began in list(self._sinks.items()):
            if began or picture.key:
                self._sinks[sink] = True
                sink(picture)

    # in the thread

    def _learn(self) -> ParameterSets:
        if self._stream.codec == "JPEG":
            return ParameterSets(())
        coder = _Coder(self._stream)
        picture = _picture(self._preset, self._stream)
        coded = [*coder.encode(picture.draw(self._clock.now(), 0.0), 0, key=True), *coder.flush()]
        return ParameterSets(coder.parameter_sets(b"".join(data for data, _number in coded)))

    def _run(
        self, loop: asyncio.AbstractEventLoop, stop: threading.Event, previous: threading.Thread | None
    ) -> None:
        if previous is not None:
            previous.join()  # the last run ends first: an encoder is one thread at a time
        try:
            self._encode_until(loop, stop)
        except Exception:
            log.exception("simulator.encoder.failed", preset=self._preset.id, layer=self._stream.layer)

    def _encode_until(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        stream = self._stream
        picture = _picture(self._preset, stream)
        coder = _Coder(stream)
        offset = timedelta(seconds=self._preset.clock.offset_s)
        # one to two intervals from now: the first picture is a key frame and takes the longest
        number = int(self._clock.monotonic() * stream.fps) + 2
        while not stop.is_set():
            due_s = number / stream.fps
            ahead_s = due_s - self._clock.monotonic()
            if ahead_s < -1.0:
                # the machine is too slow or was asleep: leave pictures out, as a camera does, and keep the clock right
                number = int(self._clock.monotonic() * stream.fps) + 1
                continue
            wanted = self._key_wanted.is_set()
            self._key_wanted.clear()
            shown = self._clock.now() + offset + timedelta(seconds=max(0.0, ahead_s))
            made = [
                coder.packetise(data, shown_number * CLOCK_RATE_HZ // stream.fps)
                for data, shown_number in coder.encode(
                    picture.draw(shown, due_s, self._aim()), number, key=wanted
                )
            ]
            # encoded one interval early and handed out when due: a key frame, which takes longer, comes no later
            if stop.wait(max(0.0, due_s - self._clock.monotonic())):
                return
            try:
                for coded in made:
                    loop.call_soon_threadsafe(self._deliver, stop, coded)
            except RuntimeError:
                return  # the event loop is closed: nobody listens any more
            number += 1


def _picture(preset: Preset, stream: StreamScript) -> Picture:
    """Return what a stream draws; each source of a recorder shows a street of its own."""
    first = stream.source == 1
    scene = preset.scene if first else f"{preset.scene} {stream.source}"
    title = preset.title if first else f"{preset.title} {stream.source}"
    return Picture(scene, title, stream.width, stream.height)


class _Still:
    """Takes single JPEGs of a preset's main picture."""

    def __init__(self, clock: Clock, preset: Preset, stream: StreamScript, aim: Aim) -> None:
        self._clock = clock
        self._aim = aim
        self._offset = timedelta(seconds=preset.clock.offset_s)
        self._lock = threading.Lock()
        self._picture = _picture(preset, stream)
        self._size = stream.width, stream.height

    def take(self) -> bytes:
        """Return a JPEG of the present picture. To be called in a thread."""
        with self._lock:
            now = self._clock.now() + self._offset
            planes = self._picture.draw(now, self._clock.monotonic(), self._aim())
        coder = _jpeg_coder(*self._size, fps=25)
        return b"".join(bytes(packet) for packet in coder.encode(_frame(planes, *self._size, "yuvj420p", 0)))


class _Coder:
    """One PyAV encoder and the packetiser that belongs to it."""

    def __init__(self, stream: StreamScript) -> None:
        self._stream = stream
        self._count = 0
        self._numbers: dict[int, int] = {}  # of pictures that are inside the encoder
        if stream.codec == "JPEG":
            self._context = _jpeg_coder(
                stream.width, stream.height, fps=stream.fps, bitrate_kbps=stream.bitrate_kbps
            )
        else:
            self._context = _video_coder(stream)
        self._context.open()  # now, not at the first picture: x265 takes its time

    def encode(self, planes: Planes, number: int, *, key: bool) -> list[tuple[bytes, int]]:
        """Code picture `number`; return what is ready, in sending order: bytes and number of each picture.

        With B-frames a picture comes out later than it went in, and its number may be lower than the last one's.
        """
        jpeg = self._stream.codec == "JPEG"
        pixel_format = "yuvj420p" if jpeg else "yuv420p"
        frame = _frame(planes, self._stream.width, self._stream.height, pixel_format, self._count)
        if key and not jpeg:
            frame.pict_type = PictureType.I
        self._numbers[self._count] = number
        self._count += 1
        return self._numbered(self._context.encode(frame))

    def flush(self) -> list[tuple[bytes, int]]:
        """Return the pictures that still wait for later ones."""
        return self._numbered(self._context.encode(None))

    def _numbered(self, packets_: Any) -> list[tuple[bytes, int]]:
        return [(bytes(packet), self._numbers.pop(packet.pts, 0)) for packet in packets_]

    def packetise(self, data: bytes, ticks: int) -> CodedPicture:
        """Return one coded picture as RTP payloads."""
        match self._stream.codec:
            case "H264":
                units = [unit for unit in packets.h264_units(data) if self._sent(unit[0] & 31 in (7, 8))]
                key = any(unit[0] & 31 == 5 for unit in units)
                return CodedPicture(ticks, key, tuple(packets.h264_payloads(units)))
            case "H265":
                units = [
                    unit for unit in packets.h265_units(data) if self._sent(32 <= unit[0] >> 1 & 63 <= 34)
                ]
                key = any(16 <= (unit[0] >> 1 & 63) <= 21 for unit in units)
                return CodedPicture(ticks, key, tuple(packets.h265_payloads(units)))
            case "JPEG":
                return CodedPicture(ticks, True, tuple(packets.jpeg_payloads(data)))

    def _sent(self, is_parameter_set: bool) -> bool:
        return self._stream.parameter_sets_in_band or not is_parameter_set

    def parameter_sets(self, data: bytes) -> tuple[bytes, ...]:
        """Return the parameter sets inside a key frame, in the order of their types."""
        if self._stream.codec == "H264":
            units = [unit for unit in packets.h264_units(data) if unit[0] & 31 in (7, 8)]
            return tuple(sorted(units, key=lambda unit: unit[0] & 31))
        units = [unit for unit in packets.h265_units(data) if unit[0] >> 1 & 63 in (32, 33, 34)]
        return tuple(sorted(units, key=lambda unit: unit[0] >> 1 & 63))


def _video_coder(stream: StreamScript) -> Any:
    """Open x264 or x265 for steady bitrate, parameter sets before every key frame; no delay but for B-frames."""
    kbps = stream.bitrate_kbps
    context: Any = av.CodecContext.create("libx264" if stream.codec == "H264" else "libx265", "w")
    context.width, context.height, context.pix_fmt = stream.width, stream.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, stream.fps), Fraction(stream.fps)
    context.gop_size, context.max_b_frames, context.thread_count = stream.gov_length, stream.b_frames, 1
    context.bit_rate = kbps * 1000
    options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
    if stream.codec == "H264":
        if stream.b_frames:
            del options["tune"]  # it switches B-frames off
            options |= {"b-adapt": "0", "rc-lookahead": "0", "sync-lookahead": "0"}
        profile = stream.coded_profile
        # the fast preset switches off what makes a profile: arithmetic coding, and transforms of 8x8
        options["x264-params"] = f"cabac={int(profile != 'Baseline')}:8x8dct={int(profile == 'High')}"
        options |= {
            "profile": profile.lower(),
            "maxrate": f"{kbps}k",
            "bufsize": f"{kbps}k",
            "sc_threshold": "0",
        }
    else:
        # x265 takes its own settings; one thread, since several encoders share few cores
        options["x265-params"] = (
            f"pools=none:frame-threads=1:bframes=0:repeat-headers=1:log-level=none:scenecut=0:open-gop=0:info=0:rd=1:early-skip=1:max-merge=1"
            f":keyint={stream.gov_length}:min-keyint={stream.gov_length}:vbv-maxrate={kbps}:vbv-bufsize={kbps}"
        )
    context.options = options
    return context


def _jpeg_coder(width: int, height: int, *, fps: int, bitrate_kbps: int | None = None) -> Any:
    """Open the JPEG encoder, with the fixed Huffman tables that RFC 2435 presumes."""
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuvj420p"
    context.time_base, context.framerate = Fraction(1, fps), Fraction(fps)
    context.thread_count = 1
    context.options = {"huffman": "default"}
    if bitrate_kbps is not None:
        context.bit_rate = bitrate_kbps * 1000
    return context


def _frame(planes: Planes, width: int, height: int, pixel_format: str, number: int) -> Any:
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, source, wide in zip(
        frame.planes, (planes.y, planes.u, planes.v), (width, width // 2, width // 2), strict=True
    ):
        if plane.line_size == wide:
            plane.update(bytes(source))
        else:
            gap = bytes(plane.line_size - wide)
            plane.update(b"".join(source[at : at + wide] + gap for at in range(0, len(source), wide)))
    frame.pts = number
    return frame
