"""Retransmission (RFC 4588): what one viewer asks for again, out of the shared ring.

Where the viewer agreed to it, packets go on a stream of their own with the old number in front of the payload, so that its
reports stay true; else they go out once more as they were.
"""

from hub.relay.ring import Packet
from hub.relay.webrtc.lines import Lines

_PER_S = 500.0
_AT_ONCE = 300.0
NO_RTX = -1


class Resender:
    """How much one viewer may still ask for, and the numbers of its retransmission stream."""

    def __init__(self, *, ssrc: int, payload_type: int, first: int, now_s: float) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type  # `NO_RTX` where none was agreed
        self.sequence = first
        self._tokens = _AT_ONCE
        self._filled_s = now_s

    def wanted(
        self, numbers: list[int], lines: Lines, next_sequence: int, now_s: float
    ) -> list[tuple[int, Packet]]:
        """Return what to send again: running sequence number and packet, with the tick that it had.

        A viewer that asks for more than 500 a second is not helped by sending it all twice.
        """
        self._tokens = min(_AT_ONCE, self._tokens + (now_s - self._filled_s) * _PER_S)
        self._filled_s = now_s
        found: list[tuple[int, Packet]] = []
        for number in numbers:
            if self._tokens < 1.0:
                break
            # The running number nearest below the next one that ends in these 16 bits.
            sequence = next_sequence - ((next_sequence - number) & 0xFFFF or 1 << 16)
            held = lines.find(sequence)
            if held is None:
                continue
            self._tokens -= 1.0
            packet, tick = held
            payload = packet.payload
            if self.payload_type != NO_RTX:
                payload = (sequence & 0xFFFF).to_bytes(2, "big") + payload
            found.append((sequence, Packet(payload, packet.marker, tick, packet.picture)))
        return found
