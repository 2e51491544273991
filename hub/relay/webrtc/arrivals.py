"""Transport-wide feedback as a receiver gives it (draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1): which packets of
an encoder came, and when. An encoder of a browser learns from it how fast its path is; without, it goes up by 8 % a second.

Sans I/O. What is remembered is bounded by time and by number.
"""

import struct
from typing import Final

_TICK_S: Final = 0.00025
_REFERENCE: Final = 256  # ticks: 64 ms
_KEPT: Final = 2_000  # ticks: half a second, in which a packet that comes late is still told
_MAX_STEP: Final = 1_000  # packets; a larger one is a new start
_MAX_TOLD: Final = 400  # packets in one feedback, so that it fits a datagram
_RUN: Final = 14  # from so many alike on, a run is shorter than a vector
_MAX_RUN: Final = 0x1FFF
_VECTOR: Final = 7
_RTPFB, _TWCC = 205, 15


def transport_wide_number(packet: bytes, identifier: int) -> int | None:
    """Return the transport-wide number of an RTP packet: RFC 8285 4.2, element `identifier`; `None` where it has none."""
    if not packet[0] & 0x10:
        return None
    at = 12 + 4 * (packet[0] & 0x0F)
    if at + 4 > len(packet) or packet[at : at + 2] != b"\xbe\xde":
        return None
    stop = min(len(packet), at + 4 + 4 * (packet[at + 2] << 8 | packet[at + 3]))
    at += 4
    while at + 2 < stop:
        first = packet[at]
        if first == 0:  # padding between elements
            at += 1
            continue
        if first >> 4 == identifier:
            return packet[at + 1] << 8 | packet[at + 2]
        at += 2 + (first & 0x0F)
    return None


class Arrivals:
    """When the packets of one encoder came, until it was told."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}  # by running number: when it came
        self._newest = -1  # running number
        self._untold = 0  # the first one that no feedback has spoken of
        self._count = 0  # of feedback

    def came(self, number: int, now_s: float) -> None:
        """Note a packet by its 16 bit number."""
        if self._newest < 0:
            self._newest = self._untold = 0x10000 + number  # room below for those that come late
        step = ((number - self._newest + 0x8000) & 0xFFFF) - 0x8000
        if abs(step) > _MAX_STEP:
            self._ticks.clear()
            self._newest = self._untold = place = self._newest + (step & 0xFFFF)
        else:
            place = self._newest + step
            if step <= 0 and (place in self._ticks or place < min(self._ticks, default=0)):
                return  # twice, or too late to matter
            self._newest = max(self._newest, place)
            self._untold = min(self._untold, place)
        self._ticks[place] = round(now_s / _TICK_S)

    def feedback(self, ssrc: int, media_ssrc: int) -> list[bytes]:
        """Return what there is to tell, as RTCP packets without the report that a compound begins with; nothing twice, but
        for what lies behind a packet that came late."""
        out: list[bytes] = []
        while self._untold <= self._newest:
            stop = min(self._newest + 1, self._untold + _MAX_TOLD)
            told = self._told(range(self._untold, stop))
            if told:
                out.append(self._packet(ssrc, media_ssrc, told))
            self._untold = stop
        oldest = max(self._ticks.values(), default=0) - _KEPT
        self._ticks = {number: ticks for number, ticks in self._ticks.items() if ticks >= oldest}
        return out

    def _told(self, numbers: range) -> bytes:
        """Return base, count, reference time, statuses and deltas; b"" where none of them came."""
        came = [self._ticks.get(number) for number in numbers]
        first = next((ticks for ticks in came if ticks is not None), None)
        if first is None:
            return b""
        reference = first // _REFERENCE
        before = reference * _REFERENCE
        symbols: list[int] = []
        deltas = bytearray()
        for ticks in came:
            if ticks is None:
                symbols.append(0)
                continue
            delta = max(-0x8000, min(0x7FFF, ticks - before))
            before += delta
            symbols.append(1 if 0 <= delta <= 0xFF else 2)
            deltas += struct.pack("!B" if symbols[-1] == 1 else "!h", delta)
        head = struct.pack(
            "!HHI", numbers[0] & 0xFFFF, len(symbols), (reference & 0xFFFFFF) << 8 | self._count
        )
        self._count = (self._count + 1) & 0xFF
        return head + _chunks(symbols) + bytes(deltas)

    @staticmethod
    def _packet(ssrc: int, media_ssrc: int, body: bytes) -> bytes:
        padding = -len(body) % 4
        size = 2 + (len(body) + padding) // 4
        first = 0x80 | _TWCC
        if padding:  # RFC 3550 6.4.1: the last octet counts them
            first |= 0x20
            body += bytes(padding - 1) + bytes((padding,))
        return struct.pack("!BBHII", first, _RTPFB, size, ssrc, media_ssrc) + body


def _chunks(symbols: list[int]) -> bytes:
    """Write the packet status chunks: runs of what is alike, vectors of seven for the rest."""
    out = bytearray()
    at = 0
    while at < len(symbols):
        run = 1
        while at + run < len(symbols) and run < _MAX_RUN and symbols[at + run] == symbols[at]:
            run += 1
        if run >= _RUN or at + run == len(symbols):
            out += struct.pack("!H", symbols[at] << 13 | run)
            at += run
            continue
        word = 0xC000
        for place, symbol in enumerate(symbols[at : at + _VECTOR]):
            word |= symbol << 12 - 2 * place
        out += struct.pack("!H", word)
        at += _VECTOR
    return bytes(out)
