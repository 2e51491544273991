"""Whether a camera's pictures can be decoded whole, where packets were lost on its side."""

from typing import Final

from adapters.port import AccessUnit
from adapters.rtsp import h264

_SLICES: Final = range(h264.SLICE, h264.IDR + 1)


class Chain:
    """The pictures of one connection that refer to one another.

    A picture that lacks a packet spoils all that refer to it, up to the next whole key frame, and so does one that never
    came. A decoder would paint over the gap with what was there before, and say nothing. A picture that no other refers to
    (nal_ref_idc 0, H.264 7.4.1) spoils itself alone; H.265 has no such plain word (7.4.2.2: others of higher sub-layers
    may refer to it).
    """

    def __init__(self) -> None:
        self.broken = False
        self._codec = ""

    def begin(self, codec: str) -> None:
        """Expect a new connection."""
        self.broken, self._codec = False, codec

    def takes(self, unit: AccessUnit) -> bool:
        """Take note of a unit, and tell whether it can be decoded as it was coded."""
        if unit.key_frame:
            self.broken = unit.lost_inside > 0
        elif unit.lost_packets and not self.broken:
            alone = unit.lost_inside == unit.lost_packets and self._codec == "H264" and _disposable(unit.nals)
            self.broken = not alone
            return False
        return not self.broken


def _disposable(nals: list[bytes]) -> bool:
    """Tell whether no other picture refers to this one."""
    return all(nal[0] & 0x60 == 0 for nal in nals if nal[0] & 0x1F in _SLICES)
