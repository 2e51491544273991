"""What leaves for the viewers of a worker: media is protected in place by libsrtp in one shared buffer and sent in runs.

`PRIVATE_NAMES` lists what is used of pylibsrtp beyond its public interface; the contract test of `webrtc/dtls.py` asserts it too.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any, Final, NamedTuple

from pylibsrtp._binding import ffi, lib

from hub.relay.many import MOST, ManyMessages
from hub.relay.ring import Packet
from hub.relay.webrtc.extension import Extension
from hub.relay.webrtc.icetcp import Address, TcpPath
from hub.relay.webrtc.lines import Look, Origin, Sort, Sorts

PRIVATE_NAMES: Final = {
    "pylibsrtp._binding.lib": ("srtp_protect", "srtp_err_status_ok"),
}

Path = socket.socket | TcpPath

HEADER = 12  # bytes of the fixed RTP header
_UDP_SEGMENT = 103  # linux/udp.h
_RUN_MAX = (
    16  # packets handed to the kernel in one call; beyond this the gain is flat and the burst only hurts
)
_BUFFER = MOST << 15  # for each of them a run of 16 packets of at most 2 kB
_BLOCKED_S = 0.05
_NO_EXTENSION = Extension()


class SendFailed(Exception):
    """libsrtp refused to protect a packet: the keys are used up or the association is gone."""


class Burst(NamedTuple):
    """Packets that leave in one call: all of one size but the last, which may be shorter.

    `template` holds them one after the other with room for the header before and for the authentication tag behind
    each. It is made once and serves every viewer whose tag is of that size.
    """

    template: bytes
    stride: int  # protected size of all but the last
    lengths: bytes  # C ints: header and payload of each
    headers: tuple[tuple[int, int, int], ...]  # (position, marker, timestamp) of each
    protected_last: int  # size of the last once protected


class Run(NamedTuple):
    """A burst as it is sent to several viewers: what libsrtp is told of its packets, and has to make of them, once for each of `MOST`."""

    burst: Burst
    packets: int
    lengths: bytes
    protected: bytes


class PacketSender:
    """Writes the per-viewer header, protects and sends, in one buffer for the whole worker.

    Packets of one size that follow each other go to the kernel in one call (UDP_SEGMENT, Linux 4.18): each leaves as
    its own datagram, but the stack is walked once. Where the kernel refuses that, they go one by one.
    """

    def __init__(self, *, segments: bool = True) -> None:
        self.origin = Origin.random()  # what the numbers of all viewers begin with, so that they look alike
        self.sorts = Sorts()
        self._cdata = ffi.new("char[]", _BUFFER)
        self._view = memoryview(ffi.buffer(self._cdata))
        self._lengths = ffi.new("int[]", _RUN_MAX * MOST)
        self._lengths_view = memoryview(ffi.buffer(self._lengths))
        self._length_at = [self._lengths + place for place in range(_RUN_MAX * MOST)]
        self._packet_at: dict[int, list[Any]] = {}  # stride -> pointers into the buffer
        self._many: ManyMessages | None
        try:
            self._many = ManyMessages(int(ffi.cast("uintptr_t", self._cdata)))
        except OSError:
            self._many = None
        self._segments = segments
        self._ancillary: dict[int, list[tuple[int, int, bytes]]] = {}
        self._waiting: dict[socket.socket, asyncio.Future[None]] = {}
        self.blocked = 0  # times the kernel's buffer was full
        self.failed = 0  # datagrams refused for another reason (no route, address gone)

    def prepare(
        self, packets: Sequence[Packet], tag: int, header: int = HEADER, *, ordinals: bool = False
    ) -> list[Burst]:
        """Lay packets out for viewers whose authentication tag has `tag` bytes and whose header has `header`.

        `ordinals`: they are stamped with the ordinals of their pictures.
        """
        most = _RUN_MAX if self._segments else 1
        bursts: list[Burst] = []
        start, count = 0, len(packets)
        if not count:
            return bursts
        payloads, markers, stamps, pictures = zip(*packets, strict=True)  # the fields of `Packet`
        if ordinals:
            stamps = pictures
        sizes = list(map(len, payloads))
        gap, end = bytes(header), bytes(tag)
        between = end + gap
        while start < count:
            size = sizes[start]
            stop, limit = start + 1, min(count, start + most)
            # The kernel cuts at the first one's size: only the last of a burst may be shorter, none longer.
            while stop < limit and sizes[stop] == size:
                stop += 1
            if stop < limit and sizes[stop] < size:
                stop += 1
            stride, run, last = header + size + tag, stop - start, header + sizes[stop - 1]
            places = range(0, run * stride, stride)
            bursts.append(
                Burst(
                    gap + between.join(payloads[start:stop]) + end,
                    stride,
                    _INTS[run].pack(*repeat(header + size, run - 1), last),
                    tuple(zip(places, markers[start:stop], stamps[start:stop], strict=True)),
                    last + tag,
                )
            )
            start = stop
        return bursts

    def send(
        self,
        path: Path,
        address: Address,
        srtp: Any,
        bursts: Sequence[Burst],
        *,
        payload_type: int,
        sequence: int,
        ssrc: int,
        offset: int,
        extension: Extension = _NO_EXTENSION,
        number: int = 0,
    ) -> tuple[int, int]:
        """Send bursts with the numbers from `sequence` on and `offset` added to their timestamps.

        `number` is the transport-wide one of the first packet. Returns (packets, bytes) sent, without UDP and IP headers.
        Fewer packets than there are: the path takes no more now; go on from there once `writable`.

        Raises:
            SendFailed: libsrtp refused; the viewer has to end.
        """
        view, lengths, protect = self._view, self._length_at, lib.srtp_protect
        total = sent = 0
        for burst in bursts:
            template = burst.template
            size = len(template)
            stride = burst.stride
            view[:size] = template
            self._lengths_view[: len(burst.lengths)] = burst.lengths
            count = len(burst.headers)
            look = Look(payload_type, ssrc, sequence, number, offset, extension)
            _write_headers(view, burst.headers, look, 0)
            # Any status but 0 is a refusal; the loop over the packets runs in C.
            if any(map(protect, repeat(srtp, count), self._pointers(stride, count), lengths)):
                raise SendFailed("libsrtp refused a packet")
            if self._lengths[count - 1] != burst.protected_last:
                raise SendFailed(f"libsrtp made {self._lengths[count - 1]} bytes, not {burst.protected_last}")
            if not self._send(path, address, size, stride):
                break
            total += size
            sent += count
            sequence += count
            number += count
        return sent, total

    def send_picture(
        self,
        sock: socket.socket,
        address: Address,
        srtp: Any,
        sort: Sort,
        payloads: Sequence[bytes],
        *,
        timestamp: int,
        index: int,
    ) -> int | None:
        """Send one picture, whose first packet is `index` of its ring, to one viewer of a sort, without laying it out first.

        Returns the bytes sent, 0 where the path takes none now, `None` where the picture is not one run: nothing was done then.

        Raises:
            SendFailed: libsrtp refused; the viewer has to end.
        """
        sizes, look, tag = list(map(len, payloads)), sort.look, sort.tag
        size, last, count = sizes[0], sizes[-1], len(sizes)
        # As in `prepare`: only the last may be shorter, none longer.
        if count > (_RUN_MAX if self._segments else 1) or sizes.count(size) < count - (last < size):
            return None
        view, header = self._view, HEADER + look.extension.size
        stride = header + size + tag
        body = bytes(header + tag).join(payloads)
        view[header : header + len(body)] = body
        place = (count - 1) * stride
        headers = [(at, 0, timestamp) for at in range(0, place, stride)]
        headers.append((place, 0x80, timestamp))
        _write_headers(view, headers, look, index)
        lengths = _INTS[count].pack(*repeat(header + size, count - 1), header + last)
        self._lengths_view[: len(lengths)] = lengths
        if any(map(lib.srtp_protect, repeat(srtp, count), self._pointers(stride, count), self._length_at)):
            raise SendFailed("libsrtp refused a packet")
        if self._lengths[count - 1] != header + last + tag:
            raise SendFailed("libsrtp made a packet of another size")
        octets = header + len(body) + tag
        return octets if self._send(sock, address, octets, stride) else 0

    def sends_together(self, path: Path | None) -> bool:
        """Tell whether datagrams of many viewers may leave by a path in one call."""
        return self._many is not None and type(path) is socket.socket

    def runs(self, bursts: Sequence[Burst]) -> list[Run]:
        """Return bursts as `send_together` takes them."""
        found: list[Run] = []
        for burst in bursts:
            count = len(burst.headers)
            sizes = _INTS[count].pack(*repeat(burst.stride, count - 1), burst.protected_last)
            found.append(Run(burst, count, burst.lengths * MOST, sizes * MOST))
        return found

    def written(self, runs: Sequence[Run], look: Look, index: int) -> list[bytes]:
        """Write the headers of a look, once for all who share it; `index` is that of the first packet in its ring."""
        done: list[bytes] = []
        for burst, count, _lengths, _protected in runs:
            template = bytearray(burst.template)
            _write_headers(template, burst.headers, look, index)
            done.append(bytes(template))
            index += count
        return done

    def send_together(
        self,
        sock: socket.socket,
        keys: Sequence[Any],
        to: Sequence[Address],
        runs: Sequence[Run],
        headed: Sequence[Sequence[bytes]],
    ) -> list[int]:
        """Send the same packets to at most `MOST` viewers (libsrtp's handles, addresses), each with its headers: each run to all in one call.

        `headed` is what `written` made of the runs, for each of them; those of one look share it.
        Returns how many of the runs each of them got: fewer than there are where the kernel takes no more now.

        Raises:
            SendFailed: libsrtp refused one of them.
        """
        view, many = self._view, self._many
        got = [0] * len(to)
        if many is None:
            return got
        name, live = many.address(to), len(to)
        for number, (burst, count, lengths, protected) in enumerate(runs):
            size, stride = len(burst.template), burst.stride
            # A run has its packets a stride apart; for those of one packet any slot will do, and few sizes of it are better.
            slot = stride * count if count > 1 else stride + 63 & ~63
            step = stride if count > 1 else slot
            at = 0
            for one in headed[:live]:
                view[at : at + size] = one[number]
                at += slot
            octets = live * count * _INT
            self._lengths_view[:octets] = lengths[:octets]
            handles = chain.from_iterable(map(repeat, keys[:live], repeat(count)))
            if any(map(lib.srtp_protect, handles, self._pointers(step, live * count), self._length_at)):
                raise SendFailed("libsrtp refused a packet")
            if self._lengths_view[:octets].tobytes() != protected[:octets]:
                raise SendFailed("libsrtp made packets of another size")
            done = 0
            while done < live:
                try:
                    done += many.send(
                        sock.fileno(), done, live, slot=slot, size=size, stride=stride, name=name
                    )
                except (BlockingIOError, InterruptedError):
                    self.blocked += 1
                    break
                except OSError as error:
                    self._refused(error, sock, to[done], (done * slot, done * slot + size), stride)
                    done += 1
            if done < live:
                live = done
                if not live:
                    break
            got[:live] = [one + 1 for one in got[:live]]
        return got

    async def writable(self, sock: socket.socket) -> None:
        """Wait until the kernel takes datagrams again, at most 50 ms. Any number of cameras may wait for one socket."""
        waiting = self._waiting.get(sock)
        if waiting is None:
            loop = asyncio.get_running_loop()
            waiting = self._waiting[sock] = loop.create_future()
            loop.add_writer(sock, self._woken, sock, loop)
            loop.call_later(_BLOCKED_S, self._woken, sock, loop)
        await asyncio.shield(waiting)

    def _woken(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting.pop(sock, None)
        if waiting is not None:
            if sock.fileno() >= 0:
                loop.remove_writer(sock)
            if not waiting.done():
                waiting.set_result(None)

    def _pointers(self, stride: int, count: int) -> list[Any]:
        """Return pointers into the buffer, a stride apart: as many as are needed, or more."""
        found = self._packet_at.get(stride)
        if found is None:
            if len(self._packet_at) > 4096:
                self._packet_at.clear()
            found = self._packet_at[stride] = []
        if len(found) < count:
            found += [self._cdata + place * stride for place in range(len(found), count)]
        return found

    def _send(self, sock: Path, address: Address, size: int, stride: int) -> bool:
        """Send what stands in the buffer; return False where the path takes nothing now."""
        if isinstance(sock, TcpPath):
            return sock.send_run(self._view[:size], stride)
        try:
            if size == stride:
                sock.sendto(self._view[:size], address)
                return True
            ancillary = self._ancillary.get(stride)
            if ancillary is None:
                ancillary = self._ancillary[stride] = [
                    (socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", stride))
                ]
            sock.sendmsg((self._view[:size],), ancillary, 0, address)
        except (BlockingIOError, InterruptedError):
            self.blocked += 1
            return False
        except OSError as error:
            self._refused(error, sock, address, (0, size), stride)
        return True

    def _refused(
        self, error: OSError, sock: socket.socket, address: Address, place: tuple[int, int], stride: int
    ) -> None:
        """Send a run that the kernel refused as such packet by packet, from its place in the buffer; other refusals count as lost."""
        start, stop = place
        if stop - start <= stride or error.errno not in _NOT_IN_RUNS:
            self.failed += -(-(stop - start) // stride)
            return
        if error.errno in _NEVER_IN_RUNS:
            self._segments = False
        for position in range(start, stop, stride):
            try:
                sock.sendto(self._view[position : min(stop, position + stride)], address)
            except OSError:
                self.failed += 1  # asked for again by the viewer, or its path is gone


def _write_headers(
    view: memoryview | bytearray, headers: Sequence[tuple[int, int, int]], look: Look, index: int
) -> None:
    """Write the headers of packets from `index` of their ring on."""
    payload_type, ssrc, sequence, number, offset, extension = look
    word, mask, tail = extension.word, extension.mask, extension.tail
    sequence += index
    number += index
    if not word:
        for position, marker, timestamp in headers:
            _PACK(
                view,
                position,
                0x80,
                marker | payload_type,
                sequence & 0xFFFF,
                (timestamp + offset) & 0xFFFFFFFF,
                ssrc,
            )
            sequence += 1
        return
    if tail >= 0:
        for position, marker, timestamp in headers:
            _PACK_TAILED(
                view,
                position,
                0x90,
                marker | payload_type,
                sequence & 0xFFFF,
                (timestamp + offset) & 0xFFFFFFFF,
                ssrc,
                word | (number & mask) << 8,
                tail,
            )
            sequence += 1
            number += 1
        return
    for position, marker, timestamp in headers:
        _PACK_EXTENDED(
            view,
            position,
            0x90,
            marker | payload_type,
            sequence & 0xFFFF,
            (timestamp + offset) & 0xFFFFFFFF,
            ssrc,
            word | (number & mask) << 8,
        )
        sequence += 1
        number += 1


_INT = struct.calcsize("=i")
_INTS = [struct.Struct(f"={count}i") for count in range(_RUN_MAX + 1)]
_PACK = struct.Struct("!BBHII").pack_into
_PACK_EXTENDED = struct.Struct("!BBHIIQ").pack_into
_PACK_TAILED = struct.Struct("!BBHIIQI").pack_into
# EIO: the route has no checksum offload; EOPNOTSUPP, ENOPROTOOPT: the kernel has no such option: do not ask again.
_NEVER_IN_RUNS = frozenset({errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT})
# EMSGSIZE, EINVAL: this path's MTU is below the stride; other viewers' paths are not concerned.
_NOT_IN_RUNS = _NEVER_IN_RUNS | {errno.EMSGSIZE, errno.EINVAL}
