"""Session descriptions with the faults of real cameras."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rtsp.sdp import base_url, enrolled_url, parameter_sets, parse_sdp, resolve_control
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation
from adapters.target import Target
from standards.reason import Reason

CAMERA = Target("rtsp", "192.168.1.20", 554, "/live")
SPS = bytes.fromhex("674d001e95a8280f64")
PPS = bytes.fromhex("68ee3c80")
START = b"\0\0\0\1"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_clean_description_needs_no_tolerance() -> None:
    """Codec, clock, parameters, control and audio of a proper SDP."""
    tolerances = Tolerances()
    sdp = parse_sdp(
        b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\na=control:*\r\n"
        b"m=video 0 RTP/AVP 96\r\nb=AS:5000\r\na=rtpmap:96 H264/90000\r\na=framerate:25.0\r\n"
        b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + f"{b64(SPS)},{b64(PPS)}".encode() + b"\r\n"
        b"a=control:trackID=1\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n",
        tolerances,
    )
    video, audio = sdp.media
    assert (video.codec, video.clock_rate_hz, video.payload_type, video.bandwidth_kbps) == (
        "H264",
        90000,
        96,
        5000,
    )
    assert video.frame_rate == 25.0
    assert parameter_sets(video, tolerances) == (SPS, PPS)
    assert (audio.codec, audio.clock_rate_hz, audio.channels) == ("PCMA", 8000, 1)
    assert tolerances.names == ()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY_REPLY),
        (b" \r\n", Reason.EMPTY_REPLY),
        (b"<html><head>", Reason.NOT_THE_PROTOCOL),
        (b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Se", Reason.MALFORMED_RTSP),
        (b"\x00\x01\x02\xff" * 50, Reason.MALFORMED_RTSP),
    ],
)
def test_no_description_is_refused_with_its_reason(body: bytes, reason: Reason) -> None:
    """Empty, HTML, truncated before the first track, binary."""
    with pytest.raises(Violation) as caught:
        parse_sdp(body, Tolerances())
    assert caught.value.reason is reason


def test_unknown_media_is_skipped_not_fatal() -> None:
    """TP-Link's application track has no numeric format; others invent media names (quirks 35, 92)."""
    sdp = parse_sdp(
        b"v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\nm=application/TP-LINK 0 RTP/AVP smart/1/90000\n"
        b"a=rtpmap:95 TP-LINK/90000\nm=vana 0 RTP/AVP 108\nm=metadata 0 RTP/AVP 98\nm=",
        Tolerances(),
    )
    assert [media.kind for media in sdp.media] == ["video", "application/tp-link", "vana", "metadata", ""]
    assert sdp.media[0].codec == "H265"


def test_lines_under_the_wrong_media_are_found() -> None:
    """The video's fmtp stands under the audio, and rtpmap 0 under payload 8 (quirks 36, 94)."""
    tolerances = Tolerances()
    sdp = parse_sdp(
        b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 8\na=rtpmap:0 pcma/8000/1\n"
        b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + f"{b64(SPS)},{b64(PPS)}".encode(),
        tolerances,
    )
    assert parameter_sets(sdp.media[0], tolerances) == (SPS, PPS)
    assert sdp.media[1].codec == "PCMA"
    assert tolerances.counts[Tolerance.SDP_FORMAT_MISPLACED] == 2


def test_a_static_payload_type_with_another_codec_is_believed_by_its_rtpmap() -> None:
    """GW4089IP declares PCMU on payload type 8 (quirk 93); Bosch sends H.264 on 35 without rtpmap (quirk 37)."""
    tolerances = Tolerances()
    sdp = parse_sdp(b"m=audio 0 RTP/AVP 8\na=rtpmap:8 PCMU/8000/1\nm=video 0 RTP/AVP 35\n", tolerances)
    assert [media.codec for media in sdp.media] == ["PCMU", "H264"]
    assert tolerances.counts[Tolerance.SDP_RTPMAP_OVERRIDES] == 1


def test_backchannels_are_not_receivable_and_mislabelled_video_is() -> None:
    """`sendonly` audio beside other tracks is what the client would send (quirk 96); D-Link labels all so (38)."""
    both = parse_sdp(
        b"m=video 0 RTP/AVP 96\na=recvonly\nm=audio 0 RTP/AVP 0\na=recvonly\nm=audio 0 RTP/AVP 8\na=sendonly\n",
        Tolerances(),
    )
    assert [media.codec for media in both.receivable() if media.kind == "audio"] == ["PCMU"]
    tolerances = Tolerances()
    dlink = parse_sdp(b"m=video 0 RTP/AVP 26\na=sendonly\nm=audio 0 RTP/AVP 8\na=sendonly\n", tolerances)
    assert len(dlink.receivable()) == 2
    assert Tolerance.SDP_ALL_BACKCHANNEL in tolerances.counts


