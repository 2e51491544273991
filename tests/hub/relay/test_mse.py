"""A ring's pictures as fragmented MP4, read back by FFmpeg."""

import io
from itertools import pairwise

import av
import pytest
from decode_pictures import picture
from relay_camera import AAC_HZ, aac_tone

from hub.relay.camera.packetise import H264Packetiser
from hub.relay.camera.processing import Sound
from hub.relay.camera.sound import AAC
from hub.relay.outputs.fmp4 import SoundFormat
from hub.relay.outputs.mse import BACKLOG, MseReader, Segment
from hub.relay.ring import PacketRing


class Line:
    """A recipient: what it got, and how many bytes wait for it."""

    def __init__(self) -> None:
        self.got: list[Segment] = []
        self.waiting = 0

    def reader(self) -> MseReader:
        """Return a reader that sends to this line."""
        return MseReader("H264", self.got.append, lambda: self.waiting)


class Source:
    """A ring and what fills it. Every picture is coded alone; key frames are those that are said to be."""

    def __init__(self) -> None:
        self.ring = PacketRing()
        self.count = 0
        self._packetiser = H264Packetiser()

    def add(self, *, width: int = 320, height: int = 192) -> None:
        """Append one picture, 40 ms after the one before."""
        nals = picture(seed=self.count % 3, width=width, height=height)
        payloads = self._packetiser.payloads(nals, key_frame=True)
        self.ring.append(payloads, 900_000 + 3600 * self.count, key_frame=True)
        self.count += 1


def decoded(segments: list[Segment]) -> list[tuple[float, int]]:
    """Return time (s) and width of the pictures that FFmpeg finds."""
    with av.open(io.BytesIO(b"".join(one.data for one in segments)), format="mp4") as container:
        return [(float(frame.time or 0), frame.width) for frame in container.decode(video=0)]


def test_pictures_arrive_in_order_from_zero() -> None:
    """The first message names the type; then one message per picture, times counted from the first."""
    line, source = Line(), Source()
    source.add()
    reader = line.reader()
    reader.attach(source.ring)
    for _ in range(4):
        assert reader.take() is False
        source.add()

    assert line.got[0].mime.startswith('video/mp4; codecs="avc1.')
    assert [bool(one.mime) for one in line.got] == [True, False, False, False, False]
    assert [round(at, 3) for at, _ in decoded(line.got)] == [0.0, 0.04, 0.08, 0.12]


def test_a_reader_without_a_key_frame_waits() -> None:
    """Nothing is sent that could not be decoded."""
    line, source = Line(), Source()
    reader = line.reader()
    reader.attach(source.ring)
    assert reader.take() is False
    assert line.got == []
    source.add()
    reader.take()
    assert len(line.got) == 2


def test_another_size_begins_anew() -> None:
    """The camera changed its picture: a new initialisation segment comes before it."""
    line, source = Line(), Source()
    source.add()
    reader = line.reader()
    reader.attach(source.ring)
    reader.take()
    source.add(width=640, height=384)
    reader.take()

    assert [bool(one.mime) for one in line.got] == [True, False, True, False]
    assert decoded(line.got[2:])[0][1] == 640


def test_a_slow_recipient_jumps_to_the_newest_key_frame() -> None:
    """It is told that more is left, gets nothing more meanwhile, and then what is new."""
    line, source = Line(), Source()
    source.add()
    reader = line.reader()
    reader.attach(source.ring)
    reader.take()
    line.waiting = BACKLOG + 1
    for _ in range(5):
        source.add()
        assert reader.take() is True
    assert len(line.got) == 2
    line.waiting = 0
    reader.take()
    assert reader.skipped > 0
    assert [round(at, 2) for at, _ in decoded([line.got[0], *line.got[2:]])] == [0.2]


def heard(segments: list[Segment]) -> list[tuple[float, float]]:
    """Return time (s) and loudness of each frame of sound that FFmpeg decodes."""
    with av.open(io.BytesIO(b"".join(one.data for one in segments)), format="mp4") as container:
        frames = list(container.decode(audio=0))
    return [(float(frame.time or 0), max(memoryview(bytes(frame.planes[0])).cast("f"))) for frame in frames]


def test_sound_goes_along_and_silence_stands_in_for_what_is_missing() -> None:
    """One type for both; the camera's frames are decoded in step with its pictures, and a microphone that ends stops nothing."""
    configuration, frames = aac_tone()
    sound = SoundFormat.of(configuration, AAC_HZ)
    line, source = Line(), Source()
    source.add()
    reader = MseReader("H264", line.got.append, lambda: line.waiting, sound)
    reader.attach(source.ring)
    reader.take()
    first = 900_000 * AAC_HZ // 90_000
    sent = 0
    for number in range(100):  # 4 s of pictures, sound in seconds 1 and 2 alone
        source.add()
        reader.take()
        while 25 <= number < 75 and sent * 1024 < (number - 25) * AAC_HZ // 25:
            stamp = first + AAC_HZ + sent * 1024
            reader.hear(Sound(frames[sent], stamp, 0.0, AAC, AAC_HZ), stamp)
            sent += 1

    assert line.got[0].mime.endswith(', mp4a.40.2"')
    assert len(decoded(line.got)) == 101
    told = heard(line.got)
    steps = {round(b - a, 3) for (a, _), (b, _) in pairwise(told)}
    assert steps == {0.064}
    assert told[-1][0] > 3.4  # never more than half a second behind the pictures
    loud = [at for at, level in told if level > 0.1]
    assert 0.9 < loud[0] < 1.2
    assert 2.8 < loud[-1] < 3.2


@pytest.mark.parametrize("channels", [1, 2])
def test_a_silent_frame_is_one(channels: int) -> None:
    """FFmpeg decodes it to zeros in as many channels as the configuration tells."""
    configuration = ((2 << 11) | (8 << 7) | (channels << 3)).to_bytes(2, "big")  # AAC LC, 16 kHz
    sound = SoundFormat.of(configuration, AAC_HZ)
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = configuration
    decoder.open()
    frames = [frame for _ in range(4) for frame in decoder.decode(av.Packet(sound.silence))]
    assert frames
    assert all(len(frame.layout.channels) == channels for frame in frames)
    assert not any(any(bytes(plane)) for frame in frames for plane in frame.planes)
