"""Access units to RTP payloads: what a depacketiser gets back is what the camera sent, repaired."""

from hypothesis import given
from hypothesis import strategies as st
from relay_camera import SyntheticCamera, group_of_pictures

from adapters.rtsp.h264 import parse_sps, slice_type
from adapters.rtsp.slices import LoneSlice, is_lone_slice
from hub.relay.camera.packetise import PAYLOAD_MAX, H264Packetiser, units

SPS = bytes.fromhex("6742c01e95a0280f64")
IDR = b"\x65" + bytes(range(256)) * 20


def depacketised(payloads: list[bytes]) -> list[bytes]:
    """Undo RFC 6184 5.6-5.8, as a receiver does."""
    nals: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 31
        if kind == 24:
            position = 1
            while position < len(payload):
                size = int.from_bytes(payload[position : position + 2], "big")
                nals.append(payload[position + 2 : position + 2 + size])
                position += 2 + size
        elif kind == 28:
            if payload[1] & 0x80:
                nals.append(bytes([(payload[0] & 0xE0) | (payload[1] & 31)]))
            nals[-1] += payload[2:]
        else:
            nals.append(payload)
    return nals


@given(
    st.lists(st.binary(min_size=1, max_size=5000).map(lambda body: b"\x41" + body), min_size=1, max_size=6)
)
def test_every_slice_comes_back_whole_and_no_payload_is_longer_than_allowed(slices: list[bytes]) -> None:
    """Whatever the slices' sizes, fragments join to the slices and fit the path."""
    payloads = H264Packetiser().payloads(slices, key_frame=False)
    assert depacketised(payloads) == slices
    assert max(map(len, payloads)) <= PAYLOAD_MAX


@given(st.lists(st.binary(max_size=5000), max_size=4))
def test_a_key_frame_is_put_together_again_from_its_own_packets(slices: list[bytes]) -> None:
    """What a still takes out of the cache is what was put in, parameter sets in front."""
    packetiser = H264Packetiser()
    packetiser.learn([SPS, b"\x68\xce\x3c\x80"])
    pictures = [b"\x65" + body for body in [b"\x88", *slices]]
    payloads = packetiser.payloads(pictures, key_frame=True)
    assert units(payloads) == (SPS, b"\x68\xce\x3c\x80", *pictures)


@given(
    nal=st.binary(min_size=2, max_size=9000).map(lambda body: (b"\x41\x9a" + body).replace(b"\0", b"\1")),
    cut=st.integers(20, 1500),
    uneven=st.booleans(),
)
def test_a_lone_slice_comes_out_as_it_was_however_the_camera_cut_it(
    nal: bytes, cut: int, uneven: bool
) -> None:
    """Packets that fit and are alike go on as they came, all others are cut anew: what a viewer puts together is the slice."""
    camera = H264Packetiser(payload_max=cut)
    payloads = camera.payloads([nal], key_frame=False)
    if uneven and len(payloads) > 2:
        payloads[1:3] = [payloads[1][:10], payloads[1][:2] + payloads[1][10:] + payloads[2][2:]]
        payloads[-1] = payloads[-1][:1] + bytes((payloads[-1][1] | 0x40,)) + payloads[-1][2:]
    assert is_lone_slice(payloads)
    unit = LoneSlice(0, 3600, 1.0, payloads)
    assert unit.nals == [nal]
    sent = H264Packetiser().passed(unit)
    assert units(sent) == (nal,)
    sizes = list(map(len, sent))
    assert max(sizes) <= PAYLOAD_MAX
    assert len(set(sizes[:-1])) <= 1
    assert sizes[-1] <= sizes[0]
    assert len(sent) <= 1.07 * len(H264Packetiser().payloads([nal], key_frame=False)) + 1
    assert (sent is payloads) == (len(payloads) == 1 or (cut >= 1100 and sizes == list(map(len, payloads))))


def test_a_lone_slice_tells_whether_it_is_a_b_slice() -> None:
    """In one packet or in fragments, by the first byte of its header or by more of it."""
    for body, is_b in ((b"\x9a", False), (b"\xaa", True), (b"\x88\x80", False)):
        for size in (3, 1100, 4000):
            packetiser = H264Packetiser()
            nal = b"\x41" + body + b"\x55" * size
            assert not packetiser.b_pictures
            payloads = H264Packetiser().payloads([nal], key_frame=False)
            packetiser.passed(LoneSlice(0, 0, 0.0, payloads))
            assert packetiser.b_pictures == is_b == (slice_type(nal) == "B")


