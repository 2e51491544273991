"""The WS-Discovery side of scripted cameras: one responder for all of them on one address (ONVIF Core 7.3)."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from uuid import uuid4
from xml.sax.saxutils import escape

from lxml import etree

from hub.simulator.camera import ScriptedCamera
from hub.simulator.replies import PATHS, scopes_of

PORT = 3702
GROUP = "239.255.255.250"
_TYPES = frozenset({"NetworkVideoTransmitter", "Device"})
_MAX_MESSAGE_ID = 256

_MATCH = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"'
    ' xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
    "<s:Header><a:MessageID>urn:uuid:{message}</a:MessageID><a:RelatesTo>{relates}</a:RelatesTo>"
    "<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
    "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header>"
    "<s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>{endpoint}</a:Address>"
    "</a:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types><d:Scopes>{scopes}</d:Scopes>"
    "<d:XAddrs>{address}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches>"
    "</s:Body></s:Envelope>"
)


class _Port(asyncio.DatagramProtocol):
    """Hands probes to the responder."""

    def __init__(self, responder: "DiscoveryResponder") -> None:
        self._responder = responder

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Answer one probe."""
        self._responder.asked(data, (str(addr[0]), int(addr[1])))


class DiscoveryResponder:
    """Answers probes for the cameras that speak ONVIF, by multicast and by unicast. Says no Hello and no Bye."""

    def __init__(self, cameras: Sequence[ScriptedCamera], host: str, port: int = PORT) -> None:
        self._cameras = [
            camera for camera in cameras if camera.preset.onvif is not None and not camera.preset.dead
        ]
        self._host = host
        self.port = port
        self.probes = 0
        self._open: list[asyncio.DatagramTransport] = []

    async def start(self) -> None:
        """Listen on the group and on the address; port 0 takes a free one.

        Raises:
            OSError: the address or port cannot be had.
        """
        loop = asyncio.get_running_loop()
        own = _socket(self._host, self.port)
        self.port = int(own.getsockname()[1])
        socks = [own]
        try:
            group = _socket(GROUP, self.port)
            socks.append(group)
            group.setsockopt(
                socket.IPPROTO_IP,
                socket.IP_ADD_MEMBERSHIP,
                struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(self._host)),
            )
        except OSError:
            for sock in socks:
                sock.close()
            raise
        for sock in socks:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Port(self), sock=sock)
            self._open.append(transport)

    def asked(self, data: bytes, to: tuple[str, int]) -> None:
        """Answer one probe with a datagram per camera, sent from the address."""
        try:
            root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError:
            return
        if root.find(".//{*}Probe") is None:
            return
        self.probes += 1
        wanted = {word.rpartition(":")[2] for word in (root.findtext(".//{*}Probe/{*}Types") or "").split()}
        if not wanted <= _TYPES:
            return
        relates = (root.findtext("{*}Header/{*}MessageID") or "").strip()[:_MAX_MESSAGE_ID]
        for camera in self._cameras:
            device = camera.device
            scopes = " ".join(f"onvif://www.onvif.org/{scope}" for _kind, scope in scopes_of(device.preset))
            reply = _MATCH.format(
                message=uuid4(),
                relates=escape(relates),
                endpoint=device.endpoint,
                scopes=escape(scopes),
                address=f"http://{device.host}:{device.onvif_port}{PATHS['device']}",
            )
            self._open[0].sendto(reply.encode(), to)

    async def aclose(self) -> None:
        """Stop listening."""
        for transport in self._open:
            transport.close()
        self._open = []


def _socket(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # beside another responder on this machine
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock
