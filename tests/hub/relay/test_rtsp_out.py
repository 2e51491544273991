"""RTSP out, played by FFmpeg's and GStreamer's clients, which nobody here wrote, and asked by hand where the answer matters."""

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import av
import pytest
from decode_pictures import picture
from relay_coded import coded_camera

from hub.relay.camera.packetise import H264Packetiser
from hub.relay.camera.packetise265 import H265Packetiser
from hub.relay.errors import RelayRefused
from hub.relay.outputs import rtsp_door, rtsp_out
from hub.relay.outputs.rtsp_door import RtspDoor, digest_asked
from hub.relay.outputs.rtsp_out import RtspOutput, Wanted, digest_of, token_of
from hub.relay.outputs.rtsp_reader import RtspReader
from hub.relay.outputs.tls_door import Certificate, TlsDoor
from hub.relay.ring import PacketRing
from hub.relay.webrtc.sdp import Offered

T = TypeVar("T")
TOKEN = "a-token-of-one-recipient"


class Camera:
    """A ring that fills, the door to it, and what the hub would answer: one token opens it."""

    codec = "H264"

    def __init__(self) -> None:
        self.ring = PacketRing()
        self.output = RtspOutput(self.wanted, self.left)
        self.door = RtspDoor(self.hand_over)
        self.readers: dict[str, RtspReader] = {}
        self.asked: list[Wanted] = []
        self.gone: list[tuple[str, str]] = []
        self._packetiser = H264Packetiser()
        self._count = 0

    async def hand_over(self, digest: str, sock: socket.socket, address: str) -> None:
        """Take a connection, as the worker does whose process gets a copy of the descriptor."""
        del digest
        await self.output.take(sock.dup(), address)

    def wanted(self, wanted: Wanted) -> None:
        """Open the feed for the one token that there is; vouch for it."""
        self.asked.append(wanted)
        assert wanted.address == "127.0.0.1"
        if wanted.digest != digest_of(TOKEN):
            self.output.refuse(wanted.connection, RelayRefused(404, "token_unknown", "no such token"))
            return
        view = f"view-{len(self.asked)}"
        reader = self.output.reader(wanted.connection, view, Offered(self.codec))
        reader.lease_until_s = asyncio.get_running_loop().time() + 60
        reader.attach(self.ring)
        self.readers[view] = reader

    def left(self, view: str, code: str) -> None:
        """The recipient has gone."""
        self.readers.pop(view, None)
        self.gone.append((view, code))

    def end(self, code: str) -> None:
        """Let the hub cut every view."""
        for reader in list(self.readers.values()):
            reader.end(code)

    def step(self) -> None:
        """Let one picture come."""
        nals = picture(seed=self._count % 4)
        self.ring.append(self._packetiser.payloads(nals, key_frame=True), 3600 * self._count, key_frame=True)
        self._count += 1
        for reader in self.readers.values():
            reader.take()

    async def run(self) -> None:
        """Let pictures come for ever."""
        while True:
            self.step()
            await asyncio.sleep(0.02)


class H265Camera(Camera):
    """The same, in H.265."""

    codec = "H265"

    def __init__(self) -> None:
        super().__init__()
        self._coded = coded_camera("H265")
        self._packetiser265 = H265Packetiser()

    def step(self) -> None:
        """Let one picture come."""
        place = self._count % len(self._coded.units)
        nals = self._coded.units[place]
        key = self._coded.is_key(place, nals)
        payloads = self._packetiser265.payloads(nals, key_frame=key)
        self.ring.append(payloads, 3600 * self._count, key_frame=key)
        self._count += 1
        for reader in self.readers.values():
            reader.take()


def with_output(
    work: Callable[[Camera, int], Awaitable[T]],
    make: Callable[[], Camera] = Camera,
    certificate: Certificate | None = None,
) -> T:
    """Run `work` beside a camera whose stream is served, by TLS where there is a certificate."""

    async def main() -> T:
        camera = make()
        if certificate is not None:
            camera.door = TlsDoor(camera.hand_over, certificate)
        camera.step()
        port = camera.door.start(["127.0.0.1"], 0)
        pictures = asyncio.create_task(camera.run())
        try:
            async with asyncio.timeout(60):
                return await work(camera, port)
        finally:
            pictures.cancel()
            await camera.door.aclose()
            await camera.output.aclose()

    return asyncio.run(main())


