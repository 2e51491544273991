"""RTSP inside two HTTP connections, the server's side (Apple's QuickTime tunnel)."""

import asyncio
import base64
import binascii

_LIMIT = 262_144  # bytes that wait to be read as requests
_MAX_TUNNELS = 256


class Tunnels:
    """Open tunnels by cookie: what the POST of a cookie brings is read by the connection of its GET."""

    def __init__(self) -> None:
        self._open: dict[str, asyncio.StreamReader] = {}

    def begin(self, cookie: str) -> asyncio.StreamReader | None:
        """Return where the requests of a new tunnel will be read; None where the cookie is no good."""
        if not cookie or len(cookie) > 64 or cookie in self._open or len(self._open) >= _MAX_TUNNELS:
            return None
        self._open[cookie] = asyncio.StreamReader(limit=_LIMIT)
        return self._open[cookie]

    def end(self, cookie: str) -> None:
        """Forget a tunnel."""
        self._open.pop(cookie, None)

    async def feed(self, cookie: str, source: asyncio.StreamReader) -> bool:
        """Decode what a POST brings until it ends; False where no GET has begun this tunnel."""
        requests = self._open.get(cookie)
        if requests is None:
            return False
        held = b""
        while data := await source.read(4096):
            held += data
            whole = len(held) // 4 * 4
            try:
                # each message is padded for itself, so that a block may end in the middle of the data
                for at in range(0, whole, 4):
                    requests.feed_data(base64.b64decode(held[at : at + 4], validate=True))
            except binascii.Error:
                break
            held = held[whole:]
        requests.feed_eof()
        return True
