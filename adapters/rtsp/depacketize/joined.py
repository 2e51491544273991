"""Payload formats whose packets are plain pieces of a frame: MPEG-4 part 2 (RFC 6416), ONVIF metadata."""

import re
from abc import ABC, abstractmethod

from adapters.port import AccessUnit
from adapters.rtsp import mpeg4
from adapters.rtsp.depacketize.base import MAX_UNIT_BYTES, Input, Pieces
from adapters.rtsp.tolerance import Tolerance, Tolerances

MAX_DOCUMENT_BYTES = 1_048_576  # one metadata document; real ones are some kB
# The head of a document, as text, by gzip, or by EXI with its cookie.
_DOCUMENT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,64}<(?:\?xml|(?:[\w.-]{1,64}:)?MetadataStream)|\x1f\x8b|\$EXI"
)


class JoinedDepacketizer(ABC):
    """Joins packets up to the marker, or up to the next timestamp where a camera sets none (quirk 48).

    A frame of which a packet is lost is dropped whole; the loss is told with the next one.
    """

    def __init__(self, track: int, tolerances: Tolerances, limit_bytes: int = MAX_UNIT_BYTES) -> None:
        self._track = track
        self._tolerances = tolerances
        self._pieces = Pieces(limit_bytes)
        self._timestamp: int | None = None
        self._arrived_s = 0.0
        self._lost = 0
        self._sure = False  # what comes next is the first packet of a frame
        self._torn = False  # the rest of this frame is of no use

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the frames that are now complete."""
        out: list[AccessUnit] = []
        if item.lost:
            self._lost += item.lost
            self._drop(Tolerance.FRAGMENT_UNFINISHED)
            self._torn = self._torn and item.timestamp == self._timestamp
            self._sure = False
        elif item.timestamp != self._timestamp:
            if self._pieces.size:
                self._tolerances.note(Tolerance.MARKER_MISSING)
                self._emit(out)
            self._torn, self._sure = False, self._timestamp is not None
        self._timestamp, self._arrived_s = item.timestamp, item.arrived_s
        if item.payload and not self._torn:
            self._add(item.payload)
        if item.marker:
            self._emit(out)
            self._torn, self._sure = False, True
        return out

    def flush(self) -> list[AccessUnit]:
        """Return what is held when the stream ends: nothing, for its end is not known."""
        return []

    @abstractmethod
    def _begins(self, payload: bytes, *, sure: bool) -> bool:
        """Tell whether a payload is the first of a frame; `sure`: nothing is missing since the last frame's end."""

    @abstractmethod
    def _is_key(self, frame: bytes) -> bool:
        """Tell whether a frame can be understood without those before it."""

    def _add(self, payload: bytes) -> None:
        if not self._pieces.size and not self._begins(payload, sure=self._sure):
            self._tolerances.note(Tolerance.FRAGMENT_WITHOUT_START)
            self._torn = True
        elif not self._pieces.add(payload):
            self._drop(Tolerance.UNIT_TOO_LARGE)

    def _drop(self, why: Tolerance) -> None:
        if self._pieces.size:
            self._tolerances.note(why)
            self._pieces.clear()
            self._torn = True

    def _emit(self, out: list[AccessUnit]) -> None:
        if not self._pieces.size or self._timestamp is None:
            return
        frame = self._pieces.joined()
        out.append(
            AccessUnit(
                self._track, self._timestamp, self._arrived_s, [frame], self._is_key(frame), self._lost
            )
        )
        self._lost = 0


class Mpeg4Depacketizer(JoinedDepacketizer):
    """Turns RFC 6416 payloads into pictures (one VOP, with the headers before it). Key frames are I-VOPs.

    The configuration of the SDP (``config=``) is the track's parameter set; it is not put before each picture.
    """

    def _begins(self, payload: bytes, *, sure: bool) -> bool:
        return payload[:3] == b"\0\0\1"

    def _is_key(self, frame: bytes) -> bool:
        return next(iter(mpeg4.vop_types(frame)), "") == "I"


class MetadataDepacketizer(JoinedDepacketizer):
    """Turns packets of ``vnd.onvif.metadata`` into documents (ONVIF Streaming Specification, section 5.1.2.1.1).

    A document is bytes that a camera wrote: it is bounded here, and neither parsed nor trusted.
    """

    def __init__(self, track: int, tolerances: Tolerances) -> None:
        super().__init__(track, tolerances, MAX_DOCUMENT_BYTES)

    def _begins(self, payload: bytes, *, sure: bool) -> bool:
        return sure or _DOCUMENT.match(payload) is not None

    def _is_key(self, frame: bytes) -> bool:
        return True