async def until(what: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not what():
        await asyncio.sleep(0.01)


class Client:
    """A client by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.number = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator["Client"]:
        """Connect; hang up at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(self, method: str, uri: str, *headers: str) -> tuple[int, str]:
        """Send a request and return status and the whole head."""
        self.number += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self.number}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        assert f"CSeq: {self.number}\r\n" in head
        for line in head.splitlines():
            if line.lower().startswith("content-length:"):
                head += (await self.reader.readexactly(int(line.split(":")[1]))).decode()
        return int(head.split()[1]), head

    async def play(self, uri: str) -> int:
        """Go as far as PLAY; return its status."""
        assert (await self.ask("DESCRIBE", uri))[0] == 200
        status, head = await self.ask("SETUP", f"{uri}/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1")
        assert status == 200
        session = next(line for line in head.splitlines() if line.startswith("Session:")).partition(";")[0]
        return (await self.ask("PLAY", uri, session))[0]


def test_ffmpeg_plays() -> None:
    """An independent client describes, sets up over TCP, plays, and decodes whole pictures; its leaving is told."""

    async def work(camera: Camera, port: int) -> list[tuple[int, int]]:
        def watch() -> list[tuple[int, int]]:
            url = f"rtsp://127.0.0.1:{port}/{TOKEN}"
            with av.open(url, options={"rtsp_transport": "tcp"}, timeout=30) as container:
                out = []
                for frame in container.decode(video=0):
                    out.append((frame.width, frame.height))
                    if len(out) == 5:
                        return out
            return out

        seen = await asyncio.to_thread(watch)
        await until(lambda: camera.gone)
        assert camera.gone == [("view-1", "viewer_left")]
        assert len(camera.asked) == 1, "one connection, one decision"
        return seen

    assert with_output(work) == [(320, 192)] * 5


def test_h265_goes_out_as_it_is() -> None:
    """FFmpeg is told of it with its parameter sets, and decodes it."""

    async def work(camera: Camera, port: int) -> tuple[str, int]:
        def watch() -> tuple[str, int]:
            url = f"rtsp://127.0.0.1:{port}/{TOKEN}"
            with av.open(url, options={"rtsp_transport": "tcp"}, timeout=30) as container:
                frames = (frame for frame, _ in zip(container.decode(video=0), range(5), strict=False))
                return container.streams.video[0].codec_context.name, sum(
                    frame.width == 320 for frame in frames
                )

        async with Client.connect(port) as client:
            _, head = await client.ask("DESCRIBE", f"rtsp://127.0.0.1:{port}/{TOKEN}")
            assert all(f"sprop-{name}=" in head for name in ("vps", "sps", "pps"))
        return await asyncio.to_thread(watch)

    assert with_output(work, H265Camera) == ("hevc", 5)


