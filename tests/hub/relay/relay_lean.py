"""A viewer that counts and decrypts packets instead of showing them: ICE over UDP or TCP, real DTLS-SRTP, RTCP by hand."""

import asyncio
import contextlib
import re
import secrets
import socket
import struct
from typing import Any, NamedTuple

from aioice import stun
from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from patience import PATIENCE_S

from hub.relay.webrtc.extension import PLAYOUT_DELAY, TRANSPORT_WIDE

CERTIFICATE = RTCCertificate.generateCertificate()
FINGERPRINT = next(str(f.value) for f in CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")
WIDE_ID, DELAY_ID = 3, 6
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h


class Rtp(NamedTuple):
    """One packet, decrypted."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    extensions: dict[int, bytes]
    payload: bytes


def parsed(data: bytes) -> Rtp:
    """Take a packet apart (RFC 3550 5.1, RFC 8285 4.2)."""
    first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    found: dict[int, bytes] = {}
    at = 12
    if first & 0x10:
        assert data[at : at + 2] == b"\xbe\xde"
        stop = at + 4 + 4 * struct.unpack_from("!H", data, at + 2)[0]
        at += 4
        while at < stop:
            if data[at]:
                size = (data[at] & 15) + 1
                found[data[at] >> 4] = data[at + 1 : at + 1 + size]
                at += size
            at += 1
    return Rtp(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, found, data[at:])


def roomy(sock: Any) -> None:
    """Give a socket room for what comes while this process is busy with something else."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)


class Lean:
    """One viewer."""

    role, state = "controlled", "completed"  # what aiortc's DTLS asks of its path

    def __init__(self, *, profile: bytes = b"") -> None:
        self.ufrag, self.pwd = secrets.token_hex(4), secrets.token_hex(12)
        self.packets: list[Rtp] = []
        self.reports: list[bytes] = []
        self.connected = False
        self.profile = b""
        self.remote_ufrag = self.remote_pwd = ""
        self._profile = profile
        self._records: asyncio.Queue[bytes] = asyncio.Queue()
        self.answers: asyncio.Queue[stun.Message] = asyncio.Queue()
        self._dtls: Any = None
        self._early: list[bytes] = []
        self.lose = 0  # packets that the network is to lose
        self.missed: list[int] = []
        self._write: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ends: list[Any] = []

    def offer(self, *, extra: tuple[str, ...] = (), wide: bool = True, rtx: bool = True) -> str:
        """Return an offer like a browser's."""
        lines = [
            "v=0",
            "o=- 1 2 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            "m=video 9 UDP/TLS/RTP/SAVPF 106 107",
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.pwd}",
            f"a=fingerprint:sha-256 {FINGERPRINT}",
            "a=setup:actpass",
            "a=mid:0",
            f"a=extmap:{DELAY_ID} {PLAYOUT_DELAY}",
            "a=recvonly",
            "a=rtcp-mux",
            "a=rtpmap:106 H264/90000",
            "a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            "a=rtcp-fb:106 nack",
            "a=rtcp-fb:106 nack pli",
            "a=rtcp-fb:106 goog-remb",
            *extra,
        ]
        if wide:
            lines += [f"a=extmap:{WIDE_ID} {TRANSPORT_WIDE}", "a=rtcp-fb:106 transport-cc"]
        if rtx:
            lines += ["a=rtpmap:107 rtx/90000", "a=fmtp:107 apt=106"]
        return "\r\n".join(lines) + "\r\n"

    def take(self, answer: str) -> None:
        """Read an answer."""
        self.answer = answer
        self.credentials(answer)
        fingerprint = re.search(r"a=fingerprint:sha-256 (\S+)", answer)[1]
        self._remote = RTCDtlsParameters([RTCDtlsFingerprint("sha-256", fingerprint)])
        self.ssrc = int(re.search(r"a=ssrc:(\d+) cname", answer)[1])
        group = re.search(r"a=ssrc-group:FID \d+ (\d+)", answer)
        self.rtx_ssrc = int(group[1]) if group else 0

    def credentials(self, text: str) -> None:
        """Take the relay's fragment and password from an answer or a fragment."""
        self.remote_ufrag = re.search(r"a=ice-ufrag:(\S+)", text)[1]
        self.remote_pwd = re.search(r"a=ice-pwd:(\S+)", text)[1]

    async def connect(self, answer: str, *, tcp: bool = False) -> "Lean":
        """Prove ourselves, shake hands, begin to read."""
        self.take(answer)
        pattern = r"tcp \d+ (\S+) (\d+) typ host tcptype passive" if tcp else r"udp \d+ (\S+) (\d+) typ host"
        host, port = re.search(pattern, answer).groups()
        await (self.open_tcp(host, int(port)) if tcp else self.open_udp(host, int(port)))
        await self.check()
        self._dtls = RTCDtlsTransport(self, [CERTIFICATE])
        self._dtls._set_role("client")
        if self._profile:
            self._dtls._srtp_profiles = [p for p in SRTP_PROFILES if p.openssl_profile == self._profile]
        async with asyncio.timeout(PATIENCE_S):
            await self._dtls.start(self._remote)
        assert self._dtls.state == "connected"
        self.profile = bytes(self._dtls._ssl.get_selected_srtp_profile())
        self.connected = True
        for data in self._early:
            self.heard(data)
        return self

    async def open_udp(self, host: str, port: int) -> None:
        """Send and receive datagrams."""
        lean = self

        class Heard(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _address: Any) -> None:
                lean.heard(data)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Heard, remote_addr=(host, port)
        )
        roomy(transport.get_extra_info("socket"))
        self._write = transport.sendto
        self._ends.append(transport)

    async def open_tcp(self, host: str, port: int) -> None:
        """Send and receive frames of RFC 4571."""
        self.reader, writer = await asyncio.open_connection(host, port)
        self._write = lambda data: writer.write(len(data).to_bytes(2, "big") + data)
        self._ends.append(writer)

        async def read() -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    size = int.from_bytes(await self.reader.readexactly(2), "big")
                    self.heard(await self.reader.readexactly(size))

        self._tasks.append(asyncio.create_task(read()))

    def heard(self, data: bytes) -> None:
        """Sort what came (RFC 7983)."""
        if data[0] < 4:
            self.answers.put_nowait(stun.parse_message(data))
        elif data[0] < 64:
            self._records.put_nowait(data)
        elif self._dtls is None or self._dtls._rx_srtp is None:
            self._early.append(data)  # media overtakes the end of the handshake in our own process
        else:
            if 192 <= data[1] <= 223:
                self.reports.append(self._dtls._rx_srtp.unprotect_rtcp(data))
            elif self.lose:
                self.lose -= 1
                self.missed.append(struct.unpack_from("!H", data, 2)[0])
            else:
                self.packets.append(parsed(self._dtls._rx_srtp.unprotect(data)))

    async def check(self) -> stun.Message:
        """Send a connectivity check until it is answered."""
        for _ in range(60):
            self._write(self.check_message())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    return await self.answers.get()
        raise AssertionError("no check was answered")

    def check_message(self) -> bytes:
        """Return a connectivity check that nominates this path."""
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{self.remote_ufrag}:{self.ufrag}"
        message.attributes["PRIORITY"] = 1
        message.attributes["ICE-CONTROLLING"] = 1
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(self.remote_pwd.encode())
        return bytes(message)

    def say(self, rtcp: bytes) -> None:
        """Send a report."""
        self._write(self._dtls._tx_srtp.protect_rtcp(rtcp))

    def lost(self, share: float) -> None:
        """Send a receiver report with this share lost."""
        block = struct.pack("!IIIIII", self.ssrc, int(share * 255) << 24, 0, 0, 0, 0)
        self.say(struct.pack("!BBHI", 0x81, 201, 7, 1) + block)

    def nack(self, sequence: int) -> None:
        """Ask for one packet again."""
        self.say(struct.pack("!BBHIIHH", 0x81, 205, 3, 1, self.ssrc, sequence, 0))

    def video(self) -> list[Rtp]:
        """Return the packets of the picture so far, without retransmissions."""
        return [packet for packet in self.packets if packet.ssrc == self.ssrc]

    async def until(self, condition: Any, what: str, limit_s: float = PATIENCE_S) -> None:
        """Wait until a condition holds."""
        try:
            async with asyncio.timeout(max(limit_s, PATIENCE_S)):
                while not condition():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not in time: {what}") from None

    async def _recv(self) -> bytes:
        return await self._records.get()

    async def _send(self, data: bytes) -> None:
        self._write(data)

    async def stop(self) -> None:
        """What aiortc's DTLS asks of its path."""

    async def close(self) -> None:
        """Leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._dtls is not None:
            await self._dtls.stop()
        for end in self._ends:
            end.close()
