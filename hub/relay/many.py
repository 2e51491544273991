"""One call of the kernel for the datagrams of many viewers: Linux's sendmmsg by ctypes, laid out in place.

Python's socket has no such call. What is laid out (addresses, places in the buffer, the size at which a run is cut) stays
where it is from call to call and is written anew only where it changes.
"""

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Final

from hub.relay.webrtc.icetcp import Address

MOST: Final = (
    8  # messages per call: beyond this nothing is saved, and what is protected leaves the near cache
)
_UDP_SEGMENT: Final = 103  # linux/udp.h
_SIZE_V4, _SIZE_V6 = 16, 28  # struct sockaddr_in, sockaddr_in6
_NAME: Final = 32  # room for either
# struct mmsghdr, struct iovec and one struct cmsghdr with two bytes of data, of 64 bit Linux
_MESSAGE: Final = "PIPNPNi4xI4x"
_VECTOR: Final = "PN"
_CONTROL: Final = struct.Struct("@NiiH6x")
_LAYOUTS: Final = 256  # kept
_ADDRESSES: Final = 4096


class ManyMessages:
    """Up to `MOST` messages out of one buffer, each in a slot of its own and to an address of its own."""

    def __init__(self, buffer: int) -> None:
        """`buffer`: its address.

        Raises:
            OSError: this system has no sendmmsg, or lays its messages out in another way.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform != "linux" or sys.maxsize < 1 << 32 or not hasattr(libc, "sendmmsg"):
            raise OSError(errno.ENOSYS, "no sendmmsg")
        self._call = libc.sendmmsg
        self._call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._call.restype = ctypes.c_int
        self._buffer = buffer
        self._size = struct.calcsize(f"@{_MESSAGE}")
        self._names = ctypes.create_string_buffer(MOST * _NAME)
        self._vectors = ctypes.create_string_buffer(MOST * struct.calcsize(f"@{_VECTOR}"))
        self._control = ctypes.create_string_buffer(_CONTROL.size)
        self._messages = ctypes.create_string_buffer(MOST * self._size)
        self._first = ctypes.addressof(self._messages)
        self._names_view = memoryview(self._names).cast("B")
        self._vectors_view = memoryview(self._vectors).cast("B")
        self._control_view = memoryview(self._control).cast("B")
        self._messages_view = memoryview(self._messages).cast("B")
        self._layouts: dict[tuple[int, int, int, int], tuple[bytes, bytes, bytes]] = {}
        self._laid: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._packed: dict[Address, bytes] = {}

    def address(self, to: Sequence[Address]) -> int:
        """Say where messages go, all of one family; return the size of an address."""
        packed = self._packed
        try:
            names = b"".join([packed[address] for address in to])
        except KeyError:
            if len(packed) >= _ADDRESSES:
                packed.clear()
            packed.update((address, _sockaddr(address).ljust(_NAME, b"\0")) for address in to)
            names = b"".join([packed[address] for address in to])
        self._names_view[: len(names)] = names
        return _SIZE_V6 if ":" in to[0][0] else _SIZE_V4

    def send(
        self, descriptor: int, first: int, count: int, *, slot: int, size: int, stride: int, name: int
    ) -> int:
        """Send messages `first` to `count`, each `size` bytes from the start of its slot, cut by the kernel each `stride` bytes.

        `name` is the size of their addresses. Returns how many were taken; fewer than there are: the next one was refused, and
        to send from there tells why.

        Raises:
            OSError: the first one was refused.
        """
        wanted = slot, size, stride, name
        if wanted != self._laid:
            self._lay(wanted)
        taken: int = self._call(descriptor, self._first + first * self._size, count - first, 0)
        if taken < 0:
            number = ctypes.get_errno()
            raise OSError(number, errno.errorcode.get(number, "refused"))
        return taken

    def _lay(self, wanted: tuple[int, int, int, int]) -> None:
        layout = self._layouts.get(wanted)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[wanted] = self._laid_out(*wanted)
        self._messages_view[:], self._vectors_view[:], self._control_view[:] = layout
        self._laid = wanted

    def _laid_out(self, slot: int, size: int, stride: int, name: int) -> tuple[bytes, bytes, bytes]:
        names, vectors = ctypes.addressof(self._names), ctypes.addressof(self._vectors)
        control = ctypes.addressof(self._control)
        told = _CONTROL.size if size > stride else 0
        vector = struct.calcsize(f"@{_VECTOR}")
        messages: list[int] = []
        parts: list[int] = []
        for place in range(MOST):
            messages += (names + place * _NAME, name, vectors + place * vector, 1, control, told, 0, 0)
            parts += (self._buffer + place * slot, size)
        return (
            struct.pack(f"@{_MESSAGE * MOST}", *messages),
            struct.pack(f"@{_VECTOR * MOST}", *parts),
            _CONTROL.pack(_CONTROL.size - 6, socket.IPPROTO_UDP, _UDP_SEGMENT, stride & 0xFFFF),
        )


def _sockaddr(address: Address) -> bytes:
    """Return the sockaddr_in or sockaddr_in6 of an address as a socket gives it."""
    host, port = address[0].partition("%")[0], address[1]
    if ":" not in host:
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))
    flow, scope = address[2:] if len(address) == 4 else (0, 0)
    return (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack("!HI16s", port, flow, socket.inet_pton(socket.AF_INET6, host))
        + struct.pack("=I", scope)
    )
