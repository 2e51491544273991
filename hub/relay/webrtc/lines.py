"""How one viewer's numbers and stamps follow the packets of a ring, and which viewers' do so alike."""

import secrets
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakValueDictionary

from hub.relay.ring import Packet, PacketRing
from hub.relay.webrtc.extension import Extension

_KEPT = 4  # stretches in which a packet may still be asked for again


@dataclass(frozen=True, slots=True)
class Origin:
    """What the numbers of all viewers of a worker begin with, at random.

    RTP asks for numbers that cannot be guessed because of what is known of the plain text (RFC 3550 5.1). Here each viewer has
    keys of its own and a session of its own, so that viewers may have the same numbers; then their headers are written once.
    """

    ssrc: int
    sequence: int
    offset: int  # added to every timestamp

    @classmethod
    def random(cls) -> "Origin":
        """Return one."""
        return cls(secrets.randbelow(0xFFFFFFFE) + 1, secrets.randbelow(1 << 16), secrets.randbelow(1 << 31))

    def first(self, index: int) -> int:
        """Return the sequence number with which a viewer begins at a packet of its ring.

        It is in the lower half, so that no viewer can miss that the numbers begin anew (RFC 3711 3.3.1): there are two sorts
        of viewers.
        """
        return (index + self.sequence) & 0x7FFF


class Look(NamedTuple):
    """All that the headers of a viewer's packets depend on, beside the packets; `sequence` and `number` stand for index 0."""

    payload_type: int
    ssrc: int
    sequence: int  # 16 bits
    number: int  # transport-wide, 16 bits; 0 where there is none
    offset: int
    extension: Extension


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Sort:
    """Viewers of one look whose packets are laid out alike. Compared by identity, at every picture: `Sorts` gives out the same for the same."""

    look: Look
    tag: int  # bytes of the authentication tag


class Sorts:
    """The sorts of viewers of a worker: each for as long as a viewer is of it."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[Look, int], Sort] = WeakValueDictionary()

    def of(self, look: Look, tag: int) -> Sort:
        """Return the sort with this look and tag."""
        found = self._known.get((look, tag))
        if found is None:
            found = self._known[look, tag] = Sort(look, tag)
        return found


@dataclass(frozen=True, slots=True)
class Line:
    """A stretch in which this viewer's sequence numbers follow a ring's packet index without a gap.

    Pictures up to `until` were sent to catch up: their timestamps stand one tick apart from `squeezed` on, so that the
    decoder runs through them and shows only the newest, in place of playing them fast forward. All ticks are moved by
    `shift` where the ring before this one was ahead, so that no stamp goes back.
    """

    ring: PacketRing
    sequence: int  # running, not cut to 16 bits
    index: int
    picture: int
    until: int
    until_index: int  # the first packet behind picture `until`
    squeezed: int
    shift: int = 0

    def timestamp(self, packet: Packet) -> int:
        """Return the tick at which this viewer got a packet, on the time line of all layers."""
        if packet.picture <= self.until:
            return self.squeezed + packet.picture - self.picture
        return packet.timestamp + self.shift

    @property
    def squeeze(self) -> int:
        """Return what stands between the ordinal of a picture that was sent to catch up and its tick."""
        return self.squeezed - self.picture

    @classmethod
    def beginning(cls, ring: PacketRing, sequence: int, sent_tick: int) -> "Line | None":
        """Return the line from the ring's key frame at hand on, `None` where nobody can begin there now.

        `sent_tick` is the newest tick that the viewer has.
        """
        start = ring.start()
        first = ring.get(start) if start is not None else None
        if start is None or first is None:
            return None
        behind = ring.picture - first.picture
        # The newest picture keeps its own tick where that is still ahead of what was sent.
        squeezed = max(sent_tick + 1, ring.timestamp - behind)
        shift = max(0, squeezed + behind - ring.timestamp)
        return cls(ring, sequence, start, first.picture, ring.picture, ring.head, squeezed, shift)


class Lines:
    """The newest few lines of a viewer."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    @property
    def last(self) -> Line | None:
        """Return the line in use."""
        return self._lines[-1] if self._lines else None

    def add(self, line: Line) -> None:
        """Go on by another line."""
        self._lines.append(line)
        del self._lines[:-_KEPT]

    def find(self, sequence: int) -> tuple[Packet, int] | None:
        """Return the packet that went out with a running sequence number and its tick, where it is still held."""
        line = next((line for line in reversed(self._lines) if line.sequence <= sequence), None)
        if line is None:
            return None
        packet = line.ring.get(line.index + sequence - line.sequence)
        return None if packet is None else (packet, line.timestamp(packet))
