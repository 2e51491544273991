"""Redaction that keeps the shape: for captured bundles, which adapters must still be able to read.

The same value becomes the same replacement inside one bundle, and nothing of the original can be worked out from it:
replacements are made with a random key that is not kept. What is taken out stands in `adapters.wire.redaction.KEYS`.

Use: `learn` every text of the bundle, then `text` each. The first pass finds serial numbers, addresses and names by
their fields; the second takes them out wherever else they stand.
"""

import base64
import binascii
import hashlib
import hmac
import html
import ipaddress
import json
import re
import secrets
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus, unquote

from adapters.secret import Secret
from adapters.wire import redaction
from adapters.wire.redaction import KEYS, Kind, element_rule

CAMERA = "192.0.2.1"  # the enrolled host in every bundle (RFC 5737)
CAMERA_V6 = "2001:db8::1"
MASKED = "********"
_BASIC = base64.b64encode(b"masked:masked").decode()

# Common account names: no secret, and words that harmless text is full of
COMMON_USERS = frozenset(
    {
        "admin", "administrator", "root", "user", "onvif", "viewer", "view", "guest", "operator", "default",
        "camera", "service", "rtsp", "http", "https", "media", "video", "hub", "demo", "test", "live",
        "stream",
    }
)  # fmt: skip
# Values of "name" fields that are words of the protocol
_WORDS = re.compile(
    r"(?i)^(https?|rtsps?|rtmps?|ftps?|ssh|telnet|snmp(v\d)?|ntp|dns|onvif|upnp|ddns|smtp|websocket|eth\d*|wlan\d*"
    r"|ra\d*|lo|en\w{0,5}|any|none|null|true|false|auto|manual|dhcp|static|china|country|city|building|floor|room"
    r"|unknown|main|sub|default)$"
)
_SAYS_NOTHING = frozenset(
    {
        "true",
        "false",
        "enabled",
        "disabled",
        "0",
        "1",
        "none",
        "digest",
        "basic",
        "digest/basic",
        "any",
        "off",
        "on",
    }
)
_REALM_WORDS = frozenset(
    {
        "login", "to", "axis", "ip", "camera", "ipcamera", "rtsp", "server", "streaming", "media", "onvif",
        "device", "live555", "hikvision", "dahua", "realm", "www", "ds", "web", "http", "digest", "basic",
        "ch", "sim", "igd", "ipc", "dvr", "nvr", "the", "please", "log", "in", "with", "a", "valid",
        "username", "hipcam",
    }
)  # fmt: skip
_STANDARD_HOSTS = re.compile(
    r"(?i)(^|\.)(onvif\.org|w3\.org|oasis-open\.org|xmlsoap\.org|isapi\.org|ietf\.org|example|example\.com)$"
)
_URL_HOST = re.compile(
    r"(?i)(?P<head>\b(?:https?|rtsps?|rtmps?)://(?:[^\s/@\"'<>]{0,200}@)?)(?P<value>[a-z0-9_][a-z0-9_.\-]{0,252})"
)
_DIGEST_PARAMETER = re.compile(
    r"(?i)\b(?P<key>username|realm|nonce|cnonce|opaque|response)\s*=\s*(?P<quote>\"?)(?P<value>[^\",]*)(?P=quote)"
)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{8,4096}={0,2}")
_WORD = re.compile(r"[^\s\"'<>&;,=?/]+")
_LONG_WORD = re.compile(r"[^\s\"'<>]+")
_LINE = re.compile(r"[^\r\n]+")
_FIELD_NAME = re.compile(r"</?(?:[\w.\-]{1,40}:)?([\w.\-]{1,80})|\"([\w.\-]{1,80})\"\s*:")
_SDP_LINE = re.compile(r"(?m)^(?P<head>[iepu]=|s=|o=)(?P<value>[^\r\n]*)")
_SDP_NAMES = frozenset(
    {"media presentation", "rtsp session", "-", "", "session", "streaming", "media server"}
)


def _json_rule(keys: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?i)(?P<head>\"(?:{keys})\"\s*:\s*)(?:\"(?P<value>(?:[^\"\\]|\\.)*)\"?|(?P<number>-?\d[\d.eE+\-]*))"
    )


