"""Hostile media and descriptions: bounded, named, and never an exception outside the closed set."""

import itertools
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtsp_support import CLOCK

from adapters.port import AccessUnit, Track
from adapters.rtsp import h264, h265, jpeg, mpeg4
from adapters.rtsp.audio import parse_audio_config, parse_mux_config
from adapters.rtsp.depacketize import Depacketizer, Input, depacketizer_for
from adapters.rtsp.depacketize.base import MAX_UNIT_BYTES
from adapters.rtsp.measure import CODEC_NAMES, Measurement
from adapters.rtsp.message import Frame, MessageParser, encode_frame
from adapters.rtsp.pictures import reader_for
from adapters.rtsp.policy import DEFAULT
from adapters.rtsp.receiver import TrackReceiver
from adapters.rtsp.rtp import NTP_TO_UNIX_S, SenderReport, build_rtp, parse_rtcp, parse_rtp
from adapters.rtsp.sdp import parameter_sets, parse_sdp
from adapters.rtsp.timeline import WallClock
from adapters.rtsp.tolerance import Tolerances, Violation

NUMBERED = {"sprop-max-don-diff": "8", "sprop-depack-buf-nalus": "8"}
LATM = {"cpresent": "0", "config": "400024103fc0"}
FORMATS: tuple[tuple[str, dict[str, str]], ...] = (
    ("H264", {}),
    ("H264", {"packetization-mode": "0"}),
    ("H265", {}),
    ("H265", NUMBERED),
    ("JPEG", {}),
    ("MP4V-ES", {}),
    ("VND.ONVIF.METADATA", {}),
    ("MPEG4-GENERIC", {"mode": "AAC-hbr"}),
    ("MPEG4-GENERIC", {"mode": "AAC-lbr", "auxiliarydatasizelength": "5", "constantduration": "x"}),
    ("MP4A-LATM", LATM),
    ("PCMU", {}),
    ("AAL2-G726-40", {}),
)
# Heads after which arbitrary bytes get far into a depacketiser.
HEADS = (
    b"",
    b"\x7c\x85",  # FU-A, start
    b"\x7c\x05",
    b"\x7c\x45",
    b"\x78",  # STAP-A
    b"\x60\x01",  # AP
    b"\x62\x01\x93",  # FU, start
    b"\x62\x01\x13",
    b"\0\0\0\0\x01\x50\x28\x1e",  # JPEG
    b"\0\0\0\0\x41\xff\x28\x1e\0\1\xff\xff\0\0\0\x40",  # JPEG with restart markers and a table
    b"\0\0\1\xb6",
    b"<?xml",
    b"\0\x10\0\x18",  # one AU header
    b"\0\x30\0\x18\0\x18\0\x18",
    b"\xff\xf1\x60\x40\x01\x7f\xfc",  # ADTS
)


def make(codec: str, parameters: dict[str, str]) -> tuple[Depacketizer, Tolerances]:
    tolerances = Tolerances()
    made = depacketizer_for(codec, 0, tolerances, parameters=parameters)
    assert made is not None
    return made, tolerances


def receiver(
    codec: str, parameters: dict[str, str], units: list[AccessUnit]
) -> tuple[TrackReceiver, Measurement, Tolerances]:
    """Return a whole track: RTP parser, timeline, depacketiser, measurement."""
    made, tolerances = make(codec, parameters)
    measurement = Measurement(CODEC_NAMES.get(codec, codec), 90_000, (), wall=CLOCK.now(), now_s=0.0)
    measurement.begin_window(0.0)

    def deliver(unit: AccessUnit) -> None:
        units.append(unit)
        measurement.unit(unit)

    track = TrackReceiver(
        Track(0, "video", codec, 90_000), 96, made, deliver,
        tolerances=tolerances, policies=DEFAULT, ordered=True, ssrc=None, own_ssrc=1,
    )  # fmt: skip
    track.observer = measurement
    return track, measurement, tolerances


def told(error: Exception) -> None:
    """Hold that an error says something."""
    assert str(error)


PAYLOAD = st.builds(lambda head, tail: head + tail, st.sampled_from(HEADS), st.binary(max_size=24))
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 3600, 2**31]), st.booleans(), PAYLOAD, st.sampled_from([1, 1, 1, 2, 0, 5000])
    ),
    max_size=16,
)


