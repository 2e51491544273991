"""Simulated cameras for the probe bench: ONVIF and RTSP of many cameras in one process, light but honest.

    .venv/bin/python bench/probe_cameras.py CAMERAS

The replies are those of the project's own scripted camera, rendered once per camera and address; every login is
verified for real (Digest with nonce, count and replay check; WS-UsernameToken with the camera's clock). Speaks JSON
lines on standard input and output: first the cameras, then the answer to each command, until the input ends.
"""

import asyncio
import json
import re
import socket
import struct
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

from relay_stream import encoded  # noqa: E402

from adapters.clock import SystemClock  # noqa: E402
from hub.simulator.device import REALM, Device, new_password  # noqa: E402
from hub.simulator.digest import DigestVerifier, Login  # noqa: E402
from hub.simulator.packets import h264_payloads  # noqa: E402
from hub.simulator.presets import shipped  # noqa: E402
from hub.simulator.replies import PATHS, operations, snapshot_path  # noqa: E402
from hub.simulator.soap import SoapFault, TokenVerifier, envelope, not_authorized, parse  # noqa: E402
from hub.simulator.studio import Studio  # noqa: E402

PRESET = "good-onvif"
OPEN = {"GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetEndpointReference", "GetHostname"}
BODY = re.compile(rb"<(?:[\w.-]+:)?Body[ >]")
PICTURE = b"\xff\xd8\xff\xe0" + bytes(2000) + b"\xff\xd9"
UNAUTHORISED = b"HTTP/1.1 401 Unauthorized\r\n"


class Camera:
    """One camera's account, replies and media."""

    def __init__(self, number: int, payloads: list[bytes], sets: str) -> None:
        preset = shipped()[PRESET]
        assert preset.onvif is not None
        clock = SystemClock()
        self.device = Device(preset, clock, Studio(clock), "admin", new_password(), 0.0, number)
        self.script = preset.onvif
        self.verifier = DigestVerifier(self.device.clock, REALM, self.script.algorithms, None)
        self.tokens = TokenVerifier(self.device, self.script.token_age_s)
        self.payloads = payloads
        self.sets = sets
        self.known: dict[tuple[str, bytes], tuple[str, bytes]] = {}
        self.services = {PATHS[name]: name for name in self.script.services}

    async def start(self) -> None:
        """Listen on two free ports of loopback."""
        loop = asyncio.get_running_loop()
        http = await loop.create_server(lambda: Http(self), "127.0.0.1", 0, backlog=256)
        rtsp = await loop.create_server(lambda: Rtsp(self), "127.0.0.1", 0, backlog=256)
        self.device.onvif_port = http.sockets[0].getsockname()[1]
        self.device.rtsp_port = rtsp.sockets[0].getsockname()[1]
        self.operations = operations(self.device, self.script)

    def challenge(self, login: Login) -> bytes:
        """Return the header lines of a refusal."""
        lines = self.verifier.challenges(stale=login is Login.STALE)
        return b"".join(f"WWW-Authenticate: {line}\r\n".encode() for line in lines)

    def answer(self, method: str, path: str, authorization: str | None, body: bytes) -> bytes:
        """Answer one HTTP request."""
        if path == snapshot_path(1):
            login = self.device.judge(self.verifier, authorization, method, path)
            if login is not Login.ACCEPTED:
                return http_reply(UNAUTHORISED + self.challenge(login), b"401\n", "text/plain")
            return http_reply(b"HTTP/1.1 200 OK\r\n", PICTURE, "image/jpeg")
        found = BODY.search(body)
        key = (path, body[found.start() :] if found else body)
        kept = self.known.get(key)
        if kept is None:
            try:
                call = parse(body)
                made = self.operations[self.services[path]][call.operation](call)
                assert isinstance(made, str)  # those that wait for something are not asked for here
                kept = (call.operation, http_reply(b"HTTP/1.1 200 OK\r\n", envelope(made)))
            except SoapFault as fault:
                kept = ("fault", http_reply(f"HTTP/1.1 {fault.status} Fault\r\n".encode(), fault.body))
            except KeyError:
                kept = ("fault", http_reply(b"HTTP/1.1 404 Not Found\r\n", b"", "text/plain"))
            if kept[0] != "GetSystemDateAndTime":
                self.known[key] = kept
        operation, reply = kept
        if operation in OPEN:
            return reply
        login = self.device.judge(self.verifier, authorization, method, path)
        if login is Login.NONE and b"UsernameToken" in body:
            if self.tokens.judge(parse(body).token) is Login.ACCEPTED:
                return reply
            return http_reply(b"HTTP/1.1 400 Bad Request\r\n", not_authorized().body)
        if login is Login.ACCEPTED:
            return reply
        return http_reply(UNAUTHORISED + self.challenge(login), not_authorized(401).body)


def http_reply(head: bytes, body: bytes, kind: str = "application/soap+xml; charset=utf-8") -> bytes:
    """Return a whole reply; `head` ends with its last line."""
    return b"%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (head, kind.encode(), len(body), body)


