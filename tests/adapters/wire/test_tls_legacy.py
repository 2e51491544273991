"""Whether a service still speaks old TLS: asked by one hello, against OpenSSL's servers and scripted ones."""

import asyncio
import contextlib
import socket
import ssl
import warnings
from pathlib import Path

import pytest
from raw_server import serving
from support.certificates import camera_pem

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.target import Target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.tls_legacy import MAX_ANSWER, client_hello, legacy_refused, read_answer
from standards.observation import NotObserved, Observation, Observed
from standards.reason import Reason

CLOCK = SystemClock()


def server_hello(version: int, session: bytes = b"") -> bytes:
    """Return the record of a ServerHello (RFC 5246 section 7.4.1.3)."""
    body = version.to_bytes(2, "big") + bytes(32) + bytes([len(session)]) + session + b"\0\x2f\0"
    message = b"\2" + len(body).to_bytes(3, "big") + body
    return b"\x16" + version.to_bytes(2, "big") + len(message).to_bytes(2, "big") + message


def alert(description: int, level: int = 2) -> bytes:
    """Return the record of an alert (RFC 5246 section 7.2)."""
    return bytes([21, 3, 1, 0, 2, level, description])


def asked(port: int, dialer: Dialer, *, spoken: str = "TLSv1.3", limit_s: float = 10.0):
    """Ask the service on a port of loopback."""
    target = Target("onvifs", "127.0.0.1", port)
    return legacy_refused(dialer, CLOCK, target, Deadline.after(CLOCK, limit_s), spoken=spoken)


def of_openssl(context: ssl.SSLContext) -> tuple[Observation, int, BaseException | None]:
    """Ask a server of OpenSSL, on a blocking socket; return what was told, the sockets it took, the server's error."""
    heard: list[BaseException] = []

    def serve(listening: socket.socket) -> None:
        connection, _peer = listening.accept()
        with connection, contextlib.suppress(OSError):
            wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            with wrapped:
                try:
                    wrapped.do_handshake()
                except OSError as error:
                    heard.append(error)

    async def run() -> Observation:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            served = asyncio.get_running_loop().run_in_executor(None, serve, listening)
            told = await asked(listening.getsockname()[1], dialer)
            await served
        return told

    dialer = Dialer(LAN_AND_LOOPBACK)
    told = asyncio.run(run())
    return told, dialer.opened, heard[0] if heard else None


