"""The child's end of the socket: whole messages over the one descriptor that a confined process keeps."""

import os

from hub.decode.confine import KEPT_DESCRIPTOR
from hub.decode.limits import LENGTH


def read(longest: int) -> bytes | None:
    """Return the body of the hub's next message; `None` once the hub has gone or announces more than `longest`."""
    head = _exactly(LENGTH)
    size = int.from_bytes(head or b"", "big")
    if not head or size > longest:
        return None
    return _exactly(size)


def write(framed: bytes) -> None:
    """Send a message as `pack` made it."""
    data = memoryview(framed)
    while data:
        data = data[os.write(KEPT_DESCRIPTOR, data) :]


def _exactly(size: int) -> bytes | None:
    # read(2), not recv(2): the filter knows no call of sockets
    data = bytearray()
    while len(data) < size:
        piece = os.read(KEPT_DESCRIPTOR, min(size - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)
