"""The guarded dialer: the only place where a socket towards a camera is opened.

It resolves a name once and dials the address that it checked. Refused always: cloud metadata, link-local,
multicast, unspecified and reserved addresses, and every address and port where the hub, its store, Redis,
workers or peers listen. Loopback and LAN ranges need to be allowed by the `NetworkPolicy`.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from adapters.deadline import Deadline
from adapters.errors import AddressRefused, TlsFailed, Unreachable
from adapters.wire.tls import CameraTls, TlsSeen, too_old

CONNECT_S = 5.0

Reads = TypeVar("Reads", bound=asyncio.BaseProtocol)
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud metadata services beside 169.254.0.0/16 (link-local, refused as a whole): Alibaba, Oracle, AWS on IPv6.
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AllowRule:
    """One allowed range, optionally one port of it."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> "AllowRule":
        """Parse ``192.168.1.0/24``, ``127.0.0.1:8554`` or ``[::1]:8554``.

        Raises:
            ValueError: the text is none of these.
        """
        host, port = text.strip(), None
        if host.startswith("["):
            host, _, tail = host[1:].partition("]")
            if tail and not tail.startswith(":"):
                raise ValueError(f"{text!r}: after ] comes :port or nothing")
            port = int(tail[1:]) if tail else None
        elif host.count(":") == 1:
            host, _, tail = host.partition(":")
            port = int(tail)
        if port is not None and not 1 <= port <= 65535:
            raise ValueError(f"{text!r}: port {port} is outside 1-65535")
        return cls(ipaddress.ip_network(host, strict=False), port)

    def covers(self, address: IPAddress, port: int | None) -> bool:
        """Tell whether this rule allows the address and port; None asks for some port of the address."""
        return (
            address.version == self.network.version
            and address in self.network
            and (self.port is None or port is None or self.port == port)
        )


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Which addresses may be dialled. Public addresses need no rule; everything private does."""

    allow: tuple[AllowRule, ...] = ()
    public: bool = True

    @classmethod
    def of(cls, rules: Iterable[str], *, public: bool = True) -> "NetworkPolicy":
        """Build a policy from rules as text."""
        return cls(tuple(AllowRule.parse(rule) for rule in rules), public)

    def why_refused(self, address: IPAddress, port: int | None) -> str:
        """Return why the address may not be dialled, or "" where it may; port None stands for some port of it."""
        plain = _unmapped(address)
        if plain in _METADATA or plain.is_link_local:
            return "it is a link-local or cloud metadata address"
        if plain.is_multicast or plain.is_unspecified or (plain.is_reserved and not plain.is_loopback):
            return "it is not the address of one device"
        if any(rule.covers(plain, port) for rule in self.allow):
            return ""
        if plain.is_loopback:
            return "it is this machine itself"
        if not plain.is_global:
            return "it is a private address that networks.allow does not list"
        return "" if self.public else "only the addresses in networks.allow may be dialled"


LAN_AND_LOOPBACK = NetworkPolicy.of(
    ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def _unmapped(address: IPAddress) -> IPAddress:
    """See through IPv4-mapped, 6to4 and NAT64 forms, so that a rule on IPv4 holds for them too."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def no_listeners() -> frozenset[tuple[str, int]]:
    """Return the listeners of a program that listens nowhere."""
    return frozenset()


