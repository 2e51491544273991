"""Between a pull and its rings: what makes pictures of access units."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from adapters.port import AccessUnit, Track
from hub.relay.webrtc.sdp import Offered

# Why a stream cannot go out as the camera sends it; `codec` where there is no better word.
WHY: Final = frozenset({"h265", "mjpeg", "mpeg4", "b_frames", "format", "mask", "codec"})
_OF_CODEC: Final = {"H265": "h265", "JPEG": "mjpeg", "MPEG4": "mpeg4", "MP4V-ES": "mpeg4"}


def why_not(codec: str) -> str:
    """Return the word for a codec that does not go out as it is."""
    return _OF_CODEC.get(codec, "codec")


@dataclass(slots=True)
class Picture:
    """One access unit ready to be sent."""

    payloads: list[bytes]
    timestamp: int  # of the camera, unwrapped
    clock_rate_hz: int
    arrived_s: float
    key_frame: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """One packet of sound, ready to be sent."""

    payload: bytes
    timestamp: int  # of the camera, unwrapped
    arrived_s: float
    codec: str  # PCMU | PCMA | OPUS; MPEG4-GENERIC: a frame of AAC as the camera sent it
    clock_rate_hz: int


class Unplayable(Exception):
    """The stream runs but no browser can play it as it is; `why` is one of `WHY`."""

    def __init__(self, detail: str, why: str = "codec") -> None:
        super().__init__(detail)
        self.why = why


class Processor(Protocol):
    """Serves one pull from its first connection to its end. It gives pictures to the callback it was made with.

    `held`: packets were lost on the camera's side, and nothing comes before its next whole key frame.
    """

    @property
    def held(self) -> bool:
        """Tell whether pictures are held back until the camera's next whole key frame."""

    def begin(self, track: Track, opened_s: float) -> None:
        """Expect a new connection of the camera (monotonic seconds).

        Raises:
            Unplayable: no browser can have this stream so.
            AdapterError: it cannot be made now (`transcoding.NoRoom`).
        """

    def take(self, unit: AccessUnit) -> None:
        """Take one access unit of that track; pictures come at once or later, in order.

        Raises:
            Unplayable: no browser can have this stream so.
            ValueError, IndexError, OverflowError: the unit cannot be read; the next one may be.
            AdapterError: what makes the pictures failed; `begin` starts it anew.
        """

    def offered(self, now_s: float) -> Offered | None:
        """Return what an answer depends on, `None` until that is sure."""

    def want_key_frame(self) -> bool:
        """Make the next picture a key frame; false where only the camera can."""

    async def aclose(self) -> None:
        """Free what was taken. Idempotent."""


MakeProcessor = Callable[[Callable[[Picture], None]], Processor]
