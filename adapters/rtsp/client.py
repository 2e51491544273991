"""The asyncio client: a thin shell around `Session`. Sockets come from the guarded dialer only."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    BadTarget,
    CameraFault,
    LocalProtocolError,
    PermissionDenied,
    RemoteProtocolError,
    TimedOut,
    Unsupported,
)
from adapters.port import AccessUnit, ProbeContext, Track
from adapters.rtsp.connection import Connection, our_fault, remote_error
from adapters.rtsp.depacketize import depacketizer_for
from adapters.rtsp.message import Request, Response
from adapters.rtsp.policy import DEFAULT, Policies, TransportPolicy
from adapters.rtsp.receiver import TrackReceiver
from adapters.rtsp.sdp import Media, SessionDescription, parameter_sets
from adapters.rtsp.session import Challenged, Login, Session, SetUp, State
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation
from adapters.rtsp.udp import DatagramReceiver, punch_packet
from adapters.secret import Credential
from adapters.target import Target, parse_target
from adapters.wire.digest import DigestAuth, choose
from adapters.wire.gate import device_key
from adapters.wire.tap import Heard, TappedTrack
from standards.reason import Reason

MAX_REDIRECTS = 2
SETTLE_S = (
    0.02  # between a challenge and the attempt: a camera that closes behind its 401 has done so by then
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, for provenance. Holds no header of ours and so no credential."""

    operation: str
    status: int
    started_s: float  # monotonic
    duration_s: float
    response: Response


@dataclass(slots=True)
class OpenTrack:
    """A track that was set up, with what receives it."""

    track: Track
    media: Media
    receiver: TrackReceiver
    channels: tuple[int, int] | None  # None over UDP
    sockets: tuple[DatagramReceiver, ...] = ()


