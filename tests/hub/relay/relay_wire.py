"""A camera on the wire: an RTSP server on loopback whose RTP packets a test may change, and an engine that pulls it for real."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from conftest import Harness, engine_with
from relay_camera import CLOCK_RATE_HZ, SyntheticCamera, group_of_pictures

from adapters.clock import SystemClock
from adapters.port import ProbeContext, StreamOffer
from adapters.rtsp.adapter import RtspAdapter
from adapters.rtsp.message import encode_frame
from adapters.rtsp.rtp import build_rtp
from adapters.target import parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, MemoryBook, device_key
from hub.relay.camera.packetise import H264Packetiser
from hub.relay.engine import EngineLimits

FPS, GROUP = 25, 25
SSRC = 0xCAFE

Packet = tuple[int, int, int, bytes, bool]
"""Sequence number, timestamp, SSRC, payload, marker."""


class WireCamera:
    """Counts connections; `edit` gets the packets of each picture and returns what goes out; `raw` takes their place.

    `on_demand`: the first picture is the only key frame, but for one after each picture loss indication, and one where `key` is set.
    """

    def __init__(self, *, fps: int = FPS) -> None:
        units = group_of_pictures(320, 240, FPS, GROUP, "baseline", 0, 0)
        packetiser = H264Packetiser()
        self.pictures = [packetiser.payloads(unit, key_frame=n == 0) for n, unit in enumerate(units)]
        self.fps = fps
        self.edit: Callable[[int, list[Packet]], list[Packet]] = lambda _number, packets: packets
        self.raw: Callable[[], bytes] | None = None
        self.silent = False
        self.on_demand = self.key = False
        self.asked: list[float] = []  # event loop times of picture loss indications
        self.played: list[float] = []  # event loop times of PLAY
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        sending: asyncio.Task[None] | None = None
        try:
            while True:
                if (first := await reader.readexactly(1)) == b"$":
                    head = await reader.readexactly(3)
                    frame = await reader.readexactly(int.from_bytes(head[1:], "big"))
                    if head[0] == 1 and frame[-12:-8] == b"\x81\xce\0\2":  # RFC 4585 6.3.1
                        self.asked.append(asyncio.get_running_loop().time())
                        self.key = True
                    continue
                head = first + await reader.readuntil(b"\r\n\r\n")
                method, url, _ = head.decode().split(" ", 2)
                cseq = next(x[5:].strip() for x in head.decode().split("\r\n") if x.lower()[:5] == "cseq:")
                fields, body = {"CSeq": cseq, "Session": "1"}, ""
                if method == "OPTIONS":
                    fields["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
                elif method == "DESCRIBE":
                    body = (
                        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=wire\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
                        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=1\r\n"
                        "a=rtcp-fb:96 nack pli\r\n"
                    )
                    fields |= {"Content-Type": "application/sdp", "Content-Base": f"{url}/"}
                    fields["Content-Length"] = str(len(body))
                elif method == "SETUP":
                    fields["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
                lines = ["RTSP/1.0 200 OK", *(f"{name}: {value}" for name, value in fields.items())]
                writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
                if method == "PLAY" and sending is None:
                    self.played.append(asyncio.get_running_loop().time())
                    sending = asyncio.create_task(self._send(writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if sending is not None:
                sending.cancel()
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        began, number, sequence, place = loop.time(), 0, 65_000, 0
        while not writer.is_closing():
            await asyncio.sleep(max(0.0, began + number / self.fps - loop.time()))
            payloads = self.pictures[place]
            place = 0 if self.key else (place + 1) % GROUP or int(self.on_demand)
            self.key = False
            at = number * CLOCK_RATE_HZ // self.fps
            packets = [
                (sequence + n, at, SSRC, payload, n == len(payloads) - 1)
                for n, payload in enumerate(payloads)
            ]
            sequence += len(packets)
            if self.raw is not None:
                writer.write(self.raw())
            elif not self.silent:
                for one in self.edit(number, packets):
                    sequence_number, stamp, ssrc, payload, marker = one
                    writer.write(
                        encode_frame(0, build_rtp(96, sequence_number, stamp, ssrc, payload, marker=marker))
                    )
            number += 1


@contextlib.asynccontextmanager
async def pulled(camera: WireCamera, limits: EngineLimits | None = None) -> AsyncIterator[Harness]:
    """Serve the camera and run an engine that opens it by the real adapter."""
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
    camera.url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live"
    target, clock = parse_target(camera.url)[0], SystemClock()
    gate = CredentialGate(MemoryBook(clock), clock)
    context = ProbeContext(Dialer(LAN_AND_LOOPBACK), gate, clock, device_key(target))

    async def opened(_spec: Any, deadline: Any, audio: bool) -> Any:
        return await RtspAdapter().open(
            StreamOffer(target, "main"), None, context, deadline, transport="tcp", audio=audio
        )

    try:
        async with engine_with(SyntheticCamera(), limits, open_source=opened) as relay:
            yield relay
    finally:
        server.close()
        await asyncio.sleep(0)
