"""Confining the present process for good: limits, no network, no rights, and a short list of system calls.

Everything is tried, nothing is assumed: what could be applied and what could not is told by name, and the hub shows it.
The order matters: limits while files can still be opened, the network namespace while the rights for it are there, the
filter last. A process so confined keeps one socket and computes.

The names that are told:
``limits`` memory beyond what is held now, no file size, no core dump, no further descriptor, no further process;
``network`` a network namespace without any device (network_namespaces(7));
``user`` nobody instead of root, and no capability;
``no_new_privs`` nothing that is executed gains rights (prctl(2));
``undumpable`` no core dump, no tracing by others of the same user;
``syscalls`` a seccomp filter (`calls.py`) that lets pass what computing needs: no socket, no open, no exec, no fork, no
signal to others, no executable memory;
``capabilities``, ``some_syscalls`` what is left of ``user`` and ``syscalls`` where a graphics driver opens files at any time.
"""

import contextlib
import ctypes
import fcntl
import os
import platform
import resource
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub.decode import calls

KEPT_DESCRIPTOR: Final = 3  # where the hub's socket stands afterwards; 0, 1 and 2 lead nowhere
_NOBODY: Final = 65_534
_NICE: Final = 10

_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000  # linux/sched.h
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38  # linux/prctl.h
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FLAG_TSYNC = 1, 1  # linux/seccomp.h
_CAPABILITIES_V3: Final = 0x2008_0522  # linux/capability.h


@dataclass(frozen=True, slots=True)
class Confinement:
    """What holds this process, by the names above, and what could not be had, each with its reason."""

    applied: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def unconfined(self) -> bool:
        """Tell whether neither the network nor the system calls could be taken away."""
        return not {"network", "syscalls"} & set(self.applied)


class _Cannot(Exception):
    """One part cannot be had on this machine."""


def keep_only(*descriptors: int) -> None:
    """Close every descriptor but these, which move to `KEPT_DESCRIPTOR` and the numbers after it; 0, 1 and 2 lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    wanted = (nowhere, nowhere, nowhere, *descriptors)
    # none may be overwritten before it was moved itself
    aside = [fcntl.fcntl(one, fcntl.F_DUPFD, len(wanted)) for one in wanted]
    for place, one in enumerate(aside):
        os.dup2(one, place)
    os.closerange(len(wanted), max(*aside, *wanted, 256) + 1)


def confine(memory: int, *, last: int = KEPT_DESCRIPTOR, device: int | None = None) -> Confinement:
    """Confine the present process for good. `memory` is how many bytes it may take beyond what it holds now.

    `last` is the highest descriptor that is open; `device` the one of a video device that goes on coding. To be called
    after everything was imported, from the only thread.
    """
    return _apply(
        ("limits", lambda: _limit(memory, last)),
        ("network", _leave_network),
        ("user", _become_nobody),
        ("no_new_privs", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1)),
        ("undumpable", lambda: _prctl(_PR_SET_DUMPABLE, 0)),
        ("syscalls", lambda: _filter_calls(lambda machine: calls.strict(machine, device))),
    )


def confine_loosely() -> Confinement:
    """Confine the present process as far as the driver of a graphics card bears it, before that is loaded.

    It may open what its user may open, and start threads; no network, no other program or process, no change of files.
    """
    return _apply(
        ("network", _leave_network),
        ("capabilities", _give_up_capabilities),
        ("no_new_privs", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1)),
        ("undumpable", lambda: _prctl(_PR_SET_DUMPABLE, 0)),
        ("some_syscalls", lambda: _filter_calls(calls.loose)),
    )


def _apply(*parts: tuple[str, Callable[[], None]]) -> Confinement:
    os.chdir("/")
    os.umask(0o777)
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    applied, missing = [], []
    for name, apply in parts:
        try:
            apply()
            applied.append(name)
        except (_Cannot, OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            missing.append(f"{name}: {why}")
    return Confinement(tuple(applied), tuple(missing))


def allow_processor(seconds: int) -> None:
    """Let the process compute for so many seconds more; beyond it the kernel ends it (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def held_bytes() -> int:
    """Return the size of this process's address space.

    Raises:
        OSError: the system does not tell it this way.
    """
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  one read before files are gone
        return int(file.read().split()[0]) * resource.getpagesize()


def _limit(memory: int, last: int) -> None:
    limits = {
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_NPROC": 0,
    }
    refused = []
    for name, value in limits.items():
        if hasattr(resource, name) and not _set_limit(name, value):
            refused.append(name)
    try:
        if not _set_limit("RLIMIT_AS", held_bytes() + memory):
            refused.append("RLIMIT_AS")
    except OSError:
        refused.append("RLIMIT_AS")
    if not _set_limit("RLIMIT_NOFILE", last + 1):
        refused.append("RLIMIT_NOFILE")
    if refused:
        raise _Cannot(f"not {', '.join(refused)}")


def _set_limit(name: str, value: int) -> bool:
    try:
        resource.setrlimit(getattr(resource, name), (value, value))
    except (OSError, ValueError):
        return False
    return True


def _libc() -> ctypes.CDLL:
    if not sys.platform.startswith("linux"):
        raise _Cannot(f"not known on {sys.platform}")
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _prctl(option: int, value: int) -> None:
    _checked(_libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _leave_network() -> None:
    """Enter an empty network namespace: as root directly, else by way of a user namespace of one's own."""
    libc = _libc()
    if os.geteuid() == 0 and libc.unshare(_CLONE_NEWNET) == 0:
        return
    _checked(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET))


def _become_nobody() -> None:
    """Give up root and every capability."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    _give_up_capabilities()


def _give_up_capabilities() -> None:
    machine = calls.MACHINES.get(platform.machine())
    if machine is None:
        raise _Cannot(f"capabilities are not known on {platform.machine()}")
    header = struct.pack("=Ii", _CAPABILITIES_V3, 0)
    _checked(_libc().syscall(machine.capset, header, bytes(24)))


def _filter_calls(make: Callable[[calls.Machine], bytes]) -> None:
    machine = calls.MACHINES.get(platform.machine())
    if machine is None or sys.byteorder != "little" or sys.maxsize < 2**32:
        raise _Cannot(f"no list of system calls for {platform.machine()}")
    code = make(machine)
    program = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    _checked(_libc().syscall(machine.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FLAG_TSYNC, header))
