"""The ONVIF adapter: probes devices, and leaves streams to the adapter of their scheme."""

from adapters.onvif.identity import IdentityProbe
from adapters.onvif.probe import Probe
from adapters.onvif.soap import Wsdl
from adapters.port import ProbeContext, ProbeRequest, ProbeResult
from adapters.wire.no_media import NoMedia


class OnvifAdapter(NoMedia):
    """One per process: it holds the parsed WSDLs and nothing of any camera."""

    def __init__(self) -> None:
        self._wsdl = Wsdl()

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect what the device tells about itself, read-only. Never raises for a camera's fault."""
        await self._wsdl.ready()
        if request.depth == "identity":
            return await IdentityProbe(request, context, self._wsdl).run()
        return await Probe(request, context, self._wsdl).run()
