"""The RTSP adapter: probes an RTSP address and opens its stream."""

from adapters.deadline import Deadline
from adapters.port import MediaSource, ProbeContext, ProbeRequest, ProbeResult, StreamOffer
from adapters.rtsp.policy import DEFAULT, Policies
from adapters.rtsp.probe import RtspProbe
from adapters.rtsp.source import RtspSource
from adapters.secret import Credential


class RtspAdapter:
    """Implements `adapters.port.Adapter` for ``rtsp://``."""

    def __init__(self, policies: Policies = DEFAULT) -> None:
        self._policies = policies

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect observations of one stream address. Never raises for a camera's fault."""
        return await RtspProbe(request, context, self._policies).run()

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
        """Open a stream for relaying: from connect to PLAY. Audio is set up only where it is asked for.

        Raises:
            AddressRefused, Unreachable, TimedOut: the camera cannot be reached, or a phase got no answer.
            AuthenticationFailed, CoolingDown, PermissionDenied: the login.
            RemoteProtocolError, CameraFault, Unsupported: what the camera answered.
        """
        source = RtspSource(offer.target, credential, context, policies=self._policies)
        await source.open(deadline, tcp=transport != "udp", audio=audio)
        return source
