"""DTLS-SRTP with one peer. With `sender.py` the only module that touches private names of aiortc and of pylibsrtp.

aiortc's `RTCDtlsTransport` owns the certificate, the connection, the check of the fingerprint and the SRTP keys. Its tasks and
queues are not used: each datagram that comes is one step of the handshake, in the worker's own turn (`Turns`), and one timer
repeats a flight that was lost. Afterwards media and RTCP go past it.

`PRIVATE_NAMES` lists what is used beyond the public interface; a contract test asserts each of them against the
installed versions (aiortc is pinned exactly).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, Final, Protocol

from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
)
from OpenSSL import SSL
from pylibsrtp import Error as SrtpError
from pylibsrtp import Session as SrtpSession

PRIVATE_NAMES: Final = {
    "aiortc.rtcdtlstransport.RTCDtlsTransport": (
        "_rx_srtp",
        "_tx_srtp",
        "_set_role",
        "_setup_srtp",
        "_srtp_profiles",
        "_ssl",
        "_validate_peer_identity",
    ),
    "aiortc.rtcdtlstransport.RTCCertificate": ("_create_ssl_context",),
    "pylibsrtp.Session": ("_srtp",),
}

_WAITING_DATAGRAMS = 32
_DATAGRAM = 1200  # bytes of records that leave in one; a record of ours is smaller
_FLIGHT = 1 << 14  # bytes, more than any flight has
_RECORD = 13  # bytes of a record's header (RFC 6347 4.1)
_RELEASE_BUFFERS = 0x10  # openssl/ssl.h, SSL_MODE_RELEASE_BUFFERS: pyOpenSSL has no public name for it
# The server's order decides. GCM with a 128 bit key is the cheapest where AES is in hardware.
_preferred = {b"SRTP_AEAD_AES_128_GCM": 0, b"SRTP_AES128_CM_SHA1_80": 1}
_PROFILES: Final = sorted(SRTP_PROFILES, key=lambda profile: _preferred.get(profile.openssl_profile, 2))


class Certificate(RTCCertificate):
    """The worker's certificate. One TLS context serves every viewer: making one costs more than the handshake's sums."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            context = super()._create_ssl_context(srtp_profiles)
            # A viewer comes with a certificate of its own each time: nothing is ever resumed, and each session held
            # for that, and each idle buffer, is memory per viewer.
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            context.set_mode(_RELEASE_BUFFERS)
            self._context = context
        return self._context

    @cached_property
    def sha256(self) -> str:
        """Return the fingerprint as it stands in ``a=fingerprint:sha-256``."""
        return next(str(print_.value) for print_ in self.getFingerprints() if print_.algorithm == "sha-256")


class Turns:
    """Lets one piece of work be done per round of the event loop: a hundred viewers at once are a hundred handshakes, and
    pictures must not wait behind all of them."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()

    def take(self, work: Callable[[], object]) -> None:
        """Let work be done in its turn; first come, first served."""
        self._waiting.append(work)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    async def turn(self) -> None:
        """Wait for one's turn."""
        mine = asyncio.Event()
        self.take(mine.set)
        await mine.wait()

    def _next(self) -> None:
        try:
            self._waiting[0]()
        finally:
            self._waiting.popleft()
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._next)


class _Nominated:
    """What aiortc takes for an ICE transport; it is asked for nothing but its role."""

    role, state = "controlled", "completed"


_NOMINATED: Final[Any] = _Nominated()  # duck-typed: aiortc names its own ICE transport here


class Secured(Protocol):
    """Whose association it is."""

    def send_datagram(self, data: bytes) -> None:
        """Send to the peer; what cannot be sent is lost."""

    def secured(self) -> None:
        """The handshake is done, the peer is who the offer says, the keys are there."""

    def unsecured(self, *, left: bool) -> None:
        """It is over. `left`: the peer closed it; else the handshake failed: another certificate than the offer's, or no
        SRTP profile that both know."""


