"""Packets that arrive together come to the same as each by itself, whatever they hold."""

from dataclasses import asdict
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.port import AccessUnit, Track
from adapters.rtsp.depacketize import depacketizer_for
from adapters.rtsp.message import Frame, MessageParser, encode_frame
from adapters.rtsp.policy import DEFAULT
from adapters.rtsp.receiver import TrackReceiver
from adapters.rtsp.rtp import build_rtp
from adapters.rtsp.tolerance import Tolerances

H264 = {
    "start": b"\x7c\x85\x88\x11",
    "middle": b"\x7c\x05\x22\x33",
    "end": b"\x7c\x45\x44\x55",
    "other kind": b"\x7c\x01\x66",
    "empty fragment": b"\x7c\x05",
    "slice": b"\x41\x9a\x33\x44",
    "second slice": b"\x41\x1a\x33\x44",
    "sets": b"\x78\x00\x04\x67\x4d\x00\x1e\x00\x04\x68\xee\x3c\x80",
    "slice start": b"\x5c\x81\x9a\x11",
    "second start": b"\x5c\x81\x1a\x11",
    "slice middle": b"\x5c\x01\x22\x33",
    "slice end": b"\x5c\x41\x44\x55",
    "zero end": b"\x5c\x41\x44\x00",
    "zeros": b"\x5c\x01\x44\x00\x00",
    "one and slice": b"\x5c\x01\x01\x41\x1a\x77",
    "other importance": b"\x1c\x01\x22\x33",
    "forbidden bit": b"\xc1\x9a\x33\x44",
    "code inside": b"\x41\x9a\x33\x00\x00\x01\x41\x1a\x44",
    "short slice": b"\x41\x9a",
    "nothing": b"",
}
H265 = {
    "start": b"\x62\x01\x93\xaf\x11",
    "middle": b"\x62\x01\x13\x22\x33",
    "end": b"\x62\x01\x53\x44\x55",
    "other kind": b"\x62\x01\x01\x66",
    "empty fragment": b"\x62\x01\x13",
    "slice": b"\x02\x01\xd0\x33",
    "second slice": b"\x02\x01\x10\x33",
    "sets": b"\x60\x01\x00\x04\x42\x01\x01\x02\x00\x03\x44\x01\x03",
    "slice start": b"\x62\x01\x81\xd0\x11",
    "second start": b"\x62\x01\x81\x10\x11",
    "slice middle": b"\x62\x01\x01\x22\x33",
    "slice end": b"\x62\x01\x41\x44\x55",
    "zero end": b"\x62\x01\x41\x44\x00",
    "zeros": b"\x62\x01\x01\x44\x00\x00",
    "one and slice": b"\x62\x01\x01\x01\x02\x01\x10\x77",
    "other importance": b"\x62\x02\x01\x22\x33",
    "forbidden bit": b"\x82\x01\xd0\x33",
    "code inside": b"\x02\x01\xd0\x33\x00\x00\x01\x02\x01\x10\x44",
    "short slice": b"\x02\x01",
    "nothing": b"",
}
KINDS = {"H264": H264, "H265": H265, "numbered": H265, "JPEG": H264}
PACKETS = st.lists(
    st.tuples(
        st.sampled_from(sorted(H264)),
        st.booleans(),  # marker
        st.sampled_from([0, 0, 0, 3600]),  # ticks since the last
        st.sampled_from([1, 1, 1, 1, 1, 2, 0, 65530, 5000]),  # sequence numbers since the last
        st.sampled_from(["", "", "", "", "short", "extension", "padding", "type", "source", "version"]),
        st.booleans(),  # whether it comes with the one before
    ),
    max_size=40,
)


def receiver(codec: str) -> tuple[TrackReceiver, list[AccessUnit], Tolerances]:
    tolerances, units = Tolerances(), list[AccessUnit]()
    parameters = {"sprop-max-don-diff": "2", "sprop-depack-buf-nalus": "2"} if codec == "numbered" else {}
    name = "H265" if codec == "numbered" else codec
    made = TrackReceiver(
        Track(0, "video", name, 90_000, (), 1, b""),
        96,
        depacketizer_for(name, 0, tolerances, parameters=parameters),
        units.append,
        tolerances=tolerances,
        policies=DEFAULT,
        ordered=True,
        ssrc=7,
        own_ssrc=1,
    )
    return made, units, tolerances


