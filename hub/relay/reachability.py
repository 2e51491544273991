"""The reachability self-test: by which ways can a browser reach this relay, and which would fail, and why.

Each way is walked with a real connectivity check, answered by the port itself: from here to each address that browsers are
told, over UDP and TCP, and through each TURN server. What cannot be known from here (a router that does not send its own
network's packets back) is said to be unknown, not failed. Nothing is dialled but what the operator configured.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aioice import stun
from aioice.turn import TurnTransport, create_turn_endpoint

from hub.relay.events import Finding
from hub.relay.webrtc.ice import IcePeer, UdpPort
from hub.relay.webrtc.turn import TurnAddress, TurnSetup

WITHIN_S: Final = 3.0
_TRIES: Final = 3
_MAX_WAYS: Final = 32


class _Nobody:
    """A viewer that only wants its checks answered."""

    def checked(self) -> None:
        """Take nothing."""

    def dtls(self, _data: bytes) -> None:
        """Take nothing."""

    def rtcp(self, _data: bytes) -> None:
        """Take nothing."""


async def examine(port: UdpPort, turn: TurnSetup, now_unix_s: float) -> list[Finding]:
    """Walk every way; takes a few seconds at most."""
    findings = _addresses(port)
    peer = IcePeer(secrets.token_hex(4), _Nobody())
    port.register(peer)
    try:
        ways: list[Awaitable[Finding]] = []
        for host, number in port.candidates():
            ways.append(_walk("udp", host, number, peer, _by_udp))
        for host, number in port.tcp_candidates():
            ways.append(_walk("tcp", host, number, peer, _by_tcp))
        try:
            servers = turn.addresses()
        except ValueError as error:
            findings.append(Finding("turn", "", "failed", "turn_unreachable", str(error)))
            servers = []
        ways += [_through(server, turn, now_unix_s, port, peer) for server in servers]
        findings += await asyncio.gather(*ways[:_MAX_WAYS])
    finally:
        port.unregister(peer)
    return findings


def _addresses(port: UdpPort) -> list[Finding]:
    """Judge the addresses that browsers are told, without sending anything."""
    number = port.bound[0][1]
    findings = [
        Finding(
            "tcp",
            host,
            "failed",
            "not_bound",
            f"TCP port {number} on {host} cannot be bound ({why}); viewers whose network lets no UDP out see nothing. "
            "Free the port for TCP, or set another relay.udp_port.",
        )
        for host, why in port.tcp_failed.items()
    ]
    told = [ipaddress.ip_address(host) for host, _number in port.candidates()]
    words = ", ".join(map(str, told))
    if all(address.is_loopback for address in told):
        findings.append(
            Finding(
                "addresses",
                words,
                "failed",
                "loopback_only",
                "browsers are told loopback addresses only: nobody on another machine can watch. Set relay.host or "
                "relay.public_addresses.",
            )
        )
    elif not any(address.is_global for address in told):
        findings.append(
            Finding(
                "addresses",
                words,
                "unknown",
                "private_only",
                "browsers are told private addresses only: viewers outside this network need relay.public_addresses with "
                "the port forwarded, or a TURN server.",
            )
        )
    else:
        findings.append(Finding("addresses", words, "ok", "ok", "browsers are told a public address."))
    if not any(address.version == 6 for address in told):
        findings.append(
            Finding(
                "addresses",
                words,
                "unknown",
                "no_ipv6",
                "no IPv6 address is told: viewers on IPv6-only networks need one, or their network's translation.",
            )
        )
    return findings


def _check(peer: IcePeer) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{peer.ufrag}:{peer.remote_ufrag}"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 1
    message.add_message_integrity(peer.pwd.encode())
    return bytes(message)


def _answers(data: bytes, peer: IcePeer) -> bool:
    try:
        message = stun.parse_message(data)
        return message.message_class == stun.Class.RESPONSE and message.check_message_integrity(
            peer.pwd.encode()
        )
    except (ValueError, KeyError):
        return False


async def _walk(
    way: str,
    host: str,
    number: int,
    peer: IcePeer,
    by: Callable[[str, int, IcePeer], Awaitable[bool]],
) -> Finding:
    shown = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    name = way.upper()
    try:
        async with asyncio.timeout(WITHIN_S):
            answered = await by(host, number, peer)
    except TimeoutError:
        answered = False
    except OSError as error:
        return Finding(
            way,
            shown,
            "failed",
            "refused_connection",
            f"{name} to {shown} cannot be tried from here: {error.strerror or type(error).__name__}. "
            "Check that the address belongs to this machine or is forwarded to it.",
        )
    if answered:
        return Finding(way, shown, "ok", "ok", f"the relay answers {name} on {shown}.")
    if _is_local(host):
        return Finding(
            way,
            shown,
            "failed",
            "no_answer",
            f"no answer over {name} on {shown}, an address of this machine: a firewall on this machine drops it. Allow "
            f"{name} port {number}.",
        )
    return Finding(
        way,
        shown,
        "unknown",
        "no_answer_public",
        f"no answer over {name} on {shown} from inside. Many routers do not send their own network's packets back; try from "
        f"outside, and check that {name} port {number} is forwarded to this machine.",
    )


def _is_local(host: str) -> bool:
    """Tell whether an address is this machine's: it can be bound."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True


