"""Targets: RTSP and HTTP messages, headers, session descriptions, addresses."""

from typing import Any

from fuzz.limits import Broken
from fuzz.targets import Prepared, pieces, target


def _same(what: str, whole: object, cut: object) -> None:
    if whole != cut:
        raise Broken(f"{what}: the result depends on where the stream is cut: {whole!r:.200} / {cut!r:.200}")


@target(max_bytes=8192, corpora=("rtsp/**/*.txt",))
def rtsp_message() -> Prepared:
    """RTSP messages and garbage, before any frame: whole and cut, with the same events and tolerances."""
    return _rtsp(set())


@target(max_bytes=8192, corpora=("rtsp/**/*.bin",))
def rtsp_interleaved() -> Prepared:
    """Frames on channels 0 to 3 between RTSP messages, with garbage among them: whole and cut."""
    return _rtsp({0, 1, 2, 3})


def _rtsp(channels: set[int]) -> Prepared:
    from adapters.rtsp.message import MessageParser
    from adapters.rtsp.tolerance import Tolerances, Violation

    begun = b"RTSP/1.0 200 OK\r\n\r\n" if channels else b""

    def parsed(parts: list[bytes]) -> tuple[list[Any], dict[Any, int], object]:
        tolerances = Tolerances()
        parser = MessageParser(tolerances)
        parser.channels = set(channels)
        events: list[Any] = []
        try:
            for part in parts:
                events += parser.feed(part)
        except Violation as violation:
            return events, {}, violation.reason
        return events, dict(tolerances.counts), parser.pending

    def run(data: bytes) -> None:
        whole = parsed([begun + data])
        cut = parsed([begun, *pieces(data)] if begun else list(pieces(data)))
        if not isinstance(whole[2], int) or not isinstance(
            cut[2], int
        ):  # events before a violation are not told
            _same("reason", whole[2], cut[2])
            return
        _same("RTSP", whole, cut)
        for event in whole[0]:
            if hasattr(event, "encode"):
                list(event.headers)
                event.headers.get("CSeq")

    return run, ()


@target()
def rtsp_headers() -> Prepared:
    """Values of Transport, Session, RTP-Info, Public, chosen by the first byte."""
    from adapters.rtsp import headers
    from adapters.rtsp.tolerance import Tolerances

    def run(data: bytes) -> None:
        text, tolerances = data[1:].decode("utf-8", "replace"), Tolerances()
        match data[:1].hex()[-1:]:
            case "0" | "4":
                told = headers.parse_transport(text, tolerances)
                for pair in (told.channels, told.client_ports, told.server_ports):
                    if pair is not None and not 0 <= min(pair) <= max(pair) <= 65535:
                        raise Broken(f"ports out of range: {pair}")
            case "1" | "5":
                if not 0 < headers.parse_session(text, tolerances).timeout_s <= 3600:
                    raise Broken("a session timeout out of range")
            case "2" | "6":
                headers.parse_rtp_info(text, tolerances)
            case _:
                headers.parse_public(text.split("\n"))

    return run, ()


@target()
def challenges() -> Prepared:
    """WWW-Authenticate values, one a line: chosen, answered, renewed; nothing of them breaks a header line."""
    from adapters.secret import Credential, Secret
    from adapters.wire.digest import DigestAuth, choose, parse_challenges

    owner = Credential("owner", Secret("sesame opens"))

    def run(data: bytes) -> None:
        lines = data.decode("utf-8", "replace").split("\n")
        found = parse_challenges(lines)
        for challenge in found:
            _ = (challenge.label, challenge.terms, challenge.stale, challenge.answerable)
        for tls in (False, True):
            chosen = choose(found, tls)
            if chosen is None:
                continue
            if chosen.scheme == "basic" and not tls:
                raise Broken("Basic is answered without TLS")
            auth = DigestAuth(owner, chosen)
            for renewed in found:
                if auth.renewable(renewed):
                    auth.renew(renewed)
            auth.accept_info(lines[-1])
            line = auth.authorization("DESCRIBE", "rtsp://192.0.2.1/stream")
            if "\r" in line or "\n" in line or "sesame" in line:
                raise Broken("the answer breaks its line or shows the password")
            line.encode("utf-8")

    return run, ()


@target(max_bytes=512)
def old_tls_answer() -> Prepared:
    """What answers a hello of old TLS: read whole and as it grows; an answer, once given, stays the same."""
    from adapters.wire.tls_legacy import MAX_ANSWER, read_answer

    def run(data: bytes) -> None:
        whole, so_far = read_answer(data), b""
        for piece in pieces(data):
            so_far += piece
            answer = read_answer(so_far)
            if answer is not None:
                _same("TLS", whole, answer)
        if whole is None and len(data) >= MAX_ANSWER:
            raise Broken("no end of waiting")

    return run, ()


