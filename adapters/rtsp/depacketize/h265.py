"""H.265 over RTP (RFC 7798): single NAL, AP, FU. DONL fields (sprop-max-don-diff > 0) are not used by cameras."""

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.base import FragmentBuffer, Input, NalAssembler, split_start_codes
from adapters.rtsp.h265 import MAX_SLICE, is_random_access
from adapters.rtsp.tolerance import Tolerance, Tolerances

_AP = 48
_FU = 49


class H265Depacketizer:
    """Turns RFC 7798 payloads into access units. `key_frame` is true exactly where a unit holds an IRAP slice."""

    def __init__(self, track: int, tolerances: Tolerances) -> None:
        self._tolerances = tolerances
        self._units = NalAssembler(track, tolerances)
        self._fragments = FragmentBuffer(tolerances)

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the access units that are now complete."""
        out: list[AccessUnit] = []
        payload = item.payload
        fragments = self._fragments
        if item.lost and fragments.is_open:
            fragments.drop()
        self._units.begin(item, out)
        if len(payload) >= 2:
            kind = payload[0] >> 1 & 0x3F
            if kind == _FU:
                self._fragment(payload)
            else:
                if fragments.is_open:
                    fragments.drop()
                if kind == _AP:
                    self._aggregate(payload)
                else:
                    self._whole(payload)
        self._units.end(item, out)
        return out

    def flush(self) -> list[AccessUnit]:
        """Return what is held when the stream ends."""
        out: list[AccessUnit] = []
        self._units.finish(out)
        return out

    def _fragment(self, payload: bytes) -> None:
        if len(payload) < 3:
            self._tolerances.note(Tolerance.FRAGMENT_EMPTY)
            return
        third = payload[2]
        kind = third & 0x3F
        nal = self._fragments.push(
            bytes((payload[0] & 0x81 | kind << 1, payload[1])),
            kind,
            start=third & 0x80 != 0,
            end=third & 0x40 != 0,
            data=payload[3:],
        )
        if nal is not None:
            self._whole(nal)

    def _aggregate(self, payload: bytes) -> None:
        position, size = 2, len(payload)
        while position + 2 <= size:
            length = payload[position] << 8 | payload[position + 1]
            position += 2
            if length == 0:
                self._tolerances.note(Tolerance.TRAILING_ZEROS)
                return
            if position + length > size:
                self._tolerances.note(Tolerance.AGGREGATE_MALFORMED)
                return
            self._whole(payload[position : position + length])
            position += length

    def _whole(self, data: bytes) -> None:
        for nal in split_start_codes(data, self._tolerances):
            kind = nal[0] >> 1 & 0x3F
            if len(nal) < 2 or kind > 47:
                self._tolerances.note(Tolerance.NAL_TYPE_RESERVED)
                continue
            is_slice = kind <= MAX_SLICE
            self._units.add(
                nal,
                is_slice=is_slice,
                is_key=is_random_access(kind),
                starts_picture=is_slice and len(nal) > 2 and nal[2] & 0x80 != 0,
            )
