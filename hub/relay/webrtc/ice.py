"""ICE-lite (RFC 8445 2.5) on one port number per worker, over UDP and TCP.

Every viewer shares the port. A binding request finds its viewer by our user name fragment and proves the viewer's
password (MESSAGE-INTEGRITY); from then on that source address is the viewer's. DTLS and RTCP are taken only from such
addresses, and nothing is ever sent to an address that has not proved itself, so the port cannot be made to reflect.
A binding request that is still answered is the viewer's consent to receive (RFC 7675); one that was heard before and comes
from elsewhere is a recording and is not answered. After a restart (RFC 8445 9) both
passwords hold until the new one has been used.
"""

import asyncio
import errno
import ipaddress
import secrets
import socket
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from aioice.ice import get_host_addresses

from hub.relay.sender import Path
from hub.relay.webrtc.checks import proves, read_check, role_conflict, success
from hub.relay.webrtc.feedback_filter import thin, thin_no_more
from hub.relay.webrtc.icetcp import Address, TcpPath, TcpPort

_RECEIVE_BATCH = 256  # datagrams read before other work gets its turn: some 3 ms. With 64 a worker whose rounds take 40 ms reads 1,600 a second
_DATAGRAM_MAX = 2048
_TURN_S = 0.01  # between two looks at what came, where many watch
_PICKS = 50  # numbers that are tried where any will do
_MAX_ADDRESSES = 8  # a viewer behind changing paths; each has to prove itself
_MAX_TRANSACTIONS = 64  # two minutes and more of a browser's checks
_SEND_BUFFER = 8 << 20
_RECEIVE_BUFFER = 4 << 20
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h
# Viewers from which on the kernel drops their path feedback but for one in so many: some 160 to 320 a second are read then, of each
# viewer one in 0.4, 0.8 or 1.6 s. Of these thresholds three quarters are kept to on the way down.
_THINNED = ((256, 32), (128, 16), (64, 8))
_ADDRESSES_FOR_S = 5.0  # interfaces come and go, but to ask for them costs as much as the rest of an answer


class Heard(Protocol):
    """What a viewer does with what comes from its addresses."""

    def checked(self) -> None:
        """A valid connectivity check came, the first or a later one."""

    def dtls(self, data: bytes) -> None:
        """A DTLS record came."""

    def rtcp(self, data: bytes) -> None:
        """An SRTP or SRTCP packet came."""


class _Nobody:
    """Hears nothing: what stands in the place of a viewer that has gone, so that nothing holds it."""

    def checked(self) -> None: ...

    def dtls(self, data: bytes) -> None: ...

    def rtcp(self, data: bytes) -> None: ...


_NOBODY: Final = _Nobody()


@dataclass(slots=True, eq=False)
class IcePeer:
    """One viewer on the port."""

    remote_ufrag: str
    heard: Heard
    ufrag: str = field(default_factory=lambda: secrets.token_hex(8))
    pwd: str = field(default_factory=lambda: secrets.token_hex(16))
    sock: Path | None = None  # of the pair in use; None until a check came
    address: Address = ("", 0)
    nominated: bool = False
    last_check_s: float = 0.0  # event loop time
    addresses: list[tuple[int, Address]] = field(default_factory=list)
    transactions: deque[bytes] = field(
        default_factory=lambda: deque(maxlen=_MAX_TRANSACTIONS)
    )  # of valid checks
    before: tuple[str, str, str] | None = (
        None  # our fragment, our password, theirs: until a restart is completed
    )

    def secrets_of(self, ufrag: str) -> tuple[str, str]:
        """Return (our password, their fragment) that go with a fragment of ours."""
        if self.before is not None and ufrag == self.before[0]:
            return self.before[1], self.before[2]
        return self.pwd, self.remote_ufrag


