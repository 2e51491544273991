"""Transport-wide feedback thinned by the kernel: where many watch, most of it is dropped before it wakes anybody.

A browser sends twenty a second, one in 400 ms is read at most (`Viewer.rtcp`). To take the others off the socket cost a twentieth of all
the relay does. A classic BPF filter on the socket lets one in eight or fewer through, by chance, and all that is no such feedback. It looks
at the clear first bytes of a protected packet, as `rtcp.is_path_feedback` does. Linux; elsewhere nothing is thinned.
"""

import ctypes
import socket
import struct

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
_LOAD_BYTE, _LOAD_WORD, _AND, _EQUAL, _RETURN = 0x30, 0x20, 0x54, 0x15, 0x06  # linux/bpf_common.h
_RANDOM = 0xFFFFF000 + 56  # linux/filter.h: SKF_AD_OFF + SKF_AD_RANDOM
_UDP_HEADER = 8  # where the filter of a UDP socket begins to look


def thin(sock: socket.socket, one_in: int) -> bool:
    """Let one in `one_in` (a power of two) of the transport-wide feedback through to a UDP socket; tell whether the system does that."""
    program = (
        (_LOAD_BYTE, 0, 0, _UDP_HEADER),
        (_AND, 0, 0, 0xDF),  # version and format, without the bit that tells of padding
        (_EQUAL, 0, 5, 0x8F),  # version 2, format 15 (transport-wide); else let it through
        (_LOAD_BYTE, 0, 0, _UDP_HEADER + 1),
        (_EQUAL, 0, 3, 205),  # RTPFB
        (_LOAD_WORD, 0, 0, _RANDOM),
        (_AND, 0, 0, one_in - 1),
        (_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, 0xFFFF),
        (_RETURN, 0, 0, 0),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    try:
        sock.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("@HP", len(program), ctypes.addressof(code)),
        )
    except OSError:
        return False
    return True


def thin_no_more(sock: socket.socket) -> None:
    """Let all of it through again."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    except OSError:
        return  # none was there
