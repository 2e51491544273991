"""A server that accepts connections and never says anything."""

import asyncio

from hub.simulator.device import Device
from hub.simulator.listener import Listener


class SilentServer:
    """Holds every connection open and drops what it hears."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._listener = Listener(self._serve)

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            OSError: the address cannot be had.
        """
        return await self._listener.start(host, port)

    async def kill(self) -> None:
        """Stop listening and cut every connection."""
        await self._listener.kill()

    async def _serve(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        self._device.counters.connections += 1
        while await reader.read(65_536):
            pass
