"""A camera without a network: real H.264 of a moving picture, encoded once and repeated, given out in real time."""

import asyncio
import math
import random
from array import array
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

import av
from av.audio.codeccontext import AudioCodecContext

from adapters.deadline import Deadline
from adapters.errors import AdapterError, Unreachable
from adapters.port import AccessUnit, Track
from hub.relay.events import SourceSpec

CLOCK_RATE_HZ = 90_000


def split(data: bytes) -> list[bytes]:
    """Cut an Annex B byte stream into NAL units."""
    parts = data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [part for part in parts if part]


@lru_cache(maxsize=8)
def group_of_pictures(
    width: int, height: int, fps: int, pictures: int, profile: str, b_frames: int, bitrate_kbps: int
) -> tuple[tuple[bytes, ...], ...]:
    """Encode one closed group of pictures: a bright bar that wanders over a grey ramp; NAL units by picture."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, fps), Fraction(fps)
    encoder.gop_size = pictures
    if bitrate_kbps:
        encoder.bit_rate = bitrate_kbps * 1000
    encoder.options = {
        "preset": "veryfast",
        "profile": profile,
        "bf": str(b_frames),
        "x264-params": f"scenecut=0:keyint={pictures}:b-adapt=0:rc-lookahead=0:sync-lookahead=0:threads=1",
    }
    out: list[tuple[bytes, ...]] = []
    noise = random.Random(1)
    for number in range(pictures):
        picture = _drawn(
            width,
            height,
            left=number * (width - width // 8) // pictures,
            noise=noise if bitrate_kbps else None,
        )
        picture.pts = number
        out += [tuple(split(bytes(packet))) for packet in encoder.encode(picture)]
    out += [tuple(split(bytes(packet))) for packet in encoder.encode(None)]
    return tuple(out)


def _drawn(width: int, height: int, *, left: int, noise: random.Random | None) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = picture.planes
    row = bytearray(60 + 100 * x // width for x in range(luma.line_size))
    row[left : left + width // 8] = b"\xeb" * (width // 8)
    rows = [bytes(row)] * height
    if noise is not None:  # gives the encoder something to spend its bits on
        rows[: height // 2] = [noise.randbytes(luma.line_size) for _ in range(height // 2)]
    luma.update(b"".join(rows))
    for plane in chroma:
        plane.update(b"\x80" * plane.buffer_size)
    return picture


AAC_HZ = 16_000


@lru_cache(maxsize=1)
def aac_tone() -> tuple[bytes, tuple[bytes, ...]]:
    """Encode 4 s of a tone of 440 Hz; return its AudioSpecificConfig and the frames of 1,024 samples."""
    coder = AudioCodecContext.create("aac", "w")
    coder.sample_rate, coder.layout, coder.format = AAC_HZ, "mono", "fltp"
    out: list[bytes] = []
    for number in range(4 * AAC_HZ // 1024):
        frame = av.AudioFrame("fltp", "mono", 1024)
        frame.sample_rate, frame.pts = AAC_HZ, number * 1024
        times = range(number * 1024, number * 1024 + 1024)
        frame.planes[0].update(
            array("f", (math.sin(at * math.tau * 440 / AAC_HZ) / 2 for at in times)).tobytes()
        )
        out += [bytes(packet) for packet in coder.encode(frame)]
    assert coder.extradata
    return bytes(coder.extradata), tuple(out)


class SyntheticCamera:
    """Counts how often it is opened; can be killed, silenced and brought back."""

    def __init__(
        self,
        *,
        width: int = 320,
        height: int = 240,
        fps: int = 25,
        pictures: int = 50,
        profile: str = "baseline",
        b_frames: int = 0,
        bitrate_kbps: int = 0,
        codec: str = "H264",
        sets_in_sdp: bool = True,
        start_at: int = 0,
        sound: str = "",
    ) -> None:
        self.units = group_of_pictures(width, height, fps, pictures, profile, b_frames, bitrate_kbps)
        self.fps = fps
        self.codec = codec
        self.start_at = start_at
        self.sound = sound
        self.config_in_sdp = True
        self.asked_for_sound: list[bool] = []
        self.sets = tuple(nal for nal in self.units[0] if nal[0] & 31 in {7, 8}) if sets_in_sdp else ()
        self.opened = 0
        self.open_now = 0
        self.dead = False
        self.silent = False
        self.refuses: AdapterError | None = None
        self.edit: Callable[[int, list[bytes]], list[bytes]] = lambda _number, nals: nals
        self.sources: list[SyntheticSource] = []
        self.is_key: Callable[[int, list[bytes]], bool] = lambda _place, nals: any(
            nal[0] & 31 == 5 for nal in nals
        )

    async def open(
        self, _spec: SourceSpec | None, _deadline: Deadline, audio: bool = False
    ) -> "SyntheticSource":
        """Open a stream as an adapter does."""
        self.asked_for_sound.append(audio)
        self.opened += 1
        await asyncio.sleep(0.01)
        if self.refuses is not None:
            raise self.refuses
        if self.dead:
            raise Unreachable("camera:554 refused the connection", peer="camera:554", operation="connect")
        source = SyntheticSource(self, sound=audio and bool(self.sound))
        self.sources.append(source)
        return source

    def kill(self) -> None:
        """Break every connection and refuse new ones."""
        self.dead = True


class SyntheticSource:
    """One open stream."""

    def __init__(self, camera: SyntheticCamera, *, sound: bool) -> None:
        self.camera = camera
        self.tracks = (Track(0, "video", camera.codec, CLOCK_RATE_HZ, camera.sets),)
        if sound:
            aac = camera.sound == "MPEG4-GENERIC"
            told = {"configuration": aac_tone()[0]} if aac and camera.config_in_sdp else {}
            self.tracks += (Track(1, "audio", camera.sound, AAC_HZ if aac else 8000, **told),)
        self.closed = False
        camera.open_now += 1

    async def run(self, sink: Callable[[AccessUnit], None]) -> None:
        """Deliver pictures in real time."""
        camera, loop = self.camera, asyncio.get_running_loop()
        began, number, heard = loop.time(), 0, 0
        base = int(began * 1000) % 100_000 * 90
        while True:
            await asyncio.sleep(max(0.0, began + number / camera.fps - loop.time()))
            if camera.dead:
                raise Unreachable("camera:554 closed the connection", peer="camera:554", operation="play")
            if not camera.silent:
                place = (number + camera.start_at) % len(camera.units)
                nals = camera.edit(number, list(camera.units[place]))
                key = camera.is_key(place, nals)
                sink(AccessUnit(0, base + number * CLOCK_RATE_HZ // camera.fps, loop.time(), nals, key))
                if len(self.tracks) > 1 and camera.sound == "MPEG4-GENERIC":
                    frames = aac_tone()[1]
                    while heard * 1024 * camera.fps <= number * AAC_HZ:
                        sink(AccessUnit(1, heard * 1024, loop.time(), [frames[heard % len(frames)]], True))
                        heard += 1
                elif len(self.tracks) > 1:  # a square wave of 40 ms, in A-law or mu-law alike loud
                    sink(AccessUnit(1, number * 320, loop.time(), [(b"\x2a" * 8 + b"\xaa" * 8) * 20], True))
            number += 1

    async def aclose(self) -> None:
        """End the stream."""
        if not self.closed:
            self.closed = True
            self.camera.open_now -= 1
