"""Coded pictures kept for the decode process: decodable alone, evenly spread, bounded."""

import base64

import av
import pytest
from rtsp_support import SDP, GoodCamera, encoded, probe, run, scripted

from adapters.port import AccessUnit, CodedPicture, CodedSample
from adapters.rtsp.sampling import MAX_PICTURE, MAX_SAMPLE, Sampler

SPS, PPS, IDR = b"\x67sps", b"\x68pps", b"\x65idr"


def unit(at_s: float, *nals: bytes, key: bool = True, lost: int = 0) -> AccessUnit:
    return AccessUnit(0, int(at_s * 90_000), at_s, list(nals), key, lost)


def kept(sampler: Sampler) -> tuple[CodedPicture, ...]:
    sample = sampler.sample
    return sample.pictures if sample is not None else ()


def decoded(sample: CodedSample) -> list[int]:
    """Decode each picture with a decoder of its own and return the heights."""
    heights = []
    for picture in sample.pictures:
        decoder = av.CodecContext.create(sample.codec.lower(), "r")
        data = b"".join(b"\0\0\0\1" + nal for nal in picture.nals)
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
        heights += [frame.height for frame in frames]
    return heights


@pytest.mark.long
def test_a_probe_returns_key_frames_that_decode_alone() -> None:
    """Three pictures of a window of two seconds, spread over it, each decoded by a decoder that saw no other."""

    async def work() -> tuple[CodedSample, ...]:
        async with scripted(GoodCamera()) as camera:
            return (await probe(camera.url, window_s=2.0, samples=3)).samples

    (sample,) = run(work())
    assert (sample.layer, sample.codec) == ("main", "H264")
    assert decoded(sample) == [240, 240, 240]
    times = [picture.at_s for picture in sample.pictures]
    assert times[0] == 0.0
    assert 0.6 <= times[1] < 1.3 < times[2] <= 2.1


@pytest.mark.long
def test_parameter_sets_that_are_only_in_the_sdp_are_given_along() -> None:
    """The camera never sends them in band; its pictures still decode alone."""
    sps, pps = encoded()[0][:2]

    class OutOfBand(GoodCamera):
        sdp = SDP + b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets="

        def __init__(self) -> None:
            sets = ",".join(base64.b64encode(nal).decode() for nal in (sps, pps))
            self.sdp = self.sdp + sets.encode() + b"\r\n"

        def send(self, writer, packet):  # type: ignore[no-untyped-def]
            if packet[12] & 31 not in (7, 8):
                super().send(writer, packet)

    async def work() -> tuple[CodedSample, ...]:
        async with scripted(OutOfBand()) as camera:
            return (await probe(camera.url, window_s=1.0, samples=1)).samples

    (sample,) = run(work())
    assert decoded(sample) == [240]


def test_a_probe_that_asks_for_none_returns_none() -> None:
    """Without `samples` no picture leaves the adapter."""

    async def work() -> tuple[CodedSample, ...]:
        async with scripted(GoodCamera()) as camera:
            return (await probe(camera.url)).samples

    assert run(work()) == ()


def test_each_slot_of_the_window_takes_its_first_key_frame() -> None:
    """Ten seconds and five pictures: one each two seconds, whatever the distance of key frames."""
    sampler = Sampler("H264", (SPS, PPS), wanted=5)
    sampler.unit(unit(99.5, IDR))
    sampler.begin(100.0, 10.0)
    for tenth in range(100):
        sampler.unit(unit(100 + tenth / 10, IDR, key=tenth % 5 == 0))
    assert [picture.at_s for picture in kept(sampler)] == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_key_frame_before_the_window_stands_in_where_none_follows() -> None:
    """A camera with a key frame each 30 s has one picture; the newest before the window counts."""
    sampler = Sampler("H264", (SPS, PPS), wanted=5)
    sampler.unit(unit(99.0, b"\x65old"))
    sampler.unit(unit(99.5, b"\x65new"))
    sampler.begin(100.0, 10.0)
    sampler.unit(unit(105.0, b"\x41", key=False))
    assert kept(sampler) == (CodedPicture(0.0, (SPS, PPS, b"\x65new")),)


def test_sets_of_a_changed_stream_come_last_and_torn_pictures_not_at_all() -> None:
    """New sets follow the old ones, so that a decoder uses the new; a picture with lost packets is left out."""
    sampler = Sampler("H264", (SPS, PPS), wanted=2)
    sampler.unit(unit(1.0, b"\x67new", b"\x68new", b"\x09\xf0", IDR))
    assert kept(sampler)[0].nals == (SPS, b"\x67new", PPS, b"\x68new", IDR)
    sampler.begin(2.0, 2.0)
    sampler.unit(unit(3.5, IDR, lost=1))
    assert len(kept(sampler)) == 1


def test_pictures_are_bounded_one_by_one_and_together() -> None:
    """A picture of more than 2 MB is not kept, and all together hold no more than 16 MB."""
    sampler = Sampler("JPEG", (), wanted=40)
    sampler.begin(0.0, 40.0)
    sampler.unit(unit(0.0, bytes(MAX_PICTURE + 1)))
    assert kept(sampler) == ()
    for second in range(40):
        sampler.unit(unit(float(second), bytes(MAX_PICTURE - 1)))
    assert sum(len(picture.nals[0]) for picture in kept(sampler)) <= MAX_SAMPLE
    assert len(kept(sampler)) == 8
