"""DTLS-SRTP with one peer. With `sender.py` the only module that touches private names of aiortc and of pylibsrtp.

aiortc's `RTCDtlsTransport` runs over any object with `role`, `state` and async `_recv`, `_send`, `stop`; `DatagramPath`
is ours, fed by the one UDP port of the worker. The handshake and the fingerprint check are aiortc's. Afterwards media
and RTCP go past it.

`PRIVATE_NAMES` lists what is used beyond the public interface; a contract test asserts each of them against the
installed versions (aiortc is pinned exactly).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

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
        "_srtp_profiles",
        "_ssl",
    ),
    "aiortc.rtcdtlstransport.RTCCertificate": ("_create_ssl_context",),
    "pylibsrtp.Session": ("_srtp",),
}

_WAITING_DATAGRAMS = 32
_RELEASE_BUFFERS = 0x10  # openssl/ssl.h, SSL_MODE_RELEASE_BUFFERS: pyOpenSSL has no public name for it
_preferred = {b"SRTP_AEAD_AES_128_GCM": 0, b"SRTP_AES128_CM_SHA1_80": 1}


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
    """Lets one piece of work begin per round of the event loop: a hundred viewers at once are a hundred handshakes, and
    pictures must not wait behind all of them."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for one's turn; first come, first served."""
        async with self._lock:
            await asyncio.sleep(0)


def _nowhere(_data: bytes) -> None:
    """Take what is sent over a closed path."""


class DatagramPath:
    """What aiortc takes for an ICE transport: datagrams in by `feed`, out by the viewer's nominated pair."""

    def __init__(self, send: Callable[[bytes], None], turns: Turns) -> None:
        self._turns = turns
        self.role = "controlled"
        self.state = "completed"
        self._out = send
        self._in: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING_DATAGRAMS)

    def feed(self, data: bytes) -> None:
        """Take a DTLS datagram from the network; one too many is dropped, DTLS repeats it."""
        if not self._in.full() and self.state != "closed":
            self._in.put_nowait(data)

    def close(self) -> None:
        """End the reader with a connection error."""
        self.state = "closed"
        self._out = _nowhere
        while self._in.full():
            self._in.get_nowait()
        self._in.put_nowait(None)

    async def _recv(self) -> bytes:
        data = await self._in.get()
        if data is None:
            raise ConnectionError("the viewer's path is closed")
        await self._turns.turn()
        return data

    async def _send(self, data: bytes) -> None:
        self._out(data)

    async def stop(self) -> None:
        self.close()


class DtlsSession:
    """One viewer's DTLS association and the SRTP keys it yields."""

    def __init__(
        self,
        certificate: Certificate,
        fingerprints: Sequence[tuple[str, str]],
        *,
        role: str,
        send: Callable[[bytes], None],
        turns: Turns,
    ) -> None:
        """`role` is ours, ``server`` or ``client``; `fingerprints` are the peer's (algorithm, value)."""
        self.path = DatagramPath(send, turns)
        self._peer = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(algorithm=name, value=value) for name, value in fingerprints]
        )
        path: Any = self.path  # duck-typed: aiortc names its own ICE transport here
        self._dtls: Any = RTCDtlsTransport(path, [certificate])
        self._dtls._set_role(role)
        # The server's order decides. GCM with a 128 bit key is the cheapest where AES is in hardware.
        self._dtls._srtp_profiles = sorted(
            SRTP_PROFILES, key=lambda profile: _preferred.get(profile.openssl_profile, 2)
        )
        self._receive: SrtpSession | None = None
        self._keep: Any = None
        self.srtp: Any = None  # libsrtp's handle for sending, once connected
        self.tag = 0  # bytes of the authentication tag behind each packet

    async def handshake(self) -> str:
        """Run the handshake; return "" where it succeeded, else why it did not."""
        dtls = self._dtls
        if dtls is not None:
            await dtls.start(self._peer)
        if dtls is None or dtls.state != "connected":
            return (
                "the DTLS handshake failed: the certificate does not match the fingerprint in the offer, "
                "or no SRTP profile is shared"
            )
        self._receive = dtls._rx_srtp
        self._keep = dtls._tx_srtp  # owns the handle below
        self.srtp = self._keep._srtp[0]
        profile = bytes(dtls._ssl.get_selected_srtp_profile())
        self.tag = 10 if profile == b"SRTP_AES128_CM_SHA1_80" else 16  # RFC 5764 4.1.2, RFC 7714 14.2
        return ""

    @property
    def closed(self) -> bool:
        """Tell whether the peer closed the association (close_notify) or it broke."""
        return self._dtls is None or self._dtls.state in {"closed", "failed"}

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call back when the association ends."""
        self._dtls.on("statechange", lambda: callback() if self.closed else None)

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

    async def close(self) -> None:
        """Say goodbye (close_notify) and free the keys and what OpenSSL holds, now and not when cycles are looked for. Idempotent."""
        dtls = self._dtls
        if dtls is None:
            return
        try:
            await dtls.stop()
        finally:
            dtls.remove_all_listeners()
            self.path.close()
            self._dtls = self._keep = self._receive = self.srtp = None
