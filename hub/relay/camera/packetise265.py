"""H.265 access units to RTP payloads (RFC 7798), once per layer, repaired like H.264 (`packetise.py`).

Parameter sets stand in front of every random access picture, in one aggregation packet; delimiters, fillers, end markers
and SEI are dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from adapters.rtsp import h265
from adapters.rtsp.h265 import Pps, Sps, nal_type
from hub.relay.camera.packetise import PAYLOAD_MAX

VPS, SPS, PPS = 32, 33, 34  # H.265 table 7-1
_PICTURES: Final = range(32)  # VCL NAL unit types
_AP, _FU = 48, 49  # RFC 7798 4.4.2, 4.4.3
_MAX_SETS: Final = 16
_MAX_SET_BYTES: Final = 1024


@dataclass(slots=True)
class H265Packetiser:
    """Holds the parameter sets of one source and turns its access units into payloads."""

    payload_max: int = PAYLOAD_MAX
    sps: Sps | None = None  # as last seen, from the SDP or the stream
    b_pictures: bool = False  # a B slice of a stream that reorders was seen
    repairs: dict[str, int] = field(default_factory=dict)  # repair -> how often
    _sets: dict[tuple[int, int], bytes] = field(default_factory=dict)  # (type, identifier) -> set
    _parsed_sps: dict[int, Sps] = field(default_factory=dict)
    _parsed_pps: dict[int, Pps] = field(default_factory=dict)

    def learn(self, parameter_sets: Iterable[bytes]) -> None:
        """Remember parameter sets that came outside the stream (RFC 7798 7.1 sprop-vps, sprop-sps, sprop-pps)."""
        for nal in parameter_sets:
            self._remember(nal)

    @property
    def ready(self) -> bool:
        """Tell whether sets of all three kinds are known, so that a key frame can be decoded."""
        return {kind for kind, _identifier in self._sets} == {VPS, SPS, PPS}

    @property
    def sets(self) -> tuple[bytes, ...]:
        """Return the sets that are known, in the order in which they refer to each other."""
        return tuple(self._sets[key] for key in sorted(self._sets))

    def payloads(self, nals: Iterable[bytes], *, key_frame: bool) -> list[bytes]:
        """Return the RTP payloads of one access unit in order; empty where it holds no picture."""
        pictures: list[bytes] = []
        in_band = False
        for nal in nals:
            kind = nal_type(nal)
            if kind in {VPS, SPS, PPS}:
                in_band = self._remember(nal) or in_band
            elif kind not in _PICTURES or len(nal) < 3:
                self._count("dropped")
            else:
                pictures.append(nal)
                if not self.b_pictures and not key_frame and self._reorders and self._is_b(nal):
                    self.b_pictures = True
        if not pictures:
            return []
        out: list[bytes] = []
        opens = key_frame or any(h265.is_random_access(nal_type(nal)) for nal in pictures)
        if opens or in_band:
            if opens and not in_band:
                self._count("parameter_sets_inserted")
            out.extend(self._aggregate(self.sets))
        for nal in pictures:
            if len(nal) <= self.payload_max:
                out.append(nal)
            else:
                out.extend(self._fragments(nal))
        return out

    @property
    def _reorders(self) -> bool:
        return self.sps is not None and self.sps.reorder_pictures > 0

    def _is_b(self, nal: bytes) -> bool:
        try:
            return h265.slice_type(nal, self._parsed_sps, self._parsed_pps) == "B"
        except ValueError:
            return False  # a slice that cannot be read shows nothing; the next one will

    def _remember(self, nal: bytes) -> bool:
        if len(nal) > _MAX_SET_BYTES or len(nal) < 4:
            return False
        kind = nal_type(nal)
        try:
            if kind == SPS:
                sps = h265.parse_sps(nal)
                key = (kind, sps.identifier)
            elif kind == PPS:
                pps = h265.parse_pps(nal)
                key = (kind, pps.identifier)
            else:
                key = (kind, nal[2] >> 4)  # vps_video_parameter_set_id
        except ValueError:
            self._count("parameter_set_unreadable")
            return False
        if len(self._sets) >= 3 * _MAX_SETS and key not in self._sets:
            return False
        self._sets[key] = bytes(nal)
        if kind == SPS:
            self.sps = self._parsed_sps[sps.identifier] = sps
        elif kind == PPS:
            self._parsed_pps[pps.identifier] = pps
        return True

    def _aggregate(self, nals: Iterable[bytes]) -> list[bytes]:
        """Pack units into aggregation packets (4.4.2), a unit alone as itself."""
        packets: list[bytes] = []
        group: list[bytes] = []
        size = 2
        for nal in (*nals, b""):
            if group and (not nal or size + 2 + len(nal) > self.payload_max):
                if len(group) == 1:
                    packets.append(group[0])
                else:
                    body = b"".join(len(unit).to_bytes(2, "big") + unit for unit in group)
                    packets.append(_header(_AP, group[0]) + body)
                group, size = [], 2
            if nal:
                group.append(nal)
                size += 2 + len(nal)
        return packets

    def _fragments(self, nal: bytes) -> list[bytes]:
        """Cut a unit into fragmentation units (4.4.3): all of one size but the last."""
        step = self.payload_max - 3
        head, kind = _header(_FU, nal), nal_type(nal)
        last, middle = 2 + ((len(nal) - 3) // step) * step, head + bytes((kind,))
        return [
            head + bytes((0x80 | kind,)) + nal[2 : 2 + step],
            *[middle + nal[start : start + step] for start in range(2 + step, last, step)],
            head + bytes((0x40 | kind,)) + nal[last:],
        ]

    def _count(self, repair: str) -> None:
        self.repairs[repair] = self.repairs.get(repair, 0) + 1


def units(payloads: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the NAL units of payloads that `H265Packetiser` made, in order: its way back."""
    out: list[bytes] = []
    parts: list[bytes] = []
    for payload in payloads:
        kind = nal_type(payload)
        if kind == _AP:
            at = 2
            while at + 2 <= len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                out.append(payload[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == _FU:
            if payload[2] & 0x80:
                parts = [bytes([(payload[0] & 0x81) | (payload[2] & 0x3F) << 1, payload[1]])]
            parts.append(payload[3:])
            if payload[2] & 0x40:
                out.append(b"".join(parts))
        else:
            out.append(payload)
    return tuple(out)


def _header(kind: int, of: bytes) -> bytes:
    """Return a payload header: another type, layer and temporal id as in a unit that it carries."""
    return bytes([(of[0] & 0x81) | kind << 1, of[1]])
