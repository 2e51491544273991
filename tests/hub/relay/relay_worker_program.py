"""A relay worker whose cameras are synthetic: what `RelaySetup.command` starts in tests."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from relay_camera import SyntheticCamera

from adapters.errors import AuthenticationFailed
from adapters.port import AdapterManifest
from adapters.registry import Registry
from hub.relay.workers.worker import main


class Counted:
    """A stream that holds a connection to the camera's address for as long as it is open, as a real one does."""

    def __init__(self, source, writer) -> None:
        self.tracks = source.tracks
        self.run = source.run
        self._source = source
        self._writer = writer

    async def aclose(self) -> None:
        """Hang up."""
        await self._source.aclose()
        self._writer.close()


class SyntheticAdapter:
    """Opens a synthetic camera for every address; path ``/refuses`` refuses the login after asking the gate.

    Path ``/counted/...`` connects to the address as well, for a test that counts connections there.
    """

    def __init__(self) -> None:
        self._cameras: dict[str, SyntheticCamera] = {}

    async def probe(self, request, context):
        """Never asked of a relay worker."""
        raise NotImplementedError

    async def open(self, offer, credential, context, deadline, *, transport="tcp", audio=False):
        """Open as an adapter does: past the gate and the dialer's rules."""
        context.dialer.check(offer.target.host, offer.target.port)
        if credential is not None:
            await context.gate.admit(context.device)
        if offer.target.path == "/refuses":
            await context.gate.refused(context.device)
            raise AuthenticationFailed("the camera refused the login", scheme="digest", credential_sent=True)
        camera = self._cameras.setdefault(offer.target.url, SyntheticCamera())
        source = await camera.open(None, deadline)
        if not offer.target.path.startswith("/counted"):
            return source
        _reader, writer = await asyncio.open_connection(offer.target.host, offer.target.port)
        writer.write(offer.target.path.encode() + b"\n")
        return Counted(source, writer)


def registry() -> Registry:
    """Return a registry that knows only synthetic cameras."""
    found = Registry()
    found.add(AdapterManifest("synthetic", "1", ("rtsp",), {"rtsp": 554}, (), SyntheticAdapter))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], registry()))
