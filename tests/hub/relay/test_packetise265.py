"""H.265 to RTP and back, with a stream that x265 made."""

from fractions import Fraction

import av
import pytest
from av.video.frame import VideoFrame
from decode_pictures import nals_of
from hypothesis import given
from hypothesis import strategies as st

from adapters.rtsp import h265
from adapters.rtsp.depacketize.base import Input
from adapters.rtsp.depacketize.h265 import H265Depacketizer
from adapters.rtsp.tolerance import Tolerances
from hub.relay.camera.packetise import PAYLOAD_MAX
from hub.relay.camera.packetise265 import H265Packetiser, units


def stream(count: int = 6, *, b_pictures: int = 0) -> list[tuple[list[bytes], bool]]:
    """Return pictures as NAL units, each with whether it is a key frame; sets come with the first one only."""
    coder = av.CodecContext.create("libx265", "w")
    coder.width, coder.height, coder.pix_fmt = 320, 192, "yuv420p"
    coder.time_base = Fraction(1, 25)
    coder.options = {
        "x265-params": f"log-level=none:repeat-headers=1:bframes={b_pictures}:b-adapt=0:pools=none:keyint=3:frame-threads=1"
    }
    out = []
    for number in [*range(count), None]:
        frame = None
        if number is not None:
            frame = VideoFrame(320, 192, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes((17 * number + 31 * at * at) % 255 for at in range(plane.buffer_size)))
            frame.pts = number
        out += [(list(nals_of(bytes(packet))), packet.is_keyframe) for packet in coder.encode(frame)]
    return out


def pictures_of(nals: list[bytes]) -> list[bytes]:
    """Return the units that hold pictures."""
    return [nal for nal in nals if h265.nal_type(nal) < 32]


def test_pictures_come_back_whole_with_sets_before_each_key_frame() -> None:
    """No payload is too long; the way back gives the very units, the sets before every key frame."""
    packetiser = H265Packetiser()
    for place, (nals, key) in enumerate(stream()):
        # a camera that sends its sets once: later key frames come without
        given_nals = nals if place == 0 else pictures_of(nals)
        payloads = packetiser.payloads(given_nals, key_frame=key)
        assert max(map(len, payloads)) <= PAYLOAD_MAX
        back = units(payloads)
        sets = [h265.nal_type(nal) for nal in back if h265.nal_type(nal) >= 32]
        assert sets == ([32, 33, 34] if key else [])
        assert [nal for nal in back if h265.nal_type(nal) < 32] == pictures_of(nals)
    assert packetiser.ready
    assert not packetiser.b_pictures
    assert packetiser.repairs["parameter_sets_inserted"] == 1
    assert packetiser.repairs["dropped"] >= 1  # x265's own SEI


def test_our_own_depacketiser_reads_it() -> None:
    """What goes out is what RFC 7798 says, as the reader of cameras understands it."""
    nals, key = stream(1)[0]
    packetiser = H265Packetiser()
    payloads = packetiser.payloads(nals, key_frame=key)
    reader = H265Depacketizer(0, Tolerances())
    got: list[bytes] = []
    for place, payload in enumerate(payloads):
        item = Input(0, place == len(payloads) - 1, payload, 1.0, 0)
        for unit in reader.push(item):
            got += unit.nals
    assert got == list(units(payloads))


@pytest.mark.long
def test_b_pictures_are_seen() -> None:
    """A stream that is shown in another order than it is sent cannot be copied to a browser."""
    packetiser = H265Packetiser()
    for nals, key in stream(8, b_pictures=2):
        packetiser.payloads(nals, key_frame=key)
    assert packetiser.b_pictures


@given(st.integers(3, 9000), st.integers(0, 31))
def test_any_length_survives(length: int, kind: int) -> None:
    """Fragments of any unit put together again are the unit."""
    nal = bytes([kind << 1, 1]) + bytes(at % 251 for at in range(length - 2))
    payloads = H265Packetiser().payloads([nal], key_frame=False)
    assert units(payloads) == (nal,)
    assert len({len(payload) for payload in payloads[:-1]}) <= 1


@pytest.mark.parametrize("nal", [b"", b"\x42", b"\x42\x01\x01", b"\x44\x01" + b"\xff" * 40])
def test_sets_that_cannot_be_read_are_left_out(nal: bytes) -> None:
    """Rubbish in place of a parameter set changes nothing."""
    packetiser = H265Packetiser()
    packetiser.learn([nal])
    assert not packetiser.ready
