"""DTLS-SRTP for one viewer. The only module that touches private names of aiortc and of pylibsrtp.

aiortc's `RTCDtlsTransport` runs over any object with `role`, `state` and async `_recv`, `_send`, `stop`; `DatagramPath`
is ours, fed by the one UDP port of the worker. The handshake and the fingerprint check are aiortc's. Afterwards media
and RTCP go past it: packets are protected in place by libsrtp in one shared buffer and sent in runs.

`PRIVATE_NAMES` lists what is used beyond the public interface; a contract test asserts each of them against the
installed versions (aiortc is pinned exactly).
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Any, Final, NamedTuple

from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
)
from OpenSSL import SSL
from pylibsrtp import Error as SrtpError
from pylibsrtp import Session as SrtpSession
from pylibsrtp._binding import ffi, lib

from hub.relay.many import MOST, ManyMessages
from hub.relay.ring import Packet
from hub.relay.webrtc.extension import Extension
from hub.relay.webrtc.icetcp import Address, TcpPath
from hub.relay.webrtc.lines import Look, Origin, Sorts

PRIVATE_NAMES: Final = {
    "aiortc.rtcdtlstransport.RTCDtlsTransport": (
        "_rx_srtp",
        "_tx_srtp",
        "_set_role",
        "_srtp_profiles",
        "_ssl",
    ),
    "aiortc.rtcdtlstransport.RTCCertificate": ("_create_ssl_context",),
    "pylibsrtp.Session": ("_srtp",),
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
_WAITING_DATAGRAMS = 32
_NO_EXTENSION = Extension()
_RELEASE_BUFFERS = 0x10  # openssl/ssl.h, SSL_MODE_RELEASE_BUFFERS: pyOpenSSL has no public name for it
_preferred = {b"SRTP_AEAD_AES_128_GCM": 0, b"SRTP_AES128_CM_SHA1_80": 1}


class Certificate(RTCCertificate):
    """The worker's certificate. One TLS context serves every viewer: making one costs more than the handshake's sums."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            context = super()._create_ssl_context(srtp_profiles)
            # A viewer comes with a certificate of its own each time: nothing is ever resumed, and each session held
            # for that, and each idle buffer, is memory per viewer.
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            context.set_mode(_RELEASE_BUFFERS)
            self._context = context
        return self._context

    @cached_property
    def sha256(self) -> str:
        """Return the fingerprint as it stands in ``a=fingerprint:sha-256``."""
        return next(str(print_.value) for print_ in self.getFingerprints() if print_.algorithm == "sha-256")


class Turns:
    """Lets one piece of work begin per round of the event loop: a hundred viewers at once are a hundred handshakes, and
    pictures must not wait behind all of them."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for one's turn; first come, first served."""
        async with self._lock:
            await asyncio.sleep(0)


def _nowhere(_data: bytes) -> None:
    """Take what is sent over a closed path."""


class DatagramPath:
    """What aiortc takes for an ICE transport: datagrams in by `feed`, out by the viewer's nominated pair."""

    def __init__(self, send: Callable[[bytes], None], turns: Turns) -> None:
        self._turns = turns
        self.role = "controlled"
        self.state = "completed"
        self._out = send
        self._in: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING_DATAGRAMS)

    def feed(self, data: bytes) -> None:
        """Take a DTLS datagram from the network; one too many is dropped, DTLS repeats it."""
        if not self._in.full() and self.state != "closed":
            self._in.put_nowait(data)

    def close(self) -> None:
        """End the reader with a connection error."""
        self.state = "closed"
        self._out = _nowhere
        while self._in.full():
            self._in.get_nowait()
        self._in.put_nowait(None)

    async def _recv(self) -> bytes:
        data = await self._in.get()
        if data is None:
            raise ConnectionError("the viewer's path is closed")
        await self._turns.turn()
        return data

    async def _send(self, data: bytes) -> None:
        self._out(data)

    async def stop(self) -> None:
        self.close()


