"""Reading one HTTP/1.1 reply (RFC 9112): bytes in, a reply out. No socket, no clock.

Cameras break the framing in many ways. What can be read without guessing is read and named as a quirk; the rest ends
in `BadReply`. Every length is bounded before memory is taken for it.
"""

import re
from collections.abc import Callable
from enum import Enum, auto

MAX_HEAD = 64 << 10  # bytes of status line and headers together
MAX_HEADERS = 100
MAX_LINE = 8190  # bytes of one line of the head
MAX_CHUNKS = 65_536  # a 4 MB reply in chunks of 64 bytes
_MAX_CHUNK_LINE = 1024
_MAX_TRAILERS = 8192
_MAX_GARBAGE = 4096  # before the status line
_FIRST_LINE = 64  # bytes of it, which are enough to see that it is text
_MAX_REFUSAL = 4096  # bytes of an error's text that are read so that its connection can be kept
_MAX_INTERIM = 8  # 1xx replies before the final one

_STATUS = re.compile(rb"HTTP/(\d)\.(\d)[ \t]+(\d{3})(?!\d)")
_END = re.compile(rb"\r?\n\r?\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_GARBAGE = re.compile(rb"[^\t\r\n -~]")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?\r?\Z", re.DOTALL)
# Header lines as nearly all are: a token, one colon, printable ASCII.
_SIMPLE = re.compile(
    r"\n([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*((?:[!-~](?:[ -~\t]*[!-~])?)?)[ \t]*\r?(?=\n|\Z)"
)
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Fault(Enum):
    """What is wrong with a reply."""

    NOT_HTTP = auto()  # the peer speaks another protocol
    MALFORMED = auto()
    TOO_LONG = auto()  # the body is longer than was allowed


class BadReply(Exception):
    """The reply cannot be read. The message is ours and repeats no byte of the peer."""

    def __init__(self, fault: Fault, what: str) -> None:
        super().__init__(what)
        self.fault = fault


class _Part(Enum):
    HEAD = auto()
    LENGTH = auto()  # a body of a known length
    CHUNKS = auto()
    TRAILERS = auto()
    REST = auto()  # a body that ends with the connection
    DONE = auto()


# A member found by its class costs four times a name of the module, and each reply asks a dozen times.
_HEAD, _LENGTH, _CHUNKS, _TRAILERS, _REST, _DONE = _Part


