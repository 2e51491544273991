"""RTP and RTCP over UDP: one port pair, filtered by the camera's address (RFC 2326 section 12.39)."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import cast

from adapters.rtsp.tolerance import Tolerance, Tolerances

RECEIVE_BUFFER = 2_097_152  # bytes asked of the kernel: a key frame of a 4K camera comes at line rate
_Address = tuple[str, int]


class DatagramReceiver(asyncio.DatagramProtocol):
    """Takes datagrams of one camera and drops everybody else's.

    The source must be the enrolled host's address. Its port should be the one that SETUP told; cameras that tell
    none or send from another are followed (quirk 24), because the address already says who they are.
    """

    def __init__(self, peer: str, tolerances: Tolerances) -> None:
        self._peer = _plain(peer)
        self._deliver: Callable[[bytes], None] = lambda _data: None
        self._tolerances = tolerances
        self.unreachable = 0
        self.transport: asyncio.DatagramTransport | None = None
        self._known: _Address | None = None
        self.server_port: int | None = None
        self.foreign = 0
        self.received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the kernel for room."""
        self.transport = cast("asyncio.DatagramTransport", transport)  # Python 3.11's is none by class
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Check the sender and hand the datagram on."""
        source = (str(addr[0]), int(addr[1]))
        if source != self._known:
            if _plain(source[0]) != self._peer:
                self.foreign += 1
                return
            if self.server_port not in (None, source[1]):
                self._tolerances.note(Tolerance.SERVER_PORT_OTHER)
            self._known = source
        self.received += 1
        self._deliver(data)

    def error_received(self, exc: Exception) -> None:
        """Note that the camera's host refused a datagram (ICMP); silence is judged elsewhere."""
        self.unreachable += 1

    def deliver_to(self, deliver: Callable[[bytes], None]) -> None:
        """Hand datagrams to `deliver` from now on."""
        self._deliver = deliver

    def expect(self, server_port: int | None) -> None:
        """Remember the port that SETUP told; None where it told none that can be used."""
        self.server_port = server_port

    def punch(self, host: str, data: bytes) -> None:
        """Send a datagram to the camera so that firewalls and NATs on the way let its media in (quirk 31)."""
        if self.transport is not None and self.server_port:
            self.transport.sendto(data, (host, self.server_port))

    def send(self, data: bytes, host: str) -> None:
        """Send to where the camera sends from, else to the port that it told."""
        if self.transport is None:
            return
        if self._known is not None:
            self.transport.sendto(data, self._known)
        elif self.server_port:
            self.transport.sendto(data, (host, self.server_port))

    def close(self) -> None:
        """Close the socket."""
        if self.transport is not None:
            self.transport.close()


def punch_packet(ssrc: int) -> bytes:
    """Return an RTP packet without payload."""
    return struct.pack("!BBHII", 0x80, 0, 0, 0, ssrc)


def _plain(address: str) -> str:
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)
