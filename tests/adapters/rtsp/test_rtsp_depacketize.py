"""Payloads to access units: the ways of RFC 6184, 7798, 2435, and the ways of cameras."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtsp_support import encoded, payloads
from test_rtsp_codecs import encoded265

from adapters.port import AccessUnit
from adapters.rtsp.depacketize import Depacketizer, Input, depacketizer_for
from adapters.rtsp.tolerance import Tolerance, Tolerances

SPS, PPS, SEI = b"\x67\x4d\x00\x1e", b"\x68\xee\x3c\x80", b"\x06\x05\x01\x02"
IDR, P, P_SECOND = b"\x65\x88\x11\x22", b"\x41\x9a\x33\x44", b"\x41\x1a\x33\x44"


def make(codec: str = "H264") -> tuple[Depacketizer, Tolerances]:
    tolerances = Tolerances()
    made = depacketizer_for(codec, 0, tolerances)
    assert made is not None
    return made, tolerances


def feed(
    *items: tuple[int, bool, bytes] | tuple[int, bool, bytes, int], codec: str = "H264"
) -> tuple[list[AccessUnit], Tolerances]:
    """Push (timestamp, marker, payload[, lost]) and return the units."""
    depacketizer, tolerances = make(codec)
    out: list[AccessUnit] = []
    for item in items:
        timestamp, marker, payload = item[:3]
        out += depacketizer.push(Input(timestamp, marker, payload, 0.0, item[3] if len(item) > 3 else 0))
    return out + depacketizer.flush(), tolerances


def shown(units: list[AccessUnit]) -> list[tuple[int, bool, list[bytes]]]:
    return [(unit.timestamp, unit.key_frame, unit.nals) for unit in units]


def test_real_h264_comes_out_as_it_went_in() -> None:
    """Access units of libx264, packetised with FU-A, come back NAL by NAL."""
    units = encoded(30)
    items = [
        (number * 3600, index == len(parts) - 1, payload)
        for number, unit in enumerate(units)
        for parts in [payloads(unit, 200)]
        for index, payload in enumerate(parts)
    ]
    out, tolerances = feed(*items)
    assert [tuple(unit.nals) for unit in out] == list(units)
    assert [unit.key_frame for unit in out] == [number % 10 == 0 for number in range(30)]
    assert tolerances.names == ()


def test_aggregates_and_trailing_zeros() -> None:
    """STAP-A is taken apart; zeros behind its last NAL end it (quirk 58); a length beyond the end is refused."""

    def stap(*parts: bytes) -> bytes:
        return b"\x78" + b"".join(len(part).to_bytes(2, "big") + part for part in parts)

    out, tolerances = feed((0, False, stap(SPS, PPS) + b"\0\0\0"), (0, True, stap(IDR)))
    assert shown(out) == [(0, True, [SPS, PPS, IDR])]
    assert tolerances.names == ("trailing_zeros",)
    out, tolerances = feed((0, True, stap(IDR) + b"\x00\x09ab"))
    assert shown(out) == [(0, True, [IDR])]
    assert tolerances.names == ("aggregate_malformed",)


def test_delimiters_and_many_sei_stay_in_their_picture() -> None:
    """Amcrest sends an access unit delimiter and SEI ahead of each picture (55); Tapo slices in a STAP-A (58)."""
    delimiter = b"\x09\x10"
    out, tolerances = feed(
        *((0, False, nal) for nal in (delimiter, SEI, SEI, SPS, PPS)),
        (0, True, IDR),
        (3600, False, delimiter),
        (3600, True, b"\x78\x00\x04" + SEI + b"\x00\x04" + P),
    )
    assert shown(out) == [(0, True, [delimiter, SEI, SEI, SPS, PPS, IDR]), (3600, False, [delimiter, SEI, P])]
    assert tolerances.names == ()


def test_reserved_bits_and_types_do_no_harm() -> None:
    """A reserved bit in a FU-A header is passed over (59); NAL types 30 and 31 are dropped by name (53)."""
    out, tolerances = feed((0, False, b"\x7c\xa5\x88"), (0, True, b"\x7c\x65\x11"))
    assert shown(out) == [(0, True, [b"\x65\x88\x11"])]
    assert tolerances.names == ()
    out, tolerances = feed((0, False, b"\x7e\x01"), (0, False, b"\x7f\x01"), (0, True, P))
    assert shown(out) == [(0, False, [P])]
    assert tolerances.counts[Tolerance.NAL_TYPE_RESERVED] == 2


def test_a_missing_marker_is_made_up_for_by_the_timestamp() -> None:
    """Tapo TC70 sets no marker: the next timestamp ends the picture (quirk 48)."""
    out, tolerances = feed((0, False, IDR), (3600, False, P), (7200, False, P))
    assert shown(out) == [(0, True, [IDR]), (3600, False, [P]), (7200, False, [P])]
    assert tolerances.counts[Tolerance.MARKER_MISSING] == 2


def test_markers_on_parameter_sets_do_not_divide_a_picture() -> None:
    """SPS, PPS and SEI each with a marker, or with a timestamp of their own, belong to the next slice (48, 49)."""
    out, tolerances = feed((0, True, SPS), (0, True, PPS), (0, True, SEI), (0, True, IDR), (3600, True, P))
    assert shown(out) == [(0, True, [SPS, PPS, SEI, IDR]), (3600, False, [P])]
    assert tolerances.names == ("marker_on_parameter_sets",)
    out, tolerances = feed((10, True, SPS), (11, True, PPS), (12, True, IDR))
    assert shown(out) == [(12, True, [SPS, PPS, IDR])]
    assert tolerances.names == ("marker_on_parameter_sets", "timestamp_inside_unit")


def test_a_marker_on_every_slice_is_found_out() -> None:
    """After the first picture that a marker cut in two, only timestamps divide."""
    out, tolerances = feed(
        *((number * 3600, True, nal) for number in range(3) for nal in (P, P_SECOND)),
    )
    assert tolerances.counts[Tolerance.MARKER_PER_SLICE] == 1
    assert shown(out)[-1] == (7200, False, [P, P_SECOND])
    assert [nal for unit in out for nal in unit.nals] == [P, P_SECOND] * 3


def test_fragments_as_cameras_send_them() -> None:
    """Start and end in one fragment (OpenIPC), a type that changes (Tiandy), empty ones, none with a start."""

    def fu(flags: int, data: bytes, kind: int = 5) -> bytes:
        return bytes((0x7C, flags | kind)) + data

    out, tolerances = feed((0, True, fu(0xC0, IDR[1:])))
    assert shown(out) == [(0, True, [IDR])]
    assert tolerances.names == ("fragment_start_and_end",)
    out, tolerances = feed(
        (0, False, fu(0x80, b"\x88")), (0, False, fu(0, b"")), (0, True, fu(0x40, b"\x11\x22", 1))
    )
    assert shown(out) == [(0, True, [IDR])]
    assert tolerances.names == ("fragment_empty", "fragment_type_changed")
    out, tolerances = feed((0, True, fu(0x40, b"\x11")), (3600, True, P))
    assert shown(out) == [(3600, False, [P])]
    assert tolerances.names == ("fragment_without_start",)
    out, tolerances = feed((0, False, fu(0x80, b"\x88")), (0, True, P))
    assert shown(out) == [(0, False, [P])]
    assert tolerances.names == ("fragment_unfinished",)


def test_loss_drops_the_torn_nal_and_is_told() -> None:
    """A packet lost inside a fragmented NAL drops it, and the unit says so."""

    def fu(flags: int, data: bytes) -> bytes:
        return bytes((0x7C, flags | 5)) + data

    out, tolerances = feed(
        (0, False, P), (0, False, fu(0x80, b"ab")), (0, True, fu(0x40, b"ef"), 1), (3600, True, P)
    )
    assert shown(out) == [(0, False, [P]), (3600, False, [P])]
    assert [unit.lost_packets for unit in out] == [1, 0]
    assert Tolerance.FRAGMENT_UNFINISHED in tolerances.counts


def test_loss_across_pictures_is_told_on_both() -> None:
    """Where the marker is among the lost, the picture before and the one after are both marked."""
    out, _ = feed((0, False, IDR), (3600, True, P, 2))
    assert [(unit.lost_packets, unit.lost_inside) for unit in out] == [(2, 2), (2, 0)]


def test_what_a_picture_itself_lacks_is_told_apart_from_what_is_missing_before_it() -> None:
    """A picture that begins with its first slice behind a gap is whole; one whose first slice is among the lost is not."""
    second_slice = b"\x41\x5a\x01"  # first_mb_in_slice is not 0
    out, _ = feed(
        (0, True, IDR),
        (3600, True, P, 2),
        (7200, True, second_slice, 1),
        (10800, False, P),
        (10800, True, P, 3),
    )
    assert [(unit.lost_packets, unit.lost_inside) for unit in out] == [(0, 0), (2, 0), (1, 1), (3, 3)]


def test_start_codes_inside_a_nal_divide_it() -> None:
    """V380 sends SPS, PPS and IDR in one NAL with Annex-B start codes, in single packets and in FU-A (57)."""
    whole = SPS + b"\0\0\0\1" + PPS + b"\0\0\1" + IDR
    out, tolerances = feed((0, True, whole))
    assert shown(out) == [(0, True, [SPS, PPS, IDR])]
    assert tolerances.names == ("start_code_in_nal",)
    out, _ = feed((0, True, b"\0\0\0\1" + whole))
    assert shown(out) == [(0, True, [SPS, PPS, IDR])]
    out, _ = feed((0, False, bytes((0x7C, 0x87)) + whole[1:6]), (0, True, bytes((0x7C, 0x47)) + whole[6:]))
    assert shown(out) == [(0, True, [SPS, PPS, IDR])]


def test_a_unit_without_end_is_dropped_not_kept() -> None:
    """What grows beyond the bound is dropped whole and named; the next picture is there again."""
    big = b"\x41\x9a" + b"\x11" * 1_000_000
    out, tolerances = feed(*((0, False, big) for _ in range(10)), (3600, True, IDR))
    assert shown(out) == [(3600, True, [IDR])]
    assert tolerances.counts[Tolerance.UNIT_TOO_LARGE] == 1


_ITEM = st.tuples(
    st.sampled_from([0, 1, 2]),  # step of the timestamp in frames
    st.booleans(),
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([SPS, PPS, SEI, IDR, P, P_SECOND]),
        st.builds(
            lambda flags, kind, data: bytes((0x7C, flags << 6 | kind)) + data,
            st.integers(0, 3),
            st.sampled_from([1, 5, 7]),
            st.binary(max_size=12),
        ),
        st.binary(max_size=30).map(lambda data: b"\x78" + data),
    ),
    st.sampled_from([0, 0, 0, 1]),
)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.lists(_ITEM, max_size=25))
def test_h264_output_invariants_hold_for_any_input(items: list[tuple[int, bool, bytes, int]]) -> None:
    """No input crashes; every NAL is legal and not empty, each unit has a slice, key_frame is true iff IDR."""
    now = 0
    sequence = []
    for step, marker, payload, lost in items:
        now += step * 3600
        sequence.append((now, marker, payload, lost))
    out, _ = feed(*sequence)
    for unit in out:
        assert unit.nals
        for nal in unit.nals:
            assert 1 <= nal[0] & 0x1F <= 23
            assert b"\0\0\1" not in nal
            assert nal[-1] != 0
        kinds = {nal[0] & 0x1F for nal in unit.nals}
        assert kinds & {1, 2, 3, 4, 5}
        assert unit.key_frame == (5 in kinds)
    times = [unit.timestamp for unit in out]
    assert times == sorted(times)


def payloads265(unit: tuple[bytes, ...], size: int) -> list[bytes]:
    """Packetise as RFC 7798: single NAL packets and FUs."""
    out = []
    for nal in unit:
        if len(nal) <= size:
            out.append(nal)
            continue
        pieces = [nal[at : at + size] for at in range(2, len(nal), size)]
        for index, piece in enumerate(pieces):
            flags = (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0)
            kind = nal[0] >> 1 & 0x3F
            out.append(bytes([nal[0] & 0x81 | 49 << 1, nal[1], flags | kind]) + piece)
    return out


def test_real_h265_comes_out_as_it_went_in() -> None:
    """Access units of libx265 come back NAL by NAL; parameter sets may come in one AP."""
    units = encoded265()
    items: list[tuple[int, bool, bytes]] = []
    for number, unit in enumerate(units):
        parts = payloads265(unit, 60)
        if number == 0:
            sets = unit[:3]
            ap = b"\x60\x01" + b"".join(len(nal).to_bytes(2, "big") + nal for nal in sets)
            parts = [ap, *payloads265(unit[3:], 60)]
        items += [(number * 3600, index == len(parts) - 1, payload) for index, payload in enumerate(parts)]
    out, tolerances = feed(*items, codec="H265")
    assert [tuple(unit.nals) for unit in out] == list(units)
    assert [unit.key_frame for unit in out] == [number in (0, 10) for number in range(len(units))]
    assert tolerances.names == ()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1]), st.booleans(), st.binary(max_size=30), st.integers(0, 1)),
        max_size=20,
    )
)
def test_h265_and_jpeg_survive_any_input(items: list[tuple[int, bool, bytes, int]]) -> None:
    """No input crashes; H.265 NALs have two header bytes and a legal type; pictures begin and end as JPEG does."""
    for codec, heads in (
        ("H265", (b"", b"\x60\x01", b"\x62\x01")),
        ("JPEG", (b"", b"\0\0\0\0\x01\x50\x28\x1e")),
    ):
        for head in heads:
            now = 0
            sequence = []
            for step, marker, payload, lost in items:
                now += step * 3600
                sequence.append((now, marker, head + payload, lost))
            out, _ = feed(*sequence, codec=codec)
            for unit in out:
                if codec == "JPEG":
                    assert unit.nals[0][:2] == b"\xff\xd8"
                    assert unit.nals[0][-2:] == b"\xff\xd9"
                    continue
                kinds = {nal[0] >> 1 & 0x3F for nal in unit.nals}
                assert all(len(nal) >= 2 and nal[0] >> 1 & 0x3F <= 47 for nal in unit.nals)
                assert unit.key_frame == bool(kinds & set(range(16, 22)))


def test_audio_frames_pass_one_by_one() -> None:
    """G.711: one packet, one frame; loss is told on the next one."""
    out, _ = feed((0, True, b"abc"), (160, False, b"", 1), (320, False, b"def"), codec="PCMU")
    assert [(unit.timestamp, unit.nals, unit.lost_packets) for unit in out] == [
        (0, [b"abc"], 0),
        (320, [b"def"], 1),
    ]


def test_unknown_codecs_have_no_depacketizer() -> None:
    """The hub says so instead of guessing."""
    assert depacketizer_for("SVAC", 0, Tolerances()) is None
