"""One track's way from RTP packets to access units. Sans I/O: the shell brings bytes and times."""

from collections.abc import Callable, Sequence
from typing import Protocol

from adapters.port import AccessUnit, Track
from adapters.rtsp.depacketize import Depacketizer, Input, NalDepacketizer
from adapters.rtsp.policy import Policies, SsrcPolicy
from adapters.rtsp.rtp import (
    FRAMED_HEADER,
    MARKED,
    PLAIN,
    UNMARKED,
    Goodbye,
    RtpPacket,
    SenderReport,
    build_picture_loss,
    build_receiver_report,
    parse_rtcp,
    parse_rtp,
    read_framed,
)
from adapters.rtsp.timeline import Reception, Reorder, Timeline, WallClock
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation

ADOPT_PAYLOAD_TYPE_AFTER = 20  # packets of one other type while none of the promised one came


class Observer(Protocol):
    """Sees everything that a track receives: the measuring part listens here."""

    def packet(self, packet: RtpPacket, timestamp: int, lost: int, now_s: float) -> None:
        """Take note of one RTP packet in order; `timestamp` is the unwrapped one."""

    def report(self, report: SenderReport, timestamp: int, now_s: float) -> None:
        """Take note of a sender report."""


class TrackReceiver:
    """Takes RTP and RTCP of one track and gives access units to `deliver`."""

    def __init__(
        self,
        track: Track,
        payload_type: int | None,
        depacketizer: Depacketizer | None,
        deliver: Callable[[AccessUnit], None],
        *,
        tolerances: Tolerances,
        policies: Policies,
        ordered: bool,
        ssrc: int | None,
        own_ssrc: int,
        reorder: Reorder | None = None,
    ) -> None:
        """Prepare; `reorder` holds what comes out of order where it is not `ordered`."""
        self.track = track
        self.reception = Reception(track.clock_rate_hz)
        self.wall_clock = WallClock(track.clock_rate_hz)
        self.observer: Observer | None = None
        self.last_packet_s: float | None = None
        self.unreadable = 0
        self.said_goodbye = False
        self._timeline = Timeline(track.clock_rate_hz, tolerances, policy=policies.jump)
        self._reorder = None if ordered else reorder or Reorder()
        self._payload_type = payload_type
        self._depacketizer = depacketizer
        self._together = depacketizer.together if isinstance(depacketizer, NalDepacketizer) else None
        self._deliver = deliver
        self._tolerances = tolerances
        self._policies = policies
        self._announced = ssrc
        self._own_ssrc = own_ssrc
        self._ssrc: int | None = None
        self._foreign = 0
        self._other_type = (-1, 0)

    def frames(self, head: int, data: bytes, position: int, now_s: float) -> int:
        """Take this track's packets where they stand in what was read; return where its whole frames stop.

        `head` is what its frames begin with, dollar and channel. Packets that go on where the last one ended, as nearly all do,
        are taken a picture at a time; it comes to the same as `rtp` for each.
        """
        end = len(data)
        last, plain, following, source = end - FRAMED_HEADER, -1, -1, self._ssrc
        swift = self._reorder is None and self._together is not None and self.observer is None
        held: list[bytes] = []  # payloads of one timestamp, none but the last with the marker
        stamp, known = 0, False
        while position < last:
            begins, size, kind, sequence, timestamp, ssrc = read_framed(data, position)
            stop = position + 4 + size
            if begins != head or stop > end:
                break
            if swift and not known:
                known, following, source = True, self.reception.following, self._ssrc
                if self._payload_type is not None:
                    plain = PLAIN | self._payload_type
            if (
                sequence == following
                and ssrc == source
                and kind & UNMARKED == plain
                and (timestamp == stamp or not held)
                and size > 12
            ):
                held.append(data[position + FRAMED_HEADER : stop])
                position = stop
                stamp, following = timestamp, (sequence + 1) & 0xFFFF
                if kind & MARKED:
                    self._in_step(held, stamp, now_s, marker=True)
                    held = []
                continue
            if held:
                self._in_step(held, stamp, now_s, marker=False)
                held = []
            self.rtp(data[position + 4 : stop], now_s)
            position, known = stop, False
        if held:
            self._in_step(held, stamp, now_s, marker=False)
        return position

    def packets(self, run: Sequence[bytes], now_s: float) -> None:
        """Take RTP packets, in the order of arrival."""
        for data in run:
            self.rtp(data, now_s)

    def _in_step(self, payloads: Sequence[bytes], stamp: int, now_s: float, *, marker: bool) -> None:
        """Take the payloads of packets of one timestamp that follow each other and the last one taken."""
        self._foreign = 0
        self.said_goodbye = False
        self.last_packet_s = now_s
        self.reception.in_step(len(payloads), stamp, now_s)
        if self._together is not None:
            timestamp = self._timeline.unwrap(stamp)
            for unit in self._together(timestamp, payloads, now_s, marker=marker):
                self._deliver(unit)

    def rtp(self, data: bytes, now_s: float) -> None:
        """Take one RTP packet."""
        try:
            packet = parse_rtp(data)
        except Violation:
            self.unreadable += 1
            self._tolerances.note(Tolerance.RTP_UNREADABLE)
            return
        if packet.payload_type != self._payload_type and not self._accepts_type(packet.payload_type):
            return
        if packet.ssrc != self._ssrc and not self._accepts_source(packet.ssrc):
            return
        self._foreign = 0
        self.said_goodbye = False
        self.last_packet_s = now_s
        if self._reorder is None:
            self._in_order(packet, now_s)
        else:
            for held, arrived_s in self._reorder.push(packet, now_s):
                self._in_order(held, arrived_s)

    def _in_order(self, packet: RtpPacket, now_s: float) -> None:
        arrival = self.reception.arrived(packet, now_s)
        if not arrival.usable:
            return
        timestamp = self._timeline.unwrap(packet.timestamp)
        if self.observer is not None:
            self.observer.packet(packet, timestamp, arrival.lost, now_s)
        if self._depacketizer is not None:
            for unit in self._depacketizer.push(
                Input(timestamp, packet.marker, packet.payload, now_s, arrival.lost)
            ):
                self._deliver(unit)

    def _accepts_type(self, payload_type: int) -> bool:
        """Drop junk of another payload type (Geovision), but believe the stream where the SDP is plainly wrong."""
        self._tolerances.note(Tolerance.PAYLOAD_TYPE_OTHER)
        if self.last_packet_s is not None:
            return False
        kind, count = self._other_type
        self._other_type = (payload_type, count + 1 if kind == payload_type else 1)
        if self._other_type[1] < ADOPT_PAYLOAD_TYPE_AFTER and self._payload_type is not None:
            return False
        self._payload_type = payload_type
        return True

    def _accepts_source(self, ssrc: int) -> bool:
        if self._ssrc is None:
            if self._announced not in (None, 0, ssrc):
                self._tolerances.note(Tolerance.SSRC_OTHER)  # the announced one is often wrong (quirk 25)
            self._ssrc = ssrc
            return True
        self._tolerances.note(Tolerance.SSRC_OTHER)
        self._foreign += 1
        if self._policies.ssrc is SsrcPolicy.DROP or self._foreign < self._policies.foreign_packets:
            return False
        self._ssrc = ssrc
        return True

    def reports(self, run: Sequence[bytes], now_s: float) -> None:
        """Take RTCP packets that arrived together."""
        for data in run:
            self.rtcp(data, now_s)

    def rtcp(self, data: bytes, now_s: float) -> None:
        """Take one RTCP compound packet."""
        try:
            parts = parse_rtcp(data)
        except Violation:
            self._tolerances.note(Tolerance.RTCP_UNREADABLE)
            return
        for part in parts:
            if isinstance(part, SenderReport):
                if self._ssrc not in (
                    None,
                    part.ssrc,
                ):  # the channel is this track's alone: believed all the same
                    self._tolerances.note(Tolerance.RTCP_SSRC_OTHER)
                self.reception.reported(part, now_s)
                timestamp = self._timeline.at(part.timestamp)
                self.wall_clock.reported(timestamp, part.unix_s)
                if self.observer is not None:
                    self.observer.report(part, timestamp, now_s)
            elif isinstance(part, Goodbye) and (not part.ssrcs or self._ssrc in part.ssrcs):
                self.said_goodbye = True

    @property
    def source(self) -> int | None:
        """Return the synchronisation source that is listened to, `None` before its first packet."""
        return self._ssrc

    def report(self, now_s: float) -> bytes:
        """Return a receiver report for the camera."""
        return build_receiver_report(self._own_ssrc, self.reception.block(now_s))

    def picture_loss(self, now_s: float) -> bytes:
        """Return a report with a picture loss indication, b"" before the camera's source is known."""
        if self._ssrc is None:
            return b""
        return self.report(now_s) + build_picture_loss(self._own_ssrc, self._ssrc)
