"""What an adapter is whose devices tell about themselves here, and are seen elsewhere."""

from adapters.deadline import Deadline
from adapters.errors import Unsupported
from adapters.port import MediaSource, ProbeContext, StreamOffer
from adapters.secret import Credential


class NoMedia:
    """The `open` of `adapters.port.Adapter` for interfaces that only offer streams: these are RTSP, and the registry opens them."""

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
        """Refuse.

        Raises:
            Unsupported: always; tells what to open instead.
        """
        raise Unsupported(
            f"{offer.target.scheme}:// carries no media",
            peer=offer.target.authority,
            operation="open",
            hint="Probe the camera and open one of the RTSP streams that it offers",
        )
