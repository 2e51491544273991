"""Payload formats where each packet is one frame: G.711 and G.722 (RFC 3551), Opus (RFC 7587)."""

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.base import Input
from adapters.rtsp.tolerance import Tolerances


class FrameDepacketizer:
    """Passes each non-empty payload on as one audio frame."""

    def __init__(self, track: int, tolerances: Tolerances) -> None:
        self._track = track
        self._tolerances = tolerances
        self._lost = 0

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return it as an access unit."""
        self._lost += item.lost
        if not item.payload:
            return []
        lost, self._lost = self._lost, 0
        return [AccessUnit(self._track, item.timestamp, item.arrived_s, [item.payload], True, lost)]

    def flush(self) -> list[AccessUnit]:
        """Return nothing: no frame is held."""
        return []
