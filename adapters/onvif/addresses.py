"""Addresses that a camera names: read tolerantly, and always led back to the enrolled host.

Cameras name LAN addresses behind NAT, 0.0.0.0, link-local addresses, doubled ports and credentials (quirks 17-22,
50, 51). The hub dials only the host that was enrolled; a camera decides no more than a port and a path on it.
"""

import html
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from adapters.target import Target

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_ADDRESS = re.compile(
    r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,15})://(?P<user>[^/?#]*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:/?#\[\]@]*)(?P<ports>(?::\d{0,5})*)(?P<path>[/?].*)?$"
)
_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_KEPT = (
    "/?&=;:@!$'()*+,-._~%[]|{}^`\\\"<>"  # sent as the camera wrote it; only blanks and non-ASCII are encoded
)
MAX_LENGTH = 2048
_MAX_OTHERS = 32
_MAX_READ = 64


@dataclass(frozen=True, slots=True)
class Named:
    """An address as a camera named it, without credentials."""

    scheme: str
    host: str
    port: int
    path: str
    quirks: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Return it as an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def read_named(text: str) -> Named | None:
    """Read one address out of what a camera sent, or None where there is none."""
    quirks: list[str] = []
    raw = text[: MAX_LENGTH * 2]
    plain = raw.strip()
    if "&amp;" in plain:
        plain = html.unescape(plain)
        quirks.append("address_escaped_twice")
    joined = _CONTROL.sub("", plain)
    if joined != plain or raw.strip(" ") != raw.strip():
        quirks.append("address_with_line_break")
    found = _ADDRESS.match(joined)
    if found is None or len(joined) > MAX_LENGTH:
        return None
    scheme = found["scheme"].lower()
    ports = [part for part in found["ports"].split(":") if part]
    if len(ports) > 1:
        quirks.append("doubled_port")
    port = int(ports[0]) if ports else _PORTS.get(scheme, 0)
    if scheme not in _PORTS or not 1 <= port <= 65535:
        return None
    if found["user"]:
        quirks.append("credentials_in_address")
    path = quote((found["path"] or "").split("#", 1)[0], safe=_KEPT)
    return Named(scheme, found["host"].strip("[]").lower(), port, path, tuple(quirks))


DEFAULT_PATH = "/onvif/device_service"


def endpoint_of(target: Target) -> str:
    """Return the URL of the device service of a target; its path is the usual one where none was given (quirk 23)."""
    scheme = "https" if target.scheme in {"onvifs", "https"} else "http"
    path = target.path if target.path not in {"", "/"} else DEFAULT_PATH
    return f"{scheme}://{target.authority}{path}"


class AddressBook:
    """Leads addresses back to the enrolled host."""

    def __init__(self, enrolled: Target) -> None:
        self._enrolled = enrolled
        self._tls = enrolled.scheme == "onvifs"
        self._own = ("", 0)  # host and port by which the device calls its own device service
        self.rewritten = False  # a service address named another host
        self.others: dict[str, None] = {}  # host:port of every address that named another host, as named
        self.seen = False
        self.quirks: dict[str, None] = {}
        self._read: dict[str, Named | None] = {}  # what was read of each address: most come several times

    def learn(self, text: str) -> None:
        """Take note of the address by which the device calls its own device service."""
        named = self._best(text)
        if named is not None:
            self._own = (named.host, named.port)

    @property
    def learned(self) -> bool:
        """Tell whether the device's own name for its device service is known."""
        return bool(self._own[0])

    def service(self, text: str) -> str | None:
        """Return the URL to send to for an XAddr, or None where it is no HTTP address."""
        named = self._best(text)
        if named is None or named.scheme not in {"http", "https"}:
            return None
        self.seen = True
        if not self._same_host(named.host):
            self.rewritten = True
        target = self._led_back(named)
        return f"{'https' if target.scheme == 'https' else 'http'}://{target.authority}{target.path or '/'}"

    def stream(self, text: str) -> Target | None:
        """Return the RTSP target for a stream address: the enrolled host, the camera's port and path."""
        named = self._one(text)
        if named is None or named.scheme not in {"rtsp", "rtsps"}:
            return None
        return Target(named.scheme, self._enrolled.host, named.port, named.path)

    def named(self, text: str) -> str:
        """Return an address as the camera named it, without credentials, "" where it is none."""
        named = self._named(text)
        return named.url if named is not None else ""

    def peek(self, text: str) -> Named | None:
        """Return the parts of an address that is only looked at."""
        return self._one(text)

    def picture(self, text: str) -> Target | None:
        """Return the HTTP target for a snapshot address."""
        named = self._one(text)
        return self._led_back(named) if named is not None and named.scheme in {"http", "https"} else None

    def octets(self, text: str) -> int:
        """Return the length of an address without credentials, as the camera wrote it; 0 where it is none."""
        named = self._named(text)
        if named is None:
            return 0
        plain = text.strip()
        at = plain.find("@")
        start = plain.find("://") + 3
        if "credentials_in_address" in named.quirks and at > start:
            plain = plain[:start] + plain[at + 1 :]
        return len(plain.encode())

    def _led_back(self, named: Named) -> Target:
        host, port = self._enrolled.host, self._enrolled.port
        if self._tls and named.scheme == "http":  # never down from TLS
            return Target("https", host, port, named.path)
        own = (named.host, named.port) == self._own
        if not self._same_host(named.host) and own and (named.scheme == "https") == self._tls:
            return Target(named.scheme, host, port, named.path)  # its own name for the port that we dialled
        return Target(named.scheme, host, named.port, named.path)

    def _same_host(self, host: str) -> bool:
        if host == self._enrolled.host.lower():
            return True
        try:
            return ipaddress.ip_address(host) == ipaddress.ip_address(self._enrolled.host)
        except ValueError:
            return False

    def _named(self, text: str) -> Named | None:
        if text not in self._read:
            if len(self._read) >= _MAX_READ:
                self._read.clear()
            self._read[text] = read_named(text)
        return self._read[text]

    def _one(self, text: str) -> Named | None:
        named = self._named(text)
        if named is not None:
            self.quirks.update(dict.fromkeys(named.quirks))
            if not self._same_host(named.host) and len(self.others) < _MAX_OTHERS:
                self.others[f"{named.host}:{named.port}"] = None
        return named

    def _best(self, text: str) -> Named | None:
        """Return the most useful of several addresses in one field (quirk 22)."""
        words = text[: MAX_LENGTH * 4].split()
        found = [named for named in (self._one(word) for word in words[:16]) if named is not None]
        if len(found) < 2:
            return found[0] if found else None
        self.quirks["several_addresses"] = None
        return min(found, key=self._distance)

    def _distance(self, named: Named) -> tuple[bool, bool, bool]:
        try:
            address = ipaddress.ip_address(named.host)
            odd = address.is_link_local or address.version == 6
        except ValueError:
            odd = False
        return (not self._same_host(named.host), odd, (named.scheme == "https") != self._tls)
