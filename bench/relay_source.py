"""The camera of the relay bench: one process for all servers, as many streams as are asked of it.

``relay_source.py STREAMS``. Serves RTSP, interleaved, on a port of its own choice: ``/NAME/...`` is stream NAME as it runs, so
that a reader comes in wherever the group of pictures stands; ``/first/NAME/...`` begins with a key frame for each reader.
Every picture carries the time at which it was sent. Speaks JSON lines on standard input and output.
"""

import asyncio
import base64
import contextlib
import json
import os
import pickle
import socket
import struct
import sys
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))
sys.path.insert(0, str(HERE.parent))

from relay_stream import CLOCK_RATE_HZ, FPS, GROUP, NUMBERS, stamp  # noqa: E402

from hub.relay.camera.packetise import H264Packetiser  # noqa: E402

PAYLOAD_TYPE = 96
_SSRC = 0x5EED
_PHASES = 10  # pictures of different cameras are spread over the 40 ms
_HEADER = struct.Struct("!BBHII")
_FRAMED = struct.Struct("!BBHBBHII")


class Stream:
    """A stream cut into packets once."""

    def __init__(self, units: list[list[bytes]]) -> None:
        packetiser = H264Packetiser()
        self.pictures = [
            packetiser.payloads(unit, key_frame=place % GROUP == 0) for place, unit in enumerate(units)
        ]
        sets = [nal for nal in units[0] if nal[0] & 31 in {7, 8}]
        self.level = next(nal for nal in sets if nal[0] & 31 == 7)[1:4].hex()
        self.sets = ",".join(base64.b64encode(nal).decode() for nal in sets)


class Beat:
    """Sends one stream's pictures in real time to all who take them; each is laid out once."""

    def __init__(self, stream: Stream, began_s: float, *, numbered_from_zero: bool = False) -> None:
        self.writers: set[asyncio.StreamWriter] = set()
        self.waiting: dict[
            asyncio.StreamWriter, asyncio.Future[float]
        ] = {}  # for a first key frame, unix seconds
        self.socket: socket.socket | None = None  # connected to one that takes RTP over UDP
        self.began_s = began_s
        self._stream = stream
        loop = asyncio.get_running_loop()
        self._number = 0 if numbered_from_zero else int((loop.time() - began_s) * FPS) + 1
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop, sequence = asyncio.get_running_loop(), 0
        pictures = self._stream.pictures
        while True:
            await asyncio.sleep(max(0.0, self.began_s + self._number / FPS - loop.time()))
            place = self._number % len(pictures)
            payloads = pictures[place]
            told, last = stamp(), len(payloads) - 1
            at = self._number * CLOCK_RATE_HZ // FPS & 0xFFFFFFFF
            packets = [
                (
                    PAYLOAD_TYPE | (0x80 if n == last else 0),
                    (sequence + n) & 0xFFFF,
                    payload + told if n == last else payload,
                )
                for n, payload in enumerate(payloads)
            ]
            sequence += len(payloads)
            if self.writers:
                framed = b"".join(
                    part
                    for kind, number, payload in packets
                    for part in (
                        _FRAMED.pack(0x24, 0, 12 + len(payload), 0x80, kind, number, at, _SSRC),
                        payload,
                    )
                )
                for writer in self.writers:
                    writer.write(framed)
                if place % GROUP == 0:
                    for told_key in self.waiting.values():
                        told_key.set_result(time.time())
                    self.waiting.clear()
            if self.socket is not None:
                for kind, number, payload in packets:
                    with contextlib.suppress(OSError):
                        self.socket.send(_HEADER.pack(0x80, kind, number, at, _SSRC) + payload)
            self._number += 1


