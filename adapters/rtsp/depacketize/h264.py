"""H.264 over RTP (RFC 6184): single NAL, STAP-A, FU-A. The interleaved mode (2) is not used by cameras."""

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.base import FragmentBuffer, Input, NalAssembler, split_start_codes
from adapters.rtsp.h264 import IDR, PARTITION_A, SLICE, starts_picture
from adapters.rtsp.tolerance import Tolerance, Tolerances

_STAP_A = 24
_FU_A = 28


class H264Depacketizer:
    """Turns RFC 6184 payloads into access units. `key_frame` is true exactly where a unit holds an IDR slice."""

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
        if payload:
            kind = payload[0] & 0x1F
            if kind == _FU_A:
                self._fragment(payload)
            else:
                if fragments.is_open:
                    fragments.drop()
                if kind == _STAP_A:
                    self._aggregate(payload)
                elif 1 <= kind <= 23 or payload[:3] == b"\0\0\1" or payload[:4] == b"\0\0\0\1":
                    self._whole(payload)
                else:
                    self._tolerances.note(Tolerance.NAL_TYPE_RESERVED)
        self._units.end(item, out)
        return out

    def flush(self) -> list[AccessUnit]:
        """Return what is held when the stream ends."""
        out: list[AccessUnit] = []
        self._units.finish(out)
        return out

    def _fragment(self, payload: bytes) -> None:
        if len(payload) < 2:
            self._tolerances.note(Tolerance.FRAGMENT_EMPTY)
            return
        second = payload[1]
        kind = second & 0x1F
        nal = self._fragments.push(
            bytes((payload[0] & 0x60 | kind,)),
            kind,
            start=second & 0x80 != 0,
            end=second & 0x40 != 0,
            data=payload[2:],
        )
        if nal is not None:
            self._whole(nal)

    def _aggregate(self, payload: bytes) -> None:
        position, size = 1, len(payload)
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
            kind = nal[0] & 0x1F
            if not 1 <= kind <= 23:
                self._tolerances.note(Tolerance.NAL_TYPE_RESERVED)
                continue
            is_slice = SLICE <= kind <= IDR
            self._units.add(
                nal,
                is_slice=is_slice,
                is_key=kind == IDR,
                starts_picture=kind in (SLICE, PARTITION_A, IDR) and starts_picture(nal),
            )
