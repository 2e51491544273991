"""The listener on the tap: raw exchanges and packets that are cut down as they come, all of it bounded."""

from dataclasses import dataclass, field

from adapters.wire.tap import Heard, TappedTrack
from hub.capture.heads import head

MAX_EXCHANGES = 2000
MAX_PACKETS = 20_000
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it may be kept."""

    track: TappedTrack
    control: bool
    at_s: float  # monotonic
    size: int  # as it came
    head: bytes


@dataclass(slots=True)
class Recorder:
    """Keeps what is said to one camera, in order. `pictures` keeps video packets whole.

    Exchanges hold credentials until they are redacted: never write them anywhere.
    """

    pictures: bool = False
    exchanges: list[Heard] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    dropped: int = 0  # beyond the bounds
    _bytes: int = 0
    _sessions: int = 0

    def session(self) -> int:
        """Return the number of a fresh RTSP session."""
        self._sessions += 1
        return self._sessions - 1

    def exchange(self, heard: Heard) -> None:
        """Keep one request and its reply."""
        size = len(heard.request_body) + len(heard.reply_body)
        if len(self.exchanges) >= MAX_EXCHANGES or self._bytes + size > MAX_BYTES:
            self.dropped += 1
            return
        self._bytes += size
        self.exchanges.append(heard)

    def packet(self, track: TappedTrack, data: bytes, at_s: float, *, control: bool) -> None:
        """Keep the headers of one packet."""
        if self.pictures and track.kind == "video" and not control:
            kept = data
        else:
            kept = head(data, track.codec, kind=track.kind, control=control)
        if len(self.packets) >= MAX_PACKETS or self._bytes + len(kept) > MAX_BYTES:
            self.dropped += 1
            return
        self._bytes += len(kept)
        self.packets.append(Packet(track, control, at_s, len(data), kept))
