"""How packets reach a client: inside the RTSP connection, or by UDP."""

import asyncio
import re
import socket

from hub.simulator.device import Device


async def choose(
    device: Device, writer: asyncio.StreamWriter, offered: str
) -> "Interleaved | Datagrams | None":
    """Return the first offered transport that the camera has (RFC 2326 section 12.39), None where it has none.

    Raises:
        OSError: no pair of UDP ports is free.
    """
    allowed = device.preset.rtsp.transports
    for offer in offered.split(","):
        parts = [part.strip() for part in offer.split(";")]
        if "multicast" in parts:
            continue
        settings = dict(part.split("=", 1) for part in parts if "=" in part)
        if parts[0].upper() == "RTP/AVP/TCP" and "tcp" in allowed:
            pair = _pair(settings.get("interleaved", "0-1"), 255)
            if pair is not None:
                return Interleaved(writer, *pair)
        if parts[0].upper() in ("RTP/AVP", "RTP/AVP/UDP") and "udp" in allowed:
            pair = _pair(settings.get("client_port", ""), 65535)
            if pair is not None and min(pair) >= 1:
                return await _open_datagrams(device, writer, *pair)
    return None


class Interleaved:
    """Packets inside the RTSP connection (RFC 2326 section 10.12)."""

    # a client this far behind loses pictures until the next key frame; about 8 s of a 2 Mbit/s stream
    _FULL = 2_000_000

    def __init__(self, writer: asyncio.StreamWriter, rtp_channel: int, rtcp_channel: int) -> None:
        self._writer = writer
        self._channels = rtp_channel, rtcp_channel
        self.answer = f"RTP/AVP/TCP;unicast;interleaved={rtp_channel}-{rtcp_channel}"

    def ready(self) -> bool:
        """Tell whether a picture may be sent."""
        transport = self._writer.transport
        return not transport.is_closing() and transport.get_write_buffer_size() < self._FULL

    def send_media(self, packets: list[bytes]) -> None:
        """Send the packets of one picture."""
        channel = self._channels[0]
        self._writer.write(
            b"".join(
                part
                for packet in packets
                for part in (b"$%c" % channel, len(packet).to_bytes(2, "big"), packet)
            )
        )

    def send_control(self, packet: bytes) -> None:
        """Send one compound RTCP packet."""
        if not self._writer.transport.is_closing():
            self._writer.write(b"$%c" % self._channels[1] + len(packet).to_bytes(2, "big") + packet)

    def close(self) -> None:
        """Nothing is held apart from the connection."""


class Datagrams(asyncio.DatagramProtocol):
    """RTP and RTCP over a pair of UDP ports; packets go only to the host that asked over TCP."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._sockets: list[asyncio.DatagramTransport] = []
        self._media = self._control = ("", 0)
        self.answer = ""

    def bind(
        self, sockets: list[asyncio.DatagramTransport], host: str, media_port: int, control_port: int
    ) -> None:
        """Take the pair of sockets and the client's ports."""
        self._sockets = sockets
        self._media, self._control = (host, media_port), (host, control_port)
        server_port = sockets[0].get_extra_info("sockname")[1]
        self.answer = f"RTP/AVP;unicast;client_port={media_port}-{control_port};server_port={server_port}-{server_port + 1}"

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        """Count receiver reports and punch packets."""
        if len(data) > 1 and 200 <= data[1] <= 206:  # RTCP; anything else opens a NAT
            self._device.counters.receiver_reports += 1
        else:
            self._device.counters.punches += 1

    def error_received(self, exc: Exception) -> None:
        """The client's port is closed; the RTSP connection tells when it is gone."""

    def ready(self) -> bool:
        """Tell whether a picture may be sent."""
        return bool(self._sockets) and not self._sockets[0].is_closing()

    def send_media(self, packets: list[bytes]) -> None:
        """Send the packets of one picture."""
        if self._device.preset.rtsp.udp_silent:
            return
        for packet in packets:
            self._sockets[0].sendto(packet, self._media)

    def send_control(self, packet: bytes) -> None:
        """Send one compound RTCP packet."""
        if not self._sockets[1].is_closing() and not self._device.preset.rtsp.udp_silent:
            self._sockets[1].sendto(packet, self._control)

    def close(self) -> None:
        """Close both sockets."""
        for transport in self._sockets:
            transport.close()


async def _open_datagrams(
    device: Device, writer: asyncio.StreamWriter, media_port: int, control_port: int
) -> Datagrams:
    """Open an even port and the one above it (RFC 3550 section 11).

    Raises:
        OSError: no pair of ports is free.
    """
    loop = asyncio.get_running_loop()
    local, peer = writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0]
    protocol = Datagrams(device)
    for attempt in range(32):
        pair: list[socket.socket] = []
        try:
            pair.append(_udp_socket(local, 0))
            port = pair[0].getsockname()[1]
            if port % 2:
                raise OSError("the port is odd")
            pair.append(_udp_socket(local, port + 1))
        except OSError:
            for half in pair:
                half.close()
            if attempt == 31:
                raise
            continue
        transports = [(await loop.create_datagram_endpoint(lambda: protocol, sock=half))[0] for half in pair]
        protocol.bind(transports, peer, media_port, control_port)
        break
    return protocol


def _udp_socket(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _pair(text: str, limit: int) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text.strip())
    if match is None:
        return None
    first = int(match.group(1))
    second = int(match.group(2)) if match.group(2) else first + 1
    return (first, second) if max(first, second) <= limit else None


Transport = Interleaved | Datagrams
