"""What the RTSP tests share: a context, real H.264 from libx264, packets, and scripted cameras on loopback."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import av
from patience import PATIENCE_S

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.port import AccessUnit, Permission, ProbeContext, ProbeRequest, ProbeResult, Progress
from adapters.rtsp.adapter import RtspAdapter
from adapters.rtsp.message import encode_frame
from adapters.rtsp.policy import DEFAULT, Policies
from adapters.rtsp.rtp import build_rtp
from adapters.rtsp.source import RtspSource
from adapters.secret import Credential, Secret
from adapters.target import parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, MemoryBook, device_key

CLOCK = SystemClock()
OWNER = Credential("owner", Secret("c\u00f2n m\u01b0a"))
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine, bounded."""

    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


def context(url: str, progress: Callable[[Progress], None] = lambda _progress: None) -> ProbeContext:
    """Return a context for one device with a gate of its own."""
    return ProbeContext(
        Dialer(LAN_AND_LOOPBACK),
        CredentialGate(MemoryBook(CLOCK), CLOCK),
        CLOCK,
        device_key(parse_target(url)[0]),
        progress=progress,
    )


async def probe(
    url: str,
    credential: Credential | None = None,
    *,
    within: ProbeContext | None = None,
    limit_s: float = 20.0,
    policies: Policies = DEFAULT,
    **asked: Any,
) -> ProbeResult:
    """Probe an address."""
    request = ProbeRequest(
        parse_target(url)[0],
        credential,
        Permission("the tests", "own server", datetime.now(UTC)),
        Deadline.after(CLOCK, limit_s),
        **asked,
    )
    return await RtspAdapter(policies).probe(request, within or context(url))


async def played(url: str, *, key_frames: int = 3) -> tuple[RtspSource, list[AccessUnit]]:
    """Play a server that is not ours, with a keep-alive every 0.3 s, until that many key frames came; return what did."""
    policies = replace(DEFAULT, keepalive_cap_s=0.3)
    source = RtspSource(parse_target(url)[0], None, context(url), policies=policies)
    await source.open(Deadline.after(CLOCK, 20), tcp=True, audio=False)
    units: list[AccessUnit] = []
    enough = asyncio.Event()

    def take(unit: AccessUnit) -> None:
        units.append(unit)
        if sum(one.key_frame for one in units) >= key_frames:
            enough.set()

    task = asyncio.create_task(source.run(take))
    await asyncio.wait_for(enough.wait(), 30)
    await source.aclose()
    await task
    return source, units


@cache
def encoded(
    frames: int = 50, width: int = 320, height: int = 240, gop: int = 10, b_frames: int = 0
) -> tuple[tuple[bytes, ...], ...]:
    """Return access units from libx264 as tuples of NAL units."""
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.framerate = 25
    coder.gop_size, coder.max_b_frames = gop, b_frames
    options = {"preset": "ultrafast", "b-adapt": "0", "slices": "1", "scenecut": "0"}
    coder.options = options if b_frames else {**options, "tune": "zerolatency"}
    packets = []
    for number in range(frames):
        frame = av.VideoFrame(width, height, "yuv420p")
        for index, plane in enumerate(frame.planes):
            plane.update(bytes([(number * 5 + index * 40) % 256]) * plane.buffer_size)
        frame.pts = number
        packets += coder.encode(frame)
    packets += coder.encode(None)
    return tuple(nals(bytes(packet)) for packet in packets)


def nals(annexb: bytes) -> tuple[bytes, ...]:
    """Cut an Annex-B stream into NAL units."""
    return tuple(part.rstrip(b"\0") for part in annexb.split(b"\0\0\1") if part.rstrip(b"\0"))


def payloads(unit: tuple[bytes, ...], size: int = 1000) -> list[bytes]:
    """Packetise one access unit as cameras do: single NAL packets, and FU-A where a NAL is larger than `size`."""
    out: list[bytes] = []
    for nal in unit:
        if len(nal) <= size:
            out.append(nal)
            continue
        pieces = [nal[at : at + size] for at in range(1, len(nal), size)]
        for index, piece in enumerate(pieces):
            flags = (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0)
            out.append(bytes([nal[0] & 0x60 | 28, flags | nal[0] & 0x1F]) + piece)
    return out


