"""What a probe tells about the way it took to the camera: TLS, HTTP tunnel, TCP or UDP."""

from adapters.clock import Clock
from adapters.errors import (
    AdapterError,
    AddressRefused,
    AuthenticationFailed,
    CameraFault,
    CoolingDown,
    PermissionDenied,
    Unsupported,
)
from adapters.rtsp.book import FactBook
from adapters.rtsp.line import TLS_SCHEMES, TUNNEL_SCHEMES
from adapters.rtsp.stale import StaleSession
from adapters.target import Target
from adapters.wire.tls import TlsSeen
from standards.reason import Reason

WAY_FACTS = ("rtsp.rtsps", "rtsp.http_tunnel")
TLS_FACTS = (
    "version",
    "cipher",
    "not_after",
    "expired",
    "key_kind",
    "key_bits",
    "fingerprint",
    "self_signed",
)
_REFUSED = (AuthenticationFailed, CameraFault, PermissionDenied, Unsupported)
_UNTRIED = (AddressRefused, CoolingDown, StaleSession)  # nothing was sent: that says nothing about the camera


def tell_way(
    book: FactBook,
    target: Target,
    *,
    played: bool,
    failure: AdapterError | None,
    seen: TlsSeen | None,
    clock: Clock,
) -> None:
    """Note how the way went that the address asked for: played, refused or failed, and what TLS showed."""
    asked = {"rtsp.rtsps": target.scheme == "rtsps", "rtsp.http_tunnel": target.scheme in TUNNEL_SCHEMES}
    for name, wanted in asked.items():
        if not wanted:
            book.missed(name, Reason.NOT_ASKED, f"the address is {target.scheme}://", "RTSP connect")
        elif played:
            book.seen(name, "played", "RTSP PLAY")
        elif failure is not None and not isinstance(failure, _UNTRIED):
            book.seen(
                name, "refused" if isinstance(failure, _REFUSED) else "failed", failure.operation or "RTSP"
            )
    if target.scheme not in TLS_SCHEMES:
        return
    # In a tunnel the HTTP service shows its certificate; rtsps:// is a service of its own.
    service = "rtsps" if target.scheme == "rtsps" else "tls"
    if seen is not None:
        for name, value in seen.facts(service, clock.now()).items():
            book.seen(name, value, "TLS handshake")
    names = [f"{service}.{name}" for name in TLS_FACTS]
    if seen is None and failure is not None:
        book.failed(names, failure)
    for name in names:
        book.missed(
            name,
            Reason.EMPTY_REPLY,
            "the certificate does not tell it, or is no certificate",
            "TLS handshake",
        )


def tell_transport(book: FactBook, target: Target, *, asked: str, used: str, packets: int) -> None:
    """Note over which transport media came, and what became of the other one. `asked`: tcp | udp | auto."""
    other = "udp" if used == "tcp" else "tcp"
    if packets:
        book.seen(f"rtsp.{used}_transport", True, "RTP media")
    # 461, or the other transport in the answer: the camera does not have the one that was asked for first
    first = "udp" if asked == "udp" else "tcp"
    if used != first and target.scheme == "rtsp" and f"rtsp.{first}_transport" not in book:
        book.seen(f"rtsp.{first}_transport", False, "RTSP SETUP")
    book.missed(
        f"rtsp.{other}_transport",
        Reason.NOT_ASKED,
        f"the media were pulled over {used.upper()}",
        "RTSP SETUP",
    )
