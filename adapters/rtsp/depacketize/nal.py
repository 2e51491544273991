"""What the NAL-based formats share (RFC 6184, RFC 7798): access units, fragments, aggregates, start codes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.base import MAX_UNIT_BYTES, MAX_UNIT_NALS, Input, Pieces
from adapters.rtsp.slices import LoneSlice
from adapters.rtsp.tolerance import Tolerance, Tolerances


class NalAssembler:
    """Collects NAL units into access units and decides where one ends.

    An access unit ends at the marker bit (RFC 6184 section 5.1) or, where a camera sets none, at a change of
    timestamp (quirk 48). A marker before any slice ends nothing (each of SPS, PPS, SEI with its own marker, quirk
    48), nor does a timestamp of their own (quirk 49). A camera that marks every slice is found out by its second
    slice that does not start a picture; from then on only timestamps divide its pictures.
    """

    def __init__(self, track: int, tolerances: Tolerances, *, by_timestamp: bool = False) -> None:
        """Prepare; `by_timestamp`: the marker is known to mean nothing."""
        self._track = track
        self._tolerances = tolerances
        self._nals: list[bytes] = []
        self._size = 0
        self._timestamp: int | None = None
        self._arrived_s = 0.0
        self._lost = self._lost_inside = 0
        self._has_slice = False
        self._key = False
        self._too_large = False
        self._by_timestamp = by_timestamp
        self._last_sent: int | None = None

    @property
    def at_rest(self) -> bool:
        """Tell whether the next packet begins a unit of which nothing is known yet, and a marker would end it."""
        return self._timestamp is None and not self._lost and not self._by_timestamp

    def lone(self, timestamp: int, arrived_s: float, payloads: Sequence[bytes]) -> LoneSlice:
        """Return the unit that is a lone slice (`is_lone_slice`); `at_rest` is so before and after."""
        self._last_sent = timestamp
        return LoneSlice(self._track, timestamp, arrived_s, list(payloads))

    def begin(self, item: Input, out: list[AccessUnit]) -> None:
        """Open the packet's access unit: closes the one before if the timestamp is another."""
        if self._timestamp is not None and item.timestamp != self._timestamp:
            if self._has_slice or self._too_large:
                if not self._by_timestamp:
                    self._tolerances.note(Tolerance.MARKER_MISSING)
                self._lost += item.lost  # its end may be among the lost: both units are told
                self._lost_inside += item.lost
                self._emit(out)
            elif self._nals:
                self._tolerances.note(Tolerance.TIMESTAMP_INSIDE_UNIT)
        elif item.lost and self._timestamp is not None:
            self._lost_inside += item.lost
        self._timestamp = item.timestamp
        self._arrived_s = item.arrived_s
        self._lost += item.lost

    def add(self, nal: bytes, *, is_slice: bool, is_key: bool, starts_picture: bool) -> None:
        """Add one NAL to the open access unit."""
        self._size += len(nal)
        if self._size > MAX_UNIT_BYTES or len(self._nals) >= MAX_UNIT_NALS:
            if not self._too_large:
                self._tolerances.note(Tolerance.UNIT_TOO_LARGE)
            self._too_large = True
            self._nals = []
            return
        if is_slice and not starts_picture and not self._has_slice and self._timestamp == self._last_sent:
            self._tolerances.note(Tolerance.MARKER_PER_SLICE)
            self._by_timestamp = True
        if self._lost and is_slice and not (self._has_slice or starts_picture):
            self._lost_inside = self._lost  # its first slice was among them
        self._nals.append(nal)
        self._has_slice = self._has_slice or is_slice
        self._key = self._key or is_key

    def end(self, item: Input, out: list[AccessUnit]) -> None:
        """Close the access unit if the packet's marker says so."""
        if not item.marker or self._by_timestamp:
            return
        if self._has_slice or self._too_large:
            self._emit(out)
        elif self._nals:
            self._tolerances.note(Tolerance.MARKER_ON_PARAMETER_SETS)

    def finish(self, out: list[AccessUnit]) -> None:
        """Close whatever is open."""
        if self._has_slice:
            self._emit(out)

    def _emit(self, out: list[AccessUnit]) -> None:
        nals, timestamp = self._nals, self._timestamp
        lost = self._lost
        if nals and not self._too_large and timestamp is not None:
            key, inside = self._key, self._lost_inside
            out.append(AccessUnit(self._track, timestamp, self._arrived_s, nals, key, lost, inside))
            lost = 0
        self._last_sent = timestamp
        self._nals, self._size, self._timestamp = [], 0, None
        self._has_slice = self._key = self._too_large = False
        self._lost, self._lost_inside = lost, 0


