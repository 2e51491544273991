"""The viewers of the relay bench: many lean WebRTC receivers in one process.

``relay_viewers.py HOST SERVER [runs]``. Each has a UDP socket of its own, does ICE and a real DTLS-SRTP handshake, answers
connectivity checks, sends a protected receiver report a second and, where it was agreed, transport-wide feedback every 50 ms as
Chromium does, counts every packet by its sequence number and decrypts the end of one picture a second, which tells when the
camera sent it. Times are the kernel's, of when a packet reached the socket: how long it lay there does not count. For that reason
nobody has to be woken by a packet: the sockets are looked at every 5 ms. On loopback it is the sender's core that wakes a sleeping
reader, at 7 us and more for each call on a virtual machine, which no server does for viewers elsewhere. With ``runs``
the kernel may hand on packets that were sent in one call as they were sent (UDP_GRO), in place of one by one; browsers do not
ask for that. Nothing is decoded: the other core would not last. Speaks JSON lines on standard input and output.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import re
import secrets
import select
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aioice import stun
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from pylibsrtp import Error as SrtpError

HOST, SERVER = sys.argv[1:3]
TRANSPORT_WIDE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
RUNS = "runs" in sys.argv[3:]
_TURNS_S = 0.005
_FEEDBACK_TURNS, _REPORT_TURNS, _CHECK_TURNS = 10, 200, 600  # each viewer's: 50 ms, 1 s, 3 s
_BATCH = 64
_DATAGRAM = 1 << 16 if RUNS else 2048
_CONTROL = 64
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS, _UDP_GRO = 33, 35, 104
_STAMPED = 32  # bytes of control data with the time alone; more tell the size of the packets in a run


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_IoVec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("hdr", _MsgHdr), ("len", ctypes.c_uint32))


_names = ctypes.create_string_buffer(_BATCH * 16)
_data = ctypes.create_string_buffer(_BATCH * _DATAGRAM)
_controls = ctypes.create_string_buffer(_BATCH * _CONTROL)
_vectors = (_IoVec * _BATCH)()
_messages = (_MMsgHdr * _BATCH)()
for _n in range(_BATCH):
    _vectors[_n] = _IoVec(ctypes.addressof(_data) + _n * _DATAGRAM, _DATAGRAM)
    _messages[_n].hdr.iov = ctypes.pointer(_vectors[_n])
    _messages[_n].hdr.iovlen = 1
    _messages[_n].hdr.name = ctypes.addressof(_names) + _n * 16
    _messages[_n].hdr.namelen = 16
    _messages[_n].hdr.control = ctypes.addressof(_controls) + _n * _CONTROL
    _messages[_n].hdr.controllen = _CONTROL
_SIZE = ctypes.sizeof(_MMsgHdr)
_as_made = ctypes.string_at(_messages, _BATCH * _SIZE)  # the kernel overwrites lengths
_message_view = memoryview(_messages).cast("B")
_control_view = memoryview(_controls).cast("B")
_LENGTHS = struct.Struct("=Q8xI")  # controllen, ..., len: from byte 40 of a message on
_TIME = struct.Struct("=qq")
_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_view = memoryview(_data).cast("B")
_name_view = memoryview(_names).cast("B")


_ready = select.epoll()
_reading: dict[int, "Viewer"] = {}


class Datagrams:
    """What aiortc's DTLS takes for a transport."""

    role, state = "controlled", "completed"

    def __init__(self, viewer: "Viewer") -> None:
        self._viewer = viewer
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue()

    async def _recv(self) -> bytes:
        return await self.waiting.get()

    async def _send(self, data: bytes) -> None:
        self._viewer.send(data)

    async def stop(self) -> None:
        """Nothing to stop."""


