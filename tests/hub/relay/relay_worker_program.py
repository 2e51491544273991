"""A relay worker whose cameras are synthetic: what `RelaySetup.command` starts in tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from relay_camera import SyntheticCamera

from adapters.errors import AuthenticationFailed
from adapters.port import AdapterManifest
from adapters.registry import Registry
from hub.relay.worker import main


class SyntheticAdapter:
    """Opens a synthetic camera for every address; path ``/refuses`` refuses the login after asking the gate."""

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
        return await camera.open(None, deadline)


def registry() -> Registry:
    """Return a registry that knows only synthetic cameras."""
    found = Registry()
    found.add(AdapterManifest("synthetic", "1", ("rtsp",), {"rtsp": 554}, (), SyntheticAdapter))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], registry()))