@pytest.mark.gstreamer
def test_gstreamer_plays() -> None:
    """Another independent client, over TCP, decodes ten pictures and says so by its exit."""
    program = shutil.which("gst-launch-1.0")
    if program is None:
        pytest.skip("gstreamer: needs Debian's gstreamer1.0-tools")

    async def work(camera: Camera, port: int) -> tuple[int, str]:
        url = f"rtsp://127.0.0.1:{port}/{TOKEN}"
        line = (
            f"rtspsrc location={url} protocols=tcp latency=0 ! decodebin ! fakesink num-buffers=10 sync=false"
        )
        process = await asyncio.create_subprocess_exec(
            program, "-q", *line.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        await until(lambda: camera.gone)
        return process.returncode or 0, said.decode(errors="replace")

    status, said = with_output(work)
    assert status == 0, said


@pytest.mark.parametrize("path", ["/another-token-of-nobody", "/short", "/", "/" + "x" * 500, ""])
def test_without_a_good_token_there_is_nothing(path: str) -> None:
    """Whoever guesses learns that there is no such thing, and not why."""

    async def work(camera: Camera, port: int) -> int:
        async with Client.connect(port) as client:
            status, _ = await client.ask("DESCRIBE", f"rtsp://127.0.0.1:{port}{path}")
            assert not camera.readers
            assert await client.reader.read() == b"", "a stranger holds no place"
            return status

    assert with_output(work) == 404


def test_udp_is_refused_by_name() -> None:
    """Media go inside the connection alone: one way through, that of the decision."""

    async def work(camera: Camera, port: int) -> int:
        del camera
        async with Client.connect(port) as client:
            uri = f"rtsp://127.0.0.1:{port}/{TOKEN}"
            status, _ = await client.ask("SETUP", uri, "Transport: RTP/AVP;unicast;client_port=5000-5001")
            return status

    assert with_output(work) == 461


def test_nothing_of_the_picture_comes_before_play() -> None:
    """Described and set up, the connection is a view that waits; PLAY begins with the key frame at hand."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port) as client:
            uri = f"rtsp://127.0.0.1:{port}/{TOKEN}"
            _, head = await client.ask("DESCRIBE", uri)
            assert "sprop-parameter-sets=" in head
            _, head = await client.ask("SETUP", uri, "Transport: RTP/AVP/TCP;interleaved=2-3")
            session = next(line for line in head.splitlines() if line.startswith("Session:")).partition(";")[
                0
            ]
            (reader,) = camera.readers.values()
            for _ in range(3):
                camera.step()
            assert reader.packets == 0
            assert (await client.ask("PLAY", uri, session))[0] == 200
            assert (await client.reader.readexactly(2)) == b"$\x02"

    with_output(work)


def test_an_end_by_the_hub_closes_the_connection_at_once() -> None:
    """Pause, withdrawal or the token's end: nothing more is written."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port) as client:
            assert await client.play(f"rtsp://127.0.0.1:{port}/{TOKEN}") == 200
            assert await client.reader.readexactly(1) == b"$"
            camera.end("paused")
            with contextlib.suppress(ConnectionError):
                while await client.reader.read(65536):
                    pass
            assert len(camera.output) == 0

    with_output(work)


def test_play_needs_the_session_that_was_set_up() -> None:
    """A request out of turn, or with another session, is refused and the connection goes on."""

    async def work(camera: Camera, port: int) -> None:
        del camera
        async with Client.connect(port) as client:
            uri = f"rtsp://127.0.0.1:{port}/{TOKEN}"
            assert (await client.ask("PLAY", uri))[0] == 455
            assert (await client.ask("SETUP", uri, "Transport: RTP/AVP/TCP;interleaved=0-1"))[0] == 200
            assert (await client.ask("PLAY", uri, "Session: another"))[0] == 454
            assert (await client.ask("RECORD", uri))[0] == 405
            assert (await client.ask("DESCRIBE", uri.replace(TOKEN, "b" * 20)))[0] == 404

    with_output(work)


def test_a_request_in_pieces_reaches_the_worker_whole() -> None:
    """The door looks without taking: what it waited for is read again by who serves."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port) as client:
            for part in ("OPTI", f"ONS rtsp://127.0.0.1:{port}/{TOKEN} RT", "SP/1.0\r\nCSeq: 7\r\n\r\n"):
                client.writer.write(part.encode())
                await client.writer.drain()
                await asyncio.sleep(0)
            head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("RTSP/1.0 200")
            assert "CSeq: 7" in head
            assert not camera.asked, "OPTIONS opens nothing"

    with_output(work)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\n",
        b"A" * 5000,
        b"describe x RTSP/1.0\r\n",
        b"\n",
    ],
)
def test_what_is_not_rtsp_is_hung_up_on_at_the_door(said: bytes) -> None:
    """No worker ever sees it."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port) as client:
            client.writer.write(said)
            with contextlib.suppress(ConnectionError):
                assert await client.reader.read() == b""
        assert len(camera.output) == 0
        assert camera.door.turned_away == 1

    with_output(work)


def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open connections end by themselves, and one address cannot hold all places: others come in meanwhile."""
    monkeypatch.setattr(rtsp_door, "WITHIN_S", 0.5)
    monkeypatch.setattr(rtsp_door, "_MOST_OF_ADDRESS", 4)

    async def work(camera: Camera, port: int) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert camera.door.turned_away == 12
        async with Client.connect(port) as client:
            assert await client.play(f"rtsp://127.0.0.1:{port}/{TOKEN}") == 200

    with_output(work)


def test_who_never_plays_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that asks for this and that holds a view no longer than the time to settle."""
    monkeypatch.setattr(rtsp_out, "_SETTLE_S", 0.5)

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port) as client:
            assert (await client.ask("DESCRIBE", f"rtsp://127.0.0.1:{port}/{TOKEN}"))[0] == 200
            with contextlib.suppress(ConnectionError):
                assert await client.reader.read() == b""
        assert camera.gone == [("view-1", "not_connected")]

    with_output(work)


