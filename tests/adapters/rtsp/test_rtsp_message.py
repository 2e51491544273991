"""Messages and interleaved frames in one byte stream."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rtsp.message import (
    MAX_BODY_BYTES,
    Event,
    Frame,
    Headers,
    MessageParser,
    Request,
    Response,
    encode_frame,
)
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation
from standards.reason import Reason

OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
RTP = b"\x80\x60" + bytes(10)


def parse(*pieces: bytes, channels: tuple[int, ...] = (0, 1)) -> tuple[list[Event], Tolerances]:
    """Feed pieces and return everything that came out."""
    tolerances = Tolerances()
    parser = MessageParser(tolerances)
    parser.channels.update(channels)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return events, tolerances


STREAM = (
    b"\r\n"
    + Response(200, "OK", Headers((("CSeq", "2"), ("Content-Type", "application/sdp"))), b"v=0\r\n").encode()
    + encode_frame(0, RTP + b"abc")
    + b"\r\n"
    + encode_frame(1, b"")
    + b"RTSP/1.0 401\nCseq:  7 \nWWW-Authenticate: Digest nonce=1\n\n"
    + b"garbage R RTS $\x09\x00\x01"
    + encode_frame(1, RTP)
    + Request("OPTIONS", "rtsp://hub/", Headers((("CSeq", "1"),))).encode()
    + b"\x00\xff\xfe"
    + OK
)


def test_a_mixed_stream_is_cut_into_its_parts() -> None:
    """Replies, frames, a request of the camera, blank lines and garbage come out in order, each counted."""
    events, tolerances = parse(STREAM)
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["Response", "Frame", "Frame", "Response", "Frame", "Request", "Response"]
    first = events[0]
    assert isinstance(first, Response)
    assert (first.status, first.body, first.headers.get("cseq")) == (200, b"v=0\r\n", "2")
    assert events[1] == Frame(0, RTP + b"abc")
    assert tolerances.counts[Tolerance.GARBAGE_SKIPPED] == 2
    assert tolerances.counts[Tolerance.STATUS_WITHOUT_TEXT] == 1
    assert tolerances.counts[Tolerance.BARE_LINE_FEED] == 1
    assert tolerances.counts[Tolerance.BLANK_LINE_BEFORE_DATA] == 4


def test_every_single_cut_gives_the_same_result() -> None:
    """Where a stream is cut by TCP does not matter, for what comes out nor for what is counted."""
    whole, counted = parse(STREAM)
    for position in range(1, len(STREAM)):
        events, tolerances = parse(STREAM[:position], STREAM[position:])
        assert events == whole, position
        assert tolerances.counts == counted.counts, position


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [OK, b"$", b"RTSP", b"RTSP/1.0 200 OK\r\n\r\n", encode_frame(0, RTP), b"\r\n", b"ABC "]
            ),
        ),
        max_size=12,
    ),
    st.data(),
)
def test_hostile_streams_give_the_same_result_wherever_they_are_cut(
    parts: list[bytes], data: st.DataObject
) -> None:
    """Whatever comes after a good reply, cuts change nothing, and only a Violation is raised."""
    stream = OK + b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    def outcome(chunks: list[bytes]) -> object:
        try:
            events, tolerances = parse(*chunks)
        except Violation as violation:
            return str(violation.reason)
        return events, tolerances.counts

    assert outcome(pieces) == outcome([stream])


_NAME = st.text("ABCDEFGHabcdefgh-", min_size=1, max_size=12).filter(
    lambda name: name.lower() != "content-length"
)
_VALUE = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), max_size=30
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["OPTIONS", "SET_PARAMETER"]),
    st.lists(st.tuples(_NAME, _VALUE), max_size=6),
    st.binary(max_size=50),
)
def test_messages_survive_encoding_and_parsing(
    method: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    """What is encoded is read back the same, and encodes to the same bytes again."""
    request = Request(method, "rtsp://camera:554/a?b=c", Headers(tuple(fields)), body)
    events, _ = parse(request.encode())
    (read,) = events
    assert isinstance(read, Request)
    assert (read.method, read.uri, read.body) == (method, request.uri, body)
    assert [pair for pair in read.headers if pair[0] != "Content-Length"] == fields
    response = Response(200, "OK", Headers(tuple(fields)), body)
    (again,) = parse(response.encode())[0]
    assert isinstance(again, Response)
    assert (again.status, again.body) == (200, body)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.NOT_THE_PROTOCOL),
        (b"<html><body>", Reason.NOT_THE_PROTOCOL),
        (b"SSH-2.0-dropbear\r\n", Reason.NOT_THE_PROTOCOL),
        (b"\x00" * 2000, Reason.NOT_THE_PROTOCOL),
        (b"RTSP/1.0 OK\r\n\r\n", Reason.NOT_THE_PROTOCOL),
        (b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", Reason.MALFORMED_RTSP),
        (b"RTSP/1.0 200 OK\r\nA: " + b"x" * 20_000, Reason.MALFORMED_RTSP),
        (b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), Reason.MALFORMED_RTSP),
        (OK + b"\x00" * 300_000, Reason.MALFORMED_RTSP),
    ],
)
def test_what_is_not_rtsp_or_too_large_is_refused_by_name(stream: bytes, reason: Reason) -> None:
    """Other protocols, endless garbage and oversized messages end with their reason and a bounded excerpt."""
    with pytest.raises(Violation) as caught:
        parse(stream)
    assert caught.value.reason is reason
    assert len(caught.value.excerpt) < 500


def test_wrong_content_length_and_odd_headers_are_survived() -> None:
    """A negative length counts as none; lines without colon are skipped; indented headers are headers."""
    events, tolerances = parse(
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\nnonsense\r\n Date: now\r\n\r\n" + OK
    )
    assert len(events) == 2
    first = events[0]
    assert isinstance(first, Response)
    assert first.headers.get("date") == "now"
    assert set(tolerances.names) == {"content_length_wrong", "header_without_colon", "indented_header"}


def test_a_refused_tolerance_is_a_violation() -> None:
    """Each tolerance can be switched off by its name."""
    parser = MessageParser(Tolerances(frozenset({Tolerance.STATUS_WITHOUT_TEXT})))
    with pytest.raises(Violation, match="status_without_text"):
        parser.feed(b"RTSP/1.0 200\r\n\r\n")


def test_a_line_end_cannot_be_smuggled_into_a_request() -> None:
    """Our own messages refuse line ends in headers."""
    with pytest.raises(ValueError, match="line end"):
        Request("DESCRIBE", "rtsp://camera/\r\nX: y").encode()