class Dialer:
    """Opens sockets towards cameras, and only to addresses it has checked.

    `own_listeners` returns the (address, port) pairs where the hub and its parts listen; address ``"*"`` stands
    for every address of this machine. `opened` counts the sockets opened here, so that a test can compare.
    """

    def __init__(
        self,
        policy: NetworkPolicy,
        own_listeners: Callable[[], frozenset[tuple[str, int]]] = no_listeners,
    ) -> None:
        self.policy = policy
        self._own_listeners = own_listeners
        self._tls = CameraTls()
        self.opened = 0

    def check(self, address: str, port: int) -> None:
        """Refuse an address that may not be dialled.

        Raises:
            AddressRefused: says why.
        """
        ip = _ip(address)
        peer = f"{address}:{port}"
        plain = _unmapped(ip)
        for host, own_port in self._own_listeners():
            if port == own_port and _listens_at(host, plain):
                raise AddressRefused(
                    f"{peer} is where this hub itself listens",
                    peer=peer,
                    operation="connect",
                    hint="Enter the address of the camera, not of the hub",
                )
        why = self.policy.why_refused(ip, port)
        if why:
            raise AddressRefused(
                f"{peer} is not dialled: {why}",
                peer=peer,
                operation="connect",
                hint="Enter the camera's address on the network, or ask the administrator to list it in networks.allow",
            )

    def socket_for(self, family: int, kind: int, protocol: int, sockaddr: tuple[Any, ...]) -> socket.socket:
        """Return a fresh TCP socket for a client stack that connects by itself, after checking where it will go.

        Called with the final socket address, so that IP literals and late name changes are checked as well.

        Raises:
            AddressRefused: says why; no socket was opened.
        """
        self.check(str(sockaddr[0]), int(sockaddr[1]))
        self.opened += 1
        return socket.socket(family, kind, protocol)

    async def resolve(self, host: str, port: int, deadline: Deadline) -> str:
        """Resolve once and return the address that was checked. IP literals are only checked.

        Raises:
            AddressRefused: no resolved address may be dialled.
            Unreachable: the name does not resolve.
            TimedOut: phase ``resolve``.
        """
        return await self._resolved(host, deadline, lambda address: self.check(address, port))

    async def _resolved(self, host: str, deadline: Deadline, check: Callable[[str], None]) -> str:
        if _is_ip(host):
            check(host)
            return host
        loop = asyncio.get_running_loop()
        async with deadline.phase("resolve", 5.0, peer=host):
            try:
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                raise Unreachable(
                    f"the name {host} does not resolve", peer=host, operation="resolve", hint="Check the name"
                ) from error
        refused: AddressRefused | None = None
        for _family, _type, _proto, _name, sockaddr in found:
            address = str(sockaddr[0])
            try:
                check(address)
            except AddressRefused as error:
                refused = error
                continue
            return address
        if refused is not None:
            raise refused
        raise Unreachable(
            f"the name {host} has no address", peer=host, operation="resolve", hint="Check the name"
        )

    def _check_any_port(self, address: str) -> None:
        """Refuse a host none of whose ports may be dialled: for UDP, where the camera names its port later."""
        why = self.policy.why_refused(_ip(address), None)
        if why:
            raise AddressRefused(f"{address} is not dialled: {why}", peer=address, operation="bind")

    async def open(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        factory: Callable[[], Reads],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[asyncio.Transport, Reads]:
        """Open a TCP (or TLS) connection for a protocol of the caller's.

        Raises:
            AddressRefused, Unreachable, TlsFailed: as they say.
            TimedOut: phase ``resolve`` or ``connect``.
        """
        address = await self.resolve(host, port, deadline)
        peer = f"{host}:{port}"
        async with deadline.phase("connect", CONNECT_S, peer=peer):
            self.opened += 1
            loop = asyncio.get_running_loop()
            try:
                transport, protocol = await loop.create_connection(
                    factory, address, port, ssl=tls, server_hostname=host if tls else None
                )
            except OSError as error:  # ssl.SSLError is one
                raise _not_connected(error, peer, port, tls is not None) from error
            return transport, protocol

    async def open_tls(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        factory: Callable[[], Reads],
        *,
        legacy: bool = False,
    ) -> tuple[asyncio.Transport, Reads, TlsSeen]:
        """Open a TLS connection and tell what the handshake showed; no certificate is verified.

        Where the peer speaks only older TLS than 1.2, one second connection is made with the legacy context; its
        `TlsSeen.legacy` says so (the tolerance `legacy_tls`, quirk 43). `legacy`: that is known already.

        Raises:
            AddressRefused, Unreachable, TlsFailed, TimedOut: as `open`.
        """
        try:
            first = self._tls.legacy if legacy else self._tls.modern
            transport, protocol = await self.open(host, port, deadline, factory, tls=first)
        except TlsFailed as error:
            if legacy or not isinstance(error.__cause__, ssl.SSLError) or not too_old(error.__cause__):
                raise
            legacy = True
            transport, protocol = await self.open(host, port, deadline, factory, tls=self._tls.legacy)
        return transport, protocol, TlsSeen.of(transport.get_extra_info("ssl_object"), legacy=legacy)

    async def connect(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        *,
        tls: ssl.SSLContext | None = None,
        limit: int = 1 << 17,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a TCP (or TLS) connection as a pair of streams.

        Raises:
            AddressRefused, Unreachable, TlsFailed, TimedOut: as `open`.
        """
        factory = _streams(limit)
        transport, protocol = await self.open(host, port, deadline, factory, tls=tls)
        return protocol.pair(transport)

    async def connect_tls(
        self, host: str, port: int, deadline: Deadline, *, limit: int = 1 << 17
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, TlsSeen]:
        """Open a TLS connection as a pair of streams, as `open_tls` does.

        Raises:
            AddressRefused, Unreachable, TlsFailed, TimedOut: as `open`.
        """
        transport, protocol, seen = await self.open_tls(host, port, deadline, _streams(limit))
        reader, writer = protocol.pair(transport)
        return reader, writer, seen

    async def udp_pair(
        self,
        host: str,
        deadline: Deadline,
        factory: Callable[[], asyncio.DatagramProtocol],
        *,
        rtcp_factory: Callable[[], asyncio.DatagramProtocol],
        local_address: str,
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport, int]:
        """Bind an even/odd UDP port pair for RTP and RTCP from a checked host; return it with the even port.

        The sockets are not connected (cameras send from ports they name late); the receiver filters by source.

        Raises:
            AddressRefused: the host may not be dialled on any port.
            Unreachable: the name does not resolve, or no free pair of ports was found.
        """
        await self._resolved(host, deadline, self._check_any_port)
        loop = asyncio.get_running_loop()
        for _ in range(20):
            try:
                rtp, _protocol = await loop.create_datagram_endpoint(factory, local_addr=(local_address, 0))
            except OSError as error:
                raise Unreachable(
                    f"no UDP socket can be bound to {local_address}", peer=host, operation="bind"
                ) from error
            port = int(rtp.get_extra_info("sockname")[1])
            if port % 2 == 0:
                try:
                    rtcp, _protocol = await loop.create_datagram_endpoint(
                        rtcp_factory, local_addr=(local_address, port + 1)
                    )
                except OSError:
                    rtp.close()
                    continue
                self.opened += 2
                return rtp, rtcp, port
            rtp.close()
        raise Unreachable("no free pair of UDP ports on this machine", peer=host, operation="bind")


class _Streams(asyncio.StreamReaderProtocol):
    """The protocol of a pair of streams, which gives the pair when it is connected."""

    def __init__(self, limit: int) -> None:
        self._running = asyncio.get_running_loop()
        self._until_paired: asyncio.StreamReader | None = asyncio.StreamReader(
            limit=limit, loop=self._running
        )
        super().__init__(self._until_paired, loop=self._running)

    def pair(self, transport: asyncio.Transport) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self._until_paired = self._until_paired, None  # the base class watches for a forgotten reader
        assert reader is not None
        return reader, asyncio.StreamWriter(transport, self, reader, self._running)


def _streams(limit: int) -> Callable[[], _Streams]:
    return lambda: _Streams(limit)


def _not_connected(error: OSError, peer: str, port: int, tls: bool) -> Unreachable | TlsFailed:
    """Return the adapter's error for a connection that did not come about."""
    if isinstance(error, ssl.SSLError) or (
        tls and isinstance(error, (ConnectionResetError, BrokenPipeError))
    ):
        reason = error.reason if isinstance(error, ssl.SSLError) else "the connection was closed"
        return TlsFailed(
            f"TLS with {peer} failed: {reason or 'handshake'}",
            peer=peer,
            operation="connect",
            hint="Check that the port is the camera's TLS port, or use the address without TLS",
        )
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(
            f"{peer} refused the connection: nothing listens on port {port}",
            peer=peer,
            operation="connect",
            hint="Check the port, and that the service is switched on in the camera",
        )
    return Unreachable(
        f"{peer} cannot be reached",
        peer=peer,
        operation="connect",
        hint="Check power, cable, and that the camera is on this network",
    )


@lru_cache(maxsize=1024)
def _ip(text: str) -> IPAddress:
    return ipaddress.ip_address(text.split("%", 1)[0])


def _is_ip(host: str) -> bool:
    try:
        _ip(host)
    except ValueError:
        return False
    return True


def _listens_at(listener: str, address: IPAddress) -> bool:
    """Tell whether a listener bound to `listener` (``*`` or an address) is met at this (unmapped) address."""
    if listener == "*" or not _is_ip(listener):
        return _is_local(address)  # a listener by name counts as everywhere: refusing too much is safe
    bound = _unmapped(_ip(listener))
    return _is_local(address) if bound.is_unspecified else bound == address


def _is_local(ip: IPAddress) -> bool:
    """Tell whether an address is one of this machine's own."""
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip), 0))  # only an own address can be bound; nothing is sent
        except OSError:
            return False
    return True


__all__ = ["LAN_AND_LOOPBACK", "AllowRule", "Dialer", "NetworkPolicy", "no_listeners"]