async def _by_udp(host: str, number: int, peer: IcePeer) -> bool:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for _ in range(_TRIES):
            await loop.sock_sendto(sock, _check(peer), (host, number))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WITHIN_S / _TRIES):
                    while True:
                        if _answers(await loop.sock_recv(sock, 2048), peer):
                            return True
    return False


async def _by_tcp(host: str, number: int, peer: IcePeer) -> bool:
    reader, writer = await asyncio.open_connection(host, number)
    try:
        request = _check(peer)
        writer.write(len(request).to_bytes(2, "big") + request)
        await writer.drain()
        size = int.from_bytes(await reader.readexactly(2), "big")
        return _answers(await reader.readexactly(min(size, 2048)), peer)
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class _Relayed(asyncio.DatagramProtocol):
    """What comes back through a TURN server."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue(16)
        self.failed = ""

    def datagram_received(self, data: bytes, _address: tuple[str, int]) -> None:
        """Keep a datagram."""
        if not self.heard.full():
            self.heard.put_nowait(data)

    def error_received(self, error: Exception) -> None:
        """Keep the reason why the server relays nothing."""
        self.failed = str(error)


@asynccontextmanager
async def allocation(
    server: TurnAddress, user: str, password: str
) -> AsyncIterator[tuple[TurnTransport, _Relayed]]:
    """Hold an allocation on a TURN server.

    Raises:
        OSError, ConnectionError, aioice.stun.TransactionError: it cannot be had.
    """
    found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)
    address = found[0][4]
    context = ssl.create_default_context() if server.tls else None
    transport, relayed = await create_turn_endpoint(
        _Relayed,
        server_addr=(str(address[0]), int(address[1])),
        username=user,
        password=password,
        lifetime=60,
        ssl=context,
        transport=server.transport,
    )
    try:
        yield transport, relayed
    finally:
        transport.close()
        await asyncio.sleep(0)


async def _through(
    server: TurnAddress, turn: TurnSetup, now_unix_s: float, port: UdpPort, peer: IcePeer
) -> Finding:
    """Take an allocation and send a check through it to our own port: what a browser behind a closed network would do."""
    if not turn.secret:
        return Finding(
            "turn",
            server.url,
            "failed",
            "turn_secret_missing",
            "turn.secret is not set, so no viewer gets a credential for this server; set it to the server's static-auth-secret.",
        )
    user, password = turn.credential("selftest", now_unix_s, 60)
    try:
        async with (
            asyncio.timeout(2 * WITHIN_S),
            allocation(server, user, password.reveal()) as (transport, relayed),
        ):
            for host, number in port.candidates():
                if ":" in host:
                    continue
                for _ in range(_TRIES):
                    transport.sendto(_check(peer), (host, number))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(WITHIN_S / _TRIES):
                            while not _answers(await relayed.heard.get(), peer):
                                pass
                            return Finding(
                                "turn",
                                server.url,
                                "ok",
                                "ok",
                                f"the server gives an allocation, and the relay answers through it on {host}:{number}.",
                            )
            why = f" ({relayed.failed})" if relayed.failed else ""
            return Finding(
                "turn",
                server.url,
                "failed",
                "turn_no_relay",
                f"the server gives an allocation, but nothing comes back from the relay through it{why}: check its denied-peer-ip "
                f"rules, and that it reaches UDP port {port.candidates()[0][1]} of this machine.",
            )
    except stun.TransactionFailed as error:
        code = error.response.attributes.get("ERROR-CODE", (0, ""))
        return Finding(
            "turn",
            server.url,
            "failed",
            "turn_refused",
            f"the server refuses an allocation: {code[0]} {code[1]}. Check that turn.secret is its static-auth-secret and that both "
            "clocks agree.",
        )
    except (TimeoutError, stun.TransactionTimeout):
        why = "no answer"
    except (OSError, ConnectionError) as error:
        why = str(error) or type(error).__name__
    return Finding(
        "turn",
        server.url,
        "failed",
        "turn_unreachable",
        f"the server cannot be reached over {server.transport.upper()} at {server.host}:{server.port}: {why}.",
    )
