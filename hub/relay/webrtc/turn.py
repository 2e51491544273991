"""TURN (RFC 8656) for browsers whose network lets nothing through to the relay: short-lived credentials, nothing more.

The server is somebody else's program (coturn: ``use-auth-secret``, ``static-auth-secret``). A credential is the time at which
it ends and the viewer's session, signed with the shared secret; it is given with the answer, to those who may watch.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from adapters.secret import Secret

TTL_S: Final = 3600
# turn:host[:port][?transport=udp|tcp] (RFC 7065 3.1); the host without what would end a header's quoted form
_URL = re.compile(r"(turns?):(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?")
_STUN = re.compile(r"(stuns?):(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class TurnAddress:
    """One address of a TURN server."""

    url: str
    host: str
    port: int
    transport: str  # udp | tcp
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "TurnAddress":
        """Read an address (RFC 7065).

        Raises:
            ValueError: it is none; says what one looks like.
        """
        found = _URL.fullmatch(url.strip())
        if found is None or not 0 < int(found[3] or 3478) < 65536:
            raise ValueError(f"{url!r} is not an address such as turn:turn.example.vn:3478?transport=udp")
        tls = found[1] == "turns"
        return cls(
            url.strip(),
            found[2].strip("[]"),
            int(found[3] or (5349 if tls else 3478)),
            found[4] or ("tcp" if tls else "udp"),
            tls,
        )


@dataclass(frozen=True, slots=True)
class TurnSetup:
    """Which servers browsers are told of, and the secret shared with them."""

    urls: tuple[str, ...] = ()  # turn:, turns: and stun: addresses
    secret: Secret = field(default=Secret(""))

    def addresses(self) -> list[TurnAddress]:
        """Return the TURN addresses, without those of STUN servers."""
        return [TurnAddress.parse(url) for url in self.urls if not _STUN.fullmatch(url)]

    def credential(self, viewer_id: str, now_unix_s: float, ttl_s: int = TTL_S) -> tuple[str, Secret]:
        """Return user name and password for one viewer session (draft-uberti-behave-turn-rest-00 2.2)."""
        user = f"{int(now_unix_s) + ttl_s}:{viewer_id}"
        signed = hmac.digest(self.secret.reveal().encode(), user.encode(), hashlib.sha1)
        return user, Secret(base64.b64encode(signed).decode())

    def links(self, viewer_id: str, now_unix_s: float) -> list[str]:
        """Return the values of ``Link`` headers that tell a WHEP client its ICE servers (RFC 9725 4.6)."""
        out: list[str] = []
        for url in self.urls:
            if _STUN.fullmatch(url):
                out.append(f'<{url}>; rel="ice-server"')
                continue
            user, password = self.credential(viewer_id, now_unix_s)
            out.append(
                f'<{url}>; rel="ice-server"; username="{user}"; credential="{password.reveal()}"; credential-type="password"'
            )
        return out


def checked_url(url: str) -> str:
    """Return an address of an ICE server.

    Raises:
        ValueError: it is none.
    """
    text = url.strip()
    return text if _STUN.fullmatch(text) else TurnAddress.parse(text).url
