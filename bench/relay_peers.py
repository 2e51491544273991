"""The servers of the relay bench: camhub as the hub runs it (hub and worker process), and aiortc as shipped.

``relay_peers.py camhub|aiortc|worker``. Speaks JSON lines on standard input and output: ``{"offer": ..., "viewer": id}``
gives ``{"answer": ...}``; the end of input ends it.
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

from relay_stream import FPS, LoopedAdapter, stamped  # noqa: E402

STREAM = Path(sys.argv[2])
WANTED = "auto"  # the dearest: feedback is read


def units() -> list[list[bytes]]:
    """Return the stream, encoded once by the bench and read by every server."""
    return pickle.loads(STREAM.read_bytes())


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


async def camhub() -> None:
    """Run the hub's side of the relay with a worker process; renew leases as the hub's sessions do."""
    from adapters.clock import SystemClock
    from adapters.wire.dialer import NetworkPolicy
    from adapters.wire.gate import MemoryBook
    from hub.observe import configure_logging
    from hub.relay.service import RelayService, RelaySetup, SourceSpec

    configure_logging("error")
    clock = SystemClock()
    setup = RelaySetup(
        hosts=("127.0.0.1",),
        port=0,
        log_level="error",
        command=(sys.executable, str(HERE), "worker", str(STREAM)),
    )
    relay = RelayService(
        setup, policy=lambda: NetworkPolicy.of(("127.0.0.0/8",)), book=MemoryBook(clock), clock=clock
    )
    await relay.start()
    viewers: list[str] = []

    async def renew() -> None:
        while True:
            relay.renew(viewers)
            await asyncio.sleep(0.5)

    renewing = asyncio.create_task(renew())
    say(ready=True, worker=relay.worker_pid)

    def source(camera: int) -> SourceSpec:
        # With a second layer transport-wide feedback is agreed, as in a real hub; nobody asks for that layer here.
        path = f"rtsp://127.0.0.1:554/{camera}"
        return SourceSpec(f"camera {camera}", path, None, sub_url=f"{path}/sub", both=True)

    async def view(request: dict) -> None:
        viewers.append(request["viewer"])
        answer = await relay.view(
            request["viewer"], source(request.get("camera", 0)), request["offer"], wanted=WANTED
        )
        say(answer=answer, viewer=request["viewer"])

    tasks = set()
    async for request in lines():
        if "counters" in request:
            say(counters=await relay.counters())
        else:
            tasks.add(asyncio.create_task(view(request)))
    renewing.cancel()
    await relay.aclose()


async def shipped() -> None:
    """Run aiortc as its documentation shows: a peer connection per viewer, one track through MediaRelay, no decoding."""
    import av
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.contrib.media import MediaRelay
    from aiortc.mediastreams import VideoStreamTrack

    class Copied(VideoStreamTrack):
        """Gives out the stream's packets in real time, still encoded."""

        def __init__(self) -> None:
            super().__init__()
            self._units = units()
            self._number, self._began = 0, 0.0

        async def recv(self) -> av.Packet:
            loop = asyncio.get_running_loop()
            self._began = self._began or loop.time()
            await asyncio.sleep(max(0.0, self._began + self._number / FPS - loop.time()))
            unit = stamped(self._units[self._number % len(self._units)])
            packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit))
            packet.pts, packet.time_base = self._number, Fraction(1, FPS)
            self._number += 1
            return packet

    track, relay = Copied(), MediaRelay()
    peers = []
    say(ready=True, worker=None)
    async for request in lines():
        if "counters" in request:
            say(counters={})
            continue
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.append(peer)
        await peer.setRemoteDescription(RTCSessionDescription(request["offer"], "offer"))
        transceiver = peer.getTransceivers()[0]
        peer.addTrack(relay.subscribe(track, buffered=False))
        transceiver.direction = "sendonly"
        await peer.setLocalDescription(await peer.createAnswer())
        say(answer=peer.localDescription.sdp, viewer=request["viewer"])


def worker() -> int:
    """Run a relay worker whose only camera is the bench's stream."""
    from adapters.port import AdapterManifest
    from adapters.registry import Registry
    from hub.relay.worker import main

    registry = Registry()
    stream = units()
    registry.add(AdapterManifest("bench", "1", ("rtsp",), {"rtsp": 554}, (), lambda: LoopedAdapter(stream)))
    return main(sys.argv[3:], registry)


if __name__ == "__main__":
    match sys.argv[1]:
        case "camhub":
            asyncio.run(camhub())
        case "aiortc":
            asyncio.run(shipped())
        case _:
            sys.exit(worker())