@pytest.mark.parametrize(("codec", "parameters"), FORMATS)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_no_packets_raise_in_any_format(
    codec: str, parameters: dict[str, str], steps: list[tuple[int, bool, bytes, int]]
) -> None:
    """Whatever the payloads, timestamps and sequence numbers: units hold bytes, and the facts can be told."""
    units: list[AccessUnit] = []
    track, measurement, _ = receiver(codec, parameters, units)
    sequence = timestamp = 0
    for number, (ticks, marker, payload, step) in enumerate(steps):
        sequence, timestamp = sequence + step, timestamp + ticks
        track.rtp(build_rtp(96, sequence, timestamp, 7, payload, marker=marker), number / 25)
    measurement.end_window(1.0)
    measurement.format_facts()
    measurement.window_facts()
    for unit in units:
        assert unit.nals
        assert all(unit.nals)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"\x80\x60\0\1\0\0\0\0\0\0\0\7", b"\xb0\x60", b"\x80\xc8\0\6"]),
    st.binary(max_size=60),
)
def test_packets_raise_nothing_but_violations(head: bytes, tail: bytes) -> None:
    """RTP and RTCP parsers take arbitrary bytes."""
    for parse in (parse_rtp, parse_rtcp):
        try:
            parse(head + tail)
        except Violation as violation:
            told(violation)


@pytest.mark.parametrize(
    "read",
    [
        h264.parse_sps, h264.slice_type, h264.pps_identifiers, h265.parse_sps, h265.parse_pps, mpeg4.parse_layer,
        lambda data: list(mpeg4.vop_types(data)), jpeg.picture_size, parse_audio_config, parse_mux_config,
    ],
)  # fmt: skip
@settings(max_examples=80, deadline=None)
@given(
    head=st.sampled_from([b"", b"\x67\x64", b"\x42\x01\x01", b"\x44\x01", b"\0\0\1\x20", b"\0\0\1\xb0\xf5\0\0\1\x20", b"\xff\xd8\xff\xe0"]),
    tail=st.binary(max_size=60),
)  # fmt: skip
def test_headers_raise_nothing_but_value_errors(
    read: Callable[[bytes], object], head: bytes, tail: bytes
) -> None:
    """Header parsers take arbitrary bytes."""
    try:
        read(head + tail)
    except ValueError as error:
        told(error)


@pytest.mark.parametrize("codec", ["H264", "H265", "MPEG4", "JPEG", "SVAC"])
@settings(max_examples=40, deadline=None)
@given(nals=st.lists(st.binary(max_size=40), max_size=6))
def test_header_readers_pass_over_what_is_unreadable(codec: str, nals: list[bytes]) -> None:
    """A reader of picture headers never raises."""
    reader = reader_for(codec, nals)
    reader.read(nals)
    assert isinstance(reader.types(nals), frozenset)
    assert isinstance(reader.complete, bool)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"v=0", b"m=video 0 RTP/AVP 96", b"a=rtpmap:96 H264/90000", b"a=fmtp:96 sprop-parameter-sets=",
                    b"m=audio 0 RTP/AVP 0", b"a=rtpmap:97 MPEG4-GENERIC/0", b"a=fmtp:97 mode=AAC-hbr;config=zz",
                    b"a=sendonly", b"c=IN", b"t=now-", b"o=", b"b=AS:128", b"a=framerate:0S", b"m=",
                    b"a=fmtp:96 config=000001b0", b"a=fmtp:", b"a=rtpmap:", b"a=x-dimensions:,",
                ]
            ),
            st.binary(max_size=40),
        ),
        max_size=20,
    ),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)  # fmt: skip
