"""The one attempt to log in: chosen by the challenge, admitted by the gate, never repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.errors import AuthenticationFailed
from adapters.port import ProbeContext
from adapters.secret import Credential
from adapters.wire.digest import Challenge, DigestAuth, choose


@dataclass(slots=True)
class Accepted:
    """Authorisations that the camera accepted; later sessions of the same action begin with them."""

    rtsp: DigestAuth | None = None
    http: DigestAuth | None = None  # of the HTTP head of a tunnel, where the camera guards that as well


class Attempt:
    """Logs in on behalf of one session."""

    def __init__(self, context: ProbeContext, credential: Credential | None, peer: str, *, tls: bool) -> None:
        """Prepare. `tls`: what is sent cannot be read on the way, so that Basic may be answered."""
        self._context = context
        self._credential = credential
        self._peer = peer
        self._tls = tls
        self.scheme = ""  # that was answered, as in reports: digest-md5

    async def answer(self, challenges: Sequence[Challenge], operation: str) -> DigestAuth:
        """Choose the answer to the first challenge and ask the gate for the one attempt.

        Raises:
            AuthenticationFailed: there is no credential, or none that may be sent; nothing was sent.
            CoolingDown: the gate says no.
        """
        offered = ", ".join(dict.fromkeys(challenge.label for challenge in challenges)) or "nothing"
        if self._credential is None:
            raise AuthenticationFailed(
                f"{operation} of {self._peer}: the camera wants a login and no credential was supplied",
                scheme=offered,
                credential_sent=False,
                peer=self._peer,
                operation=operation,
                hint="Enter the user name and password of an account that may view",
            )
        challenge = choose(challenges, tls=self._tls)
        if challenge is None:
            why = "which cannot be answered" if self._tls else "and no password is sent in the clear"
            raise AuthenticationFailed(
                f"{operation} of {self._peer}: the camera offers {offered}, {why}",
                scheme=offered,
                credential_sent=False,
                peer=self._peer,
                operation=operation,
                hint="Switch Digest authentication on in the camera's RTSP settings",
            )
        await self._context.gate.admit(self._context.device)
        self.scheme = challenge.label
        self._context.courtesy.logins += 1
        return DigestAuth(self._credential, challenge)

    async def refused(self, operation: str, *, accepted_before: bool) -> AuthenticationFailed:
        """Start the cool-down and return the error."""
        until = await self._context.gate.refused(self._context.device)
        what = "no longer accepts" if accepted_before else "refused"
        return AuthenticationFailed(
            f"{operation} of {self._peer}: the camera {what} the user name and password; nothing more is sent "
            f"before {until:%H:%M:%S} UTC",
            scheme=self.scheme,
            credential_sent=True,
            peer=self._peer,
            operation=operation,
            hint="Check user name and password, and that the account may use RTSP",
        )
