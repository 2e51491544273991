"""What was lost on the way from an encoder: which packets to ask for again, and how they are brought. Sans I/O."""

from typing import Final

from adapters.rtsp.rtp import build_rtp, parse_rtp
from adapters.rtsp.tolerance import Violation

_NACK_EVERY_S: Final = 0.05  # what is still missing is asked for again
_NACK_TIMES: Final = 5
_MAX_MISSING: Final = 256  # more in a row is an outage: a key frame is asked for instead


class Gaps:
    """Which packets of one stream are missing, and which of them to ask for (RFC 4585 6.2.1). Sans I/O."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._asked: dict[int, tuple[int, float]] = {}  # sequence number -> times, when last
        self.outages = 0

    def came(self, sequence: int) -> None:
        """Note a packet."""
        if self._asked.pop(sequence, None) is not None:
            return
        if self._next is None:
            self._next = (sequence + 1) & 0xFFFF
            return
        step = (sequence - self._next) & 0xFFFF
        if step >= 0x8000:
            return  # late, or twice
        if step > _MAX_MISSING:
            self._asked.clear()
            self.outages += 1
        else:
            self._asked.update({(self._next + place) & 0xFFFF: (0, 0.0) for place in range(step)})
        self._next = (sequence + 1) & 0xFFFF

    def wanted(self, now_s: float) -> list[int]:
        """Return the numbers to ask for now; what was asked for in vain is given up."""
        out: list[int] = []
        for sequence, (times, last_s) in list(self._asked.items()):
            if times and now_s - last_s < _NACK_EVERY_S:
                continue
            if times >= _NACK_TIMES or len(out) >= _MAX_MISSING:
                del self._asked[sequence]
                continue
            self._asked[sequence] = (times + 1, now_s)
            out.append(sequence)
        return out


def brought_again(packet: bytes, payload_type: int, ssrc: int) -> bytes | None:
    """Return the packet that a retransmission brings (RFC 4588 4); `None` for padding, which probes the path, and for junk.

    `payload_type`, `ssrc`: of the stream that it belongs to.
    """
    try:
        read = parse_rtp(packet)
    except Violation:
        return None
    if len(read.payload) < 3:
        return None
    sequence = int.from_bytes(read.payload[:2], "big")
    return build_rtp(payload_type, sequence, read.timestamp, ssrc, read.payload[2:], marker=read.marker)
