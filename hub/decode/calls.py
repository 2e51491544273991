"""System calls of a confined process, as a seccomp filter (seccomp(2), classic BPF of linux/filter.h).

Two filters. `strict` lists what computing and one open socket need, and refuses the rest; with it the calls of one video
device whose descriptor is open already may be allowed. `loose` is for the drivers of graphics cards, which open files
at any time: it refuses programs, sockets, other processes and changes of files, and lets the rest pass.
"""

import struct
from dataclasses import dataclass
from typing import Final

LOAD, JUMP_EQUAL, JUMP_BITS, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06  # linux/bpf_common.h
ALLOW, DENY, KILL = 0x7FFF_0000, 0x0005_0001, 0x8000_0000  # allow; errno EPERM; kill the process
_UNKNOWN: Final = 0x0005_0026  # errno ENOSYS: the C library then takes the older call
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_PROT_EXEC: Final = 4
_CLONE_THREAD: Final = 0x1_0000
_O_CREAT: Final = 0o100
_X32: Final = 0x4000_0000  # numbers of another table of x86-64

# Requests of V4L2 (linux/videodev2.h) that a coder needs once it runs: type "V" and number, without their size.
_VIDEO: Final = tuple(0x5600 | number for number in (15, 17, 72, 89))  # QBUF DQBUF S_EXT_CTRLS DQEVENT

Step = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Machine:
    """System call numbers of one architecture (its audit number from linux/audit.h)."""

    audit: int
    seccomp: int
    capset: int
    ioctl: int
    # what computing, memory and the one open socket need
    plain: tuple[int, ...]
    # number -> (argument, bit that must not be set): memory, never executable
    without_bit: tuple[tuple[int, int, int], ...]
    # number -> argument that must be 0: limits of this process only
    of_self: tuple[tuple[int, int], ...]
    # what `loose` refuses: programs, sockets, other processes, changes of files and of the system
    refused: tuple[int, ...]
    clone: int  # passes for threads only
    unknown: tuple[int, ...]  # newer calls that hide their arguments
    creating: tuple[tuple[int, int], ...]  # number -> argument with the flags of open(2)


MACHINES: Final = {
    "x86_64": Machine(
        audit=0xC000_003E,
        seccomp=317,
        capset=126,
        ioctl=16,
        plain=(
            *(0, 1, 3, 5, 7, 8, 11, 12),  # read write close fstat poll lseek munmap brk
            *(13, 14, 15, 19, 20, 24, 25, 28),  # rt_sig{action,procmask,return} readv writev sched_yield mremap madvise
            *(35, 39, 60, 96, 98, 99, 131, 186),  # nanosleep getpid exit gettimeofday getrusage sysinfo sigaltstack gettid
            *(202, 204, 219, 228, 229, 230, 231),  # futex sched_getaffinity restart clock_{gettime,getres,nanosleep} exit_group
            *(271, 273, 318, 324, 334),  # ppoll set_robust_list getrandom membarrier rseq
        ),
        without_bit=((9, 2, _PROT_EXEC), (10, 2, _PROT_EXEC)),  # mmap mprotect
        of_self=((302, 0),),  # prlimit64
        refused=(
            *(41, 42, 49, 50),  # socket connect bind listen
            *(57, 58, 59, 322, 62, 200, 101, 310, 311),  # fork vfork execve execveat kill tkill ptrace process_vm_{readv,writev}
            *(76, 77, 82, 83, 84, 85, 86, 87, 88),  # truncate ftruncate rename mkdir rmdir creat link unlink symlink
            *(90, 91, 92, 93, 94, 133),  # chmod fchmod chown fchown lchown mknod
            *(258, 259, 260, 263, 264, 265, 266, 268, 316, 452),  # {mkdir,mknod,fchown,unlink,rename,link,symlink,fchmod}at renameat2 fchmodat2
            *(155, 161, 165, 166, 169, 272, 308, 175, 313),  # pivot_root chroot mount umount2 reboot unshare setns {init,finit}_module
            *(246, 320, 248, 249, 250, 298, 321, 323),  # kexec_{load,file_load} add_key request_key keyctl perf_event_open bpf userfaultfd
            *(425, 434, 438),  # io_uring_setup pidfd_open pidfd_getfd
        ),
        clone=56,
        unknown=(435, 437),  # clone3 openat2
        creating=((2, 1), (257, 2)),  # open openat
    ),
    "aarch64": Machine(
        audit=0xC000_00B7,
        seccomp=277,
        capset=91,
        ioctl=29,
        plain=(
            *(57, 62, 63, 64, 65, 66, 73, 80),  # close lseek read write readv writev ppoll fstat
            *(93, 94, 98, 99, 101, 113, 114, 115),  # exit exit_group futex set_robust_list nanosleep clock_{gettime,getres,nanosleep}
            *(123, 124, 128, 132, 134, 135, 139),  # sched_{getaffinity,yield} restart sigaltstack rt_sig{action,procmask,return}
            *(165, 169, 172, 178, 179),  # getrusage gettimeofday getpid gettid sysinfo
            *(214, 215, 216, 233, 278, 283, 293),  # brk munmap mremap madvise getrandom membarrier rseq
        ),
        without_bit=((222, 2, _PROT_EXEC), (226, 2, _PROT_EXEC)),  # mmap mprotect
        of_self=((261, 0),),  # prlimit64
        refused=(
            *(198, 200, 201, 203),  # socket bind listen connect
            *(221, 281, 129, 130, 117, 270, 271),  # execve execveat kill tkill ptrace process_vm_{readv,writev}
            *(33, 34, 35, 36, 37, 38, 45, 46),  # {mknod,mkdir,unlink,symlink,link,rename}at truncate ftruncate
            *(52, 53, 54, 55, 276, 452),  # fchmod fchmodat fchownat fchown renameat2 fchmodat2
            *(39, 40, 41, 51, 97, 142, 268, 105, 273),  # umount2 mount pivot_root chroot unshare reboot setns {init,finit}_module
            *(104, 294, 217, 218, 219, 241, 280, 282),  # kexec_{load,file_load} add_key request_key keyctl perf_event_open bpf userfaultfd
            *(425, 434, 438),  # io_uring_setup pidfd_open pidfd_getfd
        ),
        clone=220,
        unknown=(435, 437),  # clone3 openat2
        creating=((56, 2),),  # openat
    ),
}  # fmt: skip


