"""Devices that answer with anything: each ends in facts with reasons or one typed error, within the deadline."""

import asyncio

import pytest
from asking import Told, ask, ask_at
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_replay import Replayer, Seen, serving

from adapters.axis.reads import READS as AXIS_READS
from adapters.dahua.reads import READS as DAHUA_READS
from adapters.errors import AdapterError
from adapters.hikvision.reads import READS as HIKVISION_READS
from adapters.wire.reads import Notes
from standards.facts import FACTS
from standards.reason import Reason

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><DeviceInfo>&b;</DeviceInfo>'
)
FILE = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><DeviceInfo><model>&x;</model></DeviceInfo>'
GOOD_DEVICE = b"<DeviceInfo><model>M</model></DeviceInfo>"


def answering(body: bytes, kind: str = "application/xml", status: int = 200) -> Replayer:
    return Replayer(lambda _seen: (status, kind, body))


@pytest.mark.parametrize("family", ["hikvision", "dahua", "axis"])
@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        FILE,
        b"",
        b"\0" * 100,
        b"<html><body>Router login</body></html>",
        b"\xff\xfe\x00=\x00",
        b"<" * 200_000,
    ],
)
def test_what_is_not_the_interface_is_one_typed_error(family: str, body: bytes) -> None:
    """Bombs, external entities, blanks and web pages for every reply: one error, no entity's text anywhere."""
    told = ask(family, answering(body))

    assert isinstance(told.result.failure, AdapterError)
    assert told.result.failure.code in {"not_the_protocol", "malformed_xml", "empty_reply"}
    assert told.result.offers == ()
    assert not any(word in told.text() for word in ("hahaha", "root:x:"))


def test_one_hostile_reply_costs_its_facts_only() -> None:
    """A bomb for the users' list: those facts are malformed, the rest is read."""

    def answer(seen: Seen) -> tuple[int, str, bytes]:
        if seen.path.endswith("deviceInfo"):
            return 200, "application/xml", GOOD_DEVICE
        if seen.path.endswith("Security/users"):
            return 200, "application/xml", BOMB
        if seen.path.endswith("telnetd"):
            return 200, "application/xml", b"<Telnetd><enabled>true</enabled></Telnetd>"
        return 200, "application/xml", b"<Other/>"

    told = ask("hikvision", Replayer(answer))

    assert told.result.failure is None
    assert told.reason("account.levels") is Reason.MALFORMED_XML
    assert told.reason("storage.present") is Reason.NOT_THE_PROTOCOL
    assert told.value("service.telnet") is True


@pytest.mark.parametrize("announced", [True, False])
def test_a_hundred_megabytes_are_not_read(announced: bool) -> None:
    """A reply that announces 100 MB, or just never ends, is cut off at its bound with a typed error."""
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        length = "Content-Length: 104857600\r\n" if announced else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{length}\r\n".encode())
        for _ in range(100):
            writer.write(b"x=" + b"y" * (1 << 20))
            sent += 1
            await writer.drain()

    async def run() -> Told:
        async with serving(handle) as port:
            return await ask_at("dahua", port, Replayer(lambda _seen: None))

    told = asyncio.run(run())

    assert isinstance(told.result.failure, AdapterError)
    assert told.result.failure.code == "malformed_http"
    assert sent < 60


def test_numbers_of_the_wrong_kind_are_left_out() -> None:
    """Texts, negatives and giants where numbers belong become nothing; a port of 99999 is no port."""

    def answer(seen: Seen) -> tuple[int, str, bytes]:
        replies = {
            "deviceInfo": GOOD_DEVICE,
            "channels": b"<StreamingChannelList><StreamingChannel><id>101</id><Video><videoResolutionWidth>wide"
            b"</videoResolutionWidth><maxFrameRate>-1</maxFrameRate><GovLength>9e99</GovLength></Video>"
            b"</StreamingChannel><StreamingChannel><id>banana</id></StreamingChannel></StreamingChannelList>",
            "adminAccesses": b"<AdminAccessProtocolList><AdminAccessProtocol><protocol>RTSP</protocol>"
            b"<portNo>99999</portNo></AdminAccessProtocol></AdminAccessProtocolList>",
            "illegalLoginLock": b"<IllegalLoginLock><enabled>maybe</enabled><maxIllegalLoginTimes>"
            + b"9" * 5000
            + b"</maxIllegalLoginTimes></IllegalLoginLock>",
            "time": b"<Time><localTime>9999-99-99T99:99:99+99:99</localTime><timeZone>X-99</timeZone></Time>",
        }
        body = replies.get(seen.path.rsplit("/", 1)[1], b"<x/>")
        return 200, "application/xml", body

    told = ask("hikvision", Replayer(answer))

    assert told.result.failure is None
    assert told.result.offers[0].target.port == 554
    assert told.reason("stream.main.claimed_width") is Reason.EMPTY_REPLY
    assert told.reason("account.lockout_attempts") is Reason.EMPTY_REPLY
    assert told.reason("time.offset_s") is Reason.EMPTY_REPLY
    assert (told.value("service.rtsp_port"), told.reason("service.rtsp_port")) == (None, Reason.EMPTY_REPLY)


def test_a_redirect_to_another_host_is_not_followed() -> None:
    """The credential and the request stay with the enrolled host."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.7/ISAPI\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def run() -> Told:
        async with serving(handle) as port:
            return await ask_at("hikvision", port, Replayer(lambda _seen: None))

    told = asyncio.run(run())

    assert isinstance(told.result.failure, AdapterError)
    assert told.result.failure.code == "not_the_protocol"


READS = (*HIKVISION_READS, *DAHUA_READS, *AXIS_READS)
PIECES = st.sampled_from(
    [
        b"<DeviceInfo>",
        b"</x>",
        b"<User>",
        b"table.Encode[0].MainFormat[0].Video.FPS=",
        b"root.Image.I0.Name=",
        b'{"data":',
        b"\n",
        b"=",
        b"1920x1080",
        b'"',
        b"{}",
        b"[",
        b"users[0].Name=",
        b"\xc3\x28",
        b"list.info[0].Detail[0].TotalBytes=",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=12).map(b"".join)))
def test_any_body_is_facts_or_a_typed_error(body: bytes) -> None:
    """Whatever bytes come, each reader returns named facts or raises an AdapterError."""
    from test_vendor_corpus import http

    for read in READS:
        try:
            found = read.take(http(body), Notes(user="u"))
        except AdapterError:
            continue
        assert set(found) <= set(FACTS)
        assert set(found) <= set(read.facts), read.name
