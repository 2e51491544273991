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


HEAD = "v=0\no=- 1 1 IN IP4 192.168.1.20\ns=x\nt=0 0\n"
VIDEO = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (HEAD + "c=IN\n" + VIDEO, {"sdp_connection_unreadable", "sdp_lines_unordered"}),
        (HEAD + VIDEO + "c=IN IPV4 0.0.0.0\n", {"sdp_connection_unreadable", "sdp_lines_unordered"}),
        (HEAD.replace("t=", "c=IN c=IN IP4 0.0.0.0\nt=") + VIDEO, {"sdp_connection_unreadable"}),
        (HEAD.replace("t=", "c=192.168.1.20\nt=") + VIDEO, {"sdp_connection_unreadable"}),
        (HEAD.replace("192.168.1.20", "") + VIDEO, {"sdp_origin_unreadable"}),
        (HEAD.replace("- 1 1", "- 1.5 1") + VIDEO, {"sdp_origin_unreadable"}),
        (HEAD.replace("o=- 1 1 IN IP4 192.168.1.20\n", "") + VIDEO, {"sdp_lines_missing"}),
        (VIDEO, {"sdp_lines_missing"}),
        (HEAD.replace("t=0 0", "t=now-") + VIDEO, {"sdp_time_unreadable"}),
        (HEAD.replace("s=x", "s=x\ns=y") + VIDEO, {"sdp_lines_repeated"}),
        (HEAD + VIDEO + "s=x\n", {"sdp_lines_repeated"}),
        ("o=- 1 1 IN IP4 1.2.3.4\nv=0\ns=x\nt=0 0\n" + VIDEO, {"sdp_lines_unordered"}),
        ((HEAD + VIDEO).rstrip("\n"), {"sdp_last_line_open"}),
        ("\x01\x02garbage\n" + HEAD + VIDEO, {"sdp_garbage"}),
        (HEAD + VIDEO + "m=vana 0 RTP/AVP 108\na=rtpmap:108 video.analysis/90000\n", {"sdp_media_unknown"}),
        (HEAD + VIDEO + "a=fmtp:96\n", {"sdp_format_empty"}),
        (HEAD + VIDEO.replace("96 H264", "97 H264"), {"sdp_format_misplaced"}),
        (HEAD + VIDEO.replace("/90000", "/90000 "), set()),
        (HEAD + VIDEO.replace("/90000", "/0"), {"sdp_clock_rate_zero"}),
        (HEAD + VIDEO + "a=sendonly\n", {"sdp_all_backchannel"}),
        (HEAD + VIDEO + "a=recvonly\n", set()),
        (HEAD + VIDEO + VIDEO.replace("96", "97"), {"sdp_second_video"}),
    ],
)
def test_odd_descriptions_give_their_video_and_a_name(body: str, names: set[str]) -> None:
    """Quirks 33 to 38, 44, 85 and 86: the video track is found in each, and what was odd has its name."""
    tolerances = Tolerances()
    sdp = parse_sdp(body.encode(), tolerances)
    video = next(media for media in sdp.receivable() if media.kind == "video")
    assert (video.codec, video.clock_rate_hz) == ("H264", 90000)
    assert set(tolerances.names) == names


@pytest.mark.parametrize(
    ("section", "coding", "names"),
    [
        ("video 0 RTP/AVP 97\na=fmtp:97 packetization-mode=1", ("H264", 90000, 1), {"sdp_codec_guessed"}),
        ("video 0 RTP/AVP 97\na=fmtp:97 sprop-vps=QAE=", ("H265", 90000, 1), {"sdp_codec_guessed"}),
        ("video 0 RTP/AVP 97\na=fmtp:97 config=000001B0F5", ("MP4V-ES", 90000, 1), {"sdp_codec_guessed"}),
        (
            "audio 0 RTP/AVP 97\na=fmtp:97 mode=AAC-hbr;config=1408",
            ("MPEG4-GENERIC", 16000, 1),
            {"sdp_codec_guessed"},
        ),
        ("audio 0 RTP/AVP 97\nb=AS:768", ("PCM", 48000, 1), {"sdp_codec_guessed"}),
        ("video 0 RTP/AVP 97", ("", 90000, 1), set()),
        ("video 0 RTP/AVP 35", ("H264", 90000, 1), None),
    ],
)
def test_a_codec_is_guessed_only_by_what_no_other_has(
    section: str, coding: tuple[str, int, int], names: set[str] | None
) -> None:
    """A dynamic payload type without rtpmap (quirk 37) stays unknown where nothing tells; Bosch's 35 is H.264."""
    tolerances = Tolerances()
    (media,) = parse_sdp(f"{HEAD}m={section}\n".encode(), tolerances).media
    assert (media.codec, media.clock_rate_hz, media.channels) == coding
    assert set(tolerances.names) == (names | {"sdp_rtpmap_missing"} if names is not None else set())