def strict(machine: Machine, device: int | None = None) -> bytes:
    """Return the filter by which a listed call passes and every other one is refused (EPERM).

    `device` is the descriptor of an open video device, of which a running coder's requests pass.
    """
    steps = _begun(machine)
    for number in machine.plain:
        steps += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for number, argument, bit in machine.without_bit:
        steps += _unless_bit(number, argument, bit)
    for number, argument in machine.of_self:
        steps += [
            (JUMP_EQUAL, 0, 4, number),
            (LOAD, 0, 0, _argument(argument)),
            (JUMP_EQUAL, 1, 0, 0),
            (RETURN, 0, 0, DENY),
            (RETURN, 0, 0, ALLOW),
        ]
    if device is not None:
        known = len(_VIDEO)
        steps += [
            (JUMP_EQUAL, 0, 6 + known, machine.ioctl),
            (LOAD, 0, 0, _argument(0)),
            (JUMP_EQUAL, 0, 2 + known, device),
            (LOAD, 0, 0, _argument(1)),
            (AND, 0, 0, 0xFFFF),
            *((JUMP_EQUAL, known - place, 0, request) for place, request in enumerate(_VIDEO)),
            (RETURN, 0, 0, DENY),
            (RETURN, 0, 0, ALLOW),
        ]
    return _packed([*steps, (RETURN, 0, 0, DENY)])


def loose(machine: Machine) -> bytes:
    """Return the filter by which named calls are refused (EPERM) and every other one passes."""
    steps = [*_begun(machine), (JUMP_BITS, 0, 1, _X32), (RETURN, 0, 0, DENY)]
    for number in machine.refused:
        steps += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, DENY)]
    for number in machine.unknown:
        steps += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, _UNKNOWN)]
    for number, argument in machine.creating:
        steps += _unless_bit(number, argument, _O_CREAT)
    steps += [
        (JUMP_EQUAL, 0, 3, machine.clone),
        (LOAD, 0, 0, _argument(0)),
        (JUMP_BITS, 1, 0, _CLONE_THREAD),
        (RETURN, 0, 0, DENY),
        (RETURN, 0, 0, ALLOW),
    ]
    return _packed(steps)


def _begun(machine: Machine) -> list[Step]:
    """Return the first steps: a foreign architecture kills; then the number of the call is at hand."""
    return [
        (LOAD, 0, 0, _ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, _NUMBER),
    ]


def _unless_bit(number: int, argument: int, bit: int) -> list[Step]:
    return [
        (JUMP_EQUAL, 0, 4, number),
        (LOAD, 0, 0, _argument(argument)),
        (JUMP_BITS, 0, 1, bit),
        (RETURN, 0, 0, DENY),
        (RETURN, 0, 0, ALLOW),
    ]


def _argument(index: int) -> int:
    """Return the offset of an argument's low word (both architectures are little-endian)."""
    return 16 + 8 * index


def _packed(steps: list[Step]) -> bytes:
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
