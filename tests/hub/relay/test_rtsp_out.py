"""RTSP out, played by FFmpeg's client, which nobody here wrote, and asked by hand where the answer matters."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import av
import pytest
from decode_pictures import picture

from hub.relay.errors import RelayRefused
from hub.relay.packetise import H264Packetiser
from hub.relay.ring import Packet, PacketRing
from hub.relay.rtsp_out import RtspOutput, RtspReader, token_of

T = TypeVar("T")
TOKEN = "a-token-of-one-recipient"


class Camera:
    """A ring that fills 25 times a second, and the feed of it that a token opens."""

    codec = "H264"

    def __init__(self) -> None:
        self.ring = PacketRing()
        self.readers: set[RtspReader] = set()
        self.opened = self.closed = 0
        self.end: Callable[[str], None] = lambda _code: None
        self._packetiser = H264Packetiser()
        self._count = 0

    async def open(self, token: str, address: str, on_end: Callable[[str], None]) -> "Camera":
        """Open the feed for the one token that there is."""
        assert address == "127.0.0.1"
        if token != TOKEN:
            raise RelayRefused(403, "token_unknown", "no such token")
        self.opened += 1
        self.end = on_end
        return self

    def add(self, reader: RtspReader) -> None:
        """Vouch for a reader and feed it."""
        reader.lease_until_s = asyncio.get_running_loop().time() + 60
        reader.attach(self.ring)
        self.readers.add(reader)

    def key_frame(self) -> Sequence[Packet]:
        """Return the newest key frame's packets."""
        return self.ring.key_frame()

    async def aclose(self) -> None:
        """The recipient has gone."""
        self.closed += 1
        self.readers.clear()

    def step(self) -> None:
        """Let one picture come."""
        nals = picture(seed=self._count % 4)
        self.ring.append(self._packetiser.payloads(nals, key_frame=True), 3600 * self._count, key_frame=True)
        self._count += 1
        for reader in self.readers:
            reader.take()

    async def run(self) -> None:
        """Let pictures come for ever."""
        while True:
            self.step()
            await asyncio.sleep(0.02)


def with_output(work: Callable[[Camera, int], Awaitable[T]]) -> T:
    """Run `work` beside a camera whose stream is served."""

    async def main() -> T:
        camera = Camera()
        camera.step()
        output = RtspOutput(camera.open)
        port = await output.start(["127.0.0.1"], 0)
        pictures = asyncio.create_task(camera.run())
        try:
            async with asyncio.timeout(60):
                return await work(camera, port)
        finally:
            pictures.cancel()
            await output.aclose()

    return asyncio.run(main())


class Client:
    """A client by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.number = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, port: int) -> AsyncIterator["Client"]:
        """Connect; hang up at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
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
    """An independent client describes, sets up over TCP, plays, and decodes whole pictures."""

    async def work(camera: Camera, port: int) -> list[tuple[int, int]]:
        def watch() -> list[tuple[int, int]]:
            url = f"rtsp://127.0.0.1:{port}/live/{TOKEN}"
            with av.open(url, options={"rtsp_transport": "tcp"}, timeout=30) as container:
                out = []
                for frame in container.decode(video=0):
                    out.append((frame.width, frame.height))
                    if len(out) == 5:
                        return out
            return out

        seen = await asyncio.to_thread(watch)
        while camera.closed == 0:
            await asyncio.sleep(0.01)
        return seen

    assert with_output(work) == [(320, 192)] * 5


@pytest.mark.parametrize("path", ["/live/another-token-of-nobody", "/live/short", "/", "/live/" + "x" * 500])
def test_without_a_good_token_there_is_nothing(path: str) -> None:
    """Whoever guesses learns that there is no such thing, and not why."""

    async def work(camera: Camera, port: int) -> int:
        async with Client.connect(port) as client:
            status, _ = await client.ask("DESCRIBE", f"rtsp://127.0.0.1:{port}{path}")
            assert camera.opened == 0
            return status

    assert with_output(work) == 404


def test_udp_is_refused_by_name() -> None:
    """Media go inside the connection alone: one way through, that of the decision."""

    async def work(camera: Camera, port: int) -> int:
        del camera
        async with Client.connect(port) as client:
            uri = f"rtsp://127.0.0.1:{port}/live/{TOKEN}"
            status, _ = await client.ask("SETUP", uri, "Transport: RTP/AVP;unicast;client_port=5000-5001")
            return status

    assert with_output(work) == 461


def test_an_end_by_the_hub_closes_the_connection_at_once() -> None:
    """Pause, withdrawal or the token's end: nothing more is written."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port) as client:
            assert await client.play(f"rtsp://127.0.0.1:{port}/live/{TOKEN}") == 200
            assert await client.reader.readexactly(1) == b"$"
            camera.end("paused")
            with contextlib.suppress(ConnectionError):
                while await client.reader.read(65536):
                    pass
            while camera.closed == 0:
                await asyncio.sleep(0.01)

    with_output(work)


def test_play_needs_the_session_that_was_set_up() -> None:
    """A request out of turn, or with another session, is refused and the connection goes on."""

    async def work(camera: Camera, port: int) -> None:
        del camera
        async with Client.connect(port) as client:
            uri = f"rtsp://127.0.0.1:{port}/live/{TOKEN}"
            assert (await client.ask("PLAY", uri))[0] == 455
            assert (await client.ask("SETUP", uri, "Transport: RTP/AVP/TCP;interleaved=0-1"))[0] == 200
            assert (await client.ask("PLAY", uri, "Session: another"))[0] == 454
            assert (await client.ask("RECORD", uri))[0] == 405
            assert (await client.ask("DESCRIBE", uri.replace(TOKEN, "b" * 20)))[0] == 404

    with_output(work)


def test_a_reader_that_takes_nothing_begins_again_at_a_newer_key_frame() -> None:
    """It is not waited for, its memory stays bounded, and it never gets half a picture."""

    class Slow(asyncio.Transport):
        held = 0
        written: list[bytes]

        def get_write_buffer_size(self) -> int:
            return self.held

        def is_closing(self) -> bool:
            return False

        def write(self, data: bytes | bytearray | memoryview) -> None:
            self.written.append(bytes(data))

    camera = Camera()
    camera.step()
    line = Slow()
    line.written = []
    reader = RtspReader(line, 0)
    reader.attach(camera.ring)
    reader.take()
    first = len(line.written)
    line.held = 2 << 20
    for _ in range(5):
        camera.step()
        assert reader.take()
    assert len(line.written) == first
    line.held = 0
    reader.take()
    assert reader.skipped > 0
    assert line.written[-1][4 + 12] & 0x1F == 24  # the sets of a key frame stand first


def test_tokens_are_read_from_the_path_alone() -> None:
    """With or without the track behind it."""
    assert token_of(f"rtsp://hub:8554/live/{TOKEN}/trackID=0") == TOKEN
    assert token_of("rtsp://[::1/live/x") == ""
    assert token_of("*") == ""
