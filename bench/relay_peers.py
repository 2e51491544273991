"""The servers of the relay bench: camhub as the hub runs it (hub process and its relay workers), and aiortc as shipped.

``relay_peers.py camhub HOST CAMERA_PORT STREAM`` pulls the bench's camera by RTSP, ``relay_peers.py aiortc STREAMS STREAM`` has the
pictures in memory. Speaks JSON lines on standard input and output: ``{"offer": ..., "viewer": id}`` gives ``{"answer": ...}``, null where
the relay refused; the end of input ends it.
"""

import asyncio
import json
import pickle
import sys
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))
sys.path.insert(0, str(HERE.parent))

from relay_stream import FPS, stamp  # noqa: E402

WANTED = "auto"  # the dearest: feedback is read


async def lines():
    """Yield the bench's requests."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def say(**words: object) -> None:
    """Answer the bench."""
    print(json.dumps(words), flush=True)


async def camhub(host: str, camera_port: int, stream: str) -> None:
    """Run the hub's side of the relay with its workers as in production; renew leases as the hub's sessions do."""
    from adapters.clock import SystemClock
    from adapters.wire.dialer import NetworkPolicy
    from adapters.wire.gate import MemoryBook
    from hub.observe import configure_logging
    from hub.relay.errors import RelayRefused
    from hub.relay.workers.service import RelayService, RelaySetup, SourceSpec

    configure_logging("error")
    clock, policy = SystemClock(), NetworkPolicy.of(("127.0.0.0/8",))
    relay = RelayService(
        RelaySetup(hosts=(host,), port=0, log_level="error"),
        policy=lambda: policy,
        book=MemoryBook(clock),
        clock=clock,
    )
    await relay.start()
    viewers: list[str] = []

    async def renew() -> None:
        while True:
            relay.renew(viewers)
            await asyncio.sleep(0.5)

    renewing = asyncio.create_task(renew())
    say(ready=True, stops=True)

    def source(path: str) -> SourceSpec:
        # With a second layer transport-wide feedback is agreed, as in a real hub; nobody asks for that layer here.
        url = f"rtsp://127.0.0.1:{camera_port}/{path}"
        return SourceSpec(f"camera {path}", url, None, codec="H264", sub_url=f"{url}/sub", both=True)

    async def view(request: dict) -> None:
        viewers.append(request["viewer"])
        wanted = source(request.get("path", f"{stream}/0"))
        try:
            answer = await relay.view(request["viewer"], wanted, request["offer"], wanted=WANTED)
        except RelayRefused as error:
            say(answer=None, viewer=request["viewer"], refused=error.code)
            return
        say(answer=answer, viewer=request["viewer"])

    tasks = set()
    async for request in lines():
        if "stop" in request:
            viewers.remove(request["stop"])
            await relay.stop(request["stop"], "left")
            say(stopped=True)
        else:
            tasks.add(task := asyncio.create_task(view(request)))
            task.add_done_callback(tasks.discard)
    renewing.cancel()
    await relay.aclose()


async def shipped(units: list[list[bytes]]) -> None:
    """Run aiortc as its documentation shows: a peer connection per viewer, one track through MediaRelay, no decoding."""
    import av
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.contrib.media import MediaRelay
    from aiortc.mediastreams import VideoStreamTrack

    class Copied(VideoStreamTrack):
        """Gives out the stream's packets in real time, still encoded."""

        def __init__(self) -> None:
            super().__init__()
            self._number, self._began = 0, 0.0

        async def recv(self) -> av.Packet:
            loop = asyncio.get_running_loop()
            self._began = self._began or loop.time()
            await asyncio.sleep(max(0.0, self._began + self._number / FPS - loop.time()))
            unit = units[self._number % len(units)]
            packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit) + stamp())
            packet.pts, packet.time_base = self._number, Fraction(1, FPS)
            self._number += 1
            return packet

    track, relay = Copied(), MediaRelay()
    peers = []
    say(ready=True)
    async for request in lines():
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.append(peer)
        await peer.setRemoteDescription(RTCSessionDescription(request["offer"], "offer"))
        transceiver = peer.getTransceivers()[0]
        peer.addTrack(relay.subscribe(track, buffered=False))
        transceiver.direction = "sendonly"
        await peer.setLocalDescription(await peer.createAnswer())
        say(answer=peer.localDescription.sdp, viewer=request["viewer"])


if __name__ == "__main__":
    if sys.argv[1] == "camhub":
        asyncio.run(camhub(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
    else:
        asyncio.run(shipped(pickle.loads(Path(sys.argv[2]).read_bytes())[sys.argv[3]]))
