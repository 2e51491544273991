"""Where the database and Redis of a hub listen: addresses that no camera may have."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable


async def addresses_of(peers: Iterable[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """Return the addresses of hosts and ports; one on this machine counts for all its addresses (``*``)."""
    found: set[tuple[str, int]] = set()
    for host, port in peers:
        for address in await _resolved(host, port):
            found.add((address, port))
            if _is_loopback(address):
                found.add(("*", port))
    return frozenset(found)


async def _resolved(host: str, port: int) -> set[str]:
    try:
        known = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return {host}  # it was reached a moment ago; keep at least the name as given
    return {str(item[4][0]) for item in known}


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