def _pair_rule(keys: str, before: str) -> re.Pattern[str]:
    """Return the pattern of ``key=value``: forms, addresses, Dahua's and VAPIX's lists, XML attributes."""
    return re.compile(
        rf"(?im)(?P<head>(?:(?<=[{before}])|^)(?:{keys})\s?=\s?)(?:\"(?P<value>[^\"<]*)\"?|(?P<plain>[^\"&\r\n<>]+))"
    )


_KEPT_PATTERN = 4096  # characters

# Not behind a blank: ONVIF writes Name="Sensitivity" for what is no name of anybody's
_NAME_PAIR = _pair_rule(KEYS[Kind.NAME], ".&?;")


class Masker:
    """Takes out what must not leave, in one bundle. Not for use by two bundles: the key is its own."""

    def __init__(
        self,
        *,
        passwords: Iterable[Secret] = (),
        users: Iterable[str] = (),
        hosts: Iterable[str] = (),
        keep: Iterable[str] = (),
    ) -> None:
        """Prepare. `keep` are the make, model and firmware, which stay even where they look like something else."""
        self._key = secrets.token_bytes(32)
        self._made: set[str] = set()
        self._masks: dict[tuple[Kind, str], str] = {}
        self._keep = {text.strip().casefold() for text in keep if text.strip()}
        self._kept_words = {word for text in self._keep for word in re.split(r"[^\w.\-]+", text) if word}
        self._kept_addresses = {
            found["value"] for text in self._keep for found in redaction.IPV4.finditer(text)
        }
        self._passwords = tuple(secret.reveal() for secret in passwords if secret)
        self._addresses: dict[bool, int] = {False: 1, True: 0}  # public -> how many were given
        self._hosts = 0
        self._known: re.Pattern[str] | None = None
        self._mask_of_known: dict[str, str] = {}
        self._vocabulary: set[str] = (
            set()
        )  # names of elements and keys: never replaced for being somebody's name
        self.failed = 0  # texts that were blanked whole
        for host in hosts:
            six = ":" in host
            self._masks[Kind.ADDRESS, host.lower()] = CAMERA_V6 if six else CAMERA
            self._made.add(CAMERA_V6 if six else CAMERA)
        for user in users:
            self._of(Kind.USER, user)
        for password in self._passwords:
            self._masks[Kind.SECRET, password] = MASKED
        self._made |= {MASKED, _BASIC}
        self._rules = self._table()

    # what people call

    def note(self, kind: Kind, value: str) -> None:
        """Take a value out everywhere, wherever it was learned."""
        self._of(kind, value)
        self._known = None

    def learn(self, text: str) -> None:
        """Find what has to be taken out everywhere. Call it with every text before the first `text`."""
        self._vocabulary.update(found[1] or found[2] for found in _FIELD_NAME.finditer(text))
        self.text(text)
        self._known = None

    def text(self, text: str) -> str:
        """Return the text with everything replaced; dots where anything goes wrong on the way."""
        return self._replaced(text, self._rules)

    def target(self, text: str) -> str:
        """Return the address of a request of ours: ``name=`` in it says which setting is asked for, nobody's name."""
        return self._replaced(text, tuple(rule for rule in self._rules if rule[0] is not _NAME_PAIR))

    def _replaced(
        self, text: str, rules: Iterable[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]
    ) -> str:
        try:
            text = self._without_known(text)
            for pattern, replace in rules:
                text = pattern.sub(replace, text)
            text = self._without_known(text)
            return self._without_residue(text)
        except Exception:  # noqa: BLE001  whatever failed must not let the text through
            self.failed += 1
            return re.sub(r"[^\s]", "•", text)

    def header(self, name: str, value: str) -> str:
        """Return the value of one header line of HTTP or RTSP."""
        lower = name.lower()
        try:
            if lower in {"authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"}:
                return self._authentication(value)
            if lower in {"cookie", "set-cookie", "set-cookie2"}:
                first, semicolon, rest = value.partition(";")
                key, equals, content = first.partition("=")
                if lower == "cookie":
                    return "; ".join(self._cookie(part) for part in value.split(";"))
                return f"{key}{equals}{self._of(Kind.TOKEN, content)}{semicolon}{self.text(rest)}"
            if lower in {"session", "x-sessioncookie", "authentication-info", "csrf-token", "x-csrf-token"}:
                token, semicolon, rest = value.partition(";")
                return f"{self._of(Kind.TOKEN, token.strip())}{semicolon}{rest}"
        except Exception:  # noqa: BLE001  as in `text`
            self.failed += 1
            return "•"
        return self.text(value)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many different values of each kind were replaced."""
        found: dict[str, int] = {}
        for kind, _original in self._masks:
            found[str(kind)] = found.get(str(kind), 0) + 1
        return dict(sorted(found.items()))

    def originals(self) -> list[tuple[Kind, str]]:
        """Return what must nowhere be found in the finished bundle: raw values, for the self-check only."""
        return [
            (kind, original)
            for (kind, original), mask in self._masks.items()
            if mask != original and self._everywhere(kind, original)
        ]

    # known values, wherever they stand

    def _everywhere(self, kind: Kind, original: str) -> bool:
        """Tell whether a value is particular enough to be taken out of any text."""
        if kind is Kind.SECRET and original in self._passwords:
            return True  # even where it reads like a replacement: nothing of the bundle will be right, but it is safe
        if original in self._made or original.casefold() in self._keep:
            return False
        if kind is Kind.SECRET:
            return len(original) >= 6 and any(map(str.isdigit, original))
        if kind is Kind.USER:
            return len(original) >= 3 and original.casefold() not in COMMON_USERS
        if kind in (Kind.MAC, Kind.UUID, Kind.EMAIL, Kind.ADDRESS):
            return True
        if kind in (Kind.SERIAL, Kind.TOKEN):
            return len(original) >= 6 and any(map(str.isdigit, original))
        return (
            len(original) >= 4
            and original not in self._vocabulary
            and (len(original) >= 8 or any(char.isspace() or ord(char) > 127 for char in original))
        )

    def _without_known(self, text: str) -> str:
        if self._known is None:
            self._compile()
        if self._known is None or not text:
            return text
        return self._known.sub(self._known_mask, text)

    def _known_mask(self, found: re.Match[str]) -> str:
        mask = self._mask_of_known.get(found[0]) or self._mask_of_known.get(found[0].lower()) or MASKED
        return mask.upper() if found[0].isupper() and mask.islower() else mask

    def _compile(self) -> None:
        """Build the one pattern of all known values in all their spellings, longest first."""
        self._mask_of_known = {}
        patterns: dict[str, None] = {}
        for (kind, original), mask in sorted(self._masks.items(), key=lambda item: -len(item[0][1])):
            if mask == original or not self._everywhere(kind, original):
                continue
            bounded = kind not in (Kind.SECRET, Kind.TOKEN)
            for spelling, spelled in _spellings(kind, original, mask):
                if not spelling or spelling in self._mask_of_known:
                    continue
                self._mask_of_known[spelling] = spelled
                self._mask_of_known.setdefault(spelling.lower(), spelled)
                escaped = re.escape(spelling)
                if kind is Kind.ADDRESS:
                    escaped = rf"(?<![\w.]){escaped}(?![\w]|\.\d)"
                elif bounded:
                    escaped = rf"(?<![^\W_]){escaped}(?![^\W_])"
                patterns[
                    f"(?i:{escaped})" if kind in (Kind.MAC, Kind.UUID) or "%" in spelling else escaped
                ] = None
        pattern = "|".join(sorted(patterns, key=len, reverse=True))
        self._known = re.compile(pattern) if pattern else None
        if len(pattern) > _KEPT_PATTERN:
            re.purge()  # else `re` keeps the last 512 of these, up to megabytes each

    def _without_residue(self, text: str) -> str:
        """Blank what holds a password in an encoding of its own: odd percent signs, references, base64.

        A word where that is enough, else what stands between blanks, else the line.
        """
        if not self._passwords:
            return text
        text = _BASE64.sub(self._decoded_base64, text)
        for piece in (_WORD, _LONG_WORD, _LINE):
            if not self._shows(text):
                break
            text = piece.sub(lambda found: MASKED if self._shows(found[0]) else found[0], text)
        return text

    def _shows(self, text: str) -> bool:
        """Tell whether a password can be read in a text, decoded or not."""
        if not any(sign in text for sign in "%&\\"):
            return any(secret in text for secret in self._passwords)
        return any(secret in view for view in views(text) for secret in self._passwords)

    def _decoded_base64(self, found: re.Match[str]) -> str:
        plain = unbase64(found[0])
        held = plain and any(secret.encode() in plain for secret in self._passwords)
        return self._shaped(Kind.TOKEN, found[0]) if held else found[0]

    # fields by name, values by look

    def _table(self) -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]:
        rules: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
            (redaction.USERINFO, lambda found: f"{found[1]}{self._userinfo(found['value'])}@"),
            (redaction.SCOPE, self._scope),
            (_SDP_LINE, self._sdp),
        ]
        for kind, keys in KEYS.items():
            rules += [
                (element_rule(keys), self._field(kind)),
                (_json_rule(keys), self._field(kind)),
                (_NAME_PAIR if kind is Kind.NAME else _pair_rule(keys, r".&?;\s\[\]"), self._field(kind)),
            ]
        rules += [
            (
                re.compile(r"(?i)(?P<head>(?:[?&](?:token|key)|;stok)=)(?P<value>[^&\s\"'<>;,/]+)"),
                self._field(Kind.TOKEN),
            ),
            (redaction.UUID, lambda found: self._of(Kind.UUID, found["value"])),
            (redaction.MAC, lambda found: self._of(Kind.MAC, found["value"])),
            (redaction.EMAIL, lambda found: self._of(Kind.EMAIL, found["value"])),
            (redaction.IPV4, lambda found: self._of(Kind.ADDRESS, found["value"])),
            (redaction.IPV6, lambda found: self._of(Kind.ADDRESS, found["value"])),
            (_URL_HOST, self._url_host),
        ]
        return tuple(rules)

    def _field(self, kind: Kind) -> Callable[[re.Match[str]], str]:
        def replaced(found: re.Match[str]) -> str:
            groups = found.groupdict()
            for name in ("value", "plain", "number"):
                value = groups.get(name)
                if value and name == "number":
                    return found[0][: found.start(name) - found.start()] + "0"
                if value:
                    start, end = found.start(name) - found.start(), found.end(name) - found.start()
                    return found[0][:start] + self._around(kind, value) + found[0][end:]
            return found[0]

        return replaced

    def _around(self, kind: Kind, value: str) -> str:
        """Replace a value but not the blanks around it; an escaped one is read before it is replaced."""
        inner = value.strip()
        if not inner:
            return value
        at = value.index(inner)
        plain = html.unescape(inner)
        mask = self._of(kind, plain)
        return value[:at] + (inner if mask == plain else mask) + value[at + len(inner) :]

    def _scope(self, found: re.Match[str]) -> str:
        kind = Kind.NAME if found["key"].lower() == "name" else Kind.PLACE
        parts = found["value"].split("/")
        masked = [part if _WORDS.match(part) else self._scope_part(kind, part) for part in parts]
        return found["head"] + "/".join(masked)

    def _scope_part(self, kind: Kind, part: str) -> str:
        plain = unquote(part)
        mask = self._of(kind, plain)
        return part if mask == plain else quote(mask, safe="")

    def _sdp(self, found: re.Match[str]) -> str:
        head, value = found["head"], found["value"]
        if head == "o=":
            user, blank, rest = value.partition(" ")
            return f"{head}{user if user == '-' else self._of(Kind.USER, user)}{blank}{rest}"
        if value.strip().casefold() in _SDP_NAMES or head == "u=":
            return found[0]
        return head + self._around(Kind.NAME, value)

    def _userinfo(self, value: str) -> str:
        if not value:
            return value
        user, colon, _password = value.partition(":")
        return f"{self._of(Kind.USER, unquote(user))}{colon}{MASKED if colon else ''}" if user else MASKED

    def _url_host(self, found: re.Match[str]) -> str:
        host, before = found["value"], found.string[max(0, found.start() - 40) : found.start()]
        namespace = re.search(
            r"(?:xmlns[:\w]*|Dialect|schemaLocation|Type|EncodingType)\s*=\s*[\"']$", before
        )
        if namespace or redaction.IPV4.fullmatch(host) or _STANDARD_HOSTS.search(host) or host in self._made:
            return found[0]
        return found["head"] + self._of(Kind.ADDRESS, host)

    def _authentication(self, value: str) -> str:
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() == "basic" and "=" not in rest.rstrip("="):
            return f"{scheme} {_BASIC}" if rest else scheme
        if scheme.lower() == "bearer":
            return f"{scheme} {self._of(Kind.TOKEN, rest)}"

        def parameter(found: re.Match[str]) -> str:
            key, mark, content = found["key"].lower(), found["quote"], found["value"]
            if key == "username":
                content = self._of(Kind.USER, content)
            elif key == "realm":
                content = self._realm(content)
            else:
                content = self._of(Kind.TOKEN, content)
            return f"{found['key']}={mark}{content}{mark}"

        return self._without_known(_DIGEST_PARAMETER.sub(parameter, value))

    def _realm(self, realm: str) -> str:
        """Mask a realm but for the words that makers put there: Dahua's holds the serial number, others a name."""

        def word(found: re.Match[str]) -> str:
            known = found[0].casefold() in _REALM_WORDS or found[0].casefold() in self._kept_words
            return found[0] if known else self._of(Kind.SERIAL, found[0])

        return re.sub(r"[^\W_]+", word, realm)

    def _cookie(self, part: str) -> str:
        key, equals, content = part.partition("=")
        return f"{key}{equals}{self._of(Kind.TOKEN, content)}" if equals else part

    # one value

    def _of(self, kind: Kind, original: str) -> str:
        """Return the replacement of a value, always the same one."""
        if not original or original in self._made or set(original) <= {"*", "•"}:
            return original
        key = original.lower() if kind in (Kind.MAC, Kind.UUID, Kind.ADDRESS) else original
        known = self._masks.get((kind, key))
        if known is None:
            known = self._mask(kind, original)
            if known != original:
                self._masks[kind, key] = known
                self._made.add(known)
                self._known = None if self._everywhere(kind, key) else self._known
        if kind in (Kind.MAC, Kind.UUID):
            self._made.add(known.upper())
            return known.upper() if original.isupper() else known
        return known

    def _mask(self, kind: Kind, original: str) -> str:
        if kind is Kind.ADDRESS:
            return self._address(original)
        if original.casefold() in self._keep or original.casefold() in _SAYS_NOTHING:
            return original
        if kind is Kind.SECRET:
            return MASKED
        if kind is Kind.MAC:
            return self._mac(original)
        if kind is Kind.UUID:
            return self._uuid(original)
        if kind is Kind.EMAIL:
            return f"{'x' * len(original.partition('@')[0])}@example.com"
        if kind is Kind.SERIAL and redaction.UUID.search(original):
            return redaction.UUID.sub(lambda found: self._of(Kind.UUID, found["value"]), original)
        if kind in (Kind.SERIAL, Kind.TOKEN):
            return self._shaped(kind, original)
        if kind is not Kind.SSID and _WORDS.match(original):
            return original
        if kind is Kind.NAME and self._says_only_what_it_is(original):
            return original
        return "".join(
            ("X" if char.isupper() else "x") if char.isalpha() else "0" if char.isdigit() else char
            for char in original
        )

    def _says_only_what_it_is(self, name: str) -> bool:
        """Tell whether a name is made of the device's make and model, as many are when nobody named it."""
        words = [word for word in re.split(r"[^\w.\-]+", name.casefold()) if word]
        return bool(words) and all(word in self._kept_words for word in words)

    def _stream(self, kind: Kind, original: str) -> bytes:
        """Return 64 bytes that only this masker makes of a value."""
        return hmac.digest(self._key, f"{kind}:{original}".encode("utf-8", "surrogateescape"), hashlib.sha512)

    def _shaped(self, kind: Kind, original: str) -> str:
        random = self._stream(kind, original)
        hexadecimal = re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", original) is not None
        out = []
        for index, char in enumerate(original):
            number = random[index % 64] + index // 64
            if char.isdigit():
                out.append(str(number % 10))
            elif char.isalpha():
                letter = "abcdef"[number % 6] if hexadecimal else "abcdefghijklmnopqrstuvwxyz"[number % 26]
                out.append(letter.upper() if char.isupper() else letter)
            else:
                out.append(char)
        return "".join(out)

    def _mac(self, original: str) -> str:
        digits = "".join(char for char in original.lower() if char in "0123456789abcdef")
        if len(digits) != 12 or digits in {"0" * 12, "f" * 12}:
            return original if not digits.strip("0f") else self._shaped(Kind.SERIAL, original)
        fresh = iter(digits[:6] + self._stream(Kind.MAC, digits).hex()[:6])
        return "".join(next(fresh) if char in "0123456789abcdef" else char for char in original.lower())

    def _uuid(self, original: str) -> str:
        """Change all digits but version and variant: the node is a hardware address in many cameras."""
        plain = original.lower()
        fresh = self._stream(Kind.UUID, plain).hex()
        return "".join(
            char if char == "-" or index in (14, 19) else fresh[index] for index, char in enumerate(plain)
        )

    def _address(self, original: str) -> str:
        if original in self._kept_addresses:
            return original
        try:
            ip = ipaddress.ip_address(original.partition("%")[0])
        except ValueError:
            if redaction.IPV4.fullmatch(original) or ":" in original:
                return original  # 999.1.2.3, 12:30:00: no address
            self._hosts += 1
            return f"host-{self._hosts}.example"
        if ip.is_loopback or ip.is_unspecified or ip.is_multicast or int(ip) >> (ip.max_prefixlen - 8) == 255:
            return original
        if ip.version == 4 and int(ip) < 1 << 24:
            return original  # 0.x.x.x: a version number or a mask
        public = ip.is_global
        self._addresses[public] += 1
        number = self._addresses[public] % 254 + (0 if self._addresses[public] < 254 else 1)
        if ip.version == 6:
            return f"{'fe80' if ip.is_link_local else '2001:db8'}::{number + 1:x}"
        if ip.is_link_local:
            return f"169.254.0.{number}"
        return f"{'203.0.113' if public else '192.0.2'}.{number}"


