"""One RTSP session without its socket: requests are built here, replies matched and read (RFC 2326). Sans I/O."""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from adapters.rtsp import headers as header_values
from adapters.rtsp.message import Headers, Request, Response
from adapters.rtsp.sdp import Media, SessionDescription, base_url, enrolled_url, parse_sdp, resolve_control
from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation, excerpt_of
from adapters.target import Target
from adapters.wire.digest import Challenge, DigestAuth, parse_challenges
from standards.reason import Reason


class State(StrEnum):
    """Where the session stands (RFC 2326 appendix A.1, with the description before it)."""

    INIT = "init"
    DESCRIBED = "described"
    READY = "ready"
    PLAYING = "playing"
    CLOSED = "closed"


class Login(StrEnum):
    """Where the login stands."""

    NONE = "none"  # nothing that carries a credential was sent
    SENT = "sent"  # one attempt is out, its answer is not known
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Challenged(StrEnum):
    """What a 401 means, seen with the login so far."""

    LOGIN = "login"  # the first challenge: one attempt may be made
    RENEW = "renew"  # after an accepted login: the nonce is new or stale, answered once
    REFUSED = "refused"  # the credential was refused


@dataclass(frozen=True, slots=True)
class SetUp:
    """One track that the camera agreed to send."""

    media: Media
    url: str
    transport: header_values.Transport
    channels: tuple[int, int] | None  # RTP and RTCP channel; None over UDP


