"""RTCP from a viewer is read within bounds; ours is what aiortc's parser understands."""

import struct

from aiortc.rtp import (
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from hub.relay.webrtc import rtcp


def test_reports_nacks_and_picture_loss_of_a_peer_are_read() -> None:
    """What aiortc writes is what we read, for our stream only."""
    info = RtcpReceiverInfo(
        ssrc=7, fraction_lost=51, packets_lost=9, highest_sequence=1, jitter=4, lsr=11, dlsr=12
    )
    compound = bytes(RtcpRrPacket(ssrc=1, reports=[info]))
    compound += bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=7, lost=[0, 3, 40, 65535]))
    compound += bytes(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=7))
    said = rtcp.read_feedback(compound, 7)
    assert sorted(said.nacked) == [0, 3, 40, 65535]
    assert (said.fraction_lost, said.packets_lost, said.last_sr, said.key_frame_wanted) == (51, 9, 11, True)
    other = rtcp.read_feedback(compound, 8)
    assert not other.nacked
    assert not other.key_frame_wanted
    assert other.fraction_lost is None


def test_a_full_intra_request_is_read_by_the_stream_that_it_names() -> None:
    """RFC 5104 4.3.1: the stream stands in the entries, the header's media source is 0 and says nothing."""
    asked = struct.pack("!BBHIIIB3x", 0x84, 206, 4, 1, 0, 7, 1)
    assert rtcp.read_feedback(asked, 7).key_frame_wanted
    assert not rtcp.read_feedback(asked, 8).key_frame_wanted


def test_a_sender_report_is_understood_by_a_peer() -> None:
    """aiortc reads the report and its canonical name."""
    data = rtcp.sender_report(7, unix_s=1_700_000_000.5, timestamp=123, packets=4, octets=5, cname="abc")
    report, names = RtcpPacket.parse(data)
    assert isinstance(report, RtcpSrPacket)
    assert (report.ssrc, report.sender_info.rtp_timestamp, report.sender_info.packet_count) == (7, 123, 4)
    assert names.chunks[0].ssrc == 7


def test_one_packet_asks_for_a_bounded_number() -> None:
    """A NACK of a thousand entries costs at most 512 look-ups."""
    entries = struct.pack("!HH", 5, 0xFFFF) * 1000
    packet = struct.pack("!BBHII", 0x81, 205, 2 + 1000, 1, 7) + entries
    assert len(rtcp.read_feedback(packet, 7).nacked) == 512


@given(st.binary(max_size=200))
def test_garbage_is_read_without_an_error(data: bytes) -> None:
    """Authenticated does not mean well-formed."""
    rtcp.read_feedback(data, 7)
    rtcp.read_feedback(b"\x81\xc9" + data, 7)
