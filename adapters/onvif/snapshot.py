"""Still pictures over HTTP: the anonymous test, the login by the challenge, and the picture itself, bounded."""

from dataclasses import dataclass
from datetime import datetime

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    BadTarget,
    CameraFault,
    PermissionDenied,
    RemoteProtocolError,
)
from adapters.port import ProbeContext
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.digest import Challenge, DigestAuth, choose, parse_challenges
from adapters.wire.http import MAX_PICTURE, HttpClient, HttpReply, request_uri
from standards.reason import Reason

OPERATION = "HTTP GET snapshot"
LIMIT_S = 5.0  # STR-13: a still within 5 s
_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One still picture, as the camera sent it."""

    body: bytes
    content_type: str  # image/jpeg or image/png, by its first bytes
    taken_at: datetime  # UTC, when it was asked for


async def fetch_snapshot(
    target: Target, credential: Credential | None, context: ProbeContext, deadline: Deadline
) -> Snapshot:
    """Fetch a still from the address that a probe returned.

    Raises:
        BadTarget: the target is no HTTP address.
        AuthenticationFailed, CoolingDown: no login, a refused one, or one that must not be sent.
        CameraFault: the camera answers with an error status.
        RemoteProtocolError: `malformed_media`: what came is no JPEG or PNG picture; or as the HTTP client says.
        TimedOut, Unreachable, TlsFailed, AddressRefused: as they say.
    """
    if target.scheme not in {"http", "https"}:
        raise BadTarget(
            f"{target.scheme}:// is no snapshot address", hint="Take the address that a probe gave"
        )

    def count() -> None:
        context.courtesy.reads += 1

    async with HttpClient(context.dialer, context.clock, target.host, on_request=count) as http:
        reply = await anonymous_get(http, target, deadline, read_body=True)
        if reply.status == 401:
            reply = await login_get(
                http, reply, credential, context, deadline, read_body=True, login_accepted=False
            )
    if reply.status != 200:
        raise CameraFault(
            f"{OPERATION}: {target.authority} answers with HTTP {reply.status}",
            fault=f"HTTP {reply.status}",
            status=reply.status,
            peer=target.authority,
            operation=OPERATION,
            hint="Take a still from the stream instead",
        )
    kind = next((name for magic, name in _KINDS.items() if reply.body.startswith(magic)), "")
    if not kind or "body_cut_short" in reply.quirks:
        raise RemoteProtocolError(
            f"{OPERATION}: {target.authority} sent {len(reply.body)} bytes that are no whole picture",
            reason=Reason.MALFORMED_MEDIA,
            peer=target.authority,
            operation=OPERATION,
            hint="Take a still from the stream instead",
        )
    return Snapshot(reply.body, kind, reply.started_at)


async def anonymous_get(
    http: HttpClient, target: Target, deadline: Deadline, *, read_body: bool = False
) -> HttpReply:
    """Ask for the picture without a credential. By default its bytes are never read. Raises as the client does."""
    return await http.request(
        "GET",
        target.url,
        operation=OPERATION,
        deadline=deadline,
        limit_s=LIMIT_S,
        max_bytes=MAX_PICTURE,
        read_body=read_body,
        follow=True,
    )


def offered(reply: HttpReply) -> tuple[Challenge, ...]:
    """Return the challenges of a refusal."""
    return parse_challenges(reply.all("www-authenticate"))


async def login_get(
    http: HttpClient,
    refusal: HttpReply,
    credential: Credential | None,
    context: ProbeContext,
    deadline: Deadline,
    *,
    read_body: bool,
    login_accepted: bool,
) -> HttpReply:
    """Answer the challenge of a refusal, once.

    `login_accepted`: the device accepted this credential in this action already, so that a refusal here is one of
    authorisation and starts no cool-down.

    Raises:
        AuthenticationFailed: nothing was sent (no credential, or only Basic without TLS), or it was refused.
        PermissionDenied: refused although the login was accepted elsewhere.
        CoolingDown: the gate lets nothing pass; and as the client does.
    """
    url = refusal.url
    peer = url.split("://", 1)[-1].split("/", 1)[0]
    challenges = offered(refusal)
    labels = ", ".join(challenge.label for challenge in challenges) or "no scheme"
    if credential is None:
        raise AuthenticationFailed(
            f"{OPERATION}: {peer} wants a login and none was supplied",
            scheme=labels,
            credential_sent=False,
            peer=peer,
            operation=OPERATION,
            hint="Supply the camera's user name and password",
        )
    chosen = choose(challenges, url.startswith("https:"))
    if chosen is None:
        raise AuthenticationFailed(
            f"{OPERATION}: {peer} offers {labels}, by which a password would travel readable; it was not sent",
            scheme=labels,
            credential_sent=False,
            peer=peer,
            operation=OPERATION,
            hint="Enable Digest in the camera, or use its HTTPS address",
        )
    await context.gate.admit(context.device)
    if not login_accepted:
        context.courtesy.logins += 1  # within an accepted login this opens nothing
    auth = DigestAuth(credential, chosen)

    async def attempt() -> HttpReply:
        return await http.request(
            "GET",
            url,
            operation=OPERATION,
            deadline=deadline,
            limit_s=LIMIT_S,
            headers=[("Authorization", auth.authorization("GET", request_uri(url)))],
            max_bytes=MAX_PICTURE,
            read_body=read_body,
        )

    reply = await attempt()
    if reply.status == 401:
        stale = next((item for item in offered(reply) if item.stale), None)
        if stale is not None and auth.renewable(stale):
            auth.renew(stale)
            reply = await attempt()
    if reply.status != 401:
        return reply
    raise await _refusal(peer, chosen.label, context, login_accepted)


async def _refusal(peer: str, scheme: str, context: ProbeContext, login_accepted: bool) -> AdapterError:
    if login_accepted:
        return PermissionDenied(
            f"{OPERATION}: {peer} accepted the login for ONVIF but not for its snapshot address",
            peer=peer,
            operation=OPERATION,
            hint="Give the account the right to view pictures",
        )
    until = await context.gate.refused(context.device)
    return AuthenticationFailed(
        f"{OPERATION}: {peer} refused the supplied login ({scheme}); "
        f"nothing more is tried before {until:%H:%M:%S} UTC",
        scheme=scheme,
        credential_sent=True,
        peer=peer,
        operation=OPERATION,
        hint="Check user name and password",
    )


__all__ = ["LIMIT_S", "OPERATION", "Snapshot", "anonymous_get", "fetch_snapshot", "login_get", "offered"]
