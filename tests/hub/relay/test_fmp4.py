"""Fragmented MP4, read back by FFmpeg's demuxer and decoder, which nobody here wrote."""

import io
from fractions import Fraction

import av
import pytest
from av.video.frame import VideoFrame
from decode_pictures import nals_of

from hub.relay.outputs.fmp4 import TIMESCALE, VideoFormat, fragment, init_segment, video_format

COUNT, TICKS = 12, 3600


def coded(codec: str) -> list[tuple[list[bytes], bool]]:
    """Return the pictures of a short stream, as NAL units, and whether each is a key frame."""
    name, extra = {
        "H264": ("libx264", {"x264-params": "repeat-headers=1:bframes=0:threads=1:keyint=6"}),
        "H265": ("libx265", {"x265-params": "log-level=none:repeat-headers=1:bframes=0:pools=none:keyint=6"}),
    }[codec]
    coder = av.CodecContext.create(name, "w")
    coder.width, coder.height, coder.pix_fmt = 320, 180, "yuv420p"
    coder.time_base = Fraction(1, 25)
    coder.options = extra
    out = []
    for number in [*range(COUNT), None]:
        frame = None
        if number is not None:
            frame = VideoFrame(320, 180, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([30 + 10 * number]) * plane.buffer_size)
            frame.pts = number
        out += [(list(nals_of(bytes(packet))), packet.is_keyframe) for packet in coder.encode(frame)]
    return out


def written(codec: str, begin: int = 0) -> tuple[VideoFormat, bytes]:
    """Return the stream as fragmented MP4."""
    units = coded(codec)
    video = video_format(codec, units[0][0])
    assert video is not None
    parts = [
        fragment(number + 1, begin + number * TICKS, nals, duration=TICKS, key=key, video=video)
        for number, (nals, key) in enumerate(units)
    ]
    return video, init_segment(video) + b"".join(parts)


@pytest.mark.parametrize("codec", ["H264", "H265"])
def test_a_demuxer_finds_every_picture_at_its_time(codec: str) -> None:
    """Size, times, key frames and the pictures themselves come back as they went in."""
    begin = 7 * 3600 * TIMESCALE  # a camera that runs for hours: more than 32 bit of ticks
    _, data = written(codec, begin)
    with av.open(io.BytesIO(data), format="mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == (
            {"H264": "h264", "H265": "hevc"}[codec],
            320,
            180,
        )
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [packet.pts for packet in packets] == [begin + number * TICKS for number in range(COUNT)]
    assert [packet.is_keyframe for packet in packets] == [number % 6 == 0 for number in range(COUNT)]
    with av.open(io.BytesIO(data), format="mp4") as container:
        levels = [memoryview(frame.planes[0])[5000] for frame in container.decode(video=0)]
    assert levels == pytest.approx([30 + 10 * number for number in range(COUNT)], abs=4)


def test_the_type_tells_a_browser_profile_and_level() -> None:
    """The words are those that `MediaSource.isTypeSupported` takes (RFC 6381; ISO/IEC 14496-15 annex E)."""
    avc, _ = written("H264")
    hevc, _ = written("H265")

    assert avc.mime.startswith('video/mp4; codecs="avc1.64')
    assert len(avc.mime) == len('video/mp4; codecs="avc1.64000c"')
    assert hevc.mime == 'video/mp4; codecs="hvc1.1.6.L60.90"'


def test_a_stream_without_its_parameter_sets_has_no_format_yet() -> None:
    """Nothing is guessed: no sets, no initialisation segment."""
    nals = coded("H264")[0][0]

    assert video_format("H264", [nal for nal in nals if nal[0] & 0x1F != 8]) is None
    assert video_format("H264", []) is None
