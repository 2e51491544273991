"""Targets: what viewers, operators and contributors hand to the hub, and what keeps secrets out of what it writes."""

import re
import tempfile
from pathlib import Path
from typing import Any

from fuzz.limits import Broken
from fuzz.targets import Prepared, packets, pieces, target

_PASSWORD = "Sesame-0pens/4U"
_SPS = bytes.fromhex("6742c01eda0280bfe5c0440000030004000003007a3c58ba80")


@target(max_bytes=8192)
def relay_offer() -> Prepared:
    """A browser's offer: read, agreed on and answered, or refused with a reason."""
    from adapters.rtsp.h264 import parse_sps
    from hub.relay.errors import RelayRefused
    from hub.relay.webrtc.sdp import LocalTransport, Offer, Offered, negotiate, write_answer

    sources = (
        Offered("H264", parse_sps(_SPS), "PCMU"),
        Offered("H264", None),
        Offered("H265"),
        Offered("JPEG", None, "PCMA"),
    )
    local = LocalTransport("ufrag", "p" * 32, "AA:" * 31 + "AA", [("192.0.2.1", 8189)])

    def run(data: bytes) -> None:
        offer = Offer.parse(data.decode("utf-8", "replace"))
        for source in sources:
            try:
                agreed = negotiate(offer, source)
            except RelayRefused:
                continue
            _ = agreed.our_role
            answer = write_answer(offer, agreed, local, session=1, ssrc=2, audio_ssrc=3, cname="c")
            if not answer.startswith("v=0\r\n") or "\n\n" in answer.replace("\r", ""):
                raise Broken("the answer is no session description")

    return run, (RelayRefused,)


@target(max_bytes=8192, corpora=("rtsp/**/*.txt",))
def rtsp_recipient() -> Prepared:
    """What another system says on an RTSP output, cut anywhere: answered in RTSP, and no picture before the hub's leave and PLAY."""
    import asyncio

    from adapters.rtsp.message import Frame, MessageParser, Response
    from adapters.rtsp.tolerance import Tolerances
    from hub.relay.errors import RelayRefused
    from hub.relay.outputs.rtsp_door import digest_asked
    from hub.relay.outputs.rtsp_out import RtspOutput, Wanted, digest_of
    from hub.relay.ring import PacketRing

    allowed = digest_of("a-token-of-one-recipient")
    ring = PacketRing()
    ring.append([b"\x67" + _SPS[1:], b"\x68\xce\x3c\x80", b"\x65" + bytes(500)], 3600, key_frame=True)

    class Line(asyncio.Transport):
        """Keeps what is written."""

        def __init__(self) -> None:
            super().__init__()
            self.written, self.closed = b"", False

        def write(self, data: Any) -> None:
            """Keep it."""
            if self.closed:
                raise Broken("something is written behind the end")
            self.written += data

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            """Pass."""

        def get_write_buffer_size(self) -> int:
            """Nothing waits."""
            return 0

        def is_closing(self) -> bool:
            """Tell."""
            return self.closed

        def close(self) -> None:
            """End."""
            self.closed = True

        abort = close

    async def told(data: bytes) -> None:
        begun: list[int] = []

        def wanted(asked: Wanted) -> None:
            if asked.digest != allowed:
                output.refuse(asked.connection, RelayRefused(404, "token_unknown", "no such token"))
                return
            reader = output.reader(asked.connection, "view", "H264")
            reader.lease_until_s = asyncio.get_running_loop().time() + 60
            reader.attach(ring)
            reader.take()
            begun.append(asked.connection)

        output, line = RtspOutput(wanted, lambda _view, _code: None), Line()
        connection = output.protocol("192.0.2.9")
        connection.connection_made(line)
        for request in re.split(rb"(?<=\r\n\r\n)", data):
            named = re.search(rb"Session: ([0-9a-f]+)", line.written)
            for part in pieces(request.replace(b"SESSION", named[1]) if named else request):
                if not line.closed:
                    connection.data_received(part)
            for _ in range(6):  # one round each for what it waits for
                await asyncio.sleep(0)
        for _ in range(70):  # as many requests as may wait, and one round each
            await asyncio.sleep(0)
        connection.connection_lost(None)
        await output.aclose()
        parser = MessageParser(Tolerances())
        parser.channels = set(range(256))
        played = False
        for event in parser.feed(line.written):
            if isinstance(event, Frame):
                if not (begun and played):
                    raise Broken("picture before the hub's leave and PLAY")
            elif isinstance(event, Response):
                played = played or (event.ok and event.headers.get("Range") is not None)
            else:
                raise Broken("a request is sent to a recipient")
        if parser.pending:
            raise Broken("half an answer")

    def run(data: bytes) -> None:
        digest_asked(data)
        asyncio.run(told(data))

    return run, ()


