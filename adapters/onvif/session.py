"""The conversation with one device: every request, every login, every reply goes through here.

Read-only by construction: an operation outside the closed list is refused before a byte is made; subscriptions and
PTZ pass only in a session that was made with an `Actuation` for a municipal camera. One login attempt per action, by the scheme that the device's anonymous challenge shows; never a second scheme.
"""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    CameraFault,
    CoolingDown,
    LocalProtocolError,
    PermissionDenied,
    TimedOut,
    Unreachable,
    Unsupported,
)
from adapters.onvif import requests, templates
from adapters.onvif.operations import (
    ACTUATION_OPERATIONS,
    GET_ENDPOINT_REFERENCE,
    READ_OPERATIONS,
    Operation,
)
from adapters.onvif.reply import Challenged, Refusal, Reply, complete, read
from adapters.port import Actuation, ProbeContext
from adapters.secret import Credential
from adapters.wire.digest import DigestAuth, choose
from adapters.wire.http import HttpClient, HttpReply

READ_LIMIT_S = 5.0
SILENCES = 2  # consecutive time-outs (or lost connections) after which a device is left alone


@dataclass(slots=True)
class Login:
    """The state of the one login of an action."""

    credential: Credential | None
    scheme: str = ""  # digest-md5, digest-sha256, ..., wsse; "" until chosen
    accepted: bool = False
    failure: AdapterError | None = None  # why nothing with a credential is sent any more
    digest: DigestAuth | None = None
    challenges: dict[str, Refusal] = field(default_factory=dict)  # latest refusal by service


