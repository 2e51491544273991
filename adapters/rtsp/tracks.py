"""The tracks of one session: set up, fed by the connection or by UDP, reported on."""

import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from adapters.deadline import Deadline
from adapters.errors import AdapterError
from adapters.port import AccessUnit, ProbeContext, Track
from adapters.rtsp.audio import parse_audio_config
from adapters.rtsp.connection import Connection, our_fault, remote_error
from adapters.rtsp.depacketize import depacketizer_for
from adapters.rtsp.message import DOLLAR
from adapters.rtsp.policy import Policies
from adapters.rtsp.receiver import TrackReceiver
from adapters.rtsp.sdp import Media, parameter_sets
from adapters.rtsp.session import Session, SetUp, State
from adapters.rtsp.tolerance import Tolerance, Violation
from adapters.rtsp.udp import DatagramReceiver, punch_packet
from adapters.wire.tap import TappedTrack


@dataclass(slots=True)
class OpenTrack:
    """A track that was set up, with what receives it."""

    track: Track
    media: Media
    receiver: TrackReceiver
    channels: tuple[int, int] | None  # None over UDP
    sockets: tuple[DatagramReceiver, ...] = ()


def _ignore_failure(_error: AdapterError) -> None:
    """Take no notice of what a datagram does after the end."""