class RtspClient:
    """One session with one camera. Used once: connect, options, describe, setup, play, close."""

    def __init__(
        self,
        target: Target,
        credential: Credential | None,
        context: ProbeContext,
        *,
        policies: Policies = DEFAULT,
        login: DigestAuth | None = None,
        on_lost: Callable[[AdapterError], None] = lambda _error: None,
    ) -> None:
        """Prepare. `login` is the authorisation that an earlier session of the same action got accepted."""
        self.target = target
        self.context = context
        self.policies = policies
        self.tolerances = Tolerances(policies.refuse)
        self.session = Session(target, self.tolerances, user_agent=policies.user_agent)
        if login is not None:
            self.session.carry_over(login)
        self.tracks: list[OpenTrack] = []
        self.exchanges: list[Exchange] = []
        self.anonymous_describe: Response | None = None  # the answer to DESCRIBE without credential
        self.scheme = ""
        self._credential = credential
        self._on_lost = on_lost
        self._connection: Connection | None = None
        self._address = ""  # of the camera, as dialled
        self._local_address = ""
        self._by_channel: dict[int, Callable[[bytes, float], None]] = {}
        self._sockets: list[DatagramReceiver] = []
        self._redirects = 0
        self._lost: AdapterError | None = None
        self._tapped = context.tap.session() if context.tap is not None else 0

    @property
    def peer(self) -> str:
        """Return host:port as enrolled."""
        return self.target.authority

    @property
    def connected(self) -> bool:
        """Tell whether requests can be sent."""
        return self._connection is not None and not self._connection.closed

    @property
    def failure(self) -> AdapterError | None:
        """Return why the connection is gone, if it is."""
        return self._lost or (self._connection.failure if self._connection is not None else None)

    # phases

    async def connect(self, deadline: Deadline) -> None:
        """Open the TCP connection.

        Raises:
            AddressRefused, Unreachable, TimedOut: as the dialer says.
        """
        _reader, writer = await self.context.dialer.connect(self.target.host, self.target.port, deadline)
        connection = Connection(
            self.session, peer=self.peer, on_frame=self._frame, on_lost=self._connection_lost
        )
        self._address = str(writer.get_extra_info("peername")[0])
        self._local_address = str(writer.get_extra_info("sockname")[0])
        connection.attach(writer)
        self._connection = connection

    async def options(self, deadline: Deadline) -> Response:
        """Send OPTIONS without credential; any answer at all, 401 too, shows that RTSP is spoken.

        Raises:
            AdapterError: no answer, or none that is RTSP.
        """
        response = await self._exchange(
            "OPTIONS", self.session.url, deadline, limit_s=self.policies.options_s, anonymous=True
        )
        if response.status == 401:
            self._remember_challenge(response)
        return response

    async def describe(self, deadline: Deadline) -> SessionDescription:
        """Ask for the description: first without credential, then once with it where the camera wants one.

        Raises:
            AuthenticationFailed, PermissionDenied, CoolingDown, CameraFault, RemoteProtocolError, TimedOut: as
                they say.
        """
        while True:
            response = await self._request(
                "DESCRIBE", self.session.url, deadline, ("Accept", "application/sdp")
            )
            if 300 <= response.status < 400:
                await self._follow(response, deadline)
                continue
            self._require(response, "DESCRIBE")
            try:
                return self.session.described(response)
            except Violation as violation:
                raise remote_error(violation, peer=self.peer, operation="RTSP DESCRIBE") from violation

    async def setup(
        self, media: Media, deadline: Deadline, *, deliver: Callable[[AccessUnit], None], tcp: bool = True
    ) -> OpenTrack:
        """Set one track up.

        Raises:
            Unsupported: the camera refuses the transport.
            AdapterError: as for DESCRIBE.
        """
        url = self.session.control_url(media)
        sockets: tuple[DatagramReceiver, ...] = ()
        for attempt in (1, 2):
            client_port = 0
            if not tcp:
                sockets, client_port = await self._bind(deadline)
            value = self.session.transport_value(tcp=tcp, client_port=client_port)
            response = await self._request("SETUP", url, deadline, ("Transport", value))
            if response.status != 461 or attempt == 2 or self.policies.transport is TransportPolicy.INSIST:
                break
            self.tolerances.note(Tolerance.TRANSPORT_SWITCHED)
            for used in sockets:
                used.close()
            tcp = not tcp
        self._require(response, "SETUP")
        try:
            agreed = self.session.set_up(media, url, response, tcp=tcp)
        except Violation as violation:
            raise remote_error(violation, peer=self.peer, operation="RTSP SETUP") from violation
        if agreed.transport.multicast:
            raise Unsupported(
                f"RTSP SETUP of {self.peer}: the camera answers with multicast, which was not asked for",
                peer=self.peer,
                operation="RTSP SETUP",
                hint="Switch multicast off for this stream",
            )
        return self._open_track(agreed, deliver, sockets, asked_tcp=tcp)

    async def play(self, deadline: Deadline) -> None:
        """Start the media of all tracks.

        Raises:
            AdapterError: as for DESCRIBE.
        """
        for track in self.tracks:
            for index, used in enumerate(track.sockets):
                used.punch(
                    self._address,
                    track.receiver.report(self.now()) if index else punch_packet(secrets.randbits(32)),
                )
        response = await self._request("PLAY", self.session.keepalive_url, deadline, ("Range", "npt=0.000-"))
        self._require(response, "PLAY")
        self.session.played(response)

    async def keep_alive(self, deadline: Deadline) -> None:
        """Send one keep-alive. A refusal or silence is tolerated by name; a new nonce is answered.

        Raises:
            Unreachable: the connection is gone.
        """
        method = self.session.keepalive_method()
        try:
            response = await self._request(method, self.session.keepalive_url, deadline)
        except TimedOut:
            self.tolerances.note(Tolerance.KEEPALIVE_UNANSWERED)
            return
        except AuthenticationFailed:
            # The session plays on; the maintaining task stops sending what the camera refuses.
            self.tolerances.note(Tolerance.KEEPALIVE_REFUSED)
            raise
        if not response.ok:
            self.tolerances.note(Tolerance.KEEPALIVE_REFUSED)
            if method == "GET_PARAMETER":
                self.session.methods = tuple(name for name in self.session.methods if name != method)

    async def teardown(self) -> bool:
        """End the session politely within `teardown_s`; tell whether the camera answered 2xx. Never raises."""
        connection = self._connection
        session = self.session
        answered = False
        if connection is not None and not connection.closed and session.state in (State.READY, State.PLAYING):
            deadline = Deadline.after(self.context.clock, self.policies.teardown_s)
            try:
                response = await self._exchange(
                    "TEARDOWN", session.keepalive_url, deadline, limit_s=self.policies.teardown_s
                )
                if response.status == 401 and session.challenged(response) is Challenged.RENEW:
                    response = await self._exchange(
                        "TEARDOWN", session.keepalive_url, deadline, limit_s=self.policies.teardown_s
                    )
                answered = response.ok
            except AdapterError:
                self.tolerances.note(Tolerance.TEARDOWN_UNANSWERED)
        session.state = State.CLOSED
        self.close()
        return answered

    def close(self) -> None:
        """Close all sockets at once. Idempotent."""
        if self._connection is not None:
            self._connection.close()
        for used in self._sockets:
            used.close()
        self._sockets = []

    def now(self) -> float:
        """Return monotonic seconds."""
        return self.context.clock.monotonic()

    def send_receiver_reports(self) -> None:
        """Send one RTCP receiver report per track."""
        for track in self.tracks:
            data = track.receiver.report(self.now())
            if track.sockets:
                track.sockets[1].send(data, self._address)
            elif track.channels is not None and self._connection is not None:
                self._connection.send_frame(track.channels[1], data)

    # inside

    async def _request(
        self, method: str, uri: str, deadline: Deadline, *fields: tuple[str, str], retry: bool = True
    ) -> Response:
        """Send a request and answer a 401: once to log in, or once to renew an accepted login."""
        response = await self._exchange(
            method, uri, deadline, *fields, limit_s=self.policies.answer_s, anonymous=False
        )
        session = self.session
        if session.login is Login.NONE and method == "DESCRIBE":
            self.anonymous_describe = response
        if response.status != 401:
            session.answered()
            return response
        meaning = session.challenged(response)
        if meaning is Challenged.LOGIN and retry:
            await self._log_in(response, f"RTSP {method}")
            await self._settle(response)
            if self._connection is not None and self._connection.closed:
                self.tolerances.note(Tolerance.RECONNECTED_AFTER_CHALLENGE)
                await self.connect(deadline)
            response = await self._exchange(method, uri, deadline, *fields, limit_s=self.policies.answer_s)
            if response.status != 401:
                session.answered()
                return response
            session.challenged(response)
        elif meaning is Challenged.RENEW and retry:
            response = await self._exchange(method, uri, deadline, *fields, limit_s=self.policies.answer_s)
            if response.status != 401:
                return response
        raise await self._refused(f"RTSP {method}")

    async def _settle(self, response: Response) -> None:
        """See whether the camera closes behind its challenge, before the one attempt is spent on a dead line."""
        connection = self._connection
        if connection is None:
            return
        if (response.headers.get("Connection") or "").strip().lower() == "close":
            connection.close()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await connection.lost.wait()

    async def _log_in(self, response: Response, operation: str) -> None:
        """Choose the answer to the first challenge and ask the gate for the one attempt."""
        session = self.session
        offered = ", ".join(dict.fromkeys(challenge.label for challenge in session.challenges)) or "nothing"
        if self._credential is None:
            raise AuthenticationFailed(
                f"{operation} of {self.peer}: the camera wants a login and no credential was supplied",
                scheme=offered,
                credential_sent=False,
                peer=self.peer,
                operation=operation,
                hint="Enter the user name and password of an account that may view",
            )
        challenge = choose(session.challenges, tls=False)
        if challenge is None:
            raise AuthenticationFailed(
                f"{operation} of {self.peer}: the camera offers {offered}, and no password is sent in the clear",
                scheme=offered,
                credential_sent=False,
                peer=self.peer,
                operation=operation,
                hint="Switch Digest authentication on in the camera's RTSP settings",
            )
        await self.context.gate.admit(self.context.device)
        session.auth = DigestAuth(self._credential, challenge)
        session.login = Login.SENT
        self.scheme = challenge.label
        self.context.courtesy.logins += 1

    async def _refused(self, operation: str) -> AuthenticationFailed:
        session = self.session
        accepted_before = session.login is Login.ACCEPTED
        session.login = Login.REFUSED
        session.auth = None
        until = await self.context.gate.refused(self.context.device)
        what = "no longer accepts" if accepted_before else "refused"
        return AuthenticationFailed(
            f"{operation} of {self.peer}: the camera {what} the user name and password; nothing more is sent "
            f"before {until:%H:%M:%S} UTC",
            scheme=self.scheme,
            credential_sent=True,
            peer=self.peer,
            operation=operation,
            hint="Check user name and password, and that the account may use RTSP",
        )

    async def _exchange(
        self,
        method: str,
        uri: str,
        deadline: Deadline,
        *fields: tuple[str, str],
        limit_s: float,
        anonymous: bool = False,
    ) -> Response:
        connection = self._connection
        if connection is None:
            raise LocalProtocolError("not connected", peer=self.peer, operation=f"RTSP {method}")
        sequence, request = self.session.build(method, uri, *fields, anonymous=anonymous)
        self.context.courtesy.reads += 1
        started_s = self.now()
        try:
            response = await connection.exchange(
                sequence, request, deadline, operation=f"RTSP {method}", limit_s=limit_s
            )
        except AdapterError as error:
            self._tell_tap(request, None, started_s, error.code)
            raise
        self._tell_tap(request, response, started_s)
        self.exchanges.append(
            Exchange(f"RTSP {method}", response.status, started_s, self.now() - started_s, response)
        )
        del self.exchanges[:-64]  # a session that plays for days keeps the last ones
        return response

    def _tell_tap(
        self, request: Request, response: Response | None, started_s: float, error: str = ""
    ) -> None:
        """Let the capture, if one listens, have a request and its answer."""
        tap = self.context.tap
        if tap is None:
            return
        tap.exchange(
            Heard(
                protocol="rtsp",
                operation=f"RTSP {request.method}",
                port=self.target.port,
                method=request.method,
                target=request.uri,
                request_headers=tuple(request.headers),
                request_body=b"",
                status=response.status if response is not None else 0,
                reason=response.reason if response is not None else "",
                reply_headers=tuple(response.headers) if response is not None else (),
                reply_body=response.body if response is not None else b"",
                started_s=started_s,
                took_s=self.now() - started_s,
                error=error,
                session=self._tapped,
            )
        )

    def _to_receiver(self, receiver: TrackReceiver, *, control: bool) -> Callable[[bytes, float], None]:
        """Return what takes the packets of a track; past the tap where a capture listens."""
        take = receiver.rtcp if control else receiver.rtp
        tap = self.context.tap
        if tap is None:
            return take
        track = receiver.track
        tapped = TappedTrack(self._tapped, track.index, track.kind, track.codec)

        def taken(data: bytes, now_s: float) -> None:
            tap.packet(tapped, data, now_s, control=control)
            take(data, now_s)

        return taken

    def _remember_challenge(self, response: Response) -> None:
        if self.session.login is Login.NONE:
            self.session.challenged(response)

    def _require(self, response: Response, method: str) -> None:
        """Turn a refusal into its error."""
        if response.ok:
            return
        operation = f"RTSP {method}"
        text = f"{response.status} {response.reason[:60]}".strip()
        said = f"{operation} of {self.peer} was answered with {text}"
        if response.status == 403:
            raise PermissionDenied(
                said,
                peer=self.peer,
                operation=operation,
                hint="Give the account the right to view this stream",
            )
        if response.status == 461:
            raise Unsupported(
                said,
                peer=self.peer,
                operation=operation,
                hint="The camera offers neither TCP nor UDP unicast for this stream",
            )
        if response.status in (404, 454):
            hint = "Check the path of the address: the camera has no such stream"
        elif response.status == 453:
            hint = "The camera has no bandwidth left: close other viewers"
        elif response.status in (503, 500):
            hint = "The camera is busy or has too many clients: close other viewers, or restart it"
        else:
            hint = "See the camera's log, or update its firmware"
        raise CameraFault(
            said, fault=text, status=response.status, peer=self.peer, operation=operation, hint=hint
        )

    async def _follow(self, response: Response, deadline: Deadline) -> None:
        """Follow a redirect on the same device; refuse any other (credentials go nowhere else)."""
        location = self.session.redirected(response)
        self._redirects += 1
        try:
            to = parse_target(location or "")[0]
        except BadTarget:
            to = None
        same = (
            to is not None and to.scheme == self.target.scheme and device_key(to) == device_key(self.target)
        )
        if to is None or not same or self._redirects > MAX_REDIRECTS:
            raise RemoteProtocolError(
                f"RTSP DESCRIBE of {self.peer}: the camera redirects to another host ({response.status}), "
                "which is not followed",
                reason=Reason.DEVICE_FAULT,
                peer=self.peer,
                operation="RTSP DESCRIBE",
                hint="Enter the address that the camera redirects to, if it is the same camera",
            )
        moved = to.port != self.target.port
        self.target = replace(to, host=self.target.host)
        self.session.enrolled = self.target
        self.session.url = self.session.base = self.target.url
        if moved or (self._connection is not None and self._connection.closed):
            if self._connection is not None:
                self._connection.close()
            await self.connect(deadline)

    async def _bind(self, deadline: Deadline) -> tuple[tuple[DatagramReceiver, ...], int]:
        made: list[DatagramReceiver] = []

        def receiver() -> DatagramReceiver:
            made.append(DatagramReceiver(self._address, self.tolerances))
            return made[-1]

        # An odd port makes the dialer try again: the pair in use is the last one of each kind.
        rtp, rtcp, port = await self.context.dialer.udp_pair(
            self.target.host, deadline, receiver, rtcp_factory=receiver, local_address=self._local_address
        )
        pair = tuple(next(item for item in made if item.transport is transport) for transport in (rtp, rtcp))
        self._sockets.extend(pair)
        return pair, port

    def _open_track(
        self,
        agreed: SetUp,
        deliver: Callable[[AccessUnit], None],
        sockets: tuple[DatagramReceiver, ...],
        *,
        asked_tcp: bool,
    ) -> OpenTrack:
        media = agreed.media
        over_tcp = agreed.channels is not None
        if over_tcp and not asked_tcp:
            self.tolerances.note(Tolerance.TRANSPORT_SWITCHED)
            for used in sockets:
                used.close()
            sockets = ()
        index = len(self.tracks)
        track = Track(
            index,
            media.kind,
            media.codec,
            media.clock_rate_hz or 90000,
            parameter_sets(media, self.tolerances),
            media.channels,
        )
        receiver = TrackReceiver(
            track,
            media.payload_type,
            depacketizer_for(
                media.codec,
                index,
                self.tolerances,
                size=_claimed_size(media),
                parameters=media.format_parameters,
                clock_rate_hz=track.clock_rate_hz,
            ),
            deliver,
            tolerances=self.tolerances,
            policies=self.policies,
            ordered=over_tcp,
            ssrc=agreed.transport.ssrc,
            own_ssrc=secrets.randbits(32),
        )
        if over_tcp and agreed.channels is not None and self._connection is not None:
            rtp, rtcp = agreed.channels
            self._by_channel[rtp] = self._to_receiver(receiver, control=False)
            self._by_channel[rtcp] = self._to_receiver(receiver, control=True)
            self._connection.channels.update(agreed.channels)
        elif sockets:
            ports = agreed.transport.server_ports
            if ports is None or 0 in ports:
                self.tolerances.note(Tolerance.SERVER_PORT_MISSING)
                ports = None
            takers = (
                self._to_receiver(receiver, control=False),
                self._to_receiver(receiver, control=True),
            )
            for used, take, port in zip(sockets, takers, ports or (None, None), strict=True):
                used.expect(port)
                used.deliver_to(self._datagrams(take))
        opened = OpenTrack(track, media, receiver, agreed.channels, sockets)
        self.tracks.append(opened)
        return opened

    def _frame(self, channel: int, data: bytes) -> None:
        """Take one interleaved frame (called for every packet: the hot path)."""
        take = self._by_channel.get(channel)
        if take is None:
            self.tolerances.note(Tolerance.UNASSIGNED_CHANNEL)
            return
        if self.session.state is State.READY:
            self.tolerances.note(Tolerance.DATA_BEFORE_PLAY)
        take(data, self.context.clock.monotonic())

    def _datagrams(self, take: Callable[[bytes, float], None]) -> Callable[[bytes], None]:
        """Return a datagram handler that turns our own faults into the end of this one session."""

        def handle(data: bytes) -> None:
            try:
                take(data, self.context.clock.monotonic())
            except Violation as violation:
                self._connection_lost(remote_error(violation, peer=self.peer, operation="RTP"))
            except AdapterError as error:
                self._connection_lost(error)
            except Exception as error:  # noqa: BLE001  a parser's bug costs this camera's session, never the process
                self._connection_lost(our_fault(self.peer, "RTP", error))

        return handle

    def _connection_lost(self, error: AdapterError) -> None:
        if self.session.state not in (State.READY, State.PLAYING):
            return  # before a session exists, the waiting request tells it; a camera may close after its 401
        self._lost = self._lost or error
        self._on_lost(error)


def _claimed_size(media: Media) -> tuple[int, int]:
    """Return the size that the SDP claims (``a=x-dimensions:1920,1080``), 0 where it says none."""
    parts = media.attributes.get("x-dimensions", "").split(",")
    with contextlib.suppress(ValueError):
        width, height = (int(part.strip()[:5]) for part in parts)
        if 0 < width <= 16_384 and 0 < height <= 16_384:
            return width, height
    return 0, 0


__all__ = ["Exchange", "OpenTrack", "RtspClient"]
