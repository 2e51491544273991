"""Discovery replies of real cameras and of hostile ones, read without a socket."""

import json
import re

import corpus
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from ws_responder import reply

from adapters.discovery.found import Joined, readable
from adapters.discovery.interfaces import Attachment
from adapters.discovery.messages import PROBED_TYPES, Match, decoded, label, probe, read
from adapters.errors import RemoteProtocolError

SCOPES = ("onvif", "onvif-discovery", "ScopesTestData.json")
LAN = Attachment("eth0", 2, "192.168.0.7", 24)


def scopes_file() -> list[dict[str, object]]:
    text = corpus.path(*SCOPES).read_text("utf-8-sig")
    return list(json.loads(text)["Devices"])


def match(xaddrs: str, source: str = "192.168.0.20", endpoint: str = "urn:uuid:1") -> Match:
    return Match(source, endpoint, (), (), tuple(xaddrs.split()))


def test_probes_are_compact_and_never_use_a_message_id_twice() -> None:
    """Three kinds of probe, each one line of XML (quirk 56), each with a fresh MessageID."""
    made = [probe(types) for types in PROBED_TYPES * 2]

    assert all(b"\n" not in one and b"\r" not in one for one in made)
    identifiers = {re.search(rb"MessageID>(.+?)</", one)[1] for one in made}  # type: ignore[index]
    assert len(identifiers) == 6
    assert [etree.fromstring(one).findtext(".//{*}Types") for one in made[:3]] == list(PROBED_TYPES)


@corpus.needs_corpus
def test_scopes_of_real_cameras_give_maker_and_model() -> None:
    """Seven of the eight scope lists as their collector expected; Avigilon's name is a place and not a maker."""
    told = [label(tuple(device["Scopes"])) for device in scopes_file()]  # type: ignore[arg-type]

    assert [(one.maker, one.model) for one in told] == [
        ("ONVIF_ICAMERA", "MSTAR_IPNC"),
        ("FLIR Systems", "CM-6204-11-I"),
        ("Geovision", "GV-UNP2500"),
        ("Panasonic", "WV-V1330LK"),
        ("Avigilon", "2.0-H3M-DO1"),
        ("ipcamera", "TC-C32TS SPEC:I8/A/E/Y/M/H/2.7-13.5mm"),
        ("STD", "FI710-L"),
        ("FLIR Systems", "CM-3102-11-I"),
    ]
    assert [one["ExpectedModel"] for one in scopes_file()] == [one.model for one in told]
    assert told[4].name == "Xuất cảnh 4"
    assert told[0].location == "China, Shenzhen"
    corpus.checked(corpus.path(*SCOPES))


@corpus.needs_corpus
@pytest.mark.parametrize(
    ("file", "maker", "model", "endpoint", "targets"),
    [
        (
            "probeResponse.xml",
            "AXIS",
            "M2025-LE",
            "urn:uuid:3ea96f68-b845-4c0b-87cf-eee9043ab413",
            ["onvif://192.168.0.209:80", "onvifs://192.168.0.209:443"],
        ),
        (
            "probeResponse2.xml",
            "Amcrest",
            "IP5M-B1186E",
            "uuid:2a46daf1-86f6-91ad-5458-3d184eb46a58",
            ["onvif://192.168.0.205:80"],
        ),
    ],
)
def test_probe_matches_of_real_cameras(
    file: str, maker: str, model: str, endpoint: str, targets: list[str]
) -> None:
    """AXIS with four addresses, two of them link-local (quirk 22), and an Amcrest without type prefixes' spaces."""
    captured = corpus.path("onvif", "ONVIF-Camera-Kotlin", file)
    (found,) = read(captured.read_bytes(), "192.168.0.209")
    joined = Joined()
    joined.add(found, LAN)
    device = joined.devices[0]

    assert (device.label.maker, device.label.model, device.endpoint) == (maker, model, endpoint)
    assert [str(target) for target in device.targets] == targets
    assert set(device.types) == {"NetworkVideoTransmitter", "Device"}
    corpus.checked(captured)