def _spellings(kind: Kind, original: str, mask: str) -> list[tuple[str, str]]:
    """Return the ways in which a value may be written, each with its replacement."""
    if kind is Kind.MAC:
        digits, masked = (re.sub(r"[^0-9a-f]", "", text) for text in (original, mask))
        return [
            (
                sign.join(digits[at : at + step] for at in range(0, 12, step)),
                sign.join(masked[at : at + step] for at in range(0, 12, step)),
            )
            for sign, step in ((":", 2), ("-", 2), ("", 12), (".", 4), ("%3A", 2))
        ]
    ways = [(original, mask)]
    encoded = {
        quote(original, safe=""),
        quote(original, safe="/"),
        quote(original),
        quote_plus(original),
        html.escape(original),
        html.escape(original, quote=False),
        json.dumps(original)[1:-1],
        json.dumps(original, ensure_ascii=False)[1:-1],
        original.encode("latin-1", "ignore").decode("utf-8", "surrogateescape"),
    } - {original, ""}
    ways += [(text, quote(mask, safe="*")) for text in sorted(encoded)]
    if kind is Kind.SECRET and len(original) >= 4:
        raw = original.encode()
        ways += [
            (text, MASKED)
            for text in (base64.b64encode(raw).decode().rstrip("="), raw.hex(), raw.hex().upper())
        ]
    return ways


def views(text: str) -> Iterable[str]:
    """Return a text as it reads after undoing what addresses, XML and JSON do to it, once and twice."""
    once = {text, unquote(text), html.unescape(text)}
    for view in tuple(once):
        once |= {unquote(view), html.unescape(view)}
        if "\\" in view:
            once.add(
                re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), view).replace("\\", "")
            )
    return once


def unbase64(text: str) -> bytes:
    """Return what a base64 text of either alphabet says, b"" where it is none."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return b""


__all__ = ["CAMERA", "CAMERA_V6", "COMMON_USERS", "MASKED", "Masker", "unbase64", "views"]