def taken(made: TrackReceiver, now_s: float, data: bytes, position: int) -> int:
    return made.frames(0x2402, data, position, now_s)


def broken(data: bytes, fault: str) -> bytes:
    """Return a packet with a fault, or what is none but is not plain either."""
    if fault == "short":
        return data[:11]
    if fault == "extension":
        return bytes((data[0] | 0x10,)) + data[1:12] + b"\xbe\xde\0\1abcd" + data[12:]
    if fault == "padding":
        return bytes((data[0] | 0x20,)) + data[1:] + b"\0\0\3"
    if fault == "type":
        return data[:1] + bytes((data[1] & 0x80 | 97,)) + data[2:]
    if fault == "source":
        return data[:8] + b"\0\0\0\x09" + data[12:]
    return bytes((data[0] & 0x3F,)) + data[1:] if fault == "version" else data


WHOLE = [("sets", False, 3600, 1, "", False), ("start", False, 0, 1, "", True)]
WHOLE += [("middle", False, 0, 1, "", True)] * 3 + [("end", True, 0, 1, "", True)]
SLICES = [("slice", True, 3600, 1, "", False), ("slice start", False, 3600, 1, "", False)]
SLICES += [("slice middle", False, 0, 1, "", True)] * 2 + [("slice end", True, 0, 1, "", True)]
MARKED_SLICES = [("slice", True, 3600, 1, "", False), ("second start", False, 0, 1, "", True)]
MARKED_SLICES += [("slice end", True, 0, 1, "", True)]
CODE_BETWEEN = [("slice start", False, 3600, 1, "", False), ("zeros", False, 0, 1, "", True)]
ZERO_BEHIND = [("slice start", False, 3600, 1, "", False), ("zero end", True, 0, 1, "", True)]
CODE_BETWEEN += [("one and slice", False, 0, 1, "", True), ("slice end", True, 0, 1, "", True)]


@pytest.mark.long
@pytest.mark.parametrize("codec", sorted(KINDS))
@settings(max_examples=150, deadline=None)
@given(packets=PACKETS, cut=st.integers(0, 60))
@example(packets=WHOLE * 3, cut=0)
@example(packets=SLICES * 3, cut=0)
@example(packets=SLICES * 3, cut=33)
@example(packets=MARKED_SLICES * 3, cut=0)
@example(packets=CODE_BETWEEN * 2, cut=0)
@example(packets=ZERO_BEHIND * 2, cut=0)
def test_what_comes_together_is_taken_as_if_it_came_alone(
    codec: str, packets: list[tuple[str, bool, int, int, str, bool]], cut: int
) -> None:
    """Units, statistics, the report to the camera and each tolerance are the same, wherever a read was cut."""
    runs: list[list[bytes]] = []
    sequence, timestamp = 65_530, 0xFFFFFF00
    for kind, marker, ticks, step, fault, joined in packets:
        sequence, timestamp = sequence + step & 0xFFFF, timestamp + ticks & 0xFFFFFFFF
        data = build_rtp(96, sequence, timestamp, 7, KINDS[codec][kind], marker=marker)
        if not joined or not runs:
            runs.append([])
        runs[-1].append(broken(data, fault))
    one, alone, alone_noted = receiver(codec)
    other, together, together_noted = receiver(codec)
    for number, run in enumerate(runs):
        for data in run:
            one.rtp(data, number / 25)
        read = b"".join(encode_frame(2, data) for data in run)
        parser = MessageParser(together_noted, partial(taken, other, number / 25))
        for piece in (read[:cut], read[cut:]):
            for event in parser.feed(piece):
                assert isinstance(event, Frame)
                other.rtp(event.data, number / 25)
    assert [asdict(unit) for unit in together] == [asdict(unit) for unit in alone]
    assert together_noted.counts == alone_noted.counts
    assert (other.unreadable, other.last_packet_s, other.source) == (
        one.unreadable,
        one.last_packet_s,
        one.source,
    )
    ours, theirs = other.reception, one.reception
    assert (ours.received, ours.lost, ours.duplicates, ours.expected) == (
        theirs.received,
        theirs.lost,
        theirs.duplicates,
        theirs.expected,
    )
    told, held = other.report(9.0), one.report(9.0)
    assert told[:20] + told[24:] == held[:20] + held[24:]
    jitters = (int.from_bytes(report[20:24], "big") for report in (told, held))
    assert abs(next(jitters) - next(jitters)) <= 1  # whole ticks of two sums that are rounded differently
