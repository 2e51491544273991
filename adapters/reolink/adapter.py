"""The Reolink adapter: probes over HTTPS; the streams that it names are opened by the RTSP adapter."""

import importlib.util

import aiohttp
from yarl import URL

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.port import ProbeContext, ProbeRequest, ProbeResult
from adapters.reolink.mapping import FACTS, told
from adapters.secret import Credential
from adapters.wire.library_probe import LibraryProbe, Told, missing
from adapters.wire.no_media import NoMedia


class Reolink:
    """What reolink-aio brings to the probe."""

    name = "reolink"
    version = "1"
    interface = "HTTP API"
    facts: tuple[str, ...] = FACTS

    def is_login(self, method: str, url: URL) -> bool:
        """Only the Login command carries the password, in its body."""
        return method == "POST" and url.query.get("cmd") == "Login"

    async def read(
        self,
        session: aiohttp.ClientSession,
        request: ProbeRequest,
        credential: Credential,
        clock: Clock,
        deadline: Deadline,
    ) -> Told:
        """Log in once, send the read commands in one batch, log out.

        Raises:
            LoginRefused: the device refused the credential.
        """
        from adapters.reolink.client import read_all

        replies = await read_all(session, request.target, credential, deadline)
        return told(replies, request.target.host, credential.user, clock.now())


class ReolinkAdapter(NoMedia):
    """Implements `adapters.port.Adapter` for ``reolink://``."""

    def __init__(self) -> None:
        if importlib.util.find_spec("reolink_aio") is None:
            raise missing("reolink-aio", "reolink")

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect observations over the maker's HTTPS interface. Never raises for a camera's fault."""
        return await LibraryProbe(Reolink(), request, context).run()
