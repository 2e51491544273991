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
``syscalls`` a seccomp filter (seccomp(2)) that lets pass what computing needs: no socket, no open, no exec, no fork, no
signal to others, no executable memory.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

KEPT_DESCRIPTOR: Final = 3  # where the hub's socket stands afterwards; 0, 1 and 2 lead nowhere
_NOBODY: Final = 65_534
_NICE: Final = 10

_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000  # linux/sched.h
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38  # linux/prctl.h
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FLAG_TSYNC = 1, 1  # linux/seccomp.h
_CAPABILITIES_V3: Final = 0x2008_0522  # linux/capability.h

# Classic BPF as seccomp takes it (linux/filter.h, linux/bpf_common.h).
_LOAD, _JUMP_EQUAL, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _DENY, _KILL = 0x7FFF_0000, 0x0005_0001, 0x8000_0000  # allow; errno EPERM; kill the process
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data


def _argument(index: int) -> int:
    """Return the offset of an argument's low word (both architectures are little-endian)."""
    return 16 + 8 * index


@dataclass(frozen=True, slots=True)
class _Machine:
    """System call numbers of one architecture (its audit number from linux/audit.h)."""

    audit: int
    seccomp: int
    capset: int
    # what computing, memory and the one open socket need
    plain: tuple[int, ...]
    # number -> (argument, bit that must not be set): memory, never executable
    without_bit: tuple[tuple[int, int, int], ...]
    # number -> argument that must be 0: limits of this process only
    of_self: tuple[tuple[int, int], ...]


_PROT_EXEC: Final = 4
_MACHINES: Final = {
    "x86_64": _Machine(
        audit=0xC000_003E,
        seccomp=317,
        capset=126,
        plain=(
            *(0, 1, 3, 5, 7, 8, 11, 12),  # read write close fstat poll lseek munmap brk
            *(13, 14, 15, 19, 20, 24, 25, 28),  # rt_sig{action,procmask,return} readv writev sched_yield mremap madvise
            *(35, 39, 60, 96, 98, 99, 131, 186),  # nanosleep getpid exit gettimeofday getrusage sysinfo sigaltstack gettid
            *(202, 204, 219, 228, 229, 230, 231),  # futex sched_getaffinity restart clock_{gettime,getres,nanosleep} exit_group
            *(271, 273, 318, 324, 334),  # ppoll set_robust_list getrandom membarrier rseq
        ),
        without_bit=((9, 2, _PROT_EXEC), (10, 2, _PROT_EXEC)),  # mmap mprotect
        of_self=((302, 0),),  # prlimit64
    ),
    "aarch64": _Machine(
        audit=0xC000_00B7,
        seccomp=277,
        capset=91,
        plain=(
            *(57, 62, 63, 64, 65, 66, 73, 80),  # close lseek read write readv writev ppoll fstat
            *(93, 94, 98, 99, 101, 113, 114, 115),  # exit exit_group futex set_robust_list nanosleep clock_{gettime,getres,nanosleep}
            *(123, 124, 128, 132, 134, 135, 139),  # sched_{getaffinity,yield} restart sigaltstack rt_sig{action,procmask,return}
            *(165, 169, 172, 178, 179),  # getrusage gettimeofday getpid gettid sysinfo
            *(214, 215, 216, 233, 278, 283, 293),  # brk munmap mremap madvise getrandom membarrier rseq
        ),
        without_bit=((222, 2, _PROT_EXEC), (226, 2, _PROT_EXEC)),  # mmap mprotect
        of_self=((261, 0),),  # prlimit64
    ),
}  # fmt: skip


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


def keep_only(descriptor: int) -> None:
    """Close every descriptor but one, which moves to `KEPT_DESCRIPTOR`; 0, 1 and 2 then lead nowhere."""
    if descriptor != KEPT_DESCRIPTOR:
        os.dup2(descriptor, KEPT_DESCRIPTOR)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(KEPT_DESCRIPTOR + 1, max(nowhere, descriptor, 256) + 1)


def confine(memory: int) -> Confinement:
    """Confine the present process for good. `memory` is how many bytes it may take beyond what it holds now.

    To be called after everything was imported, from the only thread, with only the standard descriptors and
    `KEPT_DESCRIPTOR` open.
    """
    os.chdir("/")
    os.umask(0o777)
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    parts: tuple[tuple[str, Callable[[], None]], ...] = (
        ("limits", lambda: _limit(memory)),
        ("network", _leave_network),
        ("user", _become_nobody),
        ("no_new_privs", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1)),
        ("undumpable", lambda: _prctl(_PR_SET_DUMPABLE, 0)),
        ("syscalls", _filter_calls),
    )
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


def _limit(memory: int) -> None:
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
    if not _set_limit("RLIMIT_NOFILE", KEPT_DESCRIPTOR + 1):
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
    libc = _libc()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise _Cannot(f"capabilities are not known on {platform.machine()}")
    header = struct.pack("=Ii", _CAPABILITIES_V3, 0)
    _checked(libc.syscall(machine.capset, header, bytes(24)))


def _filter_calls() -> None:
    machine = _MACHINES.get(platform.machine())
    if machine is None or sys.byteorder != "little" or sys.maxsize < 2**32:
        raise _Cannot(f"no list of system calls for {platform.machine()}")
    code = _program(machine)
    program = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    _checked(_libc().syscall(machine.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FLAG_TSYNC, header))


def _program(machine: _Machine) -> bytes:
    """Return the filter: a foreign architecture kills, a listed call passes, every other one is refused (EPERM)."""
    steps: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in machine.plain:
        steps += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number, argument, bit in machine.without_bit:
        steps += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _argument(argument)),
            (_JUMP_BITS, 0, 1, bit),
            (_RETURN, 0, 0, _DENY),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for number, argument in machine.of_self:
        steps += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _argument(argument)),
            (_JUMP_EQUAL, 1, 0, 0),
            (_RETURN, 0, 0, _DENY),
            (_RETURN, 0, 0, _ALLOW),
        ]
    steps.append((_RETURN, 0, 0, _DENY))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
