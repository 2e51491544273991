"""Payload formats where each packet is one frame: G.711, G.722, G.726, L16 (RFC 3551), Opus (RFC 7587)."""

from collections.abc import Callable

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.base import Input
from adapters.rtsp.tolerance import Tolerances


class FrameDepacketizer:
    """Passes each non-empty payload on as one audio frame."""

    def __init__(
        self, track: int, tolerances: Tolerances, convert: Callable[[bytes], bytes] | None = None
    ) -> None:
        """Prepare; `convert` makes the frame out of the payload where they are not the same."""
        self._track = track
        self._tolerances = tolerances
        self._convert = convert
        self._lost = 0

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return it as an access unit."""
        self._lost += item.lost
        frame = item.payload if self._convert is None else self._convert(item.payload)
        if not frame:
            return []
        lost, self._lost = self._lost, 0
        return [AccessUnit(self._track, item.timestamp, item.arrived_s, [frame], True, lost)]

    def flush(self) -> list[AccessUnit]:
        """Return nothing: no frame is held."""
        return []
