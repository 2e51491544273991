"""Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): what a viewer got, and how late.

Only the share that was lost and the growth of the delay are taken from it: they decide which layer a viewer gets. The
history holds runs of packets, not packets, and is bounded.
"""

import struct
from collections import deque
from dataclasses import dataclass

_RUNS = 100  # 4 s of a camera of 25 pictures per second
_MAX_PACKETS = 4096  # in one feedback; a viewer that says more is not believed
_TICK_S = 0.00025
_REFERENCE_S = 0.064
_WRAP_S = _REFERENCE_S * (1 << 24)


@dataclass(frozen=True, slots=True)
class Report:
    """One feedback packet: which numbers it covers and when they arrived, viewer's clock, seconds; NaN-free."""

    first: int  # 16 bits
    arrived_s: tuple[float | None, ...]  # by number from `first` on; None was not received


def read_report(body: bytes) -> Report:
    """Read the part of the RTCP packet behind the two SSRCs.

    Raises:
        ValueError: it is cut short, or longer than anybody needs.
    """
    if len(body) < 8:
        raise ValueError("shorter than a feedback header")
    first, count = struct.unpack_from("!HH", body)
    reference = int.from_bytes(body[4:7], "big")
    if count > _MAX_PACKETS:
        raise ValueError(f"{count} packets in one feedback")
    symbols: list[int] = []
    position = 8
    while len(symbols) < count:
        if position + 2 > len(body):
            raise ValueError("the status chunks are cut short")
        chunk = body[position] << 8 | body[position + 1]
        position += 2
        if not chunk & 0x8000:  # a run
            symbols.extend([chunk >> 13 & 3] * min(chunk & 0x1FFF, count - len(symbols)))
            if not chunk & 0x1FFF:
                raise ValueError("an empty run")
        elif chunk & 0x4000:
            symbols.extend(chunk >> shift & 3 for shift in range(12, -1, -2))
        else:
            symbols.extend(chunk >> shift & 1 for shift in range(13, -1, -1))
    arrived: list[float | None] = []
    now_s = reference * _REFERENCE_S
    for symbol in symbols[:count]:
        if symbol == 1 and position < len(body):
            now_s += body[position] * _TICK_S
            position += 1
        elif symbol == 2 and position + 2 <= len(body):
            now_s += struct.unpack_from("!h", body, position)[0] * _TICK_S
            position += 2
        elif symbol:
            raise ValueError("the deltas are cut short, or a symbol is reserved")
        arrived.append(now_s if symbol else None)
    return Report(first, tuple(arrived))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one feedback says about the path."""

    lost: int
    received: int
    delay_s: (
        float | None
    )  # arrival less sending of the newest packet, both clocks apart: only differences mean anything


class SendHistory:
    """When runs of packets left, by transport-wide number."""

    def __init__(self) -> None:
        self._runs: deque[tuple[int, int, float]] = deque(maxlen=_RUNS)  # first running number, count, sent
        self.next = 0  # running, not cut to 16 bits

    def sent(self, count: int, now_s: float) -> None:
        """Note that the next `count` numbers left now."""
        self._runs.append((self.next, count, now_s))
        self.next += count

    def seen(self, report: Report) -> Seen | None:
        """Hold a report against what was sent; `None` where it speaks of packets that never were, or long ago."""
        if not self._runs:
            return None
        first = self.next - ((self.next - report.first) & 0xFFFF)
        stop = first + len(report.arrived_s)
        if first < self._runs[0][0] or stop > self.next:
            return None
        received = sum(arrived is not None for arrived in report.arrived_s)
        delay_s = None
        for place in range(len(report.arrived_s) - 1, -1, -1):
            arrived = report.arrived_s[place]
            if arrived is not None:
                sent_s = self._sent_s(first + place)
                delay_s = None if sent_s is None else (arrived - sent_s) % _WRAP_S
                break
        return Seen(len(report.arrived_s) - received, received, delay_s)

    def _sent_s(self, number: int) -> float | None:
        for first, count, sent_s in reversed(self._runs):
            if first <= number < first + count:
                return sent_s
        return None
