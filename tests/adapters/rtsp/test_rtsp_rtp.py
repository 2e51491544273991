"""RTP and RTCP packets, order, time and statistics."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rtsp.rtp import (
    Goodbye,
    ReceptionReport,
    RtpPacket,
    SenderReport,
    build_receiver_report,
    build_rtp,
    parse_rtcp,
    parse_rtp,
)
from adapters.rtsp.timeline import JumpPolicy, Reception, Reorder, Timeline, WallClock
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation


def packet(sequence: int, timestamp: int = 0) -> RtpPacket:
    return RtpPacket(96, True, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 7, b"x")


def test_extension_csrc_and_padding_are_taken_off() -> None:
    """The payload is what stands between header, contributing sources, extension and padding."""
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 1, 0x80 | 96, 5, 6, 7)
    data = head + b"CSRC" + struct.pack("!HH", 0xABAC, 1) + b"EXT!" + b"payload" + b"\0\0\3"
    assert parse_rtp(data) == RtpPacket(96, True, 5, 6, 7, b"payload")
    assert parse_rtp(build_rtp(96, 65536, 1, 7, b"p", marker=True)).sequence == 0


@given(st.binary(max_size=60))
def test_hostile_packets_are_read_or_refused(data: bytes) -> None:
    """Any bytes give a packet within the datagram, or a Violation."""
    for first in (data, b"\xbf" + data, b"\x90\x60" + data):
        try:
            read = parse_rtp(first)
        except Violation:
            continue
        assert len(read.payload) <= len(first) - 12
    try:
        parse_rtcp(data)
        parse_rtcp(b"\x81\xc8" + data)
        parse_rtcp(b"\x9f\xcb" + data)
    except Violation:
        pass


def test_sender_report_goodbye_and_broken_sdes() -> None:
    """What matters is read from a compound packet although its SDES is cut short (quirk 52)."""
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, 0x83AA7E80 + 100, 1 << 31, 9000, 5, 500)
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, 7)
    broken = struct.pack("!BBHI", 0x81, 202, 9, 7) + b"\x01\x04ab"
    found = parse_rtcp(report + goodbye + broken)
    assert found == (SenderReport(7, (0x83AA7E80 + 100) << 32 | 1 << 31, 9000, 5, 500), Goodbye((7,)))
    assert isinstance(found[0], SenderReport)
    assert found[0].unix_s == pytest.approx(100.5)


def test_receiver_report_layout() -> None:
    """RR with one block and SDES with CNAME, in whole words (RFC 3550 sections 6.1, 6.4.2, 6.5)."""
    data = build_receiver_report(1, ReceptionReport(7, 300, -1, 70000, 12, 34, 56))
    assert data[:4] == struct.pack("!BBH", 0x81, 201, 7)
    assert struct.unpack_from("!IIIIII", data, 8) == (7, 255 << 24 | 0xFFFFFF, 70000, 12, 34, 56)
    assert data[32:34] == b"\x81\xca"
    assert len(data) % 4 == 0
    assert len(data) == 32 + 4 + 4 * struct.unpack_from("!H", data, 34)[0]
    assert build_receiver_report(1, None)[:4] == struct.pack("!BBH", 0x80, 201, 1)


@given(st.integers(0, 0xFFFFFFFF), st.lists(st.integers(1, 80_000), min_size=1, max_size=50))
def test_timestamps_unwrap_to_their_sum(start: int, steps: list[int]) -> None:
    """Whatever the start, 64-bit values grow exactly by the steps, across wraps."""
    timeline = Timeline(90_000, Tolerances())
    first = timeline.unwrap(start)
    value = start
    for step in steps:
        value += step
        assert timeline.unwrap(value & 0xFFFFFFFF) - first == value - start


@pytest.mark.parametrize(("policy", "gap"), [(JumpPolicy.REBASE, 3600), (JumpPolicy.FOLLOW, 90_000 * 600)])
def test_a_jump_is_rebased_for_viewers_and_followed_for_measuring(policy: JumpPolicy, gap: int) -> None:
    """A step of ten minutes is one frame for viewers (quirk 50) and itself for the measuring part."""
    tolerances = Tolerances()
    timeline = Timeline(90_000, tolerances, policy=policy)
    timeline.unwrap(1000)
    last = timeline.unwrap(4600)
    jumped = timeline.unwrap(4600 + 90_000 * 600)
    assert jumped - last == gap
    assert timeline.unwrap(4600 + 90_000 * 600 + 3600) - jumped == 3600
    assert tolerances.counts[Tolerance.TIMESTAMP_JUMP] == 1


def test_loss_duplicates_wrap_and_restart_are_counted() -> None:
    """Gaps count as lost, late packets come off again, a wrap is no loss, a restart neither."""
    reception = Reception(90_000)
    got = [reception.arrived(packet(number), 0.0) for number in (65_534, 65_535, 0, 3, 3, 1, 4)]
    assert [(arrival.usable, arrival.lost) for arrival in got] == [
        (True, 0),
        (True, 0),
        (True, 0),
        (True, 2),
        (False, 0),
        (False, 0),
        (True, 0),
    ]
    assert (reception.lost, reception.duplicates, reception.expected) == (1, 1, 7)
    assert reception.arrived(packet(30_000), 0.0) == (True, 0)
    block = reception.block(1.0)
    assert block is not None
    assert block.ssrc == 7


def test_receiver_report_block_counts_since_the_last_one() -> None:
    """Fraction lost covers the interval, the total everything (RFC 3550 appendix A.3)."""
    reception = Reception(90_000)
    for number in (0, 1, 3):
        reception.arrived(packet(number), number / 25)
    reception.reported(SenderReport(7, 0x0001_0002_0003_0004, 0, 0, 0), 10.0)
    first = reception.block(11.0)
    assert first is not None
    assert (first.fraction_lost, first.lost, first.highest_sequence) == (64, 1, 3)
    assert (first.last_report, first.since_last_report) == (0x0002_0003, 65536)
    reception.arrived(packet(4), 1.0)
    second = reception.block(12.0)
    assert second is not None
    assert (second.fraction_lost, second.lost) == (0, 1)


@given(st.permutations(list(range(12))), st.integers(0, 65_535))
def test_reordering_within_the_limit_loses_nothing(order: list[int], start: int) -> None:
    """Packets that come in any order within the window leave in order, each once."""
    reorder = Reorder(limit=16)
    out = [got.sequence for got, _ in reorder.push(packet(start), 0.0)]
    for number in order:
        out += [got.sequence for got, _ in reorder.push(packet(start + 1 + number), 0.0)]
    assert out == [(start + number) & 0xFFFF for number in range(13)]


def test_a_lost_packet_holds_the_others_back_only_for_a_while() -> None:
    """After `limit` packets the missing one is given up, and one that comes later still passes to be counted."""
    reorder = Reorder(limit=4)
    out = [got.sequence for number in (0, 2, 3, 4, 5, 6, 7) for got, _ in reorder.push(packet(number), 0.0)]
    assert out == [0, 2, 3, 4, 5, 6, 7]


def test_a_lost_packet_of_a_thin_stream_is_given_up_after_a_moment() -> None:
    """One packet each 100 ms: the gap is left with the second packet behind it, not with the sixteenth."""
    reorder = Reorder()
    times = [(0, 0.0), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)]
    out = [[got.sequence for got, _ in reorder.push(packet(number), now_s)] for number, now_s in times]
    assert out == [[0], [], [], [2, 3, 4], [5]]


def test_wall_clock_follows_the_last_report() -> None:
    """RTP times around a sender report have a wall time; before one they have none."""
    clock = WallClock(90_000)
    assert clock.unix_s(0) is None
    clock.reported(90_000, 1000.0)
    assert clock.unix_s(180_000) == 1001.0
    assert clock.unix_s(0) == 999.0