class Camera:
    """An RTSP server, interleaved only."""

    def __init__(self, streams: dict[str, Stream]) -> None:
        self._streams = streams
        self._beats: dict[tuple[str, int], Beat] = {}
        self._began_s = asyncio.get_running_loop().time()
        self._keys: dict[str, asyncio.Future[float]] = {}  # by path: when its newest reader got a key frame
        self.began_unix_s = time.time()

    def running(self, name: str, phase: int) -> Beat:
        """Return the beat of a stream that runs whether anybody takes it or not."""
        key = name, phase
        if key not in self._beats:
            self._beats[key] = Beat(self._streams[name], self._began_s + phase / _PHASES / FPS)
        return self._beats[key]

    def _beat(self, path: str) -> Beat:
        kind, name = path.split("/")[:2]
        if kind == "first":
            return Beat(self._streams[name], asyncio.get_running_loop().time(), numbered_from_zero=True)
        # The first camera of a stream is the one whose clock is told.
        return self.running(kind, 0 if name == "0" else zlib.crc32(path.encode()) % _PHASES)

    def _describe(self, path: str) -> str:
        kind, name = path.split("/")[:2]
        stream = self._streams[name if kind == "first" else kind]
        return "\r\n".join(
            [
                "v=0",
                "o=- 1 1 IN IP4 127.0.0.1",
                "s=bench",
                "t=0 0",
                "a=control:*",
                f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
                f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_RATE_HZ}",
                (
                    f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={stream.level};"
                    f"sprop-parameter-sets={stream.sets}"
                ),
                "a=control:trackID=0",
                "",
            ]
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        beat: Beat | None = None
        path = ""
        try:
            while True:
                if (first := await reader.readexactly(1)) == b"$":
                    _channel, high, low = await reader.readexactly(3)
                    await reader.readexactly(high << 8 | low)
                    continue
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
                method, url, _ = head.split(" ", 2)
                given = {n.lower(): v.strip() for n, _, v in (x.partition(":") for x in head.split("\r\n"))}
                fields, body = {"CSeq": given.get("cseq", "0"), "Session": "1"}, ""
                if method == "OPTIONS":
                    fields["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
                elif method == "DESCRIBE":
                    path = url.split("/", 3)[3].strip("/")
                    body = self._describe(path)
                    fields |= {"Content-Type": "application/sdp", "Content-Base": f"{url}/"}
                elif method == "SETUP":
                    fields["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
                if body:
                    fields["Content-Length"] = str(len(body))
                lines = ["RTSP/1.0 200 OK", *(f"{name}: {value}" for name, value in fields.items())]
                writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
                if method == "PLAY" and beat is None:
                    beat = self._beat(path)
                    beat.writers.add(writer)
                    self._keys[path] = beat.waiting[writer] = asyncio.get_running_loop().create_future()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if beat is not None:
                beat.writers.discard(writer)
                beat.waiting.pop(writer, None)
                if beat not in self._beats.values():
                    beat.task.cancel()
            writer.close()

    def first_key_s(self, path: str) -> float:
        """Return when the newest reader of a path got its first key frame (unix seconds), 0 before."""
        told = self._keys.get(path)
        return told.result() if told is not None and told.done() else 0.0


async def main(streams: dict[str, Stream]) -> None:
    """Serve until the end of input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    camera = Camera(streams)
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
    print(json.dumps({"ready": True, "port": server.sockets[0].getsockname()[1]}), flush=True)
    async with server:
        while line := await reader.readline():
            request = json.loads(line)
            match request["do"]:
                case "send":  # RTP over UDP, as to a server that is pushed to
                    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    sock.connect(("127.0.0.1", request["port"]))
                    camera.running(request["stream"], 0).socket = sock
                    reply = {"sending": True}
                case "key":
                    reply = {"at": camera.first_key_s(request["path"])}
                case _:
                    reply = {"began": camera.began_unix_s, "numbers": NUMBERS}
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    encoded = pickle.loads(Path(sys.argv[1]).read_bytes())
    # A camera is a machine of its own: it does not wait for the viewers who share its core here. Needs root.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    asyncio.run(main({name: Stream(units) for name, units in encoded.items()}))
