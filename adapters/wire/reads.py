"""Reads of a vendor's HTTP interface: a closed table of requests, one login, every reply judged.

An adapter brings the table (`Read`) and what its error replies mean; the rules that protect a camera live here:
the first requests carry no credential and show the challenge; the gate is asked; one credential-bearing attempt by
Digest (Basic only over TLS); refused, nothing more is sent and the cool-down runs; what one account may not read
costs that fact only; two silences in a row, or two refusals before anything was granted, end the conversation.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    CameraFault,
    CoolingDown,
    LocalProtocolError,
    PermissionDenied,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
    Unsupported,
)
from adapters.port import ProbeContext
from adapters.secret import Credential
from adapters.wire.digest import Challenge, DigestAuth, choose, parse_challenges
from adapters.wire.http import HttpClient, HttpReply, request_uri
from adapters.wire.transport import camera_client, seen
from standards.observation import Value, freeze
from standards.reason import Reason

READ_LIMIT_S = 5.0
MAX_REPLY = 2 << 20  # encoders of a recorder with 64 channels: about 700 kB
MAX_STREAMS = 256  # of one device: a recorder with 64 channels lists up to 192
SILENCES = 2  # consecutive time-outs (or lost connections) after which a device is left alone
DENIALS = (
    2  # refusals that may count as failed logins, nothing granted in between, after which it is left alone
)
# What a GET may ask for by ``action``, and a JSON POST by ``method``: reads of the vendors' documents, nothing else.
_READ_ACTIONS = re.compile(r"[?&]action=(?!get|list)", re.IGNORECASE)
_READ_METHODS = re.compile(r"^(get[A-Z]\w*|list|systemready)$")


@dataclass(frozen=True, slots=True)
class VendorStream:
    """One stream as a vendor interface configures it. Numbers are 0 where the device does not tell them."""

    id: str
    name: str = ""
    enabled: bool | None = None
    encoding: str = ""  # H264 H265 JPEG MPEG4
    width: int = 0  # px
    height: int = 0
    fps: float = 0.0
    bitrate_kbps: int = 0
    gov_length: int = 0  # frames
    smart_codec: bool | None = None
    channel: int = 1
    layer: str = ""  # main | sub | other
    path: str = ""  # RTSP path and query by the vendor's rule

    def as_value(self) -> Value:
        """Return the entry of ``vendor.streams``."""
        return freeze(
            {
                "id": self.id,
                "name": self.name,
                "enabled": self.enabled,
                "encoding": self.encoding,
                "width": self.width or None,
                "height": self.height or None,
                "fps": self.fps or None,
                "bitrate_kbps": self.bitrate_kbps or None,
                "gov_length": self.gov_length or None,
                "smart_codec": self.smart_codec,
                "channel": self.channel,
                "layer": self.layer,
            }
        )


@dataclass(slots=True)
class Notes:
    """What the reads of one probe tell each other, beside facts: names never leave here."""

    user: str = ""  # of the supplied account, to find its level; never a fact
    facts: dict[str, Value] = field(default_factory=dict)  # observed so far
    quirks: dict[str, None] = field(default_factory=dict)
    kind: str = ""  # what the device calls itself: IPCamera, NVR, ...
    encodings: tuple[str, ...] = ()  # video encodings that the device offers
    streams: list[VendorStream] = field(default_factory=list)

    def quirk(self, name: str) -> None:
        """Name a tolerance that reading needed."""
        self.quirks[name] = None

    def add_port(self, name: str, enabled: bool | None, port: int | None) -> tuple[Value, ...]:
        """Return ``service.ports`` with one more service (one entry per name)."""
        known = self.facts.get("service.ports")
        entries = [
            entry
            for entry in (known if isinstance(known, tuple) else ())
            if isinstance(entry, Mapping) and entry.get("name") != name
        ]
        told: Value = {"name": name, "enabled": enabled, "port": port}
        self.facts["service.ports"] = (*entries, told)
        return (*entries, told)


Take = Callable[[HttpReply, Notes], Mapping[str, Value]]


def always(_notes: Notes) -> bool:
    """Ask in any case."""
    return True


@dataclass(frozen=True, slots=True)
class Read:
    """One read request that an adapter may send, and how its reply becomes facts.

    `take` returns what the reply tells; a fact of `facts` that it leaves out was not told. `quote`: a piece of the
    reply may stand as evidence, because it can hold no account, address book or key. `times`: how often it is asked,
    where the median of ``time.offset_s`` counts.

    Raises:
        LocalProtocolError: the request is not a read by the word of the vendors' documents.
    """

    name: str  # in protocol words: "ISAPI System/deviceInfo"
    path: str
    facts: tuple[str, ...]
    take: Take
    body: bytes = b""  # JSON: the read is a POST
    identity: bool = False  # one of those without which this is not the vendor's device
    quote: bool = False
    times: int = 1
    when: Callable[[Notes], bool] = always
    unknown: Mapping[str, Value] = field(
        default_factory=dict
    )  # what a device tells that does not know this read

    def __post_init__(self) -> None:
        asked = ""
        if self.body:
            asked = str(json.loads(self.body).get("method", ""))
        if (self.body and not _READ_METHODS.match(asked)) or _READ_ACTIONS.search(self.path):
            raise LocalProtocolError(f"{self.name} is not a read request", operation=self.name)

    @property
    def method(self) -> str:
        """Return the HTTP method."""
        return "POST" if self.body else "GET"


Explain = Callable[[Read, HttpReply], AdapterError | None]


def offset_s(camera: datetime, reply: HttpReply) -> float:
    """Return camera clock minus ours in s, corrected for half the round trip. `camera` is aware."""
    halfway = reply.started_at + timedelta(seconds=reply.took_s / 2)
    return round((camera.astimezone(UTC) - halfway).total_seconds(), 3)


class ReadSession:
    """Sends the reads of one probe to one device. Use within the life of its `HttpClient`."""

    def __init__(
        self,
        http: HttpClient,
        base: str,
        credential: Credential | None,
        context: ProbeContext,
        *,
        deadline: Deadline,
        explain: Explain,
    ) -> None:
        self._client = camera_client(http, deadline)
        self._base = base  # http://host:port or https://host:port
        self._credential = credential
        self._context = context
        self._explain = explain
        self._auth: DigestAuth | None = None
        self._challenges: tuple[Challenge, ...] | None = None  # of the latest refusal of a stranger
        self.accepted = False  # a read with the credential was granted
        self.failure: AdapterError | None = None  # why nothing with a credential is sent any more
        self.stopped: AdapterError | None = None  # why nothing at all is sent any more
        self.scheme = ""  # by which was logged in: digest-md5, ...
        self.schemes: dict[str, None] = {}  # every scheme that was offered, in order
        self.last_http: HttpReply | None = None
        self._silences = 0
        self._denials = 0

    @property
    def base(self) -> str:
        """Return scheme, host and port in use (a redirect to HTTPS on the same host changes them)."""
        return self._base

    @property
    def tls(self) -> bool:
        """Tell whether the device is asked over TLS."""
        return self._base.startswith("https:")

    @property
    def peer(self) -> str:
        """Return ``host:port`` for messages."""
        return self._base.split("://", 1)[-1]

    @property
    def guarded(self) -> bool:
        """Tell whether a stranger was refused with a challenge."""
        return self._challenges is not None

    async def as_stranger(
        self, read: Read, *, limit_s: float = READ_LIMIT_S, path: str = "", read_body: bool = True
    ) -> HttpReply:
        """Send a read without a credential and return whatever comes; keeps the challenge of a refusal.

        Raises:
            AdapterError: no reply came.
        """
        reply = await self._exchange(read, None, limit_s=limit_s, path=path, read_body=read_body)
        if reply.status == 401 and not path:
            self._challenges = parse_challenges(reply.all("www-authenticate"))
        return reply

    async def ask(self, read: Read, *, path: str = "", read_body: bool = True) -> HttpReply:
        """Send a read, logging in where the device wants it, and return its good reply.

        Raises:
            AuthenticationFailed, CoolingDown: no login, or refused; nothing with a credential is sent any more.
            PermissionDenied: logged in, but this account may not read this.
            Unsupported, CameraFault, RemoteProtocolError: the device's answer.
            TimedOut, Unreachable, TlsFailed, AddressRefused: as they say.
        """
        if self.stopped is not None:
            raise self.stopped
        if self._auth is None and self._challenges is None:
            reply = await self._exchange(read, None, path=path, read_body=read_body)
            if reply.status != 401:
                return self._judged(read, reply)
            self._challenges = parse_challenges(reply.all("www-authenticate"))
        if self._auth is None:
            reply = await self._log_in(read, path, read_body)
        else:
            reply = await self._within(read, path, read_body)
            if reply.status == 401 and not self.accepted:  # what came before was no word about the login
                self.failure = self.stopped = await self._refused(read, reply)
                raise self.failure
        return self._judged(read, reply)

    async def _log_in(self, read: Read, path: str, read_body: bool) -> HttpReply:
        """Make the action's one credential-bearing attempt, with this read."""
        if self.failure is not None:
            raise self.failure
        try:
            auth = await self._prepared(read)
        except (AuthenticationFailed, CoolingDown) as error:
            self.failure = error
            raise
        self._context.courtesy.logins += 1
        try:
            reply = await self._exchange(read, auth, path=path, read_body=read_body)
            if reply.status == 401:
                offered = parse_challenges(reply.all("www-authenticate"))
                stale = next((challenge for challenge in offered if challenge.stale), None)
                if stale is not None and auth.renewable(stale):
                    auth.renew(stale)  # RFC 7616 section 3.3: the answer was right, the nonce too old
                    reply = await self._exchange(read, auth, path=path, read_body=read_body)
        except AdapterError as error:
            self.failure = self.stopped = (
                error  # the attempt was made, its outcome is not known: no second one
            )
            raise
        if reply.status == 401:
            self.failure = self.stopped = await self._refused(read, reply)
            raise self.failure
        self._auth = auth
        return reply

    async def _prepared(self, read: Read) -> DigestAuth:
        """Choose the scheme from the challenge and ask the gate; nothing is sent here."""
        challenges = self._challenges or ()
        labels = ", ".join(dict.fromkeys(challenge.label for challenge in challenges))
        where = {"peer": self.peer, "operation": read.name}
        if self._credential is None:
            raise AuthenticationFailed(
                f"{read.name}: {self.peer} wants a login and none was supplied",
                scheme=labels,
                credential_sent=False,
                hint="Supply the camera's user name and password; an account that may only view is enough",
                **where,
            )
        chosen = choose(challenges, self.tls)
        if chosen is None:
            what = f"offers {labels}, by which a password would travel readable; it was not sent"
            raise AuthenticationFailed(
                f"{read.name}: {self.peer} {what if labels else 'refuses and names no login'}",
                scheme=labels,
                credential_sent=False,
                hint="Enable Digest in the camera's web authentication, or use its HTTPS address",
                **where,
            )
        await self._context.gate.admit(self._context.device)
        self.scheme = chosen.label
        return DigestAuth(self._credential, chosen)

    async def _refused(self, read: Read, reply: HttpReply) -> AuthenticationFailed:
        until = await self._context.gate.refused(self._context.device)
        hint = "Check user name and password"
        if re.search(rb"lock(?:ed|Status>\s*lock)|is locked", reply.body[:4096], re.IGNORECASE):
            hint = "The camera says that the account is locked: wait, then check user name and password"
        return AuthenticationFailed(
            f"{read.name}: {self.peer} refused the supplied login ({self.scheme}); "
            f"nothing more is tried before {until:%H:%M:%S} UTC",
            scheme=self.scheme,
            credential_sent=True,
            peer=self.peer,
            operation=read.name,
            hint=hint,
        )

    async def _within(self, read: Read, path: str, read_body: bool) -> HttpReply:
        """Send a read within the login; a new nonce is answered once."""
        auth = self._auth
        assert auth is not None
        reply = await self._exchange(read, auth, path=path, read_body=read_body)
        if reply.status == 401:
            renewed = choose(parse_challenges(reply.all("www-authenticate")), self.tls)
            if self.accepted and renewed is not None and auth.renewable(renewed):
                auth.renew(renewed)
                reply = await self._exchange(read, auth, path=path, read_body=read_body)
        return reply

    def _judged(self, read: Read, reply: HttpReply) -> HttpReply:
        """Return a good reply, or raise what a bad one means."""
        error = self._explain(read, reply) or _by_status(read, reply, self.peer)
        if isinstance(error, PermissionDenied):
            # 403 within an accepted login is an answer; 401, and 403 before anything was granted, may be counted
            # by the device as failed logins
            if reply.status == 401 or not self.accepted:
                self._denials += 1
            if self._denials >= DENIALS:
                self.stopped = error
        elif self._auth is not None and (error is None or isinstance(error, Unsupported)):
            self._denials = 0
            self.accepted = True  # it looked past the login
        if error is not None:
            raise error
        return reply

    async def _exchange(
        self,
        read: Read,
        auth: DigestAuth | None,
        *,
        path: str,
        read_body: bool,
        limit_s: float = READ_LIMIT_S,
    ) -> HttpReply:
        """Send one request and read its reply; keeps the books about silence and schemes."""
        url = f"{self._base}{path or read.path}"
        headers = [("Content-Type", "application/json")] if read.body else []
        if auth is not None:
            headers.append(("Authorization", auth.authorization(read.method, request_uri(url), read.body)))
        try:
            response = await self._client.request(
                read.method,
                url,
                headers=headers,
                content=read.body,
                extensions={
                    "operation": read.name,
                    "limit_s": limit_s,
                    "max_bytes": MAX_REPLY,
                    "read_body": read_body,
                    "follow": auth is None,
                },
            )
        except (TimedOut, Unreachable) as error:
            self._silences += 1
            if self._silences >= SILENCES:
                self.stopped = error
            raise
        reply = seen(response)
        self._silences = 0
        self.last_http = reply
        if auth is not None:
            auth.accept_info(reply.header("authentication-info"))
        elif reply.url != url:
            there, asked = urlsplit(reply.url), urlsplit(url)
            if (there.path, there.query) == (asked.path, asked.query):
                self._base = f"{there.scheme}://{there.netloc}"
        if reply.status == 401:
            offered = parse_challenges(reply.all("www-authenticate"))
            self.schemes.update(dict.fromkeys(challenge.label for challenge in offered))
        return reply


