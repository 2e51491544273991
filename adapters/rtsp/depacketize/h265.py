"""H.265 over RTP (RFC 7798): single NAL, AP, FU; and numbered NAL units where sprop-max-don-diff is above 0."""

import heapq
from collections.abc import Sequence

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.base import MAX_UNIT_BYTES, Input
from adapters.rtsp.depacketize.nal import NalDepacketizer, split_start_codes
from adapters.rtsp.h265 import MAX_SLICE, is_random_access
from adapters.rtsp.tolerance import Tolerance, Tolerances

_AP = 48
_FU = 49
MAX_INTERLEAVED = 256  # NAL units held to be put in order; RFC 7798 allows 32,767


class H265Depacketizer(NalDepacketizer):
    """Turns RFC 7798 payloads into access units. `key_frame` is true exactly where a unit holds an IRAP slice.

    PACI packets (section 4.4.4) carry scalability hints that cameras do not send; they count as reserved types.
    """

    _fragment_head, _fragment_mask, _fragment_mark = 3, 0x7E, _FU << 1

    def _take(self, payload: bytes) -> None:
        if len(payload) < 2:
            self._tolerances.note(Tolerance.NAL_TYPE_RESERVED)
            return
        kind = payload[0] >> 1 & 0x3F
        if kind == _FU:
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
            return
        if self._fragments.is_open:
            self._fragments.drop()
        if kind == _AP:
            self._aggregate(payload, 2)
        else:
            self._whole(payload)

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


class NumberedH265Depacketizer(H265Depacketizer):
    """The same where each NAL carries its decoding order number (RFC 7798 section 4.4: DONL, DOND).

    NAL units wait until so many are held, or numbers lie so far apart, that nothing can come before the first
    (section 6). Pictures are divided by timestamps: a marker says nothing about decoding order.
    """

    def __init__(self, track: int, tolerances: Tolerances, *, max_difference: int, buffered: int) -> None:
        """Prepare; `max_difference`, `buffered`: sprop-max-don-diff and sprop-depack-buf-nalus."""
        super().__init__(track, tolerances, by_timestamp=True)
        self._max_difference = max_difference
        self._buffered = min(buffered, MAX_INTERLEAVED)
        self._held: list[tuple[int, int, bytes, Input]] = []
        self._held_bytes = 0
        self._count = 0
        self._last: int | None = None  # the last number read, unwrapped
        self._number = 0  # of the NAL that is being put together
        self._highest = 0
        self._item: Input | None = None

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the access units that are now complete."""
        if item.lost and self._fragments.is_open:
            self._fragments.drop()
        self._item = item
        payload = item.payload
        if len(payload) >= 2:
            kind = payload[0] >> 1 & 0x3F
            if kind == _FU and len(payload) >= 3 and payload[2] & 0x80:
                payload = payload[:3] + self._numbered(payload, 3)
            elif kind == _AP:
                self._aggregate_numbered(payload)
                payload = b""
            elif kind != _FU:
                payload = payload[:2] + self._numbered(payload, 2)
        if payload:
            self._take(payload)
        return self._in_order(all_of_them=False)

    def together(
        self, timestamp: int, payloads: Sequence[bytes], arrived_s: float, *, marker: bool
    ) -> list[AccessUnit]:
        """Take payloads of one timestamp: each NAL of them has a number of its own to be read."""
        last = len(payloads) - 1
        return [
            unit
            for place, payload in enumerate(payloads)
            for unit in self.push(Input(timestamp, marker and place == last, payload, arrived_s, 0))
        ]

    def flush(self) -> list[AccessUnit]:
        """Return what is held when the stream ends."""
        return self._in_order(all_of_them=True) + super().flush()

    def _numbered(self, payload: bytes, position: int) -> bytes:
        """Read the 16-bit number at `position` and return what is behind it."""
        if len(payload) < position + 2:
            self._tolerances.note(Tolerance.AGGREGATE_MALFORMED)
            return b""
        number = payload[position] << 8 | payload[position + 1]
        if self._last is not None:
            number = self._last + ((number - self._last + 0x8000) & 0xFFFF) - 0x8000
        self._last = self._number = number
        return payload[position + 2 :]

    def _aggregate_numbered(self, payload: bytes) -> None:
        """Take an aggregate apart: a number, then sizes and NAL units, each but the first behind 8 bits more."""
        if self._fragments.is_open:
            self._fragments.drop()
        rest = self._numbered(payload, 2)
        position = 0
        while position + 2 <= len(rest):
            end = position + 2 + (rest[position] << 8 | rest[position + 1])
            if end == position + 2 or end > len(rest):
                self._tolerances.note(Tolerance.AGGREGATE_MALFORMED)
                return
            self._hold(rest[position + 2 : end])
            position = end + 1
            if end < len(rest):
                self._number += rest[end] + 1
                self._last = self._number

    def _whole(self, data: bytes) -> None:
        self._hold(data)

    def _hold(self, data: bytes) -> None:
        assert self._item is not None
        self._count += 1
        self._held_bytes += len(data)
        self._highest = max(self._highest, self._number) if self._held else self._number
        heapq.heappush(self._held, (self._number, self._count, data, self._item._replace(payload=b"")))
        self._item = self._item._replace(lost=0)  # a loss is told once

    def _in_order(self, *, all_of_them: bool) -> list[AccessUnit]:
        out: list[AccessUnit] = []
        while self._held and (all_of_them or self._is_ready()):
            _, _, data, item = heapq.heappop(self._held)
            self._held_bytes -= len(data)
            self._units.begin(item, out)
            super()._whole(data)
        return out

    def _is_ready(self) -> bool:
        return (
            len(self._held) > self._buffered
            or self._highest - self._held[0][0] >= self._max_difference
            or self._held_bytes > MAX_UNIT_BYTES
        )