class OnvifSession:
    """Asks one device. `clock_offset` is the device's clock minus ours, for WS-UsernameToken."""

    def __init__(
        self,
        http: HttpClient,
        endpoint: str,
        credential: Credential | None,
        context: ProbeContext,
        deadline: Deadline,
        *,
        actuation: Actuation | None = None,
    ) -> None:
        self._http = http
        self._context = context
        self._deadline = deadline
        self._actuates = actuation is not None and actuation.municipal
        self._bare_content_type = False  # quirk 33
        self.reference_parameters = b""  # of a subscription: sent back in the header (WS-Addressing 1.0, 3.3)
        self.endpoints = {"device": endpoint}
        self.named_endpoints: dict[str, str] = {}  # as the device calls them, where that is said to it again
        self.login = Login(credential)
        self.clock_offset = timedelta()
        self.stopped: AdapterError | None = None
        self.last_http: HttpReply | None = None  # latest reply of any kind
        self.answered: set[Operation] = set()  # operations that were answered at least once
        self.spoke = False  # a SOAP envelope came back at least once
        self.schemes: dict[str, None] = {}  # every scheme that was offered, in order
        self.quirks: dict[str, None] = {}
        self._silences = 0
        self._silence: AdapterError | None = None  # the latest of them

    def url(self, operation: Operation) -> str:
        """Return where an operation goes: its service's address, else the device service's."""
        return self.endpoints.get(operation.service, self.endpoints["device"])

    @property
    def tls(self) -> bool:
        """Tell whether the device service is asked over TLS."""
        return self.endpoints["device"].startswith("https:")

    async def ask(
        self,
        operation: Operation,
        body: bytes,
        *,
        anonymous: bool = False,
        limit_s: float = READ_LIMIT_S,
        fragile: bool = False,
    ) -> Reply:
        """Send one read and return its answer, logging in once where the device wants it.

        `anonymous` never logs in and never carries the login. `fragile` marks requests that crash some devices.

        Raises:
            Challenged: `anonymous`, and the device wants a login.
            AuthenticationFailed, CoolingDown: no login, or refused; nothing with a credential is sent any more.
            PermissionDenied: logged in, but this account may not read this.
            TimedOut, Unreachable, RemoteProtocolError, CameraFault, Unsupported: as they say.
        """
        if operation not in READ_OPERATIONS and not (self._actuates and operation in ACTUATION_OPERATIONS):
            raise LocalProtocolError(f"{operation} is not one of the operations that may be sent here")
        if self.stopped is None and self._deadline.over:
            self.stopped = self._silence or TimedOut(f"{operation}, with no time left", waited_s=0.0)
        if self.stopped is not None:
            raise self.stopped
        if anonymous:
            return await self._exchange(operation, body, None, limit_s, fragile)
        if self.login.accepted:
            return await self._logged_in(operation, body, limit_s, fragile)
        challenged = self.login.challenges.get(operation.service)
        if challenged is None:
            try:
                return await self._exchange(operation, body, None, limit_s, fragile)
            except Challenged as error:
                challenged = error.refusal
        return await self._log_in(operation, body, challenged, limit_s, fragile)

    async def _log_in(
        self, operation: Operation, body: bytes, challenged: Refusal, limit_s: float, fragile: bool
    ) -> Reply:
        """Make the action's one credential-bearing attempt, with this operation."""
        login, peer = self.login, challenged.peer
        if login.failure is not None:
            raise login.failure
        try:
            await self._choose(challenged, operation)
        except (AuthenticationFailed, CoolingDown) as error:
            login.failure = error
            raise
        self._context.courtesy.logins += 1
        try:
            try:
                reply = await self._exchange(operation, body, login, limit_s, fragile)
            except Challenged as again:
                stale = next((challenge for challenge in again.challenges if challenge.stale), None)
                if login.digest is None or stale is None or not login.digest.renewable(stale):
                    raise
                login.digest.renew(stale)  # RFC 7616 section 3.3: the answer was right, the nonce too old
                reply = await self._exchange(operation, body, login, limit_s, fragile)
        except Challenged as again:
            until = await self._context.gate.refused(self._context.device)
            hint = "Check user name and password; some cameras keep a separate ONVIF account"
            if again.locked:
                hint = "The camera says that the account is locked: wait, then check user name and password"
            elif login.scheme == "wsse" and abs(self.clock_offset) > timedelta(minutes=5):
                hint = f"{hint}. The camera's clock is far off, which alone can make it refuse: set its clock"
            login.failure = AuthenticationFailed(
                f"{operation}: {peer} refused the supplied login ({login.scheme}); "
                f"nothing more is tried before {until:%H:%M:%S} UTC",
                scheme=login.scheme,
                credential_sent=True,
                peer=peer,
                operation=str(operation),
                hint=hint,
            )
            raise login.failure from again
        except Unsupported:
            login.accepted = True  # it looked past the login
            raise
        except AdapterError as error:
            login.failure = error  # the attempt was made, its outcome is not known: no second one
            raise
        login.accepted = True
        return reply

    async def _choose(self, challenged: Refusal, operation: Operation) -> None:
        """Choose the scheme from the challenge and ask the gate; nothing is sent here."""
        login, peer = self.login, challenged.peer
        if login.credential is None:
            raise AuthenticationFailed(
                f"{operation}: {peer} wants a login and none was supplied",
                scheme=", ".join(challenged.schemes),
                credential_sent=False,
                peer=peer,
                operation=str(operation),
                hint="Supply the camera's ONVIF user name and password",
            )
        chosen = choose(challenged.challenges, self.url(operation).startswith("https:"))
        if chosen is not None:
            login.scheme, login.digest = chosen.label, DigestAuth(login.credential, chosen)
        elif not challenged.challenges and challenged.schemes:
            login.scheme = "wsse"
        else:
            offered = ", ".join(challenged.schemes)
            what = f"offers {offered}, by which a password would travel readable; it was not sent"
            raise AuthenticationFailed(
                f"{operation}: {peer} {what if offered else f'refuses with HTTP {challenged.status} and names no login'}",
                scheme=offered,
                credential_sent=False,
                peer=peer,
                operation=str(operation),
                hint="Enable Digest in the camera, or use its HTTPS address",
            )
        await self._context.gate.admit(self._context.device)

    async def _logged_in(self, operation: Operation, body: bytes, limit_s: float, fragile: bool) -> Reply:
        """Send a read within the accepted login; a new nonce is answered once."""
        try:
            try:
                return await self._exchange(operation, body, self.login, limit_s, fragile)
            except Challenged as error:
                digest = self.login.digest
                renewed = choose(error.challenges, self.tls) if digest is not None else None
                if digest is None or renewed is None or not digest.renewable(renewed):
                    raise
                digest.renew(renewed)
                return await self._exchange(operation, body, self.login, limit_s, fragile)
        except Challenged as error:
            raise PermissionDenied(
                f"{operation}: {error.peer} accepted the login but does not allow this read",
                peer=error.peer,
                operation=str(operation),
                hint="Give the account the right to read media and system information",
            ) from error

    async def _exchange(
        self, operation: Operation, body: bytes, login: Login | None, limit_s: float, fragile: bool
    ) -> Reply:
        """Send one request and read its reply; keeps the books about silence, schemes and quirks."""
        url = self.url(operation)
        kind = "application/soap+xml; charset=utf-8"
        if not self._bare_content_type:
            kind = f'{kind}; action="{operation.action}"'  # quirk 32
        header, headers = b"", [("Content-Type", kind)]
        if login is not None and login.credential is not None and login.digest is None:
            created = self._context.clock.now() + self.clock_offset
            header = templates.username_token(login.credential, created, secrets.token_bytes(16))
        if operation.addressed:
            header += requests.addressing(operation, self.named_endpoints.get(operation.service, url))
            if operation.service == "subscription":
                header += self.reference_parameters
        content = templates.envelope(body, header)
        if login is not None and login.digest is not None:
            headers.append(
                ("Authorization", login.digest.authorization("POST", self._http.request_uri(url), content))
            )
        try:
            http = await self._http.request(
                "POST",
                url,
                operation=operation.label,
                deadline=self._deadline,
                limit_s=limit_s,
                headers=headers,
                body=content,
                complete=complete,
                follow=login is None,
                again=not fragile,
            )
        except (TimedOut, Unreachable) as error:
            if not fragile:
                self._silences += 1
                self._silence = error
            if self._silences >= SILENCES:
                self.stopped = error
            raise
        self._silences, self._silence = 0, None
        self.last_http = http
        if b"[action]" in http.body and login is None and not self._bare_content_type:
            # quirk 33 (Illustra): "The [action] cannot be processed at the receiver."
            self._bare_content_type = True
            self.quirks["no_action_in_content_type"] = None
            return await self._exchange(operation, body, login, limit_s, fragile)
        if http.url != url:
            self.endpoints[operation.service] = http.url  # redirected on the enrolled host
        if login is not None and login.digest is not None and (info := http.header("authentication-info")):
            login.digest.accept_info(info)
        try:
            reply = read(operation, http, http.peer)
        except Challenged as error:
            self.spoke = self.spoke or bool(error.fault)
            self.schemes.update(dict.fromkeys(error.schemes))
            if login is None and operation is not GET_ENDPOINT_REFERENCE:
                self.login.challenges[operation.service] = error.refusal
            raise
        except Unsupported:
            self.spoke = True
            raise
        except CameraFault as error:
            self.spoke = self.spoke or not error.fault.startswith("HTTP ")
            raise
        self.spoke = True
        self.answered.add(operation)
        if reply.quirks:
            self.quirks.update(dict.fromkeys(reply.quirks))
        return reply


__all__ = ["READ_LIMIT_S", "SILENCES", "Login", "OnvifSession"]