class FragmentBuffer:
    """Joins the fragments of one NAL (FU-A of RFC 6184, FU of RFC 7798)."""

    def __init__(self, tolerances: Tolerances) -> None:
        self._tolerances = tolerances
        self._pieces = Pieces()
        self._kind = -1
        self.is_open = False  # a NAL waits for its end

    def drop(self) -> None:
        """Forget an unfinished NAL: a packet of it is lost, or something else came in between."""
        if self.is_open:
            self._tolerances.note(Tolerance.FRAGMENT_UNFINISHED)
        self._pieces.clear()
        self.is_open = False

    def push(self, header: bytes, kind: int, *, start: bool, end: bool, data: bytes) -> bytes | None:
        """Take one fragment; return the NAL (with its rebuilt header) when it is whole."""
        if not data:
            self._tolerances.note(Tolerance.FRAGMENT_EMPTY)
            if not (end and self.is_open):
                return None
        if start:
            if self.is_open:
                self.drop()
            if end:
                self._tolerances.note(Tolerance.FRAGMENT_START_AND_END)
            self._pieces.add(header)
            self.is_open, self._kind = True, kind
        elif not self.is_open:
            self._tolerances.note(Tolerance.FRAGMENT_WITHOUT_START)
            return None
        elif kind != self._kind:
            self._tolerances.note(Tolerance.FRAGMENT_TYPE_CHANGED)  # the first one is believed (Tiandy)
        if not self._pieces.add(data):
            self._tolerances.note(Tolerance.UNIT_TOO_LARGE)
            self.drop()
            return None
        if not end:
            return None
        self.is_open = False
        return self._pieces.joined()

    def go_on(self, payloads: Sequence[bytes], at: int, head: int, mask: int, mark: int) -> int:
        """Take those from `at` on that are plain fragments from the middle of the open NAL; return where they stop.

        They have `head` bytes before their data, of which the first, under `mask`, is `mark`, and the last is the NAL's type
        alone: neither start nor end.
        """
        kind, last, pieces = self._kind, head - 1, []
        for payload in islice(payloads, at, None):
            if len(payload) <= head or payload[0] & mask != mark or payload[last] != kind:
                break
            pieces.append(payload[head:])
        return at + len(pieces) if self._pieces.extend(pieces) else at


class NalDepacketizer(ABC):
    """The way of a payload: closes and opens access units around what the format makes of it."""

    _fragment_head: int  # bytes before a fragment's data; the last of them tells start, end and type
    _fragment_mask: int  # of a payload's first byte: what tells ...
    _fragment_mark: int  # ... that it is a fragment

    def __init__(self, track: int, tolerances: Tolerances, *, by_timestamp: bool = False) -> None:
        self._tolerances = tolerances
        self._units = NalAssembler(track, tolerances, by_timestamp=by_timestamp)
        self._fragments = FragmentBuffer(tolerances)

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the access units that are now complete."""
        out: list[AccessUnit] = []
        if item.lost and self._fragments.is_open:
            self._fragments.drop()
        self._units.begin(item, out)
        if item.payload:
            self._take(item.payload)
        self._units.end(item, out)
        return out

    def together(
        self, timestamp: int, payloads: Sequence[bytes], arrived_s: float, *, marker: bool
    ) -> list[AccessUnit]:
        """Take payloads of one timestamp, none lost before or between them; `marker` is the last one's, no other has it.

        It comes to the same as `push` for each.
        """
        out: list[AccessUnit] = []
        item = Input(timestamp, marker, b"", arrived_s, 0)
        self._units.begin(item, out)
        fragments, at, count = self._fragments, 0, len(payloads)
        while at < count:
            payload = payloads[at]
            at += 1
            if payload:
                self._take(payload)
            if fragments.is_open and at < count:
                at = fragments.go_on(
                    payloads, at, self._fragment_head, self._fragment_mask, self._fragment_mark
                )
        self._units.end(item, out)
        return out

    def flush(self) -> list[AccessUnit]:
        """Return what is held when the stream ends."""
        out: list[AccessUnit] = []
        self._units.finish(out)
        return out

    @abstractmethod
    def _take(self, payload: bytes) -> None:
        """Read one payload, which is not empty, and hand its NAL units to `_whole`."""

    @abstractmethod
    def _whole(self, data: bytes) -> None:
        """Take one NAL unit as the camera sent it, and add what is legal of it to the access unit."""

    def _aggregate(self, payload: bytes, position: int) -> None:
        """Take an aggregate apart: 16-bit lengths, each before its NAL, from `position` on."""
        size = len(payload)
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


def split_start_codes(nal: bytes, tolerances: Tolerances) -> list[bytes]:
    """Return the NAL units in what a camera sent as one: cut at Annex-B start codes, trailing zeros removed.

    No legal NAL holds 00 00 01 or ends with 00 (H.264 7.4.1, H.265 7.4.2.1), so nothing legal is changed.
    """
    if b"\x00\x00\x01" in nal:
        tolerances.note(Tolerance.START_CODE_IN_NAL)
        parts = nal.split(b"\x00\x00\x01", MAX_UNIT_NALS)
        if len(parts) > MAX_UNIT_NALS:
            tolerances.note(Tolerance.UNIT_TOO_LARGE)
            parts.pop()
        return [piece for part in parts if (piece := part.rstrip(b"\x00"))]
    if nal and nal[-1] == 0:
        tolerances.note(Tolerance.TRAILING_ZEROS)
        nal = nal.rstrip(b"\x00")
    return [nal] if nal else []
