"""H.264 or H.265 as the camera sends it: repaired, packetised, never decoded."""

from collections.abc import Callable
from typing import Final

from adapters.port import AccessUnit, Track
from adapters.rtsp import h264, h265
from adapters.rtsp.slices import LoneSlice
from hub.relay.camera.chain import Chain
from hub.relay.camera.packetise import H264Packetiser
from hub.relay.camera.packetise265 import H265Packetiser
from hub.relay.camera.processing import Picture, Unplayable, why_not
from hub.relay.webrtc.sdp import Offered

# A stream that may hold B pictures is watched for this long before it is offered to a viewer: one would be seen by then.
_WATCHED_PICTURES: Final = 4
_WATCHED_S: Final = 1.0


class Copy:
    """The `Processor` of streams that browsers play as the camera sends them."""

    def __init__(self, on_picture: Callable[[Picture], None]) -> None:
        self._on_picture = on_picture
        self._packetiser: H264Packetiser | H265Packetiser = H264Packetiser()
        self._codec = "H264"
        self._clock_rate_hz = 90_000
        self._opened_s = 0.0
        self._units = 0  # access units read in this connection
        self._running = False  # a key frame came in this connection
        self._chain = Chain()
        self._played: h264.Sps | h265.Sps | None = None  # what was looked at, and browsers play

    @property
    def held(self) -> bool:
        """Tell whether packets were lost, and pictures wait for the camera's next whole key frame."""
        return self._chain.broken

    def begin(self, track: Track, opened_s: float) -> None:
        """Expect a new connection; only H.264 and H.265 can be copied."""
        if track.codec not in {"H264", "H265"}:
            raise Unplayable(
                f"the camera sends {Offered(track.codec).words}, which browsers do not receive; set the camera's "
                "encoding to H.264, or enrol its H.264 sub-stream",
                why_not(track.codec),
            )
        if track.codec != self._codec:
            self._codec = track.codec
            self._packetiser = H264Packetiser() if track.codec == "H264" else H265Packetiser()
        self._packetiser.b_pictures = False
        self._packetiser.learn(track.parameter_sets)
        self._clock_rate_hz = track.clock_rate_hz
        self._opened_s, self._units, self._running = opened_s, 0, False
        self._chain.begin(track.codec)
        self._played = None

    def take(self, unit: AccessUnit) -> None:
        """Packetise one access unit; nothing goes on before the first key frame, as nothing could be decoded."""
        whole = self._chain.takes(unit)
        packetiser = self._packetiser
        if type(unit) is LoneSlice and isinstance(packetiser, H264Packetiser):
            payloads = packetiser.passed(unit)
        else:
            payloads = packetiser.payloads(unit.nals, key_frame=unit.key_frame)
        if packetiser.b_pictures:
            raise Unplayable(
                f"the camera sends {Offered(self._codec).words} with B pictures, which browsers cannot play over "
                "WebRTC; set the encoder's profile to Baseline or its B-frame count to 0",
                "b_frames",
            )
        if packetiser.sps is not self._played:
            self._look_at(packetiser.sps)
        if not payloads:
            return
        self._units += 1
        if not self._running:
            if not unit.key_frame or not packetiser.ready:
                return
            self._running = True
        if not whole:
            return
        self._on_picture(
            Picture(payloads, unit.timestamp, self._clock_rate_hz, unit.arrived_s, unit.key_frame)
        )

    def _look_at(self, sps: h264.Sps | h265.Sps | None) -> None:
        if sps is not None and (
            sps.chroma_format != "4:2:0" or (sps.bit_depth > 8 and self._codec == "H264")
        ):
            raise Unplayable(
                f"the camera sends {Offered(self._codec).words} {sps.chroma_format} of {sps.bit_depth} bits, which browsers do "
                "not play; set the encoder's profile to Main or High",
                "format",
            )
        self._played = sps

    def offered(self, now_s: float) -> Offered | None:
        """Say what the camera sends as soon as its SPS is known and B pictures are ruled out as far as they can be."""
        sps = self._packetiser.sps
        if sps is None:
            return None
        watched = self._units and now_s - self._opened_s > _WATCHED_S
        reorders = sps.may_reorder if isinstance(sps, h264.Sps) else sps.reorder_pictures > 0
        if reorders and self._units < _WATCHED_PICTURES and not watched:
            return None
        return Offered(self._codec, sps)

    def want_key_frame(self) -> bool:
        """Only the camera makes one."""
        return False

    async def aclose(self) -> None:
        """Nothing was taken."""