class Session:
    """The state of one session. The shell sends what `build` returns and gives every response to `match`."""

    def __init__(self, enrolled: Target, tolerances: Tolerances, *, user_agent: str = "camhub") -> None:
        self.enrolled = enrolled
        self.tolerances = tolerances
        self.state = State.INIT
        self.login = Login.NONE
        self.auth: DigestAuth | None = None
        self.challenges: tuple[Challenge, ...] = ()
        self.methods: tuple[str, ...] = ()
        self.refused_keepalives: set[str] = set()
        self.server = ""
        self.url = enrolled.url  # of DESCRIBE; a redirect on the same device changes it
        self.base = enrolled.url
        self.description: SessionDescription | None = None
        self.identifier = ""
        self.timeout_s = header_values.DEFAULT_SESSION_TIMEOUT_S
        self.tracks: list[SetUp] = []
        self._user_agent = user_agent
        self._own_nonce = True
        self._sequence = 0
        self._pending: OrderedDict[int, Request] = OrderedDict()

    def carry_over(self, auth: DigestAuth) -> None:
        """Use an authorisation that another session of the same action got accepted."""
        self.auth, self.login, self._own_nonce = auth, Login.ACCEPTED, False

    def succeed(self, former: "Session") -> None:
        """Begin where a former session of the same client learned something about the camera."""
        self.challenges, self.methods, self.server = former.challenges, former.methods, former.server
        self.refused_keepalives = former.refused_keepalives
        self.url = self.base = former.url
        if former.auth is not None and former.login is Login.ACCEPTED:
            self.carry_over(former.auth)

    # requests

    def build(
        self, method: str, uri: str, *fields: tuple[str, str], anonymous: bool = False
    ) -> tuple[int, Request]:
        """Return a request with its CSeq, ready to be sent."""
        self._sequence += 1
        out = [("CSeq", str(self._sequence)), ("User-Agent", self._user_agent), *fields]
        if self.identifier and method != "DESCRIBE":
            out.append(("Session", self.identifier))
        if self.auth is not None and not anonymous:
            out.append(("Authorization", self.auth.authorization(method, uri)))
        request = Request(method, uri, Headers(tuple(out)))
        self._pending[self._sequence] = request
        return self._sequence, request

    def keepalive_method(self) -> str:
        """Return the method that keeps the session alive (quirk 28).

        GET_PARAMETER where Public lists it, then OPTIONS, which every server must have, then SET_PARAMETER: the
        first one that was not refused. Where all were, OPTIONS: some cameras refuse it and live on all the same.
        """
        offered = ["OPTIONS", "SET_PARAMETER"]
        offered.insert(0 if "GET_PARAMETER" in self.methods else 2, "GET_PARAMETER")
        return next((name for name in offered if name not in self.refused_keepalives), "OPTIONS")

    @property
    def keepalive_url(self) -> str:
        """Return the address for keep-alive, PLAY and TEARDOWN: the aggregate control."""
        if self.description is None:
            return self.url
        return resolve_control(self.base, self.description.control, self.enrolled, self.tolerances)

    def transport_value(self, *, tcp: bool, client_port: int = 0) -> str:
        """Return the Transport header for the next SETUP."""
        if tcp:
            channel = 2 * len(self.tracks)
            return f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        return f"RTP/AVP;unicast;client_port={client_port}-{client_port + 1}"

    # responses

    def match(self, response: Response) -> int | None:
        """Return the CSeq of the request that a response answers; None: it answers none that still waits.

        Raises:
            Violation: the policy refuses a deviation of the CSeq header.
        """
        name, text = "CSeq", ""
        for key, value in response.headers.fields:
            if key == "CSeq" or key.lower() == "cseq":
                name, text = key, value
                break
        if name != "CSeq":
            self.tolerances.note(Tolerance.CSEQ_SPELLING)
        digits = text.strip()
        oldest = next(iter(self._pending), None)
        if not (digits.isascii() and digits.isdigit()):
            self.tolerances.note(Tolerance.CSEQ_MISSING)
            number = oldest
        else:
            number = int(digits[:10])
            if number not in self._pending:
                if number <= self._sequence and oldest is not None and number < oldest and number > 0:
                    return None  # the late answer to a request that was given up
                self.tolerances.note(Tolerance.CSEQ_WRONG)
                number = oldest
        if number is not None:
            request = self._pending.pop(number, None)
            if request is not None and request.method == "PLAY" and response.ok:
                self.state = State.PLAYING  # here, because media may stand right behind the reply
            self._common(response)
        return number

    def give_up(self, sequence: int) -> None:
        """Forget a request whose answer did not come."""
        self._pending.pop(sequence, None)

    def _common(self, response: Response) -> None:
        headers = response.headers
        if not self.server and (server := headers.get("Server")):
            self.server = server[:200]
        if not self.methods and (listed := headers.get_all("Public") or headers.get_all("Allow")):
            self.methods = header_values.parse_public(listed)
        if self.auth is not None:
            for value in response.headers.get_all("Authentication-Info"):
                self.auth.accept_info(value)

    def challenged(self, response: Response) -> Challenged:
        """Read a 401 and say what it means. `challenges` holds what was offered."""
        found = parse_challenges(response.headers.get_all("WWW-Authenticate"))
        if found and not self.challenges:
            self.challenges = found
        if self.login is Login.NONE:
            return Challenged.LOGIN
        if self.login is Login.ACCEPTED and self.auth is not None:
            for challenge in found:
                if self.auth.renewable(challenge):
                    self.auth.renew(challenge)
                    if self._own_nonce:  # a nonce carried over from another connection may well be refused
                        self.tolerances.note(Tolerance.NONCE_RENEWED)
                    self._own_nonce = True
                    return Challenged.RENEW
        return Challenged.REFUSED

    def answered(self) -> None:
        """Note that a request with credential was not answered by 401: the login is accepted."""
        if self.login is Login.SENT:
            self.login = Login.ACCEPTED

    def redirected(self, response: Response) -> str | None:
        """Return the address a 3xx points to; None where it names none."""
        location = response.headers.get("Location")
        return location.strip()[:2048] if location and location.strip() else None

    def described(self, response: Response) -> SessionDescription:
        """Read the answer to DESCRIBE.

        Raises:
            Violation: the body is no usable session description.
        """
        kind = (response.headers.get("Content-Type") or "").split(";")[0].strip().lower()
        if not kind:
            self.tolerances.note(Tolerance.CONTENT_TYPE_MISSING)
        elif kind != "application/sdp" and b"m=" not in response.body:
            raise Violation(
                f"DESCRIBE was answered with {kind[:60]}, not with a session description",
                reason=Reason.NOT_THE_PROTOCOL,
                excerpt=excerpt_of(response.body),
                spec="RFC 2326 section 10.2",
            )
        self.description = parse_sdp(response.body, self.tolerances)
        told = base_url(
            self.url, response.headers.get("Content-Base"), response.headers.get("Content-Location")
        )
        self.base = enrolled_url(told, self.enrolled, self.tolerances) if told != self.url else self.url
        self.state = State.DESCRIBED
        return self.description

    def control_url(self, media: Media) -> str:
        """Return the address for SETUP of one section."""
        if media.control is None:
            self.tolerances.note(Tolerance.CONTROL_MISSING)
        return resolve_control(self.base, media.control, self.enrolled, self.tolerances)

    def set_up(self, media: Media, url: str, response: Response, *, tcp: bool) -> SetUp:
        """Read the answer to SETUP and remember the track.

        Raises:
            Violation: the policy refuses a deviation.
        """
        session = response.headers.get("Session")
        if session:
            told = header_values.parse_session(session, self.tolerances)
            if self.identifier and told.identifier != self.identifier:
                self.tolerances.note(Tolerance.SESSION_CHANGED)
            self.identifier = told.identifier or self.identifier
            self.timeout_s = told.timeout_s
        value = response.headers.get("Transport")
        asked = (2 * len(self.tracks), 2 * len(self.tracks) + 1)
        if value is None:
            self.tolerances.note(Tolerance.TRANSPORT_MISSING)
            transport = header_values.Transport(tcp=tcp, channels=asked if tcp else None)
        else:
            transport = header_values.parse_transport(value, self.tolerances)
        channels = None
        if tcp or transport.tcp:
            if transport.channels is not None and transport.channels != asked:
                self.tolerances.note(Tolerance.CHANNELS_CHANGED)
            channels = transport.channels or asked
        track = SetUp(media, url, transport, channels)
        self.tracks.append(track)
        self.state = State.READY
        return track

    def played(self, response: Response) -> tuple[header_values.RtpInfo, ...]:
        """Read the answer to PLAY (`match` has moved the state already)."""
        session = response.headers.get("Session")
        if session and ";" in session:
            self.timeout_s = header_values.parse_session(session, self.tolerances).timeout_s
        value = response.headers.get("RTP-Info")
        return header_values.parse_rtp_info(value, self.tolerances) if value else ()
