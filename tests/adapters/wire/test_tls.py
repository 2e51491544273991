"""What a TLS handshake with a camera shows, and what is tried with cameras that are too old."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import warnings

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from raw_server import serving

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import TlsFailed
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.http import HttpClient
from adapters.wire.tls import LEGACY, TlsSeen, certificate_facts

CLOCK = SystemClock()
LONG_AGO = dt.datetime(2014, 1, 1, tzinfo=dt.UTC)


def camera_certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, years: int = 10, issuer: str = "IPC"
) -> x509.Certificate:
    """Make a certificate as cameras do: from 2014 on, for so many years."""

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name("IPC"))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(LONG_AGO)
        .not_valid_after(LONG_AGO.replace(year=2014 + years))
        .sign(key, hashes.SHA256())
    )


def server_context(tmp_path, key, certificate: x509.Certificate) -> ssl.SSLContext:
    """Serve with this key and certificate."""
    file = tmp_path / "camera.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(file)
    return context


def shake(context: ssl.SSLContext) -> tuple[TlsSeen, int]:
    """Connect to a server with this context; return what was seen and how many sockets it took."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async def run() -> tuple[TlsSeen, int]:
        dialer = Dialer(LAN_AND_LOOPBACK)
        async with serving(handler, ssl=context) as port:
            _reader, writer, seen = await dialer.connect_tls("127.0.0.1", port, Deadline.after(CLOCK, 10.0))
            writer.close()
        return seen, dialer.opened

    return asyncio.run(run())


def blocking_shake(context: ssl.SSLContext) -> tuple[TlsSeen, int]:
    """As `shake`, with a server on a blocking socket: asyncio's drops the alert of a refused handshake."""

    def serve(listening: socket.socket) -> None:
        for _ in range(2):
            connection, _peer = listening.accept()
            with connection, contextlib.suppress(OSError):
                wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                with wrapped:
                    wrapped.do_handshake()
                    wrapped.recv(1)

    async def run() -> tuple[TlsSeen, int]:
        dialer = Dialer(LAN_AND_LOOPBACK)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            served = asyncio.get_running_loop().run_in_executor(None, serve, listening)
            _reader, writer, seen = await dialer.connect_tls(
                "127.0.0.1", listening.getsockname()[1], Deadline.after(CLOCK, 10.0)
            )
            writer.close()
            await served
        return seen, dialer.opened

    return asyncio.run(run())


class TestCertificate:
    def test_an_expired_certificate_of_a_camera_is_a_finding(self, tmp_path) -> None:
        """The handshake succeeds, and the facts say since when the certificate is over."""
        key = rsa.generate_private_key(65537, 1024)
        seen, _sockets = shake(server_context(tmp_path, key, camera_certificate(key)))

        facts = seen.facts("tls", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))

        assert facts["tls.expired"] is True
        assert facts["tls.not_after"] == "2024-01-01T00:00:00.000Z"
        assert (facts["tls.key_kind"], facts["tls.key_bits"]) == ("RSA", 1024)
        assert facts["tls.self_signed"] is True
        assert facts["tls.version"] == "TLSv1.3"
        assert facts["tls.cipher"]
        assert len(str(facts["tls.fingerprint"])) == 64

    def test_validity_counts_from_both_ends(self) -> None:
        """A certificate is out of its validity before it begins, too: cameras without a clock make such ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        told = certificate_facts(
            camera_certificate(key, issuer="Maker CA").public_bytes(serialization.Encoding.DER)
        )

        assert told is not None
        assert (told.key_kind, told.key_bits, told.self_signed) == ("EC P-256", 256, False)
        assert not told.valid_at(LONG_AGO - dt.timedelta(seconds=1))
        assert told.valid_at(LONG_AGO)

    @pytest.mark.parametrize("der", [b"", b"\x30\x82", b"\x00" * 100, b"\x30" * 70_000])
    def test_an_unreadable_certificate_leaves_its_facts_out(self, der: bytes) -> None:
        """What cannot be read is not guessed; the fingerprint of what came is still there."""
        facts = TlsSeen("TLSv1.2", "AES128-SHA", der).facts("rtsps", CLOCK.now())

        assert facts.keys() == {"rtsps.version", "rtsps.cipher"} | ({"rtsps.fingerprint"} if der else set())


class TestOldCameras:
    def test_a_camera_of_tls_1_0_is_read_by_the_named_tolerance(self, tmp_path) -> None:
        """Only where the modern handshake is refused by version, the old one is tried, once (quirk 43)."""
        key = rsa.generate_private_key(65537, 1024)
        context = server_context(tmp_path, key, camera_certificate(key))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1

        seen, sockets = blocking_shake(context)

        assert (seen.version, seen.legacy, sockets) == ("TLSv1", True, 2)

    def test_the_tolerance_is_named_in_the_reply_and_remembered(self, tmp_path) -> None:
        """An HTTP reply over old TLS names the tolerance; the next connection does not try the modern way again."""
        key = rsa.generate_private_key(65537, 1024)
        context = server_context(tmp_path, key, camera_certificate(key))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1

        def serve(listening: socket.socket) -> None:
            for _ in range(3):  # refused, answered, answered
                connection, _peer = listening.accept()
                with (
                    connection,
                    contextlib.suppress(OSError),
                    context.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    ) as wrapped,
                ):
                    wrapped.do_handshake()
                    wrapped.recv(4096)
                    wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

        async def run() -> None:
            dialer = Dialer(LAN_AND_LOOPBACK)
            with socket.create_server(("127.0.0.1", 0)) as listening:
                served = asyncio.get_running_loop().run_in_executor(None, serve, listening)
                async with HttpClient(dialer, CLOCK, "127.0.0.1") as http:
                    for _ in range(2):
                        got = await http.request(
                            "GET",
                            f"https://127.0.0.1:{listening.getsockname()[1]}/",
                            operation="test",
                            deadline=Deadline.after(CLOCK, 20.0),
                            limit_s=20.0,
                        )
                        assert (got.body, got.tls, got.quirks) == (b"ok", "TLSv1.1", (LEGACY,))
                await served
            assert dialer.opened == 3

        asyncio.run(run())

    def test_a_modern_camera_is_not_asked_twice(self) -> None:
        """One handshake, no tolerance."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("camera.invalid").configure_cert(context)

        seen, sockets = shake(context)

        assert (seen.legacy, sockets) == (False, 1)

    @pytest.mark.parametrize(
        "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03" + b"\xff" * 400, b""]
    )
    def test_garbage_in_place_of_tls_fails_typed_and_once(self, answer: bytes) -> None:
        """What is no TLS at all is not taken for old TLS."""

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(5)
            writer.write(answer)
            await writer.drain()

        async def run() -> int:
            dialer = Dialer(LAN_AND_LOOPBACK)
            async with serving(handler) as port:
                with pytest.raises(TlsFailed):
                    await dialer.connect_tls("127.0.0.1", port, Deadline.after(CLOCK, 10.0))
            return dialer.opened

        assert asyncio.run(run()) == 1