def _by_status(read: Read, reply: HttpReply, peer: str) -> AdapterError | None:
    """Return what a status alone means, None for a good one."""
    where = {"peer": peer, "operation": read.name}
    status = reply.status
    if status == 200:
        return None
    if status in {401, 403}:
        return PermissionDenied(
            f"{read.name}: the account may not read this (HTTP {status})",
            hint="Give the account the right to read this setting, or leave it unchecked",
            **where,
        )
    if status in {400, 404, 405, 406, 410, 501}:
        return Unsupported(f"{read.name}: the device does not have it (HTTP {status})", **where)
    if 300 <= status < 400:
        return RemoteProtocolError(
            f"{read.name}: {peer} redirects elsewhere (HTTP {status})",
            reason=Reason.NOT_THE_PROTOCOL,
            hint="Enter the address where the camera itself answers",
            **where,
        )
    return CameraFault(
        f"{read.name}: the device answers with HTTP {status}",
        fault=f"HTTP {status}",
        status=status,
        hint="Try again; restart the camera if it stays",
        **where,
    )


__all__ = [
    "MAX_REPLY",
    "MAX_STREAMS",
    "READ_LIMIT_S",
    "SILENCES",
    "Explain",
    "Notes",
    "Read",
    "ReadSession",
    "VendorStream",
    "always",
    "offset_s",
]
