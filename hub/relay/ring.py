"""The packets of one camera, shared by all its viewers: what is being sent, may be resent, and starts a new viewer."""

from typing import NamedTuple

KEEP_PACKETS = 1024  # for retransmission; a 2 Mbit/s camera fills this in about 4.5 s
MAX_PACKETS = 8192  # a group of pictures longer than this cannot start a viewer
MAX_START_FRAMES = 600  # pictures that a starting decoder is asked to catch up with


class Packet(NamedTuple):
    """One RTP packet without the fields that differ by viewer."""

    payload: bytes
    marker: int  # 0x80 on the last packet of a picture, as it stands in the second header byte
    timestamp: int  # 90 kHz, unwrapped, on the camera's own line
    picture: int  # ordinal of the picture it belongs to


_packet = (
    tuple.__new__
)  # of a named tuple: half the time of its own constructor, which is called for every packet


class PacketRing:
    """Packets by a running index. The oldest fall out, but never those of the running group of pictures while short."""

    def __init__(self, keep: int = KEEP_PACKETS, limit: int = MAX_PACKETS) -> None:
        self._keep = keep
        self._limit = limit
        self._packets: list[Packet] = []
        self._base = 0
        self._picture = -1
        self._start: int | None = None  # index of the newest key frame's first packet
        self._start_picture = 0

    @property
    def head(self) -> int:
        """Return the index that the next packet will get."""
        return self._base + len(self._packets)

    @property
    def base(self) -> int:
        """Return the index of the oldest packet held."""
        return self._base

    @property
    def picture(self) -> int:
        """Return the ordinal of the newest picture, -1 before the first."""
        return self._picture

    @property
    def timestamp(self) -> int:
        """Return the timestamp of the newest picture, 0 before the first."""
        return self._packets[-1].timestamp if self._packets else 0

    def append(self, payloads: list[bytes], timestamp: int, *, key_frame: bool) -> None:
        """Add one picture."""
        self._picture += 1
        if key_frame:
            self._start, self._start_picture = self.head, self._picture
        picture, packets = self._picture, self._packets
        for payload in payloads:
            packets.append(_packet(Packet, (payload, 0, timestamp, picture)))
        if payloads:
            packets[-1] = _packet(Packet, (payloads[-1], 0x80, timestamp, picture))
        head = self._base + len(packets)
        if self._start is not None and head - self._start > self._limit:
            self._start = None
        keep_from = head - self._keep
        if self._start is not None:
            keep_from = min(keep_from, self._start)
        excess = keep_from - self._base
        if excess >= 256:  # in strides: deleting from the front of a list moves all of it
            del self._packets[:excess]
            self._base = keep_from

    def clear(self) -> None:
        """Hold nothing any more; the numbering stays."""
        self._base, self._start = self.head, None
        self._packets = []

    def start(self) -> int | None:
        """Return the index from which a viewer can begin at once, or `None`: wait for the next key frame."""
        if self._start is None or self._picture - self._start_picture >= MAX_START_FRAMES:
            return None
        return self._start

    def key_frame_since(self, index: int) -> int | None:
        """Return the index of the newest key frame if it stands at `index` or later."""
        return self._start if self._start is not None and self._start >= index else None

    def forget_start(self) -> None:
        """Let nobody begin before the next key frame: what came since cannot be decoded from the old one."""
        self._start = None

    def key_frame(self) -> list[Packet]:
        """Return the packets of the newest key frame; none where nobody could begin with it."""
        if self._start is None:
            return []
        first = self._start - self._base
        stop = first
        while stop < len(self._packets) and self._packets[stop].picture == self._start_picture:
            stop += 1
        return self._packets[first:stop]

    def get(self, index: int) -> Packet | None:
        """Return a packet, or `None` where it has fallen out or has not come."""
        place = index - self._base
        return self._packets[place] if 0 <= place < len(self._packets) else None

    def run(self, first: int, stop: int) -> list[Packet]:
        """Return the packets from `first` (not older than `base`) up to, not including, `stop`."""
        return self._packets[first - self._base : stop - self._base]
