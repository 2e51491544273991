"""Replies, descriptions and packets captured from real cameras (read from beside the checkout, never copied)."""

import asyncio
from collections import Counter
from collections.abc import Callable

import corpus
import pytest
from captured_facts import EXPECTED
from captured_replies import messages, observed
from rtsp_support import CLOCK, Asked, ScriptedCamera, context, nals, pixels, reply, run, scripted

from adapters.deadline import Deadline
from adapters.port import AccessUnit
from adapters.rtsp import h264, jpeg
from adapters.rtsp.client import RtspClient
from adapters.rtsp.depacketize import Input, depacketizer_for
from adapters.rtsp.measure import Measurement
from adapters.rtsp.message import Frame, MessageParser
from adapters.rtsp.rtp import SenderReport, parse_rtcp, parse_rtp
from adapters.rtsp.tolerance import Tolerance, Tolerances
from adapters.target import parse_target

PACKETS = "media/gBillal-rtsp/packets.bin"
PICTURE = "media/SharpRTSP/img_jpg_0.jpg"
JPEG_PACKETS = tuple(f"media/SharpRTSP/jpeg_{number}.rtp" for number in range(3))


@corpus.needs_corpus
def test_no_captured_file_is_left_out() -> None:
    """Every file of the corpus's rtsp folder has its expected facts here, every file of media its test below."""
    assert {f"rtsp/{name}" for name in EXPECTED} == set(corpus.files("rtsp"))
    used = {PACKETS, "media/gBillal-rtsp/derived_annexb.h264", PICTURE, *JPEG_PACKETS}
    assert used == set(corpus.files("media"))


@corpus.needs_corpus
@pytest.mark.parametrize("name", EXPECTED)
def test_each_capture_tells_its_facts(name: str) -> None:
    """Codec, picture size, SETUP address, session, timeout, transport, audio, and the tolerances that were needed."""
    told = {
        field: value for field, value in observed(f"rtsp/{name}").items() if value not in ("", (), None, 0)
    }
    assert told == EXPECTED[name]
    corpus.checked(f"rtsp/{name}")


def test_a_whole_captured_dialogue_is_read_reply_by_reply() -> None:
    """Foscam: OPTIONS, a challenge, DESCRIBE, two SETUPs and PLAY, in one file with the requests between them."""
    told = messages("rtsp/rtsp-client-android/foscam_session_transcript.txt", Tolerances())
    assert [response.status for response in told] == [200, 401, 200, 200, 200, 200]
    assert [response.headers.get("CSeq") for response in told] == ["1", "2", "3", "4", "5", "6"]
    assert len(told[2].body) == 495


def test_hikvision_packets_give_23_pictures() -> None:
    """The packets of 2.7 s of a sub-stream, cut oddly, give the NAL units of the file that was made from them."""
    data = corpus.path(PACKETS).read_bytes()
    tolerances = Tolerances()
    parser = MessageParser(tolerances)
    depacketizer = depacketizer_for("H264", 0, tolerances)
    assert depacketizer is not None
    units: list[AccessUnit] = []
    frames = reports = 0
    for at in range(0, len(data), 1447):
        for event in parser.feed(data[at : at + 1447]):
            if not isinstance(event, Frame):
                continue
            if event.channel == 0:
                frames += 1
                packet = parse_rtp(event.data)
                units += depacketizer.push(Input(packet.timestamp, packet.marker, packet.payload, 0.0, 0))
            else:
                reports += sum(isinstance(part, SenderReport) for part in parse_rtcp(event.data))
    assert (frames, reports, len(units), sum(unit.key_frame for unit in units)) == (190, 0, 23, 2)
    assert tolerances.names == ()
    # The file beside it was cut without taking the RTP padding off: each NAL is ours, with a few bytes more.
    told = nals(corpus.path("media/gBillal-rtsp/derived_annexb.h264").read_bytes())
    ours = [nal for unit in units for nal in unit.nals]
    assert len(told) == len(ours)
    assert all(a.startswith(b) and len(a) - len(b) <= 4 for a, b in zip(told, ours, strict=True))
    kinds = Counter(h264.nal_type(nal) for nal in ours)
    assert kinds == {h264.SPS: 2, h264.PPS: 2, h264.IDR: 2, h264.SLICE: 21}
    corpus.checked("media/gBillal-rtsp/derived_annexb.h264")


