"""One viewer of one camera: its path, its keys, its numbers, its lease."""

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hub.relay.ring import Packet, PacketRing
from hub.relay.sender import HEADER, Burst, PacketSender
from hub.relay.webrtc import rtcp
from hub.relay.webrtc.dtls import Certificate, DtlsSession, Turns
from hub.relay.webrtc.extension import Extension
from hub.relay.webrtc.ice import IcePeer
from hub.relay.webrtc.lines import Line, Lines, Look, Sort
from hub.relay.webrtc.quality import Quality
from hub.relay.webrtc.resend import NO_RTX, Resender
from hub.relay.webrtc.sdp import Agreed
from hub.relay.webrtc.twcc import SendHistory, read_report

if TYPE_CHECKING:
    from hub.relay.fanout import Fanout

_KEY_FRAME_EVERY_S = 1.0  # how often one viewer's picture loss is answered
_PATH_FEEDBACK_EVERY_S = (
    0.4  # browsers send it 20 times a second; every eighth says enough for a choice of layer
)


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
        turns: Turns,
        wanted: str = "main",
        may_hear: bool = False,
        on_connected: Callable[["Viewer"], None],
        on_ended: Callable[["Viewer", str], None],
        on_picture_lost: Callable[["Viewer"], None],
    ) -> None:
        self.viewer_id = viewer_id
        self.camera_id = camera_id
        self.agreed = agreed
        self.peer = IcePeer(agreed.video.ufrag, self)
        self.lease_until_s = lease_until_s
        self.wanted = wanted  # main | sub | auto
        self.may_hear = may_hear
        self.feed: Fanout | None = None  # the layer that it gets
        self.joining: Fanout | None = None  # and the one that it waits for
        self.moving_to = ""  # the layer that is being opened for it
        self.moving_code = ""  # and why
        self.moving_why = ""  # what `why` is going to be
        self.why = ""  # why the stream wanted does not come as the camera sends it
        self.ssrc = sender.origin.ssrc
        self.turn = secrets.randbelow(1 << 16)  # in which rounds of housekeeping it is looked at
        self.cname = secrets.token_urlsafe(9)
        self.connected = False
        self.ended = False
        self.audio_ssrc = self.ssrc ^ 0x5A5A5A5A
        self.ring: PacketRing | None = None  # of the layer, once attached
        self.next_index: int | None = None  # the next packet to send; None waits for a key frame
        self.catch_up_until = 0  # the index of the first packet that is not sent to catch up
        self.shape = (
            0,
            HEADER,
        )  # what a layout depends on: bytes of the authentication tag, bytes of the header
        self.sort: Sort | None = None  # viewers of one sort get their packets together
        self.srtp: Any = None  # libsrtp's handle for sending, while connected
        self.next_report_s = 0.0
        self.packets = self.octets = self.resent = self.skipped = 0
        self.feedback = rtcp.Feedback()
        self._loop = asyncio.get_running_loop()
        self._born_s = self._loop.time()
        self.quality = Quality(self._born_s)
        self._sender = sender
        self._sequence = 0
        self._offset = sender.origin.offset
        self._payload_type = agreed.payload_type
        self.sounds = 0  # packets of sound
        self._sound_octets = 0
        self._sound_first = secrets.randbelow(1 << 15)
        self._sound_offset = secrets.randbelow(1 << 31)
        self._sound_tick = 0
        self._lines = Lines()
        self._moved = 0  # what is added to the ticks, or the ordinals, of the packets that it gets now
        self._sent_tick = 0  # newest tick sent, on the time line of all layers
        self._resender = Resender(
            ssrc=self.ssrc ^ 0x33333333,
            payload_type=agreed.rtx_payload_type,
            first=secrets.randbelow(1 << 15),
            now_s=self._born_s,
        )
        self._delay_told = not agreed.playout_delay
        self._extension = Extension.of(agreed.transport_wide, agreed.playout_delay)
        self._history = SendHistory() if agreed.transport_wide else None
        self._path_read_s = 0.0
        self._key_frame_given_s = 0.0
        self._on_connected = on_connected
        self._on_ended = on_ended
        self._on_picture_lost = on_picture_lost
        self._dtls = DtlsSession(
            certificate, agreed.video.fingerprints, role=agreed.our_role, turns=turns, owner=self
        )

    @property
    def age_s(self) -> float:
        """Return the seconds since the offer came."""
        return self._loop.time() - self._born_s

    @property
    def silent_s(self) -> float:
        """Return the seconds since the viewer last proved that it wants to receive."""
        return self._loop.time() - max(self.peer.last_check_s, self._born_s)

    @property
    def rtx_ssrc(self) -> int:
        """Return the source of retransmissions, 0 where none were agreed."""
        return self._resender.ssrc if self._resender.payload_type != NO_RTX else 0

    # What the port hears (ice.Heard)

    def checked(self) -> None:
        """Begin the handshake at the first check: until then a viewer costs no TLS state."""
        self._dtls.begin()

    def dtls(self, data: bytes) -> None:
        """Hand a DTLS record on."""
        self._dtls.feed(data)

    def rtcp(self, data: bytes) -> None:
        """Read reports, resend what is missing, restart a decoder that lost its picture."""
        if not self.connected or len(data) < 8 or not 192 <= data[1] <= 223:  # RFC 5761 4: the rest is RTP
            return
        now = self._loop.time()
        if rtcp.is_path_feedback(data):
            if self.wanted != "auto" or now - self._path_read_s < _PATH_FEEDBACK_EVERY_S:
                return  # not even decrypted
            self._path_read_s = now
        plain = self._dtls.unprotect_rtcp(data)
        if plain is None:
            return
        said = rtcp.read_feedback(plain, self.ssrc)
        if said.fraction_lost is not None:
            self.feedback = said
            self.quality.reported_loss(said.fraction_lost / 256, now)
            self._tell_delay_no_more()
        if said.estimate_bps is not None and self.feed is not None:
            self.quality.reported_estimate(said.estimate_bps, self.feed.bits_per_s, now)
        if said.path is not None:
            self._read_path(said.path, now)
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
        start = self.ring.start() if self.ring is not None else None
        if not self.packets and start is not None:
            self._sequence = self._sender.origin.first(start)
            self._lines = Lines()
            if self._history is not None:
                self._history.next = self._sequence
        line = None if self.ring is None else Line.beginning(self.ring, self._sequence, self._sent_tick)
        if line is None:
            self.next_index = self.sort = None
            return
        self._lines.add(line)
        self.next_index, self.catch_up_until = line.index, line.until_index
        self._key_frame_given_s = self._loop.time()
        self._settle()

    def catching_up(self, packet: Packet) -> bool:
        """Tell whether this packet still belongs to the run that brings the viewer up to date."""
        line = self._lines.last
        return line is not None and packet.picture <= line.until

    def send(self, count: int, last: Packet, bursts: list[Burst], *, squeezed: bool) -> bool:
        """Send the next `count` packets of the ring, laid out in `bursts` for this viewer's shape.

        `squeezed`: they are sent to catch up, and stand there with the ordinal of their picture for a stamp. Returns False
        where the path did not take them all.

        Raises:
            SendFailed: the keys do not serve any more.
        """
        path, line = self.peer.sock, self._lines.last
        if path is None or line is None or not self.connected or self.next_index is None:
            return True
        moved = line.squeeze if squeezed else line.shift
        history = self._history
        sent, size = self._sender.send(
            path,
            self.peer.address,
            self._dtls.srtp,
            bursts,
            payload_type=self._payload_type,
            sequence=self._sequence,
            ssrc=self.ssrc,
            offset=self._offset + moved,
            extension=self._extension,
            number=0 if history is None else history.next,
        )
        if sent:
            tick = (last.picture if squeezed else last.timestamp) + moved
            self._sent_tick = tick if sent == count else max(self._sent_tick, self._tick_of(sent))
            if history is not None:
                history.sent(sent, self._loop.time())
            self._sequence += sent
            self.next_index += sent
            if squeezed and self.next_index >= self.catch_up_until:
                self._settle()
            self.packets += sent
            self.octets += size
        return sent == count

    def took(self, stop: int, octets: int, tick: int, now_s: float) -> None:
        """Note that the packets of the ring before `stop` were sent in the way of its sort, the last one with `tick`: its tick
        in the ring, or while the viewer catches up its picture's ordinal."""
        history, count = self._history, stop - (self.next_index or 0)
        self._sent_tick = tick + self._moved
        if history is not None:
            history.sent(count, now_s)
        self._sequence += count
        before, self.next_index = self.next_index or 0, stop
        if before < self.catch_up_until <= stop:
            self._settle()
        self.packets += count
        self.octets += octets

    def _settle(self) -> None:
        """Find what the headers of this viewer depend on from here on."""
        line, index, history = self._lines.last, self.next_index, self._history
        if line is None or index is None or not self.connected:
            self.sort = None
            return
        self._moved = line.squeeze if index < self.catch_up_until else line.shift
        look = Look(
            self._payload_type,
            self.ssrc,
            (self._sequence - index) & 0xFFFF,
            0 if history is None else (history.next - index) & 0xFFFF,
            self._offset + self._moved,
            self._extension,
        )
        self.sort = self._sender.sorts.of(look, self._dtls.tag)

    def _tick_of(self, sent: int) -> int:
        """Return the tick of the last of the next `sent` packets of the ring."""
        line, ring = self._lines.last, self.ring
        packet = ring.get((self.next_index or 0) + sent - 1) if ring is not None else None
        return line.timestamp(packet) if line is not None and packet is not None else 0

    @property
    def hears(self) -> bool:
        """Tell whether sound was agreed with this viewer, and it plays."""
        return self.agreed.audio is not None and self.connected and self.packets > 0

    def send_sound(self, payload: bytes, tick: int) -> None:
        """Send one packet of sound.

        Raises:
            SendFailed: the keys do not serve any more.
        """
        path = self.peer.sock
        if path is None:
            return
        tick = max(tick, self._sound_tick + 1)  # the line of another layer may lie a little behind
        packet = Packet(payload, 0 if self.sounds else 0x80, tick, 0)  # RFC 3551 4.1: a talkspurt begins
        sent, size = self._sender.send(
            path,
            self.peer.address,
            self._dtls.srtp,
            self._sender.prepare((packet,), self._dtls.tag),
            payload_type=self.agreed.audio_payload_type,
            sequence=self._sound_first + self.sounds,
            ssrc=self.audio_ssrc,
            offset=self._sound_offset,
        )
        if sent:
            self._sound_tick = tick
            self.sounds += 1
            self._sound_octets += size

    def report(self, unix_s: float, tick: int, sound_tick: int) -> None:
        """Send sender reports: the ticks of the layer's lines are those of now, so that lips and voice agree."""
        if self.hears and self.sounds:
            packet = rtcp.sender_report(
                self.audio_ssrc,
                unix_s=unix_s,
                timestamp=sound_tick + self._sound_offset,
                packets=self.sounds,
                octets=self._sound_octets,
                cname=self.cname,
            )
            self.send_datagram(self._dtls.protect_rtcp(packet))
        line = self._lines.last
        if self.connected and self.packets and line is not None:
            packet = rtcp.sender_report(
                self.ssrc,
                unix_s=unix_s,
                timestamp=tick + self._offset + line.shift,
                packets=self.packets,
                octets=self.octets,
                cname=self.cname,
            )
            self.send_datagram(self._dtls.protect_rtcp(packet))

    def close(self) -> None:
        """Say goodbye and free everything. Idempotent."""
        self.ended = True
        self.next_index = self.sort = self.srtp = None
        if self.connected:
            self.connected = False
            self.send_datagram(self._dtls.protect_rtcp(rtcp.goodbye(self.ssrc)))
        self._dtls.close()

    # What its association tells (dtls.Secured)

    def secured(self) -> None:
        """Begin to receive."""
        if self.ended:
            return
        self.connected = True
        self.srtp = self._dtls.srtp
        self._reshape()
        self._on_connected(self)

    def unsecured(self, *, left: bool) -> None:
        """End."""
        self.connected = False
        self._on_ended(self, "viewer_left" if left else "dtls_failed")

    def send_datagram(self, data: bytes) -> None:
        """Send over the path in use."""
        path = self.peer.sock
        if path is None:
            return
        try:
            path.sendto(data, self.peer.address)
        except OSError:
            return  # DTLS repeats itself, reports come again

    def _read_path(self, body: bytes, now_s: float) -> None:
        """Take what transport-wide feedback says about loss and delay."""
        if self._history is None:
            return
        try:
            seen = self._history.seen(read_report(body))
        except ValueError:
            return  # authenticated, but not well-formed: it says nothing
        if seen is not None:
            self.quality.reported_path(seen.lost, seen.received, seen.delay_s, now_s)

    def _tell_delay_no_more(self) -> None:
        """Leave the playout delay out from now on: a report proves that packets with it have come."""
        if not self._delay_told and self.packets:
            self._delay_told = True
            self._extension = Extension.of(self.agreed.transport_wide, 0)
            self._reshape()

    def _reshape(self) -> None:
        self.shape = (self._dtls.tag, HEADER + self._extension.size)
        self._settle()

    def _resend(self, numbers: list[int]) -> None:
        path = self.peer.sock
        if path is None:
            return
        now = self._loop.time()
        resender, history = self._resender, self._history
        separate = resender.payload_type != NO_RTX
        for sequence, packet in resender.wanted(numbers, self._lines, self._sequence, now):
            sent, _size = self._sender.send(
                path,
                self.peer.address,
                self._dtls.srtp,
                self._sender.prepare((packet,), *self.shape),
                payload_type=resender.payload_type if separate else self._payload_type,
                sequence=resender.sequence if separate else sequence,
                ssrc=resender.ssrc if separate else self.ssrc,
                offset=self._offset,
                extension=self._extension,
                number=0 if history is None else history.next,
            )
            if not sent:
                return
            if history is not None:
                history.sent(1, now)
                self._settle()
            resender.sequence += separate
            self.resent += 1

    def _restart(self) -> None:
        """Answer a lost picture from the key frame at hand, once a second; where there is none, ask for one."""
        now = self._loop.time()
        if now - self._key_frame_given_s < _KEY_FRAME_EVERY_S or self.ring is None or self.next_index is None:
            return
        if self.ring.start() is not None:
            self.begin()
        else:
            self._on_picture_lost(self)
