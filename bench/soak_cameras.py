"""The cameras of the soak: RTSP servers in one process, each of which can be restarted.

``soak_cameras.py COUNT KBPS``. Camera n has a port of its own, with a main stream ``/main`` and a small one ``/sub``, interleaved.
``{"restart": n, "for_s": s}`` breaks its connections and refuses new ones for so long. Speaks JSON lines.
"""

import asyncio
import base64
import contextlib
import json
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "hub" / "relay"))

from relay_camera import group_of_pictures  # noqa: E402

from hub.relay.camera.packetise import H264Packetiser  # noqa: E402

FPS, GROUP, PAYLOAD_TYPE = 25, 50, 96
_FRAMED = struct.Struct("!BBHBBHII")


class Stream:
    """One stream, cut into packets once."""

    def __init__(self, width: int, height: int, kbps: int) -> None:
        units = group_of_pictures(width, height, FPS, GROUP, "baseline", 0, kbps)
        packetiser = H264Packetiser()
        self.pictures = [packetiser.payloads(unit, key_frame=n == 0) for n, unit in enumerate(units)]
        sets = [nal for nal in units[0] if nal[0] & 31 in {7, 8}]
        self.level = sets[0][1:4].hex()
        self.sets = ",".join(base64.b64encode(nal).decode() for nal in sets)

    def description(self) -> str:
        """Return the SDP."""
        return "\r\n".join(
            [
                "v=0",
                "o=- 1 1 IN IP4 127.0.0.1",
                "s=soak",
                "t=0 0",
                "a=control:*",
                f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
                f"a=rtpmap:{PAYLOAD_TYPE} H264/90000",
                f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={self.level};sprop-parameter-sets={self.sets}",
                "a=control:trackID=0",
                "",
            ]
        )


class Camera:
    """One RTSP server."""

    def __init__(self, streams: dict[str, Stream]) -> None:
        self._streams = streams
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> None:
        """Listen, on the port of before where there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def restart(self, for_s: float) -> None:
        """Be away for a while."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(for_s)
        await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        sending: asyncio.Task[None] | None = None
        try:
            while True:
                if (first := await reader.readexactly(1)) == b"$":
                    head = await reader.readexactly(3)
                    await reader.readexactly(int.from_bytes(head[1:], "big"))
                    continue
                head = first + await reader.readuntil(b"\r\n\r\n")
                method, url, _ = head.decode().split(" ", 2)
                sequence = next(
                    line[5:].strip()
                    for line in head.decode().split("\r\n")
                    if line.lower().startswith("cseq:")
                )
                stream = self._streams["sub" if "/sub" in url else "main"]
                fields, body = {"CSeq": sequence, "Session": "1"}, ""
                if method == "OPTIONS":
                    fields["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
                elif method == "DESCRIBE":
                    body = stream.description()
                    fields |= {"Content-Type": "application/sdp", "Content-Base": f"{url}/"}
                    fields["Content-Length"] = str(len(body))
                elif method == "SETUP":
                    fields["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
                lines = ["RTSP/1.0 200 OK", *(f"{name}: {value}" for name, value in fields.items())]
                writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
                if method == "PLAY" and sending is None:
                    sending = asyncio.create_task(_send(stream, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            if sending is not None:
                sending.cancel()
            writer.close()


async def _send(stream: Stream, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    began, number, sequence = loop.time(), 0, 0
    while not writer.is_closing():
        await asyncio.sleep(max(0.0, began + number / FPS - loop.time()))
        payloads = stream.pictures[number % GROUP]
        at, last = number * 90_000 // FPS & 0xFFFFFFFF, len(payloads) - 1
        packets = []
        for place, payload in enumerate(payloads):
            kind = PAYLOAD_TYPE | (0x80 if place == last else 0)
            packets.append(_FRAMED.pack(0x24, 0, 12 + len(payload), 0x80, kind, sequence & 0xFFFF, at, 7))
            packets.append(payload)
            sequence += 1
        writer.write(b"".join(packets))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        number += 1


async def main() -> None:
    """Serve until the end of input."""
    count, kbps = int(sys.argv[1]), int(sys.argv[2])
    streams = {"main": Stream(640, 360, kbps), "sub": Stream(160, 120, 100)}
    cameras = [Camera(streams) for _ in range(count)]
    for camera in cameras:
        await camera.start()
    print(json.dumps({"ports": [camera.port for camera in cameras]}), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    restarts: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        words = json.loads(line)
        restarts.add(task := asyncio.create_task(cameras[words["restart"]].restart(words["for_s"])))
        task.add_done_callback(restarts.discard)


if __name__ == "__main__":
    asyncio.run(main())
