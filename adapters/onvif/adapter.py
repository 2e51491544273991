"""The ONVIF adapter: probes devices, and leaves streams to the adapter of their scheme."""

from adapters.deadline import Deadline
from adapters.errors import Unsupported
from adapters.onvif.identity import IdentityProbe
from adapters.onvif.probe import Probe
from adapters.onvif.soap import Wsdl
from adapters.port import MediaSource, ProbeContext, ProbeRequest, ProbeResult, StreamOffer
from adapters.secret import Credential


class OnvifAdapter:
    """One per process: it holds the parsed WSDLs and nothing of any camera."""

    def __init__(self) -> None:
        self._wsdl = Wsdl()

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect what the device tells about itself, read-only. Never raises for a camera's fault."""
        await self._wsdl.ready()
        if request.depth == "identity":
            return await IdentityProbe(request, context, self._wsdl).run()
        return await Probe(request, context, self._wsdl).run()

    async def open(
        self,
        offer: StreamOffer,
        credential: Credential | None,
        context: ProbeContext,
        deadline: Deadline,
        *,
        transport: str = "tcp",
        audio: bool = False,
    ) -> MediaSource:
        """ONVIF carries no media: streams are offered as RTSP addresses and opened by the RTSP adapter.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(
            f"{offer.target.scheme}:// carries no media",
            peer=offer.target.authority,
            operation="open",
            hint="Probe the camera and open one of the RTSP streams that it offers",
        )
