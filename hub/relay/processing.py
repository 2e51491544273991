"""Between a pull and its ring: what makes pictures of access units."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from adapters.port import AccessUnit, Track
from hub.relay.sdp import Offered


@dataclass(slots=True)
class Picture:
    """One access unit ready to be sent."""

    payloads: list[bytes]
    timestamp: int  # of the camera, unwrapped
    clock_rate_hz: int
    arrived_s: float
    key_frame: bool


class Unplayable(Exception):
    """The stream runs but no browser can play it as it is."""


class Processor(Protocol):
    """Serves one pull from its first connection to its end. It gives pictures to the callback it was made with."""

    def begin(self, track: Track, opened_s: float) -> None:
        """Expect a new connection of the camera (monotonic seconds). Raises `Unplayable`."""

    def take(self, unit: AccessUnit) -> None:
        """Take one access unit of that track; pictures come at once or later, in order.

        Raises:
            Unplayable: no browser can have this stream so.
            ValueError, IndexError, OverflowError: the unit cannot be read; the next one may be.
        """

    def offered(self, now_s: float) -> Offered | None:
        """Return what an answer depends on, `None` until that is sure."""

    async def aclose(self) -> None:
        """Free what was taken. Idempotent."""


MakeProcessor = Callable[[Callable[[Picture], None]], Processor]
