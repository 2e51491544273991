"""Debian's TURN server, on loopback, with credentials that end (`use-auth-secret`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from free_ports import free_port


@contextlib.asynccontextmanager
async def coturn(secret: str) -> AsyncIterator[int]:
    """Run coturn with a shared secret and give its port, open for UDP and TCP."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "turnserver", "-n", "--no-cli", "--listening-ip=127.0.0.1", f"--listening-port={port}",
        "--relay-ip=127.0.0.1", "--allow-loopback-peers", "--use-auth-secret", f"--static-auth-secret={secret}",
        "--realm=camhub.test", "--no-tls", "--no-dtls", "--log-file=stdout", "--simple-log", "--pidfile=",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(1200):
            try:
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.kill()
        await process.wait()