@pytest.mark.parametrize(
    ("section", "coding", "names"),
    [
        ("audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/1", ("OPUS", 48000, 2), {"sdp_audio_format_odd"}),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/2", ("OPUS", 48000, 2), set()),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 PCM/48000", ("PCM", 48000, 1), {"sdp_audio_format_odd"}),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 PCMU/16000", ("PCMU", 16000, 1), {"sdp_audio_format_odd"}),
        ("audio 0 RTP/AVP 0\na=rtpmap:0 MPEG4-GENERIC/16000/1", ("MPEG4-GENERIC", 16000, 1), {"sdp_rtpmap_overrides"}),
        ("audio 0 RTP/AVP 2", ("G726-32", 8000, 1), set()),
        ("audio 0 RTP/AVP 98\na=rtpmap:98 G726-16/8000", ("G726-16", 8000, 1), set()),
    ],
)  # fmt: skip
def test_odd_audio_formats_are_data(section: str, coding: tuple[str, int, int], names: set[str]) -> None:
    """Quirks 37 and 43: what the camera says is kept, what no standard has is named."""
    tolerances = Tolerances()
    (media,) = parse_sdp(f"{HEAD}m={section}\n".encode(), tolerances).media
    assert (media.codec, media.clock_rate_hz, media.channels) == coding
    assert set(tolerances.names) == names


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ("4d001e", set()),
        ("4D001E", set()),
        ("TeAo", {"profile_level_unreadable"}),
        ("5046314", {"profile_level_unreadable"}),
        ("420029", {"profile_level_other"}),
    ],
)
def test_a_wrong_profile_level_id_is_named_and_the_sps_believed(told: str, names: set[str]) -> None:
    """Base64, seven decimal digits, another profile (quirk 39): the parameter sets are taken all the same."""
    tolerances = Tolerances()
    line = f"a=fmtp:96 profile-level-id={told};sprop-parameter-sets={b64(SPS)},{b64(PPS)}\n"
    (media,) = parse_sdp(f"{HEAD}{VIDEO}{line}".encode(), tolerances).media
    assert parameter_sets(media, tolerances) == (SPS, PPS)
    assert set(tolerances.names) == names


def test_h265_sets_in_an_h264_section_are_named() -> None:
    """A camera that was switched to H.265 keeps the old codec name in its SDP (quirk 40)."""
    tolerances = Tolerances()
    line = f"a=fmtp:96 sprop-parameter-sets={b64(bytes.fromhex('40010c01ffff'))},{b64(PPS)}\n"
    (media,) = parse_sdp(f"{HEAD}{VIDEO}{line}".encode(), tolerances).media
    assert parameter_sets(media, tolerances) == ()
    assert set(tolerances.names) == {"parameter_sets_other_codec", "parameter_sets_incomplete"}


def test_configurations_are_the_parameter_sets_of_mpeg4_and_aac() -> None:
    """``config`` in hexadecimal; nonsense counts as none and is named."""
    tolerances = Tolerances()
    section = "m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\na=fmtp:96 config="
    (media,) = parse_sdp(f"{HEAD}{section}000001B0F5\n".encode(), tolerances).media
    assert parameter_sets(media, tolerances) == (bytes.fromhex("000001b0f5"),)
    (media,) = parse_sdp(f"{HEAD}{section}00xx\n".encode(), tolerances).media
    assert parameter_sets(media, tolerances) == ()
    assert tolerances.names == ("parameter_sets_unreadable",)


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