class Viewer:
    """One receiver."""

    def __init__(self, certificate: RTCCertificate) -> None:
        self.loop = asyncio.get_running_loop()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
        except OSError:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if RUNS:
            self.sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
        self.sock.bind((HOST, 0))
        self.sock.setblocking(False)
        self.ufrag, self.pwd = secrets.token_hex(4), secrets.token_hex(12)
        self.certificate = certificate
        self.path = Datagrams(self)
        self.dtls: RTCDtlsTransport | None = None
        self.remote: tuple[str, int] | None = None
        self.connected = self.failed = False
        self.ssrc = self.payload_type = 0
        self.wide, self.wide_highest, self.wide_told, self.wide_count = False, -1, -1, 0
        self.turn = self.place = 0
        self.began_s = 0.0  # when the first packet came
        self.reset()

    def reset(self) -> None:
        """Count anew."""
        self.packets = self.pictures = self.octets = self.duplicates = self.again = 0
        self.first = self.highest = -1
        self.decrypted = self.forged = 0
        self.last_s = self.gap_s = 0.0
        self.packets_then = 0  # when the last picture ended
        self.late: list[tuple[float, int]] = []  # ms, packets of the picture

    def offer(self) -> str:
        """Return an offer like a browser's."""
        return self._description(
            "actpass",
            "0",
            106,
            [
                "a=rtcp-fb:106 transport-cc",
                "a=rtpmap:107 rtx/90000",
                "a=fmtp:107 apt=106",
                f"a=extmap:3 {TRANSPORT_WIDE}",
                f"a=extmap:6 {PLAYOUT_DELAY}",
            ],
        )

    def take(self, text: str) -> str:
        """Take the offer of a server that offers, begin to connect, return the answer: H.264, RTX where it is offered."""
        payload_type = int(re.search(r"a=rtpmap:(\d+) H264/90000", text).group(1))
        mid = re.search(r"a=mid:(\S+)", text).group(1)
        again = re.findall(rf"a=fmtp:(\d+) apt={payload_type}\s", text)
        agreed = [
            line
            for pt in again[:1]
            for line in (f"a=rtpmap:{pt} rtx/90000", f"a=fmtp:{pt} apt={payload_type}")
        ]
        answer = self._description("active", mid, payload_type, agreed)
        self.answer(text)
        self.wide = False
        return answer

    def _description(self, setup: str, mid: str, payload_type: int, agreed: list[str]) -> str:
        port = self.sock.getsockname()[1]
        print_ = next(p.value for p in self.certificate.getFingerprints() if p.algorithm == "sha-256")
        types = [str(payload_type), *re.findall(r"a=rtpmap:(\d+) rtx/", "\n".join(agreed))]
        return "\r\n".join(
            [
                "v=0",
                "o=- 1 2 IN IP4 127.0.0.1",
                "s=-",
                "t=0 0",
                f"a=group:BUNDLE {mid}",
                f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(types)}",
                "c=IN IP4 0.0.0.0",
                "a=rtcp:9 IN IP4 0.0.0.0",
                f"a=candidate:1 1 udp 2130706431 {HOST} {port} typ host",
                "a=end-of-candidates",
                f"a=ice-ufrag:{self.ufrag}",
                f"a=ice-pwd:{self.pwd}",
                f"a=fingerprint:sha-256 {print_}",
                f"a=setup:{setup}",
                f"a=mid:{mid}",
                "a=recvonly",
                "a=rtcp-mux",
                f"a=rtpmap:{payload_type} H264/90000",
                f"a=rtcp-fb:{payload_type} nack",
                f"a=rtcp-fb:{payload_type} nack pli",
                *agreed,
                f"a=fmtp:{payload_type} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
                "",
            ]
        )

    def answer(self, text: str) -> None:
        """Take the answer and connect."""

        def value(name: str) -> str:
            return re.search(rf"a={name}:(\S+)", text).group(1)

        self.remote_ufrag, self.remote_pwd = value("ice-ufrag"), value("ice-pwd")
        self.remote_setup = value("setup")
        self.wide = "transport-cc" in text
        self.ssrc = int(value("ssrc"))
        self.payload_type = int(re.search(r"a=rtpmap:(\d+) H264/90000", text).group(1))
        found = re.findall(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", text)
        self.remote = next(((host, int(port)) for host, port in found if host == SERVER), None)
        if self.remote is None:
            raise SystemExit(f"the answer names no candidate at {SERVER}: {found}")
        algorithm, print_ = re.search(r"a=fingerprint:(sha-256) (\S+)", text).groups()
        self.peer = RTCDtlsParameters([RTCDtlsFingerprint(algorithm, print_)])
        _reading[self.sock.fileno()] = self
        _ready.register(self.sock, select.EPOLLIN)
        self.task = asyncio.create_task(self.connect())

    async def connect(self) -> None:
        """Check, shake hands, then report each second."""
        self.nominated = asyncio.Event()
        for _ in range(50):
            self.check()
            try:
                await asyncio.wait_for(self.nominated.wait(), 0.2)
                break
            except TimeoutError:
                continue
        else:
            self.failed = True
            return
        dtls = RTCDtlsTransport(self.path, [self.certificate])
        dtls._set_role("server" if self.remote_setup == "active" else "client")
        await dtls.start(self.peer)
        if dtls.state != "connected":
            self.failed = True
            return
        self.dtls, self.connected = dtls, True

    def take_turn(self, number: int) -> None:
        """Say what is due in this turn."""
        if self.dtls is None:
            return
        turn = number + self.turn
        if turn % _CHECK_TURNS == 0:
            self.check()
        if turn % _REPORT_TURNS == 0 and self.highest >= 0:
            block = struct.pack("!IIIIII", self.ssrc, 0, self.highest & 0xFFFFFFFF, 0, 0, 0)
            report = struct.pack("!BBHI", 0x81, 201, 7, 1) + block
            self.send(self.dtls._tx_srtp.protect_rtcp(report))
        if self.wide and turn % _FEEDBACK_TURNS == 0:
            self.feed()

    def feed(self) -> None:
        """Send transport-wide feedback: a run of packets that all came, each a tick after the other."""
        told, self.wide_told = self.wide_told, self.wide_highest
        new = (self.wide_highest - told) & 0xFFFF
        if told < 0 or not new or new > 4000:
            return
        reference = int(time.monotonic() / 0.064) & 0xFFFFFF
        body = struct.pack(
            "!HHIH", (told + 1) & 0xFFFF, new, reference << 8 | self.wide_count & 0xFF, 0x2000 | new
        ) + bytes(new)
        body += bytes(-len(body) % 4)
        head = struct.pack("!BBHII", 0x8F, 205, 2 + len(body) // 4, 1, self.ssrc)
        self.send(self.dtls._tx_srtp.protect_rtcp(head + body))
        self.wide_count += 1

    def check(self) -> None:
        """Send a binding request that nominates."""
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.remote_ufrag}:{self.ufrag}"
        message.attributes["PRIORITY"] = 1853817087
        message.attributes["ICE-CONTROLLING"] = 1
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(self.remote_pwd.encode())
        self.send(bytes(message))

    def send(self, data: bytes) -> None:
        """Send to the server."""
        self.sock.sendto(data, self.remote)

    def readable(self) -> None:
        """Read what is there in one call and count it."""
        count = _recvmmsg(self.sock.fileno(), _messages, _BATCH, 0x40, None)
        for number in range(max(0, count)):
            start = number * _DATAGRAM
            told, size = _LENGTHS.unpack_from(_message_view, number * _SIZE + 40)
            first = _view[start]
            if first >= 128:
                if not 192 <= _view[start + 1] <= 223:
                    stride = size
                    if told > _STAMPED:
                        stride = int.from_bytes(
                            _control_view[number * _CONTROL + 48 : number * _CONTROL + 52], "little"
                        )
                    self.media(start, size, stride, number)
            elif first < 4:
                self.stun(bytes(_view[start : start + size]), number)
            else:
                self.path.waiting.put_nowait(bytes(_view[start : start + size]))
        if count > 0:
            ctypes.memmove(_messages, _as_made, count * _SIZE)

    def media(self, start: int, size: int, stride: int, number: int) -> None:
        """Count the RTP packets of one datagram, or of a run of them: all of one size but the last."""
        stop = start + size
        kinds = bytes(_view[start + 1 : stop : stride])
        count = len(kinds)
        last = start + (count - 1) * stride
        if count > 1 and self.whole(kinds, start, last):
            self.highest += count
            self.packets += count
            ends = kinds.count(self.payload_type | 0x80)
            if kinds[-1] & 0x80:
                ends -= 1
                self.picture(last, stop, number)
            self.pictures += ends
        else:
            for place, kind in enumerate(kinds):
                self.packet(kind, start + place * stride, min(stop, start + (place + 1) * stride), number)
        self.octets += size
        if self.wide and _view[last] & 0x10:
            self.wide_highest = _view[last + 17] << 8 | _view[last + 18]

    def whole(self, kinds: bytes, start: int, last: int) -> bool:
        """Tell whether a run goes on where the one before it ended, and has no gap itself."""
        first = _view[start + 2] << 8 | _view[start + 3]
        return (
            self.highest >= 0
            and first == (self.highest + 1) & 0xFFFF
            and _view[last + 2] << 8 | _view[last + 3] == (first + len(kinds) - 1) & 0xFFFF
            and kinds.count(self.payload_type) + kinds.count(self.payload_type | 0x80) == len(kinds)
        )

    def packet(self, kind: int, start: int, stop: int, number: int) -> None:
        """Count one packet."""
        if kind & 0x7F != self.payload_type:
            self.again += 1  # a retransmission
            return
        sequence = _view[start + 2] << 8 | _view[start + 3]
        if self.highest < 0:
            self.first = self.highest = sequence
            self.began_s = self.began_s or self.loop.time()
        else:
            step = (sequence - self.highest) & 0xFFFF
            if step == 0 or step > 0x8000:
                self.duplicates += 1
            else:
                self.highest += step
        self.packets += 1
        if kind & 0x80:
            self.picture(start, stop, number)

    def picture(self, start: int, stop: int, number: int) -> None:
        """Note the end of a picture."""
        seconds, ns = _TIME.unpack_from(_control_view, number * _CONTROL + 16)
        now = seconds + ns / 1e9
        self.pictures += 1
        if self.last_s:
            self.gap_s = max(self.gap_s, now - self.last_s)
        self.last_s = now
        size, self.packets_then = self.packets - self.packets_then, self.packets
        if (self.pictures + self.place) % 25 == 0 and self.dtls is not None:
            try:
                plain = self.dtls._rx_srtp.unprotect(bytes(_view[start:stop]))
                self.decrypted += 1
            except SrtpError:
                self.forged += 1
                return
            # Now and then a picture ends within the time, and its last packet has only a part of it.
            with contextlib.suppress(ValueError):
                self.late.append(((now - int(plain[-16:], 16) / 1e9) * 1000, size))

    def stun(self, data: bytes, number: int) -> None:
        """Answer a check, or note that ours was answered."""
        message = stun.parse_message(data)
        if message.message_class == stun.Class.RESPONSE:
            self.nominated.set()
        elif message.message_class == stun.Class.REQUEST:
            port, host = struct.unpack_from("!H4s", _name_view, number * 16 + 2)
            address = (socket.inet_ntoa(host), port)
            response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
            response.attributes["XOR-MAPPED-ADDRESS"] = address
            response.add_message_integrity(self.pwd.encode())
            # aiortc checks from each address of its machine; the viewers have no way to some of them.
            with contextlib.suppress(OSError):
                self.sock.sendto(bytes(response), address)

    def report(self) -> dict[str, float]:
        """Return what was seen."""
        expected = self.highest - self.first + 1 if self.highest >= 0 else 0
        return {
            "packets": self.packets,
            "lost": expected - (self.packets - self.duplicates),
            "pictures": self.pictures,
            "octets": self.octets,
            "decrypted": self.decrypted,
            "forged": self.forged,
            "gap_s": round(self.gap_s, 4),
            "late": self.late,
        }


async def main() -> None:
    """Obey the bench."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    certificate = RTCCertificate.generateCertificate()
    context = certificate._create_ssl_context
    kept: list[object] = []

    def one_context(srtp_profiles):
        if not kept:
            kept.append(context(srtp_profiles))
        return kept[0]

    certificate._create_ssl_context = one_context
    viewers: dict[str, Viewer] = {}
    spread: list[list[Viewer]] = [[] for _ in range(_FEEDBACK_TURNS)]

    async def turns() -> None:
        began = loop.time()
        number = 0
        while True:
            await asyncio.sleep(max(0.0, began + number * _TURNS_S - loop.time()))
            for descriptor, _events in _ready.poll(0, max(1, len(_reading))):
                _reading[descriptor].readable()
            for viewer in spread[number % _FEEDBACK_TURNS]:
                viewer.take_turn(number)
            number += 1

    def made(name: str) -> Viewer:
        viewer = viewers[name] = Viewer(certificate)
        # Those of one moment say their reports, which are rarer, in different turns.
        place = viewer.place = len(viewers)
        viewer.turn = -(place % _FEEDBACK_TURNS) + place // _FEEDBACK_TURNS * 7 * _FEEDBACK_TURNS
        spread[place % _FEEDBACK_TURNS].append(viewer)
        return viewer

    turning = asyncio.create_task(turns())
    gc.disable()  # a minute's work; a walk over all viewers would look like a gap
    print(json.dumps({"ready": True}), flush=True)
    while line := await reader.readline():
        request = json.loads(line)
        match request["do"]:
            case "offer":
                reply = {"offer": made(request["viewer"]).offer()}
            case "take":
                reply = {"answer": made(request["viewer"]).take(request["sdp"])}
            case "answer":
                viewers[request["viewer"]].answer(request["sdp"])
                continue
            case "connected":
                reply = {
                    "connected": sum(v.connected for v in viewers.values()),
                    "playing": sum(v.packets > 0 for v in viewers.values()),
                    "failed": sum(v.failed for v in viewers.values()),
                    "watched_s": sum(loop.time() - v.began_s for v in viewers.values() if v.began_s),
                }
            case "begin":
                for viewer in viewers.values():
                    viewer.reset()
                reply = {"at": loop.time()}
            case "gap":
                chosen = [v for name, v in viewers.items() if not name.startswith("new")]
                reply = {"gap_s": max(v.gap_s for v in chosen)}
            case _:
                reply = {"at": loop.time(), "viewers": [v.report() for v in viewers.values()]}
        print(json.dumps(reply), flush=True)
    turning.cancel()


if __name__ == "__main__":
    asyncio.run(main())
