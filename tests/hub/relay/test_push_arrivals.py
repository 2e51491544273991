"""Transport-wide feedback towards an encoder: what came and when, read back by the reader that stands on the other side."""

import random
import struct

import pytest

from hub.relay.webrtc.arrivals import Arrivals, transport_wide_number
from hub.relay.webrtc.extension import Extension
from hub.relay.webrtc.rtcp import read_feedback
from hub.relay.webrtc.twcc import Report, read_report


def told(arrivals: Arrivals) -> list[Report]:
    """What the feedback says to the encoder."""
    reports = []
    for packet in arrivals.feedback(7, 9):
        assert len(packet) <= 1200
        assert len(packet) == 4 + 4 * struct.unpack_from("!H", packet, 2)[0]
        body = read_feedback(packet, 9).path
        assert body is not None
        reports.append(read_report(body))
    return reports


def test_what_came_and_when_is_told_once() -> None:
    """Numbers run on over 65535, a lost one is told as lost, times are true to a quarter of a millisecond."""
    arrivals, rng = Arrivals(), random.Random(4)
    now_s, expected = 1000.0, {}
    for number in range(65_400, 65_900):
        now_s += rng.choice((0.0, 0.0001, 0.004, 0.09))
        if number % 50 != 7:
            arrivals.came(number & 0xFFFF, now_s)
            expected[number & 0xFFFF] = now_s
        if number % 60 == 0 or number == 65_899:
            for report in told(arrivals):
                for place, at_s in enumerate(report.arrived_s):
                    wanted_s = expected.pop((report.first + place) & 0xFFFF, None)
                    assert (at_s is None) == (wanted_s is None)
                    assert at_s is None or at_s == pytest.approx(wanted_s, abs=0.0002)
    assert not expected
    assert told(arrivals) == []


def test_a_packet_that_comes_late_is_told_after_all() -> None:
    """It was told as lost; the next feedback goes back to it. One that comes twice, or after half a second, changes nothing."""
    arrivals = Arrivals()
    for number, now_s in ((10, 1.0), (12, 1.01)):
        arrivals.came(number, now_s)
    assert [one is None for one in told(arrivals)[0].arrived_s] == [False, True, False]
    arrivals.came(11, 1.05)
    (report,) = told(arrivals)
    assert report.first == 11
    assert report.arrived_s == pytest.approx((1.05, 1.01), abs=0.0002)
    arrivals.came(11, 1.06)
    assert told(arrivals) == []
    arrivals.came(13, 2.0)
    assert len(told(arrivals)) == 1
    arrivals.came(9, 2.01)
    assert told(arrivals) == []


def test_what_an_encoder_makes_up_is_bounded() -> None:
    """Numbers at random, a thousand of them at once: each feedback fits a datagram, and little is kept."""
    arrivals, rng = Arrivals(), random.Random(5)
    for turn in range(20):
        for _ in range(1000):
            arrivals.came(rng.randrange(65_536), turn * 0.1)
        for number in range(2000):
            arrivals.came(number, turn * 0.1)
        reports = told(arrivals)
        assert sum(len(report.arrived_s) for report in reports) <= 4000
        assert len(arrivals._ticks) <= 20_000


def test_the_number_is_read_from_the_header_extension() -> None:
    """Behind contributing sources, other elements and padding; a packet without it, or one that is cut short, has none."""

    def packet(extension: bytes, first: int = 0x90, between: bytes = b"") -> bytes:
        return struct.pack("!BBHII", first, 96, 1, 2, 3) + between + extension + b"payload"

    ours = Extension.of(5, 6)
    written = ((ours.word | 0xABCD << 8) << 32 | ours.tail).to_bytes(12, "big")
    assert transport_wide_number(packet(written), 5) == 0xABCD
    assert transport_wide_number(packet(written), 4) is None
    other = b"\xbe\xde\x00\x02" + b"\x12abc" + b"\x00" + b"\x51\x12\x34"
    assert transport_wide_number(packet(other, 0x92, bytes(8)), 5) == 0x1234
    assert transport_wide_number(packet(b"", 0x80), 5) is None
    for length in range(12, 24):
        assert transport_wide_number(packet(other)[:length], 5) in {None, 0x1234}
    assert transport_wide_number(packet(b"\x10\x00\x00\x01" + bytes(4)), 5) is None
