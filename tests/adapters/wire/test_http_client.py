"""The guarded HTTP client against servers that misbehave on loopback."""

import asyncio
import gzip
import ssl
import sys
from collections.abc import Callable

import pytest
import trustme
from raw_server import Handler, read_request, reply, serving

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AddressRefused,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer, NetworkPolicy
from adapters.wire.http import HttpClient, HttpReply, request_uri
from standards.reason import Reason

CLOCK = SystemClock()


def ask(
    handler: Handler,
    *,
    path: str = "/x",
    times: int = 1,
    limit_s: float = 10.0,
    policy: NetworkPolicy = LAN_AND_LOOPBACK,
    tls: ssl.SSLContext | None = None,
    **options: object,
) -> list[HttpReply]:
    """Send `times` POST requests to a server with this handler."""

    async def run() -> list[HttpReply]:
        async with serving(handler, ssl=tls) as port:
            dialer = Dialer(policy)
            scheme = "https" if tls else "http"
            async with HttpClient(dialer, CLOCK, "127.0.0.1") as http:
                return [
                    await http.request(
                        "POST",
                        f"{scheme}://127.0.0.1:{port}{path}",
                        operation="test",
                        deadline=Deadline.after(CLOCK, 10.0),
                        limit_s=limit_s,
                        body=b"<a/>",
                        **options,
                    )
                    for _ in range(times)
                ]

    return asyncio.run(run())


def answering(*replies: bytes) -> Handler:
    """Answer each request on a connection with the next of these bytes, then close."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for data in replies:
            await read_request(reader)
            writer.write(data)
            await writer.drain()

    return handler


def refused(handler: Handler, **options: object) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        ask(handler, **options)
    return caught.value


class TestReading:
    def test_gives_the_whole_reply(self) -> None:
        """Status, headers in lower case and the body come back as sent."""
        (got,) = ask(
            answering(reply(b"<b/>", "200 OK", "Content-Type: text/xml; charset=utf-8", "X-A: 1", "X-A: 2"))
        )

        assert (got.status, got.body, got.media_type, got.all("x-a"), got.tls) == (
            200,
            b"<b/>",
            "text/xml",
            ["1", "2"],
            "",
        )

    def test_always_sends_the_body(self) -> None:
        """The body goes out with every POST, with its length (quirk 42: an empty POST hangs the device)."""
        seen: list[tuple[str, dict[str, str], bytes]] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await read_request(reader))
            writer.write(reply(b"ok"))
            await writer.drain()

        ask(handler)

        line, headers, body = seen[0]
        assert (line, body, headers["content-length"]) == ("POST /x HTTP/1.1", b"<a/>", "4")
        assert "transfer-encoding" not in headers
        assert "cookie" not in headers

    def test_keeps_one_connection(self) -> None:
        """Two requests in a row use one connection."""
        connections = 0

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while True:
                await read_request(reader)
                writer.write(reply(b"ok"))
                await writer.drain()

        ask(handler, times=3)

        assert connections == 1

    def test_asks_again_where_a_kept_connection_was_gone(self) -> None:
        """A camera that closes after each reply without saying so is asked once more (quirk 28)."""
        got = ask(answering(reply(b"ok")), times=3)

        assert [item.body for item in got] == [b"ok"] * 3

    def test_does_not_ask_again_on_a_fresh_connection(self) -> None:
        """A camera that closes without an answer is asked once."""
        requests = 0

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal requests
            await read_request(reader)
            requests += 1

        error = refused(handler)

        assert isinstance(error, Unreachable)
        assert requests == 1

    def test_a_content_length_that_is_too_long_costs_no_timeout(self) -> None:
        """A body that is complete by its content is taken although the announced length never comes (quirk 29)."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(reply(b"<x></x>", length=500))
            await writer.drain()
            await asyncio.sleep(30)

        (got,) = ask(handler, complete=lambda tail: tail.endswith(b"</x>"))

        assert (got.body, got.quirks) == (b"<x></x>", ("content_length_too_long",))

    def test_a_body_cut_short_is_kept_and_named(self) -> None:
        """What arrived before an early close is kept, with the quirk named."""
        (got,) = ask(answering(reply(b"<x><y>", length=500)))

        assert (got.body, got.quirks) == (b"<x><y>", ("body_cut_short",))

    def test_undoes_gzip_that_nobody_asked_for(self) -> None:
        """An unasked content coding is undone once (quirk 30)."""
        (got,) = ask(answering(reply(gzip.compress(b"<b/>"), "200 OK", "Content-Encoding: gzip")))

        assert (got.body, got.quirks) == (b"<b/>", ("unasked_content_coding",))

    def test_leaves_the_body_unread_when_asked(self) -> None:
        """With read_body False only the head is taken."""
        (got,) = ask(
            answering(reply(b"secret picture", "200 OK", "Content-Type: image/jpeg")), read_body=False
        )

        assert (got.status, got.media_type, got.body) == (200, "image/jpeg", b"")

    def test_keeps_the_connection_behind_a_short_refusal(self) -> None:
        """The text of a refusal that nobody wants is read and thrown away: the login needs no new connection."""
        connections = 0

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while True:
                await read_request(reader)
                writer.write(reply(b"not you\n", "401 Unauthorized"))

        got = ask(handler, times=3, read_body=False)

        assert [(item.status, item.body, item.quirks) for item in got] == [(401, b"", ())] * 3
        assert connections == 1

    @pytest.mark.parametrize("sent", [b"", b"not"])
    @pytest.mark.parametrize("closes", [True, False])
    def test_a_refusal_counts_without_its_text(self, sent: bytes, closes: bool) -> None:
        """A refusal whose announced text does not come is read all the same, and its connection is given up."""
        connections = 0

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await read_request(reader)
            writer.write(reply(sent, "401 Unauthorized", length=500))
            if not closes:
                await reader.read()

        got = ask(handler, times=2, read_body=False, limit_s=20.0)

        assert [(item.status, item.body, item.quirks) for item in got] == [(401, b"", ())] * 2
        assert connections == 2

    def test_every_request_on_a_kept_connection_has_its_own_limit(self) -> None:
        """The one alarm of a connection rings for the request under way, whatever an earlier one was allowed."""

        async def run() -> list[object]:
            async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                for wait_s in (0.0, 0.5, 30.0):
                    await read_request(reader)
                    await asyncio.sleep(wait_s)
                    writer.write(reply(b"<a/>"))

            seen: list[object] = []
            async with (
                serving(handler) as port,
                HttpClient(Dialer(LAN_AND_LOOPBACK), CLOCK, "127.0.0.1") as http,
            ):
                for limit_s in (0.25, 20.0, 0.25):
                    try:
                        got = await http.request(
                            "GET",
                            f"http://127.0.0.1:{port}/",
                            operation="test",
                            deadline=Deadline.after(CLOCK, 60.0),
                            limit_s=limit_s,
                        )
                        seen.append(got.body)
                    except TimedOut as late:
                        seen.append(late.phase)
            return seen

        assert asyncio.run(run()) == [b"<a/>", b"<a/>", "test"]


