"""Targets: the address of a camera as a person types it, taken apart once."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

from adapters.errors import BadTarget
from adapters.secret import Credential, Secret

_HOST = re.compile(
    r"^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?$"
)
_DOTTED = re.compile(r"^[0-9.]+$")
MAX_ADDRESS = 2048
_MAX_SOURCE = 256


@dataclass(frozen=True, slots=True)
class Schemes:
    """The schemes that may be typed: default port of each (0: nothing is dialled), and other spellings of the same."""

    ports: Mapping[str, int]
    aliases: Mapping[str, str] = field(default_factory=dict)  # spelling -> scheme


def _built_in() -> Schemes:
    ports = {
        "onvif": 80,
        "onvifs": 443,
        "rtsp": 554,
        "rtsps": 322,
        "rtsp+http": 80,
        "rtsp+https": 443,
        "vigi": 20443,
        "reolink": 443,
        "unifi": 443,
        "whip": 0,
    }
    aliases = {"http": "onvif", "https": "onvifs"}
    for family, brands in (
        ("hikvision", ("hilook",)),
        ("dahua", ("kbvision", "imou", "amcrest", "lorex")),
        ("axis", ()),
    ):
        ports |= {family: 80, f"{family}+https": 443}
        aliases |= dict.fromkeys(brands, family)
        aliases |= {f"{brand}+https": f"{family}+https" for brand in brands}
    return Schemes(MappingProxyType(ports), MappingProxyType(aliases))


# The schemes of the adapters that are shipped; `Registry.schemes` also knows those of third parties.
BUILT_IN = _built_in()


@dataclass(frozen=True, slots=True)
class Target:
    """Scheme, host, port and path of a camera's interface. Holds no credential.

    ``whip://name`` names a camera that pushes: `host` is its name in this hub, the port is 0 and never written.
    """

    scheme: str
    host: str  # name or address, IPv6 without brackets
    port: int
    path: str = ""  # with leading slash and query, as it goes on the wire; "" where none was given
    source: str = ""  # token of the video source that is meant, on a recorder; never on the wire

    @property
    def tls(self) -> bool:
        """Tell whether the interface is asked over TLS from the first byte."""
        return self.scheme in {
            "onvifs",
            "https",
            "rtsps",
            "vigi",
            "reolink",
            "unifi",
        } or self.scheme.endswith("+https")

    def __str__(self) -> str:
        return self.url

    @property
    def authority(self) -> str:
        """Return ``host:port`` as dialled, IPv6 in brackets; the name alone where nothing is dialled."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    @property
    def url(self) -> str:
        """Return the address without credentials, port always written where there is one."""
        source = f"#{quote(self.source, safe='')}" if self.source else ""
        return f"{self.scheme}://{self.authority}{self.path}{source}"

    def at(self, *, host: str | None = None, port: int | None = None) -> "Target":
        """Return this target with another host or port."""
        return replace(
            self, host=host if host is not None else self.host, port=port if port is not None else self.port
        )


def parse_target(text: str, schemes: Schemes = BUILT_IN) -> tuple[Target, Credential | None]:
    """Take apart what a person typed: ``host``, ``host:port``, ``scheme://[user:password@]host[:port][/path]``.

    A bare host means ONVIF on port 80; an alias becomes the scheme that it stands for. A credential inside the
    address is returned apart. ``onvif://host#TOKEN`` (``hikvision://host#3``) means one video
    source of a recorder.

    Raises:
        BadTarget: names the part that cannot be understood.
    """
    typed = text.strip()
    if not typed:
        raise BadTarget("no address was given", hint="Enter the camera's address, such as 192.168.1.20")
    if any(ord(char) < 33 or ord(char) == 127 for char in typed):
        raise BadTarget("the address contains a blank or a control character", hint="Remove it and try again")
    if len(typed) > MAX_ADDRESS:
        raise BadTarget(
            f"the address is longer than {MAX_ADDRESS} characters", hint="Enter the address alone"
        )
    if "://" not in typed:
        typed = f"onvif://{typed}"
    scheme = typed.split("://", 1)[0].lower()
    normal = schemes.aliases.get(scheme, scheme)
    if normal not in schemes.ports:
        known = ", ".join(f"{name}://" for name in (*schemes.ports, *schemes.aliases) if "+" not in name)
        raise BadTarget(f"the scheme {scheme!r} is not known", hint=f"Use one of {known}")
    try:
        parts = urlsplit(typed)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise BadTarget(
            "the address has a port or an IPv6 host that cannot be read",
            hint="Write host:port with a port 1-65535; in a password write / as %2F, ? as %3F, # as %23",
        ) from error
    if not host:
        raise BadTarget("the address has no host", hint="Enter the camera's address, such as 192.168.1.20")
    if parts.username is None and port is not None and "." not in host and "@" in typed:
        # rtsp://admin:123/4@192.168.1.20/: the password's own / ended the host part, "admin" is no host
        raise BadTarget(
            "the password in the address contains / ? or #, which ends the host part",
            hint="Give user and password apart from the address, or write / as %2F, ? as %3F, # as %23",
        )
    _check_host(host)
    if not schemes.ports[normal]:
        if port is not None or parts.path not in ("", "/") or parts.query or parts.username is not None:
            raise BadTarget(
                f"{normal}:// takes a name alone, without port, path or password",
                hint=f"Write {normal}://name; the encoder brings a token",
            )
        return Target(normal, host.lower(), 0), None
    if port is None:
        port = schemes.ports[normal]
    if not 1 <= port <= 65535:
        raise BadTarget(f"port {port} is outside 1-65535", hint="Correct the port")
    credential = None
    if parts.username is not None:
        credential = Credential(unquote(parts.username), Secret(unquote(parts.password or "")))
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    source = "" if normal.startswith("rtsp") else unquote(parts.fragment)[:_MAX_SOURCE]
    return Target(normal, host, port, path, source), credential


def _check_host(host: str) -> None:
    if ":" in host or _DOTTED.match(host):
        try:
            ipaddress.ip_address(host.split("%", 1)[0])
        except ValueError as error:
            missing = host.count(".") < 3 and _DOTTED.match(host)
            what = "lacks a number" if missing else "is not an IP address"
            raise BadTarget(f"{host!r} {what}", hint="Enter an address such as 192.168.1.20") from error
    elif not _HOST.match(host):
        raise BadTarget(
            f"{host!r} is not a host name", hint="Enter a name or an address such as 192.168.1.20"
        )
