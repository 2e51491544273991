"""H.264 over RTP (RFC 6184): single NAL, STAP-A, FU-A. The interleaved mode (2) is not used by cameras."""

from collections.abc import Sequence

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.nal import NalDepacketizer, split_start_codes
from adapters.rtsp.h264 import IDR, PARTITION_A, SLICE, starts_picture
from adapters.rtsp.slices import is_lone_slice
from adapters.rtsp.tolerance import Tolerance, Tolerances

_STAP_A = 24
_FU_A = 28


class H264Depacketizer(NalDepacketizer):
    """Turns RFC 6184 payloads into access units. `key_frame` is true exactly where a unit holds an IDR slice."""

    _fragment_head, _fragment_mask, _fragment_mark = 2, 0x1F, _FU_A

    def __init__(self, track: int, tolerances: Tolerances, *, single_nals: bool = False) -> None:
        """Prepare; `single_nals`: the SDP says packetization-mode=0, which is often not so (quirk 42)."""
        super().__init__(track, tolerances)
        self._single_nals = single_nals

    def together(
        self, timestamp: int, payloads: Sequence[bytes], arrived_s: float, *, marker: bool
    ) -> list[AccessUnit]:
        """Take payloads of one timestamp: most are a whole picture of one slice, and nothing else."""
        at_rest = self._units.at_rest and not self._fragments.is_open and not self._single_nals
        if marker and at_rest and is_lone_slice(payloads):
            return [self._units.lone(timestamp, arrived_s, payloads)]
        return super().together(timestamp, payloads, arrived_s, marker=marker)

    def _take(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if self._single_nals and kind in (_FU_A, _STAP_A):
            self._tolerances.note(Tolerance.PACKETIZATION_MODE_OTHER)
            self._single_nals = False
        if kind == _FU_A:
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
            return
        if self._fragments.is_open:
            self._fragments.drop()
        if kind == _STAP_A:
            self._aggregate(payload, 1)
        elif 1 <= kind <= 23 or payload[:3] == b"\0\0\1" or payload[:4] == b"\0\0\0\1":
            self._whole(payload)
        else:
            self._tolerances.note(Tolerance.NAL_TYPE_RESERVED)

    def _whole(self, data: bytes) -> None:
        for nal in split_start_codes(data, self._tolerances):
            kind = nal[0] & 0x1F
            if not 1 <= kind <= 23:
                self._tolerances.note(Tolerance.NAL_TYPE_RESERVED)
                continue
            self._units.add(
                nal,
                is_slice=SLICE <= kind <= IDR,
                is_key=kind == IDR,
                starts_picture=kind in (SLICE, PARTITION_A, IDR) and starts_picture(nal),
            )