@pytest.mark.parametrize(
    ("xaddrs", "targets", "note"),
    [
        (
            "http://0.0.0.0:8000/onvif/device_service",
            ["onvif://192.168.0.20:8000"],
            "unspecified_address",
        ),
        (
            "http://169.254.1.2/onvif/device_service http://192.168.0.20/onvif/device_service",
            ["onvif://192.168.0.20:80"],
            "link_local_address",
        ),
        ("http://[fe80::1]/onvif/device_service", [], "link_local_address"),
        ("http://10.9.9.9/onvif/device_service", ["onvif://10.9.9.9:80"], "answers_from_another_address"),
        ("http://192.168.0.20:99999/ ftp://192.168.0.20/", [], "unreadable_address"),
        ("https://192.168.0.20/onvif/device", ["onvifs://192.168.0.20:443/onvif/device"], ""),
        ("http://169.254.169.254/latest/meta-data", [], "link_local_address"),
    ],
)
def test_addresses_that_cameras_name(xaddrs: str, targets: list[str], note: str) -> None:
    """Unspecified, link-local, foreign and broken addresses (quirks 21 and 22)."""
    found, notes = readable(match(xaddrs), LAN)

    assert [str(target) for target in found] == targets
    assert (note in notes) if note else notes == ()


def test_the_address_that_answered_is_the_first() -> None:
    """Of several addresses the datagram's source is given first, plain before TLS, IPv4 before IPv6."""
    joined = Joined()
    joined.add(
        match("https://192.168.0.20/x http://10.0.0.1/x http://192.168.0.20/x http://[fd00::9]/x"), LAN
    )

    assert [str(target.host) for target in joined.devices[0].targets] == [
        "192.168.0.20",
        "192.168.0.20",
        "10.0.0.1",
        "fd00::9",
    ]
    assert joined.devices[0].targets[0].scheme == "onvif"


def test_replies_are_joined_by_endpoint_and_else_by_address() -> None:
    """One device whose endpoint changes with each reply is one; two addresses of one endpoint are one."""
    joined = Joined()
    joined.add(match("http://192.168.0.20/onvif/device_service", endpoint="urn:uuid:1"), LAN)
    joined.add(match("http://192.168.0.20/onvif/device_service", endpoint="urn:uuid:2"), LAN)
    joined.add(match("http://192.168.5.20/onvif/device_service", "192.168.5.20", "urn:uuid:1"), LAN)
    joined.add(match("http://192.168.0.21/onvif/device_service", "192.168.0.21", ""), LAN)
    joined.add(match("", "192.168.0.22", ""), LAN)
    joined.add(match("", "192.168.0.22", ""), LAN)

    assert [len(device.targets) for device in joined.devices] == [2, 1, 0]
    assert "several_endpoints" in joined.devices[0].notes
    assert "foreign_subnet" in joined.devices[0].notes


def test_scopes_are_read_as_people_wrote_them() -> None:
    """Vietnamese in percent-encoded UTF-8, old firmware's Latin-1, and no character that commands a terminal."""
    assert decoded("C%E1%BB%95ng%20ph%C6%B0%E1%BB%9Dng") == "Cổng phường"
    assert decoded("Caf%E9") == "Café"
    assert decoded("a%1B%5B2Jb%E2%80%AEc") == "a [2Jb c"
    assert decoded("100%") == "100%"


def test_other_devices_are_no_cameras() -> None:
    """A printer answers the empty probe; it nowhere mentions onvif."""
    printer = reply("http://192.168.0.9/").replace(b"onvif", b"print")

    assert read(printer, "192.168.0.9") == ()


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x onvif="">&b;</x>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE onvif SYSTEM "http://x/">'.encode("utf-16"),
    ],
)
def test_hostile_datagrams_are_refused(datagram: bytes) -> None:
    """Empty, no XML, an entity bomb, one hidden in UTF-16: an error, and no expansion."""
    with pytest.raises(RemoteProtocolError):
        read(datagram, "192.168.0.9")


def test_one_reply_brings_a_bounded_number_of_everything() -> None:
    """64 kB of scopes, addresses and matches are cut to the bounds."""
    scopes = " ".join(f"onvif://www.onvif.org/name/{number}" for number in range(1500))
    addresses = " ".join(f"http://192.168.0.20:{number}/" for number in range(1, 900))
    (found,) = read(reply(addresses, scopes=scopes), "192.168.0.20")

    assert len(found.scopes) <= 200
    assert len(found.addresses) <= 16
    many = reply("http://192.168.0.20/").replace(
        b"</d:ProbeMatches>", b"<d:ProbeMatch><d:XAddrs/></d:ProbeMatch>" * 400 + b"</d:ProbeMatches>"
    )
    assert len(read(many, "192.168.0.20")) == 16


@given(st.binary(max_size=400), st.integers(0, 900), st.integers(0, 60))
def test_a_damaged_reply_never_breaks_the_reader(noise: bytes, at: int, cut: int) -> None:
    """Any bytes put anywhere into a reply give matches or the one typed error."""
    whole = reply("http://192.168.0.20:80/onvif/device_service http://[::1")
    try:
        for found in read(whole[:at] + noise + whole[at + cut :], "192.168.0.20"):
            assert Joined().add(found, LAN) is not None
    except RemoteProtocolError:
        pass
