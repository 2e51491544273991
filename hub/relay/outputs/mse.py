"""The ring's pictures for Media Source Extensions: where WebRTC cannot be had, fragmented MP4 goes over a WebSocket.

A reader like any other: it takes whole pictures at its own pace, begins at a key frame, and a recipient that is slow
begins again at the newest one. Messages are either an initialisation segment with the type a browser needs to know, or
one picture.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from hub.relay.camera import packetise, packetise265
from hub.relay.camera.processing import Sound
from hub.relay.camera.sound import AAC
from hub.relay.outputs.fmp4 import (
    TIMESCALE,
    SoundFormat,
    VideoFormat,
    fragment,
    init_segment,
    mime_of,
    sound_fragment,
    video_format,
)
from hub.relay.ring import Packet, PacketRing

_USUAL: Final = 3_600  # ticks of a picture until two were seen: 25 a second
_LONGEST: Final = 5 * 90_000  # ticks: a longer pause is no picture's duration
_QUIET_S: Final = 0.5  # so long sound may be missing before silence stands in for it
_AT_ONCE: Final = 64  # pictures in one go
_LONGEST_SILENCE_S: Final = 10
_MOST_HEARD: Final = 512  # frames that wait for a picture
BACKLOG: Final = 2 << 20  # bytes that may wait for a recipient


@dataclass(frozen=True, slots=True)
class Segment:
    """One message. `mime` is set where a new initialisation segment begins (the decoder is made anew)."""

    data: bytes
    mime: str = ""
    key: bool = False


class MseReader:
    """Turns the packets of a layer into segments. `waiting` tells how many bytes wait for the recipient already.

    With `sound` (AAC) its frames go along. A browser shows pictures only as far as it has sound for them, so what is missing
    of the sound is filled with silence: a camera's microphone never stops its picture.
    """

    def __init__(
        self,
        codec: str,
        send: Callable[[Segment], None],
        waiting: Callable[[], int],
        sound: SoundFormat | None = None,
    ) -> None:
        self.lease_until_s = 0.0
        self.pictures = self.packets = self.octets = self.skipped = 0
        self.resent = 0  # TCP sees to that
        self._codec = codec
        self._hand_on = send
        self._waiting = waiting
        self._ring: PacketRing | None = None
        self._next: int | None = None
        self._format: VideoFormat | None = None
        self.hears = AAC if sound is not None else ""
        self._sound = sound
        self._sound_at = 0  # where the sound that was sent ends, in its ticks from the first picture on
        self._sequence = 0
        self._heard: list[bytes] = []  # fragments of sound that leave with the next picture
        self._begun = 0  # timestamp of the first picture
        self._last = -1  # timestamp of the newest one
        self._duration = _USUAL

    def attach(self, ring: PacketRing) -> None:
        """Begin at the newest key frame of this ring, or wait for the next one."""
        self._ring = ring
        self._next = ring.start()

    def take(self) -> bool:
        """Send what is there; True where some is left because the recipient is slow."""
        ring = self._ring
        if ring is None:
            return False
        if self._next is None or self._next < ring.base:
            self._next = ring.start()
            if self._next is None:
                return False
        if self._waiting() > BACKLOG:
            newer = ring.key_frame_since(self._next + 1)
            if newer is not None:
                self.skipped += newer - self._next
                self._next = newer
            return True
        packets = ring.run(self._next, ring.head)
        for done, (_picture, group) in enumerate(groupby(packets, key=lambda packet: packet.picture)):
            if done == _AT_ONCE or self._waiting() > BACKLOG:
                return True
            held = list(group)
            self._picture(held)
            self._next += len(held)
            self.packets += len(held)
        return False

    def _send(self, segment: Segment) -> None:
        self.octets += len(segment.data)
        self._hand_on(segment)

    def _picture(self, packets: Sequence[Packet]) -> None:
        nals = self._units(packet.payload for packet in packets)
        stamp = packets[0].timestamp
        told = video_format(self._codec, nals)
        if told is not None and told != self._format:
            if self._format is None:
                self._begun = stamp
            self._format = told
            self._send(Segment(init_segment(told, self._sound), mime_of(told, self._sound)))
        if self._format is None:
            return
        passed = stamp - self._last
        if self._last >= 0 and 0 < passed <= _LONGEST:
            self._duration = passed
        self._last = stamp
        self.pictures += 1
        key = told is not None  # the sets stand in front of every key frame (`packetise.py`)
        at = max(0, stamp - self._begun)
        self._sequence += 1
        data = fragment(self._sequence, at, nals, duration=self._duration, key=key, video=self._format)
        if self._sound is not None:
            shown = at * self._sound.rate_hz // TIMESCALE
            if shown - self._sound_at > _QUIET_S * self._sound.rate_hz:
                self._silence(shown)
        # One message for both: each costs a browser a turn of its own.
        self._send(Segment(b"".join((*self._heard, data)), key=key))
        self._heard.clear()

    def hear(self, sound: Sound, tick: int) -> None:
        """Take one frame of the camera's AAC."""
        told = self._sound
        if told is None or self._format is None or len(self._heard) >= _MOST_HEARD:
            return  # no picture to go with
        at = tick - self._begun * told.rate_hz // TIMESCALE
        if at <= self._sound_at - told.frame:
            return  # silence stands there already
        if at > self._sound_at + told.frame:
            self._silence(at)
        self._frame(sound.payload, told)

    def _silence(self, until: int) -> None:
        """Fill up to there (ticks of the sound)."""
        told = self._sound
        assert told is not None
        if until - self._sound_at > _LONGEST_SILENCE_S * told.rate_hz:
            self._sound_at = until - _LONGEST_SILENCE_S * told.rate_hz  # nothing of before is shown any more
        while self._sound_at + told.frame <= until:
            self._frame(told.silence, told)

    def _frame(self, data: bytes, told: SoundFormat) -> None:
        self._sequence += 1
        self._heard.append(sound_fragment(self._sequence, self._sound_at, data, told))
        self._sound_at += told.frame

    def _units(self, payloads: Iterable[bytes]) -> tuple[bytes, ...]:
        return packetise.units(payloads) if self._codec == "H264" else packetise265.units(payloads)
