"""The RTSP adapter: probes an RTSP address and opens its stream."""

from adapters.deadline import Deadline
from adapters.port import MediaSource, ProbeContext, ProbeRequest, ProbeResult, StreamOffer
from adapters.rtsp.policy import DEFAULT, Policies
from adapters.rtsp.probe import RtspProbe
from adapters.rtsp.source import RtspSource
from adapters.rtsp.stale import StaleSessions
from adapters.secret import Credential


class RtspAdapter:
    """Implements `adapters.port.Adapter` for ``rtsp://``, ``rtsps://`` and RTSP inside HTTP and HTTPS."""

    def __init__(self, policies: Policies = DEFAULT) -> None:
        self._policies = policies
        self._stale = StaleSessions()

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect observations of one stream address. Never raises for a camera's fault."""
        return await RtspProbe(request, context, self._policies, stale=self._stale).run()

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

        Over UDP it falls back to TCP after 3 s of silence; over TLS and inside HTTP it is always interleaved.

        Raises:
            AddressRefused, Unreachable, TlsFailed, TimedOut: the camera cannot be reached, or a phase got no answer.
            AuthenticationFailed, CoolingDown, PermissionDenied: the login.
            RemoteProtocolError, CameraFault, Unsupported: what the camera answered.
            StaleSession: an earlier session may still be sent into new connections.
        """
        source = RtspSource(offer.target, credential, context, policies=self._policies, stale=self._stale)
        await source.open(deadline, tcp=transport != "udp", audio=audio)
        return source
