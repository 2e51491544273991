"""RTP payloads, put together again by the rules of the RFCs."""

import random

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_support import preset

from adapters.clock import SystemClock
from hub.simulator import packets
from hub.simulator.picture import Picture
from hub.simulator.studio import _Coder

units = st.lists(
    st.tuples(st.sampled_from([1, 5, 7, 8]), st.integers(1, 6000)).map(
        lambda made: bytes((0x60 | made[0],)) + random.Random(made[1]).randbytes(made[1])
    ),
    min_size=1,
    max_size=4,
)


@given(units)
@settings(max_examples=60, deadline=None)
def test_h264_units_survive_fragmentation(given_units):
    """Single packets and FU-A fragments give the NAL units back, and none is too long."""
    found = []
    for payload in packets.h264_payloads(given_units):
        assert len(payload) <= packets.MAX_PAYLOAD
        if payload[0] & 31 != 28:
            found.append(payload)
        elif payload[1] & 0x80:
            found.append(bytes((payload[0] & 0xE0 | payload[1] & 31,)) + payload[2:])
        else:
            found[-1] += payload[2:]
    assert found == given_units


@given(st.lists(st.integers(3, 6000), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_h265_units_survive_fragmentation(sizes):
    """Single packets and fragmentation units give the NAL units back with both header bytes."""
    given_units = [bytes((19 << 1, 1)) + random.Random(size).randbytes(size) for size in sizes]
    found = []
    for payload in packets.h265_payloads(given_units):
        assert len(payload) <= packets.MAX_PAYLOAD
        if payload[0] >> 1 & 63 != 49:
            found.append(payload)
        elif payload[2] & 0x80:
            found.append(bytes((payload[0] & 0x81 | (payload[2] & 63) << 1, payload[1])) + payload[3:])
        else:
            found[-1] += payload[3:]
    assert found == given_units


def test_jpeg_offsets_are_whole_and_tables_are_inline():
    """The first JPEG payload carries both quantisation tables; offsets follow each other without a gap."""
    script = preset("mjpeg-2009").stream("main")
    planes = Picture("a", "b", script.width, script.height).draw(SystemClock().now(), 0)
    ((picture, number),) = _Coder(script).encode(planes, 7, key=True)
    assert number == 7
    payloads = packets.jpeg_payloads(picture)
    offset = 0
    for payload in payloads:
        assert int.from_bytes(payload[1:4], "big") == offset
        assert (payload[4], payload[5], payload[6] * 8, payload[7] * 8) == (1, 255, 640, 480)
        body = payload[8:]
        if offset == 0:
            assert body[:4] == bytes((0, 0, 0, 128))
            body = body[132:]
        offset += len(body)
    assert len(payloads) > 3


def test_jpeg_that_rfc_2435_cannot_carry_is_refused():
    """A 4:4:4 picture has no type in RFC 2435."""
    coder = av.CodecContext.create("mjpeg", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = 64, 64, "yuvj444p", 1
    frame = av.VideoFrame(64, 64, "yuvj444p")
    jpeg = b"".join(bytes(packet) for packet in coder.encode(frame))
    with pytest.raises(ValueError, match="4:2:0"):
        packets.jpeg_payloads(jpeg)


@pytest.mark.parametrize(("profile", "number"), [("Baseline", 66), ("Main", 77), ("High", 100)])
def test_h264_is_coded_in_the_profile_that_is_claimed(profile, number):
    """The sequence parameter set names it (profile_idc, ITU-T H.264 7.4.2.1.1)."""
    script = preset("good-onvif").stream("sub").model_copy(update={"profile": profile})
    planes = Picture("a", "b", script.width, script.height).draw(SystemClock().now(), 0)
    coder = _Coder(script)
    ((data, _number),) = coder.encode(planes, 0, key=True)
    assert coder.parameter_sets(data)[0][1] == number
    assert script.coded_profile == profile