class TestHostileReplies:
    def test_a_gzip_bomb_is_refused(self) -> None:
        """A coding that unpacks beyond the bound is refused without unpacking it all."""
        bomb = gzip.compress(bytes(50 << 20))
        error = refused(answering(reply(bomb, "200 OK", "Content-Encoding: gzip")), max_bytes=1 << 20)

        assert isinstance(error, RemoteProtocolError)
        assert error.reason is Reason.MALFORMED_HTTP

    @pytest.mark.parametrize("announced", [True, False])
    def test_a_huge_reply_is_refused(self, announced: bool) -> None:
        """A reply above the bound ends typed, whether its length is announced or not."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            length = b"Content-Length: 104857600\r\n" if announced else b"Connection: close\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
            for _ in range(100):
                writer.write(bytes(1 << 20))
                await writer.drain()

        error = refused(handler, limit_s=5.0)

        assert isinstance(error, RemoteProtocolError)
        assert error.reason is Reason.MALFORMED_HTTP

    @pytest.mark.parametrize("drip", [b"H", b"X-Endless: 1\r\n"])
    def test_a_dripping_head_ends_with_the_limit(self, drip: bytes) -> None:
        """Headers that drip without end cost the time limit of the request, not more."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(0.02)

        started = CLOCK.monotonic()
        error = refused(handler, limit_s=0.6)

        assert isinstance(error, (TimedOut, RemoteProtocolError))
        assert CLOCK.monotonic() - started < 8.0

    def test_an_endless_head_is_refused(self) -> None:
        """Headers sent at full speed without end are cut off."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X-Endless: 1\r\n" * 1000)
                await writer.drain()

        error = refused(handler)

        assert isinstance(error, RemoteProtocolError)
        assert error.reason is Reason.MALFORMED_HTTP

    def test_a_dripping_body_ends_with_the_limit(self) -> None:
        """A slow-loris body costs the time limit of the request, not more."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

        error = refused(handler, limit_s=0.5)

        assert isinstance(error, TimedOut)
        assert error.phase == "test"

    def test_a_bomb_of_chunks_is_refused(self) -> None:
        """Chunks of one byte without end are cut off at their number."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"1;x=y\r\nz\r\n" * 1000)
                await writer.drain()

        error = refused(handler, limit_s=10.0)

        assert isinstance(error, RemoteProtocolError)
        assert error.reason is Reason.MALFORMED_HTTP

    def test_a_head_with_nul_bytes_is_read(self) -> None:
        """Garbage in the head costs its lines; the reply is read and the quirk named (quirk 31)."""
        (got,) = ask(answering(b"HTTP/1.1 200 OK\r\nServer\0\0: x\r\nContent-Length: 4\r\n\r\n<b/>"))

        assert (got.body, got.quirks) == (b"<b/>", ("garbage_in_head",))

    def test_header_values_of_ours_cannot_break_the_request(self) -> None:
        """A line break in a header, such as out of a camera's realm, is our error and is not sent."""
        error = refused(answering(reply(b"ok")), headers=[("Authorization", "Digest x\r\nHost: evil")])

        assert isinstance(error, LocalProtocolError)

    def test_another_protocol_is_named(self) -> None:
        """A peer that answers with an SSH banner is not the protocol."""
        error = refused(answering(b"SSH-2.0-dropbear\r\n"))

        assert isinstance(error, RemoteProtocolError)
        assert error.reason is Reason.NOT_THE_PROTOCOL

    def test_no_message_holds_the_reply(self) -> None:
        """An error's text does not repeat bytes of the peer."""
        error = refused(answering(b"HTTP/1.1 200 OK\r\nBad\x01Header: top-secret\r\n\r\n"))

        assert "top-secret" not in str(error)


