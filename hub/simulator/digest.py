"""Digest authentication, the server's side (RFC 7616; RFC 2617 without qop for old RTSP clients)."""

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from adapters.clock import Clock

_PARAMETER = re.compile(
    r'([A-Za-z][A-Za-z0-9_-]{0,31})\s*=\s*(?:"((?:[^"\\]|\\.){0,2048})"|([^\s,"]{1,512}))'
)
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_MAX_NONCES = 2048
_MAX_COUNTS = 4096  # requests on one nonce before a new one is asked for


class Login(Enum):
    """How a request's credential was judged."""

    NONE = "none"  # carries no Digest credential
    ACCEPTED = "accepted"
    REFUSED = "refused"  # wrong user, password, address or a replayed request
    STALE = "stale"  # right, but on a nonce that is no longer valid


@dataclass(slots=True)
class _Nonce:
    issued_s: float
    counts: set[int] = field(default_factory=set)


class DigestVerifier:
    """Issues nonces and verifies Authorization headers for one service of one camera."""

    def __init__(
        self,
        clock: Clock,
        realm: str,
        algorithms: Sequence[str],
        nonce_lifetime_s: float | None,
    ) -> None:
        self._clock = clock
        self._realm = realm
        self._algorithms = tuple(algorithms)
        self._lifetime_s = nonce_lifetime_s
        self._nonces: OrderedDict[str, _Nonce] = OrderedDict()

    def challenges(self, *, stale: bool = False) -> list[str]:
        """Return the WWW-Authenticate values for a new nonce, strongest first (RFC 7616 section 3.7)."""
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = _Nonce(self._clock.monotonic())
        while len(self._nonces) > _MAX_NONCES:
            self._nonces.popitem(last=False)
        tail = ", stale=true" if stale else ""
        return [
            f'Digest realm="{self._realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"{tail}'
            for algorithm in self._algorithms
        ]

    def forget_nonces(self) -> None:
        """Make every nonce stale, as a camera does that restarts or rotates them."""
        self._nonces.clear()

    def verify(self, header: str | None, method: str, uri: str, user: str, password: str) -> Login:
        """Judge one Authorization header of a request `method uri`."""
        if header is None or not header.lower().startswith("digest "):
            return Login.NONE if header is None else Login.REFUSED
        given = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
            for name, quoted, plain in _PARAMETER.findall(header[7:8192])
        }
        algorithm = given.get("algorithm", "MD5").upper()
        if (
            algorithm not in self._algorithms
            or given.get("username") != user
            or given.get("realm") != self._realm
        ):
            return Login.REFUSED
        if not _same_resource(given.get("uri", ""), uri):
            return Login.REFUSED
        nonce = given.get("nonce", "")

        def digest(text: str) -> str:
            return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()

        first = digest(f"{user}:{self._realm}:{password}")
        second = digest(f"{method}:{given['uri']}")
        qop = given.get("qop")
        if qop == "auth":
            count_text, client_nonce = given.get("nc", ""), given.get("cnonce", "")
            if not re.fullmatch(r"[0-9a-fA-F]{8}", count_text) or not client_nonce:
                return Login.REFUSED
            expected = digest(f"{first}:{nonce}:{count_text}:{client_nonce}:auth:{second}")
            count = int(count_text, 16)
        elif qop is None and algorithm == "MD5":
            # RFC 2617 section 3.2.2.1: a client of RFC 2069 ignores qop; RTSP clients in the field still do
            expected = digest(f"{first}:{nonce}:{second}")
            count = None
        else:
            return Login.REFUSED
        if not hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode()):
            return Login.REFUSED
        known = self._nonces.get(nonce)
        if known is None or self._is_old(known):
            return Login.STALE
        if count is not None:
            if count in known.counts:
                return Login.REFUSED  # a replay (RFC 7616 section 3.4, nc)
            if len(known.counts) >= _MAX_COUNTS:
                return Login.STALE
            known.counts.add(count)
        return Login.ACCEPTED

    def _is_old(self, nonce: _Nonce) -> bool:
        return self._lifetime_s is not None and self._clock.monotonic() - nonce.issued_s > self._lifetime_s


def _same_resource(given: str, requested: str) -> bool:
    """Tell whether the digest's uri names what was requested; an absolute and a relative form may meet."""
    if not given:
        return False
    if given == requested:
        return True
    return _path(given) == _path(requested)


def _path(uri: str) -> str:
    match = re.match(r"^[a-z][a-z0-9+.-]*://[^/]*(.*)$", uri, re.IGNORECASE)
    path = match.group(1) if match else uri
    return path or "/"
