"""H.264 as the camera sends it: repaired, packetised, never decoded."""

from collections.abc import Callable
from typing import Final

from adapters.port import AccessUnit, Track
from hub.relay.packetise import H264Packetiser
from hub.relay.processing import Picture, Unplayable
from hub.relay.sdp import Offered

# A stream that may hold B pictures is watched for this long before it is offered to a viewer: one would be seen by then.
_WATCHED_PICTURES: Final = 4
_WATCHED_S: Final = 0.4


class CopyH264:
    """The `Processor` of cameras whose H.264 browsers play."""

    def __init__(self, on_picture: Callable[[Picture], None]) -> None:
        self._on_picture = on_picture
        self._packetiser = H264Packetiser()
        self._clock_rate_hz = 90_000
        self._opened_s = 0.0
        self._units = 0  # access units read in this connection
        self._running = False  # a key frame came in this connection

    def begin(self, track: Track, opened_s: float) -> None:
        """Expect a new connection; only H.264 can be copied."""
        if track.codec != "H264":
            words = Offered(track.codec).words
            raise Unplayable(
                f"the camera sends {words}, which is relayed only as H.264; set the camera's encoding to H.264, "
                "or enrol its H.264 sub-stream"
            )
        self._packetiser.learn(track.parameter_sets)
        self._clock_rate_hz = track.clock_rate_hz
        self._opened_s, self._units, self._running = opened_s, 0, False

    def take(self, unit: AccessUnit) -> None:
        """Packetise one access unit; nothing goes on before the first key frame, as nothing could be decoded."""
        payloads = self._packetiser.payloads(unit.nals, key_frame=unit.key_frame)
        if self._packetiser.b_pictures:
            raise Unplayable(
                "the camera sends H.264 with B pictures, which browsers cannot play over WebRTC; "
                "set the encoder's profile to Baseline or its B-frame count to 0"
            )
        if not payloads:
            return
        self._units += 1
        if not self._running:
            if not unit.key_frame or not self._packetiser.ready:
                return
            self._running = True
        self._on_picture(
            Picture(payloads, unit.timestamp, self._clock_rate_hz, unit.arrived_s, unit.key_frame)
        )

    def offered(self, now_s: float) -> Offered | None:
        """Say what the camera sends as soon as its SPS is known and B pictures are ruled out as far as they can be."""
        sps = self._packetiser.sps
        if sps is None:
            return None
        watched = self._units and now_s - self._opened_s > _WATCHED_S
        if sps.may_reorder and self._units < _WATCHED_PICTURES and not watched:
            return None
        return Offered("H264", sps)

    async def aclose(self) -> None:
        """Nothing was taken."""
