"""RTCP as far as a sender needs it (RFC 3550 6, RFC 4585 6): sender reports out; reports, NACK, PLI, FIR, REMB,
transport-wide feedback and BYE in.

What comes in was authenticated by SRTCP, but the viewer is still a stranger: every count and length is bounded.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

_SR, _RR, _SDES, _BYE, _RTPFB, _PSFB = 200, 201, 202, 203, 205, 206
_NACK, _TWCC, _PLI, _FIR, _REMB = 1, 15, 1, 4, 15
_NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970
_MAX_NACKED = 512  # sequence numbers asked for in one packet


@dataclass(slots=True)
class Feedback:
    """What one compound packet said about one of our streams."""

    nacked: list[int] = field(default_factory=list)
    key_frame_wanted: bool = False
    bye: bool = False
    fraction_lost: int | None = None  # of 256, from the newest report
    packets_lost: int | None = None  # cumulative
    jitter_ticks: int | None = None
    last_sr: int = 0  # middle 32 bits of the NTP time of the sender report it refers to
    delay_since_sr: int = 0  # 1/65536 s
    estimate_bps: int | None = None  # REMB, where it names our stream
    path: bytes | None = None  # the body of the newest transport-wide feedback, not read yet


def read_feedback(data: bytes, ssrc: int) -> Feedback:
    """Read a compound packet; parts that are malformed or concern other streams are passed over."""
    said = Feedback()
    position = 0
    while position + 4 <= len(data):
        first, kind, words = struct.unpack_from("!BBH", data, position)
        body = data[position + 4 : position + 4 + words * 4]
        position += 4 + words * 4
        if first >> 6 != 2:
            break
        count = first & 0x1F
        if kind in {_SR, _RR}:
            _read_reports(said, body[24:] if kind == _SR else body[4:], count, ssrc)
        elif kind == _BYE:
            said.bye = True
        elif len(body) >= 8 and kind in {_RTPFB, _PSFB}:
            media = struct.unpack_from("!I", body, 4)[0]
            if kind == _RTPFB and count == _NACK and media == ssrc:
                _read_nack(said, body[8:])
            elif kind == _RTPFB and count == _TWCC:
                said.path = body[8:]  # of the whole transport, whatever stream it names
            elif kind == _PSFB and count == _REMB:
                _read_remb(said, body[8:], ssrc)
            elif kind == _PSFB and (
                (count == _PLI and media == ssrc) or (count == _FIR and struct.pack("!I", ssrc) in body[8:])
            ):
                said.key_frame_wanted = True
    return said


def _read_reports(said: Feedback, body: bytes, count: int, ssrc: int) -> None:
    for place in range(count):
        block = body[place * 24 : place * 24 + 24]
        if len(block) < 24:
            return
        about, lost, _highest, jitter, last_sr, delay = struct.unpack("!IIIIII", block)
        if about == ssrc:
            said.fraction_lost = lost >> 24
            said.packets_lost = (lost & 0xFFFFFF) - (1 << 24 if lost & 0x800000 else 0)
            said.jitter_ticks, said.last_sr, said.delay_since_sr = jitter, last_sr, delay


def _read_nack(said: Feedback, body: bytes) -> None:
    for position in range(0, len(body) - 3, 4):
        first, mask = struct.unpack_from("!HH", body, position)
        said.nacked.append(first)
        said.nacked.extend((first + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1)
        if len(said.nacked) >= _MAX_NACKED:
            del said.nacked[_MAX_NACKED:]
            return


def is_path_feedback(packet: bytes) -> bool:
    """Tell by the clear part of a protected packet whether it begins with transport-wide feedback."""
    return packet[1] == _RTPFB and packet[0] & 0x1F == _TWCC


def _read_remb(said: Feedback, body: bytes, ssrc: int) -> None:
    """Read draft-alvestrand-rmcat-remb 2.2: exponent and mantissa, and the streams that it is about."""
    if len(body) < 12 or body[:4] != b"REMB":
        return
    about = struct.unpack_from(f"!{min(body[4], (len(body) - 8) // 4)}I", body, 8)
    if ssrc in about:
        said.estimate_bps = ((body[5] & 3) << 16 | body[6] << 8 | body[7]) << (body[5] >> 2)


def ntp(unix_s: float) -> int:
    """Return the 64 bit NTP timestamp of a time in seconds since 1970."""
    return int((unix_s + _NTP_EPOCH_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def sender_report(
    ssrc: int, *, unix_s: float, timestamp: int, packets: int, octets: int, cname: str
) -> bytes:
    """Write a compound packet: sender report and SDES with the canonical name."""
    report = struct.pack(
        "!BBHIQIII",
        0x80,
        _SR,
        6,
        ssrc,
        ntp(unix_s),
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    name = cname.encode()[:255]
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\x00"
    item += bytes(-len(item) % 4)
    return report + struct.pack("!BBH", 0x81, _SDES, len(item) // 4) + item


def nack(ssrc: int, media_ssrc: int, sequences: Sequence[int]) -> bytes:
    """Write a generic NACK (RFC 4585 6.2.1) for packets of one stream, which stands behind a report."""
    items: list[int] = []
    first, mask = -1, 0
    for sequence in sequences:
        behind = (sequence - first - 1) & 0xFFFF
        if first >= 0 and behind < 16:
            mask |= 1 << behind
            continue
        if first >= 0:
            items.append(first << 16 | mask)
        first, mask = sequence, 0
    items.append(first << 16 | mask)
    return struct.pack(f"!BBHII{len(items)}I", 0x80 | _NACK, _RTPFB, 2 + len(items), ssrc, media_ssrc, *items)


def nothing_received(ssrc: int) -> bytes:
    """Write an empty receiver report, which a compound packet begins with (RFC 3550 6.4.2)."""
    return struct.pack("!BBHI", 0x80, _RR, 1, ssrc)


def goodbye(ssrc: int) -> bytes:
    """Write an empty receiver report and a BYE."""
    return nothing_received(ssrc) + struct.pack("!BBHI", 0x81, _BYE, 1, ssrc)
