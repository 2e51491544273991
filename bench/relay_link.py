"""The line between server and viewers of the relay bench: two ends of a virtual Ethernet pair, or loopback where that cannot be had.

On loopback one core does both sides' work: what the kernel does to receive a packet is done, and counted, where it was sent. No
server pays for its viewers' machines elsewhere. So the viewers get a network namespace of their own behind a veth pair, whose far
end takes packets in by a kernel thread (threaded NAPI) on the viewers' core. What the viewers say is taken in where they said it, on
their core, as on loopback. Needs root, `ip` and a kernel with veth; all servers of a run have the same line.
"""

import array
import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aioice.ice import get_host_addresses

# 198.18.0.0/15 is set aside for measurements (RFC 2544).
SERVER, VIEWERS, _BITS = "198.18.77.1", "198.18.77.2", 30
_SERVER_END, _VIEWERS_END = "camhubbs", "camhubbv"
_SPACE = "camhub-bench"
# linux/ethtool.h, linux/sockios.h
_SIOCETHTOOL = 0x8946
_GET_STRINGS, _GET_SET_INFO, _GET_FEATURES, _SET_FEATURES = 0x1B, 0x37, 0x3A, 0x3B
_FEATURES = 4
# Both are needed for a veth end to take datagrams in by its own NAPI instead of in the sender's context.
_TAKEN_IN_BY_A_THREAD = ("rx-gro", "rx-udp-gro-forwarding")


class Unlinked(Exception):
    """The pair could not be made; says why."""


@dataclass(frozen=True)
class Link:
    """Where the server is reached and where its viewers are."""

    server: str
    viewers: str
    inside: tuple[str, ...] = ()  # the words that start a command where the viewers are
    words: str = "loopback"


def loopback() -> Link:
    """Return both on one side: at an address that is not 127.0.0.1, where there is one, for which aiortc and go2rtc gather no candidates."""
    host = next(iter(get_host_addresses(use_ipv4=True, use_ipv6=False)), "127.0.0.1")
    return Link(host, host)


@contextmanager
def linked(viewer_core: int) -> Iterator[Link]:
    """Join server and viewers; loopback, with the reason, where no pair can be had."""
    try:
        _made(viewer_core)
    except (Unlinked, OSError) as error:
        _removed()
        yield replace(loopback(), words=f"loopback ({error})")
        return
    try:
        yield Link(
            SERVER,
            VIEWERS,
            ("ip", "netns", "exec", _SPACE),
            "a veth pair, on which the viewers' core does the viewers' receiving",
        )
    finally:
        _removed()


def _made(viewer_core: int) -> None:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise Unlinked("a veth pair needs root and `ip`")
    _removed()
    _ip("netns", "add", _SPACE)
    _ip("link", "add", _SERVER_END, "type", "veth", "peer", "name", _VIEWERS_END)
    for feature in _TAKEN_IN_BY_A_THREAD:
        _switch_on(_VIEWERS_END, feature)
    _ip("link", "set", _VIEWERS_END, "up")  # only an end that is up has what can be given a thread
    Path(f"/sys/class/net/{_VIEWERS_END}/threaded").write_text("1")
    _ip("link", "set", _VIEWERS_END, "netns", _SPACE)
    _ip("addr", "add", f"{SERVER}/{_BITS}", "dev", _SERVER_END)
    _ip("link", "set", _SERVER_END, "up")
    inside = ("netns", "exec", _SPACE, "ip")
    _ip(*inside, "addr", "add", f"{VIEWERS}/{_BITS}", "dev", _VIEWERS_END)
    _ip(*inside, "link", "set", "lo", "up")
    _ip(*inside, "link", "set", _VIEWERS_END, "up")
    _pin(f"napi/{_VIEWERS_END}-", viewer_core)


def _pin(name: str, core: int) -> None:
    """Pin a kernel thread to a core, before everything else there, as an interrupt is."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and (entry / "comm").read_text().startswith(name):
                    os.sched_setaffinity(int(entry.name), {core})
                    os.sched_setscheduler(int(entry.name), os.SCHED_FIFO, os.sched_param(50))
                    return
        time.sleep(0.05)
    raise Unlinked("this kernel gives a veth end no thread of its own")


def _removed() -> None:
    if shutil.which("ip") is not None and os.geteuid() == 0:
        for words in (("link", "del", _SERVER_END), ("netns", "del", _SPACE)):
            subprocess.run(["ip", *words], check=False, capture_output=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Unlinked(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _switch_on(end: str, feature: str) -> None:
    """Switch a feature of a network device on (what `ethtool -K` does)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

        def ask(command: bytes) -> bytes:
            data = array.array("B", command)
            fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sP", end.encode(), data.buffer_info()[0]))
            return data.tobytes()

        count = struct.unpack_from("=I", ask(struct.pack("=IIQI", _GET_SET_INFO, 0, 1 << _FEATURES, 0)), 16)[
            0
        ]
        told = ask(struct.pack("=III", _GET_STRINGS, _FEATURES, count) + bytes(32 * count))
        names = [told[12 + 32 * n : 44 + 32 * n].split(b"\0")[0].decode() for n in range(count)]
        if feature not in names:
            raise Unlinked(f"this kernel has no {feature}")
        block, bit = divmod(names.index(feature), 32)
        blocks = -(-count // 32)
        wanted = [1 << bit if n == block else 0 for n in range(blocks)]
        ask(
            struct.pack("=II", _SET_FEATURES, blocks)
            + b"".join(struct.pack("=II", bits, bits) for bits in wanted)
        )
        told = ask(struct.pack("=II", _GET_FEATURES, blocks) + bytes(16 * blocks))
        if not struct.unpack_from("=I", told, 8 + 16 * block + 8)[0] >> bit & 1:
            raise Unlinked(f"this kernel keeps {feature} off")
