"""The UniFi Protect adapter: probes the console; the streams that it names are opened by the RTSP adapter."""

import importlib.util

import aiohttp
from yarl import URL

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.port import ProbeContext, ProbeRequest, ProbeResult
from adapters.secret import Credential
from adapters.unifi.mapping import FACTS, told
from adapters.wire.library_probe import LibraryProbe, Told, missing
from adapters.wire.no_media import NoMedia


class Unifi:
    """What uiprotect brings to the probe."""

    name = "unifi"
    version = "1"
    interface = "Protect API"
    facts: tuple[str, ...] = FACTS

    def is_login(self, method: str, url: URL) -> bool:
        """Only the login carries the password, in its body."""
        return method == "POST" and url.path == "/api/auth/login"

    async def read(
        self,
        session: aiohttp.ClientSession,
        request: ProbeRequest,
        credential: Credential,
        clock: Clock,
        deadline: Deadline,
    ) -> Told:
        """Log in once, read the console's state, log out.

        Raises:
            LoginRefused: the console refused the credential.
        """
        from adapters.unifi.client import read_bootstrap

        bootstrap, sent_at = await read_bootstrap(session, request.target, credential, clock)
        wanted = request.video_source or request.target.path.strip("/")
        return told(bootstrap, request.target.host, wanted, sent_at)


class UnifiAdapter(NoMedia):
    """Implements `adapters.port.Adapter` for ``unifi://``."""

    def __init__(self) -> None:
        if importlib.util.find_spec("uiprotect") is None:
            raise missing("uiprotect", "unifi")

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect observations through the console. Never raises for a device's fault."""
        return await LibraryProbe(Unifi(), request, context).run()