def pixels(picture: bytes) -> list[bytes]:
    """Decode one JPEG picture with FFmpeg and return its planes without the padding of their rows."""
    with av.open(io.BytesIO(picture), format="mjpeg") as container:
        frame = next(container.decode(video=0))
        return [
            b"".join(bytes(plane)[row * plane.line_size :][: plane.width] for row in range(plane.height))
            for plane in frame.planes
        ]


@dataclass
class Asked:
    """One request as the scripted camera saw it."""

    method: str
    uri: str
    headers: dict[str, str]


@dataclass
class ScriptedCamera:
    """A camera whose answers a test writes: `script` takes a request and returns bytes, or None for silence."""

    script: "Script"
    url: str = ""
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    frames: list[tuple[int, bytes]] = field(default_factory=list)  # channel and what the client sent on it
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def count(self, method: str = "", *, with_credential: bool = False) -> int:
        """Return how many requests came."""
        return sum(
            1
            for item in self.asked
            if (not method or item.method == method)
            and (not with_credential or "authorization" in item.headers)
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"$":
                    head = await reader.readexactly(3)
                    self.frames.append((head[0], await reader.readexactly(int.from_bytes(head[1:], "big"))))
                    continue
                lines = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                if lines[0].startswith("RTSP/"):
                    continue  # the client's answer to a request of this camera
                method, uri, _ = lines[0].split(" ")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines[1:] if line)
                }
                asked = Asked(method, uri, headers)
                self.asked.append(asked)
                answer = self.script(asked, self, writer)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer is not None:
                    writer.write(answer)  # type: ignore[arg-type]
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Answer = bytes | None
Script = Callable[[Asked, ScriptedCamera, asyncio.StreamWriter], Answer | Awaitable[Answer]]


@asynccontextmanager
async def scripted(
    script: Script, path: str = "/ch1", host: str = "127.0.0.1"
) -> AsyncIterator[ScriptedCamera]:
    """Run a scripted camera."""
    camera = ScriptedCamera(script)
    server = await asyncio.start_server(camera.serve, host, 0)
    camera.port = server.sockets[0].getsockname()[1]
    camera.url = f"rtsp://{host}:{camera.port}{path}"
    try:
        yield camera
    finally:
        for task in camera.tasks:
            task.cancel()
        await asyncio.gather(*camera.tasks, return_exceptions=True)
        server.close()
        for writer in camera.writers:
            writer.close()
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def reply(asked: Asked, status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    """Return a reply with the request's CSeq."""
    lines = [f"RTSP/1.0 {status}", f"CSeq: {asked.headers['cseq']}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


SDP = b"""v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=camera\r
t=0 0\r
a=control:*\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=control:trackID=1\r
"""


class GoodCamera:
    """A camera that behaves; tests override one method each. Streams real H.264 after PLAY."""

    public = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
    session = "12345678;timeout=60"
    sdp = SDP
    frame_s = 0.02

    def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        """Answer by method name."""
        handler = getattr(self, asked.method.lower(), None)
        if handler is None:
            return reply(asked, "501 Not Implemented")
        answer: Answer = handler(asked, camera, writer)
        return answer

    def options(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        return reply(asked, Public=self.public, Server="scripted")

    def describe(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        return reply(asked, body=self.sdp, Content_Type="application/sdp", Content_Base=asked.uri + "/")

    def setup(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        return reply(asked, Session=self.session, Transport=asked.headers["transport"])

    def play(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        camera.tasks.append(asyncio.create_task(self.stream(writer)))
        return reply(asked, Session="12345678", Range="npt=0.000-")

    def get_parameter(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        return reply(asked, Session="12345678")

    def teardown(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        for task in camera.tasks:
            task.cancel()
        return reply(asked)

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        """Send access units for ever."""
        sequence, timestamp = 65_500, 4_294_900_000  # both wrap soon
        while True:
            for unit in encoded():
                parts = payloads(unit)
                for index, payload in enumerate(parts):
                    packet = build_rtp(96, sequence, timestamp, 7, payload, marker=index == len(parts) - 1)
                    self.send(writer, packet)
                    sequence += 1
                timestamp += 3600
                await asyncio.sleep(self.frame_s)

    def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
        """Send one RTP packet."""
        writer.write(encode_frame(0, packet))