class Tracks:
    """Tracks by channel and by socket."""

    def __init__(
        self,
        context: ProbeContext,
        policies: Policies,
        session: Session,
        tapped: int,
        *,
        on_failed: Callable[[AdapterError], None],
    ) -> None:
        """Prepare; `tapped` is the session's number for a capture, `on_failed` hears of a datagram that broke us."""
        self.opened: list[OpenTrack] = []
        self._context = context
        self._policies = policies
        self._session = session
        self._tolerances = session.tolerances
        self._tapped = tapped
        self._on_failed = on_failed
        self._peer = session.enrolled.authority
        self._address = ""  # of the camera, as dialled
        self._local_address = ""
        self._by_channel: dict[int, Callable[[Sequence[bytes], float], None]] = {}
        self._readers: dict[
            int, Callable[[bytes, int, float], int]
        ] = {}  # by channel, where nobody listens in
        self._sockets: list[DatagramReceiver] = []

    def between(self, address: str, local_address: str) -> None:
        """Take the two ends of the session's connection: media go between them too."""
        self._address, self._local_address = address, local_address

    @property
    def over_udp(self) -> bool:
        """Tell whether media are due over UDP."""
        return any(track.sockets for track in self.opened)

    @property
    def received(self) -> int:
        """Return how many RTP datagrams came."""
        return sum(track.sockets[0].received for track in self.opened if track.sockets)

    async def bind(self, host: str, deadline: Deadline) -> tuple[tuple[DatagramReceiver, ...], int]:
        """Open a pair of UDP sockets and return it with the even port.

        Raises:
            AddressRefused, Unreachable: as the dialer says.
        """
        made: list[DatagramReceiver] = []

        def receiver() -> DatagramReceiver:
            made.append(DatagramReceiver(self._address, self._tolerances))
            return made[-1]

        # An odd port makes the dialer try again: the pair in use is the last one of each kind.
        rtp, rtcp, port = await self._context.dialer.udp_pair(
            host, deadline, receiver, rtcp_factory=receiver, local_address=self._local_address
        )
        pair = tuple(next(item for item in made if item.transport is transport) for transport in (rtp, rtcp))
        self._sockets.extend(pair)
        return pair, port

    def open(
        self, agreed: SetUp, deliver: Callable[[AccessUnit], None], sockets: tuple[DatagramReceiver, ...]
    ) -> OpenTrack:
        """Receive a track that the camera agreed to send, inside the connection or over `sockets`.

        Raises:
            RemoteProtocolError: the policy refuses a deviation.
        """
        media, index = agreed.media, len(self.opened)
        try:
            sets = parameter_sets(media, self._tolerances)
            track = Track(
                index,
                media.kind,
                media.codec,
                media.clock_rate_hz or 90000,
                sets,
                media.channels,
                _configuration(media),
            )
            ports = agreed.transport.server_ports
            if sockets and (ports is None or 0 in ports):
                self._tolerances.note(Tolerance.SERVER_PORT_MISSING)
                ports = None
        except Violation as violation:
            raise remote_error(violation, peer=self._peer, operation="RTSP SETUP") from violation
        depacketizer = depacketizer_for(
            media.codec,
            index,
            self._tolerances,
            size=_claimed_size(media),
            parameters=media.format_parameters,
            clock_rate_hz=track.clock_rate_hz,
        )
        receiver = TrackReceiver(
            track,
            media.payload_type,
            depacketizer,
            deliver,
            tolerances=self._tolerances,
            policies=self._policies,
            ordered=agreed.channels is not None,
            ssrc=agreed.transport.ssrc,
            own_ssrc=secrets.randbits(32),
        )
        takers = self._to_receiver(receiver, control=False), self._to_receiver(receiver, control=True)
        if agreed.channels is not None:
            self._by_channel.update(zip(agreed.channels, takers, strict=True))
            if self._context.tap is None:
                rtp, rtcp = agreed.channels
                self._readers[rtp] = partial(receiver.frames, DOLLAR << 8 | rtp)
                self._readers[rtcp] = partial(_reports, receiver)
        elif sockets:
            for used, take, port in zip(sockets, takers, ports or (None, None), strict=True):
                used.expect(port)
                used.deliver_to(self._datagrams(take))
        opened = OpenTrack(track, media, receiver, agreed.channels, sockets)
        self.opened.append(opened)
        return opened

    def take_frames(self, data: bytes, position: int) -> int:
        """Take whole frames of the tracks from `position` of what was read on (called for every read: the hot path).

        Returns where something else stands: a message, a frame that is not whole or belongs to no track.
        """
        if self._session.state is not State.PLAYING:
            return position
        end, now_s, readers = len(data), self._context.clock.monotonic(), self._readers
        while position + 4 <= end and data[position] == DOLLAR:
            read = readers.get(data[position + 1])
            stop = read(data, position, now_s) if read is not None else position
            if stop == position:
                break
            position = stop
        return position

    def frames(self, channel: int, run: Sequence[bytes]) -> None:
        """Take interleaved frames of one channel that came together."""
        take = self._by_channel.get(channel)
        if take is None:
            self._tolerances.note(Tolerance.UNASSIGNED_CHANNEL, len(run))
            return
        if self._session.state is State.READY:
            self._tolerances.note(Tolerance.DATA_BEFORE_PLAY, len(run))
        take(run, self._context.clock.monotonic())

    def punch(self) -> None:
        """Let firewalls and NATs on the way know that media are due from the camera's ports (quirk 31)."""
        if not self._policies.punch:
            return
        for track in self.opened:
            for index, used in enumerate(track.sockets):
                report = track.receiver.report(self._context.clock.monotonic())
                used.punch(self._address, report if index else punch_packet(secrets.randbits(32)))

    def report(self, connection: Connection) -> None:
        """Send one RTCP receiver report per track."""
        for track in self.opened:
            self._control(track, connection, track.receiver.report(self._context.clock.monotonic()))

    def ask_key_frame(self, connection: Connection) -> bool:
        """Ask for a key frame on the RTCP channel of the video; False where the camera did not say that it may be asked."""
        for track in self.opened:
            if track.track.kind == "video" and track.media.takes_picture_loss:
                data = track.receiver.picture_loss(self._context.clock.monotonic())
                if data:
                    self._control(track, connection, data)
                return True
        return False

    def _control(self, track: OpenTrack, connection: Connection, data: bytes) -> None:
        if track.sockets:
            track.sockets[1].send(data, self._address)
        elif track.channels is not None:
            connection.send_frame(track.channels[1], data)

    def close(self) -> None:
        """Close the sockets, and let go of those who listened. Idempotent."""
        for used in self._sockets:
            used.close()
        self._sockets = []
        self._by_channel, self._readers = {}, {}
        self._on_failed = _ignore_failure

    def _datagrams(self, take: Callable[[Sequence[bytes], float], None]) -> Callable[[bytes], None]:
        """Return a datagram handler that turns our own faults into the end of this one session."""

        def handle(data: bytes) -> None:
            try:
                take((data,), self._context.clock.monotonic())
            except Violation as violation:
                self._on_failed(remote_error(violation, peer=self._peer, operation="RTP"))
            except AdapterError as error:
                self._on_failed(error)
            except Exception as error:  # noqa: BLE001  a parser's bug costs this camera's session, never the process
                self._on_failed(our_fault(self._peer, "RTP", error))

        return handle

    def _to_receiver(
        self, receiver: TrackReceiver, *, control: bool
    ) -> Callable[[Sequence[bytes], float], None]:
        """Return what takes the packets of a track; past the tap where a capture listens."""
        take = receiver.reports if control else receiver.packets
        tap = self._context.tap
        if tap is None:
            return take
        track = receiver.track
        tapped = TappedTrack(self._tapped, track.index, track.kind, track.codec)

        def taken(run: Sequence[bytes], now_s: float) -> None:
            for data in run:
                tap.packet(tapped, data, now_s, control=control)
                take((data,), now_s)

        return taken


def _reports(receiver: TrackReceiver, data: bytes, position: int, now_s: float) -> int:
    """Take one frame of RTCP; return where it stops, `position` where it is not whole."""
    stop = position + 4 + (data[position + 2] << 8 | data[position + 3])
    if stop > len(data):
        return position
    receiver.reports((data[position + 4 : stop],), now_s)
    return stop


def _configuration(media: Media) -> bytes:
    """Return the AudioSpecificConfig that the SDP tells of AAC; empty where it tells none that can be read."""
    if media.codec != "MPEG4-GENERIC":
        return b""
    try:
        told = bytes.fromhex(media.format_parameters.get("config", "")[:128])
        parse_audio_config(told)
    except ValueError:
        return b""
    return told


def _claimed_size(media: Media) -> tuple[int, int]:
    """Return the size that the SDP claims (``a=x-dimensions:1920,1080``), 0 where it says none."""
    parts = media.attributes.get("x-dimensions", "").split(",")
    with contextlib.suppress(ValueError):
        width, height = (int(part.strip()[:5]) for part in parts)
        if 0 < width <= 16_384 and 0 < height <= 16_384:
            return width, height
    return 0, 0
