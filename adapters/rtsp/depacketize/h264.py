"""H.264 over RTP (RFC 6184): single NAL, STAP-A, FU-A. The interleaved mode (2) is not used by cameras."""

from collections.abc import Sequence
from itertools import islice

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.nal import NalDepacketizer, split_start_codes
from adapters.rtsp.h264 import IDR, PARTITION_A, SLICE, starts_picture
from adapters.rtsp.tolerance import Tolerance, Tolerances

_STAP_A = 24
_FU_A = 28
_MOST_FRAGMENTS = 1_024  # of a picture that is looked at as a whole: 1.5 MB as cameras cut
_HEADERS = tuple(bytes((value,)) for value in range(256))


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
        if marker and self._units.at_rest and not self._fragments.is_open and not self._single_nals:
            nal = _lone_slice(payloads)
            if nal is not None:
                return [self._units.whole(timestamp, arrived_s, nal)]
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


def _lone_slice(payloads: Sequence[bytes]) -> bytes | None:
    """Return the slice that payloads are the whole of, in one packet or in fragments; `None`: they are anything else.

    It begins a picture, is of no key frame, and needs no repair of any kind.
    """
    nal = payloads[0]
    if len(nal) < 3:
        return None
    if len(payloads) > 1:
        indicator, last = nal[0], payloads[-1]
        if indicator & 0x9F != _FU_A or nal[1] != 0x80 | SLICE or len(payloads) > _MOST_FRAGMENTS:
            return None
        if len(last) < 3 or last[0] != indicator or last[1] != 0x40 | SLICE:
            return None
        for payload in islice(payloads, 1, len(payloads) - 1):
            if len(payload) < 3 or payload[0] != indicator or payload[1] != SLICE:
                return None
        nal = b"".join([_HEADERS[indicator & 0x60 | SLICE], *[payload[2:] for payload in payloads]])
    plain = nal[0] & 0x9F == SLICE and starts_picture(nal) and nal[-1] and b"\0\0\1" not in nal
    return nal if plain else None
