"""Cameras and encoders that push (WHIP, RFC 9725): received on the same port, read like any stream that is pulled.

A pusher is to the relay what a camera is: its packets become access units by the adapters' depacketisers, and a pull opens
it as a `MediaSource`. The difference is who begins: where nobody pushes there is nothing to be opened, and that is said.
"""

import asyncio
import secrets
import struct
from collections.abc import Callable
from typing import Final

from adapters.clock import Clock
from adapters.errors import NotPushed
from adapters.port import AccessUnit, CodedSample, PushSeen, Track
from adapters.rtsp.depacketize import depacketizer_for
from adapters.rtsp.measure import CODEC_NAMES, Measurement, Missing
from adapters.rtsp.policy import DEFAULT
from adapters.rtsp.receiver import TrackReceiver
from adapters.rtsp.sampling import Sampler
from adapters.rtsp.timeline import Reorder
from adapters.rtsp.tolerance import Tolerances
from hub.relay.webrtc import rtcp
from hub.relay.webrtc.arrivals import Arrivals, transport_wide_number
from hub.relay.webrtc.dtls import Certificate, DtlsSession, Turns
from hub.relay.webrtc.ice import IcePeer
from hub.relay.webrtc.push_limits import Allowance, Meter
from hub.relay.webrtc.push_repair import Gaps, brought_again
from hub.relay.webrtc.push_sdp import Pushed, Taken

_NUMBER_AND_SOURCE: Final = struct.Struct("!H4xI")
_REPORT_EVERY_S: Final = 1.0
_GIVEN_UP_S: Final = 0.3  # then the pictures behind it go on without a packet
_HELD: Final = (
    1024  # packets behind one that is missing: a key frame comes at once, faster than what was lost of it
)
_KEY_FRAME_EVERY_S: Final = 0.5
SILENT_AFTER_S: Final = 5.0  # without a picture
DEAD_AFTER_S: Final = 2.0  # without a packet: who comes again with the same token is believed
_FIRST_PICTURE_S: Final = 10.0  # a busy encoder may take its time; rule STR-11 judges how long it took
_STEP_S: Final = 0.05


