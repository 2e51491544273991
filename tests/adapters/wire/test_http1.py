"""The reader of HTTP replies: the same bytes give the same reply however they are cut, and no byte makes it fail untyped."""

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wire.http1 import BadReply, Fault, ReplyReader

MAX = 4096


def read(*pieces: bytes, close: bool = True, **options: object) -> ReplyReader:
    """Feed pieces, then close."""
    reader = ReplyReader(MAX, **options)  # type: ignore[arg-type]
    for piece in pieces:
        if reader.feed(piece):
            return reader
    if close:
        reader.ended()
    return reader


def fault(*pieces: bytes, **options: object) -> Fault:
    with pytest.raises(BadReply) as caught:
        read(*pieces, **options)
    return caught.value.fault


CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Fold: a\r\n b\r\n\r\n"
    b"5;ext=1\r\n<a>be\r\n4\r\n</a>\r\n0\r\nTrailer: x\r\n\r\n"
)


class TestFraming:
    @given(st.lists(st.integers(1, len(CHUNKED) - 1), max_size=6))
    @settings(max_examples=100, deadline=None)
    def test_cuts_do_not_matter(self, cuts: list[int]) -> None:
        """A chunked reply behind an interim one reads alike, wherever TCP cuts it."""
        edges = [0, *sorted(set(cuts)), len(CHUNKED)]
        pieces = [CHUNKED[start:end] for start, end in itertools.pairwise(edges)]

        reader = read(*pieces, close=False)

        assert (reader.status, bytes(reader.body), reader.keeps) == (200, b"<a>be</a>", True)
        assert ("x-fold", "a b") in reader.headers

    def test_bare_line_feeds_are_read(self) -> None:
        """Cameras that end lines with LF alone are read."""
        reader = read(b"HTTP/1.0 200 OK\nContent-Length: 2\n\nok")

        assert (bytes(reader.body), reader.keeps) == (b"ok", False)

    def test_garbage_in_the_head_is_dropped_where_a_body_follows(self) -> None:
        """NUL and control characters in the head cost their line, not the reply (quirk 31)."""
        reader = read(b"\0\0HTTP/1.1 200 OK\r\nX\x00\x01: \xff\r\nContent-Length: 4\r\n\r\n<a/>")

        assert (bytes(reader.body), reader.quirks) == (b"<a/>", ["garbage_in_head"])
        assert [name for name, _value in reader.headers] == ["content-length"]

    def test_a_length_that_ends_inside_a_document_is_too_short(self) -> None:
        """What comes behind the announced length belongs to the document (quirk 29)."""
        reader = read(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<a>wh",
            b"ole</a>",
            complete=lambda tail: tail.endswith(b"</a>"),
        )

        assert (bytes(reader.body), reader.quirks, reader.keeps) == (
            b"<a>whole</a>",
            ["content_length_too_short"],
            False,
        )

    def test_said_chunked_sent_plain(self) -> None:
        """A document in place of the first chunk's size is the body."""
        reader = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<a>\n</a>")

        assert (bytes(reader.body), reader.quirks) == (b"<a>\n</a>", ["not_chunked_as_announced"])

    def test_contradicting_lengths_end_with_the_connection(self) -> None:
        """Two different lengths are none."""
        reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 3\r\n\r\nabc")

        assert (bytes(reader.body), reader.quirks) == (b"abc", ["content_length_unreadable"])

    def test_bytes_behind_the_reply_spoil_the_connection(self) -> None:
        """A connection with bytes that belong to nothing is not used again."""
        assert not read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1").keeps


class TestBounds:
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (b"SSH-2.0-dropbear\r\n", Fault.NOT_HTTP),
            (b"RTSP/1.0 400 Bad Request\r\n\r\n", Fault.NOT_HTTP),
            (b"\xff" * 5000, Fault.NOT_HTTP),
            (b"HTTP/1.1 2x0 OK\r\n\r\n", Fault.MALFORMED),
            (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n", Fault.MALFORMED),
            (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 9000 + b"\r\n\r\n", Fault.MALFORMED),
            (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, Fault.MALFORMED),
            (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, Fault.MALFORMED),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", Fault.TOO_LONG),
            (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, Fault.TOO_LONG),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", Fault.TOO_LONG),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", Fault.MALFORMED),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1" + b"0" * 2000, Fault.MALFORMED),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab", Fault.MALFORMED),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 2000,
                Fault.MALFORMED,
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Fault.MALFORMED),
            (b"HTTP/1.1 200 OK\r\nBad\x01: x\r\n\r\n", Fault.MALFORMED),
            (b"HTTP/1.1 200", Fault.MALFORMED),
        ],
        ids=range(18),
    )
    def test_what_cannot_be_read_is_named(self, reply: bytes, expected: Fault) -> None:
        """Each broken reply ends in its fault, not in a wait and not in another exception."""
        assert fault(reply) is expected

    def test_a_bomb_of_tiny_chunks_ends(self) -> None:
        """More chunks than any reply needs are refused, though their bytes are few."""
        reader = ReplyReader(1 << 20)
        reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

        with pytest.raises(BadReply):
            reader.feed(b"1\r\nx\r\n" * 70_000)

    @given(st.binary(max_size=400), st.integers(0, 400))
    @settings(max_examples=200, deadline=None)
    def test_any_bytes_end_typed(self, data: bytes, cut: int) -> None:
        """Whatever comes, it is a reply, a wait for more, or a `BadReply`; never more than was allowed."""
        for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
            reader = ReplyReader(64, complete=lambda tail: tail.endswith(b">"))
            with contextlib.suppress(BadReply):
                if not reader.feed(start + data[:cut]) and not reader.feed(data[cut:]):
                    reader.ended()
            assert len(reader.body) <= 64


_NAMES = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True)
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
_LENGTHS = ("content-length", "transfer-encoding")


@pytest.mark.long
@given(st.lists(st.tuples(_NAMES.filter(lambda name: name.lower() not in _LENGTHS), _VALUES), max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_plain_head_reads_as_it_does_line_by_line(fields: list[tuple[str, str]]) -> None:
    """A line that is no header sends a head the careful way; the other lines read alike."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)

    plain = read(f"HTTP/1.1 204 None\r\n{lines}\r\n".encode())
    careful = read(f"HTTP/1.1 204 None\r\n{lines}no header at all\r\n\r\n".encode())

    assert plain.headers == careful.headers == [(name.lower(), value.strip()) for name, value in fields]
    assert (plain.quirks, careful.quirks) == ([], ["header_unreadable"])