class TestRedirects:
    def _to(self, location: Callable[[int], str]) -> Handler:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                line, _headers, _body = await read_request(reader)
                port = writer.get_extra_info("sockname")[1]
                if " /x " in line:
                    writer.write(reply(b"", "302 Found", f"Location: {location(port)}"))
                else:
                    writer.write(reply(line.encode()))
                await writer.drain()

        return handler

    def test_follows_on_the_same_host(self) -> None:
        """A redirect on the enrolled host is followed with the same method, and the URL that answered is told."""
        (got,) = ask(self._to(lambda port: f"http://127.0.0.1:{port}/y"), follow=True)

        assert got.body == b"POST /y HTTP/1.1"
        assert got.url.endswith("/y")

    def test_is_not_followed_unless_asked(self) -> None:
        """Without `follow` the redirect itself is the reply."""
        (got,) = ask(self._to(lambda _port: "/y"))

        assert got.status == 302

    @pytest.mark.parametrize(
        "location", ["http://127.0.0.2/y", "http://169.254.169.254/", "file:///etc/passwd", "http://["]
    )
    def test_does_not_leave_the_host(self, location: str) -> None:
        """A redirect to another host, or to nonsense, is refused and not dialled."""
        error = refused(self._to(lambda _port: location), follow=True)

        assert isinstance(error, RemoteProtocolError)
        assert error.reason is Reason.NOT_THE_PROTOCOL

    def test_a_circle_ends(self) -> None:
        """Redirects that lead in a circle end typed."""
        error = refused(self._to(lambda _port: "/x"), follow=True)

        assert isinstance(error, RemoteProtocolError)


class TestSockets:
    def test_every_socket_is_the_dialers(self) -> None:
        """The dialer has opened exactly the sockets that were connected, IP literals included."""
        connected: list[object] = []
        watching = True

        def hook(event: str, args: tuple[object, ...]) -> None:
            if watching and event == "socket.connect":
                connected.append(args[1])

        sys.addaudithook(hook)

        async def run(host: str) -> int:
            async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await read_request(reader)
                writer.write(reply(b"ok"))
                await writer.drain()

            dialer = Dialer(LAN_AND_LOOPBACK)
            async with serving(handler) as port, HttpClient(dialer, CLOCK, host) as http:
                await http.request(
                    "GET",
                    f"http://{host}:{port}/",
                    operation="test",
                    deadline=Deadline.after(CLOCK, 5.0),
                    limit_s=5.0,
                )
            return dialer.opened

        try:
            assert asyncio.run(run("127.0.0.1")) == len(connected) == 1
            connected.clear()
            assert asyncio.run(run("localhost")) == 1
            assert {address[0] for address in connected} == {"127.0.0.1"}  # type: ignore[index]
        finally:
            watching = False

    def test_refused_addresses_are_not_dialled(self) -> None:
        """An IP literal outside the policy is refused before a socket exists."""
        error = refused(answering(reply(b"ok")), policy=NetworkPolicy())

        assert isinstance(error, AddressRefused)

    def test_another_host_is_our_bug(self) -> None:
        """The client of one device asks no other host."""

        async def run() -> None:
            async with HttpClient(Dialer(LAN_AND_LOOPBACK), CLOCK, "127.0.0.1") as http:
                await http.request(
                    "GET",
                    "http://127.0.0.2/",
                    operation="test",
                    deadline=Deadline.after(CLOCK, 1.0),
                    limit_s=1.0,
                )

        with pytest.raises(LocalProtocolError):
            asyncio.run(run())

    def test_proxies_of_the_environment_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """http_proxy in the environment changes nothing."""
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

        assert ask(answering(reply(b"ok")))[0].body == b"ok"

    def test_nothing_listens(self) -> None:
        """A refused connection names the port."""

        async def run() -> int:
            async with serving(answering()) as port:
                pass
            async with HttpClient(Dialer(LAN_AND_LOOPBACK), CLOCK, "127.0.0.1") as http:
                with pytest.raises(Unreachable, match=f"nothing listens on port {port}"):
                    await http.request(
                        "GET",
                        f"http://127.0.0.1:{port}/",
                        operation="test",
                        deadline=Deadline.after(CLOCK, 1.0),
                        limit_s=1.0,
                    )
            return port

        asyncio.run(run())