def test_fragments_of_a_picture_are_of_one_size_but_the_last() -> None:
    """Runs of one size leave in one system call."""
    sizes = [len(p) for p in H264Packetiser().payloads([b"\x41" + bytes(9000)], key_frame=False)]
    assert len(set(sizes[:-1])) == 1
    assert sizes[-1] <= sizes[0]


def test_start_and_end_bits_stand_on_the_first_and_last_fragment_only() -> None:
    """FU-A S and E bits (RFC 6184 5.8)."""
    payloads = H264Packetiser().payloads([b"\x41" + bytes(4000)], key_frame=False)
    assert [p[1] >> 6 for p in payloads] == [2] + [0] * (len(payloads) - 2) + [1]


def test_a_key_frame_without_parameter_sets_gets_those_of_the_sdp() -> None:
    """The repair is made and counted."""
    sets = SyntheticCamera().sets
    packetiser = H264Packetiser()
    packetiser.learn(sets)
    nals = depacketised(packetiser.payloads([IDR], key_frame=True))
    assert nals == [*sets, IDR]
    assert packetiser.repairs == {"parameter_sets_inserted": 1}


def test_parameter_sets_in_the_stream_replace_those_of_the_sdp() -> None:
    """A resolution change in mid-stream travels with the picture it came with."""
    small, large = SyntheticCamera(), SyntheticCamera(width=640, height=480)
    packetiser = H264Packetiser()
    packetiser.learn(small.sets)
    nals = depacketised(packetiser.payloads([*large.sets, IDR], key_frame=True))
    assert nals == [*large.sets, IDR]
    assert packetiser.sps is not None
    assert (packetiser.sps.width, packetiser.sps.height) == (640, 480)


def test_delimiters_fillers_and_private_sei_do_not_reach_a_viewer() -> None:
    """Only parameter sets and slices are sent on."""
    picture = b"\x41" + bytes(100)
    payloads = H264Packetiser().payloads(
        [b"\x09\xf0", b"\x06\x05\x10" + bytes(16), b"\x0c\xff", picture], key_frame=False
    )
    assert payloads == [picture]


def test_a_unit_without_a_picture_gives_no_packets() -> None:
    """Parameter sets alone are remembered, not sent."""
    packetiser = H264Packetiser()
    assert packetiser.payloads(SyntheticCamera().sets, key_frame=False) == []
    assert packetiser.ready


def test_b_pictures_are_noticed_in_a_real_stream() -> None:
    """x264 with two B-frames is seen as such; without, it is not."""
    for b_frames in (0, 2):
        packetiser = H264Packetiser()
        for unit in group_of_pictures(320, 240, 25, 20, "main", b_frames, 0):
            packetiser.payloads(unit, key_frame=any(nal[0] & 31 == 5 for nal in unit))
        assert packetiser.b_pictures is bool(b_frames)


@given(first=st.integers(0, 255), rest=st.binary(min_size=6, max_size=12))
def test_a_b_slice_is_known_by_its_first_byte_as_by_its_whole_header(first: int, rest: bytes) -> None:
    """The quick look at a slice never says anything else than the reading of its header does."""
    nal = bytes((0x41, first)) + rest
    packetiser = H264Packetiser()
    packetiser.payloads([nal], key_frame=False)
    try:
        whole = slice_type(nal) == "B"
    except ValueError:
        whole = False
    assert packetiser.b_pictures is whole


def test_the_sps_of_each_profile_is_read() -> None:
    """Profile, size and whether pictures may be reordered, from what x264 writes."""
    read = {}
    for profile in ("baseline", "main", "high"):
        camera = SyntheticCamera(width=636, height=358, pictures=10, profile=profile)
        sps = parse_sps(camera.sets[0])
        read[profile] = (sps.profile, sps.width, sps.height)
    assert read == {
        "baseline": ("Constrained Baseline", 636, 358),
        "main": ("Main", 636, 358),
        "high": ("High", 636, 358),
    }


@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    """A camera's bytes are hostile: the packetiser answers, it does not fall over."""
    H264Packetiser().payloads([b"\x41" + data], key_frame=False)
    H264Packetiser().payloads([data, b"\x68" + data, b"\x67" + data, b"\x65" + data], key_frame=True)
