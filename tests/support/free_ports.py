"""Ports for programs that have to be told one: nobody else takes them between the choice and the program's start."""

import random
import socket

# Below what a kernel gives to outgoing connections of itself (Linux begins at 32768), above what services are known by.
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port that is free on loopback for TCP and UDP, and that no connection gets by chance."""
    while True:
        port = random.SystemRandom().randrange(_FIRST, _LAST)
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
