"""Access units to RTP payloads (RFC 6184), once per camera, repaired on the way.

Repairs: parameter sets stand in front of every IDR picture, in one STAP-A; access unit delimiters, fillers and end
markers are dropped. SEI units are dropped too: no browser shows them, and cameras put private data there (motion
regions, serial numbers, positions) that a viewer has no right to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from adapters.rtsp import h264
from adapters.rtsp.h264 import Sps, nal_type
from adapters.rtsp.slices import LoneSlice

# 1170 + 2 (RFC 4588) + 24 header with both extensions + 16 tag + 28 UDP/IPv4 = 1240: passes the narrowest paths known
# (1246, a phone relay), with 6 to spare; over TCP two more for the length.
PAYLOAD_MAX = 1170
_DROPPED = frozenset({h264.SEI, h264.DELIMITER, h264.END_OF_SEQUENCE, h264.END_OF_STREAM, h264.FILLER})
_SMALLER = 70  # bytes by which a camera's own fragments may be smaller: 6 % more packets at most
_STAP_A = 24  # RFC 6184 5.7.1
_FU_A = 28  # RFC 6184 5.8
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

    def payloads(self, nals: Sequence[bytes], *, key_frame: bool) -> list[bytes]:
        """Return the RTP payloads of one access unit in order; empty where it holds no picture."""
        if len(nals) == 1 and not key_frame and nal_type(nals[0]) == h264.SLICE:  # what nearly all are
            nal = nals[0]
            self.b_pictures = self.b_pictures or _is_b(nal)
            return [nal] if len(nal) <= self.payload_max else self._fragments(nal)
        pictures: list[bytes] = []
        in_band = False
        for nal in nals:
            kind = nal_type(nal)
            if kind in {h264.SPS, h264.PPS}:
                in_band = self._remember(nal) or in_band
            elif kind in _DROPPED or kind not in _SINGLE_TYPES:
                self._count("dropped")
            else:
                pictures.append(nal)
                if not self.b_pictures and not key_frame and kind == h264.SLICE and _is_b(nal):
                    self.b_pictures = True
        if not pictures:
            return []
        out: list[bytes] = []
        # A picture that opens decoding gets its sets whether the camera sent them or not; sets that change in
        # mid-stream travel with the picture they came with.
        opens = key_frame or any(nal_type(nal) == h264.IDR for nal in pictures)
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

    def passed(self, unit: LoneSlice) -> list[bytes]:
        """Return the payloads of a lone slice: the camera's own, where they are cut about as here."""
        if not self.b_pictures:
            told = _B_BY_FIRST_BYTE[unit.begins]
            self.b_pictures = _is_b(unit.nals[0]) if told is None else told
        payloads = unit.payloads
        sizes = list(map(len, payloads))
        size, count = sizes[0], len(sizes)
        if count == 1:
            return payloads if size <= self.payload_max else self._fragments(payloads[0])
        # Much smaller ones cost every viewer, each by its header and its call; those that differ are no run (`sender.py`).
        alike = sizes.count(size) >= count - (sizes[-1] < size)
        if alike and self.payload_max - _SMALLER <= size <= self.payload_max:
            return payloads
        nal = unit.nals[0]
        return [nal] if len(nal) <= self.payload_max else self._fragments(nal)

    def _remember(self, nal: bytes) -> bool:
        if len(nal) > _MAX_PARAMETER_SET_BYTES:
            return False
        if nal_type(nal) == h264.SPS:
            try:
                sps = h264.parse_sps(nal)
            except ValueError:
                self._count("sps_unreadable")
                return False
            if len(self._sps) < _MAX_PARAMETER_SETS or sps.identifier in self._sps:
                self._sps[sps.identifier] = bytes(nal)
                self.sps = sps
            return True
        try:
            identifier, _of = h264.pps_identifiers(nal)
        except ValueError:
            self._count("pps_unreadable")
            return False
        if len(self._pps) < _MAX_PARAMETER_SETS or identifier in self._pps:
            self._pps[identifier] = bytes(nal)
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
                    header = bytes([max(unit[0] & 0x60 for unit in group) | _STAP_A])
                    packets.append(header + b"".join(len(unit).to_bytes(2, "big") + unit for unit in group))
                group, size = [], 1
            if nal:
                group.append(nal)
                size += 2 + len(nal)
        return packets

    def _fragments(self, nal: bytes) -> list[bytes]:
        """Cut a unit into FU-A packets (5.8): all of one size but the last, so that runs go out in one call."""
        step = self.payload_max - 2
        indicator = (nal[0] & 0xE0) | _FU_A
        kind = nal[0] & 0x1F
        last, middle = 1 + ((len(nal) - 2) // step) * step, bytes((indicator, kind))
        return [
            bytes((indicator, 0x80 | kind)) + nal[1 : 1 + step],
            *[middle + nal[start : start + step] for start in range(1 + step, last, step)],
            bytes((indicator, 0x40 | kind)) + nal[last:],
        ]

    def _count(self, repair: str) -> None:
        self.repairs[repair] = self.repairs.get(repair, 0) + 1


def units(payloads: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the NAL units of payloads that `H264Packetiser` made, in order: its way back."""
    out: list[bytes] = []
    parts: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == _STAP_A:
            at = 1
            while at + 2 <= len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                out.append(payload[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == _FU_A:
            head = payload[1]
            if head & 0x80:
                parts = [bytes(((payload[0] & 0xE0) | (head & 0x1F),))]
            parts.append(payload[2:])
            if head & 0x40:
                out.append(b"".join(parts))
        else:
            out.append(payload)
    return tuple(out)


def _told_by_first_byte() -> tuple[bool | None, ...]:
    """Return for each first byte of a slice header whether it is of a B slice; `None` where the byte does not tell."""
    found: list[bool | None] = [None] * 256
    # first_mb_in_slice 0 is the bit 1 (7.3.3); slice_type follows, ue(v): B is 1 or 6 (table 7-6).
    for kind, code in enumerate(("1", "010", "011", "00100", "00101", "00110", "00111")):
        bits = f"1{code}"
        first = int(bits.ljust(8, "0"), 2)
        for byte in range(first, first + (1 << (8 - len(bits)))):
            found[byte] = kind in {1, 6}
    return tuple(found)


_B_BY_FIRST_BYTE = _told_by_first_byte()


def _is_b(nal: bytes) -> bool:
    told = _B_BY_FIRST_BYTE[nal[1]] if len(nal) > 1 else None
    if told is not None:
        return told
    try:
        return h264.slice_type(nal) == "B"
    except ValueError:
        return False  # a slice that cannot be read shows nothing; the next one will
