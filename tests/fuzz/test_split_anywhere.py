"""Streams cut anywhere: the same events, the same tolerances, the same bounds, for each incremental reader."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.rtsp import message, tunnel
from adapters.rtsp.message import Event, Frame, MessageParser, Request, Response, encode_frame
from adapters.rtsp.tolerance import Tolerances, Violation
from adapters.wire import http1
from adapters.wire.http1 import BadReply, ReplyReader
from hub.simulator.tunnel import Tunnels

pytestmark = pytest.mark.long

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
REPLY = b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Length: 3\r\n\r\nabc"
FRAME = encode_frame(0, b"\x80\x60" + b"x" * 20)
PIECES = st.sampled_from(
    [REPLY, FRAME, encode_frame(1, b"\x80\xc8" + b"\0" * 26), b"OPTIONS * RTSP/1.0\nCSeq: 1\n\n", b"\r\n", b"$", b"$\0",
     b"RT", b"RTSP/", b"RTSP/1.0 2", b"_A", b"AB ", b"\0\xff", b"HTTP/1.1 200 OK\r\n\r\n", b"RTSP/1.0 200\r\nno colon\r\n x: y\n\r\n",
     b"RTSP/1.0 200 OK\r\nX: " + b"y" * 30 + b"\r\n\r\n", b"RTSP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n"]
)  # fmt: skip
STREAMS = st.lists(st.one_of(PIECES, st.binary(max_size=6)), max_size=6).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    return (data[start:stop] for start, stop in pairwise(edges))


@contextmanager
def bounds(module: object, **values: int) -> Iterator[None]:
    """Let bounds be so small that short streams reach them."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in values.items():
            patched.setattr(module, name, value)
        yield


def rtsp(parts: Iterator[bytes], channels: set[int], *, begun: bool) -> tuple[list[Event], object, int | str]:
    """Return events, tolerances and what waits; of a violation its reason alone."""
    tolerances = Tolerances()
    parser = MessageParser(tolerances)
    parser.channels = channels
    events: list[Event] = []
    try:
        if begun:
            parser.feed(b"RTSP/1.0 200 OK\r\n\r\n")
        for part in parts:
            events += parser.feed(part)
    except Violation as violation:
        return [], str(violation.reason), ""
    return events, tolerances.counts, parser.pending


@QUICK
@given(STREAMS, CUTS, st.booleans())
def test_rtsp_and_frames(data: bytes, places: list[int], begun: bool) -> None:
    """However a stream of messages, frames and garbage is cut, the same comes out of it."""
    with bounds(
        message, MAX_HEAD_BYTES=40, MAX_BODY_BYTES=50, MAX_GARBAGE_BEFORE_FIRST=12, MAX_GARBAGE_IN_A_ROW=30
    ):
        whole = rtsp(iter([data]), {0, 1}, begun=begun)
        assert rtsp(cut(data, places), {0, 1}, begun=begun) == whole
        assert rtsp(cut(data, list(range(len(data)))), {0, 1}, begun=begun) == whole


@QUICK
@given(
    st.lists(
        st.one_of(
            st.builds(Frame, st.integers(0, 3), st.binary(max_size=40)),
            st.builds(Response, st.integers(100, 599), st.just("OK"), st.just(message.Headers()), st.binary(max_size=9)),
            st.builds(Request, st.sampled_from(["OPTIONS", "SET_PARAMETER"]), st.just("*"), st.just(message.Headers())),
        ),
        max_size=6,
    ),
    CUTS,
)  # fmt: skip
def test_what_is_sent_is_what_comes(sent: list[Event], places: list[int]) -> None:
    """Messages and frames that are written come out as they went in, whatever the network does between."""
    data = b"".join(
        encode_frame(item.channel, item.data) if isinstance(item, Frame) else item.encode() for item in sent
    )
    parser = MessageParser(Tolerances())
    parser.channels = {0, 1, 2, 3}
    events = [event for part in cut(data, places) for event in parser.feed(part)]
    assert [
        (event if isinstance(event, Frame) else (type(event), event.body, getattr(event, "status", 0)))
        for event in events
    ] == [
        (item if isinstance(item, Frame) else (type(item), item.body, getattr(item, "status", 0)))
        for item in sent
    ]
    assert parser.pending == 0


HTTP = st.lists(
    st.one_of(
        st.sampled_from(
            [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 401\n", b"Content-Length: 5\r\n",
             b"Transfer-Encoding: chunked\r\n", b"\r\n", b"\n", b"\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"0;x=y\r\nT: 1\r\n\r\n",
             b"<a/>", b"hello", b" folded\r\n", b"\x01\x02", b"Connection: close\r\n", b"SSH-2.0-x\r\n", b"5\r\nhelloX"]
        ),
        st.binary(max_size=5),
    ),
    max_size=9,
).map(b"".join)  # fmt: skip


def http(parts: Iterator[bytes], read_body: bool, no_body: bool) -> object:
    reader = ReplyReader(24, read_body=read_body, no_body=no_body)
    try:
        if not any(reader.feed(part) for part in parts):
            reader.ended()
    except BadReply as bad:
        return bad.fault
    return reader.status, reader.headers, bytes(reader.body), reader.quirks


@QUICK
@given(HTTP, CUTS, st.booleans(), st.booleans())
def test_http_replies(data: bytes, places: list[int], read_body: bool, no_body: bool) -> None:
    """Status, headers, body and quirks of an HTTP reply do not depend on its packets."""
    with bounds(
        http1, MAX_HEAD=60, MAX_LINE=40, _MAX_GARBAGE=30, _FIRST_LINE=16, _MAX_CHUNK_LINE=20, _MAX_TRAILERS=30
    ):
        whole = http(iter([data]), read_body, no_body)
        assert http(cut(data, places), read_body, no_body) == whole
        assert http(cut(data, list(range(len(data)))), read_body, no_body) == whole


def head(parts: Iterator[bytes]) -> object:
    async def read() -> object:
        reader = tunnel.HeadReader()
        for part in parts:
            reader.data_received(part)
        reader.connection_lost(None)
        try:
            return reader._reply.result(), reader.rest
        except Violation as violation:
            return violation.reason

    return asyncio.run(read())


@settings(QUICK, max_examples=60)
@given(HTTP, CUTS)
def test_heads_of_tunnels(data: bytes, places: list[int]) -> None:
    """The head that opens a tunnel, and the RTSP behind it, are the same however they come."""
    with bounds(tunnel, MAX_HEAD=60, MAX_LINES=6):
        assert head(cut(data, places)) == head(iter([data]))


@settings(QUICK, max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), CUTS)
def test_base64_of_tunnels(requests: list[bytes], places: list[int]) -> None:
    """Requests in base64, each padded for itself, come out of the tunnel as they went in."""
    sent = b"".join(base64.b64encode(request) for request in requests)

    async def through(parts: Iterator[bytes]) -> bytes:
        tunnels = Tunnels()
        out = tunnels.begin("cookie")
        assert out is not None
        source = asyncio.StreamReader()
        feeding = asyncio.ensure_future(tunnels.feed("cookie", source))
        for part in parts:
            source.feed_data(part)
            await asyncio.sleep(0)
        source.feed_eof()
        assert await feeding
        return await out.read()

    run: Callable[[Iterator[bytes]], bytes] = lambda parts: asyncio.run(through(parts))  # noqa: E731
    assert run(cut(sent, places)) == b"".join(requests)
