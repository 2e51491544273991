"""What nearly every H.264 picture of a camera is: one slice, of no key frame, alone in its packets (RFC 6184)."""

from collections.abc import Sequence
from itertools import islice

from adapters.port import AccessUnit
from adapters.rtsp.h264 import SLICE

_FU_A = 28
_MOST_FRAGMENTS = 1_024  # of a picture that is looked at as a whole: 1.5 MB as cameras cut
_HEADERS = tuple(bytes((value,)) for value in range(256))


class LoneSlice(AccessUnit):
    """A picture that is one slice, not a key frame's, in one packet or in fragments (FU-A), none lost.

    `payloads` need no repair of any kind and can go on as they are; the NAL unit is put together when somebody asks for it.
    """

    __slots__ = ("_nals", "payloads")

    def __init__(self, track: int, timestamp: int, arrived_s: float, payloads: list[bytes]) -> None:
        """Prepare; `payloads` are such as `is_lone_slice` says."""
        self.track = track
        self.timestamp = timestamp
        self.arrived_s = arrived_s
        self.key_frame = False
        self.lost_packets = self.lost_inside = 0
        self.payloads = payloads
        self._nals: list[bytes] | None = None

    @property
    def begins(self) -> int:
        """Return the first byte of the slice header."""
        return self.payloads[0][1 if len(self.payloads) == 1 else 2]

    @property
    def nals(self) -> list[bytes]:
        """Return the slice."""
        if self._nals is None:
            first = self.payloads[0]
            if len(self.payloads) > 1:
                header = _HEADERS[first[0] & 0x60 | SLICE]
                first = b"".join([header, *[payload[2:] for payload in self.payloads]])
            self._nals = [first]
        return self._nals

    @nals.setter
    def nals(self, nals: list[bytes]) -> None:
        self._nals = nals


def is_lone_slice(payloads: Sequence[bytes]) -> bool:
    """Tell whether payloads, none lost before or between them, are a whole slice that begins its picture, and nothing else.

    One that would be repaired is none: with a start code inside or zeros behind (quirks 57, 58), or odd bits.
    """
    first, last, count = payloads[0], payloads[-1], len(payloads)
    if len(first) < 3 or len(last) < 3 or not last[-1]:
        return False
    if count == 1:
        return first[0] & 0x9F == SLICE and first[1] & 0x80 != 0 and b"\0\0\1" not in first
    indicator = first[0]
    if indicator & 0x9F != _FU_A or first[1] != 0x80 | SLICE or not first[2] & 0x80:
        return False
    if last[0] != indicator or last[1] != 0x40 | SLICE or count > _MOST_FRAGMENTS:
        return False
    ends_in_zero = not first[-1]
    for payload in islice(payloads, 1, count - 1):
        if len(payload) < 3 or payload[0] != indicator or payload[1] != SLICE:
            return False
        ends_in_zero = ends_in_zero or not payload[-1]
    # A zero at the end may begin a start code that goes on in the next one; else the bytes between them do not matter.
    parts = [payload[2:] for payload in payloads] if ends_in_zero else payloads
    return b"\0\0\1" not in b"".join(parts)
