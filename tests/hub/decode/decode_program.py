"""A decode process whose pictures can misbehave: the real one, but certain bytes do what a bug in FFmpeg could do.

It is confined by the very same code; the bytes ``probe`` try everything that a confined process must not be able to do
and tell how each attempt ended.
"""

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from hub.decode import pictures, worker
from hub.decode.errors import NotDecodable

REAL = pictures.decode


def misbehave(codec: str, nals: Sequence[bytes]) -> Any:
    word = nals[0] if nals else b""
    match word.split(b" ")[0]:
        case b"spin":
            while True:
                pass
        case b"sleep":
            time.sleep(3600)
        case b"crash":
            ctypes.string_at(0)
        case b"leave":
            os._exit(7)
        case b"eat":
            held = []
            while True:
                held.append(bytearray(16 << 20))
        case b"babble":
            os.write(3, b"\0\0\0\x05hello" * 10)
        case b"announce":
            os.write(3, b"\xff\xff\xff\xff")
        case b"wait":
            time.sleep(float(word.split(b" ")[1]))
            raise NotDecodable(f"waited {word.split(b' ')[2].decode()}")
        case b"probe":
            raise NotDecodable(probe(int(word.split(b" ")[1])))
    return REAL(codec, nals)


def probe(parent: int) -> str:
    attempts: dict[str, Callable[[], Any]] = {
        "socket": lambda: socket.socket(socket.AF_INET),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "pair": socket.socketpair,
        "write": lambda: os.open("/tmp/camhub-decode-probe", os.O_WRONLY | os.O_CREAT),
        "read": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "list": lambda: os.listdir("/"),
        "remove": lambda: os.unlink("/tmp/camhub-decode-probe"),
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "run": lambda: subprocess.run(["/bin/true"], check=False),
        "kill": lambda: os.kill(parent, 0),
        "limit": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE),
        "grow": lambda: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2),
        "code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
        "trace": lambda: checked(ctypes.CDLL(None, use_errno=True).ptrace(16, parent, 0, 0)),
        "root": lambda: os.setuid(0),
    }
    ends = []
    for name, attempt in attempts.items():
        try:
            attempt()
            ends.append(f"{name}=DONE")
        except OSError as error:
            ends.append(f"{name}={errno.errorcode.get(error.errno or 0, '?')}")
        except (ValueError, subprocess.SubprocessError) as error:
            ends.append(f"{name}={type(error).__name__}")
    return f"{' '.join(ends)} env={','.join(sorted(os.environ))}"


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


if __name__ == "__main__":
    pictures.decode = misbehave
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    sys.exit(worker.main(sys.argv[1:]))