class TestSharing:
    def test_no_more_connections_than_allowed(self) -> None:
        """Many requests at once share two connections, and each is answered."""
        now_open, most = 0, 0

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal now_open, most
            now_open += 1
            most = max(most, now_open)
            try:
                while True:
                    await read_request(reader)
                    await asyncio.sleep(0)
                    writer.write(reply(b"ok"))
                    await writer.drain()
            finally:
                now_open -= 1

        async def run() -> int:
            dialer = Dialer(LAN_AND_LOOPBACK)
            async with serving(handler) as port, HttpClient(dialer, CLOCK, "127.0.0.1") as http:
                replies = await asyncio.gather(
                    *(
                        http.request(
                            "GET",
                            f"http://127.0.0.1:{port}/",
                            operation="test",
                            deadline=Deadline.after(CLOCK, 20.0),
                            limit_s=20.0,
                        )
                        for _ in range(9)
                    )
                )
            assert [got.body for got in replies] == [b"ok"] * 9
            return dialer.opened

        assert asyncio.run(run()) == 2
        assert most == 2


class TestTls:
    def test_a_self_signed_camera_is_read_and_its_version_told(self) -> None:
        """The certificate is not verified; the negotiated version stands in the reply."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("camera.invalid").configure_cert(context)

        (got,) = ask(answering(reply(b"ok")), tls=context)

        assert got.body == b"ok"
        assert got.tls in {"TLSv1.2", "TLSv1.3"}

    def test_what_the_handshake_showed_is_in_every_reply(self) -> None:
        """Version, cipher and certificate of the connection stand beside the reply, on a kept connection too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("camera.invalid").configure_cert(context)

        for got in ask(answering(reply(b"ok"), reply(b"ok")), tls=context, times=2):
            assert got.tls_seen is not None
            facts = got.tls_seen.facts("tls", CLOCK.now())
            assert facts["tls.version"] == got.tls
            assert facts["tls.expired"] is False
            assert facts["tls.self_signed"] is False
            assert facts["tls.fingerprint"]

    def test_plain_http_on_a_tls_url_is_a_tls_failure(self) -> None:
        """A peer that does not speak TLS where TLS was asked for fails typed."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(5)
            writer.write(reply(b"", "400 Bad Request"))
            await writer.drain()

        async def run() -> None:
            async with (
                serving(handler) as port,
                HttpClient(Dialer(LAN_AND_LOOPBACK), CLOCK, "127.0.0.1") as http,
            ):
                await http.request(
                    "GET",
                    f"https://127.0.0.1:{port}/",
                    operation="test",
                    deadline=Deadline.after(CLOCK, 2.0),
                    limit_s=2.0,
                )

        with pytest.raises(TlsFailed):
            asyncio.run(run())


def test_headers_may_hold_any_text() -> None:
    """A header value outside ASCII, such as a user name, goes out as UTF-8."""
    seen: list[dict[str, str]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await read_request(reader))[1])
        writer.write(reply(b"ok"))
        await writer.drain()

    ask(handler, headers=[("Authorization", 'Digest username="quản trị"')])

    assert seen[0]["authorization"].encode("latin-1").decode() == 'Digest username="quản trị"'


def test_the_uri_for_digest_is_the_one_on_the_wire() -> None:
    """`request_uri` gives the request line's path and query, whatever the URL libraries normalise."""
    lines: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _headers, _body = await read_request(reader)
        lines.append(line.split(" ")[1])
        writer.write(reply(b"ok"))
        await writer.drain()

    paths = ["/a b?x=%41&y=é", "/cgi-bin/snap.jpg?user=&n=1%2F2", "/a//b/../c?q", ""]
    for path in paths:
        ask(handler, path=path)

    assert lines == [request_uri(f"http://127.0.0.1:1{path}") for path in paths]
