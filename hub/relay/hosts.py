"""Which addresses the relay binds. Apart from `ice.py`, so that the hub itself loads no DTLS and no FFmpeg."""

import asyncio
import ipaddress
import socket


async def hosts_to_bind(host: str) -> tuple[str, ...]:
    """Return the addresses to bind for a host; every address of both families where it means every address.

    Raises:
        OSError: the name cannot be resolved.
    """
    every = ("0.0.0.0", "::")  # noqa: S104  browsers of the whole network watch; each proves itself
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        return (str(found[0][4][0]),)
    return (address, *(other for other in every if other != address)) if address in every else (address,)