@target(max_bytes=1500)
def relay_stun() -> Prepared:
    """Datagrams on the viewers' port; with an odd first byte attributes are added to a check that is signed well."""
    from aioice import stun

    from hub.relay.webrtc.ice import IcePeer, UdpPort

    class Ear:
        """Hears nothing."""

        def checked(self) -> None:
            """Pass."""

        def dtls(self, data: bytes) -> None:
            """Pass."""

        def rtcp(self, data: bytes) -> None:
            """Pass."""

    class Mouth:
        """A socket as far as answers need one: nothing leaves this process."""

        def fileno(self) -> int:
            """Return a number that is no file's."""
            return 1 << 20

        def sendto(self, data: bytes, _address: object) -> int:
            """Take an answer."""
            return len(data)

    sock: Any = Mouth()
    port = UdpPort()

    def signed(attributes: bytes) -> bytes:
        message = stun.Message(
            stun.Method.BINDING, stun.Class.REQUEST, b"camhub-fuzz1", {"USERNAME": "ours:theirs"}
        )
        plain = bytes(message)
        body = plain[20:] + attributes[: len(attributes) // 4 * 4]
        head = plain[:2] + (len(body)).to_bytes(2, "big") + plain[4:20]
        try:
            told = stun.parse_message(head + body)
            told.add_message_integrity(b"password")
            return bytes(told)
        except Exception:
            return head + body  # nothing that can be signed

    def run(data: bytes) -> None:
        peer = IcePeer("theirs", Ear(), ufrag="ours", pwd="password")
        port.register(peer)
        datagram = signed(data[1:]) if data[:1] and data[0] & 1 else data[1:]
        port._stun(sock, datagram, ("127.0.0.1", 9))
        if data[:1] and data[0] & 2:
            port._stun(sock, datagram, ("127.0.0.1", 9))
        port.unregister(peer)

    return run, ()


@target(max_bytes=8192, corpora=("onvif/**/*.xml", "rtsp/**/*.txt", "isapi/**/*.xml", "dahua_cgi/**/*.txt"))
def redaction() -> Prepared:
    """Texts on their way to logs, errors and evidence: the password that stands in them never comes out."""
    from adapters.secret import Secret
    from adapters.wire.redaction import Redactor

    plain = Redactor((Secret(_PASSWORD),))

    def run(data: bytes) -> None:
        half = len(data) // 2
        text = data[:half].decode("utf-8", "replace") + _PASSWORD + data[half:].decode("utf-8", "replace")
        shown = (
            plain.text(text),
            plain.excerpt(text.encode())[0],
            str(plain.value("reply", {"body": [text], "raw": text.encode()})),
        )
        if any(_PASSWORD in one for one in shown):
            raise Broken("the password comes through")

    return run, ()


@target(max_bytes=2048)  # tens of milliseconds each: no captured data to begin with
def masking() -> Prepared:
    """Texts on their way into a capture: nothing fails on them, the password and the account never come out."""
    from adapters.secret import Secret
    from adapters.wire.masking import Masker

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        half = len(text) // 2
        whole = text[:half] + _PASSWORD + text[half:]
        masker = Masker(passwords=(Secret(_PASSWORD),), users=("mai.nguyen",), hosts=("192.0.2.9",))
        masker.learn(whole)
        out = [masker.text(whole), masker.target(whole)]
        out += [
            masker.header(name, whole)
            for name in ("WWW-Authenticate", "Authorization", "Set-Cookie", "Cookie", "Session", "Server")
        ]
        if masker.failed:
            raise Broken("a text was blanked because a rule failed on it")
        if any(_PASSWORD in one for one in out[:2]):
            raise Broken("the password comes through")
        _ = (masker.counts, masker.originals())

    return run, ()


@target(max_bytes=8192)
def capture_bundle() -> Prepared:
    """A contributed bundle: its three tables as `packets`, by the lowest bits of the flags; read, or refused by name."""
    from adapters.target import parse_target
    from adapters.wire.redaction import Kind
    from hub.capture.bundle import BODIES, CAPTURE, EXCHANGES, PACKETS
    from hub.capture.inspect import leaks
    from hub.capture.replay import BadBundle, ReplayServer

    names = (CAPTURE, EXCHANGES, PACKETS, f"{BODIES}/0001.xml")

    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="camhub-fuzz-") as kept:
            folder = Path(kept)
            (folder / BODIES).mkdir()
            for flags, content in packets(data, 8):
                (folder / names[flags & 3]).write_bytes(content)
            leaks(folder, [(Kind.SERIAL, "4711-0815"), (Kind.ADDRESS, "192.0.2.9")], [])
            server = ReplayServer(folder)
            parse_target(server.target.url)

    return run, (BadBundle,)


@target(max_bytes=8192)
def standard_pack() -> Prepared:
    """TOML of a standard, put beside the shipped ones: complaints with lines, or a pack that judges."""
    from standards.lint import lint
    from standards.pack import PackError, packaged, packaged_with
    from standards.profile import ProfileError

    known = packaged()

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        complaints = lint({"fuzz.toml": text}, known)
        lines = max(1, len(text.splitlines()))
        for complaint in complaints:
            if not 1 <= complaint.line <= lines + 1:
                raise Broken(f"a complaint about line {complaint.line} of {lines}")
            str(complaint)
        if complaints:
            return
        try:
            packaged_with({"fuzz.toml": text})
        except (PackError, ProfileError) as error:
            raise Broken(f"lint finds nothing, loading refuses: {error}") from error

    return run, ()
