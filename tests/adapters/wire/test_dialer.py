"""The guarded dialer: which addresses it dials and which it never does."""

import asyncio
import socket

import pytest
from raw_server import serving

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import AddressRefused, Unreachable
from adapters.wire.dialer import LAN_AND_LOOPBACK, AllowRule, Dialer, NetworkPolicy

CLOCK = SystemClock()


def soon() -> Deadline:
    return Deadline.after(CLOCK, 5.0)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.1.1",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%lo",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "ff02::1",
    ],
)
def test_never_dialled(address: str) -> None:
    """Metadata, link-local, multicast and unspecified addresses are refused under any policy."""
    everything = NetworkPolicy.of(("0.0.0.0/0", "::/0"))
    with pytest.raises(AddressRefused, match="not dialled"):
        Dialer(everything).check(address, 80)


@pytest.mark.parametrize(
    ("rules", "address", "port", "allowed"),
    [
        ((), "192.168.1.20", 80, False),
        (("192.168.1.0/24",), "192.168.1.20", 80, True),
        (("192.168.1.0/24",), "::ffff:192.168.1.20", 80, True),
        (("192.168.1.0/24",), "192.168.2.20", 80, False),
        (("127.0.0.1:8554",), "127.0.0.1", 8554, True),
        (("127.0.0.1:8554",), "127.0.0.1", 80, False),
        ((), "127.0.0.1", 80, False),
        (("[::1]:8554",), "::1", 8554, True),
        (("[::1]:8554",), "::1", 8555, False),
        ((), "8.8.8.8", 80, True),
        ((), "::ffff:10.0.0.1", 80, False),
    ],
)
def test_policy(rules: tuple[str, ...], address: str, port: int, allowed: bool) -> None:
    """Private addresses need a rule, public ones do not; a rule may name one port."""
    dialer = Dialer(NetworkPolicy.of(rules))
    if allowed:
        dialer.check(address, port)
    else:
        with pytest.raises(AddressRefused):
            dialer.check(address, port)


def test_public_addresses_can_be_closed() -> None:
    """A policy without public addresses dials only what its rules list."""
    with pytest.raises(AddressRefused, match=r"networks\.allow"):
        Dialer(NetworkPolicy(public=False)).check("8.8.8.8", 80)


@pytest.mark.parametrize(
    "rule", ["", "camera.local", "10.0.0.1:99999", "10.0.0.1:x", "[::1]8554", "10.0.0.0/99"]
)
def test_rules_that_cannot_be_read(rule: str) -> None:
    """A rule that cannot be read is an error, not an open door."""
    with pytest.raises(ValueError, match=r"."):
        AllowRule.parse(rule)


@pytest.mark.parametrize("listener", ["127.0.0.1", "*", "0.0.0.0", "::", "::ffff:127.0.0.1", "localhost"])
def test_the_hub_does_not_dial_itself(listener: str) -> None:
    """An address and port where the hub listens is refused however either is written."""
    dialer = Dialer(LAN_AND_LOOPBACK, lambda: frozenset({(listener, 8080)}))
    for address in ("127.0.0.1", "::ffff:127.0.0.1"):
        with pytest.raises(AddressRefused, match="hub itself"):
            dialer.check(address, 8080)
    dialer.check("127.0.0.1", 8081)


def test_a_name_is_resolved_once_and_the_checked_address_dialled() -> None:
    """The socket goes to the address that was checked."""

    async def run() -> tuple[str, int]:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with serving(handler) as port:
            dialer = Dialer(LAN_AND_LOOPBACK)
            _reader, writer = await dialer.connect("localhost", port, soon())
            peer = str(writer.get_extra_info("peername")[0])
            writer.close()
            await writer.wait_closed()
            return peer, dialer.opened

    assert asyncio.run(run()) == ("127.0.0.1", 1)


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "localhost"])
def test_odd_spellings_of_loopback_are_seen_through(host: str) -> None:
    """Names and numbers that the resolver turns into loopback are refused like loopback."""
    with pytest.raises((AddressRefused, Unreachable)):
        asyncio.run(Dialer(NetworkPolicy()).resolve(host, 80, soon()))


@pytest.mark.parametrize("host", ["camera.invalid", "a" * 64 + ".invalid", "."])
def test_names_that_do_not_resolve(host: str) -> None:
    """A name without an address is unreachable, whatever the resolver stumbles over."""
    with pytest.raises(Unreachable):
        asyncio.run(Dialer(LAN_AND_LOOPBACK).resolve(host, 80, soon()))


def test_sockets_for_other_stacks_are_checked_and_counted() -> None:
    """`socket_for` refuses before a socket exists and counts the ones it gives."""
    dialer = Dialer(NetworkPolicy.of(("127.0.0.1:80",)))
    with pytest.raises(AddressRefused):
        dialer.socket_for(socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", 81))
    dialer.socket_for(socket.AF_INET, socket.SOCK_STREAM, 0, ("127.0.0.1", 80)).close()

    assert dialer.opened == 1


class TestUdp:
    def _pair(self, dialer: Dialer, host: str, local: str = "127.0.0.1") -> int:
        async def run() -> int:
            rtp, rtcp, port = await dialer.udp_pair(
                host,
                soon(),
                asyncio.DatagramProtocol,
                rtcp_factory=asyncio.DatagramProtocol,
                local_address=local,
            )
            bound = int(rtcp.get_extra_info("sockname")[1])
            rtp.close()
            rtcp.close()
            await asyncio.sleep(0)
            assert bound == port + 1
            return port

        return asyncio.run(run())

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_gives_an_even_and_the_next_port(self, host: str) -> None:
        """RTP is on an even port and RTCP on the next; a rule for another port of the host is enough."""
        dialer = Dialer(NetworkPolicy.of(("127.0.0.1:8554",)))

        assert self._pair(dialer, host) % 2 == 0
        assert dialer.opened == 2

    def test_refuses_a_host_that_may_not_be_dialled(self) -> None:
        """No port is bound for a host that the policy refuses altogether."""
        with pytest.raises(AddressRefused):
            self._pair(Dialer(NetworkPolicy()), "127.0.0.1")

    def test_a_local_address_that_is_not_ours(self) -> None:
        """A local address that cannot be bound is a typed failure."""
        with pytest.raises(Unreachable):
            self._pair(Dialer(LAN_AND_LOOPBACK), "127.0.0.1", "192.0.2.1")