class UdpPort:
    """The worker's port: per bound address one UDP socket and one that listens for TCP, all on the same number."""

    def __init__(self, public_addresses: tuple[str, ...] = (), *, tcp: bool = True) -> None:
        self._public = public_addresses
        self._sockets: list[socket.socket] = []
        self._in_turns: set[socket.socket] = set()  # of them, those that are looked at by the clock
        self._by_ufrag: dict[str, IcePeer] = {}
        self._by_address: dict[tuple[int, Address], IcePeer] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tcp: TcpPort | None = TcpPort(self._frame, self._hung_up) if tcp else None
        self.tcp_failed: dict[str, str] = {}  # hosts on which the number was free for UDP only, and why
        self._addresses: dict[bool, tuple[float, list[str]]] = {}
        self.one_in = 1  # of the path feedback so much is read; the kernel drops the rest
        self.refused = 0  # datagrams from nobody, or with a wrong password

    def open(self, hosts: tuple[str, ...], port: int) -> int:
        """Bind `port` on each host, IPv4 or IPv6, and begin to read. 0 picks one that is free on all of them, for UDP and TCP
        (a connection that was closed holds its number for a minute). Return the port.

        Raises:
            OSError: the first host cannot be bound; names nothing but the system's reason.
        """
        number, taken = self._bind(hosts, port)
        for _ in range(_PICKS if port == 0 else 0):
            if not taken:
                break
            self.close()
            number, taken = self._bind(hosts, port)
        return number

    def _bind(self, hosts: tuple[str, ...], port: int) -> tuple[int, bool]:
        """Bind once; return the port, and whether somebody else has it on one of the hosts."""
        self._loop = asyncio.get_running_loop()
        self.tcp_failed.clear()
        taken = False
        for place, host in enumerate(hosts):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                sock = socket.socket(family, socket.SOCK_DGRAM)
            except OSError:
                if place == 0:
                    raise
                continue  # no IPv6 on this machine
            try:
                sock.setblocking(False)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                _room(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE, _SEND_BUFFER)
                _room(sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
                sock.bind((host, port))
            except OSError as error:
                sock.close()
                if place == 0:
                    raise
                taken = taken or error.errno == errno.EADDRINUSE
                continue
            port = int(sock.getsockname()[1])
            self._sockets.append(sock)
            self._loop.add_reader(sock, self._readable, sock)
            if self._tcp is not None:
                try:
                    self._tcp.listen(host, port)
                except OSError as error:
                    self.tcp_failed[host] = error.strerror or "cannot be bound"
                    taken = taken or error.errno == errno.EADDRINUSE
        return port, taken

    def close(self) -> None:
        """Stop reading and give the port back. Idempotent."""
        for sock in self._sockets:
            if self._loop is not None:
                self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        self._in_turns.clear()
        if self._tcp is not None:
            self._tcp.close()
        self._by_ufrag.clear()
        self._by_address.clear()

    def candidates(self) -> list[tuple[str, int]]:
        """Return the (address, port) pairs to tell a browser, best first.

        The configured public addresses, else the addresses of the interfaces; on a socket bound to one address, that
        one. A machine without any interface but loopback offers loopback.
        """
        return self._told([(sock.getsockname()[:2], sock.family) for sock in self._sockets])

    def tcp_candidates(self) -> list[tuple[str, int]]:
        """Return the (address, port) pairs on which TCP is accepted, as `candidates` does for UDP."""
        hosts = self._tcp.hosts if self._tcp is not None else []
        return self._told(
            [(name[:2], socket.AF_INET6 if ":" in str(name[0]) else socket.AF_INET) for name in hosts]
        )

    @property
    def bound(self) -> list[tuple[str, int]]:
        """Return the addresses of the UDP sockets as bound."""
        return [sock.getsockname()[:2] for sock in self._sockets]

    def _told(self, bound: list[tuple[tuple[str, int], int]]) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for (host, port), family in bound:
            v6 = family == socket.AF_INET6
            if self._public:
                found += [(a, port) for a in self._public if (":" in a) == v6]
            elif ipaddress.ip_address(host).is_unspecified:
                found += [(a.partition("%")[0], port) for a in self._interfaces(v6=v6)]
            else:
                found.append((host, port))
        if not found and bound:
            (_host, port), family = bound[0]
            found.append(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        return found

    def _interfaces(self, *, v6: bool) -> list[str]:
        now = self._loop.time() if self._loop is not None else 0.0
        asked_s, held = self._addresses.get(v6, (-_ADDRESSES_FOR_S, []))
        if now - asked_s >= _ADDRESSES_FOR_S:
            held = _interface_addresses(v6=v6)
            self._addresses[v6] = (now, held)
        return held

    def register(self, peer: IcePeer) -> None:
        """Let a viewer's checks be answered."""
        self._by_ufrag[peer.ufrag] = peer
        wanted = _one_in(len(self._by_ufrag))
        if wanted > self.one_in and sum(thin(sock, wanted) for sock in self._sockets):
            self.one_in = wanted

    def unregister(self, peer: IcePeer) -> None:
        """Forget a viewer: its checks are no longer answered, so that its browser notices. Idempotent."""
        self._by_ufrag.pop(peer.ufrag, None)
        if peer.before is not None:
            self._by_ufrag.pop(peer.before[0], None)
        peer.sock = None
        known, peer.addresses = peer.addresses, []
        for key in known:
            if self._by_address.get(key) is peer:
                self._forget(key)
        peer.heard = _NOBODY
        wanted = _one_in(len(self._by_ufrag) * 4 // 3)
        if wanted < self.one_in:
            self.one_in = wanted
            for sock in self._sockets:
                thin_no_more(sock)
                if wanted > 1:
                    thin(sock, wanted)

    def restart(self, peer: IcePeer, remote_ufrag: str) -> None:
        """Give a viewer new fragments and a new password; the path in use stays until another is proved."""
        if peer.before is not None:
            self._by_ufrag.pop(peer.before[0], None)
        peer.before = (peer.ufrag, peer.pwd, peer.remote_ufrag)
        peer.ufrag, peer.pwd, peer.remote_ufrag = secrets.token_hex(8), secrets.token_hex(16), remote_ufrag
        self._by_ufrag[peer.ufrag] = peer

    def _hung_up(self, path: TcpPath) -> None:
        """Forget a TCP connection; its viewer may come back by another."""
        peer = self._by_address.pop((path.fileno(), path.address), None)
        if peer is not None:
            peer.addresses.remove((path.fileno(), path.address))
            if peer.sock is path:
                peer.sock = None

    def _frame(self, path: TcpPath, data: bytes) -> None:
        """Take one frame of a TCP connection; one that does not begin by proving itself is hung up."""
        self._datagram(path, data, path.address)
        if not path.proven:
            path.close()

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(_RECEIVE_BATCH):
            try:
                data, address = sock.recvfrom(_DATAGRAM_MAX)
            except (BlockingIOError, InterruptedError):
                if self.one_in > 1 and self._loop is not None:
                    # Where many speak, what they say is heard in turns: one by one each would find its code out of the cache.
                    if sock not in self._in_turns:
                        self._in_turns.add(sock)
                        self._loop.remove_reader(sock)
                    self._loop.call_later(_TURN_S, self._hear_again, sock)
                return
            except OSError:
                continue  # an ICMP error of an earlier send; the next datagram is behind it
            if data:
                self._datagram(sock, data, address)
        if sock in self._in_turns and self._loop is not None:
            self._loop.call_soon(self._hear_again, sock)

    def _hear_again(self, sock: socket.socket) -> None:
        if sock not in self._sockets or self._loop is None:
            return
        if self.one_in == 1 and sock in self._in_turns:
            self._in_turns.discard(sock)
            self._loop.add_reader(sock, self._readable, sock)
        self._readable(sock)

    def _datagram(self, sock: Path, data: bytes, address: Address) -> None:
        first = data[0]  # RFC 7983: what a datagram is
        if first < 4:
            self._stun(sock, data, address)
            return
        peer = self._by_address.get((sock.fileno(), address))
        if peer is None:
            self.refused += 1
        elif 20 <= first <= 63:
            peer.heard.dtls(data)
        elif 128 <= first <= 191:
            peer.heard.rtcp(data)

    def _stun(self, sock: Path, data: bytes, address: Address) -> None:
        # Cheap tests first: a flood of requests with unknown names costs one walk over the attributes each.
        check = read_check(data)
        peer = self._by_ufrag.get(check.ours) if check is not None else None
        if check is None or peer is None:
            self.refused += 1
            return
        pwd, expected = peer.secrets_of(check.ours)
        password = pwd.encode()
        if check.theirs != expected or not proves(data, check, password):
            self.refused += 1
            return
        key = (sock.fileno(), address)
        known = self._by_address.get(key) is peer
        if check.transaction in peer.transactions:
            if not known:  # recorded on its way and played again: the picture must not follow it
                self.refused += 1
                return
        else:
            peer.transactions.append(check.transaction)
        if check.controlled:
            self._reply(sock, address, role_conflict(check, password))
            return
        if peer.before is not None and check.ours == peer.ufrag:
            self._by_ufrag.pop(peer.before[0], None)  # the restart is completed
            peer.before = None
        if isinstance(sock, TcpPath):
            sock.proven = True
        if not known:
            self._learn(peer, key)
        if peer.sock is None or check.nominated:
            peer.sock, peer.address = sock, address
            peer.nominated = peer.nominated or check.nominated
        if self._loop is not None:
            peer.last_check_s = self._loop.time()
        host, port = str(address[0]).partition("%")[0], int(address[1])
        self._reply(sock, address, success(check, (host, port), password))
        peer.heard.checked()

    def _learn(self, peer: IcePeer, key: tuple[int, Address]) -> None:
        """Hear a viewer from one more address; of too many the oldest is forgotten."""
        if len(peer.addresses) >= _MAX_ADDRESSES:
            in_use = (-1 if peer.sock is None else peer.sock.fileno(), peer.address)
            oldest = next(place for place, known in enumerate(peer.addresses) if known != in_use)
            self._forget(peer.addresses.pop(oldest))
        peer.addresses.append(key)
        self._by_address[key] = peer

    def _forget(self, key: tuple[int, Address]) -> None:
        """Hear nobody from an address any more; a connection is hung up, which its viewer need not do."""
        self._by_address.pop(key, None)
        if self._tcp is not None:
            self._tcp.hang_up(key)

    @staticmethod
    def _reply(sock: Path, address: Address, response: bytes) -> None:
        try:
            sock.sendto(response, address)
        except OSError:
            return  # the browser repeats its check


def _room(sock: socket.socket, option: int, forced: int, size: int) -> None:
    """Ask for a buffer: beyond the system's limit where we may, else up to it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, option, size)


def _interface_addresses(*, v6: bool) -> list[str]:
    return [str(address) for address in get_host_addresses(not v6, v6)]


def _one_in(viewers: int) -> int:
    """Return of how much path feedback one is read where so many watch."""
    return next((one_in for many, one_in in _THINNED if viewers >= many), 1)