def test_descriptions_raise_nothing_but_violations(lines: list[bytes], end: bytes) -> None:
    """Arbitrary lines in arbitrary order: a description, or a violation with its reason."""
    tolerances = Tolerances()
    try:
        description = parse_sdp(end.join(lines), tolerances)
    except Violation as violation:
        told(violation)
        return
    for media in description.media:
        assert isinstance(parameter_sets(media, tolerances), tuple)
        depacketizer_for(
            media.codec, 0, tolerances, parameters=media.format_parameters, clock_rate_hz=media.clock_rate_hz
        )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_stream_cut_anywhere_gives_the_same_units(data: st.DataObject) -> None:
    """Interleaved packets of every format, some of them nonsense, read whole and in arbitrary pieces."""
    codec, parameters = data.draw(st.sampled_from(FORMATS))
    steps = data.draw(STEPS)
    stream = b"".join(
        encode_frame(0, build_rtp(96, number, number // 3 * 3600, 7, payload, marker=marker))
        for number, (_, marker, payload, _) in enumerate(steps)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))

    def read(pieces: list[bytes]) -> tuple[list[tuple[int, list[bytes]]], tuple[str, ...]]:
        units: list[AccessUnit] = []
        track, _, _ = receiver(codec, parameters, units)
        tolerances = Tolerances()
        parser = MessageParser(tolerances)
        for piece in pieces:
            for event in parser.feed(piece):
                assert isinstance(event, Frame)
                track.rtp(event.data, 0.0)
        return [(unit.timestamp, unit.nals) for unit in units], tolerances.names

    edges = [0, *cuts, len(stream)]
    assert read([stream[a:b] for a, b in itertools.pairwise(edges)]) == read([stream])


@pytest.mark.parametrize(("codec", "parameters"), FORMATS)
def test_empty_and_one_byte_payloads_do_nothing(codec: str, parameters: dict[str, str]) -> None:
    """Payloads too short for the format's own head (4f) give no video picture and no exception."""
    made, _ = make(codec, parameters)
    out: list[AccessUnit] = []
    for number in range(512):
        payload = bytes((number & 0xFF,)) if number >= 256 else b""
        out += made.push(Input(number * 3600, True, payload, 0.0, 0))
    out += made.flush()
    if codec not in {"PCMU", "H264", "VND.ONVIF.METADATA", "MP4A-LATM"}:
        assert out == []
    assert all(all(unit.nals) for unit in out)


# First and further payloads of a frame that does not end. AAC has none: its frames tell their size in 13 bits.
ENDLESS = {
    "H264": (b"\x7c\x85", b"\x7c\x05"),
    "H265": (b"\x62\x01\x93", b"\x62\x01\x13"),
    "JPEG": (b"\0\0\0\0\x01\x50\x28\x1e", b"\0\0\0\1\x01\x50\x28\x1e"),
    "MP4V-ES": (b"\0\0\1\xb6", b""),
    "VND.ONVIF.METADATA": (b"<?xml", b""),
    "MP4A-LATM": (b"", b""),
}
FILLER = bytes(range(1, 251)) * 240  # 60 kB without start codes


@pytest.mark.parametrize(("codec", "parameters"), [item for item in FORMATS if item[0] in ENDLESS])
def test_a_frame_of_50_megabytes_is_bounded(codec: str, parameters: dict[str, str]) -> None:
    """RTP packets of 60 kB without end: memory stays near the cap, the frame is dropped by name or never begun."""
    made, tolerances = make(codec, parameters)
    whole = [head + FILLER for head in ENDLESS[codec]]
    tracemalloc.start()
    try:
        out: list[AccessUnit] = []
        for number in range(850):
            out += made.push(Input(0, False, bytes(bytearray(whole[min(number, 1)])), 0.0, 0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(len(nal) for unit in out for nal in unit.nals) <= MAX_UNIT_BYTES
    assert peak < 3 * MAX_UNIT_BYTES
    assert set(tolerances.names) & {"unit_too_large", "fragment_unfinished", "fragment_without_start"}


@pytest.mark.parametrize(
    ("codec", "head", "other"), [("H264", b"\x7c\x85\x88", b"\x7c\x05"), ("MP4V-ES", b"\0\0\1\xb6", b"")]
)
def test_very_many_tiny_fragments_are_bounded(codec: str, head: bytes, other: bytes) -> None:
    """Two bytes in each of 40,000 packets: the number of pieces is bounded too, not only their bytes."""
    made, tolerances = make(codec, {})
    made.push(Input(0, False, head, 0.0, 0))
    for _ in range(40_000):
        made.push(Input(0, False, other + b"ab", 0.0, 0))
    assert "unit_too_large" in tolerances.names


def test_a_nal_full_of_start_codes_is_bounded() -> None:
    """Megabytes of start codes in one fragmented NAL become no million of NAL units."""
    made, tolerances = make("H264", {})
    filler = b"\0\0\1\x41\x9a\x33" * 10_000
    tracemalloc.start()
    try:
        for number in range(130):
            head = {0: b"\x7c\x81", 129: b"\x7c\x41"}.get(number, b"\x7c\x01")
            made.push(Input(0, number == 129, head + filler, 0.0, 0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAX_UNIT_BYTES
    assert {"start_code_in_nal", "unit_too_large"} <= set(tolerances.names)


class TestDescriptions:
    def test_ten_thousand_lines_are_bounded(self) -> None:
        """Only the first 2,000 lines and 32 media are read, and that is named."""
        many = b"v=0\r\n" + b"".join(
            b"m=video 0 RTP/AVP 96\r\na=x:%d\r\n" % number for number in range(5_000)
        )
        tolerances = Tolerances()
        assert len(parse_sdp(many, tolerances).media) == 32
        assert "sdp_too_long" in tolerances.names
        attributes = b"m=video 0 RTP/AVP 96\r\n" + b"a=rtpmap:96 H264/90000\r\n" * 10_000
        tolerances = Tolerances()
        (media,) = parse_sdp(attributes, tolerances).media
        assert media.codec == "H264"
        assert "sdp_too_long" in tolerances.names

    def test_a_line_of_a_megabyte_is_cut(self) -> None:
        """A huge parameter set is read as far as the bound, dropped, and named."""
        tolerances = Tolerances()
        body = (
            b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets="
            + b"Z0IA" * 300_000
        )
        (media,) = parse_sdp(body, tolerances).media
        assert parameter_sets(media, tolerances) == ()
        assert {"sdp_too_long", "parameter_sets_incomplete"} <= set(tolerances.names)


class TestRtpLies:
    @pytest.mark.parametrize(
        "packet",
        [
            b"\x90\x60\0\1\0\0\0\0\0\0\0\7\xbe\xde\xff\xff" + b"a" * 100,  # extension of 262,140 bytes
            b"\x9f\x60\0\1\0\0\0\0\0\0\0\7" + b"a" * 20,  # 15 contributing sources in 20 bytes
            b"\x90\x60\0\1\0\0\0\0\0\0\0\7",  # extension without its header
        ],
    )
    def test_lengths_beyond_the_packet_are_refused(self, packet: bytes) -> None:
        """Header fields that promise more than there is: one violation, no read beyond."""
        with pytest.raises(Violation):
            parse_rtp(packet)

    @pytest.mark.parametrize(("count", "left"), [(0, 6), (3, 3), (6, 0), (7, 6), (255, 6)])
    def test_padding_that_cannot_be_is_payload(self, count: int, left: int) -> None:
        """A padding count of 0 or beyond the payload says nothing; one that fits is taken off."""
        packet = b"\xa0\x60\0\1\0\0\0\0\0\0\0\7" + b"abcde" + bytes((count,))
        assert len(parse_rtp(packet).payload) == left

    def test_a_packet_of_64_kilobytes_passes(self) -> None:
        """The largest interleaved frame is one NAL like any other."""
        made, _ = make("H264", {})
        packet = build_rtp(96, 1, 0, 7, b"\x65\x88" + b"\x55" * 65_500, marker=True)
        (unit,) = made.push(Input(0, True, parse_rtp(packet).payload, 0.0, 0))
        assert len(unit.nals[0]) == 65_502


class TestSenderReports:
    def test_a_length_that_lies_does_not_hide_the_report(self) -> None:
        """The fixed part of a sender report is read although its length runs past the datagram (quirk 52)."""
        head = b"\x81\xc8\xff\xff" + bytes(3) + b"\x07"
        body = (3_900_000_000).to_bytes(4, "big") + bytes(4) + (90_000).to_bytes(4, "big") + bytes(8)
        (report,) = parse_rtcp(head + body)
        assert isinstance(report, SenderReport)
        assert (report.ssrc, report.timestamp, report.tells_time) == (7, 90_000, True)

    @pytest.mark.parametrize("ntp_s", [0, 5_000, 1_700_000_000])
    def test_a_report_without_wall_time_moves_no_clock(self, ntp_s: int) -> None:
        """0, an uptime, and Unix seconds written as NTP tell no wall time; pictures keep that of the last report."""
        report = SenderReport(7, ntp_s << 32, 0, 0, 0)
        assert not report.tells_time
        clock = WallClock(90_000)
        clock.reported(0, report.unix_s)
        assert clock.unix_s(0) is None
        clock.reported(90_000, 1_000.0)
        clock.reported(180_000, report.unix_s)
        assert (clock.unix_s(180_000), clock.steps) == (1_001.0, 0)

    def test_a_report_of_another_source_is_believed_by_name(self) -> None:
        """Tapo's reports carry an SSRC of their own; the channel is the track's, so the time is (quirk 52)."""
        track, tolerances = receiver("H264", {}, [])[::2]
        track.rtp(build_rtp(96, 1, 90_000, 7, b"\x65\x88\x11", marker=True), 0.0)
        track.rtcp(b"\x80\xc8\0\6" + struct.pack("!IIIIII", 8, NTP_TO_UNIX_S + 500, 0, 180_000, 1, 1), 1.0)
        assert track.wall_clock.unix_s(90_000) == 499.0
        assert tolerances.names == ("rtcp_ssrc_other",)

    def test_a_clock_that_is_set_is_followed_and_counted(self) -> None:
        """A report that moves the wall clock by more than half a second counts as a step."""
        clock = WallClock(90_000)
        clock.reported(0, 1_000.0)
        clock.reported(90_000, 1_001.01)
        assert clock.steps == 0
        clock.reported(180_000, 1_100.0)
        assert (clock.steps, clock.unix_s(180_000)) == (1, 1_100.0)

    def test_a_report_on_another_scale_tells_no_picture_its_time(self) -> None:
        """An RTP time hours away from the pictures is no time of theirs."""
        clock = WallClock(90_000)
        clock.reported(0, 1_000.0)
        assert clock.unix_s(90_000 * 7_200) is None