class ReplyReader:
    """Reads one reply. Feed it until `feed` says True; call `ended` where the peer closes.

    `waits` tells that the reply looks whole although its framing says otherwise (or looks cut although its framing
    says whole): the caller waits a moment for more, then calls `settle`.
    """

    __slots__ = (
        "_announced",
        "_buffer",
        "_chunk_left",
        "_chunks",
        "_complete",
        "_interim",
        "_max_bytes",
        "_no_body",
        "_overtime",
        "_part",
        "_read_body",
        "_searched",
        "body",
        "headers",
        "keeps",
        "quirks",
        "started",
        "status",
        "waits",
    )

    def __init__(
        self,
        max_bytes: int,
        *,
        read_body: bool = True,
        no_body: bool = False,
        complete: Callable[[bytes], bool] | None = None,
    ) -> None:
        """Prepare. `no_body`: the reply to HEAD. `complete` tells from its last bytes that a body has ended."""
        self._max_bytes = max_bytes
        self._read_body = read_body
        self._no_body = no_body
        self._complete = complete
        self._buffer = bytearray()
        self._part = _HEAD
        self._searched = 0
        self._interim = 0
        self._announced = -1
        self._chunk_left = -1  # -1: a chunk's size line comes next; 0: the line end behind its data
        self._chunks = 0
        self._overtime = False
        self.started = False  # a byte came
        self.status = 0
        self.headers: list[tuple[str, str]] = []  # names in lower case
        self.body = bytearray()
        self.keeps = False  # the connection may be used again
        self.quirks: list[str] = []
        self.waits = False

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the reply is whole.

        Raises:
            BadReply: it cannot be read.
        """
        self.started = True
        self._buffer += data
        if self._part is _HEAD and not self._read_head():
            return False
        if self._part is _LENGTH:
            self._read_length()
        elif self._part is _CHUNKS or self._part is _TRAILERS:
            self._read_chunks()
        elif self._part is _REST:
            self._take_rest()
        if self._part is _DONE:
            if self._buffer:
                self.keeps = False  # bytes that belong to nothing
            return True
        self.waits = (
            self._overtime
            or not self._read_body
            or (self._complete is not None and bool(self.body) and self._complete(bytes(self.body[-256:])))
        )
        if self._overtime and self._complete is not None and self._complete(bytes(self.body[-256:])):
            self._part = _DONE
            return True
        return False

    def settle(self) -> None:
        """Take the reply as it is: nothing more came in the moment that was waited."""
        if not self._overtime and self._read_body:
            name = "content_length_too_long" if self._announced >= 0 else "body_without_end"
            self.quirks.append(name)
        self.keeps = False
        self._part = _DONE

    def ended(self) -> None:
        """The peer closed: what is there is all there will be.

        Raises:
            BadReply: that is no reply.
        """
        self.keeps = False
        if self._part is _HEAD:
            if self._buffer and _STATUS.match(self._buffer) is None:
                raise BadReply(Fault.NOT_HTTP, "it closed after bytes that are not HTTP")
            raise BadReply(Fault.MALFORMED, "the head is cut short")
        if self._part in {_LENGTH, _CHUNKS} and not self._overtime and self._read_body:
            if not self.body:
                raise BadReply(Fault.MALFORMED, "the body was announced and did not come")
            self.quirks.append("content_length_too_long" if self.waits else "body_cut_short")
        if not self.body and "garbage_in_head" in self.quirks:
            raise BadReply(Fault.MALFORMED, "the head holds garbage and no body follows")
        self._part = _DONE

    # head

    def _read_head(self) -> bool:
        """Read the head if it is whole; return whether it is."""
        buffer = self._buffer
        while True:
            if not self._at_status():
                return False
            found = _END.search(buffer, max(0, self._searched - 3))
            if found is None:
                if len(buffer) >= MAX_HEAD + 4:  # an end within the bound would be there, whole
                    raise BadReply(Fault.MALFORMED, f"the head is longer than {MAX_HEAD} bytes")
                self._searched = len(buffer)
                return False
            if found.start() > MAX_HEAD:
                raise BadReply(Fault.MALFORMED, f"the head is longer than {MAX_HEAD} bytes")
            head = bytes(buffer[: found.start()])
            del buffer[: found.end()]
            self._searched = 0
            version = self._parse_head(head)
            if self.status >= 200 or self.status == 101:
                break
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise BadReply(Fault.MALFORMED, "interim replies without end")
        self._frame(version)
        return True

    def _at_status(self) -> bool:
        """Bring the status line to the start of the buffer; return whether it is there."""
        buffer = self._buffer
        if buffer.startswith(b"HTTP/"):
            return True
        while buffer.startswith((b"\r", b"\n")):
            del buffer[:1]
        if b"HTTP/".startswith(buffer[:5]):
            return len(buffer) >= 5
        at = buffer.find(b"HTTP/1.", 0, _MAX_GARBAGE)
        # Another protocol is told by its first line alone, so that it does not matter how much has come by now.
        line = buffer.find(b"\n", 0, _FIRST_LINE)
        known = line if line >= 0 else _FIRST_LINE if len(buffer) >= _FIRST_LINE else -1
        stop = min((place for place in (at, known) if place >= 0), default=-1)
        if stop >= 0 and _GARBAGE.search(buffer, 0, stop) is None:
            raise BadReply(Fault.NOT_HTTP, "it answers in another protocol")
        if at < 0:
            if len(buffer) >= _MAX_GARBAGE:
                raise BadReply(Fault.NOT_HTTP, "no HTTP in the first bytes of the answer")
            return False
        del buffer[:at]
        self._note("garbage_in_head")  # quirk 31
        return True

    def _parse_head(self, head: bytes) -> tuple[int, int]:
        """Take the status and the headers out of a head."""
        found = _STATUS.match(head)
        if found is None:
            raise BadReply(Fault.MALFORMED, "the status line cannot be read")
        count = head.count(b"\n")
        if count > MAX_HEADERS:
            raise BadReply(Fault.MALFORMED, f"the head has more than {MAX_HEADERS} lines")
        major, minor, status = found.groups()
        self.status = int(status)
        simple = _SIMPLE.findall(head.decode("ascii")) if len(head) <= MAX_LINE and head.isascii() else ()
        if len(simple) == count:
            self.headers = [(name.lower(), value) for name, value in simple]
        else:
            self._parse_lines(head)
        return int(major), int(minor)

    def _parse_lines(self, head: bytes) -> None:
        """Take the headers one by one out of a head that is not simple throughout."""
        headers: list[tuple[str, str]] = []
        for line in head.split(b"\n")[1:]:
            if len(line) > MAX_LINE:
                raise BadReply(Fault.MALFORMED, f"a line of the head is longer than {MAX_LINE} bytes")
            if _CONTROL.search(line) is not None:
                self._note("garbage_in_head")
                continue
            if line[:1] in (b" ", b"\t") and headers:
                name, value = headers[-1]
                headers[-1] = (name, f"{value} {_text(line.strip())}"[:MAX_LINE])
                self._note("folded_header")
                continue
            raw, colon, value_bytes = line.partition(b":")
            raw = raw.strip()
            if not colon or _NAME.fullmatch(raw) is None:
                if line.strip():
                    self._note("header_unreadable")
                continue
            headers.append((raw.decode("ascii").lower(), _text(value_bytes.strip())))
        self.headers = headers

    def _frame(self, version: tuple[int, int]) -> None:
        """Decide from the headers how the body ends."""
        told_lengths: list[str] = []
        chunked = close = alive = False
        for name, value in self.headers:
            if name == "content-length":
                told_lengths.append(value)
            elif name == "transfer-encoding":
                chunked = chunked or "chunked" in value.lower()
            elif name == "connection":
                told = value.lower()
                close, alive = close or "close" in told, alive or "keep-alive" in told
        lengths = {part.strip() for value in told_lengths for part in value.split(",")}
        self.keeps = not close and (version >= (1, 1) or alive)
        if self._no_body or self.status in {101, 204, 304}:
            self._part = _DONE
        elif chunked:
            self._part = _CHUNKS
        elif len(lengths) == 1 and (length := lengths.pop()).isascii() and length.isdigit():
            self._announced = int(length[:20])
            self._part = _LENGTH if self._announced else _DONE
            if self._read_body and self._announced > self._max_bytes:
                raise BadReply(Fault.TOO_LONG, "the announced length is above the bound")
        else:
            if lengths:
                self._note("content_length_unreadable")
            self._part = _REST
            self.keeps = False
        if self._part is _DONE and "garbage_in_head" in self.quirks:
            raise BadReply(Fault.MALFORMED, "the head holds garbage and no body follows")
        if not self._read_body and not self._short_refusal():
            self.keeps = self.keeps and self._part is _DONE
            self._part = _DONE
            self._buffer.clear()

    def _short_refusal(self) -> bool:
        """Tell whether a body that nobody wants is read all the same: it is no picture, and costs no new connection."""
        return self._part is _LENGTH and self.status >= 400 and self._announced <= _MAX_REFUSAL

    # body

    def _take(self, count: int) -> None:
        """Move bytes from the buffer to the body."""
        if len(self.body) + count > self._max_bytes:
            raise BadReply(Fault.TOO_LONG, "the body is above the bound")
        buffer = self._buffer
        if count >= len(buffer):
            if self.body:
                self.body += buffer
                buffer.clear()
            else:
                self.body, self._buffer = buffer, self.body
        else:
            self.body += memoryview(buffer)[:count]
            del buffer[:count]

    def _read_length(self) -> None:
        left = self._announced - len(self.body)
        if len(self._buffer) < left:
            self._take(len(self._buffer))
            return
        self._take(left)
        if self._complete is None or self._complete(bytes(self.body[-256:])) or not self._unfinished_xml():
            self._part = _DONE
            return
        self._overtime = True
        self._part = _REST
        self.keeps = False
        self._take_rest()

    def _take_rest(self) -> None:
        """Take all there is, also behind an announced length that ends in the middle of a document (quirk 29)."""
        if self._overtime and self._buffer:
            self._note("content_length_too_short")
        self._take(len(self._buffer))

    def _unfinished_xml(self) -> bool:
        """Tell whether the body begins as an XML document (and not as a page), so that more may come."""
        start = bytes(self.body[:512]).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return start.startswith(b"<") and b"<html" not in start and b"<!doctype html" not in start

    def _read_chunks(self) -> None:
        buffer = self._buffer
        while buffer:
            if self._part is _TRAILERS:
                self._read_trailers()
                return
            if self._chunk_left > 0:
                count = min(self._chunk_left, len(buffer))
                self._take(count)
                buffer = self._buffer
                self._chunk_left -= count
                continue
            if self._chunk_left == 0:  # the line end behind the data of a chunk
                if buffer == b"\r":
                    return
                if not buffer.startswith((b"\r\n", b"\n")):
                    raise BadReply(Fault.MALFORMED, "a chunk is longer than its size")
                del buffer[: 2 if buffer.startswith(b"\r") else 1]
                self._chunk_left = -1
                continue
            end = buffer.find(b"\n", 0, _MAX_CHUNK_LINE)
            size = _CHUNK_SIZE.match(bytes(buffer[:end])) if end >= 0 else None
            if size is None:
                begun = buffer[:_MAX_CHUNK_LINE].lstrip()[:1] if self._chunks == 0 else b"?"
                if begun == b"<":
                    self._plain()
                    return
                if len(buffer) >= _MAX_CHUNK_LINE or (end >= 0 and begun):
                    raise BadReply(Fault.MALFORMED, "a chunk's size cannot be read")
                return  # of what is no size yet, more may come
            del buffer[: end + 1]
            self._chunks += 1
            if self._chunks > MAX_CHUNKS:
                raise BadReply(Fault.MALFORMED, f"the body comes in more than {MAX_CHUNKS} chunks")
            self._chunk_left = int(size[1], 16)
            if len(self.body) + self._chunk_left > self._max_bytes:
                raise BadReply(Fault.TOO_LONG, "a chunk reaches above the bound")
            if self._chunk_left == 0:
                self._part = _TRAILERS

    def _plain(self) -> None:
        """Go on with a body that was announced as chunked and is not."""
        self._note("not_chunked_as_announced")
        self._part = _REST
        self.keeps = False
        self._take(len(self._buffer))

    def _read_trailers(self) -> None:
        """Skip the trailers: nothing in them is used."""
        buffer = self._buffer
        if buffer.startswith((b"\r\n", b"\n")):
            del buffer[: 2 if buffer[:1] == b"\r" else 1]
            self._part = _DONE
            return
        found = _END.search(buffer, 0, _MAX_TRAILERS + 4)
        if found is not None:
            del buffer[: found.end()]
            self._part = _DONE
        elif len(buffer) >= _MAX_TRAILERS + 4:
            raise BadReply(Fault.MALFORMED, "trailers without end")

    def _note(self, quirk: str) -> None:
        if quirk not in self.quirks:
            self.quirks.append(quirk)


def _text(value: bytes) -> str:
    """Return a header value as text: UTF-8 where it is, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


__all__ = ["MAX_CHUNKS", "MAX_HEAD", "MAX_HEADERS", "MAX_LINE", "BadReply", "Fault", "ReplyReader"]
