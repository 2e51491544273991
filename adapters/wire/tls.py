"""TLS towards cameras: contexts that verify nothing, and what a handshake showed, as facts.

Cameras carry self-signed, expired and short-keyed certificates and old key exchanges (quirk 43). None of that
keeps a camera from being read: it is recorded, and the rules judge it. One door for HTTPS and RTSPS:
`Dialer.open_tls` and `Dialer.connect_tls` give the `TlsSeen` of the connection.
"""

import ssl
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from standards.observation import Value, rfc3339

MAX_CERTIFICATE = 64 << 10  # bytes of DER; real ones have 1 to 2 kB
LEGACY = "legacy_tls"  # the tolerance of quirk 43: protocol versions before TLS 1.2
_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT: servers without RFC 5746
# OpenSSL's reasons of a handshake that failed because the peer is too old, not because it speaks no TLS.
_TOO_OLD = frozenset(
    {
        "UNSUPPORTED_PROTOCOL",  # it answered with an older version
        "TLSV1_ALERT_PROTOCOL_VERSION",  # it refused ours
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",  # no common cipher
        "SSL/TLS_ALERT_HANDSHAKE_FAILURE",
        "NO_PROTOCOLS_AVAILABLE",
    }
)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says about itself; nothing of it was verified."""

    not_before: datetime  # UTC
    not_after: datetime  # UTC
    key_kind: str  # RSA | EC P-256 | EC P-384 | ... | Ed25519 | DSA | unknown
    key_bits: int  # 0 where unknown
    self_signed: bool  # issuer and subject are the same

    def valid_at(self, moment: datetime) -> bool:
        """Tell whether the moment lies within the validity."""
        return self.not_before <= moment <= self.not_after


@dataclass(frozen=True)
class TlsSeen:
    """What one handshake showed. `legacy`: it needed the tolerance for old protocol versions (quirk 43)."""

    version: str  # TLSv1.3, TLSv1.2, TLSv1.1, TLSv1
    cipher: str  # OpenSSL's name
    der: bytes = b""  # the peer's certificate; empty where there is none
    legacy: bool = False

    @classmethod
    def of(cls, connection: ssl.SSLObject, *, legacy: bool = False) -> "TlsSeen":
        """Take down what a connection negotiated."""
        cipher = connection.cipher()
        return cls(
            connection.version() or "",
            cipher[0] if cipher else "",
            connection.getpeercert(binary_form=True) or b"",
            legacy,
        )

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the certificate in lower-case hexadecimal, "" where there is none."""
        if not self.der:
            return ""
        digest = Hash(SHA256())
        digest.update(self.der)
        return digest.finalize().hex()

    @cached_property
    def certificate(self) -> CertificateFacts | None:
        """Return what the certificate says, None where there is none or it cannot be read."""
        return certificate_facts(self.der)

    def facts(self, service: str, now: datetime) -> dict[str, Value]:
        """Return the facts of `service` (``tls`` for HTTP, ``rtsps`` for RTSP) that this handshake showed.

        An unreadable certificate leaves its facts out; its fingerprint is still there.
        """
        found: dict[str, Value] = {f"{service}.version": self.version, f"{service}.cipher": self.cipher}
        if self.der:
            found[f"{service}.fingerprint"] = self.fingerprint
        told = self.certificate
        if told is not None:
            found[f"{service}.not_after"] = rfc3339(told.not_after)
            found[f"{service}.expired"] = not told.valid_at(now)
            found[f"{service}.key_kind"] = told.key_kind
            found[f"{service}.self_signed"] = told.self_signed
            if told.key_bits:
                found[f"{service}.key_bits"] = told.key_bits
        return found


def certificate_facts(der: bytes) -> CertificateFacts | None:
    """Read a certificate (DER). None where it cannot be read: cameras make certificates that break X.509."""
    if not der or len(der) > MAX_CERTIFICATE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # serial numbers below 1, odd encodings: seen in the field
            told = x509.load_der_x509_certificate(der)
            self_signed = told.issuer == told.subject
            before, after = told.not_valid_before_utc, told.not_valid_after_utc
    except (ValueError, TypeError, UnsupportedAlgorithm, OverflowError, x509.InvalidVersion):
        return None
    kind, bits = _key(told)
    return CertificateFacts(before.astimezone(UTC), after.astimezone(UTC), kind, bits, self_signed)


def _key(told: x509.Certificate) -> tuple[str, int]:
    """Return kind and size of the public key; ("unknown", 0) where it cannot be read."""
    try:
        key = told.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "unknown", 0
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        names = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        return f"EC {names.get(key.curve.name, key.curve.name)}", key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519", 256
    if isinstance(key, ed448.Ed448PublicKey):
        return "Ed448", 456
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    return "unknown", 0


class CameraTls:
    """The two TLS contexts for cameras, made when first needed; one object serves a whole process."""

    @cached_property
    def modern(self) -> ssl.SSLContext:
        """Return the context that is tried first: TLS 1.2 and 1.3, any certificate, any key size."""
        context = _unverified()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context

    @cached_property
    def legacy(self) -> ssl.SSLContext:
        """Return the context of the tolerance `legacy_tls`: TLS 1.0 and 1.1 and old ciphers as well (quirk 43)."""
        context = _unverified()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # deprecated is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:!aNULL:!eNULL:@SECLEVEL=0")
        context.options |= _LEGACY_SERVER_CONNECT
        return context


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def too_old(error: ssl.SSLError) -> bool:
    """Tell whether a handshake failed because the peer speaks only older TLS: the one reason to try `legacy`."""
    return (error.reason or "") in _TOO_OLD


__all__ = [
    "LEGACY",
    "CameraTls",
    "CertificateFacts",
    "TlsSeen",
    "certificate_facts",
    "too_old",
]
