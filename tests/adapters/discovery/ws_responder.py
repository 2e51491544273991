"""A small WS-Discovery device that nobody's library wrote: it answers probes with what a test tells it to.

As a program (`ws_responder.py ADDRESS`) it answers as one camera on the group, until it is killed.
"""

import socket
import struct
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GROUP = "239.255.255.250"
REPLY = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header><a:MessageID>{message}</a:MessageID>'
    "<a:RelatesTo>{relates}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference>"
    "<a:Address>{endpoint}</a:Address></a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types>"
    "<d:Scopes>{scopes}</d:Scopes><d:XAddrs>{addresses}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body>"
    "</s:Envelope>"
)
SCOPES = "onvif://www.onvif.org/name/ACME%20C1 onvif://www.onvif.org/hardware/C1"


def reply(
    addresses: str,
    *,
    endpoint: str = "urn:uuid:2a46daf1-86f6-41ad-9458-3d184eb46a58",
    scopes: str = SCOPES,
    relates: str = "urn:uuid:63a205c4-7eae-4dd5-99dc-75e38fbdf744",
    message: str = "urn:uuid:f0a90683-02ff-4f05-98fe-537b6c922386",
) -> bytes:
    """A ProbeMatches; MessageID and RelatesTo are always the same, as some cameras have it."""
    return REPLY.format(
        addresses=addresses, endpoint=endpoint, scopes=scopes, relates=relates, message=message
    ).encode()


@dataclass
class Responder:
    """What was asked, and on which port it is heard."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def responder(
    answer: Callable[[bytes], list[bytes]],
    *,
    address: str = "127.0.0.1",
    group: bool = True,
    port: int = 0,
    answer_from: str = "",
) -> Iterator[Responder]:
    """Answer every datagram with what `answer` returns for it, from `address` or, as nobody should, from another."""
    own = _bound(address, port)
    voice = _bound(answer_from, 0) if answer_from else own
    told = Responder(own.getsockname()[1])
    socks = [own]
    if group:
        socks.append(_bound(GROUP, told.port))
        socks[1].setsockopt(
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address)),
        )
    over = threading.Event()

    def serve(sock: socket.socket) -> None:
        while not over.is_set():
            try:
                data, who = sock.recvfrom(65_536)
            except TimeoutError:
                continue
            told.asked.append(data)
            for datagram in answer(data):
                voice.sendto(datagram, who)

    threads = [threading.Thread(target=serve, args=(sock,), daemon=True) for sock in socks]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        over.set()
        for thread in threads:
            thread.join(5)
        for sock in (*socks, voice):
            sock.close()


def _bound(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(0.1)
    sock.bind((address, port))
    return sock


def main() -> None:
    """Be one camera at the address that the command line names."""
    address = sys.argv[1]
    answers = [reply(f"http://{address}/onvif/device_service", endpoint=f"urn:uuid:{uuid.uuid4()}")]
    with responder(lambda _probe: answers, address=address, port=3702):
        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
