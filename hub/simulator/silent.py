"""A server that accepts connections and never says anything."""

import asyncio
import contextlib

from hub.simulator.device import Device


class SilentServer:
    """Holds every connection open and drops what it hears."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port."""
        self._server = await asyncio.start_server(self._serve, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def kill(self) -> None:
        """Cut every connection and stop listening."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._device.counters.connections += 1
        self._open.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
        finally:
            self._open.discard(writer)
            writer.close()
