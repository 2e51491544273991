"""Order and time: sequence numbers, 64-bit timestamps, reception statistics, the camera's wall clock. Sans I/O."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from adapters.rtsp.rtp import ReceptionReport, RtpPacket, SenderReport
from adapters.rtsp.tolerance import Tolerance, Tolerances

MAX_DROPOUT = 3_000  # packets: a larger step is a new start, not a loss (RFC 3550 appendix A.1)
MAX_MISORDER = 100
MAX_ANCHOR_S = 3_600.0  # from a sender report to a picture whose wall time it tells
STEP_S = 0.5
_STEADY = 15 / 16  # what a packet that comes as expected leaves of the jitter


class JumpPolicy(StrEnum):
    """What to do when a timestamp jumps by more than `Timeline.max_jump_s`."""

    REBASE = "rebase"  # go on one frame after the last one: a viewer sees no gap (SNTP steps, quirk 50, 51)
    FOLLOW = "follow"  # believe the camera: for measuring


class Timeline:
    """Unwraps 32-bit RTP timestamps to 64 bit, in `clock_rate_hz` ticks from the first packet's own value.

    A step of less than half the 32-bit range in either direction is what it seems (RFC 3550 section 5.1 leaves
    wrapping to the reader); 2**31 ticks at 90 kHz are 6.6 hours.
    """

    def __init__(
        self,
        clock_rate_hz: int,
        tolerances: Tolerances,
        *,
        policy: JumpPolicy = JumpPolicy.REBASE,
        max_jump_s: float = 10.0,
    ) -> None:
        self._rate = max(1, clock_rate_hz)
        self._tolerances = tolerances
        self._policy = policy
        self._max_jump = int(max_jump_s * self._rate)
        self._offset = 0  # added to the camera's unwrapped value
        self._last_raw: int | None = None  # camera's value, unwrapped
        self._step = self._rate // 25

    def unwrap(self, timestamp: int) -> int:
        """Return the 64-bit value of a 32-bit timestamp."""
        last = self._last_raw
        if last is None:
            self._last_raw = timestamp
            return timestamp
        delta = (timestamp - last) & 0xFFFFFFFF
        if delta == 0:
            return last + self._offset
        if delta >= 0x80000000:
            delta -= 0x100000000
        if abs(delta) > self._max_jump:
            self._tolerances.note(Tolerance.TIMESTAMP_JUMP)
            if self._policy is JumpPolicy.REBASE:
                self._offset += self._step - delta
        elif 0 < delta < self._rate * 2:
            self._step = delta
        self._last_raw = last + delta
        return self._last_raw + self._offset

    def at(self, timestamp: int) -> int:
        """Return the 64-bit value of a timestamp near the last one, without moving (for sender reports)."""
        if self._last_raw is None:
            return timestamp
        delta = (timestamp - self._last_raw) & 0xFFFFFFFF
        if delta >= 0x80000000:
            delta -= 0x100000000
        return self._last_raw + delta + self._offset


class Arrival(NamedTuple):
    """How a packet stands to those before it."""

    usable: bool  # False: a duplicate or too late
    lost: int  # packets missing just before it


_IN_STEP = Arrival(True, 0)  # what nearly every packet is


class Reception:
    """Sequence numbers and the statistics of RFC 3550 appendix A.3 and A.8, for one track."""

    def __init__(self, clock_rate_hz: int) -> None:
        self._rate = max(1, clock_rate_hz)
        self.ssrc = 0
        self.received = 0
        self.lost = 0  # missing packets, counted where the gap is seen; late ones come off again
        self.duplicates = 0
        self.highest = 0  # extended sequence number
        self._base = 0
        self._started = False
        self._transit: float | None = None
        self._jitter = 0.0
        self._expected_before = 0
        self._received_before = 0
        self._report: SenderReport | None = None
        self._report_at_s = 0.0

    @property
    def expected(self) -> int:
        """Return how many packets should have come since the first."""
        return self.highest - self._base + 1 if self._started else 0

    def arrived(self, packet: RtpPacket, now_s: float) -> Arrival:
        """Take one packet into account; `now_s` is monotonic."""
        if not self._started:
            self._start(packet)
            return Arrival(True, 0)
        step = (packet.sequence - self.highest) & 0xFFFF
        if step == 0:
            self.duplicates += 1
            return Arrival(False, 0)
        lost = 0
        if step < MAX_DROPOUT:
            lost = step - 1
            self.highest += step
            self.lost += lost
        elif step > 0x10000 - MAX_MISORDER:
            self.received += 1
            self.lost = max(0, self.lost - 1)
            return Arrival(False, 0)
        else:  # the camera started again: nothing can be said about what lies between
            received = self.received
            self._start(packet)
            self._base -= received
            self.received = received + 1
            self._expected_before = self._received_before = 0
            return Arrival(True, 0)
        self.received += 1
        transit = now_s * self._rate - packet.timestamp
        if self._transit is not None:
            deviation = abs(transit - self._transit)
            if deviation < 0x7FFFFFFF:  # not across a wrap
                self._jitter += (deviation - self._jitter) / 16
        self._transit = transit
        return Arrival(True, lost) if lost else _IN_STEP

    @property
    def following(self) -> int:
        """Return the sequence number of the packet that is due next, -1 before the first."""
        return (self.highest + 1) & 0xFFFF if self._started else -1

    def in_step(self, count: int, timestamp: int, now_s: float) -> None:
        """Take `count` packets of one timestamp into account that came together, the first of them `following`."""
        self.highest += count
        self.received += count
        transit = now_s * self._rate - timestamp
        if self._transit is not None:
            deviation = abs(transit - self._transit)
            if deviation < 0x7FFFFFFF:  # not across a wrap
                self._jitter += (deviation - self._jitter) / 16
        self._jitter *= _STEADY ** (count - 1)  # RFC 3550 A.8 for each of the others: they deviate by nothing
        self._transit = transit

    def _start(self, packet: RtpPacket) -> None:
        self._started = True
        self.ssrc = packet.ssrc
        self._base = self.highest = packet.sequence
        self.received = 1
        self._transit = None

    def reported(self, report: SenderReport, now_s: float) -> None:
        """Remember a sender report for the next receiver report."""
        self._report, self._report_at_s = report, now_s

    def block(self, now_s: float) -> ReceptionReport | None:
        """Return the report block since the last one; None before the first packet."""
        if not self._started:
            return None
        expected = self.expected - self._expected_before
        missing = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self.expected, self.received
        fraction = (missing << 8) // expected if expected > 0 and missing > 0 else 0
        last, since = 0, 0
        if self._report is not None:
            last = self._report.ntp >> 16 & 0xFFFFFFFF
            since = int((now_s - self._report_at_s) * 65536)
        return ReceptionReport(
            self.ssrc, fraction, self.expected - self.received, self.highest, int(self._jitter), last, since
        )


@dataclass(slots=True)
class Reorder:
    """Puts UDP packets back in order: holds up to `limit` packets while one is missing.

    TCP needs none. The wait ends by number, or with the first packet that comes `patience_s` after the one that has
    waited longest: a thin stream of one packet a picture would stand still for `limit` pictures otherwise.
    """

    limit: int = 16
    patience_s: float = 0.15  # what is not there by then is lost: packets overtake each other by milliseconds
    _next: int | None = None
    _held: dict[int, tuple[RtpPacket, float]] = field(default_factory=dict)

    def push(self, packet: RtpPacket, now_s: float) -> list[tuple[RtpPacket, float]]:
        """Take one packet; return those that are now in order."""
        if self._next is None:
            self._next = packet.sequence
        step = (packet.sequence - self._next) & 0xFFFF
        if step == 0 and not self._held:  # the hot path
            self._next = (packet.sequence + 1) & 0xFFFF
            return [(packet, now_s)]
        if step >= MAX_DROPOUT:  # late, or a new start: the statistics decide
            out = self._drain() if step < 0x10000 - MAX_MISORDER else []
            if out or step < 0x10000 - MAX_MISORDER:
                self._next = (packet.sequence + 1) & 0xFFFF
            return [*out, (packet, now_s)]
        self._held.setdefault(packet.sequence, (packet, now_s))
        longest_s = now_s - next(iter(self._held.values()))[1]
        if len(self._held) > self.limit or longest_s > self.patience_s:
            self._next = min(self._held, key=lambda number: (number - (self._next or 0)) & 0xFFFF)
        return self._run()

    def _run(self) -> list[tuple[RtpPacket, float]]:
        out: list[tuple[RtpPacket, float]] = []
        while self._next is not None and self._next in self._held:
            out.append(self._held.pop(self._next))
            self._next = (self._next + 1) & 0xFFFF
        return out

    def _drain(self) -> list[tuple[RtpPacket, float]]:
        start = self._next or 0
        order = sorted(self._held, key=lambda number: (number - start) & 0xFFFF)
        out = [self._held[number] for number in order]
        self._held.clear()
        return out


class WallClock:
    """The camera's wall clock, by its sender reports: RTP time to Unix seconds.

    With it the age of a picture can be told (the time between its sampling and now), as far as the camera's clock
    is right: rule TIM-06 and the glass-to-glass delay. Reports that tell no wall time are passed over.
    """

    def __init__(self, clock_rate_hz: int) -> None:
        self._rate = max(1, clock_rate_hz)
        self._anchor: tuple[int, float] | None = None
        self.steps = 0  # how often a report moved the mapping by more than STEP_S: SNTP, or reports that lie

    def reported(self, timestamp: int, unix_s: float) -> None:
        """Take a report: the 64-bit RTP time and the wall time of the same moment."""
        if unix_s <= 0:  # an uptime, or "not known" (RFC 3550 section 6.4.1)
            return
        expected = self.unix_s(timestamp)
        if expected is not None and abs(unix_s - expected) > STEP_S:
            self.steps += 1
        self._anchor = (timestamp, unix_s)

    def unix_s(self, timestamp: int) -> float | None:
        """Return the camera's wall time of a 64-bit RTP timestamp.

        None before the first report, and further than MAX_ANCHOR_S from the last one: clocks drift, and a report
        whose RTP time is on another scale says nothing about the pictures.
        """
        if self._anchor is None:
            return None
        away_s = (timestamp - self._anchor[0]) / self._rate
        return self._anchor[1] + away_s if abs(away_s) <= MAX_ANCHOR_S else None
