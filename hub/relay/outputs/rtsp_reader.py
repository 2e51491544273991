"""A ring's packets as interleaved frames (RFC 2326 10.12), and how a stream is described (RFC 4566, RFC 6184, RFC 7798).

A reader like any other: it starts at the key frame at hand, with the stamps of a viewer who catches up, and one that is
slow goes on at a newer key frame. It sends nothing before `play`.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from typing import Final

from adapters.rtsp import h264
from adapters.rtsp.message import encode_frame
from hub.relay.camera import packetise, packetise265
from hub.relay.ring import Packet, PacketRing
from hub.relay.webrtc.lines import Line

PAYLOAD_TYPE: Final = 96
BUFFER: Final = 1 << 20  # bytes that may wait for a slow recipient
_AT_ONCE: Final = 256  # packets written in one go
_STEP_S: Final = 0.004


class RtspReader:
    """Writes packets of a ring to one recipient. `on_end` is told why the hub let go of it."""

    def __init__(
        self,
        codec: str,
        transport: asyncio.WriteTransport,
        on_end: Callable[[str], None] = lambda _code: None,
    ) -> None:
        self.codec = codec  # H264 | H265
        self.lease_until_s = 0.0
        self.packets = self.octets = self.skipped = 0
        self.resent = 0  # TCP sees to that
        self.sequence = secrets.randbits(15)
        self.ssrc = secrets.randbits(32)
        self.slow_since_s: float | None = None  # event loop time since which it takes nothing
        self.begun = asyncio.Event()  # a key frame was at hand
        self._transport = transport
        self._on_end = on_end
        self._channel: int | None = None  # None before `play`
        self._ring: PacketRing | None = None
        self._line: Line | None = None
        self._next = 0
        self._sent_tick = 0

    def attach(self, ring: PacketRing) -> None:
        """Begin at the newest key frame of this ring, or wait for the next one."""
        self._ring = ring
        self._line = None

    def end(self, code: str) -> None:
        """Write nothing any more and tell whose connection it is."""
        self._ring = None
        self._on_end(code)

    def key_frame(self) -> list[Packet]:
        """Return the newest key frame's packets; none where there is none yet."""
        return self._ring.key_frame() if self._ring is not None else []

    def play(self, channel: int) -> None:
        """Write from now on, to this interleaved channel."""
        self._channel = channel
        self._go_on()

    def take(self) -> bool:
        """Write what is there; True where more is at hand. One that takes nothing is asked again at the next picture."""
        ring = self._ring
        if ring is None or self._transport.is_closing():
            return False
        if ring.start() is not None:
            self.begun.set()
        if self._channel is None:
            return False
        if self._line is None or self._next < ring.base:
            if self._line is not None:
                self.skipped += ring.base - self._next
            line = Line.beginning(ring, self.sequence, self._sent_tick)
            if line is None:
                return False
            self._line, self._next = line, line.index
        if self._transport.get_write_buffer_size() > BUFFER:
            if self.slow_since_s is None:
                self.slow_since_s = asyncio.get_running_loop().time()
            if ring.key_frame_since(self._next + 1) is not None:
                self.skipped += ring.head - self._next
                self._line = None
            return False
        self.slow_since_s = None
        stop = min(ring.head, self._next + _AT_ONCE)
        if stop > self._next:
            line = self._line
            self._transport.write(
                b"".join(self._framed(packet, line) for packet in ring.run(self._next, stop))
            )
            self._next = stop
        return stop < ring.head

    def _go_on(self) -> None:
        """Write the key frame at hand at once: the next picture may be a second away."""
        loop = asyncio.get_running_loop()
        if self.lease_until_s >= loop.time() and self.take():
            loop.call_later(_STEP_S, self._go_on)

    def _framed(self, packet: Packet, line: Line) -> bytes:
        self._sent_tick = line.timestamp(packet)
        header = (
            bytes((0x80, packet.marker | PAYLOAD_TYPE))
            + self.sequence.to_bytes(2, "big")
            + (self._sent_tick & 0xFFFFFFFF).to_bytes(4, "big")
            + self.ssrc.to_bytes(4, "big")
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(packet.payload)
        assert self._channel is not None
        return encode_frame(self._channel, header + packet.payload)


def describe(codec: str, key_frame: list[Packet]) -> bytes:
    """Return the session description: one video track, with its parameter sets where a key frame is at hand."""
    parameters = ""
    payloads = [packet.payload for packet in key_frame]
    if codec == "H264":
        nals = packetise.units(payloads)
        sps = [nal for nal in nals if h264.nal_type(nal) == h264.SPS]
        pps = [nal for nal in nals if h264.nal_type(nal) == h264.PPS]
        parameters = "packetization-mode=1"
        if sps and pps:
            sets = ",".join(base64.b64encode(nal).decode() for nal in (*sps, *pps))
            parameters += f";profile-level-id={sps[0][1:4].hex()};sprop-parameter-sets={sets}"
    else:
        for nal in packetise265.units(payloads):
            name = {packetise265.VPS: "vps", packetise265.SPS: "sps", packetise265.PPS: "pps"}.get(
                nal[0] >> 1
            )
            if name:
                parameters += f"{';' if parameters else ''}sprop-{name}={base64.b64encode(nal).decode()}"
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=camhub",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} {codec}/90000",
        *([f"a=fmtp:{PAYLOAD_TYPE} {parameters}"] if parameters else []),
        "a=control:trackID=0",
        "a=recvonly",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
