"""What depacketisers take, and what they share whatever the payload format."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from adapters.port import AccessUnit

MAX_UNIT_BYTES = 8_388_608  # one access unit; a 4K key frame at high quality is about 2 MB
MAX_UNIT_NALS = 2_048
MAX_PIECES = 16_384  # packets of one frame: each costs memory of its own, however short it is


class Input(NamedTuple):
    """One RTP payload, in order."""

    timestamp: int  # 64 bit, clock ticks
    marker: bool
    payload: bytes
    arrived_s: float  # monotonic
    lost: int  # packets missing just before this one


class Depacketizer(Protocol):
    """Turns payloads into access units."""

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the access units that are now complete."""

    def flush(self) -> list[AccessUnit]:
        """Return what is held when the stream ends."""


class Pieces:
    """The pieces of one frame, bounded in bytes and in number."""

    __slots__ = ("_limit_bytes", "_parts", "size")

    def __init__(self, limit_bytes: int = MAX_UNIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> bool:
        """Keep one piece; False where the frame is now beyond its bounds (the caller then clears it)."""
        self._parts.append(data)
        self.size += len(data)
        return self.size <= self._limit_bytes and len(self._parts) <= MAX_PIECES

    def extend(self, data: Sequence[bytes]) -> bool:
        """Keep several pieces; False where the frame would be beyond its bounds (nothing of them is kept then)."""
        size = self.size + sum(map(len, data))
        if size > self._limit_bytes or len(self._parts) + len(data) > MAX_PIECES:
            return False
        self._parts += data
        self.size = size
        return True

    def clear(self) -> None:
        """Forget all."""
        self._parts, self.size = [], 0

    def joined(self) -> bytes:
        """Return the whole and forget it."""
        whole = b"".join(self._parts)
        self._parts, self.size = [], 0
        return whole
