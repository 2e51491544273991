"""One search: a socket per attachment, three probes twice, replies until the time is up.

The sockets are opened here and not by the guarded dialer, because they go to the two discovery groups and nowhere
else; a host that the owner names is resolved and checked by the dialer first.
"""

import asyncio
import contextlib
import secrets
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.discovery.found import Device, Joined
from adapters.discovery.interfaces import Attachment, attached
from adapters.discovery.messages import MAX_DATAGRAM, PROBED_TYPES, probe, read
from adapters.errors import BadTarget, RemoteProtocolError, Unreachable
from adapters.wire.dialer import Dialer

PORT = 3702
GROUP_V4 = "239.255.255.250"
GROUP_V6 = "ff02::c"
MAX_TTL = 32
MAX_DATAGRAMS = 10_000  # of one search
MAX_PER_SOURCE = 64  # a flood from one address does not crowd out the others
MAX_BYTES = 32 << 20
AGAIN_S = (0.15, 0.45)  # when the probes are repeated, at random inside (SOAP-over-UDP 3.2)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to look for, and where."""

    interface: str = ""  # by name or address; "" for all attached networks
    host: str = ""  # asks this host alone, by unicast: for routed networks and containers
    timeout_s: float = 4.0
    ttl: int = 4
    port: int = PORT


@dataclass(slots=True)
class SearchReport:
    """What a search brought."""

    devices: list[Device] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # attachments or the host
    failed: list[tuple[str, str]] = field(default_factory=list)  # attachment, why it could not be asked
    datagrams: int = 0
    others: int = 0  # addresses that answered without a word of ONVIF: printers, computers
    unreadable: Counter[str] = field(default_factory=Counter)  # by source
    dropped: int = 0  # beyond the bounds


class _Listener(asyncio.DatagramProtocol):
    """Hands datagrams on."""

    def __init__(self, take: Callable[[bytes, str], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Take one datagram with its source."""
        self._take(data, str(addr[0]))

    def error_received(self, exc: Exception) -> None:
        """Nothing: a host without discovery answers with an ICMP error, which silence says as well."""


class Search:
    """One run. Use once."""

    def __init__(
        self,
        request: SearchRequest,
        dialer: Dialer,
        clock: Clock,
        on_device: Callable[[Device], None] = lambda _device: None,
    ) -> None:
        self._request = request
        self._dialer = dialer
        self._clock = clock
        self._on_device = on_device
        self._joined = Joined()
        self._report = SearchReport(self._joined.devices)
        self._per_source: Counter[str] = Counter()
        self._others: set[str] = set()
        self._bytes = 0

    async def run(self) -> SearchReport:
        """Ask and listen until the time is up.

        Raises:
            BadTarget: no such interface, or this machine is attached to no network.
            AddressRefused, Unreachable, TimedOut: about the named host.
        """
        ways = await self._unicast() if self._request.host else await self._multicast()
        ends_s = self._clock.monotonic() + self._request.timeout_s
        try:
            await self._ask(ways)
            early, late = AGAIN_S
            await self._clock.sleep(
                min(self._request.timeout_s, early + secrets.randbelow(1000) / 1000 * (late - early))
            )
            await self._ask(ways)
            await self._clock.sleep(max(0.0, ends_s - self._clock.monotonic()))
        finally:
            for transport, _to in ways:
                transport.close()
        self._report.others = len(self._others)
        return self._report

    async def _ask(self, ways: list[tuple[asyncio.DatagramTransport, tuple[object, ...]]]) -> None:
        for types in PROBED_TYPES:
            for transport, to in ways:
                if not transport.is_closing():
                    transport.sendto(probe(types), to)
            await self._clock.sleep(0.01)  # three in a row are more than some cameras' buffers hold

    async def _multicast(self) -> list[tuple[asyncio.DatagramTransport, tuple[object, ...]]]:
        request = self._request
        places = attached(request.interface)
        if not places:
            known = ", ".join(dict.fromkeys(place.interface for place in attached())) or "none"
            raise BadTarget(
                f"there is no interface {request.interface!r} to ask on"
                if request.interface
                else "this machine is attached to no network",
                hint=f"Interfaces with an address: {known}",
            )
        ways: list[tuple[asyncio.DatagramTransport, tuple[object, ...]]] = []
        for place in places:
            try:
                sock = _group_socket(place, request.ttl)
            except OSError as error:
                self._report.failed.append((str(place), error.strerror or "no socket"))
                continue
            transport = await self._listen(sock, place)
            to: tuple[object, ...] = (
                (GROUP_V4, request.port) if place.version == 4 else (GROUP_V6, request.port, 0, place.index)
            )
            ways.append((transport, to))
            self._report.asked.append(str(place))
        if not ways:
            raise Unreachable(
                "no interface of this machine can be asked on",
                operation="discover",
                hint="Check that the network is up, or name a host with --host",
            )
        return ways

    async def _unicast(self) -> list[tuple[asyncio.DatagramTransport, tuple[object, ...]]]:
        request = self._request
        address = await self._dialer.resolve(request.host, request.port, Deadline.after(self._clock, 5.0))
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(("", 0))
        self._report.asked.append(f"{request.host} ({address})" if request.host != address else address)
        transport = await self._listen(sock, None, only=address)
        return [(transport, (address, request.port))]

    async def _listen(
        self, sock: socket.socket, place: Attachment | None, *, only: str = ""
    ) -> asyncio.DatagramTransport:
        def take(data: bytes, source: str) -> None:
            if not only or source.split("%", 1)[0] == only:
                self._take(data, source, place)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Listener(take), sock=sock
        )
        return transport

    def _take(self, data: bytes, source: str, place: Attachment | None) -> None:
        report = self._report
        report.datagrams += 1
        self._per_source[source] += 1
        self._bytes += len(data)
        if (
            report.datagrams > MAX_DATAGRAMS
            or self._per_source[source] > MAX_PER_SOURCE
            or self._bytes > MAX_BYTES
            or len(data) > MAX_DATAGRAM
        ):
            report.dropped += 1
            return
        try:
            matches = read(data, source)
        except RemoteProtocolError:
            report.unreadable[source] += 1
            return
        if not matches:
            self._others.add(source)
        for match in matches:
            added = self._joined.add(match, place)
            if added is None:
                report.dropped += 1
            elif added[1]:
                self._on_device(added[0])


def _group_socket(place: Attachment, ttl: int) -> socket.socket:
    """Return a socket bound to one address, whose multicast leaves by that address's interface.

    Raises:
        OSError: the address is gone, or the interface is down.
    """
    six = place.version == 6
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # a hundred replies at once
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", place.index))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
            sock.bind((place.address, 0, 0, place.index))
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(place.address))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            sock.bind((place.address, 0))
    except OSError:
        sock.close()
        raise
    return sock


__all__ = ["MAX_TTL", "PORT", "Search", "SearchReport", "SearchRequest"]
