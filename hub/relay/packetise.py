"""Access units to RTP payloads (RFC 6184), once per camera, repaired on the way.

Repairs: parameter sets stand in front of every IDR picture, in one STAP-A; access unit delimiters, fillers and end
markers are dropped. SEI units are dropped too: no browser shows them, and cameras put private data there (motion
regions, serial numbers, positions) that a viewer has no right to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hub.relay.h264 import (
    NAL_AUD,
    NAL_END_OF_SEQUENCE,
    NAL_END_OF_STREAM,
    NAL_FILLER,
    NAL_FU_A,
    NAL_IDR,
    NAL_PPS,
    NAL_SEI,
    NAL_SPS,
    NAL_STAP_A,
    Sps,
    is_b_slice,
    nal_type,
    parse_sps,
    pps_ids,
)

# 1184 + 12 header + 16 tag + 28 UDP/IPv4 = 1240: passes the narrowest paths known (1246, a phone relay), with 6 to
# spare; room for header extensions is taken from the payload when there are any.
PAYLOAD_MAX = 1184
_DROPPED = frozenset({NAL_SEI, NAL_AUD, NAL_END_OF_SEQUENCE, NAL_END_OF_STREAM, NAL_FILLER})
_SINGLE_TYPES = range(1, 24)  # RFC 6184 table 1: single NAL unit packets
_MAX_PARAMETER_SETS = 16
_MAX_PARAMETER_SET_BYTES = 1024


@dataclass(slots=True)
class H264Packetiser:
    """Holds the parameter sets of one source and turns its access units into payloads."""

    payload_max: int = PAYLOAD_MAX
    sps: Sps | None = None  # as last seen, from the SDP or the stream
    b_pictures: bool = False  # a B slice was seen
    repairs: dict[str, int] = field(default_factory=dict)  # repair -> how often
    _sps: dict[int, bytes] = field(default_factory=dict)
    _pps: dict[int, bytes] = field(default_factory=dict)

    def learn(self, parameter_sets: Iterable[bytes]) -> None:
        """Remember parameter sets that came outside the stream (SDP sprop-parameter-sets)."""
        for nal in parameter_sets:
            self._remember(nal)

    @property
    def ready(self) -> bool:
        """Tell whether an SPS and a PPS are known, so that a key frame can be decoded."""
        return bool(self._sps and self._pps)

    def payloads(self, nals: Iterable[bytes], *, key_frame: bool) -> list[bytes]:
        """Return the RTP payloads of one access unit in order; empty where it holds no picture."""
        pictures: list[bytes] = []
        in_band = False
        for nal in nals:
            kind = nal_type(nal)
            if kind in {NAL_SPS, NAL_PPS}:
                in_band = self._remember(nal) or in_band
            elif kind in _DROPPED or kind not in _SINGLE_TYPES:
                self._count("dropped")
            else:
                pictures.append(nal)
                if not self.b_pictures and not key_frame and kind == 1 and is_b_slice(nal):
                    self.b_pictures = True
        if not pictures:
            return []
        out: list[bytes] = []
        # A picture that opens decoding gets its sets whether the camera sent them or not; sets that change in
        # mid-stream travel with the picture they came with.
        opens = key_frame or any(nal_type(nal) == NAL_IDR for nal in pictures)
        if opens or in_band:
            if opens and not in_band:
                self._count("parameter_sets_inserted")
            out.extend(self._aggregate([*self._sps.values(), *self._pps.values()]))
        for nal in pictures:
            if len(nal) <= self.payload_max:
                out.append(nal)
            else:
                out.extend(self._fragments(nal))
        return out

    def _remember(self, nal: bytes) -> bool:
        if len(nal) > _MAX_PARAMETER_SET_BYTES:
            return False
        if nal_type(nal) == NAL_SPS:
            sps = parse_sps(nal)
            if sps is None:
                self._count("sps_unreadable")
                return False
            if len(self._sps) < _MAX_PARAMETER_SETS or sps.sps_id in self._sps:
                self._sps[sps.sps_id] = bytes(nal)
                self.sps = sps
            return True
        ids = pps_ids(nal)
        if ids is None:
            self._count("pps_unreadable")
            return False
        if len(self._pps) < _MAX_PARAMETER_SETS or ids[0] in self._pps:
            self._pps[ids[0]] = bytes(nal)
        return True

    def _aggregate(self, nals: list[bytes]) -> list[bytes]:
        """Pack units into STAP-A packets (5.7.1), a unit alone as itself."""
        packets: list[bytes] = []
        group: list[bytes] = []
        size = 1
        for nal in [*nals, b""]:
            if group and (not nal or size + 2 + len(nal) > self.payload_max):
                if len(group) == 1:
                    packets.append(group[0])
                else:
                    header = bytes([max(unit[0] & 0x60 for unit in group) | NAL_STAP_A])
                    packets.append(header + b"".join(len(unit).to_bytes(2, "big") + unit for unit in group))
                group, size = [], 1
            if nal:
                group.append(nal)
                size += 2 + len(nal)
        return packets

    def _fragments(self, nal: bytes) -> list[bytes]:
        """Cut a unit into FU-A packets (5.8): all of one size but the last, so that runs go out in one call."""
        step = self.payload_max - 2
        indicator = (nal[0] & 0xE0) | NAL_FU_A
        kind = nal[0] & 0x1F
        middle = bytes((indicator, kind))
        last = 1 + ((len(nal) - 2) // step) * step
        out = [middle + nal[start : start + step] for start in range(1, len(nal), step)]
        out[0] = bytes((indicator, 0x80 | kind)) + nal[1 : 1 + step]
        out[-1] = bytes((indicator, 0x40 | kind)) + nal[last:]
        return out

    def _count(self, repair: str) -> None:
        self.repairs[repair] = self.repairs.get(repair, 0) + 1
