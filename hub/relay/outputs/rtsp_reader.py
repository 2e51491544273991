"""A ring's packets as interleaved frames (RFC 2326 10.12), and how a stream is described (RFC 4566,
RFC 6184, RFC 7798; sound: RFC 3551, RFC 3640, RFC 7587).

A reader like any other: it starts at the key frame at hand, with the stamps of a viewer who catches up, and one that is
slow goes on at a newer key frame. It sends nothing before `play`. Sound that the recipient may hear goes out as the camera
cut it, on a track of its own; sender reports give both the time of one clock.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from adapters.port import Track
from adapters.rtsp import h264
from adapters.rtsp.message import encode_frame
from hub.relay.camera import packetise, packetise265
from hub.relay.camera.processing import Sound
from hub.relay.camera.sound import AAC, OPUS
from hub.relay.ring import Packet, PacketRing
from hub.relay.webrtc.lines import Line
from hub.relay.webrtc.rtcp import sender_report

PAYLOAD_TYPE: Final = 96
BUFFER: Final = 1 << 20  # bytes that may wait for a slow recipient
_SOUND_TYPES: Final = {"PCMU": 0, "PCMA": 8}  # RFC 3551 table 4; others get the dynamic one
_SOUND_TYPE: Final = 97
_AT_ONCE: Final = 256  # packets written in one go
_STEP_S: Final = 0.004
_REPORT_EVERY_S: Final = 5.0  # RFC 3550 6.2
_MAX_AAC: Final = (1 << 13) - 1  # bytes of a frame: the size has 13 bits (RFC 3640 3.3.6)


@dataclass(slots=True)
class _Stream:
    """One RTP stream of the recipient."""

    payload_type: int
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    sequence: int = field(default_factory=lambda: secrets.randbits(15))
    channel: int | None = None  # None: not set up, or not played yet
    packets: int = 0
    octets: int = 0

    def framed(self, payload: bytes, tick: int, marker: int) -> bytes:
        """Return the interleaved frame of its next packet."""
        header = (
            bytes((0x80, marker | self.payload_type))
            + self.sequence.to_bytes(2, "big")
            + (tick & 0xFFFFFFFF).to_bytes(4, "big")
            + self.ssrc.to_bytes(4, "big")
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        assert self.channel is not None
        return encode_frame(self.channel, header + payload)


class RtspReader:
    """Writes packets of a ring to one recipient, and `sound` where it may hear it. `on_end` is told why the hub let go of it."""

    def __init__(
        self,
        codec: str,
        transport: asyncio.WriteTransport,
        on_end: Callable[[str], None] = lambda _code: None,
        *,
        sound: Track | None = None,
    ) -> None:
        self.codec = codec  # H264 | H265
        self.sound = sound
        self.hears = sound.codec if sound is not None else ""
        self.lease_until_s = 0.0
        self.skipped = 0
        self.resent = 0  # TCP sees to that
        self.slow_since_s: float | None = None  # event loop time since which it takes nothing
        self.report_due_s = float("inf")
        self.begun = asyncio.Event()  # a key frame was at hand
        self._transport = transport
        self._on_end = on_end
        self._picture = _Stream(PAYLOAD_TYPE)
        self._sound = _Stream(_SOUND_TYPES.get(self.hears, _SOUND_TYPE))
        self._cname = secrets.token_hex(8)
        self._ring: PacketRing | None = None
        self._line: Line | None = None
        self._next = 0
        self._sent_tick = 0

    @property
    def packets(self) -> int:
        """Return how many packets were written."""
        return self._picture.packets + self._sound.packets

    @property
    def octets(self) -> int:
        """Return how many bytes of payload were written."""
        return self._picture.octets + self._sound.octets

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

    def play(self, channel: int, sound_channel: int | None = None) -> None:
        """Write from now on, to these interleaved channels; the ones above them carry the reports."""
        self._picture.channel, self._sound.channel = channel, sound_channel
        self.report_due_s = 0.0
        self._go_on()

    def take(self) -> bool:
        """Write what is there; True where more is at hand. One that takes nothing is asked again at the next picture."""
        ring = self._ring
        if ring is None or self._transport.is_closing():
            return False
        if ring.start() is not None:
            self.begun.set()
        if self._picture.channel is None:
            return False
        if self._line is None or self._next < ring.base:
            if self._line is not None:
                self.skipped += ring.base - self._next
            line = Line.beginning(ring, self._picture.sequence, self._sent_tick)
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

    def hear(self, sound: Sound, tick: int) -> None:
        """Write one packet of sound; what comes before the first picture, or to one that is slow, is left out."""
        stream = self._sound
        if stream.channel is None or self._line is None or self._transport.is_closing():
            return
        payload = sound.payload
        if sound.codec == AAC:
            if len(payload) > _MAX_AAC:
                return
            payload = b"\x00\x10" + (len(payload) << 3).to_bytes(2, "big") + payload
        if self._transport.get_write_buffer_size() <= BUFFER:
            # A frame of AAC is whole; of the others only the first packet begins a spurt (RFC 3551 4.1).
            marker = 0x80 if sound.codec == AAC or not stream.packets else 0
            self._transport.write(stream.framed(payload, tick, marker))

    def report(self, unix_s: float, picture_tick: int, sound_tick: int) -> None:
        """Say which stamps belong to this moment, so that a player shows picture and sound together."""
        if self._line is None or self._transport.is_closing():
            return
        self.report_due_s = asyncio.get_running_loop().time() + _REPORT_EVERY_S
        told = ((self._picture, picture_tick + self._line.shift), (self._sound, sound_tick))
        for stream, tick in told:
            if stream.channel is not None and tick:
                packet = sender_report(
                    stream.ssrc,
                    unix_s=unix_s,
                    timestamp=tick,
                    packets=stream.packets,
                    octets=stream.octets,
                    cname=self._cname,
                )
                self._transport.write(encode_frame(stream.channel + 1, packet))

    def _go_on(self) -> None:
        """Write the key frame at hand at once: the next picture may be a second away."""
        loop = asyncio.get_running_loop()
        if self.lease_until_s >= loop.time() and self.take():
            loop.call_later(_STEP_S, self._go_on)

    def _framed(self, packet: Packet, line: Line) -> bytes:
        self._sent_tick = line.timestamp(packet)
        return self._picture.framed(packet.payload, self._sent_tick, packet.marker)


def describe(codec: str, key_frame: list[Packet], sound: Track | None = None) -> bytes:
    """Return the session description: the picture, with its parameter sets where a key frame is at hand, and the sound."""
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=camhub",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} {codec}/90000",
    ]
    if parameters := _parameters(codec, [packet.payload for packet in key_frame]):
        lines.append(f"a=fmtp:{PAYLOAD_TYPE} {parameters}")
    lines += ["a=control:trackID=0", "a=recvonly"]
    if sound is not None:
        lines += [*_sound_lines(sound), "a=control:trackID=1", "a=recvonly"]
    return ("\r\n".join(lines) + "\r\n").encode()


def _parameters(codec: str, payloads: list[bytes]) -> str:
    if codec == "H264":
        nals = packetise.units(payloads)
        sps = [nal for nal in nals if h264.nal_type(nal) == h264.SPS]
        pps = [nal for nal in nals if h264.nal_type(nal) == h264.PPS]
        if not (sps and pps):
            return "packetization-mode=1"
        sets = ",".join(base64.b64encode(nal).decode() for nal in (*sps, *pps))
        return f"packetization-mode=1;profile-level-id={sps[0][1:4].hex()};sprop-parameter-sets={sets}"
    names = {packetise265.VPS: "vps", packetise265.SPS: "sps", packetise265.PPS: "pps"}
    return ";".join(
        f"sprop-{name}={base64.b64encode(nal).decode()}"
        for nal in packetise265.units(payloads)
        if (name := names.get(nal[0] >> 1))
    )


def _sound_lines(sound: Track) -> list[str]:
    kind = _SOUND_TYPES.get(sound.codec, _SOUND_TYPE)
    shape = {AAC: f"mpeg4-generic/{sound.clock_rate_hz}/{max(1, sound.channels)}", OPUS: "opus/48000/2"}
    lines = [f"m=audio 0 RTP/AVP {kind}", f"a=rtpmap:{kind} {shape.get(sound.codec, f'{sound.codec}/8000')}"]
    if sound.codec == AAC:
        lines.append(
            f"a=fmtp:{kind} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3"
            f";config={sound.configuration.hex()}"
        )
    return lines
