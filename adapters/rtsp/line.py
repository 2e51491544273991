"""Opens the connections of one session: plain, or over TLS where the scheme says so; nothing else, ever."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from adapters.deadline import Deadline
from adapters.rtsp.tolerance import Tolerance, Tolerances
from adapters.target import Target
from adapters.wire.dialer import Dialer
from adapters.wire.tls import TlsSeen

TLS_SCHEMES = frozenset({"rtsps", "rtsp+https"})
TUNNEL_SCHEMES = frozenset({"rtsp+http", "rtsp+https"})
Speaks = TypeVar("Speaks", bound=asyncio.BaseProtocol)


class Line:
    """Dials one target through the guarded dialer. `seen` is what the last TLS handshake showed."""

    def __init__(self, target: Target, dialer: Dialer, tolerances: Tolerances) -> None:
        self.target = target
        self.seen: TlsSeen | None = None
        self._dialer = dialer
        self._tolerances = tolerances

    @property
    def tls(self) -> bool:
        """Tell whether the line is encrypted. The certificate is recorded, not verified: cameras sign their own."""
        return self.target.scheme in TLS_SCHEMES

    @property
    def tunnelled(self) -> bool:
        """Tell whether RTSP goes inside HTTP."""
        return self.target.scheme in TUNNEL_SCHEMES

    async def dial(
        self, deadline: Deadline, factory: Callable[[], Speaks]
    ) -> tuple[asyncio.Transport, Speaks]:
        """Open one connection.

        Raises:
            AddressRefused, Unreachable, TlsFailed, TimedOut: as the dialer says.
            Violation: the policy refuses old TLS.
        """
        host, port = self.target.host, self.target.port
        if not self.tls:
            return await self._dialer.open(host, port, deadline, factory)
        transport, protocol, self.seen = await self._dialer.open_tls(host, port, deadline, factory)
        if self.seen.legacy:
            try:
                self._tolerances.note(Tolerance.LEGACY_TLS)
            except BaseException:
                transport.abort()
                raise
        return transport, protocol


def spoken(target: Target) -> Target:
    """Return the target as request lines name it: inside a tunnel the scheme is plain ``rtsp``."""
    return (
        Target("rtsp", target.host, target.port, target.path) if target.scheme in TUNNEL_SCHEMES else target
    )
