"""RTP header extensions (RFC 8285, one-byte form): transport-wide numbers and the playout delay."""

from dataclasses import dataclass
from typing import Final

TRANSPORT_WIDE: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
KNOWN: Final = frozenset({TRANSPORT_WIDE, PLAYOUT_DELAY})
IDENTIFIERS: Final = range(1, 15)  # 15 is reserved, larger ones need the two-byte form

# What a jitter buffer is asked to hold back, in units of 10 ms. The least covers a paced key frame of 100 packets behind
# small pictures, which otherwise arrives "late" each time; the most bounds what a bad network may add.
_DELAY_MIN, _DELAY_MAX = 5, 40


@dataclass(frozen=True, slots=True)
class Extension:
    """What stands behind the fixed header of each packet of one viewer: nothing, or 8 or 12 bytes.

    The first eight bytes are `word`, with the packet's transport-wide number in its bits 8 to 23 where `mask` lets it; the
    last four are `tail` where that is not negative.
    """

    word: int = 0
    mask: int = 0
    tail: int = -1

    @property
    def size(self) -> int:
        """Return the bytes that it takes."""
        return 0 if not self.word else 8 if self.tail < 0 else 12

    @classmethod
    def of(cls, transport_wide: int, playout_delay: int) -> "Extension":
        """Return the extension for these identifiers; 0 leaves one out."""
        delay = _DELAY_MIN << 12 | _DELAY_MAX
        if transport_wide and playout_delay:
            word = 0xBEDE0002 << 32 | (transport_wide << 4 | 1) << 24 | (playout_delay << 4 | 2)
            return cls(word, 0xFFFF, delay << 8)
        if transport_wide:
            return cls(0xBEDE0001 << 32 | (transport_wide << 4 | 1) << 24, 0xFFFF)
        if playout_delay:
            return cls(0xBEDE0001 << 32 | (playout_delay << 4 | 2) << 24 | delay)
        return cls()
