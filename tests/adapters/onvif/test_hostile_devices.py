"""Devices that are dead, slow, broken or malicious: each ends typed, in time, without harm."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from probing import probe, probe_raw
from scripted_onvif import ENVELOPE, Device, answer, http, profile

from adapters.errors import RemoteProtocolError, TimedOut, Unreachable
from standards.reason import Reason

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def always(reply: bytes, *, close: bool = True) -> Handler:
    """Answer every request with the same bytes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            await reader.readexactly(length)
            writer.write(reply)
            await writer.drain()
            if close:
                return

    return handler


class TestDead:
    @pytest.mark.long
    def test_accepts_and_says_nothing(self) -> None:
        """A device that answers nothing is left alone after two silences, and the step is named."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        seen = probe_raw(handler)

        assert isinstance(seen.result.failure, TimedOut)
        assert seen.took_s < 25.0
        assert seen.reason("reach.answers") is Reason.TIMED_OUT
        assert seen.detail("reach.answers") == "ONVIF device GetSystemDateAndTime: no answer in 3.0 s"
        assert seen.reason("device.model") is Reason.TIMED_OUT
        assert seen.courtesy.reads == 2

    def test_the_deadline_of_the_request_holds(self) -> None:
        """A probe that is given less time takes no more than that."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        seen = probe_raw(handler, limit_s=0.5)

        assert isinstance(seen.result.failure, TimedOut)
        assert seen.took_s < 15.0

    @pytest.mark.long
    def test_goes_silent_in_the_middle(self) -> None:
        """A device that falls silent after the login keeps what it told; the rest names the step that timed out."""
        device = Device(replies={"GetScopes": b"", "GetNetworkInterfaces": b""})
        seen = probe(device, limit_s=2.0)

        assert isinstance(seen.result.failure, TimedOut)
        assert seen.value("reach.answers") == 3
        assert seen.value("device.model") == "Eye 2"
        assert seen.reason("onvif.scopes") is Reason.TIMED_OUT
        assert seen.reason("stream.main.claimed_width") is Reason.TIMED_OUT
        assert seen.took_s < 15.0

    def test_closes_at_once(self) -> None:
        """A device that closes without a word is unreachable."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            return

        seen = probe_raw(handler)

        assert isinstance(seen.result.failure, Unreachable)
        assert seen.reason("reach.answers") is Reason.UNREACHABLE


class TestNotACamera:
    @pytest.mark.parametrize("status", [200, 400, 404, 405, 501, 500])
    def test_html(self, status: int) -> None:
        """A web server is not ONVIF, whatever its status."""
        page = b"<!DOCTYPE html><html><body>It works!</body></html>"
        seen = probe_raw(always(http(status, page, "Content-Type: text/html")))

        assert isinstance(seen.result.failure, RemoteProtocolError)
        assert seen.result.failure.reason is Reason.NOT_THE_PROTOCOL
        assert seen.result.failure.hint
        assert seen.courtesy.logins == 0
        assert seen.courtesy.reads <= 10  # five, each repeated on a connection that was closed without notice

    def test_another_protocol(self) -> None:
        """A mail server is not ONVIF."""
        seen = probe_raw(always(b"220 mail.example ESMTP\r\n"))

        assert isinstance(seen.result.failure, RemoteProtocolError)
        assert seen.result.failure.reason is Reason.NOT_THE_PROTOCOL

    def test_redirects_elsewhere(self) -> None:
        """A redirect to another host is not followed, and no credential goes there."""
        seen = probe_raw(always(http(302, b"", "Location: http://192.0.2.7/onvif/device_service")))

        assert isinstance(seen.result.failure, RemoteProtocolError)
        assert seen.result.failure.reason is Reason.NOT_THE_PROTOCOL
        assert seen.dialer.opened == 1

    def test_plain_tcp_on_the_tls_scheme(self) -> None:
        """A device without TLS on the TLS port fails as TLS or as unreachable, not as our error."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(5)
            writer.write(http(400, b""))
            await writer.drain()

        seen = probe_raw(handler, scheme="onvifs")

        assert seen.reason("reach.answers") in {Reason.TLS_FAILED, Reason.UNREACHABLE}


