"""reolink-aio with its hands tied: one login over HTTPS, one batch of Get commands, logout.

As shipped (0.22) the library repeats a login POST up to three times after errors and time-outs, logs in again when a
command is refused, falls back to its own protocol on port 9000 outside the given session, switches ports on there, and
`get_host_data` tries RTSP addresses in turn and corrects a setting. Each of these doors is closed by an override; the
session closes the last one (`adapters.wire.library`).
"""

from collections.abc import Mapping
from typing import Any

import aiohttp
from reolink_aio.api import Host
from reolink_aio.exceptions import CredentialsInvalidError, LoginError, ReolinkError

from adapters.deadline import Deadline
from adapters.errors import CameraFault, RemoteProtocolError
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.library import quiet
from adapters.wire.library_probe import LoginRefused
from standards.reason import Reason

_HOST_READS = ("GetDevInfo", "GetNetPort", "GetUser", "GetTime", "GetNtp", "GetHddInfo", "GetP2p", "GetUpnp")
_CHANNEL_READS = ("GetEnc", "GetRtspUrl", "GetMask", "GetRecV20")
_FULL = -5  # rspCode: too many sessions are open


class _Host(Host):  # type: ignore[misc,unused-ignore]  # untyped where the extra is not installed
    """A host that logs in once, never retries, and has no other protocol."""

    def __init__(
        self, session: aiohttp.ClientSession, target: Target, credential: Credential, limit_s: float
    ) -> None:
        host = f"[{target.host}]" if ":" in target.host else target.host
        super().__init__(
            host,
            credential.user,
            credential.password.reveal(),
            port=target.port,
            use_https=True,
            timeout=max(1, int(limit_s)),
            aiohttp_get_session_callback=lambda: session,
        )
        self.baichuan.cmd_funcs = {}  # no command has a second way on port 9000
        self.said_to_login: Any = None

    async def send_chunk(self, body: Any, param: Any, expected_response_type: Any, retry: int) -> Any:
        """Send once, whatever number of retries was meant."""
        reply = await super().send_chunk(body, param, expected_response_type, 1)
        if body and body[0].get("cmd") == "Login":
            self.said_to_login = reply
        return reply

    async def _login_open_port(self) -> None:
        """Refuse to log in again, to ask port 9000, and to switch ports on."""
        if self._token is None:
            raise LoginError("not logged in")

    async def expire_session(self, unsubscribe: bool = True) -> None:
        """Forget the login; nothing is sent."""
        self.clear_token()


async def read_all(
    session: aiohttp.ClientSession, target: Target, credential: Credential, deadline: Deadline
) -> list[Mapping[str, Any]]:
    """Return the replies to the read commands, each as the device gave it.

    Raises:
        LoginRefused: the device refused the credential.
        CameraFault: too many sessions are open on the device.
        RemoteProtocolError: the replies are no list of commands.
        ReolinkError: what else the library found; `adapters.wire.library.typed` reads it.
    """
    quiet("reolink_aio")
    host = _Host(session, target, credential, deadline.remaining_s())
    await _log_in(host, target)
    try:
        replies = _checked(
            await host.send(_body(_HOST_READS, credential.user), expected_response_type="json"), target
        )
        for channel in range(min(_channels(replies), 64)):
            asked = [{"cmd": cmd, "action": 0, "param": {"channel": channel}} for cmd in _CHANNEL_READS]
            try:
                more = _checked(await host.send(asked, expected_response_type="json"), target)
            except ReolinkError:
                break  # what the host told stands
            replies += [{**one, "channel": channel} for one in more]
        return replies
    finally:
        await host._logout_http()


async def _log_in(host: _Host, target: Target) -> None:
    try:
        await host.login()
    except CredentialsInvalidError as error:
        raise LoginRefused from error
    except LoginError as error:
        said = host.said_to_login
        first = said[0] if isinstance(said, list) and said and isinstance(said[0], Mapping) else {}
        fault = first.get("error") if isinstance(first.get("error"), Mapping) else {}
        if fault and fault.get("rspCode") == _FULL:
            raise CameraFault(
                f"HTTP API login: {target.authority} has too many open sessions",
                fault="max session",
                hint="Close other clients of this camera, or wait an hour",
                peer=target.authority,
                operation="HTTP API login",
            ) from error
        if first.get("cmd") == "Login" and first.get("code"):
            raise LoginRefused from error
        raise


def _body(commands: tuple[str, ...], user: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [{"cmd": cmd, "action": 0, "param": {}} for cmd in commands]
    return [*told, {"cmd": "GetAbility", "action": 0, "param": {"User": {"userName": user}}}]


def _checked(told: Any, target: Target) -> list[Mapping[str, Any]]:
    if not isinstance(told, list) or not all(isinstance(one, Mapping) for one in told):
        raise RemoteProtocolError(
            f"HTTP API: the reply of {target.authority} is no list of commands",
            reason=Reason.NOT_THE_PROTOCOL,
            peer=target.authority,
            operation="HTTP API reads",
        )
    return list(told)


def _channels(replies: list[Mapping[str, Any]]) -> int:
    for one in replies:
        info = one.get("value", {}).get("DevInfo", {}) if isinstance(one.get("value"), Mapping) else {}
        number = info.get("channelNum") if isinstance(info, Mapping) else None
        if isinstance(number, int) and number > 0:
            return number
    return 1
