"""RTP and RTCP packets (RFC 3550). Sans I/O; every length is checked before it is used."""

import struct
from typing import NamedTuple

from adapters.rtsp.tolerance import Violation, excerpt_of
from standards.reason import Reason

NTP_TO_UNIX_S = 2_208_988_800  # 1900-01-01 to 1970-01-01
_FIXED = struct.Struct("!BBHII")
# An interleaved frame (RFC 2326 section 10.12) whose packet has a fixed header: dollar and channel, size, version to
# payload type, sequence number, timestamp, source.
read_framed = struct.Struct("!HHHHII").unpack_from
FRAMED_HEADER = 16
PLAIN = 0x8000  # version to payload type without padding, extension, contributing sources and marker
MARKED = 0x80
UNMARKED = 0xFF7F
_SENDER = struct.Struct("!IIIIII")
MAX_RTCP_PACKETS = 32  # in one compound datagram

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
BYE = 203
PAYLOAD_FEEDBACK = 206  # RFC 4585 section 6.3


class RtpPacket(NamedTuple):
    """One RTP packet (section 5.1), without padding and extension."""

    payload_type: int
    marker: bool
    sequence: int  # 16 bit
    timestamp: int  # 32 bit
    ssrc: int
    payload: bytes


def parse_rtp(data: bytes) -> RtpPacket:
    """Read one packet.

    Raises:
        Violation: shorter than its own fields say, or not version 2.
    """
    size = len(data)
    if size < 12:
        raise _broken("is shorter than its header", data)
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != 2:
        raise _broken(f"has version {first >> 6}, not 2", data)
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:  # extension, section 5.3.1
        if start + 4 > size:
            raise _broken("ends inside its header extension", data)
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
    if first & 0x20 and size > start:
        padding = data[-1]
        if 0 < padding <= size - start:
            size -= padding
    if start > size:
        raise _broken("ends inside its header", data)
    return RtpPacket(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, data[start:size])


def _broken(what: str, data: bytes) -> Violation:
    return Violation(
        f"an RTP packet of {len(data)} bytes {what}",
        reason=Reason.MALFORMED_MEDIA,
        excerpt=data[:32].hex(),
        spec="RFC 3550 section 5.1",
    )


def build_rtp(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool = False
) -> bytes:
    """Return the bytes of one packet without padding and extension."""
    return (
        _FIXED.pack(
            0x80,
            payload_type | (0x80 if marker else 0),
            sequence & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            ssrc & 0xFFFFFFFF,
        )
        + payload
    )


class SenderReport(NamedTuple):
    """The sender information of an RTCP SR (section 6.4.1)."""

    ssrc: int
    ntp: int  # 64 bit, seconds since 1900 in the upper half
    timestamp: int  # RTP time of the same moment, 32 bit
    packets: int
    octets: int

    @property
    def unix_s(self) -> float:
        """Return the report's wall time as Unix seconds (era 0: until 2036)."""
        return self.ntp / (1 << 32) - NTP_TO_UNIX_S

    @property
    def tells_time(self) -> bool:
        """Tell whether the NTP time is one: 0 is "not known" (section 6.4.1), a few seconds are an uptime."""
        return self.unix_s > 0


class Goodbye(NamedTuple):
    """An RTCP BYE (section 6.6)."""

    ssrcs: tuple[int, ...]


def parse_rtcp(data: bytes) -> tuple[SenderReport | Goodbye, ...]:
    """Read the parts of a compound packet that matter here; skip the others (SDES is often broken, quirk 52).

    Raises:
        Violation: it does not begin as RTCP version 2, or a length runs past the end before anything was read.
    """
    found: list[SenderReport | Goodbye] = []
    position, count = 0, 0
    while position + 4 <= len(data) and count < MAX_RTCP_PACKETS:
        count += 1
        first, kind = data[position], data[position + 1]
        stop = position + 4 + 4 * (data[position + 2] << 8 | data[position + 3])
        # A sender report whose length lies is still one: its fixed part says all that is wanted.
        whole = stop <= len(data) or (kind == SENDER_REPORT and position + 28 <= len(data))
        if first >> 6 != 2 or (not whole and not found):
            if found:
                break
            raise Violation(
                f"{len(data)} bytes on the RTCP channel are not RTCP",
                reason=Reason.MALFORMED_MEDIA,
                excerpt=excerpt_of(data),
                spec="RFC 3550 section 6.4",
            )
        stop = min(stop, len(data))
        if kind == SENDER_REPORT and stop - position >= 28:
            ssrc, high, low, timestamp, packets, octets = _SENDER.unpack_from(data, position + 4)
            found.append(SenderReport(ssrc, high << 32 | low, timestamp, packets, octets))
        elif kind == BYE:
            number = min(first & 0x1F, (stop - position - 4) // 4)
            found.append(Goodbye(struct.unpack_from(f"!{number}I", data, position + 4)))
        position = stop
    return tuple(found)


class ReceptionReport(NamedTuple):
    """One report block of an RR (section 6.4.1)."""

    ssrc: int  # of the camera
    fraction_lost: int  # 1/256
    lost: int  # cumulative, signed 24 bit
    highest_sequence: int  # extended, 32 bit
    jitter: int  # RTP clock ticks
    last_report: int  # middle 32 bits of the last SR's NTP time, 0: none yet
    since_last_report: int  # 1/65536 s


def build_receiver_report(ssrc: int, block: ReceptionReport | None, name: str = "camhub") -> bytes:
    """Return a compound packet: RR with at most one block, and SDES with a CNAME (section 6.1 asks for both)."""
    if block is None:
        report = struct.pack("!BBHI", 0x80, RECEIVER_REPORT, 1, ssrc)
    else:
        lost = max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF
        report = struct.pack(
            "!BBHIIIIIII",
            0x81,
            RECEIVER_REPORT,
            7,
            ssrc,
            block.ssrc,
            (min(255, max(0, block.fraction_lost)) << 24) | lost,
            block.highest_sequence & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_report & 0xFFFFFFFF,
            block.since_last_report & 0xFFFFFFFF,
        )
    text = name.encode()[:255]
    chunk = struct.pack("!IBB", ssrc, 1, len(text)) + text + b"\0"
    chunk += b"\0" * (-len(chunk) % 4)
    return report + struct.pack("!BBH", 0x81, SOURCE_DESCRIPTION, len(chunk) // 4) + chunk


def build_picture_loss(ssrc: int, media_ssrc: int) -> bytes:
    """Return a picture loss indication (RFC 4585 section 6.3.1), which stands behind a report in a compound packet."""
    return struct.pack("!BBHII", 0x81, PAYLOAD_FEEDBACK, 2, ssrc, media_ssrc)
