"""Small things read from devices: zones, addresses, tokens; and what is sent to sign in."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapters.onvif.addresses import AddressBook, read_named
from adapters.onvif.mapping import SystemTime, zone_offset_min
from adapters.onvif.templates import envelope, media2_get_stream_uri, username_token
from adapters.secret import Credential, Secret
from adapters.target import Target
from adapters.wire import xml


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [
        ("ICT-7", 420),
        ("<+07>-7", 420),
        ("CST-08:00", 480),
        ("CST-8:00:00", 480),
        ("UTC5UTC", -300),
        ("CST7:00:00DST01:00:00,M3.2.0/02:00:00,M11.1.0/02:00:00", -420),
        ("CST6CDT:", -360),
        ("EST5EDT,M3.2.0,M11.1.0", -300),
        ("NST3:30", -210),
        ("UTC", 0),
        ("UTC0", 0),
        ("UTC+0", 0),
        ("", None),
        ("Asia/Ho_Chi_Minh", None),
        ("X99", None),
    ],
)
def test_zones_as_cameras_write_them(zone: str, minutes: int | None) -> None:
    """POSIX zones, whose sign points west, in the loose forms of real cameras (quirk 74)."""
    assert zone_offset_min(zone) == minutes


@pytest.mark.parametrize(
    ("zone", "utc_hour", "local_hour", "minutes"),
    [
        ("GMT+07:00", 1, 8, 420),  # meant east, against POSIX: the two clocks decide
        ("Asia/Ho_Chi_Minh", 1, 8, 420),
        ("ICT-7", 1, 8, 420),
        ("EST5EDT", 20, 16, -300),  # daylight saving is on, the zone stays -300
        ("EST5EDT", 20, 15, -300),
    ],
)
def test_two_clocks_decide_where_the_zone_is_loose(
    zone: str, utc_hour: int, local_hour: int, minutes: int
) -> None:
    """Where UTC and local time are both told, their difference corrects a misread zone."""
    utc = datetime(2026, 7, 1, utc_hour, tzinfo=UTC)
    local = utc.replace(hour=local_hour, tzinfo=None)
    told = SystemTime(utc, local, zone, None, "NTP")

    assert told.zone_offset_min == minutes


@pytest.mark.parametrize(
    ("text", "url", "quirks"),
    [
        ("rtsp://10.0.0.1/a", "rtsp://10.0.0.1:554/a", ()),
        ("RTSP://Cam.Example:8554/A?b=c&d=e", "rtsp://cam.example:8554/A?b=c&d=e", ()),
        ("rtsp://[2001:db8::1]/a", "rtsp://[2001:db8::1]:554/a", ()),
        ("rtsp://u:p@10.0.0.1/a", "rtsp://10.0.0.1:554/a", ("credentials_in_address",)),
        ("rtsp://u:p@ss@10.0.0.1/a", "rtsp://10.0.0.1:554/a", ("credentials_in_address",)),
        ("http://10.0.0.1:8106:8106/x", "http://10.0.0.1:8106/x", ("doubled_port",)),
        ("http://10.0.0.1/x?a=1&amp;b=2", "http://10.0.0.1:80/x?a=1&b=2", ("address_escaped_twice",)),
        ("rtsp://10.0.0.1/live stream", "rtsp://10.0.0.1:554/live%20stream", ()),
        ("rtsp://10.0.0.1/đường", "rtsp://10.0.0.1:554/%C4%91%C6%B0%E1%BB%9Dng", ()),
        ("rtsp://10.0.0.1/a%20b", "rtsp://10.0.0.1:554/a%20b", ()),
    ],
)
def test_addresses_as_cameras_write_them(text: str, url: str, quirks: tuple[str, ...]) -> None:
    """Addresses are read with their oddities named, and credentials left out."""
    named = read_named(text)

    assert named is not None
    assert (named.url, named.quirks) == (url, quirks)


@pytest.mark.parametrize(
    "text", ["", "x", "rtsp:", "gopher://h/", "rtsp://h:0/", "rtsp://h:99999/", "rtsp://[x]/", "//h/a"]
)
def test_what_is_no_address(text: str) -> None:
    """What cannot be an address is none."""
    assert read_named(text) is None


@given(st.text(max_size=200))
def test_any_text_leads_back_to_the_enrolled_host(text: str) -> None:
    """Whatever a camera names, what is dialled is the enrolled host and no control character goes out."""
    book = AddressBook(Target("onvif", "192.0.2.1", 8000))
    for prefix in ("", "rtsp://", "http://"):
        for target in (book.stream(prefix + text), book.picture(prefix + text)):
            if target is not None:
                assert target.host == "192.0.2.1"
                assert all(33 <= ord(char) < 127 for char in target.path)
        url = book.service(prefix + text)
        assert url is None or url.startswith(("http://192.0.2.1:", "https://192.0.2.1:"))


class TestAddressBook:
    def test_the_devices_own_port_is_the_enrolled_one(self) -> None:
        """Behind a port map, what the device calls its own port is the one that was dialled; others are kept."""
        book = AddressBook(Target("onvif", "203.0.113.7", 18080))
        book.learn("http://192.168.1.10/onvif/device_service")

        assert book.service("http://192.168.1.10/onvif/media") == "http://203.0.113.7:18080/onvif/media"
        assert book.service("http://192.168.1.10:8899/onvif/x") == "http://203.0.113.7:8899/onvif/x"
        assert str(book.picture("http://192.168.1.10/snap")) == "http://203.0.113.7:18080/snap"
        assert str(book.stream("rtsp://192.168.1.10/a")) == "rtsp://203.0.113.7:554/a"
        assert book.rewritten

    def test_never_down_from_tls(self) -> None:
        """An enrolled HTTPS device is not asked over HTTP because it names such an address."""
        book = AddressBook(Target("onvifs", "203.0.113.7", 443))

        assert book.service("http://203.0.113.7/onvif/media") == "https://203.0.113.7:443/onvif/media"
        assert str(book.picture("http://203.0.113.7/snap")) == "https://203.0.113.7:443/snap"

    def test_one_host_in_two_spellings_is_the_same(self) -> None:
        """An IPv6 address written differently is not another host."""
        book = AddressBook(Target("onvif", "2001:db8::1", 80))
        book.service("http://[2001:0db8:0:0::1]/onvif/media")

        assert not book.rewritten

    @pytest.mark.parametrize(
        ("text", "octets"),
        [
            ("rtsp://10.0.0.1/a", 17),
            ("rtsp://u:p@10.0.0.1/a", 17),
            (" rtsp://10.0.0.1/a\r\n", 17),
            ("none", 0),
        ],
    )
    def test_octets_are_counted_without_credentials(self, text: str, octets: int) -> None:
        """The length of an address is that of what is stored."""
        assert AddressBook(Target("onvif", "10.0.0.1", 80)).octets(text) == octets


class TestTemplates:
    MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def test_the_token_is_the_profiles(self) -> None:
        """Digest = Base64(SHA-1(nonce + created + password)), created with Z, no readable password."""
        credential = Credential('ad"min<&', Secret("pa<ss"))
        root = etree.fromstring(
            envelope(b"<x/>", username_token(credential, self.MOMENT, b"0123456789abcdef"))
        )
        token = next(xml.descendants(root, "UsernameToken"))
        created = xml.text(token, "Created")
        expected = hashlib.sha1(b"0123456789abcdef" + created.encode() + b"pa<ss").digest()

        assert created == "2026-01-02T03:04:05.000Z"
        assert xml.text(token, "Username") == 'ad"min<&'
        assert base64.b64decode(xml.text(token, "Password")) == expected
        assert xml.attribute(xml.child(token, "Password"), "Type").endswith("#PasswordDigest")
        assert base64.b64decode(xml.text(token, "Nonce")) == b"0123456789abcdef"
        assert "pa<ss" not in etree.tostring(root, encoding="unicode")

    def test_tokens_of_media_profiles_are_escaped(self) -> None:
        """A hostile token cannot add elements."""
        root = etree.fromstring(media2_get_stream_uri("</ProfileToken><Reboot/>"))

        assert [xml.local(item) for item in root] == ["Protocol", "ProfileToken"]