@pytest.mark.parametrize(
    "said",
    [
        "X: " + "y" * 20_000,
        "\r\n".join(f"H{number}: 1" for number in range(200)),
        "Content-Length: 99999999",
    ],
)
def test_heads_beyond_the_limits_end_the_connection(said: str) -> None:
    """Long headers, many headers, a huge body: 400 and the end."""

    async def work(camera: Camera, port: int) -> bytes:
        async with Client.connect(port) as client:
            uri = f"rtsp://127.0.0.1:{port}/{TOKEN}"
            client.writer.write(f"OPTIONS {uri} RTSP/1.0\r\nCSeq: 1\r\n{said}\r\n\r\n".encode())
            answer = b""
            with contextlib.suppress(ConnectionError):
                while more := await client.reader.read(65536):
                    answer += more
            await until(lambda: len(camera.output) == 0)
            return answer

    assert with_output(work).startswith(b"RTSP/1.0 400")


class Slow(asyncio.Transport):
    """A connection that takes what it wants."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        self.written: list[bytes] = []

    def get_write_buffer_size(self) -> int:
        """Return what waits."""
        return self.held

    def is_closing(self) -> bool:
        """Tell that it is open."""
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Note what is written."""
        self.written.append(bytes(data))


def test_a_reader_that_takes_nothing_begins_again_at_a_newer_key_frame() -> None:
    """It is not waited for, its memory stays bounded, it never gets half a picture, and its stamps rise."""

    async def main() -> None:
        camera, line = Camera(), Slow()
        camera.step()
        reader = RtspReader("H264", line)
        reader.lease_until_s = asyncio.get_running_loop().time() + 60
        reader.attach(camera.ring)
        reader.play(0)
        first = len(line.written)
        assert first == 1
        line.held = 2 << 20
        for _ in range(5):
            camera.step()
            assert not reader.take()
        assert len(line.written) == first
        slow_since_s = reader.slow_since_s
        assert slow_since_s is not None
        line.held = 0
        reader.take()
        assert reader.skipped > 0
        assert reader.slow_since_s is None
        assert line.written[-1][4 + 12] & 0x1F == 24  # the sets of a key frame stand first
        sequences = [int.from_bytes(line.written[at][6:8], "big") for at in (0, -1)]
        stamps = [int.from_bytes(line.written[at][8:12], "big") for at in (0, -1)]
        assert sequences[1] > sequences[0]
        assert stamps[1] > stamps[0]

    asyncio.run(main())


def test_who_joins_late_is_not_played_the_past_fast_forward() -> None:
    """The pictures since the key frame go out a tick apart, ending at the newest one's own stamp."""

    async def main() -> None:
        ring, line = PacketRing(), Slow()
        packetiser = H264Packetiser()
        for count in range(5):
            ring.append(
                packetiser.payloads(picture(), key_frame=count == 0), 3600 * count, key_frame=count == 0
            )
        reader = RtspReader("H264", line)
        reader.lease_until_s = asyncio.get_running_loop().time() + 60
        reader.attach(ring)
        reader.play(0)
        data, stamps = b"".join(line.written), []
        while data:
            size = int.from_bytes(data[2:4], "big")
            stamps.append(int.from_bytes(data[8:12], "big"))
            data = data[4 + size :]
        assert sorted(set(stamps)) == [14396, 14397, 14398, 14399, 14400]

    asyncio.run(main())


def test_tokens_are_read_from_the_path_alone() -> None:
    """With or without the track behind it; the door finds the same one."""
    assert token_of(f"rtsp://hub:8554/{TOKEN}/trackID=0") == TOKEN
    assert token_of(f"rtsp://user:word@hub:8554/{TOKEN}?a=b") == TOKEN
    assert token_of("rtsp://[::1/x") == ""
    assert token_of("*") == ""
    assert digest_asked(f"OPTIONS rtsp://h/{TOKEN} RTSP/1.0\r\n".encode()) == digest_of(TOKEN)
    assert digest_asked(b"OPTIONS * RTSP/1.0\r\n") == ""
    assert digest_asked(f"OPTIONS rtsp://h/{TOKEN} RTSP/1.0".encode()) is None
