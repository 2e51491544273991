"""One viewer of one camera: its path, its keys, its numbers, its lease."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from hub.relay import rtcp
from hub.relay.ice import IcePeer
from hub.relay.ring import Packet, PacketRing
from hub.relay.sdp import Agreed
from hub.relay.transport import Burst, Certificate, DtlsSession, PacketSender

_RESENDS_PER_S = 500.0
_RESENDS_AT_ONCE = 300.0
_KEY_FRAME_EVERY_S = 1.0  # how often one viewer's picture loss is answered
_LINES_KEPT = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A stretch in which this viewer's sequence numbers follow the camera's packet index without a gap.

    Pictures up to `until` were sent to catch up: their timestamps stand one tick apart from `squeezed` on, so that the
    decoder runs through them and shows only the newest, in place of playing them fast forward.
    """

    sequence: int  # running, not cut to 16 bits
    index: int
    picture: int
    until: int
    squeezed: int

    def timestamp(self, packet: Packet) -> int:
        """Return the tick at which this viewer got a packet, on the camera's line."""
        if packet.picture <= self.until:
            return self.squeezed + packet.picture - self.picture
        return packet.timestamp


class Viewer:
    """Sends one camera's packets to one browser. Times are event loop seconds."""

    def __init__(
        self,
        viewer_id: str,
        camera_id: str,
        agreed: Agreed,
        *,
        certificate: Certificate,
        sender: PacketSender,
        lease_until_s: float,
        on_connected: Callable[["Viewer"], None],
        on_ended: Callable[["Viewer", str], None],
    ) -> None:
        self.viewer_id = viewer_id
        self.camera_id = camera_id
        self.agreed = agreed
        self.peer = IcePeer(agreed.video.ufrag, self)
        self.lease_until_s = lease_until_s
        self.ssrc = secrets.randbelow(0xFFFFFFFE) + 1
        self.cname = secrets.token_urlsafe(9)
        self.connected = False
        self.ended = False
        self.audio_ssrc = self.ssrc ^ 0x5A5A5A5A
        self.ring: PacketRing | None = None  # of the camera, once attached
        self.next_index: int | None = None  # the next packet to send; None waits for a key frame
        self.next_report_s = 0.0
        self.packets = self.octets = self.resent = self.skipped = 0
        self.feedback = rtcp.Feedback()
        self._loop = asyncio.get_running_loop()
        self._born_s = self._loop.time()
        self._sender = sender
        self._sequence = secrets.randbelow(1 << 15)
        self._offset = secrets.randbelow(1 << 31)
        self._payload_type = agreed.payload_type
        self._sounds = self._sound_octets = 0
        self._sound_first = secrets.randbelow(1 << 15)
        self._sound_offset = secrets.randbelow(1 << 31)
        self._lines: list[Line] = []
        self._sent_tick = 0  # newest tick sent, on the camera's line
        self._resend_tokens = _RESENDS_AT_ONCE
        self._resend_filled_s = self._born_s
        self._key_frame_given_s = 0.0
        self._on_connected = on_connected
        self._on_ended = on_ended
        self._handshake: asyncio.Task[None] | None = None
        self._dtls = DtlsSession(
            certificate, agreed.video.fingerprints, role=agreed.our_role, send=self._send_datagram
        )

    @property
    def age_s(self) -> float:
        """Return the seconds since the offer came."""
        return self._loop.time() - self._born_s

    @property
    def silent_s(self) -> float:
        """Return the seconds since the viewer last proved that it wants to receive."""
        return self._loop.time() - max(self.peer.last_check_s, self._born_s)

    # What the port hears (ice.Heard)

    def checked(self) -> None:
        """Begin the handshake at the first check: until then a viewer costs no TLS state."""
        if self._handshake is None and not self.ended:
            self._handshake = asyncio.create_task(self._connect(), name=f"dtls {self.viewer_id}")

    def dtls(self, data: bytes) -> None:
        """Hand a DTLS record on."""
        self._dtls.path.feed(data)

    def rtcp(self, data: bytes) -> None:
        """Read reports, resend what is missing, restart a decoder that lost its picture."""
        if not self.connected or len(data) < 8 or not 192 <= data[1] <= 223:  # RFC 5761 4: the rest is RTP
            return
        plain = self._dtls.unprotect_rtcp(data)
        if plain is None:
            return
        said = rtcp.read_feedback(plain, self.ssrc)
        if said.fraction_lost is not None:
            self.feedback = said
        if said.nacked:
            self._resend(said.nacked)
        if said.key_frame_wanted:
            self._restart()
        if said.bye:
            self._on_ended(self, "viewer_left")

    # Sending

    def attach(self, ring: PacketRing) -> None:
        """Take packets from this ring from now on, from its key frame where it holds one."""
        self.ring = ring
        self.begin()

    def begin(self) -> None:
        """Stand at the newest key frame, or wait for the next."""
        ring = self.ring
        start = ring.start() if ring is not None else None
        if ring is None or start is None:
            self.next_index = None
            return
        first = ring.get(start)
        if first is None:
            self.next_index = None
            return
        behind = ring.picture - first.picture
        # The newest picture keeps its own tick where that is still ahead of what was sent.
        squeezed = max(self._sent_tick + 1, ring.timestamp - behind)
        self._lines.append(Line(self._sequence, start, first.picture, ring.picture, squeezed))
        del self._lines[:-_LINES_KEPT]
        self.next_index = start
        self._key_frame_given_s = self._loop.time()

    def catching_up(self, packet: Packet) -> bool:
        """Tell whether this packet still belongs to the run that brings the viewer up to date."""
        return bool(self._lines) and packet.picture <= self._lines[-1].until

    @property
    def tag(self) -> int:
        """Return the size of this viewer's authentication tag, bytes."""
        return self._dtls.tag

    def send(self, packets: list[Packet], bursts: list[Burst]) -> bool:
        """Send the next packets of the ring, which are these; `bursts` are the same, laid out for this viewer's tag.

        Returns False where the kernel's buffer was full and some are left.

        Raises:
            SendFailed: the keys do not serve any more.
        """
        sock = self.peer.sock
        if sock is None or not self.connected or self.next_index is None:
            return True
        line = self._lines[-1]
        if packets[0].picture <= line.until:
            packets = [packet._replace(timestamp=line.timestamp(packet)) for packet in packets]
            bursts = self._sender.prepare(packets, self._dtls.tag)
        count, size = self._sender.send(
            sock,
            self.peer.address,
            self._dtls.srtp,
            bursts,
            payload_type=self._payload_type,
            sequence=self._sequence,
            ssrc=self.ssrc,
            offset=self._offset,
        )
        if count:
            self._sent_tick = packets[count - 1].timestamp
        self._sequence += count
        self.next_index += count
        self.packets += count
        self.octets += size
        return count == len(packets)

    @property
    def hears(self) -> bool:
        """Tell whether sound was agreed with this viewer, and it plays."""
        return self.agreed.audio is not None and self.connected and self.packets > 0

    def send_sound(self, payload: bytes, tick: int) -> None:
        """Send one packet of sound.

        Raises:
            SendFailed: the keys do not serve any more.
        """
        sock = self.peer.sock
        if sock is None:
            return
        packet = Packet(payload, 0 if self._sounds else 0x80, tick, 0)  # RFC 3551 4.1: a talkspurt begins
        _count, size = self._sender.send(
            sock,
            self.peer.address,
            self._dtls.srtp,
            self._sender.prepare((packet,), self._dtls.tag),
            payload_type=self.agreed.audio_payload_type,
            sequence=self._sound_first + self._sounds,
            ssrc=self.audio_ssrc,
            offset=self._sound_offset,
        )
        self._sounds += 1
        self._sound_octets += size

    def report(self, unix_s: float, tick: int, sound_tick: int) -> None:
        """Send sender reports: the ticks of the camera's lines are those of now, so that lips and voice agree."""
        if self.hears and self._sounds:
            packet = rtcp.sender_report(
                self.audio_ssrc,
                unix_s=unix_s,
                timestamp=sound_tick + self._sound_offset,
                packets=self._sounds,
                octets=self._sound_octets,
                cname=self.cname,
            )
            self._send_datagram(self._dtls.protect_rtcp(packet))
        if self.connected and self.packets:
            packet = rtcp.sender_report(
                self.ssrc,
                unix_s=unix_s,
                timestamp=tick + self._offset,
                packets=self.packets,
                octets=self.octets,
                cname=self.cname,
            )
            self._send_datagram(self._dtls.protect_rtcp(packet))

    async def close(self) -> None:
        """Say goodbye and free everything. Idempotent."""
        self.ended = True
        self.next_index = None
        if self._handshake is not None and not self._handshake.done():
            self._handshake.cancel()
            await asyncio.gather(self._handshake, return_exceptions=True)
        if self.connected:
            self.connected = False
            self._send_datagram(self._dtls.protect_rtcp(rtcp.goodbye(self.ssrc)))
        await self._dtls.close()

    async def _connect(self) -> None:
        failure = await self._dtls.handshake()
        if self.ended:
            return
        if failure:
            self._on_ended(self, "dtls_failed")
            return
        self._dtls.on_closed(lambda: self._on_ended(self, "viewer_left"))
        self.connected = True
        self._on_connected(self)

    def _send_datagram(self, data: bytes) -> None:
        sock = self.peer.sock
        if sock is None:
            return
        try:
            sock.sendto(data, self.peer.address)
        except OSError:
            return  # DTLS repeats itself, reports come again

    def _resend(self, wanted: list[int]) -> None:
        ring, sock = self.ring, self.peer.sock
        if ring is None or sock is None:
            return
        now = self._loop.time()
        self._resend_tokens = min(
            _RESENDS_AT_ONCE, self._resend_tokens + (now - self._resend_filled_s) * _RESENDS_PER_S
        )
        self._resend_filled_s = now
        for number in wanted:
            if self._resend_tokens < 1.0:
                return  # a viewer that loses this much is not helped by sending it twice
            # The running number nearest below the next one that ends in these 16 bits.
            sequence = self._sequence - ((self._sequence - number) & 0xFFFF or 1 << 16)
            line = next((line for line in reversed(self._lines) if line.sequence <= sequence), None)
            packet = ring.get(line.index + sequence - line.sequence) if line is not None else None
            if line is None or packet is None:
                continue
            self._resend_tokens -= 1.0
            self.resent += 1
            again = packet._replace(timestamp=line.timestamp(packet))
            self._sender.send(
                sock,
                self.peer.address,
                self._dtls.srtp,
                self._sender.prepare((again,), self._dtls.tag),
                payload_type=self._payload_type,
                sequence=sequence,
                ssrc=self.ssrc,
                offset=self._offset,
            )

    def _restart(self) -> None:
        """Answer a lost picture from the key frame at hand; the camera is not asked."""
        now = self._loop.time()
        if now - self._key_frame_given_s < _KEY_FRAME_EVERY_S or self.ring is None or self.next_index is None:
            return
        if self.ring.start() is not None:
            self.begin()
