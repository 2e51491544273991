"""The impaired path as a process: packets in at one end, what is left of them out at the other.

    python impairing.py tun SEED    two network namespaces of its own, joined by two TUN devices (root, /dev/net/tun)
    python impairing.py udp SEED    forwards datagrams between ports of 127.0.0.1 (anybody)

Speaks JSON lines: `{"set": {"out": {...}, "back": {...}}}`, `{"forward": [host, port]}` (udp), `{"counts": true}`. "out" is
from the near end (the server's) to the far one (the viewer's). It ends when its standard input does; the namespaces and
devices have no name in the system and go with their last process, whatever ends it.
"""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from impair_way import Impairment, Way

NEAR, FAR = "10.77.0.1", "10.77.0.2"
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_BATCH = 64
_PACKET_MAX = 65_536
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_ROOM, _SO_RCVBUFFORCE = 4 << 20, 33  # asm-generic/socket.h

Put = Callable[[bytes], object]


def enter_new_namespace() -> int:
    """Move this process into a network namespace of its own and return what refers to it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace may be made")
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def open_tun(address: str, peer: str) -> int:
    """Make the one device of the present namespace; everything goes by it."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH", b"path0", _IFF_TUN | _IFF_NO_PI))
    with contextlib.suppress(OSError):  # a kernel without IPv6 sends none
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    for words in (
        "link set lo up",
        f"address add {address} peer {peer} dev path0",
        "link set path0 txqueuelen 10000 up",
        "route add default dev path0",
    ):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)
    return fd


class Line:
    """Both directions, and what is under way."""

    def __init__(self, seed: int) -> None:
        self.ways = {"out": Impairment(Way(), 2 * seed), "back": Impairment(Way(), 2 * seed + 1)}
        self._under_way: list[tuple[float, int, Put, bytes]] = []
        self._number = itertools.count()
        self.readers: dict[int, Callable[[], None]] = {}

    def take(self, direction: str, data: bytes, put: Put) -> None:
        """Take one packet."""
        for at in self.ways[direction].arrivals(time.monotonic(), len(data)):
            heapq.heappush(self._under_way, (at, next(self._number), put, data))

    def deliver(self) -> float | None:
        """Hand over what is due; return the seconds until more is, `None` where nothing is under way."""
        while self._under_way:
            wait = self._under_way[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _at, _number, put, data = heapq.heappop(self._under_way)
            with contextlib.suppress(OSError):  # a full or closed end loses packets as networks do
                put(data)
        return None

    def run(self, hear: Callable[[dict], dict]) -> None:
        """Serve until standard input ends."""
        stdin = sys.stdin.buffer.raw
        said = b""
        while True:
            ready, _, _ = select.select([stdin, *self.readers], [], [], self.deliver())
            for fd in ready:
                if fd is not stdin:
                    self.readers[fd]()
                    continue
                data = stdin.read(_PACKET_MAX)
                if not data:
                    return
                *lines, said = (said + data).split(b"\n")
                for line in lines:
                    print(json.dumps(hear(json.loads(line))), flush=True)

    def heard(self, words: dict) -> dict:
        """Do what every kind of path can."""
        for direction, way in words.get("set", {}).items():
            self.ways[direction].way = Way(**way)
        return {
            **{name: asdict(one.counts) for name, one in self.ways.items()},
            "cpu_s": time.process_time(),
        }


def serve_tun(seed: int) -> None:
    """Join two namespaces."""
    line = Line(seed)
    near, one = enter_new_namespace(), open_tun(NEAR, FAR)
    far, other = enter_new_namespace(), open_tun(FAR, NEAR)

    def reading(direction: str, source: int, target: int) -> Callable[[], None]:
        def put(data: bytes) -> None:
            os.write(target, data)

        def read() -> None:
            for _ in range(_BATCH):
                try:
                    data = os.read(source, _PACKET_MAX)
                except BlockingIOError:
                    return
                if data[0] >> 4 == 4:
                    line.take(direction, data, put)

        return read

    line.readers = {one: reading("out", one, other), other: reading("back", other, one)}
    print(json.dumps({"near": near, "far": far}), flush=True)
    line.run(line.heard)


def serve_udp(seed: int) -> None:
    """Forward datagrams: one port for each server, one socket towards it for each client."""
    line = Line(seed)

    def made_socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        return made

    def forward(host: str, port: int) -> int:
        front = made_socket()
        front.bind(("127.0.0.1", 0))
        towards: dict[tuple[str, int], socket.socket] = {}

        def back() -> None:
            for _ in range(_BATCH):
                try:
                    data, client = front.recvfrom(_PACKET_MAX)
                except OSError:
                    return
                if client not in towards:
                    towards[client] = made = made_socket()
                    made.connect((host, port))
                    line.readers[made.fileno()] = partial(out, made, client)
                line.take("back", data, towards[client].send)

        def out(made: socket.socket, client: tuple[str, int]) -> None:
            for _ in range(_BATCH):
                try:
                    data = made.recv(_PACKET_MAX)
                except OSError:
                    return
                line.take("out", data, lambda data: front.sendto(data, client))

        line.readers[front.fileno()] = back
        return int(front.getsockname()[1])

    def hear(words: dict) -> dict:
        if "forward" in words:
            return {"port": forward(*words["forward"])}
        return line.heard(words)

    print(json.dumps({}), flush=True)
    line.run(hear)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    with contextlib.suppress(OSError):
        os.nice(-10)  # a network does not wait for the programs that use it
    {"tun": serve_tun, "udp": serve_udp}[sys.argv[1]](int(sys.argv[2]))
