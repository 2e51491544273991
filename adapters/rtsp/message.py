"""RTSP messages and interleaved frames in one byte stream (RFC 2326 sections 4-7 and 10.12). Sans I/O.

`MessageParser.feed` takes bytes cut anywhere and returns what is complete; the result does not depend on where
the stream was cut. Everything that a camera sends is bounded.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation, excerpt_of
from standards.reason import Reason

MAX_HEAD_BYTES = 16_384  # start line and headers together; real replies stay under 2 kB
MAX_HEADERS = 100
MAX_BODY_BYTES = 262_144  # the largest SDP seen is under 8 kB
MAX_GARBAGE_BEFORE_FIRST = 1_024  # bytes before the first message: "wrong bytes before it" (quirk 18)
MAX_GARBAGE_IN_A_ROW = 262_144  # later, in the middle of media (quirk 46)

_STATUS_LINE = re.compile(r"RTSP/(\d)\.(\d)[ \t]+(\d{3})(?:[ \t]+(.*))?$")
_REQUEST_LINE = re.compile(r"([A-Z_]{1,20})[ \t]+(\S+)[ \t]+RTSP/(\d)\.(\d)$")
_METHOD_START = re.compile(rb"[A-Z_]{2,20}(?:[ \t]|\Z)")
_FOREIGN = (b"HTTP/", b"<", b"SSH-", b"220 ", b"ICY ")
DOLLAR = 0x24  # what an interleaved frame begins with: channel and size follow (RFC 2326 section 10.12)


@dataclass(frozen=True, slots=True)
class Headers:
    """Header fields in order. Names compare without case (RFC 2326 section 4.2)."""

    fields: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """Return the first value of a field."""
        wanted = name.lower()
        for key, value in self.fields:
            if key == name or key.lower() == wanted:
                return value
        return None

    def get_all(self, name: str) -> list[str]:
        """Return all values of a field, in order."""
        wanted = name.lower()
        return [value for key, value in self.fields if key == name or key.lower() == wanted]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.fields)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ours or (seldom) the camera's."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes on the wire.

        Raises:
            ValueError: a line end stands inside the start line or a header (our bug).
        """
        return _encode(f"{self.method} {self.uri} RTSP/1.0", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """One response."""

    status: int
    reason: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Tell whether the status is 2xx."""
        return 200 <= self.status < 300

    def encode(self) -> bytes:
        """Return the bytes on the wire.

        Raises:
            ValueError: a line end stands inside the start line or a header (our bug).
        """
        return _encode(f"RTSP/1.0 {self.status} {self.reason}".rstrip(), self.headers, self.body)


class Frame(NamedTuple):
    """One interleaved frame (RFC 2326 section 10.12)."""

    channel: int
    data: bytes


_frame = (
    tuple.__new__
)  # of a named tuple: half the time of its own constructor, which is called for every packet

Event = Request | Response | Frame


def encode_frame(channel: int, data: bytes) -> bytes:
    """Return an interleaved frame as bytes on the wire."""
    return b"$" + bytes((channel,)) + len(data).to_bytes(2, "big") + data


def _encode(start: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError("a line end stands inside an RTSP header")
    return "\r\n".join([*lines, "", ""]).encode() + body


class MessageParser:
    """Cuts a byte stream into messages and frames.

    `channels` holds the interleaved channels in use: after garbage, a ``$`` counts as a frame only on one of
    them and only where an RTP or RTCP version 2 follows.
    """

    def __init__(
        self, tolerances: Tolerances, take_frames: Callable[[bytes, int], int] | None = None
    ) -> None:
        """Prepare; `take_frames` is offered the bytes from the first frame of a read on (the hot path).

        It takes what it knows and returns where that stops; the rest comes as events. Nothing is offered behind a message:
        what that says has to be heard first.
        """
        self.take_frames = take_frames
        self._tolerances = tolerances
        self._parts: list[bytes] = []
        self._held = 0  # bytes in _parts
        self._need = 1  # no progress is possible with fewer bytes than this
        self._garbage = 0  # bytes of garbage in a row
        self._started = False
        self.channels: set[int] = set()
        self.offset = 0  # position in the stream of the first byte not yet consumed

    @property
    def pending(self) -> int:
        """Return how many bytes wait for the rest of their message."""
        return self._held

    def feed(self, data: bytes) -> list[Event]:
        """Take more bytes and return everything that is now complete.

        Raises:
            Violation: the stream is not RTSP, or exceeds a bound.
        """
        if self._held:
            self._parts.append(data)
            self._held += len(data)
            if self._held < self._need:
                return []
            data = b"".join(self._parts)
        events: list[Event] = []
        position, end = 0, len(data)
        need = 1
        take_frames = self.take_frames
        while position < end:
            if data[position] == DOLLAR and not self._garbage:
                if take_frames is not None and not events:
                    taken = take_frames(data, position)
                    take_frames = None
                    if taken > position:
                        self._started, position = True, taken
                        continue
                position, need = self._frames(data, position, events)
                if need:
                    break
                continue
            position, need = self._slow(data, position, events)
            if need:
                break
            need = 1
        self.offset += position
        rest = data[position:] if position else data
        self._held = len(rest)
        self._need = need
        self._parts = [rest] if rest else []
        return events

    def _frames(self, data: bytes, position: int, events: list[Event]) -> tuple[int, int]:
        """Cut frames until something else begins: the hot path. Return as `_slow` does."""
        end, need = len(data), 0
        begun = position
        while position < end and data[position] == DOLLAR:
            if end - position < 4:
                need = 4
                break
            stop = position + 4 + (data[position + 2] << 8 | data[position + 3])
            if stop > end:
                need = stop - position
                break
            events.append(_frame(Frame, (data[position + 1], data[position + 4 : stop])))
            position = stop
        self._started = self._started or position > begun
        return position, need

    def _slow(self, data: bytes, position: int, events: list[Event]) -> tuple[int, int]:
        """Handle everything but a frame in step; return the new position and the bytes needed to go on, or 0."""
        available = len(data) - position
        first = data[position]
        if self._garbage:
            return self._resynchronise(data, position)
        if first in b"\r\n":
            # A blank line is due nowhere in RTSP; some cameras send one before frames (quirk 18).
            self._tolerances.note(Tolerance.BLANK_LINE_BEFORE_DATA)
            return position + 1, 0
        head = data[position : position + 21]
        if head.startswith(b"RTSP/") or (available < 5 and b"RTSP/".startswith(head)):
            if available < 5:
                return position, available + 1
            return self._message(data, position, events)
        if not self._started:
            self._refuse_foreign(head)
            if available < 5 and any(word.startswith(head) for word in _FOREIGN):
                return position, available + 1
        if _METHOD_START.match(head) or (available < 2 and (head.isupper() or head == b"_")):
            if available < 2:
                return position, 2
            return self._message(data, position, events)
        self._garbage = 1
        self._tolerances.note(Tolerance.GARBAGE_SKIPPED)
        return position + 1, 0

    def _refuse_foreign(self, head: bytes) -> None:
        if any(head.startswith(word) for word in _FOREIGN):
            what = "HTTP" if head.startswith((b"HTTP/", b"<")) else "another protocol"
            raise Violation(
                f"the peer speaks {what}, not RTSP",
                reason=Reason.NOT_THE_PROTOCOL,
                excerpt=excerpt_of(head),
                spec="RFC 2326 section 7.1",
            )

    def _resynchronise(self, data: bytes, position: int) -> tuple[int, int]:
        """Skip to the next reply or plausible frame."""
        end = len(data)
        here = position
        dollar = reply = -1  # where the next ones stand: each is looked for once, whatever the other does
        while here < end:
            byte = data[here]
            if byte == DOLLAR:
                if end - here < 5:
                    return self._skipped(data, position, here), 5
                if data[here + 1] in self.channels and data[here + 4] >> 6 == 2:
                    break
            elif byte == 0x52:  # R
                word = data[here : here + 5]
                if word == b"RTSP/":
                    break
                if len(word) < 5 and b"RTSP/".startswith(word):
                    return self._skipped(data, position, here), len(word) + 1
            here += 1
            if dollar < here:
                dollar = data.find(b"$", here) % (end + 1)  # -1 becomes the end
            if reply < here:
                reply = data.find(b"R", here) % (end + 1)
            here = min(dollar, reply)
        self._skipped(data, position, here)
        if here < end:
            self._garbage = 0
        return here, 0

    def _skipped(self, data: bytes, position: int, here: int) -> int:
        self._garbage += here - position
        limit = MAX_GARBAGE_IN_A_ROW if self._started else MAX_GARBAGE_BEFORE_FIRST
        if self._garbage > limit:
            raise Violation(
                f"{self._garbage} bytes that are neither RTSP messages nor interleaved frames",
                reason=Reason.NOT_THE_PROTOCOL if not self._started else Reason.MALFORMED_RTSP,
                excerpt=excerpt_of(data[position:]),
                spec="RFC 2326 section 10.12",
            )
        return here

    def _message(self, data: bytes, position: int, events: list[Event]) -> tuple[int, int]:
        found = _head_end(data, position)
        if found is None:
            if len(data) - position >= MAX_HEAD_BYTES + 4:  # an end within the bound would be there, whole
                raise self._too_large("start line and headers", MAX_HEAD_BYTES, data[position:])
            return position, len(data) - position + 1
        head_stop, body_start = found
        if head_stop - position > MAX_HEAD_BYTES:
            raise self._too_large("start line and headers", MAX_HEAD_BYTES, data[position:])
        raw = data[position:head_stop]
        lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        noted: list[Tolerance] = []  # counted only once the message is whole, so that cuts do not matter
        if raw.count(b"\n") != raw.count(b"\r\n"):
            noted.append(Tolerance.BARE_LINE_FEED)
        status = _STATUS_LINE.match(lines[0].rstrip())
        request = None if status else _REQUEST_LINE.match(lines[0].rstrip())
        if status is None and request is None:
            if not self._started:
                raise Violation(
                    "the first line is not an RTSP status line",
                    reason=Reason.NOT_THE_PROTOCOL,
                    excerpt=excerpt_of(raw),
                    spec="RFC 2326 section 7.1",
                )
            self._garbage = 1
            self._tolerances.note(Tolerance.GARBAGE_SKIPPED)
            return position + 1, 0
        headers = _headers(lines[1:], noted)
        length = self._content_length(headers, noted)
        if len(data) - body_start < length:
            return position, body_start - position + length
        body = data[body_start : body_start + length]
        self._started = True
        if status is not None:
            text = (status[4] or "").strip()
            if not text:
                noted.append(Tolerance.STATUS_WITHOUT_TEXT)
            events.append(Response(int(status[3]), text, headers, body))
        elif request is not None:
            events.append(Request(request[1], request[2], headers, body))
        for tolerance in noted:
            self._tolerances.note(tolerance)
        return body_start + length, 0

    def _content_length(self, headers: Headers, noted: list[Tolerance]) -> int:
        text = headers.get("Content-Length")
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit()):
            noted.append(Tolerance.CONTENT_LENGTH_WRONG)
            return 0
        length = int(text[:12])
        if length > MAX_BODY_BYTES:
            raise self._too_large("body", MAX_BODY_BYTES, text.encode())
        return length

    def _too_large(self, what: str, limit: int, data: bytes) -> Violation:
        return Violation(
            f"{what} of more than {limit} bytes at byte {self.offset} of the stream",
            reason=Reason.MALFORMED_RTSP,
            excerpt=excerpt_of(data),
        )


def _headers(lines: list[str], noted: list[Tolerance]) -> Headers:
    fields: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            if line.strip():
                noted.append(Tolerance.HEADER_WITHOUT_COLON)
            continue
        if line[0] in " \t":
            noted.append(Tolerance.INDENTED_HEADER)
        fields.append((name.strip(), value.strip()))
        if len(fields) > MAX_HEADERS:
            raise Violation(f"more than {MAX_HEADERS} headers", reason=Reason.MALFORMED_RTSP)
    return Headers(tuple(fields))


def _head_end(data: bytes, position: int) -> tuple[int, int] | None:
    """Return where the header lines stop and where the body starts: after the first empty line."""
    limit = position + MAX_HEAD_BYTES + 4
    strict = data.find(b"\r\n\r\n", position, limit)
    loose = data.find(b"\n\n", position, limit)
    mixed = data.find(b"\n\r\n", position, limit)
    found = [
        (strict, strict + 4) if strict >= 0 else None,
        (loose, loose + 2) if loose >= 0 else None,
        (mixed, mixed + 3) if mixed >= 0 and mixed != strict + 1 else None,
    ]
    return min((pair for pair in found if pair is not None), default=None)
