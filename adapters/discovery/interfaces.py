"""The networks that this machine is attached to, read anew for each search."""

import ipaddress
from dataclasses import dataclass

import ifaddr


@dataclass(frozen=True, slots=True)
class Attachment:
    """One address of one interface: one socket is opened for each (quirk 56)."""

    interface: str
    index: int
    address: str  # without scope
    prefix: int

    @property
    def version(self) -> int:
        """Return 4 or 6."""
        return ipaddress.ip_address(self.address).version

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """Return the attached network."""
        return ipaddress.ip_network(f"{self.address}/{self.prefix}", strict=False)

    def __str__(self) -> str:
        return f"{self.interface} ({self.address})"


def attached(interface: str = "") -> tuple[Attachment, ...]:
    """Return the attachments worth asking on, those of one interface (by name or address) where it is named.

    IPv4 addresses and IPv6 link-local ones. Left out are networks of a single address (tunnels, VPNs): nobody else
    is there.
    """
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(text)
            if address.version == 6 and not address.is_link_local:
                continue
            if address.version == 4 and ip.network_prefix >= 32:
                continue
            if interface and interface not in (adapter.name, adapter.nice_name, str(address)):
                continue
            found.append(
                Attachment(str(adapter.nice_name), int(adapter.index or 0), str(address), ip.network_prefix)
            )
    return tuple(sorted(found, key=lambda one: (one.index, one.version, one.address)))
