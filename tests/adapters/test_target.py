"""Addresses as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import BadTarget
from adapters.secret import Secret
from adapters.target import Schemes, Target, parse_target


@pytest.mark.parametrize(
    ("typed", "target"),
    [
        ("192.168.1.20", Target("onvif", "192.168.1.20", 80)),
        (" 192.168.1.20:8000 ", Target("onvif", "192.168.1.20", 8000)),
        ("http://cam.example/onvif/service", Target("onvif", "cam.example", 80, "/onvif/service")),
        ("https://cam.example", Target("onvifs", "cam.example", 443)),
        ("RTSP://Cam.Example/Live?x=1&y=2", Target("rtsp", "cam.example", 554, "/Live?x=1&y=2")),
        ("rtsp://[2001:db8::1]:8554/a", Target("rtsp", "2001:db8::1", 8554, "/a")),
        (
            "rtsp://10.0.0.1/user=admin_password=x_channel=1.sdp",
            Target("rtsp", "10.0.0.1", 554, "/user=admin_password=x_channel=1.sdp"),
        ),
    ],
)
def test_is_understood(typed: str, target: Target) -> None:
    """Scheme, host, port and path are taken apart; a bare host means ONVIF on port 80."""
    assert parse_target(typed) == (target, None)


def test_a_credential_is_returned_apart() -> None:
    """User and password leave the address, percent-decoded."""
    target, credential = parse_target("rtsp://admin:p%40ss%3A1@10.0.0.1/x")

    assert target == Target("rtsp", "10.0.0.1", 554, "/x")
    assert credential is not None
    assert (credential.user, credential.password) == ("admin", Secret("p@ss:1"))
    assert "p@ss" not in f"{target} {credential}"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "  ",
        "192.168.1",
        "192.168.1.300",
        "ftp://10.0.0.1",
        "rtsp://",
        "rtsp:///x",
        "rtsp://10.0.0.1:0/",
        "rtsp://10.0.0.1:70000/",
        "rtsp://10.0.0.1:abc/",
        "rtsp://[::1/",
        "a b",
        "10.0.0.1\r\nHost: x",
        "-cam.example",
        "rtsp://" + "a" * 3000,
        "rtsp://admin:12/34@192.168.1.20/x",
        "rtsp://admin:12#34@192.168.1.20/x",
        "rtsp://admin:se?cret@192.168.1.20/x",
    ],
)
def test_is_refused_with_a_hint(typed: str) -> None:
    """What cannot be understood is named, with what to do; no part of a password is repeated."""
    with pytest.raises(BadTarget) as caught:
        parse_target(typed)

    assert caught.value.hint
    for secret in ("34", "se?", "cret"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "target"),
    [
        ("hikvision://192.168.1.64", Target("hikvision", "192.168.1.64", 80)),
        ("hikvision+https://192.168.1.64", Target("hikvision+https", "192.168.1.64", 443)),
        ("HiLook://cam:8080", Target("hikvision", "cam", 8080)),
        ("kbvision://10.0.0.1", Target("dahua", "10.0.0.1", 80)),
        ("imou+https://10.0.0.1", Target("dahua+https", "10.0.0.1", 443)),
        ("axis://[2001:db8::1]", Target("axis", "2001:db8::1", 80)),
        ("vigi://10.0.0.1", Target("vigi", "10.0.0.1", 20443)),
        ("hikvision://10.0.0.1#3", Target("hikvision", "10.0.0.1", 80, "", "3")),
    ],
)
def test_a_makers_interface_is_understood(typed: str, target: Target) -> None:
    """A brand on another maker's firmware becomes that maker's scheme; each has its port."""
    assert parse_target(typed) == (target, None)


def test_a_brand_without_the_makers_interface_is_no_scheme() -> None:
    """EZVIZ cameras have no ISAPI that is known: the scheme is refused, and the known ones are named."""
    with pytest.raises(BadTarget) as caught:
        parse_target("ezviz://10.0.0.1")

    assert "hikvision://" in caught.value.hint


def test_other_schemes_can_be_given() -> None:
    """A third party's scheme is understood where its registry is asked."""
    schemes = Schemes({"acme": 8088}, {"acmecam": "acme"})

    assert parse_target("acmecam://10.0.0.1", schemes) == (Target("acme", "10.0.0.1", 8088), None)
    with pytest.raises(BadTarget):
        parse_target("acme://10.0.0.1")


def test_what_is_asked_over_tls() -> None:
    """The schemes whose first byte is TLS."""
    typed = ("onvifs", "rtsps", "vigi", "dahua+https", "dahua", "onvif", "rtsp")
    assert [parse_target(f"{scheme}://h")[0].tls for scheme in typed] == [True] * 4 + [False] * 3


@given(st.text(max_size=80))
def test_any_text_is_a_target_or_a_bad_target(typed: str) -> None:
    """Whatever is typed, the answer is a target with a valid port or the typed error."""
    try:
        target, _credential = parse_target(typed)
    except BadTarget:
        return
    assert 1 <= target.port <= 65535
    assert target.host
    assert not any(ord(char) < 33 for char in target.url)
