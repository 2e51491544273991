"""Offers are read, the nearest offered H.264 payload is chosen, and what cannot be answered is refused by name."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_client import Watching

from adapters.rtsp.h264 import Sps
from hub.relay.errors import RelayRefused
from hub.relay.webrtc.sdp import LocalTransport, Offer, Offered, negotiate, write_answer

FINGERPRINT = ":".join(["AB"] * 32)
# The video codecs a desktop Chromium offers to receive: no High profile payload with mode 1 below 64 001f.
H264 = {
    102: ("1", "42001f"),
    104: ("0", "42001f"),
    106: ("1", "42e01f"),
    108: ("0", "42e01f"),
    127: ("1", "4d001f"),
}


def offer(
    h264: dict[int, tuple[str, str]] | None = None,
    *,
    direction: str = "recvonly",
    extra: str = "",
    drop: str = "",
    audio: bool = False,
    setup: str = "actpass",
) -> str:
    """Write an offer like a browser's."""
    payloads = H264 if h264 is None else h264
    lines = [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1" if audio else "a=group:BUNDLE 1",
    ]
    common = [
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
        f"a=setup:{setup}",
    ]
    if audio:
        lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8", *common, "a=mid:0", "a=recvonly", "a=rtcp-mux"]
        lines += ["a=rtpmap:111 opus/48000/2", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000"]
    lines += [
        f"m=video 9 UDP/TLS/RTP/SAVPF 96 {' '.join(map(str, payloads))}",
        *common,
        "a=mid:1",
        f"a={direction}",
    ]
    lines += ["a=rtcp-mux", "a=rtpmap:96 VP8/90000"]
    for number, (mode, profile) in payloads.items():
        lines += [
            f"a=rtpmap:{number} H264/90000",
            f"a=rtcp-fb:{number} goog-remb",
            f"a=rtcp-fb:{number} nack",
            f"a=rtcp-fb:{number} nack pli",
            f"a=fmtp:{number} level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}",
        ]
    lines += extra.splitlines()
    return "\r\n".join(line for line in lines if not (drop and line.startswith(drop))) + "\r\n"


def sps(profile: int, flags: int = 0) -> Sps:
    """Return an SPS of a profile."""
    return Sps(0, profile, flags, 40, "4:2:0", 8, 1920, 1080, False, 0, None, None)


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        (sps(66, 0xC0), 106),  # Constrained Baseline
        (sps(66, 0), 102),  # Baseline
        (sps(77), 127),  # Main
        (sps(100), 127),  # High: nobody offers it, Main is nearest
        (None, 106),
    ],
)
def test_the_nearest_offered_payload_is_taken(source: Sps | None, payload: int) -> None:
    """Mode 1 only, profile nearest to the SPS."""
    agreed = negotiate(Offer.parse(offer()), Offered("H264", source))
    assert agreed.payload_type == payload
    assert agreed.feedback == ("nack", "nack pli")