class Pusher:
    """One encoder that pushes one camera. Times are event loop seconds."""

    def __init__(
        self,
        push_id: str,
        camera_id: str,
        taken: Pushed,
        *,
        by: str,
        allowance: Allowance,
        certificate: Certificate,
        turns: Turns,
        clock: Clock,
        on_live: Callable[["Pusher", bool], None],
        on_ended: Callable[["Pusher", str], None],
    ) -> None:
        self.push_id = push_id
        self.camera_id = camera_id
        self.taken = taken
        self.by = by
        self.live = False  # pictures come, as was told
        self.peer = IcePeer(taken.video.line.ufrag, self)
        self.connected = self.ended = False
        self.packets = self.forged = self.nacked = 0
        self.tolerances = Tolerances()
        self.ssrc = secrets.randbelow(0xFFFFFFFE) + 1  # of our reports
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._born_s = self._packet_s = self._picture_s = self._loop.time()
        self._meter = Meter(allowance, self._born_s)
        self._measuring = asyncio.Lock()
        self._also: Callable[[AccessUnit], None] | None = None  # who measures
        self._next_report_s = 0.0
        self._key_frame_s = 0.0
        self._missing = Gaps()
        self._broken = False  # the pictures that come cannot be read before the next key frame
        self._arrivals = Arrivals()
        self._video_ssrc = 0
        self._sink: Callable[[AccessUnit], None] | None = None
        self._over = asyncio.Event()
        self._receivers = {one.payload_type: self._receiver(one) for one in self._all()}
        self._on_live = on_live
        self._on_ended = on_ended
        self._dtls = DtlsSession(
            certificate, taken.video.line.fingerprints, role=taken.our_role, turns=turns, owner=self
        )

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return what it pushes."""
        return tuple(one.track for one in self._all())

    @property
    def age_s(self) -> float:
        """Return the seconds since its offer came."""
        return self._loop.time() - self._born_s

    @property
    def silent_s(self) -> float:
        """Return the seconds since it last proved that it is there (RFC 7675)."""
        return self._loop.time() - max(self.peer.last_check_s, self._born_s)

    @property
    def dead(self) -> bool:
        """Tell whether nothing has come for so long that the same encoder may come again by another connection."""
        return self._loop.time() - self._packet_s > DEAD_AFTER_S

    @property
    def dropped(self) -> int:
        """Return how many packets were more than is allowed."""
        return self._meter.dropped

    # What the port hears (ice.Heard)

    def checked(self) -> None:
        """Begin the handshake at the first check."""
        self._dtls.begin()

    def dtls(self, data: bytes) -> None:
        """Hand a DTLS record on."""
        self._dtls.feed(data)

    def rtcp(self, data: bytes) -> None:
        """Take one SRTP or SRTCP packet (RFC 5761 4 parts them by the second byte)."""
        if not self.connected or len(data) < 12:
            return
        now_s = self._loop.time()
        if not self._meter.packet(len(data), now_s):
            return
        if 192 <= data[1] <= 223:
            self._report(data)
            return
        plain: bytes | None = self._dtls.unprotect(data)
        if plain is None:
            self.forged += 1
            return
        self.packets += 1
        self._packet_s = now_s
        if self.taken.transport_wide:
            number = transport_wide_number(plain, self.taken.transport_wide)
            if number is not None:
                self._arrivals.came(number, now_s)
        kind = plain[1] & 0x7F
        if kind == self.taken.rtx_payload_type:
            kind = self.taken.video.payload_type
            plain = brought_again(plain, kind, self._video_ssrc)
        receiver = self._receivers.get(kind)
        if receiver is None or plain is None:
            return
        if receiver.track.index == 0:
            sequence, self._video_ssrc = _NUMBER_AND_SOURCE.unpack_from(plain, 2)
            before = self._missing.outages
            self._missing.came(sequence)
            if self._missing.outages != before:
                self.ask_key_frame()
            self._ask_missing()
        receiver.rtp(plain, self._clock.monotonic())

    # What a source does

    def attach(self, sink: Callable[[AccessUnit], None]) -> None:
        """Give access units to `sink` from now on; before, and after `detach`, they are dropped."""
        self._sink = sink

    def detach(self) -> None:
        """Give them to nobody."""
        self._sink = None

    async def over(self) -> None:
        """Wait until it pushes no more."""
        await self._over.wait()

    def ask_key_frame(self) -> None:
        """Ask the encoder for a key frame, at most twice a second."""
        now = self._loop.time()
        video = self._receivers[self.taken.video.payload_type]
        if self.connected and now - self._key_frame_s >= _KEY_FRAME_EVERY_S:
            asked = video.picture_loss(self._clock.monotonic())
            if asked:
                self._key_frame_s = now
                self.send_datagram(self._dtls.protect_rtcp(asked))

    def _repair(self) -> None:
        """Ask for a key frame where somebody takes the pictures: an encoder of a browser sends none by itself."""
        if self._sink is not None or self._also is not None:
            self.ask_key_frame()

    def keep_house(self, now_s: float) -> None:
        """Report what came and what is missing; end who sends too much (called ten times a second)."""
        if not self.connected:
            return
        if self._meter.trouble:
            self._on_ended(self, self._meter.trouble)
            return
        if self.live and now_s - self._picture_s > SILENT_AFTER_S:
            self.live = False
            self._on_live(self, False)
        self._ask_missing()
        for told in self._arrivals.feedback(self.ssrc, self._video_ssrc):
            self.send_datagram(self._dtls.protect_rtcp(rtcp.nothing_received(self.ssrc) + told))
        if self._next_report_s <= now_s:
            self._next_report_s = now_s + _REPORT_EVERY_S
            for receiver in self._receivers.values():
                self.send_datagram(self._dtls.protect_rtcp(receiver.report(self._clock.monotonic())))

    async def measure(self, *, window_s: float, samples: int, within_s: float) -> PushSeen:
        """Measure what is pushed: to the first picture, then for `window_s`; keep up to `samples` coded pictures.

        Raises:
            NotPushed: it left meanwhile, or sends no picture.
        """
        ends_s = self._loop.time() + within_s
        video = self.taken.video
        receiver, codec = (
            self._receivers[video.payload_type],
            CODEC_NAMES.get(video.track.codec, video.track.codec),
        )
        async with self._measuring:
            sampler = Sampler(codec, video.track.parameter_sets, wanted=samples)
            measured = Measurement(
                codec,
                video.track.clock_rate_hz,
                video.track.parameter_sets,
                wall=self._clock.now(),
                now_s=self._clock.monotonic(),
            )

            def take(unit: AccessUnit) -> None:
                measured.unit(unit)
                sampler.unit(unit)

            receiver.observer, self._also = measured, take
            try:
                limit_s = min(ends_s, self._loop.time() + _FIRST_PICTURE_S)
                while not measured.decodable:
                    self._must_go_on(limit_s)
                    self.ask_key_frame()
                    await asyncio.sleep(_STEP_S)
                spare_s = ends_s - self._loop.time()
                if 0 < window_s <= spare_s:
                    begun_s = self._clock.monotonic()
                    sampler.begin(begun_s, window_s)
                    measured.begin_window(begun_s)
                    until_s = self._loop.time() + window_s
                    while self._loop.time() < until_s:
                        self._must_go_on(ends_s)
                        await asyncio.sleep(min(_STEP_S, window_s))
                    measured.end_window(self._clock.monotonic())
            finally:
                receiver.observer, self._also = None, None
            return _seen(codec, self.taken, measured, sampler.sample)

    def _must_go_on(self, until_s: float) -> None:
        """Raise `NotPushed` where it left, or no picture came in time."""
        if self.ended or self._loop.time() > until_s:
            raise not_pushed(self.camera_id)

    def close(self) -> None:
        """Say goodbye and free everything. Idempotent."""
        self.ended = True
        self._over.set()
        if self.connected:
            self.connected = False
            self.send_datagram(self._dtls.protect_rtcp(rtcp.goodbye(self.ssrc)))
        self._dtls.close()

    def _all(self) -> tuple[Taken, ...]:
        return (self.taken.video,) if self.taken.audio is None else (self.taken.video, self.taken.audio)

    def _receiver(self, one: Taken) -> TrackReceiver:
        depacketizer = depacketizer_for(
            one.track.codec,
            one.track.index,
            self.tolerances,
            parameters=one.parameters,
            clock_rate_hz=one.track.clock_rate_hz,
        )
        return TrackReceiver(
            one.track,
            one.payload_type,
            depacketizer,
            self._deliver,
            tolerances=self.tolerances,
            policies=DEFAULT,
            ordered=False,
            ssrc=None,
            own_ssrc=self.ssrc,
            reorder=Reorder(_HELD, _GIVEN_UP_S),
        )

    def _deliver(self, unit: AccessUnit) -> None:
        if unit.track == 0 and not self.ended:
            self._meter.picture()
            self._picture_s = self._loop.time()
            if not self.live:
                self.live = True
                self._on_live(self, True)
            if unit.key_frame:
                self._broken = unit.lost_inside > 0
            elif unit.lost_packets:
                self._broken = True
            if self._broken:
                self._repair()
            if self._also is not None:
                self._also(unit)
        if self._sink is not None and not self.ended:
            self._sink(unit)

    def _report(self, data: bytes) -> None:
        plain = self._dtls.unprotect_rtcp(data)
        if plain is None:
            self.forged += 1
            return
        if rtcp.read_feedback(plain, self.ssrc).bye:
            self._on_ended(self, "pusher_left")
            return
        now = self._clock.monotonic()
        source = struct.unpack_from("!I", plain, 4)[0]
        for receiver in self._receivers.values():
            if receiver.source == source:  # tracks share the transport: a report is of one of them
                receiver.rtcp(plain, now)

    def _ask_missing(self) -> None:
        wanted = self._missing.wanted(self._loop.time())
        if wanted:
            self.nacked += len(wanted)
            # Behind an empty report: one that counts would be of a few packets, and seem to lose a third of them.
            asked = rtcp.nothing_received(self.ssrc) + rtcp.nack(self.ssrc, self._video_ssrc, wanted)
            self.send_datagram(self._dtls.protect_rtcp(asked))

    # What its association tells (dtls.Secured)

    def secured(self) -> None:
        """Begin to take what comes."""
        self.connected = not self.ended

    def unsecured(self, *, left: bool) -> None:
        """End."""
        self.connected = False
        self._on_ended(self, "pusher_left" if left else "dtls_failed")

    def send_datagram(self, data: bytes) -> None:
        """Send over the path in use."""
        path = self.peer.sock
        if path is None:
            return
        try:
            path.sendto(data, self.peer.address)
        except OSError:
            return  # DTLS repeats itself, reports come again


class PushedSource:
    """A `MediaSource` over a pusher."""

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return what is pushed and was taken."""
        return self._pusher.tracks

    async def run(self, sink: Callable[[AccessUnit], None]) -> None:
        """Deliver access units until the pusher leaves; it is asked for a key frame first, as it began long ago.

        Raises:
            NotPushed: it left.
        """
        self._pusher.attach(sink)
        self._pusher.ask_key_frame()
        try:
            await self._pusher.over()
        finally:
            self._pusher.detach()
        raise not_pushed(self._pusher.camera_id)

    async def key_frame(self) -> None:
        """Ask the encoder for a key frame."""
        self._pusher.ask_key_frame()

    async def aclose(self) -> None:
        """Take nothing more; the encoder goes on pushing."""
        self._pusher.detach()


def _seen(codec: str, taken: Pushed, measured: Measurement, sample: CodedSample | None) -> PushSeen:
    told = {**measured.format_facts(), **measured.window_facts()}
    return PushSeen(
        codec=codec,
        audio_codecs=() if taken.audio is None else (taken.audio.track.codec,),
        facts={name: value for name, value in told.items() if not isinstance(value, Missing)},
        missing={name: (one.reason, one.detail) for name, one in told.items() if isinstance(one, Missing)},
        sample=sample,
    )


def not_pushed(camera_id: str) -> NotPushed:
    """Return the error for a camera that nobody pushes."""
    return NotPushed(
        "no encoder pushes this camera's stream now",
        peer=camera_id,
        operation="open",
        hint="Start the encoder, or see whether its token was revoked",
    )