@pytest.mark.parametrize(
    ("sprop", "found"),
    [
        (b64(SPS + START) + "," + b64(PPS + START), (SPS, PPS)),
        (b64(START + SPS + START + PPS), (SPS, PPS)),
        (f"{b64(SPS).rstrip('=')},{b64(PPS).rstrip('=')}", (SPS, PPS)),
        (f"{b64(SPS)},", ()),
        ("!!!,???", ()),
        ("", ()),
    ],
)
def test_parameter_sets_with_start_codes_or_nonsense(sprop: str, found: tuple[bytes, ...]) -> None:
    """Annex-B inside is cut, half a pair and nonsense count as none (quirk 40)."""
    sdp = parse_sdp(
        f"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets={sprop}\n".encode(),
        Tolerances(),
    )
    assert parameter_sets(sdp.media[0], Tolerances()) == found


def test_an_incomplete_h265_trio_counts_as_none() -> None:
    """H.265 needs VPS, SPS and PPS together (quirk 41)."""
    tolerances = Tolerances()
    sdp = parse_sdp(
        b"m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=fmtp:96 sprop-sps=QgEBAWAAAAMAAAMAAAMAAAMAlqABICAF\n",
        tolerances,
    )
    assert parameter_sets(sdp.media[0], tolerances) == ()
    assert Tolerance.PARAMETER_SETS_INCOMPLETE in tolerances.counts


@pytest.mark.parametrize(
    ("base", "control", "url"),
    [
        ("rtsp://192.168.1.20:554/live/", "trackID=1", "rtsp://192.168.1.20:554/live/trackID=1"),
        ("rtsp://192.168.1.20/live", "trackID=1", "rtsp://192.168.1.20:554/live/trackID=1"),
        ("rtsp://192.168.1.20/live/", "/trackID=1", "rtsp://192.168.1.20:554/live/trackID=1"),
        ("rtsp://192.168.1.20/live?a=1/", "trackID=1", "rtsp://192.168.1.20:554/live?a=1/trackID=1"),
        ("rtsp://192.168.1.20/live", "?ctype=video", "rtsp://192.168.1.20:554/live?ctype=video"),
        ("rtsp://192.168.1.20/live?a=1", "?ctype=video", "rtsp://192.168.1.20:554/live?a=1&ctype=video"),
        ("rtsp://192.168.1.20/live/", "*", "rtsp://192.168.1.20:554/live/"),
        ("rtsp://192.168.1.20/live/", None, "rtsp://192.168.1.20:554/live/"),
        ("192.168.1.20:554/stream0/", "trackID=1", "rtsp://192.168.1.20:554/stream0/trackID=1"),
        ("/stream0/", "trackID=1", "rtsp://192.168.1.20:554/stream0/trackID=1"),
        ("rtsp://rtsp://192.168.1.20/live/", "t", "rtsp://192.168.1.20:554/live/t"),
        ("rtsp://192.168.1.20/live/", "rtsp://10.0.0.1/media/video", "rtsp://192.168.1.20:554/media/video"),
        ("rtsp://evil.example:9/live/", "t", "rtsp://192.168.1.20:554/live/t"),
        ("rtsp://user:secret@192.168.1.20/live/", "t", "rtsp://192.168.1.20:554/live/t"),
    ],
)
def test_control_addresses_always_lead_to_the_enrolled_camera(
    base: str, control: str | None, url: str
) -> None:
    """Relative, absolute, doubled, schemeless and foreign addresses (quirks 20, 21, 77)."""
    tolerances = Tolerances()
    joined = resolve_control(enrolled_url(base, CAMERA, tolerances), control, CAMERA, tolerances)
    assert joined == url
    foreign = "10.0.0.1" in str(control) or "evil" in base
    assert (Tolerance.FOREIGN_HOST_REWRITTEN in tolerances.counts) is foreign


def test_base_url_prefers_content_base() -> None:
    """RFC 2326 appendix C.1.1: Content-Base, Content-Location, then the request."""
    assert base_url("rtsp://a/", "rtsp://b/", "rtsp://c/") == "rtsp://b/"
    assert base_url("rtsp://a/", None, "rtsp://c/") == "rtsp://c/"
    assert base_url("rtsp://a/", " ", None) == "rtsp://a/"


@given(st.binary(max_size=400), st.text(max_size=60))
def test_hostile_descriptions_end_in_a_violation_or_a_result(body: bytes, control: str) -> None:
    """Any bytes parse or are refused by name, and any control address stays on the camera."""
    try:
        sdp = parse_sdp(b"m=video 0 RTP/AVP 96\r\n" + body, Tolerances())
    except Violation:
        return
    for media in sdp.media:
        parameter_sets(media, Tolerances())
        for text in (media.control, control):
            url = resolve_control("rtsp://192.168.1.20:554/live/", text, CAMERA, Tolerances())
            assert url.startswith("rtsp://192.168.1.20:554")
            assert url[len("rtsp://192.168.1.20:554") :][:1] in ("", "/", "?")
            assert not any(char in url for char in "\r\n ")
