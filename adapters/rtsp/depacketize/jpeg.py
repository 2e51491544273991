"""JPEG over RTP (RFC 2435): fragments to whole JPEG pictures. Always bounded; broken pictures are dropped."""

import struct
from typing import NamedTuple

from adapters.port import AccessUnit
from adapters.rtsp.depacketize.base import Input, Pieces
from adapters.rtsp.jpeg import Frame, jfif_header, size_beyond_field, tables_for_quality
from adapters.rtsp.tolerance import Tolerance, Tolerances


class _Header(NamedTuple):
    """Main header, restart interval and quantisation tables of one packet (RFC 2435 section 3.1)."""

    offset: int
    kind: int
    quality: int
    width: int  # px; 0: beyond what the field can hold
    height: int
    restart_interval: int
    tables: bytes
    data: bytes


class JpegDepacketizer:
    """Turns RFC 2435 payloads into JPEG pictures; each is a key frame."""

    def __init__(self, track: int, tolerances: Tolerances, *, size: tuple[int, int] = (0, 0)) -> None:
        """Prepare; `size` (px) by the SDP serves pictures over 2040 px, which the header cannot say (quirk 64)."""
        self._track = track
        self._tolerances = tolerances
        self._size = size
        self._tables: dict[int, bytes] = {}
        self._first: _Header | None = None
        self._pieces = Pieces()
        self._timestamp: int | None = None
        self._lost = 0
        self._offset_told = False

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the pictures that are now complete."""
        self._lost += item.lost
        if item.lost or item.timestamp != self._timestamp:
            if self._first is not None:
                self._tolerances.note(Tolerance.FRAGMENT_UNFINISHED)
            self._reset()
            self._timestamp = item.timestamp
        header = self._parse(item.payload)
        if header is None:
            self._tolerances.note(Tolerance.JPEG_UNREADABLE)
            self._reset()
            return []
        if header.offset == 0:
            self._pieces.clear()
            self._first = header
        elif self._first is None:
            self._tolerances.note(Tolerance.FRAGMENT_WITHOUT_START)
            return []
        elif header.offset != self._pieces.size and not self._offset_told:
            # Some senders count their payload headers too; sequence numbers say that nothing is missing.
            self._tolerances.note(Tolerance.JPEG_OFFSET_OTHER)
            self._offset_told = True
        if not self._pieces.add(header.data):
            self._tolerances.note(Tolerance.UNIT_TOO_LARGE)
            self._reset()
            return []
        if not item.marker:
            return []
        picture = self._picture()
        self._reset()
        if picture is None:
            self._tolerances.note(Tolerance.JPEG_UNREADABLE)
            return []
        lost, self._lost = self._lost, 0
        return [AccessUnit(self._track, item.timestamp, item.arrived_s, [picture], True, lost)]

    def flush(self) -> list[AccessUnit]:
        """Return nothing: a picture without its last packet is not whole."""
        return []

    def _reset(self) -> None:
        self._first = None
        self._pieces.clear()

    def _parse(self, payload: bytes) -> _Header | None:
        if len(payload) < 8:
            return None
        offset = int.from_bytes(payload[1:4], "big")
        kind, quality = payload[4], payload[5]
        width, height = payload[6] * 8, payload[7] * 8
        position, restart, tables = 8, 0, b""
        if 64 <= kind <= 127:  # section 3.1.7
            if len(payload) < 12:
                return None
            restart = int.from_bytes(payload[8:10], "big")
            position = 12
        if quality >= 128 and offset == 0:  # section 3.1.8
            if len(payload) < position + 4:
                return None
            _reserved, precision, length = struct.unpack_from("!BBH", payload, position)
            position += 4
            if position + length > len(payload) or precision:
                return None
            tables = payload[position : position + length]
            position += length
        return _Header(offset, kind, quality, width, height, restart, tables, payload[position:])

    def _picture(self) -> bytes | None:
        first = self._first
        if first is None:
            return None
        data = self._pieces.joined()
        if data[:2] == b"\xff\xd8":  # a whole JPEG file as payload: some cameras send just that
            self._tolerances.note(Tolerance.JPEG_WHOLE_FILE)
            return data if data.endswith(b"\xff\xd9") else data + b"\xff\xd9"
        tables = first.tables
        if not tables:
            known = self._tables.get(first.quality)
            tables = known if known is not None else tables_for_quality(first.quality)
        elif first.quality != 255 and len(tables) in (64, 128):
            self._tables[first.quality] = tables
        width, height = size_beyond_field(first.width, first.height, self._size)
        if (width, height) != (first.width, first.height):
            self._tolerances.note(Tolerance.JPEG_SIZE_BEYOND_FIELD)
        if len(tables) not in (64, 128) or first.kind & 0x3F > 1 or not width or not height:
            return None
        frame = Frame(width, height, first.kind & 0x3F, first.restart_interval, tables)
        if not data.endswith(b"\xff\xd9"):
            data += b"\xff\xd9"  # the end marker may be left out (section 3.1.9)
        return jfif_header(frame) + data