class DtlsSession:
    """One viewer's DTLS association and the SRTP keys it yields."""

    def __init__(
        self,
        certificate: Certificate,
        fingerprints: Sequence[tuple[str, str]],
        *,
        role: str,
        send: Callable[[bytes], None],
        turns: Turns,
    ) -> None:
        """`role` is ours, ``server`` or ``client``; `fingerprints` are the peer's (algorithm, value)."""
        self.path = DatagramPath(send, turns)
        self._peer = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(algorithm=name, value=value) for name, value in fingerprints]
        )
        path: Any = self.path  # duck-typed: aiortc names its own ICE transport here
        self._dtls: Any = RTCDtlsTransport(path, [certificate])
        self._dtls._set_role(role)
        # The server's order decides. GCM with a 128 bit key is the cheapest where AES is in hardware.
        self._dtls._srtp_profiles = sorted(
            SRTP_PROFILES, key=lambda profile: _preferred.get(profile.openssl_profile, 2)
        )
        self._receive: SrtpSession | None = None
        self._keep: Any = None
        self.srtp: Any = None  # libsrtp's handle for sending, once connected
        self.tag = 0  # bytes of the authentication tag behind each packet

    async def handshake(self) -> str:
        """Run the handshake; return "" where it succeeded, else why it did not."""
        dtls = self._dtls
        if dtls is not None:
            await dtls.start(self._peer)
        if dtls is None or dtls.state != "connected":
            return (
                "the DTLS handshake failed: the certificate does not match the fingerprint in the offer, "
                "or no SRTP profile is shared"
            )
        self._receive = dtls._rx_srtp
        self._keep = dtls._tx_srtp  # owns the handle below
        self.srtp = self._keep._srtp[0]
        profile = bytes(dtls._ssl.get_selected_srtp_profile())
        self.tag = 10 if profile == b"SRTP_AES128_CM_SHA1_80" else 16  # RFC 5764 4.1.2, RFC 7714 14.2
        return ""

    @property
    def closed(self) -> bool:
        """Tell whether the peer closed the association (close_notify) or it broke."""
        return self._dtls is None or self._dtls.state in {"closed", "failed"}

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call back when the association ends."""
        self._dtls.on("statechange", lambda: callback() if self.closed else None)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Protect one RTCP compound packet."""
        return bytes(self._keep.protect_rtcp(packet))

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Verify and decrypt one SRTCP packet; `None` where it is forged, replayed or broken."""
        if self._receive is None or len(packet) > 1500:
            return None
        try:
            return bytes(self._receive.unprotect_rtcp(packet))
        except (SrtpError, ValueError):
            return None

    def unprotect(self, packet: bytes) -> bytes | None:
        """Verify and decrypt one SRTP packet; `None` where it is forged, replayed or broken."""
        if self._receive is None or len(packet) > 1500:
            return None
        try:
            return bytes(self._receive.unprotect(packet))
        except (SrtpError, ValueError):
            return None

    async def close(self) -> None:
        """Say goodbye (close_notify) and free the keys and what OpenSSL holds, now and not when cycles are looked for. Idempotent."""
        dtls = self._dtls
        if dtls is None:
            return
        try:
            await dtls.stop()
        finally:
            dtls.remove_all_listeners()
            self.path.close()
            self._dtls = self._keep = self._receive = self.srtp = None


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


@dataclass(frozen=True, slots=True)
class Written:
    """A burst with the headers of a look: what all viewers of a sort get, before it is protected."""

    template: bytes
    stride: int
    count: int  # packets
    lengths: bytes  # of `Burst`, once for each of `MOST` viewers
    protected: bytes  # and what libsrtp has to make of them


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

    def sends_together(self, path: Path | None) -> bool:
        """Tell whether datagrams of many viewers may leave by a path in one call."""
        return self._many is not None and type(path) is socket.socket

    def written(self, bursts: Sequence[Burst], look: Look, index: int) -> list[Written]:
        """Write the headers of a look once for all who share it; `index` is that of the first packet in its ring."""
        done: list[Written] = []
        for burst in bursts:
            template = bytearray(burst.template)
            count = len(burst.headers)
            _write_headers(template, burst.headers, look, index)
            sizes = [burst.stride] * (count - 1) + [burst.protected_last]
            done.append(
                Written(
                    bytes(template),
                    burst.stride,
                    count,
                    burst.lengths * MOST,
                    _INTS[count].pack(*sizes) * MOST,
                )
            )
            index += count
        return done

    def send_together(
        self, sock: socket.socket, keys: Sequence[Any], to: Sequence[Address], runs: Sequence[Written]
    ) -> list[int]:
        """Send the same packets to at most `MOST` viewers of one sort (libsrtp's handles, addresses): each run to all in one call.

        Returns how many of the runs each of them got: fewer than there are where the kernel takes no more now.

        Raises:
            SendFailed: libsrtp refused one of them.
        """
        view, many = self._view, self._many
        got = [0] * len(to)
        if many is None:
            return got
        name, live = many.address(to), len(to)
        for written in runs:
            template, stride, count = written.template, written.stride, written.count
            size = len(template)
            # A run has its packets a stride apart; for those of one packet any slot will do, and few sizes of it are better.
            slot = stride * count if count > 1 else stride + 63 & ~63
            step = stride if count > 1 else slot
            for place in range(live):
                at = place * slot
                view[at : at + size] = template
            octets = live * count * _INT
            self._lengths_view[:octets] = written.lengths[:octets]
            handles = chain.from_iterable(map(repeat, keys[:live], repeat(count)))
            if any(map(lib.srtp_protect, handles, self._pointers(step, live * count), self._length_at)):
                raise SendFailed("libsrtp refused a packet")
            if self._lengths_view[:octets].tobytes() != written.protected[:octets]:
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
        if tail >= 0:
            _PACK_TAIL(view, position + HEADER + 8, tail)
        sequence += 1
        number += 1


_INT = struct.calcsize("=i")
_INTS = [struct.Struct(f"={count}i") for count in range(_RUN_MAX + 1)]
_PACK = struct.Struct("!BBHII").pack_into
_PACK_EXTENDED = struct.Struct("!BBHIIQ").pack_into
_PACK_TAIL = struct.Struct("!I").pack_into
# EIO: the route has no checksum offload; EOPNOTSUPP, ENOPROTOOPT: the kernel has no such option: do not ask again.
_NEVER_IN_RUNS = frozenset({errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT})
# EMSGSIZE, EINVAL: this path's MTU is below the stride; other viewers' paths are not concerned.
_NOT_IN_RUNS = _NEVER_IN_RUNS | {errno.EMSGSIZE, errno.EINVAL}
