"""The VIGI adapter: challenge, one login, the stream port."""

import json
import re
from collections.abc import Mapping
from typing import Any

from adapters.errors import (
    AdapterError,
    AddressRefused,
    AuthenticationFailed,
    CameraFault,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from adapters.port import (
    ProbeContext,
    ProbeRequest,
    ProbeResult,
    Progress,
    StreamOffer,
)
from adapters.secret import Secret
from adapters.target import Target
from adapters.vigi import login
from adapters.wire import values
from adapters.wire.facts import FactBook, why
from adapters.wire.http import HttpClient, HttpReply
from adapters.wire.no_media import NoMedia
from adapters.wire.redaction import Redactor
from adapters.wire.vendor import REACH_LIMIT_S, REACH_READS, RTSP_PORT
from standards.reason import Reason

DO_AUTH = "VIGI doAuth"
STREAM_PORT = "VIGI getStreamPort"
READ_LIMIT_S = 5.0
MAX_REPLY = 256 << 10
NOT_PUBLIC = (
    "not asked: TP-Link does not publish the method list of this interface; give onvif://host to read it"
)
_PORT_BODY = json.dumps({"method": "getStreamPort"}, separators=(",", ":")).encode()
_PORT_NAME = re.compile(r"^(rtsp|stream)?_?port$", re.IGNORECASE)
_FACTS = ("service.ports", "service.rtsp_port")
# What the other vendor interfaces tell and this one, as far as it is published, does not.
_UNPUBLISHED = (
    "device.manufacturer",
    "device.model",
    "device.firmware",
    "device.serial",
    "device.hardware_id",
    "device.mac",
    "vendor.apis",
    "vendor.streams",
    "time.offset_s",
    "time.source",
    "time.ntp_servers",
    "time.zone_offset_min",
    "account.levels",
    "account.password_status",
    "account.lockout_enabled",
    "service.onvif",
    "service.https",
    "service.telnet",
    "service.ssh",
    "service.upnp",
    "service.p2p",
    "privacy.masks",
    "storage.present",
    "recording.mode",
)


class VigiAdapter(NoMedia):
    """Implements `adapters.port.Adapter` for ``vigi://``; holds nothing of any camera."""

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect what the device tells over OpenAPI. Never raises for a camera's fault."""
        return await _Probe(request, context).run()


class _Probe:
    """The state of one probe. Use once."""

    def __init__(self, request: ProbeRequest, context: ProbeContext) -> None:
        self._request = request
        self._context = context
        self._target = request.target
        secrets = (request.credential.password,) if request.credential is not None else ()
        self._facts = FactBook("vigi/1", request.target.authority, context.clock, Redactor(secrets))
        self._accepted = False
        self._last: HttpReply | None = None
        self._step = "address"

    async def run(self) -> ProbeResult:
        def count() -> None:
            self._context.courtesy.reads += 1

        failure: AdapterError | None = None
        offers: tuple[StreamOffer, ...] = ()
        async with HttpClient(
            self._context.dialer,
            self._context.clock,
            self._target.host,
            on_request=count,
            tap=self._context.tap,
        ) as http:
            try:
                offers = await self._steps(http)
            except AdapterError as error:
                failure = error
                self._tell("failed", str(error))
        self._conclude(failure, offers)
        return ProbeResult(self._facts.observations(), offers, None, failure)

    async def _steps(self, http: HttpClient) -> tuple[StreamOffer, ...]:
        self._tell("running", f"asking {self._target.authority} for its challenge", step="address")
        asked = await self._reach(http)
        self._facts.saw("vendor.family", "vigi", DO_AUTH)
        self._facts.saw("vendor.interface", "OpenAPI", DO_AUTH)
        self._tell("ok", "answers with OpenAPI")
        self._tell("running", "logging in", step="login")
        token = await self._log_in(http, asked)
        self._tell("ok", "logged in (digest-sha256)")
        self._tell("running", "asking for the stream port", step="picture")
        port = await self._stream_port(http, token)
        rtsp = Target("rtsp", self._target.host, port or RTSP_PORT)
        self._tell("ok", f"streams on port {rtsp.port}")
        # template 19 of the vendors' table: what VIGI cameras answer to
        return tuple(
            StreamOffer(
                Target(rtsp.scheme, rtsp.host, rtsp.port, f"/stream{number}"),
                layer,
                media_profile_token=f"stream{number}",
                video_source_token="1",  # noqa: S106  a channel number
            )
            for number, layer in ((1, "main"), (2, "sub"))
        )

    def _tell(self, state: str, detail: str, *, step: str = "") -> None:
        self._step = step or self._step
        self._context.progress(Progress(self._step, state, detail))

    async def _reach(self, http: HttpClient) -> login.Challenge:
        """Ask three times for a challenge: reachability. Return the last one."""
        answers, slowest_s = 0, 0.0
        last: AdapterError | None = None
        asked: login.Challenge | None = None
        for _attempt in range(REACH_READS):
            try:
                reply = await self._post(http, "/", login.CHALLENGE_BODY, DO_AUTH, REACH_LIMIT_S)
            except (Unreachable, TimedOut) as error:
                if isinstance(error, Unreachable) or last is not None:
                    last = error
                    break
                last = error
                continue
            except AdapterError as error:
                if not answers:
                    self._facts.failed(("reach.answers", "reach.slowest_s"), error, DO_AUTH)
                raise
            answers += 1
            slowest_s = max(slowest_s, reply.took_s)
            asked = self._challenge(reply)
        if asked is None:
            assert last is not None
            self._facts.failed(("reach.answers", "reach.slowest_s"), last, DO_AUTH)
            raise last
        self._facts.saw("reach.answers", answers, DO_AUTH)
        self._facts.saw("reach.slowest_s", round(slowest_s, 3), DO_AUTH)
        return asked

    def _challenge(self, reply: HttpReply) -> login.Challenge:
        if reply.status not in {200, 401}:
            raise RemoteProtocolError(
                f"{DO_AUTH}: {self._target.authority} answers with HTTP {reply.status}, not with OpenAPI",
                reason=Reason.NOT_THE_PROTOCOL,
                peer=self._target.authority,
                operation=DO_AUTH,
                hint="Switch on OpenAPI in the camera under Settings > Network > OpenAPI",
            )
        return login.challenge(self._json(reply, DO_AUTH), DO_AUTH)

    async def _log_in(self, http: HttpClient, asked: login.Challenge) -> Secret:
        """Make the action's one credential-bearing attempt and return the token."""
        credential, peer = self._request.credential, self._target.authority
        if credential is None:
            raise AuthenticationFailed(
                f"{DO_AUTH}: {peer} wants a login and none was supplied",
                scheme="digest-sha256",
                credential_sent=False,
                peer=peer,
                operation=DO_AUTH,
                hint="Supply the camera's user name and password",
            )
        await self._context.gate.admit(self._context.device)
        self._context.courtesy.logins += 1
        reply = await self._post(http, "/", login.answer(asked, credential), DO_AUTH, READ_LIMIT_S)
        refused = reply.status in {401, 403}  # whatever stands in its body
        told = {} if refused else self._json(reply, DO_AUTH)
        code = login.error_code(told)
        token = login.token(told)
        if reply.status == 200 and code == 0 and token is not None:
            self._accepted = True
            return token
        if refused or (code is not None and code != 0):
            self._facts.saw("credential.accepted", False, DO_AUTH)
            until = await self._context.gate.refused(self._context.device)
            raise AuthenticationFailed(
                f"{DO_AUTH}: {peer} refused the supplied login (digest-sha256); "
                f"nothing more is tried before {until:%H:%M:%S} UTC",
                scheme="digest-sha256",
                credential_sent=True,
                peer=peer,
                operation=DO_AUTH,
                hint="Check user name and password",
            )
        raise RemoteProtocolError(
            f"{DO_AUTH}: the answer to the login holds no token",
            reason=Reason.NOT_THE_PROTOCOL,
            peer=peer,
            operation=DO_AUTH,
            hint="Update the camera's firmware, or use its ONVIF address",
        )

    async def _stream_port(self, http: HttpClient, token: Secret) -> int | None:
        """Read the RTSP port; the token in the path is never told to anybody."""
        try:
            reply = await self._post(http, f"/stok={token.reveal()}", _PORT_BODY, STREAM_PORT, READ_LIMIT_S)
            told = self._json(reply, STREAM_PORT)
            code = login.error_code(told)
            if reply.status != 200 or code not in {0, None}:
                raise CameraFault(
                    f"{STREAM_PORT}: the device answers with HTTP {reply.status}, error {code}",
                    fault=f"errCode {code}",
                    status=reply.status,
                    operation=STREAM_PORT,
                    hint="The usual port 554 is tried",
                )
        except AdapterError as error:
            self._facts.failed(_FACTS, error, STREAM_PORT)
            if isinstance(error, (TimedOut, Unreachable, AddressRefused, TlsFailed)):
                raise
            return None
        port = _port_in(told)
        if port is None:
            detail = f"{STREAM_PORT}: the answer does not tell it"
            self._facts.missed(_FACTS, Reason.EMPTY_REPLY, detail, STREAM_PORT)
            return None
        self._facts.saw("service.rtsp_port", port, STREAM_PORT, reply)
        self._facts.saw(
            "service.ports", ({"name": "rtsp", "enabled": None, "port": port},), STREAM_PORT, reply
        )
        return port

    async def _post(
        self, http: HttpClient, path: str, body: bytes, operation: str, limit_s: float
    ) -> HttpReply:
        reply = await http.request(
            "POST",
            f"https://{self._target.authority}{path}",
            operation=operation,
            deadline=self._request.deadline,
            limit_s=limit_s,
            headers=[("Content-Type", "application/json")],
            body=body,
            max_bytes=MAX_REPLY,
            again=False,
        )
        self._last = reply
        return reply

    def _json(self, reply: HttpReply, operation: str) -> Mapping[str, Any]:
        return values.json_object(reply.body, operation, self._target.authority)

    def _conclude(self, failure: AdapterError | None, offers: tuple[StreamOffer, ...]) -> None:
        facts, step = self._facts, "OpenAPI probe"
        facts.saw("target.interfaces", ("vigi", "rtsp") if offers else ("vigi",), step)
        if self._last is not None:
            facts.saw("http.auth_schemes", ("digest-sha256",), DO_AUTH)
            facts.saw("http.tls", self._last.tls or "none", DO_AUTH)
            if self._last.tls_seen is not None:
                for fact, value in self._last.tls_seen.facts("tls", self._context.clock.now()).items():
                    facts.saw(fact, value, DO_AUTH)
        if self._accepted:
            facts.saw("credential.accepted", True, DO_AUTH)
        elif self._request.credential is None:
            facts.missed(
                ("credential.accepted",), Reason.NO_CREDENTIAL, "no credential was supplied", DO_AUTH
            )
        elif failure is not None:
            facts.failed(("credential.accepted",), failure, DO_AUTH)
        if failure is None:
            facts.saw("vendor.quirks", (), step)
        else:
            reason, detail = why(failure)
            opened = (
                "vendor.family",
                "vendor.interface",
                "vendor.quirks",
                "reach.answers",
                "reach.slowest_s",
            )
            facts.missed((*_FACTS, *opened), reason, detail, step)
        facts.missed(_UNPUBLISHED, Reason.NOT_ASKED, NOT_PUBLIC, step)


def _port_in(told: Any, depth: int = 0) -> int | None:
    """Return the first port that an answer names: its form is not published, the word ``port`` is."""
    if not isinstance(told, Mapping) or depth > 4:
        return None
    for name, value in told.items():
        if _PORT_NAME.match(str(name)) and (port := values.port(value)) is not None:
            return port
    return next((found for value in told.values() if (found := _port_in(value, depth + 1)) is not None), None)


__all__ = ["NOT_PUBLIC", "VigiAdapter"]
