"""HTTP and RTSP authentication, client side: Digest (RFC 7616, RFC 2617, RFC 2069) and Basic (RFC 7617).

Pure computing: nothing here reads a socket or a clock. The caller owns the rule of one credential-bearing
attempt per action; this module only answers the challenge that it is given, and never answers Basic without TLS.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from adapters.secret import Credential

# Bounds on what a device may make us keep: far above any real challenge.
MAX_HEADER = 8192
MAX_CHALLENGES = 8
MAX_PARAMETERS = 32

# A word (RFC 9110 section 5.6.2, token), and the value that makes it a parameter: a quoted string, also one that does not
# end, else a bare word up to the next separator.
_PIECE = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
    r"(?:[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*(?:\\\Z)?)\"?|([^, \t\"]*)))?",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# Wire name of the algorithm -> name for hashlib, best first. ONVIF Core 5.9.3 asks for SHA-256 beside MD5.
_HASHES: Mapping[str, str] = MappingProxyType(
    {"SHA-256": "sha256", "SHA-512-256": "sha512_256", "MD5": "md5"}
)
_RANK = tuple(_HASHES)
# The constructors by hashlib's name; those of common hashes cost a third of `hashlib.new`.
_HASHERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"sha256": hashlib.sha256, "md5": hashlib.md5, "sha512_256": partial(hashlib.new, "sha512_256")}
)


class Terms(NamedTuple):
    """What a challenge asks for, apart from its realm and nonce."""

    algorithm: str  # upper case, without ``-sess``; MD5 where the challenge names none
    per_session: bool
    qop: tuple[str, ...]  # lower case
    known: bool  # hash and qop can be computed


@lru_cache(maxsize=64)  # cameras ask for few
def _terms(algorithm: str, qop: str) -> Terms:
    """Read the parameters of these names."""
    name = algorithm.strip().upper() or "MD5"
    plain = name.removesuffix("-SESS")
    offered = tuple(part for part in (item.strip().lower() for item in qop.split(",")) if part)
    known = plain in _HASHES and _HASHES[plain] in hashlib.algorithms_available
    return Terms(
        plain, plain != name, offered, known and (not offered or "auth" in offered or "auth-int" in offered)
    )


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a ``WWW-Authenticate`` header. Unknown parameters are kept and ignored (quirk 1)."""

    scheme: str  # lower case: digest, basic, or what the device invented
    parameters: Mapping[str, str] = field(default_factory=dict)  # names in lower case, values unquoted

    @property
    def realm(self) -> str:
        """Return the realm, "" where the device names none."""
        return self.parameters.get("realm", "")

    @property
    def nonce(self) -> str:
        """Return the nonce, "" where there is none."""
        return self.parameters.get("nonce", "")

    @property
    def stale(self) -> bool:
        """Tell whether the device says that only the nonce was too old (RFC 7616 section 3.3)."""
        return self.parameters.get("stale", "").lower() == "true"

    @property
    def terms(self) -> Terms:
        """Return what the challenge asks for."""
        return _terms(self.parameters.get("algorithm", ""), self.parameters.get("qop", ""))

    @property
    def label(self) -> str:
        """Return the word for reports: ``digest-md5``, ``digest-sha256``, ``basic``, else the scheme."""
        if self.scheme != "digest":
            return self.scheme
        return "digest-" + self.terms.algorithm.lower().replace("-", "")

    @property
    def answerable(self) -> bool:
        """Tell whether a Digest answer can be computed: hash and qop are known and a nonce is there."""
        return self.scheme == "digest" and bool(self.nonce) and self.terms.known


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Read all challenges from all ``WWW-Authenticate`` values, in the order of the device.

    One value may hold several challenges (RFC 9110 section 11.6.1), and several values may come. Nothing raises:
    what cannot be read is left out, because a device with one broken challenge often has a good one beside it
    (quirk 2).
    """
    found: list[Challenge] = []
    for value in values:
        if len(found) < MAX_CHALLENGES:
            _parse_value(value[:MAX_HEADER], found)
    return tuple(found[:MAX_CHALLENGES])


def _parse_value(text: str, found: list[Challenge]) -> None:
    """Read what one value holds: a word followed by = is a parameter of the scheme before it, any other a scheme."""
    scheme = ""
    parameters: dict[str, str] = {}
    for piece in _PIECE.finditer(text):
        word, quoted, plain = piece.groups()
        if not scheme or (quoted is None and plain is None):
            if scheme:
                found.append(Challenge(scheme, MappingProxyType(parameters)))
            scheme, parameters = word.lower(), {}
        elif len(parameters) < MAX_PARAMETERS:
            if quoted is not None and "\\" in quoted:
                quoted = _ESCAPED.sub(r"\1", quoted)
            parameters.setdefault(word.lower(), plain if quoted is None else quoted)
    if scheme:
        found.append(Challenge(scheme, MappingProxyType(parameters)))


def choose(challenges: Iterable[Challenge], tls: bool) -> Challenge | None:
    """Return the challenge to answer: SHA-256 before MD5, the plain variant before ``-sess``, else the first.

    Basic is chosen only over TLS and only where no Digest can be answered. None: nothing may be answered.
    """
    offered = tuple(challenges)
    usable = [challenge for challenge in offered if challenge.answerable]
    if usable:
        return min(usable, key=_preference)
    if tls:
        return next((challenge for challenge in offered if challenge.scheme == "basic"), None)
    return None


def _preference(challenge: Challenge) -> tuple[int, bool]:
    terms = challenge.terms
    return _RANK.index(terms.algorithm), terms.per_session


class DigestAuth:
    """Answers one challenge for many requests: keeps the nonce and counts its uses.

    A Basic challenge (which `choose` returns over TLS only) is answered too, so that a caller has one object for
    the life of a login.
    """

    def __init__(
        self,
        credential: Credential,
        challenge: Challenge,
        *,
        new_cnonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        """Prepare to answer.

        Raises:
            ValueError: the challenge can be answered neither by Digest nor by Basic.
        """
        if not challenge.answerable and challenge.scheme != "basic":
            raise ValueError(f"a challenge of scheme {challenge.scheme!r} cannot be answered")
        self._credential = credential
        self._new_cnonce = new_cnonce
        self._nonce = challenge.nonce
        self._cnonce = new_cnonce()
        self._count = 0
        self._take(challenge)

    def _take(self, challenge: Challenge) -> None:
        """Work out what is the same in every answer to a challenge."""
        self._challenge = challenge
        if challenge.scheme == "basic":
            return
        terms = challenge.terms
        self._hasher = _HASHERS[_HASHES[terms.algorithm]]
        self._per_session = terms.per_session
        realm = challenge.realm
        self._secret = self._hash(
            f"{self._credential.user}:{realm}:{self._credential.password.reveal()}".encode()
        )
        self._qop = ""
        if terms.qop:
            self._qop = "auth" if "auth" in terms.qop else "auth-int"
        self._hashed = ("", "")
        self._head = ", ".join((*self._user_parameters(), f'realm="{_escape(realm)}"'))
        tail = ""
        if "algorithm" in challenge.parameters:
            tail += f", algorithm={challenge.parameters['algorithm'].strip()}"
        if "opaque" in challenge.parameters:
            tail += f', opaque="{_escape(challenge.parameters["opaque"])}"'
        if self._qop:
            tail += f", qop={self._qop}"
        self._tail = tail

    @property
    def challenge(self) -> Challenge:
        """Return the challenge that is being answered."""
        return self._challenge

    @property
    def nonce(self) -> str:
        """Return the nonce in use."""
        return self._nonce

    def authorization(self, method: str, uri: str, body: bytes = b"") -> str:
        """Return the value of ``Authorization`` for one request; each call counts one use of the nonce.

        `uri` must be exactly what stands in the request line (quirk 4: for RTSP the full URL).
        """
        if self._challenge.scheme == "basic":
            pair = f"{self._credential.user}:{self._credential.password.reveal()}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        self._count += 1
        nonce, cnonce, secret, qop = self._nonce, self._cnonce, self._secret, self._qop
        per_session = self._per_session
        if per_session:  # RFC 7616 section 3.4.2
            secret = self._hash(f"{secret}:{nonce}:{cnonce}".encode())
        request = f"{method}:{uri}"
        if qop == "auth-int":
            request = f"{request}:{self._hash(body)}"
        if self._hashed[0] != request:  # most reads go to the address of the read before
            self._hashed = (request, self._hash(request.encode()))
        request_hash = self._hashed[1]
        count = f"{self._count:08x}"
        if qop:
            response = self._hash(f"{secret}:{nonce}:{count}:{cnonce}:{qop}:{request_hash}".encode())
        else:  # RFC 2069: what nearly every RTSP camera speaks
            response = self._hash(f"{secret}:{nonce}:{request_hash}".encode())
        counted = f", nc={count}" if qop else ""
        if qop or per_session:
            counted += f', cnonce="{cnonce}"'
        return (
            f'Digest {self._head}, nonce="{_escape(nonce)}", uri="{_escape(uri)}", '
            f'response="{response}"{self._tail}{counted}'
        )

    def renewable(self, challenge: Challenge) -> bool:
        """Tell whether a later challenge may be answered by `renew`: only the nonce is new, nothing is weaker.

        The same nonce without ``stale`` means that the answer itself was refused.
        """
        if self._challenge.scheme != "digest" or not challenge.answerable:
            return False
        if challenge.realm != self._challenge.realm:
            return False
        if _RANK.index(challenge.terms.algorithm) > _RANK.index(self._challenge.terms.algorithm):
            return False
        return challenge.stale or challenge.nonce != self._nonce

    def renew(self, challenge: Challenge) -> None:
        """Go on with a later challenge of the same realm.

        Raises:
            ValueError: `renewable` says no (another realm, a weaker hash, Basic, or the same nonce again).
        """
        if not self.renewable(challenge):
            raise ValueError("this challenge does not renew the login: it refuses or weakens it")
        self._take(challenge)
        self._next(challenge.nonce)

    def accept_info(self, value: str) -> None:
        """Take ``nextnonce`` from an ``Authentication-Info`` value (RFC 7616 section 3.5), if there is one."""
        found: list[Challenge] = []
        _parse_value("info " + value[:MAX_HEADER], found)
        following = found[0].parameters.get("nextnonce", "") if found else ""
        if following and self._challenge.scheme == "digest":
            self._next(following)

    def _next(self, nonce: str) -> None:
        self._nonce = nonce
        self._cnonce = self._new_cnonce()
        self._count = 0

    def _hash(self, data: bytes) -> str:
        digest: str = self._hasher(data, usedforsecurity=False).hexdigest()
        return digest

    def _user_parameters(self) -> tuple[str, ...]:
        user = self._credential.user
        if self._challenge.parameters.get("userhash", "").lower() == "true":  # RFC 7616 section 3.4.4
            hashed = self._hash(f"{user}:{self._challenge.realm}".encode())
            return (f'username="{hashed}"', "userhash=true")
        told_utf8 = self._challenge.parameters.get("charset", "").upper() == "UTF-8"
        if told_utf8 and not user.isascii():
            return (f"username*=UTF-8''{quote(user, safe='')}",)
        return (f'username="{_escape(user)}"',)


def _escape(text: str) -> str:
    """Escape for a quoted-string; control characters, which no header may hold, are dropped."""
    if text.isprintable() and "\\" not in text and '"' not in text:
        return text
    kept = "".join(char for char in text if char >= " " and char != "\x7f")
    return kept.replace("\\", "\\\\").replace('"', '\\"')


__all__ = ["Challenge", "DigestAuth", "choose", "parse_challenges"]
