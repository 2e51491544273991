"""Transport, Session, RTP-Info and Public as cameras write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rtsp.headers import RtpInfo, parse_public, parse_rtp_info, parse_session, parse_transport
from adapters.rtsp.tolerance import Tolerances


@pytest.mark.parametrize(
    ("value", "tcp", "channels", "server_ports", "ssrc"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=30A98EE7", True, (0, 1), None, 0x30A98EE7),
        ('RTP/AVP/TCP;unicast;interleaved=2-3;ssrc= 4cacc3d1;mode="play"', True, (2, 3), None, 0x4CACC3D1),
        ("RTP/AVP;unicast;interleaved=4", True, (4, 5), None, None),
        (
            "RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971;ssrc=zz",
            False,
            None,
            (6970, 6971),
            None,
        ),
        ("RTP/AVP;unicast;server_port=99999-0;source=camera.local", False, None, None, None),
        ("RTP/AVP/UDP;unicast;ssrc=1;interleaved=300-301", False, None, None, 1),
    ],
)
def test_transport(
    value: str,
    tcp: bool,
    channels: tuple[int, int] | None,
    server_ports: tuple[int, int] | None,
    ssrc: int | None,
) -> None:
    """Channels, ports and SSRC are read where they make sense and left out where not (quirks 23-25)."""
    read = parse_transport(value, Tolerances())
    assert (read.tcp, read.channels, read.server_ports, read.ssrc) == (tcp, channels, server_ports, ssrc)


@pytest.mark.parametrize(
    ("value", "identifier", "timeout_s"),
    [
        ("708345999;timeout=60", "708345999", 60),
        ("  9a90de54 ; timeout=120", "9a90de54", 120),
        ("F8F8E425", "F8F8E425", 60),
        ("a;timeout=0", "a", 60),
        ("a;timeout=x", "a", 60),
        ("a;timeout=99999999", "a", 3600),
    ],
)
def test_session(value: str, identifier: str, timeout_s: float) -> None:
    """Identifier and timeout are read; nonsense becomes the default of RFC 2326 (quirks 16, 80)."""
    read = parse_session(value, Tolerances())
    assert (read.identifier, read.timeout_s) == (identifier, timeout_s)


def test_rtp_info() -> None:
    """Entries, URLs with semicolons and queries, and hints out of range (quirks 47, 83)."""
    tolerances = Tolerances()
    assert parse_rtp_info(
        "url=trackID=0;seq=47121;rtptime=3475222385,url=trackID=1;seq=1;rtptime=2", tolerances
    ) == (
        RtpInfo("trackID=0", 47121, 3475222385),
        RtpInfo("trackID=1", 1, 2),
    )
    assert parse_rtp_info("url=rtsp://c/101/trackID=1?a=b&c=d;seq=24104;rtptime=-1", tolerances) == (
        RtpInfo("rtsp://c/101/trackID=1?a=b&c=d", 24104, None),
    )
    assert tolerances.names == ()
    assert parse_rtp_info("url=rtsp://c/t;seq=0;rtptime=0;", tolerances) == (RtpInfo("rtsp://c/t", 0, 0),)
    assert tolerances.names == ("rtp_info_unreadable",)


def test_public() -> None:
    """Methods come in order, each once, whatever the spacing."""
    assert parse_public(["OPTIONS,DESCRIBE , play", "GET_PARAMETER, OPTIONS, x y"]) == (
        "OPTIONS",
        "DESCRIBE",
        "PLAY",
        "GET_PARAMETER",
    )


@given(st.text(max_size=200))
def test_hostile_values_never_raise(value: str) -> None:
    """Any text gives some result."""
    parse_transport(value, Tolerances())
    parse_session(value, Tolerances())
    parse_rtp_info(value, Tolerances())
    parse_public([value])
