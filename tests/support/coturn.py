"""Debian's TURN server, on loopback, with credentials that end (`use-auth-secret`)."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator

from free_ports import free_port
from patience import PATIENCE_S


@contextlib.contextmanager
def coturn(secret: str) -> Iterator[int]:
    """Run coturn with a shared secret and give its port, open for UDP and TCP."""
    port = free_port()
    process = subprocess.Popen(
        [
            "turnserver", "-n", "--no-cli", "--listening-ip=127.0.0.1", f"--listening-port={port}",
            "--relay-ip=127.0.0.1", "--allow-loopback-peers", "--use-auth-secret", f"--static-auth-secret={secret}",
            "--realm=camhub.test", "--no-tls", "--no-dtls", "--log-file=stdout", "--simple-log", "--pidfile=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ends = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            assert time.monotonic() < ends, "coturn does not listen"
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait(PATIENCE_S)
