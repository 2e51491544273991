"""The asyncio client: a thin shell around `Session`. Sockets come from the guarded dialer only."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    BadTarget,
    RemoteProtocolError,
    TimedOut,
    Unsupported,
)
from adapters.port import AccessUnit, ProbeContext
from adapters.rtsp.connection import Connection, remote_error
from adapters.rtsp.dialogue import Dialogue, Exchange
from adapters.rtsp.line import Line, spoken
from adapters.rtsp.login import Accepted, Attempt
from adapters.rtsp.message import Request, Response
from adapters.rtsp.policy import DEFAULT, Policies, SilencePolicy, TransportPolicy
from adapters.rtsp.sdp import Media, SessionDescription
from adapters.rtsp.session import Challenged, Login, Session, State
from adapters.rtsp.stale import StaleSessions, keeps_sending
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation
from adapters.rtsp.tracks import OpenTrack, Tracks
from adapters.rtsp.tunnel import Tunnel
from adapters.rtsp.udp import DatagramReceiver
from adapters.secret import Credential
from adapters.target import Target, parse_target
from adapters.wire.gate import device_key
from adapters.wire.tls import TlsSeen
from standards.reason import Reason

MAX_REDIRECTS = 2
# Where a redirect may lead, on the enrolled host: never from an encrypted line to a plain one (quirk 11).
_MAY_MOVE = {
    "rtsp": ("rtsp", "rtsps"),
    "rtsps": ("rtsps",),
    "rtsp+http": ("rtsp",),
    "rtsp+https": ("rtsp", "rtsps"),
}
_AFTER_SWITCH = (400, 404, 454, 455, 500, 503)  # said by cameras that want another DESCRIBE first (quirk 12)
_LOOK_S = 0.02  # between two looks whether media come


class RtspClient:
    """One session with one camera: connect, options, describe, setup, play, close; `start_over` begins anew."""

    def __init__(
        self,
        target: Target,
        credential: Credential | None,
        context: ProbeContext,
        *,
        policies: Policies = DEFAULT,
        login: Accepted | None = None,
        stale: StaleSessions | None = None,
        on_lost: Callable[[AdapterError], None] = lambda _error: None,
    ) -> None:
        """Prepare. `login` is what an earlier session of the same action got accepted."""
        self.target = target
        self.context = context
        self.policies = policies
        self.tolerances = Tolerances(policies.refuse)
        self.line = Line(target, context.dialer, self.tolerances)
        self._credential = credential
        self._dialogue = Dialogue(
            target, context, policies, self._new_session(), self._new_attempt(), redial=self.connect
        )
        if login is not None and login.rtsp is not None:
            self.session.carry_over(login.rtsp)
        self._tunnel_login = login.http if login is not None else None
        self._stale = stale
        self._on_lost = on_lost
        self._redirects = 0
        self._lost: AdapterError | None = None
        self._tracks = self._new_tracks()

    @property
    def session(self) -> Session:
        """Return the session of now."""
        return self._dialogue.session

    @property
    def exchanges(self) -> list[Exchange]:
        """Return the last requests and their answers."""
        return self._dialogue.exchanges

    @property
    def anonymous_describe(self) -> Response | None:
        """Return the answer to DESCRIBE without credential."""
        return self._dialogue.anonymous_describe

    @property
    def tracks(self) -> list[OpenTrack]:
        """Return the tracks that were set up."""
        return self._tracks.opened

    @property
    def peer(self) -> str:
        """Return host:port as enrolled."""
        return self.target.authority

    @property
    def tls(self) -> TlsSeen | None:
        """Return what the TLS handshake showed, None on a plain line."""
        return self.line.seen

    @property
    def accepted(self) -> Accepted:
        """Return what the camera accepted so far."""
        session = self.session
        return Accepted(session.auth if session.login is Login.ACCEPTED else None, self._tunnel_login)

    @property
    def connected(self) -> bool:
        """Tell whether requests can be sent."""
        return self._dialogue.connection is not None and not self._dialogue.connection.closed

    @property
    def failure(self) -> AdapterError | None:
        """Return why the connection is gone, if it is."""
        return self._lost or (
            self._dialogue.connection.failure if self._dialogue.connection is not None else None
        )

    # phases

    async def connect(self, deadline: Deadline) -> None:
        """Open the connection; over TLS or inside HTTP where the scheme says so.

        Raises:
            AddressRefused, Unreachable, TlsFailed, TimedOut: as the dialer says.
            StaleSession: the camera may still send an earlier session's media.
            AuthenticationFailed, CoolingDown, Unsupported, CameraFault, RemoteProtocolError: the head of a tunnel.
        """
        if self._stale is not None:
            self._stale.check(self.context.device, self.now(), peer=self.peer)

        def connection() -> Connection:
            return Connection(
                self.session,
                peer=self.peer,
                take_frames=self._tracks.take_frames,
                on_frames=self._tracks.frames,
                on_lost=self._connection_lost,
            )

        try:
            if self.line.tunnelled:
                made = connection()
                await self._dig(made, deadline)
            else:
                _transport, made = await self.line.dial(deadline, connection)
        except Violation as violation:
            raise remote_error(violation, peer=self.peer, operation="RTSP connect") from violation
        self._tracks.between(made.end_point("peername"), made.end_point("sockname"))
        self._dialogue.connection = made

    async def _dig(self, connection: Connection, deadline: Deadline) -> None:
        started_s = self.now()

        def heard(method: str, response: Response) -> None:
            self.context.courtesy.reads += 1
            self._dialogue.tell_tap(
                Request(method, self.target.path or "/"), response, started_s, protocol="http"
            )

        tunnel = Tunnel(
            self.line,
            self._dialogue.attempt,
            self._tunnel_login,
            user_agent=self.policies.user_agent,
            heard=heard,
        )
        await tunnel.dig(connection, deadline, limit_s=self.policies.answer_s)
        self._tunnel_login = tunnel.auth

    def _new_session(self) -> Session:
        return Session(spoken(self.target), self.tolerances, user_agent=self.policies.user_agent)

    def _new_tracks(self) -> Tracks:
        return Tracks(
            self.context, self.policies, self.session, self._dialogue.tapped, on_failed=self._connection_lost
        )

    def _new_attempt(self) -> Attempt:
        return Attempt(self.context, self._credential, self.peer, tls=self.line.tls)

    async def start_over(self, deadline: Deadline) -> SessionDescription:
        """End the session and begin a new one on a new connection, up to its description (quirks 12, 13).

        Raises:
            AdapterError: as `connect` and `describe`.
        """
        former = self.session
        await self.teardown()
        self._dialogue.session = self._new_session()
        self.session.succeed(former)
        self._tracks = self._new_tracks()
        self._lost = None
        await self.connect(deadline)
        return await self.describe(deadline)

    async def options(self, deadline: Deadline) -> Response:
        """Send OPTIONS without credential; any answer at all, 401 too, shows that RTSP is spoken.

        Raises:
            AdapterError: no answer, or none that is RTSP.
        """
        response = await self._dialogue.exchange(
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
        path_only = False
        while True:
            uri = self.target.path if path_only else self.session.url
            response = await self._dialogue.request("DESCRIBE", uri, deadline, ("Accept", "application/sdp"))
            if 300 <= response.status < 400:
                await self._follow(response, deadline)
                continue
            if response.status == 404 and not path_only and self.target.path.startswith("/"):
                path_only = Tolerance.PATH_ONLY not in self.policies.refuse
                if path_only and self.connected:
                    continue
            self._dialogue.require(response, "DESCRIBE")
            if path_only:
                self._dialogue.note(Tolerance.PATH_ONLY, "RTSP DESCRIBE")
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
        if self.target.scheme != "rtsp":
            tcp = True  # what was asked for behind TLS or through HTTP does not go beside it
        sockets: tuple[DatagramReceiver, ...] = ()
        switched = described = False
        while True:
            url = self.session.control_url(media)
            client_port = 0
            if not tcp:
                sockets, client_port = await self._tracks.bind(self.target.host, deadline)
            value = self.session.transport_value(tcp=tcp, client_port=client_port)
            response = await self._dialogue.request("SETUP", url, deadline, ("Transport", value))
            if response.ok:
                break
            for used in sockets:
                used.close()
            sockets = ()
            insists = self.policies.transport is TransportPolicy.INSIST or self.target.scheme != "rtsp"
            if response.status == 461 and not switched and not insists:
                switched = True
                self._dialogue.note(Tolerance.TRANSPORT_SWITCHED, "RTSP SETUP")
                tcp = not tcp
            elif switched and not described and response.status in _AFTER_SWITCH and not self.tracks:
                described = True
                self._dialogue.note(Tolerance.DESCRIBED_AGAIN, "RTSP SETUP")
                await self.describe(deadline)
            else:
                break
        self._dialogue.require(response, "SETUP")
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
        if agreed.channels is not None and not tcp:
            self._dialogue.note(Tolerance.TRANSPORT_SWITCHED, "RTSP SETUP")
            for used in sockets:
                used.close()
            sockets = ()
        opened = self._tracks.open(agreed, deliver, sockets)
        if agreed.channels is not None and self._dialogue.connection is not None:
            self._dialogue.connection.channels.update(agreed.channels)
        return opened

    async def play(self, deadline: Deadline) -> None:
        """Start the media of all tracks.

        Raises:
            AdapterError: as for DESCRIBE.
        """
        self._tracks.punch()
        response = await self._dialogue.request(
            "PLAY", self.session.keepalive_url, deadline, ("Range", "npt=0.000-")
        )
        self._dialogue.require(response, "PLAY")
        self.session.played(response)

    async def media_comes(self, deadline: Deadline) -> bool:
        """Tell whether media come: at once where no UDP is in use, else as soon as the first packet is there.

        Raises:
            AdapterError: the connection was lost meanwhile.
        """
        policies, tracks = self.policies, self._tracks
        if not tracks.over_udp or policies.silence is SilencePolicy.WAIT:
            return True
        ends_s = self.now() + min(policies.udp_silence_s, deadline.remaining_s() / 2)
        next_punch_s = self.now() + policies.punch_every_s
        while not tracks.received:
            if self.failure is not None:
                raise self.failure
            if self.now() >= ends_s:
                self._dialogue.note(Tolerance.UDP_SILENT, "RTSP media")
                return False
            if self.now() >= next_punch_s:
                next_punch_s += policies.punch_every_s
                tracks.punch()
            await asyncio.sleep(_LOOK_S)
        return True

    async def keep_alive(self, deadline: Deadline) -> None:
        """Keep the session alive by the first method that the camera does not refuse (quirk 28).

        A refusal or silence is tolerated by name; a new nonce is answered.

        Raises:
            Unreachable: the connection is gone.
            AuthenticationFailed: the login is refused; nothing that carries it may follow.
        """
        session = self.session
        for _ in range(3):
            method = session.keepalive_method()
            try:
                response = await self._dialogue.request(method, session.keepalive_url, deadline)
            except TimedOut:
                self._dialogue.note(Tolerance.KEEPALIVE_UNANSWERED, f"RTSP {method}")
                return
            except AuthenticationFailed:
                # The session plays on; the maintaining task stops sending what the camera refuses.
                self._dialogue.note(Tolerance.KEEPALIVE_REFUSED, f"RTSP {method}")
                raise
            if response.ok or method in session.refused_keepalives:
                return
            self._dialogue.note(Tolerance.KEEPALIVE_REFUSED, f"RTSP {method}")
            session.refused_keepalives.add(method)

    async def teardown(self) -> bool:
        """End the session politely within `teardown_s`; tell whether the camera answered 2xx. Never raises."""
        connection = self._dialogue.connection
        session = self.session
        answered = False
        played = session.state is State.PLAYING
        if connection is not None and not connection.closed and session.state in (State.READY, State.PLAYING):
            deadline = Deadline.after(self.context.clock, self.policies.teardown_s)
            try:
                response = await self._dialogue.exchange(
                    "TEARDOWN", session.keepalive_url, deadline, limit_s=self.policies.teardown_s
                )
                if response.status == 401 and session.challenged(response) is Challenged.RENEW:
                    response = await self._dialogue.exchange(
                        "TEARDOWN", session.keepalive_url, deadline, limit_s=self.policies.teardown_s
                    )
                answered = response.ok
            except AdapterError:
                self.tolerances.note(Tolerance.TEARDOWN_UNANSWERED)
        session.state = State.CLOSED
        if played and not answered:
            self._leave_stale()
        self.close()
        return answered

    def _leave_stale(self) -> None:
        """Remember that the camera may go on sending into the closed connection, where it is one that does."""
        session = self.session
        tool = session.description.attributes.get("tool", "") if session.description is not None else ""
        if self._stale is not None and not self._tracks.over_udp and keeps_sending(session.server, tool):
            self._stale.left(self.context.device, self.now(), session.timeout_s)

    def close(self) -> None:
        """Close all sockets at once. Idempotent."""
        if self._dialogue.connection is not None:
            self._dialogue.connection.close()
        self._tracks.close()

    def now(self) -> float:
        """Return monotonic seconds."""
        return self.context.clock.monotonic()

    def send_receiver_reports(self) -> None:
        """Send one RTCP receiver report per track (quirk 29: within 5 s)."""
        if self._dialogue.connection is not None:
            self._tracks.report(self._dialogue.connection)

    def ask_key_frame(self) -> None:
        """Send one picture loss indication for the video (RFC 4585 section 6.3.1); nothing before its first packet.

        Raises:
            Unsupported: the session description does not offer it; nothing was sent.
        """
        if self._dialogue.connection is not None and not self._tracks.ask_key_frame(
            self._dialogue.connection
        ):
            raise Unsupported(
                f"{self.peer} does not offer to be asked for a key frame (no rtcp-fb nack pli)",
                peer=self.peer,
                operation="RTCP PLI",
                hint="Set a shorter key frame distance in the camera",
            )

    # inside

    def _remember_challenge(self, response: Response) -> None:
        if self.session.login is Login.NONE:
            self.session.challenged(response)

    async def _follow(self, response: Response, deadline: Deadline) -> None:
        """Follow a redirect on the same device; refuse any other (credentials go nowhere else)."""
        location = self.session.redirected(response)
        self._redirects += 1
        try:
            to = parse_target(location or "")[0]
        except BadTarget:
            to = None
        same = (
            to is not None
            and to.scheme in _MAY_MOVE[self.target.scheme]
            and device_key(to) == device_key(self.target)
        )
        if to is None or not same or self._redirects > MAX_REDIRECTS:
            raise RemoteProtocolError(
                f"RTSP DESCRIBE of {self.peer}: the camera redirects ({response.status}) to another host, to a "
                "line without TLS or in a circle, which is not followed",
                reason=Reason.DEVICE_FAULT,
                peer=self.peer,
                operation="RTSP DESCRIBE",
                hint="Enter the address that the camera redirects to, if it is the same camera",
            )
        self._dialogue.note(Tolerance.REDIRECTED, "RTSP DESCRIBE")
        if self.line.tunnelled:  # only the path is taken over: requests stay inside the tunnel
            to = replace(to, scheme=self.target.scheme, port=self.target.port)
        moved = (to.scheme, to.port) != (self.target.scheme, self.target.port)
        self.target = self._dialogue.target = replace(to, host=self.target.host)
        self.session.enrolled = spoken(self.target)
        self.session.url = self.session.base = self.session.enrolled.url
        if moved:
            self.line = Line(self.target, self.context.dialer, self.tolerances)
            self._dialogue.attempt = self._new_attempt()
        if moved or not self.connected:
            self.close()
            await self.connect(deadline)

    def _connection_lost(self, error: AdapterError) -> None:
        if self.session.state not in (State.READY, State.PLAYING):
            return  # before a session exists, the waiting request tells it; a camera may close after its 401
        self._lost = self._lost or error
        self._on_lost(error)
