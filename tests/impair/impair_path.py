"""An impaired path for a test: two network namespaces joined by TUN devices, or a forwarder of datagrams.

    with impaired(seed=7) as path, path.near():
        ...                        # servers bind `path.host`
        path.set(loss=0.02)        # both directions; `path.set_out`, `path.set_back` for one
        sock = path.far_socket(port)

Nothing is left behind: namespaces and devices have no names and end with the process that made them, and that ends with
its parent.
"""

import ctypes
import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from impair_way import Way
from impairing import FAR, NEAR

PROGRAM = Path(__file__).with_name("impairing.py")
_CLONE_NEWNET = 0x40000000


@cache
def why_no_namespaces() -> str:
    """Return why this machine has no network namespaces for us, "" where it has."""
    if not sys.platform.startswith("linux"):
        return "needs Linux: network namespaces joined by TUN devices"
    if shutil.which("ip") is None or shutil.which("nsenter") is None:
        return "needs ip (iproute2) and nsenter (util-linux) to join network namespaces"
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "needs root and /dev/net/tun to join network namespaces"
    probe = subprocess.run(
        [sys.executable, str(PROGRAM), "tun", "0"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if probe.returncode == 0:
        return ""
    return (
        "no network namespaces may be joined here: "
        + (probe.stderr.strip().splitlines() or ["no reason"])[-1]
    )


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Let this thread open its sockets in a namespace; threads that it starts inherit it."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.setns(namespace, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "the namespace cannot be entered")
        try:
            yield
        finally:
            libc.setns(before, _CLONE_NEWNET)
    finally:
        os.close(before)


class ImpairedPath:
    """One running path."""

    def __init__(self, kind: str, process: subprocess.Popen[str]) -> None:
        self.kind = kind  # tun | udp
        self.host = NEAR if kind == "tun" else "127.0.0.1"  # where servers bind
        self.far_host = FAR if kind == "tun" else "127.0.0.1"
        self._process = process
        self._namespaces: dict[str, int] = {}
        told = self._hear()
        for name in ("near", "far") if kind == "tun" else ():
            self._namespaces[name] = os.open(f"/proc/{process.pid}/fd/{told[name]}", os.O_RDONLY)
        self._ways = {"out": Way(), "back": Way()}

    def near(self) -> Any:
        """Let this thread open its sockets at the server's end."""
        return self._at("near")

    def far(self) -> Any:
        """Let this thread open its sockets at the viewer's end."""
        return self._at("far")

    @contextmanager
    def _at(self, name: str) -> Iterator[None]:
        if self.kind == "udp":
            yield
            return
        with inside(self._namespaces[name]):
            yield

    def set(self, **way: Any) -> None:
        """Impair both directions from now on: the fields of `Way`, none for a good path."""
        self.set_out(**way)
        self.set_back(**way)

    def set_out(self, **way: Any) -> None:
        """Impair what goes from the near end to the far one."""
        self._ask(set={"out": Way(**way).words()})

    def set_back(self, **way: Any) -> None:
        """Impair what goes from the far end to the near one."""
        self._ask(set={"back": Way(**way).words()})

    def counts(self) -> dict[str, Any]:
        """Return what became of the packets of each direction, and the seconds of CPU that this took."""
        return self._ask(counts=True)

    def far_socket(self, host: str, port: int) -> socket.socket:
        """Return a UDP socket of the far end that leads to a port of the near one."""
        if self.kind == "udp":
            port = self._ask(forward=[host, port])["port"]
            host = "127.0.0.1"
        with self.far():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((host, port))
        return sock

    def far_program(self, program: str, folder: Path) -> Path:
        """Return an executable that runs a program at the far end with whatever arguments it gets."""
        made = folder / f"far-{Path(program).name}"
        way = f"/proc/{os.getpid()}/fd/{self._namespaces['far']}"
        made.write_text(f'#!/bin/sh\nexec nsenter --net={way} {shlex.quote(program)} "$@"\n')
        made.chmod(0o700)
        return made

    def close(self) -> None:
        """End it."""
        for namespace in self._namespaces.values():
            os.close(namespace)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _ask(self, **words: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 30.0)
        line = self._process.stdout.readline() if ready else ""
        assert line, "the impaired path has ended"
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def impaired(seed: int, *, namespaces: bool | None = None) -> Iterator[ImpairedPath]:
    """Run a path, good at first. `namespaces`: True skips the test where there are none, None takes a forwarder then."""
    missing = why_no_namespaces()
    if namespaces and missing:
        pytest.skip(missing)
    kind = "udp" if missing or namespaces is False else "tun"
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), kind, str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    path = None
    try:
        path = ImpairedPath(kind, process)
        yield path
    finally:
        if path is not None:
            path.close()
        else:
            process.kill()
            process.wait()