@target(max_bytes=8192, corpora=("rtsp/**/*.sdp",))
def sdp() -> Prepared:
    """Session descriptions, with their control addresses, parameter sets and depacketisers."""
    from urllib.parse import urlsplit

    from adapters.rtsp.depacketize import depacketizer_for
    from adapters.rtsp.sdp import base_url, parameter_sets, parse_sdp, resolve_control
    from adapters.rtsp.tolerance import Tolerances, Violation
    from adapters.target import Target

    enrolled = Target("rtsp", "192.0.2.9", 554, "/stream1")

    def run(data: bytes) -> None:
        tolerances = Tolerances()
        told = parse_sdp(data, tolerances)
        base = base_url("rtsp://192.0.2.9/stream1/", told.attributes.get("base"), told.control)
        for control in (told.control, *(media.control for media in told.media)):
            address = resolve_control(base, control, enrolled, tolerances)
            if urlsplit(address).netloc != "192.0.2.9:554":
                raise Broken(f"requests would go to another host: {address!r}")
        for media in told.receivable():
            _ = (media.frame_rate, parameter_sets(media, tolerances))
            depacketizer_for(
                media.codec,
                0,
                tolerances,
                parameters=media.format_parameters,
                clock_rate_hz=media.clock_rate_hz,
            )

    return run, (Violation,)


@target(max_bytes=8192)
def tunnel_head() -> Prepared:
    """The head of an HTTP reply that opens a tunnel, and RTSP behind it, whole and cut."""
    import asyncio

    from adapters.rtsp.tolerance import Violation
    from adapters.rtsp.tunnel import HeadReader, PostWatch, head_of

    def heard(parts: list[bytes]) -> object:
        reader = HeadReader()
        for part in parts:
            reader.data_received(part)
        reader.connection_lost(None)
        try:
            return reader._reply.result(), reader.rest
        except Violation as violation:
            return violation.reason

    async def both(data: bytes) -> None:
        _same("tunnel", heard([data]), heard(list(pieces(data))))
        watch = PostWatch("192.0.2.9:80", lambda _error: None)
        for part in pieces(data):
            watch.data_received(part)

    def run(data: bytes) -> None:
        asyncio.run(both(data))
        head_of(data)

    return run, (Violation,)


@target(max_bytes=8192)
def tunnel_requests() -> Prepared:
    """Base64 as the simulator's end of a tunnel takes it, whole and cut: the same requests."""
    import asyncio

    from hub.simulator.tunnel import Tunnels

    async def decoded(parts: list[bytes]) -> bytes:
        tunnels = Tunnels()
        requests = tunnels.begin("0123456789abcdef")
        if requests is None:
            raise Broken("the cookie is refused")
        reader = asyncio.StreamReader()
        feeding = asyncio.ensure_future(tunnels.feed("0123456789abcdef", reader))
        for part in parts:
            reader.feed_data(part)
            await asyncio.sleep(0)
        reader.feed_eof()
        await feeding
        requests.feed_eof()
        return await requests.read()

    async def both(data: bytes) -> None:
        _same("tunnel", await decoded([data]), await decoded(list(pieces(data))))

    def run(data: bytes) -> None:
        asyncio.run(both(data))

    return run, ()


@target(max_bytes=8192)
def http_reply() -> Prepared:
    """HTTP/1.1 replies, whole and cut; the first byte chooses HEAD, no body wanted, and an end told by the content."""
    from adapters.onvif.reply import complete
    from adapters.wire.http1 import BadReply, ReplyReader

    def read(parts: list[bytes], flags: int) -> object:
        reader = ReplyReader(
            1 << 16,
            read_body=not flags & 1,
            no_body=bool(flags & 2),
            complete=complete if flags & 4 else None,
        )
        try:
            if not any(reader.feed(part) for part in parts):
                reader.ended()
        except BadReply as bad:
            return bad.fault
        if len(reader.body) > 1 << 16:
            raise Broken("the body is longer than its bound")
        return reader.status, reader.headers, bytes(reader.body), reader.quirks

    def run(data: bytes) -> None:
        flags = data[0] if data else 0
        whole, cut = read([data[1:]], flags), read(list(pieces(data[1:])), flags)
        if not flags & 4:  # where content tells the end, what came together belongs together
            _same("HTTP", whole, cut)

    return run, ()


@target(max_bytes=2048)
def addresses() -> Prepared:
    """Addresses as people type and cameras name them; makers, banners and templates."""
    from adapters.errors import BadTarget
    from adapters.onvif.addresses import AddressBook, endpoint_of, read_named
    from adapters.target import Target, parse_target
    from adapters.vendors.banners import recognise
    from adapters.vendors.routing import route, without_address

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        recognise(text)
        without_address("192.0.2.9", "", text)
        for scheme in ("onvif", "onvifs"):
            book = AddressBook(Target(scheme, "192.0.2.9", 80))
            book.learn(text)
            address = book.service(text)
            if address is not None and not address.partition("://")[2].startswith("192.0.2.9"):
                raise Broken(f"requests would go to another host: {address!r}")
            if scheme == "onvifs" and address is not None and not address.startswith("https:"):
                raise Broken(f"down from TLS: {address!r}")
            for found in (book.stream(text), book.picture(text)):
                if found is not None and found.host != "192.0.2.9":
                    raise Broken(f"requests would go to another host: {found.host!r}")
            _ = (book.named(text), book.peek(text), book.octets(text))
        named = read_named(text)
        if named is not None:
            _ = named.url
        words = text.split("\n", 1)
        enrolled, _credential = parse_target(words[0])
        if endpoint_of(enrolled) and (enrolled.host in {"", None} or not 1 <= enrolled.port <= 65535):
            raise Broken(f"no address: {enrolled!r}")
        route(words[0], enrolled, words[-1])

    return run, (BadTarget,)