class DtlsSession:
    """One peer's DTLS association and the SRTP keys it yields. Costs next to nothing before `begin`."""

    def __init__(
        self,
        certificate: Certificate,
        fingerprints: Sequence[tuple[str, str]],
        *,
        role: str,
        turns: Turns,
        owner: Secured,
    ) -> None:
        """`role` is ours, ``server`` or ``client``; `fingerprints` are the peer's (algorithm, value)."""
        self._certificate = certificate
        self._fingerprints = fingerprints
        self._role = role
        self._turns = turns
        self._owner: Secured | None = owner  # until it is over
        self._dtls: Any = None  # aiortc's, from `begin` on
        self._waiting = 0  # datagrams
        self._timer: asyncio.TimerHandle | None = None
        self._keep: Any = None
        self._receive: SrtpSession | None = None
        self.srtp: Any = None  # libsrtp's handle for sending, once connected
        self.tag = 0  # bytes of the authentication tag behind each packet

    def begin(self) -> None:
        """Make the TLS state, and say hello where we are the client. Idempotent."""
        if self._dtls is not None or self._owner is None:
            return
        dtls: Any = RTCDtlsTransport(_NOMINATED, [self._certificate])
        dtls._set_role(self._role)
        dtls._srtp_profiles = _PROFILES
        dtls._ssl = SSL.Connection(self._certificate._create_ssl_context(_PROFILES))
        self._dtls = dtls
        if self._role == "server":
            dtls._ssl.set_accept_state()
        else:
            dtls._ssl.set_connect_state()
            self._turns.take(self._shake)

    def feed(self, data: bytes) -> None:
        """Take a DTLS datagram from the network; one too many is dropped, DTLS repeats it."""
        if self._dtls is not None and self._waiting < _WAITING_DATAGRAMS:
            self._waiting += 1
            self._turns.take(partial(self._step, data))

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Protect one RTCP compound packet."""
        return bytes(self._keep.protect_rtcp(packet))

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Verify and decrypt one SRTCP packet; `None` where it is forged, replayed or broken."""
        if self._receive is None or len(packet) > 1500:
            return None
        try:
            return bytes(self._receive.unprotect_rtcp(packet))
        except (SrtpError, ValueError):
            return None

    def unprotect(self, packet: bytes) -> bytes | None:
        """Verify and decrypt one SRTP packet; `None` where it is forged, replayed or broken."""
        if self._receive is None or len(packet) > 1500:
            return None
        try:
            return bytes(self._receive.unprotect(packet))
        except (SrtpError, ValueError):
            return None

    def close(self) -> None:
        """Say goodbye (close_notify) and free the keys and what OpenSSL holds, now and not when cycles are looked for. Idempotent."""
        if self._dtls is not None:
            with contextlib.suppress(SSL.Error):
                self._dtls._ssl.shutdown()
            self._flush()
        self._free()

    def _free(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._owner = self._dtls = self._timer = self._keep = self._receive = self.srtp = None

    def _step(self, data: bytes) -> None:
        """Take one datagram in its turn."""
        self._waiting -= 1
        if self._dtls is None:
            return
        self._dtls._ssl.bio_write(data)
        if self._keep is None:
            self._shake()
        else:
            self._hear()

    def _shake(self) -> None:
        """Go on with the handshake as far as what has come allows."""
        dtls = self._dtls
        if dtls is None:
            return
        try:
            dtls._ssl.do_handshake()
        except SSL.WantReadError:
            self._flush()
            self._repeat_later()
            return
        except SSL.Error:
            self._flush()  # the alert
            self._end(left=False)
            return
        self._flush()
        self._agree()

    def _agree(self) -> None:
        """Check who the peer is, and take the keys."""
        dtls = self._dtls
        dtls._validate_peer_identity(
            RTCDtlsParameters([RTCDtlsFingerprint(name, value) for name, value in self._fingerprints])
        )
        if dtls.state != "failed":
            dtls._setup_srtp()
        if dtls.state == "failed" or self._owner is None:
            self._end(left=False)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._receive = dtls._rx_srtp
        self._keep = dtls._tx_srtp  # owns the handle below
        self.srtp = self._keep._srtp[0]
        profile = bytes(dtls._ssl.get_selected_srtp_profile())
        self.tag = 10 if profile == b"SRTP_AES128_CM_SHA1_80" else 16  # RFC 5764 4.1.2, RFC 7714 14.2
        self._owner.secured()

    def _hear(self) -> None:
        """Take what comes after the handshake: its end once more, which OpenSSL answers, or the peer's goodbye."""
        try:
            while True:  # a datagram may hold many records, and what is left of them would stay
                self._dtls._ssl.recv(_FLIGHT)
        except SSL.ZeroReturnError:
            self._flush()
            self._end(left=True)
            return
        except SSL.Error:
            pass  # nothing for us; what is forged has no effect
        self._flush()

    def _end(self, *, left: bool) -> None:
        owner = self._owner
        self._free()
        if owner is not None:
            owner.unsecured(left=left)

    def _repeat_later(self) -> None:
        """See to it that a flight that was lost is sent again (RFC 6347 4.2.4)."""
        wait_s = self._dtls._ssl.DTLSv1_get_timeout()
        if self._timer is None and wait_s is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._repeat)

    def _repeat(self) -> None:
        self._timer = None
        try:
            self._dtls._ssl.DTLSv1_handle_timeout()  # does nothing where a later flight has been sent meanwhile
        except SSL.Error:
            self._end(left=False)
            return
        self._flush()
        self._repeat_later()

    def _flush(self) -> None:
        """Send what OpenSSL has written."""
        try:
            flight = self._dtls._ssl.bio_read(_FLIGHT)
        except SSL.Error:
            return
        if self._owner is not None:
            for datagram in _datagrams(flight):
                self._owner.send_datagram(datagram)


def _datagrams(flight: bytes) -> Iterator[bytes]:
    """Part a flight into datagrams of whole records."""
    start = stop = 0
    while stop < len(flight):
        end = stop + _RECORD + int.from_bytes(flight[stop + 11 : stop + _RECORD], "big")
        if end - start > _DATAGRAM and stop > start:
            yield flight[start:stop]
            start = stop
        stop = end
    if start < stop:
        yield flight[start:]