class Requests(asyncio.Protocol):
    """Cuts requests of HTTP or RTSP out of a connection's bytes."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Serve every whole request."""
        self.buffer += data
        while True:
            if self.buffer[:1] == b"$":  # a receiver report
                length = 4 + int.from_bytes(self.buffer[2:4], "big")
                if len(self.buffer) < max(length, 4):
                    return
                self.buffer = self.buffer[length:]
                continue
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *rest = self.buffer[:end].decode().split("\r\n")
            headers = {}
            for line in rest:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            until = end + 4 + int(headers.get("content-length", "0"))
            if len(self.buffer) < until:
                return
            body, self.buffer = self.buffer[end + 4 : until], self.buffer[until:]
            method, target, _version = first.split(" ")
            self.serve(method, target, headers, body)

    def serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        """Answer one request."""
        raise NotImplementedError


class Http(Requests):
    """ONVIF and the snapshot."""

    def serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        """Answer one request."""
        path = target.split("?", 1)[0]
        self.transport.write(self.camera.answer(method, path, headers.get("authorization"), body))


class Rtsp(Requests):
    """A stream that plays its key frame at once, and one picture behind it."""

    def serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        """Answer one request."""
        camera = self.camera
        extra, content = b"", b""
        status = b"200 OK"
        if method == "OPTIONS":
            extra = b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n"
        else:
            login = camera.device.judge(camera.verifier, headers.get("authorization"), method, target)
            if login is not Login.ACCEPTED:
                status, extra = b"401 Unauthorized", camera.challenge(login)
            elif method == "DESCRIBE":
                content = camera.sets.encode()
                extra = b"Content-Type: application/sdp\r\nContent-Base: %s/\r\n" % target.encode()
            elif method == "SETUP":
                extra = b"Session: 4711;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            elif method == "PLAY":
                extra = b"Session: 4711\r\nRange: npt=now-\r\n"
        length = b"Content-Length: %d\r\n" % len(content) if content else b""
        cseq = headers.get("cseq", "0").encode()
        head = b"RTSP/1.0 %s\r\nCSeq: %s\r\n%s%s\r\n" % (status, cseq, extra, length)
        packets = b"".join(camera.payloads) if method == "PLAY" and status == b"200 OK" else b""
        self.transport.write(head + content + packets)
        if method == "TEARDOWN":
            self.transport.close()


def media() -> tuple[list[bytes], str]:
    """Return the interleaved packets of two pictures of real H.264, and their SDP."""
    import base64

    units = encoded(500)
    sets = [unit for unit in units[0] if unit[0] & 31 in {7, 8}]
    framed: list[bytes] = []
    sequence = 100
    for number, unit in enumerate(units[:2]):
        payloads = h264_payloads(unit)
        for index, payload in enumerate(payloads):
            kind = 96 | (0x80 if index == len(payloads) - 1 else 0)
            packet = struct.pack(">BBHII", 0x80, kind, sequence, 9000 + number * 3600, 7) + payload
            framed.append(struct.pack(">BBH", 0x24, 0, len(packet)) + packet)
            sequence += 1
    told = ",".join(base64.b64encode(unit).decode() for unit in sets)
    sdp = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=control:*\r\n"
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        f"a=fmtp:96 packetization-mode=1;profile-level-id={sets[0][1:4].hex()};sprop-parameter-sets={told}\r\n"
        "a=control:trackID=1\r\n"
    )
    return framed, sdp


class Dead:
    """Addresses that accept and stay silent, and addresses whose queue is full: no answer to a SYN."""

    def __init__(self) -> None:
        self._kept: list[socket.socket | asyncio.Server] = []

    async def open(self, count: int) -> list[int]:
        """Return the ports of so many dead addresses, half of each kind."""
        ports: list[int] = []
        for number in range(count):
            if number % 2:
                server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
                self._kept.append(server)
                ports.append(server.sockets[0].getsockname()[1])
                continue
            listening = socket.socket()
            listening.bind(("127.0.0.1", 0))
            listening.listen(0)
            self._kept.append(listening)
            ports.append(listening.getsockname()[1])
            for _ in range(3):
                filling = socket.socket()
                filling.setblocking(False)
                filling.connect_ex(("127.0.0.1", ports[-1]))
                self._kept.append(filling)
        return ports


async def main() -> None:
    """Serve until the input ends."""
    payloads, sdp = media()
    cameras = [Camera(number, payloads, sdp) for number in range(1, int(sys.argv[1]) + 1)]
    for camera in cameras:
        await camera.start()
    dead = Dead()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    def say(told: object) -> None:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    say(
        [
            {
                "onvif": camera.device.onvif_port,
                "rtsp": camera.device.rtsp_port,
                "user": camera.device.user,
                "password": camera.device.password,
            }
            for camera in cameras
        ]
    )
    while line := await reader.readline():
        order = json.loads(line)
        if order["do"] == "dead":
            say(await dead.open(order["count"]))
        elif order["do"] == "cpu":
            say({"cpu_s": time.process_time()})
        else:
            say(
                {
                    "requests": sum(camera.device.counters.credentialed for camera in cameras),
                    "refused": sum(camera.device.counters.refused for camera in cameras),
                }
            )


if __name__ == "__main__":
    asyncio.run(main())