@given(
    st.dictionaries(
        st.integers(97, 126),
        st.tuples(
            st.sampled_from(["0", "1"]),
            st.sampled_from(["42e01f", "42001f", "4d001f", "640c1f", "64001f", "zz"]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([66, 77, 88, 100, 110]),
)
def test_a_payload_that_was_not_offered_is_never_taken(
    offered: dict[int, tuple[str, str]], profile: int
) -> None:
    """Whatever is offered: an offered payload in mode 1, or 406."""
    if any(mode == "1" and level != "zz" for mode, level in offered.values()):
        agreed = negotiate(Offer.parse(offer(offered)), Offered("H264", sps(profile)))
        assert offered[agreed.payload_type][0] == "1"
    else:
        with pytest.raises(RelayRefused) as refused:
            negotiate(Offer.parse(offer(offered)), Offered("H264", sps(profile)))
        assert refused.value.status == 406


def test_no_codec_in_common_says_what_the_camera_sends_and_what_the_browser_takes() -> None:
    """406 with both sides named."""
    with pytest.raises(RelayRefused) as refused:
        negotiate(Offer.parse(offer({})), Offered("H264", sps(100)))
    assert (refused.value.status, refused.value.code) == (406, "codec_not_playable")
    assert "H.264 High 1920x1080" in refused.value.detail
    assert "VP8" in refused.value.detail


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "v=0"),
        ("hello", "v=0"),
        ("v=0\r\nm=video", "malformed"),
        ("v=0\r\ns=-\r\n", "no m-line"),
        ("v=0\r\n" + "a=x\r\n" * 3000, "larger"),
        ("v=0\r\n" + "a=" + "x" * 70_000, "larger"),
        (offer(drop="a=fingerprint"), "fingerprint"),
        (offer(drop="a=ice-pwd"), "ICE"),
        (offer(drop="a=rtcp-mux"), "rtcp-mux"),
        (offer(drop="a=setup"), "DTLS role"),
        (offer().replace("sha-256", "md5"), "fingerprint"),
        (offer(direction="sendonly"), "no video m-line"),
        (offer().replace("m=video", "m=audio"), "no video m-line"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_with_the_reason(text: str, says: str) -> None:
    """422, and the sentence names what is missing."""
    with pytest.raises(RelayRefused) as refused:
        negotiate(Offer.parse(text), Offered("H264", sps(66)))
    assert refused.value.status == 422
    assert says in refused.value.detail


@given(st.text(max_size=300), st.integers(0, 60))
def test_garbage_in_an_offer_is_422_and_nothing_else(garbage: str, line: int) -> None:
    """A hostile browser gets a refusal, the worker no exception."""
    lines = offer().splitlines()
    lines.insert(min(line, len(lines)), garbage)
    with contextlib.suppress(RelayRefused):
        negotiate(Offer.parse("\r\n".join(lines)), Offered("H264", sps(66)))


def test_two_hundred_candidates_do_not_matter() -> None:
    """Candidates of any shape are passed over: an ICE-lite answerer learns addresses from the checks."""
    strange = "\r\n".join(
        f"a=candidate:{n} 1 tcp {n} something.local {n} typ host tcptype" for n in range(200)
    )
    assert negotiate(Offer.parse(offer(extra=strange)), Offered("H264", sps(66, 0xC0))).payload_type == 106


LOCAL = LocalTransport(
    "ufragufr", "pwdpwdpwdpwdpwdpwdpwdpwd", FINGERPRINT, [("192.0.2.9", 8189), ("2001:db8::1", 8189)]
)


def answer_to(text: str, source: Offered) -> list[str]:
    """Return the answer's lines."""
    parsed = Offer.parse(text)
    return write_answer(
        parsed, negotiate(parsed, source), LOCAL, session=1, ssrc=5, audio_ssrc=6, cname="c"
    ).split("\r\n")


def test_the_answer_is_ice_lite_passive_and_names_one_port() -> None:
    """What a browser needs to connect stands in the answer, once."""
    lines = answer_to(offer(), Offered("H264", sps(66, 0xC0)))
    assert "a=ice-lite" in lines
    assert "a=setup:passive" in lines
    assert "a=sendonly" in lines
    assert "m=video 8189 UDP/TLS/RTP/SAVPF 106" in lines
    assert [line.split()[4:6] for line in lines if line.startswith("a=candidate")] == [
        ["192.0.2.9", "8189"],
        ["2001:db8::1", "8189"],
    ]
    assert "a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" in lines


def test_audio_is_refused_unless_it_is_allowed() -> None:
    """The audio line keeps its place with port 0 and is not in the bundle."""
    lines = answer_to(offer(audio=True), Offered("H264", sps(66, 0xC0)))
    assert "m=audio 0 UDP/TLS/RTP/SAVPF 111" in lines
    assert "a=group:BUNDLE 1" in lines


def test_a_viewer_that_insists_on_being_the_dtls_server_is_dialled() -> None:
    """setup:passive is answered with active (RFC 5763 5)."""
    assert "a=setup:active" in answer_to(offer(setup="passive"), Offered("H264", sps(66, 0xC0)))


def test_an_answer_is_accepted_by_a_peer_as_shipped() -> None:
    """aiortc's own RTCPeerConnection takes offer and answer to connect (the engine tests then play)."""

    async def offered() -> str:
        peer = Watching()
        try:
            return await peer.offer(audio=True)
        finally:
            await peer.close()

    lines = answer_to(asyncio.run(offered()), Offered("H264", sps(66, 0xC0)))
    assert sum(line.startswith("m=") for line in lines) == 2
