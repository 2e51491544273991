"""uiprotect with its hands tied: one login, the console's state in one read, logout.

As shipped (25.0) the library logs in again after a 401, sends a request twice when the console hangs up (a login too),
repeats after 408, 429 and 5xx, follows redirects and can keep sessions on disk. Each of these is switched off here, and
the session refuses a second login in any case (`adapters.wire.library`).
"""

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import aiohttp
from uiprotect import ProtectApiClient
from uiprotect.exceptions import ClientError, NotAuthorized

from adapters.clock import Clock
from adapters.errors import PermissionDenied
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.library import quiet
from adapters.wire.library_probe import LoginRefused


class _Console(ProtectApiClient):  # type: ignore[misc,unused-ignore]  # untyped where the extra is not installed
    """A console that is logged in to once."""

    async def ensure_authenticated(self) -> None:
        """Do nothing: the login was made by `read_bootstrap`, and there is no second one."""

    async def _reauthenticate(self) -> None:
        """Refuse to log in again."""
        raise NotAuthorized("the session has ended")


async def read_bootstrap(
    session: aiohttp.ClientSession, target: Target, credential: Credential, clock: Clock
) -> tuple[Mapping[str, Any], datetime]:
    """Return the console's state as it gave it, and when it was asked.

    Raises:
        LoginRefused: the console refused the credential.
        PermissionDenied: it accepted it, but lets it read nothing.
        ClientError: what else the library found; `adapters.wire.library.typed` reads it.
    """
    quiet("uiprotect")
    console = _Console(
        target.host,
        target.port,
        username=credential.user,
        password=credential.password.reveal(),
        verify_ssl=True,  # decided by the session's own context, which verifies nothing
        session=session,
        public_api_session=session,
        store_sessions=False,
        max_retries=0,
    )
    try:
        await console.authenticate()
    except NotAuthorized as error:
        raise LoginRefused from error
    asked_at = clock.now()
    try:
        return await console.api_request_obj("bootstrap"), asked_at
    except NotAuthorized as error:
        raise PermissionDenied(
            f"Protect API reads: {target.authority} logged in, but this account may not read the console's state",
            peer=target.authority,
            operation="bootstrap",
            hint="Give the account the role that may view in Protect",
        ) from error
    finally:
        with contextlib.suppress(ClientError):  # the console forgets the session by itself
            await console.request("post", "/api/auth/logout", allow_redirects=False)
