"""Replies and packets captured from real cameras (read from beside the checkout, never copied)."""

from rtsp_support import corpus, nals, pixels

from adapters.rtsp import h264
from adapters.rtsp.depacketize import Input, depacketizer_for
from adapters.rtsp.headers import parse_rtp_info, parse_session, parse_transport
from adapters.rtsp.message import Event, Frame, MessageParser, Response
from adapters.rtsp.rtp import parse_rtcp, parse_rtp
from adapters.rtsp.sdp import parameter_sets, parse_sdp
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation

# Captures that name no video track at all: a metadata session and fragments.
WITHOUT_VIDEO = {
    "axis": {"test_successful_connect__02.txt"},
    "gortsplib": {
        "sdpunmarshaler__issue_gortsplib_474_UDP_technology_cameras.sdp",
        "sdpunmarshaler__issue_mediamtx_127_Amcrest_cameras.sdp",
    },
}
NO_MEDIA = {"sdpunmarshaler__issue_mediamtx_127_Amcrest_cameras.sdp"}


def as_on_the_wire(data: bytes) -> bytes:
    """Give a capture its line ends back where it was stored with LF, body untouched."""
    if b"\r\n" in data:
        return data
    head, blank, body = data.partition(b"\n\n")
    return head.replace(b"\n", b"\r\n") + (b"\r\n\r\n" if blank else b"") + body


def test_every_captured_reply_is_read() -> None:
    """All replies parse into a response with a status; their headers give session, transport and RTP-Info."""
    seen = 0
    for path in sorted(corpus("rtsp").rglob("*.txt")):
        if "transcript" in path.name or "sdp" in path.name:
            continue
        tolerances = Tolerances()
        parser = MessageParser(tolerances)
        data = as_on_the_wire(path.read_bytes())
        events: list[Event] = parser.feed(data)
        if not events:  # the file ends without its blank line, or before the body that it promises
            missing = b"\r\n\r\n" if b"\r\n\r\n" not in data else b"\r\n" * 500
            events = parser.feed(missing)
        first = events[0] if events else None
        assert isinstance(first, Response), path.name
        assert first.status in (200, 401), path.name
        seen += 1
        for name, read in (
            ("Session", parse_session),
            ("Transport", parse_transport),
            ("RTP-Info", parse_rtp_info),
        ):
            value = first.headers.get(name)
            if value is not None:
                assert read(value, tolerances), path.name
    assert seen >= 30


def test_every_captured_description_is_read() -> None:
    """All SDPs give their video track with a known codec, and readable parameter sets where they carry some."""
    seen = with_sets = 0
    for path in sorted(corpus("rtsp").rglob("*")):
        if path.is_dir():
            continue
        data = path.read_bytes()
        start = data.find(b"v=0")
        if path.suffix == ".sdp":
            start = 0
        if start < 0 or "transcript" in path.name:
            continue
        tolerances = Tolerances()
        try:
            sdp = parse_sdp(data[start:], tolerances)
        except Violation:
            assert path.name in NO_MEDIA, path.name
            continue
        seen += 1
        video = next((media for media in sdp.receivable() if media.kind == "video"), None)
        if video is None:
            assert path.name in WITHOUT_VIDEO.get(path.parent.name, set()), path.name
            continue
        assert video.codec in {"H264", "H265", "JPEG", "MP4V-ES"}, path.name
        sets = parameter_sets(video, tolerances)
        if sets and video.codec == "H264":
            read = h264.parse_sps(sets[0])
            assert 160 <= read.width <= 4096, path.name
            with_sets += 1
    assert seen >= 30
    assert with_sets >= 15


def test_hikvision_packets_give_23_pictures() -> None:
    """2.7 s of a Hikvision sub-stream: a PLAY reply and 190 interleaved frames, cut oddly: 23 units, 2 IDR."""
    data = corpus("media", "gBillal-rtsp", "packets.bin").read_bytes()
    tolerances = Tolerances()
    parser = MessageParser(tolerances)
    depacketizer = depacketizer_for("H264", 0, tolerances)
    assert depacketizer is not None
    units = []
    replies = 0
    for at in range(0, len(data), 1447):
        for event in parser.feed(data[at : at + 1447]):
            if isinstance(event, Frame) and event.channel == 0:
                packet = parse_rtp(event.data)
                units += depacketizer.push(Input(packet.timestamp, packet.marker, packet.payload, 0.0, 0))
            elif isinstance(event, Frame):
                parse_rtcp(event.data)
            elif isinstance(event, Response):
                replies += 1
                assert event.headers.get("session") == "1528550058"
    units += depacketizer.flush()
    assert (replies, len(units), sum(unit.key_frame for unit in units)) == (1, 23, 2)
    sps = h264.parse_sps(units[0].nals[0])
    assert (sps.width, sps.height, sps.profile) == (640, 480, "Main")
    # The file beside it was cut without taking the RTP padding off: each NAL is ours, with a few bytes more.
    told = nals(corpus("media", "gBillal-rtsp", "derived_annexb.h264").read_bytes())
    ours = [nal for unit in units for nal in unit.nals]
    assert len(told) == len(ours)
    assert all(a.startswith(b) and len(a) - len(b) <= 4 for a, b in zip(told, ours, strict=True))


def test_jpeg_packets_give_the_picture() -> None:
    """Three RTP/JPEG packets decode to the pixels of the picture they were made from."""
    tolerances = Tolerances()
    depacketizer = depacketizer_for("JPEG", 0, tolerances)
    assert depacketizer is not None
    units = []
    for number in range(3):
        packet = parse_rtp(corpus("media", "SharpRTSP", f"jpeg_{number}.rtp").read_bytes())
        units += depacketizer.push(Input(packet.timestamp, packet.marker, packet.payload, 0.0, 0))
    (unit,) = units

    assert pixels(unit.nals[0]) == pixels(corpus("media", "SharpRTSP", "img_jpg_0.jpg").read_bytes())
    assert Tolerance.JPEG_OFFSET_OTHER in tolerances.counts
