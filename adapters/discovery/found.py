"""What the replies of one search add up to: devices, each with the address to give to `camhub check`."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from adapters.discovery.interfaces import Attachment
from adapters.discovery.messages import Label, Match, label
from adapters.target import Target

MAX_DEVICES = 2000
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class Device:
    """One device, joined from all its replies."""

    endpoint: str
    sources: list[str] = field(default_factory=list)  # addresses that its datagrams came from
    heard_on: list[str] = field(default_factory=list)  # interfaces
    types: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)  # XAddrs as sent
    notes: list[str] = field(default_factory=list)  # oddities by name
    targets: list[Target] = field(default_factory=list)  # best first

    @property
    def label(self) -> Label:
        """Return what its scopes say."""
        return label(tuple(self.scopes))

    @property
    def target(self) -> Target | None:
        """Return the address to check it by; None where it gave none that can be dialled."""
        return self.targets[0] if self.targets else None


class Joined:
    """Joins replies to devices: by endpoint reference, else by address."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.too_many = False

    def add(self, match: Match, attachment: Attachment | None) -> tuple[Device, bool] | None:
        """Take one reply. Return its device and whether it is a new one; None where there are too many already."""
        targets, notes = readable(match, attachment)
        device = self._known(match, targets)
        new = device is None
        if device is None:
            if len(self.devices) >= MAX_DEVICES:
                self.too_many = True
                return None
            device = Device(match.endpoint)
            self.devices.append(device)
        elif match.endpoint and device.endpoint and match.endpoint != device.endpoint:
            notes = (*notes, "several_endpoints")
        _extend(device.sources, (match.source,), 16)
        _extend(device.heard_on, (attachment.interface,) if attachment is not None else (), 16)
        _extend(device.types, match.types, 16)
        _extend(device.scopes, match.scopes, 200)
        _extend(device.addresses, match.addresses, 32)
        _extend(device.notes, (*match.quirks, *notes), 16)
        device.targets = sorted(
            dict.fromkeys((*device.targets, *targets)), key=lambda one: _far(one, device.sources)
        )[:16]
        return device, new

    def _known(self, match: Match, targets: tuple[Target, ...]) -> Device | None:
        if match.endpoint:
            for device in self.devices:
                if device.endpoint == match.endpoint:
                    return device
        places = {(target.host, target.port) for target in targets}
        for device in self.devices:
            if places & {(target.host, target.port) for target in device.targets}:
                return device
            if not places and not device.targets and match.source in device.sources:
                return device
        return None


def readable(match: Match, attachment: Attachment | None) -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """Return the addresses of a reply that can be dialled, and what is odd about it, by name.

    ``0.0.0.0`` becomes the datagram's source (quirk 21); of several addresses in one field each is read (quirk 22).
    """
    targets: list[Target] = []
    notes: list[str] = []
    for text in match.addresses:
        try:
            parts = urlsplit(text)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            notes.append("unreadable_address")
            continue
        if parts.scheme not in _PORTS or not host:
            notes.append("unreadable_address")
            continue
        try:
            address = ipaddress.ip_address(host.split("%", 1)[0])
        except ValueError:
            address = None
        if address is not None and address.is_unspecified:
            notes.append("unspecified_address")
            host = match.source.split("%", 1)[0]
        elif address is not None and (address.is_link_local or address.is_multicast):
            notes.append("link_local_address")
            continue
        path = parts.path if parts.path not in {"", "/", "/onvif/device_service"} else ""
        scheme = "onvifs" if parts.scheme == "https" else "onvif"
        targets.append(Target(scheme, host, port or _PORTS[parts.scheme], path))
    if len(match.addresses) > 1:
        notes.append("several_addresses")
    source = ipaddress.ip_address(match.source.split("%", 1)[0])
    if targets and not source.is_link_local and all(target.host != str(source) for target in targets):
        notes.append("answers_from_another_address")
    if attachment is not None and source.version == attachment.version and source not in attachment.network:
        notes.append("foreign_subnet")
    return tuple(dict.fromkeys(targets)), tuple(dict.fromkeys(notes))


def _far(target: Target, sources: list[str]) -> tuple[bool, bool, bool, str, int]:
    """Return how far an address is: the datagram's own source is nearest, plain HTTP before TLS, IPv4 before IPv6."""
    return (
        target.host not in sources,
        ":" in target.host,
        target.scheme == "onvifs",
        target.host,
        target.port,
    )


def _extend(held: list[str], more: tuple[str, ...], most: int) -> None:
    for text in more:
        if len(held) < most and text not in held:
            held.append(text)


__all__ = ["Device", "Joined", "readable"]
