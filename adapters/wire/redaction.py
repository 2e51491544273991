"""One map of what must never be written down, for logs, errors, excerpts of observations and captures.

`KEYS` names the fields that hold such values, in XML, JSON, forms and ``key=value`` replies; `SHAPES` are values that
are known by their look. `Redactor` puts dots in their place. `adapters.wire.masking` uses the same map for captured
bundles and puts values of the same shape there.

Over-redacting is harmless, under-redacting is not: where a pattern is unsure it takes more.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from adapters.secret import Credential, Secret

DOTS = "•••"
EXCERPT_CHARS = 600  # of a reply, kept beside an observation


class Kind(StrEnum):
    """What a value is that is taken out."""

    SECRET = "secret"  # noqa: S105  passwords and keys
    TOKEN = "token"  # noqa: S105  nonces, session identifiers, responses: worth nothing later, but consistent
    USER = "user"
    SERIAL = "serial"
    MAC = "mac"
    UUID = "uuid"
    NAME = "name"  # of cameras, channels, hosts, people; texts in the picture
    PLACE = "place"
    SSID = "ssid"
    EMAIL = "email"
    ADDRESS = "address"


# Field names as alternatives of a regular expression, without case: the last part of a dotted key, the local name of
# an element. Sources: ONVIF Core and Media schemas, ISAPI, Dahua CGI, VAPIX param.cgi, Reolink and VIGI JSON.
KEYS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.SECRET: (
            "password|passwd|passphrase|pass|pwd|psw|secret|loginpas|psk|presharedkey|wpapsk|privatekey|private_key"
            "|userpassword|oldpassword|newpassword|passworddigest|credential|apikey|api_key|verificationcode"
            "|activationcode|secretkey|encryptionkey|stok"
        ),
        Kind.TOKEN: (
            "nonce|cnonce|opaque|response|digest|auth|authorization|access_token|refresh_token|sessionid"
            "|session_id|sessionkey|csrftoken|securitytoken"
        ),
        Kind.USER: "username|user_name|userid|loginname|login|user|account|pppoeuser|owner|useraccount",
        Kind.SERIAL: (
            "serialnumber|serialno|serial|sn|hardwareid|guid|deviceid|device_id|subserialnumber|telecontrolid|uid"
            "|cloudid|easycloudid|p2pid|eseeid|devsn|encodersn|imei|imsi|iccid"
        ),
        Kind.MAC: "hwaddress|macaddress|physicaladdress|mac|mac_addr|macaddr|bssid",
        Kind.NAME: (
            "devicename|channelname|machinename|hostname|friendlyname|displayname|displaytext|plaintext|osdtext"
            "|nickname|alias|name|domainname|ddnsdomain|string|channeltitle|phonenumber|mobile|telephone"
            "|contact|staffname|camname|devname|computername|storageuri|localpath"
        ),
        Kind.PLACE: (
            "location|devicelocation|latitude|longitude|lat|lon|elevation|address_text|city|street|sysname_location"
            "|installplace|geolocation|contactaddress"
        ),
        Kind.SSID: "ssid|essid|wifissid|wifi_ssid|networkname",
        Kind.EMAIL: "emailaddress|mailaddress|email|sender|receiver|mailto",
    }
)

_ELEMENTS = f"{KEYS[Kind.SECRET]}|nonce|key"
_NAMES = f"{KEYS[Kind.SECRET]}|{KEYS[Kind.TOKEN]}"

USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.\-]{0,20}:/{1,2})(?P<value>[^\s\"'<>]*)@")
MAC = re.compile(
    r"(?i)(?<![0-9a-f:\-])(?P<value>(?:[0-9a-f]{2}([:\-]))(?:[0-9a-f]{2}\2){4}[0-9a-f]{2})(?![0-9a-f:\-])"
)
UUID = re.compile(
    r"(?i)(?<![0-9a-f])(?P<value>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-f])"
)
EMAIL = re.compile(
    r"(?<![\w.+\-/:@])(?P<value>[A-Za-z0-9][\w.+\-]{0,63}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,4})"
)
IPV4 = re.compile(r"(?<![\d.])(?P<value>(?:\d{1,3}\.){3}\d{1,3})(?!\d|\.\d)")
IPV6 = re.compile(
    r"(?i)(?<![0-9a-f:.])(?P<value>(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w{1,16})?)(?![0-9a-f:])"
)
SCOPE = re.compile(
    r"(?i)(?P<head>onvif://[^\s<\"'/]+/(?:[^\s<\"']{0,200}?/)?(?P<key>name|location)/)(?P<value>[^\s<\"']+)"
)
SHAPES: Mapping[Kind, re.Pattern[str]] = MappingProxyType({Kind.MAC: MAC, Kind.UUID: UUID, Kind.EMAIL: EMAIL})


def element_rule(keys: str) -> re.Pattern[str]:
    """Return the pattern of an XML element with one of these local names, also where it is cut off."""
    return re.compile(
        rf"(?is)(?P<head><(?:[\w.\-]{{1,40}}:)?(?:{keys})(?:\s[^>]{{0,400}})?(?<!/)>)(?P<value>[^<]*)"
    )


def _words(names: str) -> frozenset[str]:
    """Return the words of letters and digits that names begin with: one stands, whole, in every match of a name."""
    return frozenset(name.partition("_")[0] for name in names.split("|"))


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern, what stands for its match, and what a text must hold (in lower case) for it to match at all.

    A look for a few parts and words costs a hundredth of a search by these patterns, and an excerpt of a camera's
    reply nearly always holds none of them.
    """

    pattern: re.Pattern[str]
    replacement: str
    parts: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()

    def may_match(self, lowered: str, words: Iterable[str]) -> bool:
        """Tell whether the pattern can match in a text of these words."""
        return not self.words.isdisjoint(words) or any(map(lowered.__contains__, self.parts))