def context_of(folder: Path, lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a server's context that speaks these versions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(camera_pem(folder / "camera.pem"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest
    return context


def of_script(*pieces: bytes, close: bool = True) -> tuple[Observation, list[bytes]]:
    """Ask a socket that answers the hello with these pieces, and then hangs up or stays silent."""
    heard: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(5)
        heard.append(head + await reader.readexactly(int.from_bytes(head[3:], "big")))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if not close:
            await reader.read(1)

    async def run() -> Observation:
        async with serving(handler) as port:
            return await asked(port, Dialer(LAN_AND_LOOPBACK), limit_s=10.0 if close else 1.0)

    return asyncio.run(run()), heard


class TestServersOfOpenSsl:
    def test_a_server_of_tls_1_2_refuses_with_an_alert(self, tmp_path: Path) -> None:
        """PASS of SEC-09: one connection, and the alert stands in the provenance."""
        context = context_of(tmp_path, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

        told, sockets, error = of_openssl(context)

        assert isinstance(told, Observed)
        assert (told.value, told.provenance.excerpt) == (True, "alert protocol_version")
        assert sockets == 1
        assert isinstance(error, ssl.SSLError)
        assert error.reason == "UNSUPPORTED_PROTOCOL"

    @pytest.mark.parametrize(
        ("highest", "said"),
        [
            (ssl.TLSVersion.TLSv1, "ServerHello of TLS 1.0"),
            (ssl.TLSVersion.TLSv1_1, "ServerHello of TLS 1.1"),
            (ssl.TLSVersion.TLSv1_3, "ServerHello of TLS 1.1"),
        ],
    )
    def test_a_server_that_still_speaks_an_old_version_is_found(
        self, tmp_path: Path, highest: ssl.TLSVersion, said: str
    ) -> None:
        """FAIL of SEC-09, beside TLS 1.3 too; the one hello is answered by the oldest as by the newer of the two."""
        told, sockets, _error = of_openssl(context_of(tmp_path, ssl.TLSVersion.TLSv1, highest))

        assert isinstance(told, Observed)
        assert (told.value, told.provenance.excerpt) == (False, said)
        assert sockets == 1


class TestScriptedServers:
    @pytest.mark.parametrize(
        ("pieces", "refused"),
        [
            ((), True),  # hung up without a word
            ((alert(40),), True),
            ((alert(71),), True),
            ((alert(0, level=1),), True),
            ((alert(112, level=1), server_hello(0x0302)), False),  # the name is missing, which stops nothing
            ((server_hello(0x0301)[:3], server_hello(0x0301)[3:]), False),
            ((server_hello(0x0300, b"s" * 32),), False),
            ((b"\x16\3\1\0\2\2\0", b"\x16\3\1\0\4\0\x4d\3\2"), False),  # one message over two records
        ],
    )
    def test_an_answer_decides(self, pieces: tuple[bytes, ...], refused: bool) -> None:
        """A hello of an old version accepts; an alert about version or ciphers, or hanging up, refuses."""
        told, _heard = of_script(*pieces)

        assert isinstance(told, Observed)
        assert told.value is refused

    @pytest.mark.parametrize(
        ("pieces", "reason"),
        [
            ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), Reason.NOT_THE_PROTOCOL),
            ((b"\x16\2\0\0\5hello",), Reason.NOT_THE_PROTOCOL),
            ((alert(80),), Reason.DEVICE_FAULT),  # a fault of the server says nothing about versions
            ((alert(112),), Reason.DEVICE_FAULT),
            ((server_hello(0x0303),), Reason.TLS_FAILED),
            ((b"\x16\3\1\0\1\x0b",), Reason.TLS_FAILED),
            ((server_hello(0x0302)[:8],), Reason.EMPTY_REPLY),
            ((alert(112, level=1) * (MAX_ANSWER // 7 + 1),), Reason.TLS_FAILED),  # never an end
        ],
    )
    def test_what_does_not_decide_is_unknown_with_its_reason(
        self, pieces: tuple[bytes, ...], reason: Reason
    ) -> None:
        """Garbage, faults and half answers make an ERROR of SEC-09, never a PASS and never a FAIL."""
        told, _heard = of_script(*pieces)

        assert isinstance(told, NotObserved)
        assert told.reason is reason
        assert told.detail

    @pytest.mark.long
    def test_a_silent_server_costs_the_deadline_and_no_more(self) -> None:
        """No answer is a time-out, which is no refusal."""
        told, _heard = of_script(close=False)

        assert isinstance(told, NotObserved)
        assert told.reason is Reason.TIMED_OUT

    def test_nobody_is_asked_where_the_answer_is_known_or_no_time_is_left(self) -> None:
        """A camera that agreed on TLS 1.0 has answered already; an action that is over opens no connection."""

        async def run() -> None:
            dialer = Dialer(LAN_AND_LOOPBACK)
            known = await asked(9, dialer, spoken="TLSv1")
            late = await asked(9, dialer, limit_s=0.1)
            assert isinstance(known, Observed)
            assert known.value is False
            assert isinstance(late, NotObserved)
            assert late.reason is Reason.NOT_ASKED
            assert dialer.opened == 0

        asyncio.run(run())

    def test_a_closed_port_and_a_refused_address_are_named(self) -> None:
        """The dialer's rules hold here too."""

        async def run() -> None:
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                port = unused.getsockname()[1]
                gone = await asked(port, Dialer(LAN_AND_LOOPBACK))
                refused = await asked(port, Dialer(LAN_AND_LOOPBACK, lambda: frozenset({("*", port)})))
            assert isinstance(gone, NotObserved)
            assert gone.reason is Reason.UNREACHABLE
            assert isinstance(refused, NotObserved)
            assert refused.reason is Reason.NO_PERMISSION

        asyncio.run(run())


def test_the_hello_offers_tls_1_1_at_most_and_carries_no_name() -> None:
    """RFC 4346 section 7.4.1.2: version 3.2, no session, no server_name, no fallback signal; another random each time."""
    first, second = client_hello(), client_hello()

    assert first[:3] == b"\x16\3\1"
    assert first[5:6] == b"\1"
    assert first[9:11] == b"\3\2"
    assert first[11:43] != second[11:43]
    assert first[43] == 0
    count = int.from_bytes(first[44:46], "big")
    ciphers = {first[at : at + 2] for at in range(46, 46 + count, 2)}
    assert b"\x56\x00" not in ciphers
    assert b"\x00\x2f" in ciphers
    assert b"\x00\xff" in ciphers
    rest = first[46 + count + 2 :]
    assert len(rest) - 2 == int.from_bytes(rest[:2], "big")
    assert rest[2:4] == b"\0\x0a"  # groups; no extension 0, which would be a server name


def test_an_answer_is_read_alike_wherever_it_is_cut() -> None:
    """What is not enough yet is None, and the answer does not depend on the pieces."""
    whole = alert(112, level=1) + server_hello(0x0301)

    found = [read_answer(whole[:stop]) for stop in range(len(whole) + 1)]
    decided = [one for one in found if one is not None]

    assert found[0] is None
    assert len(set(decided)) == 1
    assert decided[0].refused is False
