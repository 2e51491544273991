"""One redactor for logs, errors and excerpts: what must never be written down, in one table.

Over-redacting is harmless, under-redacting is not: where a pattern is unsure it takes more.
"""

import hashlib
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from adapters.secret import Secret

DOTS = "•••"
EXCERPT_CHARS = 600  # of a reply, kept beside an observation

_ELEMENTS = (
    "Password|PasswordDigest|Passwd|Nonce|Key|PreSharedKey|PSK|Passphrase|PrivateKey|Credential"
    "|UserPassword|OldPassword|NewPassword"
)
_NAMES = (
    "password|passwd|pass|pwd|psw|secret|access_token|auth|authorization|sessionid|session_id"
    "|apikey|api_key|nonce|cnonce|response|digest|opaque|loginpas"
)

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user information of an address, up to the last @ of the word: passwords hold @ : / unescaped
    (re.compile(r"(?i)\b([a-z][a-z0-9+.\-]{0,20}:/{1,2})[^\s\"'<>]*@"), rf"\g<1>{DOTS}@"),
    # header lines and header-like pairs
    (
        re.compile(
            r"(?im)((?:proxy-)?authorization|cookie|set-cookie|www-authenticate|authentication-info)"
            r"([\"']?\s*[:=]\s*)[^\r\n]+"
        ),
        rf"\g<1>\g<2>{DOTS}",
    ),
    (re.compile(r"(?i)\b(digest|basic|bearer)\s+(?=[a-z0-9+/=_\-\"., ]{8})[^\r\n<]+"), rf"\g<1> {DOTS}"),
    # XML elements, with any prefix, also cut off
    (
        re.compile(rf"(?is)<((?:[\w.\-]+:)?(?:{_ELEMENTS}))(\s[^>]*)?(?<!/)>[^<]*"),
        rf"<\g<1>\g<2>>{DOTS}",
    ),
    # pairs in addresses, forms, header parameters and JSON; a bare token only as a parameter of an address,
    # because media profiles are named by token attributes
    (
        re.compile(
            rf"(?i)((?<![a-z0-9])(?:{_NAMES})[\"']?\s*[=:]\s*[\"']?|[?&](?:token|key)=)[^&\s\"'<>;,]+"
        ),
        rf"\g<1>{DOTS}",
    ),
)
_IDENTITY: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"(?is)<((?:[\w.\-]+:)?(?:SerialNumber|HardwareId|HwAddress|MACAddress|GUID))(\s[^>]*)?(?<!/)>[^<]*"
        ),
        rf"<\g<1>\g<2>>{DOTS}",
    ),
    (
        re.compile(r"(?i)(?<![0-9a-f:\-])(?:[0-9a-f]{2}[:\-]){5}[0-9a-f]{2}(?![0-9a-f:\-])"),
        DOTS,
    ),
)
# Control characters, and those that hide or turn text around in a report
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_SECRET_KEY = re.compile(
    r"(?i)(^|_)(password|passwd|secret|token|authorization|cookie|credential|nonce|private_key|api_key)($|_)"
)


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes secrets out of text. `secrets` are taken out wherever they stand, also percent-encoded.

    `identity` also takes out serial numbers and hardware addresses: for what leaves the hub.
    """

    secrets: tuple[Secret, ...] = ()
    identity: bool = False

    def text(self, text: str) -> str:
        """Return the text with every secret replaced by dots."""
        for secret in self.secrets:
            plain = secret.reveal()
            if len(plain) >= 3:  # shorter ones would blank half the text and are in no pattern-free place
                text = text.replace(plain, DOTS).replace(quote(plain, safe=""), DOTS)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        if self.identity:
            for pattern, replacement in _IDENTITY:
                text = pattern.sub(replacement, text)
        return text

    def excerpt(self, body: bytes, limit: int = EXCERPT_CHARS) -> tuple[str, str]:
        """Return a bounded, redacted, printable piece of a reply and the SHA-256 (hex) of that piece.

        Redaction comes before the cut, so that a secret at the edge is seen whole.
        """
        raw = body[: limit * 4].decode("utf-8", "replace")
        kept = self.text(_CONTROL.sub("\ufffd", raw))[:limit]
        return kept, hashlib.sha256(kept.encode()).hexdigest()

    def value(self, key: str, value: Any) -> Any:
        """Return a log value with secrets taken out, containers included."""
        if _SECRET_KEY.search(key):
            return DOTS
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        if isinstance(value, Mapping):
            return {name: self.value(str(name), inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(key, inner) for inner in value]
        return value

    def processor(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Redact a structlog event: put it just before the renderer."""
        return {key: self.value(key, value) for key, value in event.items()}


__all__ = ["DOTS", "EXCERPT_CHARS", "Redactor"]