def hikvision(data: bytes) -> Callable[[Asked, ScriptedCamera, asyncio.StreamWriter], bytes]:
    """Return a camera that answers as the captured one did, and sends its packets behind the reply to PLAY."""
    head, _, media = data.partition(b"\r\n\r\n")
    answer = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"cseq")]
    sdp = (
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Media Presentation\r\nt=0 0\r\n"
        b"m=video 0 RTP/AVP 96\r\na=control:trackID=1\r\na=rtpmap:96 H264/90000\r\n"
    )

    def script(asked: Asked, _camera: ScriptedCamera, _writer: asyncio.StreamWriter) -> bytes:
        if asked.method == "DESCRIBE":
            return reply(asked, body=sdp, Content_Type="application/sdp", Content_Base=asked.uri + "/")
        if asked.method == "SETUP":
            return reply(
                asked, Session="       1528550058;timeout=60", Transport="RTP/AVP/TCP;unicast;interleaved=0-1"
            )
        if asked.method == "PLAY":
            lines = [answer[0], b"CSeq: " + asked.headers["cseq"].encode(), *answer[1:]]
            return b"\r\n".join(lines) + b"\r\n\r\n" + media
        return reply(asked, Public="OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    return script


def test_the_client_plays_the_captured_hikvision_session() -> None:
    """Replayed on loopback: 23 access units, 2 IDR pictures, 640x480 Main, and what the packets measure."""
    data = corpus.path(PACKETS).read_bytes()

    async def played() -> tuple[list[AccessUnit], Measurement, tuple[str, ...], int, str]:
        async with scripted(hikvision(data), "/Streaming/Channels/102") as camera:
            units: list[AccessUnit] = []
            client = RtspClient(parse_target(camera.url)[0], None, context(camera.url))
            deadline = Deadline.after(CLOCK, 30)
            await client.connect(deadline)
            await client.options(deadline)
            (video,) = (await client.describe(deadline)).receivable()
            measurement = Measurement("H264", 90_000, (), wall=CLOCK.now(), now_s=CLOCK.monotonic())

            def deliver(unit: AccessUnit) -> None:
                units.append(unit)
                measurement.unit(unit)

            opened = await client.setup(video, deadline, deliver=deliver)
            opened.receiver.observer = measurement
            measurement.begin_window(CLOCK.monotonic())
            await client.play(deadline)
            while len(units) < 23:
                await asyncio.sleep(0.01)
            measurement.end_window(CLOCK.monotonic())
            identifier = client.session.identifier
            await client.teardown()
            return units, measurement, client.tolerances.names, opened.receiver.reception.received, identifier

    units, measurement, names, packets, identifier = run(played())

    assert (packets, len(units), sum(unit.key_frame for unit in units)) == (190, 23, 2)
    assert [unit.lost_packets for unit in units] == [0] * 23
    assert identifier.strip() == "1528550058"
    formats, window = measurement.format_facts(), measurement.window_facts()
    assert (formats["width"], formats["height"], formats["profile"]) == (640, 480, "Main")
    assert (formats["chroma_format"], formats["bit_depth"], formats["relay"]) == ("4:2:0", 8, "copy")
    assert formats["parameter_sets"] == "in_band"
    assert (window["frames"], window["loss_ratio"], window["b_frames"]) == (23, 0.0, 0)
    assert window["fps"] == pytest.approx(8.1, abs=0.1)
    assert window["timestamps_increase"] is True
    assert window["key_frame_interval_s"] == pytest.approx(2.0, abs=0.7)
    assert names == ()
    corpus.checked(PACKETS)


def test_jpeg_packets_give_the_picture() -> None:
    """Three RTP/JPEG packets decode to the pixels of the picture they were made from."""
    tolerances = Tolerances()
    depacketizer = depacketizer_for("JPEG", 0, tolerances)
    assert depacketizer is not None
    units = []
    for name in JPEG_PACKETS:
        packet = parse_rtp(corpus.path(name).read_bytes())
        units += depacketizer.push(Input(packet.timestamp, packet.marker, packet.payload, 0.0, 0))
    (unit,) = units

    picture = corpus.path(PICTURE).read_bytes()
    assert jpeg.picture_size(unit.nals[0]) == jpeg.picture_size(picture)
    assert pixels(unit.nals[0]) == pixels(picture)
    assert tolerances.names == (str(Tolerance.JPEG_OFFSET_OTHER),)
    corpus.checked(PICTURE, *JPEG_PACKETS)
