"""The child's end of the socket: whole messages over the descriptor that a confined process keeps."""

import os

from hub.decode.confine import KEPT_DESCRIPTOR
from hub.decode.language import Asked, Broken, Language, Told
from hub.decode.limits import LENGTH


def hear(language: Language[Asked, Told]) -> Asked | None:
    """Return the hub's next message; `None` once the hub has gone, announces too much or says what is no message."""
    head = exactly(LENGTH)
    size = int.from_bytes(head or b"", "big")
    if not head or size > language.longest_asked:
        return None
    body = exactly(size)
    try:
        return None if body is None else language.asked(body)
    except Broken:
        return None


def say(language: Language[Asked, Told], message: Told) -> None:
    """Send a message to the hub."""
    data = memoryview(language.tell(message))
    while data:
        data = data[os.write(KEPT_DESCRIPTOR, data) :]


def exactly(size: int) -> bytes | None:
    """Return the next `size` bytes; `None` once the other side has gone."""
    # read(2), not recv(2): the filter knows no call of sockets
    data = bytearray()
    while len(data) < size:
        piece = os.read(KEPT_DESCRIPTOR, min(size - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)