_PATTERNS: tuple[_Rule, ...] = (
    # user information of an address, up to the last @ of the word: passwords hold @ : / unescaped
    _Rule(USERINFO, rf"\g<1>{DOTS}@", parts=("@",)),
    # header lines and header-like pairs
    _Rule(
        re.compile(
            r"(?im)((?:proxy-)?authorization|cookie|set-cookie|www-authenticate|authentication-info)"
            r"([\"']?\s*[:=]\s*)[^\r\n]+"
        ),
        rf"\g<1>\g<2>{DOTS}",
        parts=("authorization", "cookie", "authenticat"),
    ),
    _Rule(
        re.compile(r"(?i)\b(digest|basic|bearer)\s+(?=[a-z0-9+/=_\-\"., ]{8})[^\r\n<]+"),
        rf"\g<1> {DOTS}",
        parts=("digest", "basic", "bearer"),
    ),
    _Rule(element_rule(_ELEMENTS), rf"\g<head>{DOTS}", words=_words(_ELEMENTS)),
    # pairs in addresses, forms, header parameters and JSON; a bare token only as a parameter of an address,
    # because media profiles are named by token attributes
    _Rule(
        re.compile(
            rf"(?i)((?<![a-z0-9])(?:{_NAMES})[\"']?\s*[=:]\s*[\"']?|[?&](?:token|key)=|;stok=)[^&\s\"'<>;,]+"
        ),
        rf"\g<1>{DOTS}",
        parts=("?token=", "&token=", "?key=", "&key="),
        words=_words(_NAMES),
    ),
)
# What any of them needs: of most texts one look at it says that there is nothing to take out
_PARTS = tuple(part for rule in _PATTERNS for part in rule.parts)
_WORDS = frozenset(word for rule in _PATTERNS for word in rule.words)
_WORD = re.compile("[0-9a-z]+")
# The same for ASCII: every other character becomes a blank
_BLANKED = "".join(char if char.isalnum() else " " for char in map(chr, range(128)))
# Letters that match i, s and k without case, unlike their lower case, and blanks beyond ASCII: no words are looked for
_FOLDED = re.compile("[\u0130\u0131\u017f\u212a\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_IDENTITY: tuple[tuple[re.Pattern[str], str], ...] = (
    *(
        (element_rule(KEYS[kind]), rf"\g<head>{DOTS}")
        for kind in (Kind.SERIAL, Kind.MAC, Kind.SSID, Kind.EMAIL, Kind.PLACE)
    ),
    (SCOPE, rf"\g<head>{DOTS}"),
    *((pattern, DOTS) for pattern in SHAPES.values()),
)
# Control characters, and those that hide or turn text around in a report
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_ASCII_CONTROL = bytes({*range(32), 127} - {9, 10})  # those of them that one byte holds
_SECRET_KEY = re.compile(
    r"(?i)(^|_)(password|passwd|secret|token|authorization|cookie|credential|nonce|private_key|api_key|csrf|ticket)"
    r"($|_)"
)


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes secrets out of text. `secrets` are taken out wherever they stand, also percent-encoded.

    `identity` also takes out serial numbers, hardware addresses, networks, places and e-mail: for what leaves the hub.
    """

    secrets: tuple[Secret, ...] = ()
    identity: bool = False

    def text(self, text: str) -> str:
        """Return the text with every secret replaced by dots."""
        for secret in self.secrets:
            plain = secret.reveal()
            if len(plain) >= 3:  # shorter ones would blank half the text and are in no pattern-free place
                text = text.replace(plain, DOTS)
                if "%" in text:
                    text = text.replace(quote(plain, safe=""), DOTS)
        lowered = text.lower()
        plain_ascii = text.isascii()
        every = not plain_ascii and _FOLDED.search(text) is not None
        words = lowered.translate(_BLANKED).split() if plain_ascii else _WORD.findall(lowered)
        if every or not _WORDS.isdisjoint(words) or any(map(lowered.__contains__, _PARTS)):
            for rule in _PATTERNS:
                if every or rule.may_match(lowered, words):
                    text = rule.pattern.sub(rule.replacement, text)
        if self.identity:
            for pattern, replacement in _IDENTITY:
                text = pattern.sub(replacement, text)
        return text

    def excerpt(self, body: bytes, limit: int = EXCERPT_CHARS) -> tuple[str, str]:
        """Return a bounded, redacted, printable piece of a reply and the SHA-256 (hex) of that piece.

        Redaction comes before the cut, so that a secret at the edge is seen whole.
        """
        piece = body[: limit * 4]
        raw = piece.decode("utf-8", "replace")
        if not piece.isascii() or len(piece.translate(None, _ASCII_CONTROL)) != len(piece):
            raw = _CONTROL.sub("\ufffd", raw)
        kept = self.text(raw)[:limit]
        return kept, hashlib.sha256(kept.encode()).hexdigest()

    def value(self, key: str, value: Any) -> Any:
        """Return a log value with secrets taken out, containers included."""
        if _SECRET_KEY.search(key) or isinstance(value, (Secret, Credential)):
            return DOTS
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode("utf-8", "replace"))
        if isinstance(value, Mapping):
            return {name: self.value(str(name), inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            inside = [self.value(key, inner) for inner in value]
            return tuple(inside) if isinstance(value, tuple) else inside
        return value

    def processor(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Redact a structlog event: put it just before the renderer."""
        return {key: self.value(key, value) for key, value in event.items()}


__all__ = ["DOTS", "EXCERPT_CHARS", "KEYS", "SHAPES", "Kind", "Redactor"]
