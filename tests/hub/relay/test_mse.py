"""A ring's pictures as fragmented MP4, read back by FFmpeg."""

import io

import av
from decode_pictures import picture

from hub.relay.mse import BACKLOG, MseReader, Segment
from hub.relay.packetise import H264Packetiser
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