class TestMalicious:
    @pytest.mark.parametrize(
        "body",
        [
            b'<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;">]><a>&m;</a>',
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
            + ENVELOPE.format("&x;").encode()[38:],
            b"<a>" * 200_000,
            b"<" * 4_000_000,
            ENVELOPE.format("<a>" * 5000).encode(),
        ],
    )
    def test_xml_bombs(self, body: bytes) -> None:
        """Entities, document types and floods of elements end typed, quickly."""
        seen = probe_raw(always(http(200, body)))

        assert isinstance(seen.result.failure, RemoteProtocolError)
        assert seen.took_s < 25.0

    def test_a_reply_of_100_megabytes(self) -> None:
        """A flood of bytes is cut off at the bound."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nConnection: close\r\n\r\n"
            )
            for _ in range(100):
                writer.write(b"x" * (1 << 20))
                await writer.drain()

        seen = probe_raw(handler)

        assert isinstance(seen.result.failure, RemoteProtocolError)
        assert seen.result.failure.reason is Reason.MALFORMED_HTTP
        assert seen.took_s < 25.0

    @pytest.mark.long
    @pytest.mark.parametrize("drip", [b"X-Endless: 1\r\n", b"\r\n", b"x"])
    def test_slow_loris(self, drip: bytes) -> None:
        """Heads and bodies that drip without end cost no more than a dead device."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n")
            while True:
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(0.05)

        seen = probe_raw(handler, limit_s=1.0)

        assert seen.result.failure is not None
        assert seen.took_s < 15.0

    def test_floods_in_single_fields(self) -> None:
        """Enormous texts and lists inside valid replies are bounded in the facts."""
        huge = "x" * 500_000
        many = "".join(profile(f"P{at}", "H264", 1920, 1080, f"VS{at}") for at in range(1500))
        device = Device(
            auth="none",
            replies={
                "GetDeviceInformation": answer("GetDeviceInformation", f"<tds:Model>{huge}</tds:Model>"),
                "GetScopes": answer(
                    "GetScopes", "<tds:Scopes><tt:ScopeItem>onvif://a</tt:ScopeItem></tds:Scopes>" * 9000
                ),
                "GetProfiles": answer("GetProfiles", many, "trt"),
            },
        )
        seen = probe(device)

        assert len(str(seen.value("device.model"))) <= 256
        assert len(seen.value("onvif.media_profiles") or ()) <= 256  # type: ignore[arg-type]
        assert len(str(seen.result.observations.as_json())) < 400_000

    def test_numbers_that_are_none(self) -> None:
        """Widths and rates that are no numbers are told as not told."""
        odd = (
            profile("P", "H264", 1, 1)
            .replace(">1<", ">NaN<")
            .replace(">25<", ">1e999<")
            .replace(">2048<", ">-5<")
        )
        seen = probe(Device(replies={"GetProfiles": answer("GetProfiles", odd, "trt")}))

        assert seen.result.failure is None
        assert seen.reason("stream.main.claimed_width") is Reason.EMPTY_REPLY
        assert seen.reason("stream.main.claimed_fps") is Reason.EMPTY_REPLY
        assert seen.reason("stream.main.claimed_bitrate_kbps") is Reason.EMPTY_REPLY

    @pytest.mark.parametrize(
        "uri",
        [
            "rtsp://169.254.169.254/latest",
            "rtsp://192.0.2.9:22/x",
            "RTSP://user:leak3d@evil.example:8554/x",
            "rtsp://[::ffff:169.254.169.254]/x",
        ],
    )
    def test_streams_elsewhere_are_led_back(self, uri: str) -> None:
        """A stream address that names another host becomes one on the enrolled host, without its credentials."""
        device = Device(
            replies={
                "GetStreamUri": answer(
                    "GetStreamUri", f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri></trt:MediaUri>", "trt"
                )
            }
        )
        seen = probe(device)

        assert {offer.target.host for offer in seen.result.offers} == {"127.0.0.1"}
        assert "leak3d" not in repr(seen.result)

    @pytest.mark.parametrize(
        "uri",
        ["", "file:///etc/passwd", "javascript:1", "rtsp://", "rtsp://h:99999/", "rtsp://" + "a" * 5000],
    )
    def test_addresses_that_are_none(self, uri: str) -> None:
        """A stream address that cannot be read makes no offer, and says so."""
        device = Device(
            replies={
                "GetStreamUri": answer(
                    "GetStreamUri", f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri></trt:MediaUri>", "trt"
                )
            }
        )
        seen = probe(device)

        assert [offer.target.host for offer in seen.result.offers] in ([], ["127.0.0.1"] * 2)
        if uri != "rtsp://":
            assert seen.result.offers == ()
            assert seen.reason("onvif.stream_uri_octets") is Reason.EMPTY_REPLY
        assert seen.value("target.interfaces") in {("onvif",), ("onvif", "rtsp")}
