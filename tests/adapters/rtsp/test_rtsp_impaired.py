"""RTSP over UDP from a camera behind a bad network: what of its pictures reaches the hub, each impairment stated."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from impair_path import ImpairedPath, impaired
from rtsp_support import Answer, Asked, GoodCamera, ScriptedCamera, encoded, reply, run, scripted
from test_rtsp_source import playing

from adapters.port import AccessUnit
from adapters.rtsp.policy import DEFAULT, Policies

pytestmark = pytest.mark.slow


class UdpCamera(GoodCamera):
    """Sends over UDP where it is asked to."""

    frame_s = 0.01

    def setup(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        transport = asked.headers["transport"]
        self.client_port = (
            int(transport.split("client_port=")[1].split("-")[0]) if "client_port" in transport else 0
        )
        return reply(asked, Session=self.session, Transport=transport)

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        if not self.client_port:
            await super().stream(writer)
            return
        self.out, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(writer.get_extra_info("peername")[0], self.client_port)
        )
        try:
            await super().stream(writer)
        finally:
            self.out.close()

    def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
        if self.client_port:
            self.out.sendto(packet)
        else:
            super().send(writer, packet)


@contextlib.contextmanager
def far_camera(path: ImpairedPath, script: UdpCamera) -> Iterator[ScriptedCamera]:
    """Run a scripted camera at the far end, in a thread of its own."""
    ready, over = threading.Event(), threading.Event()
    held: list[ScriptedCamera] = []

    async def serve() -> None:
        async with scripted(script, host=path.far_host) as camera:
            held.append(camera)
            ready.set()
            while not over.is_set():
                await asyncio.sleep(0.02)

    def work() -> None:
        with path.far():
            asyncio.run(serve())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(20)
        yield held[0]
    finally:
        over.set()
        thread.join(20)


async def collected(
    camera: ScriptedCamera, count: int, policies: Policies = DEFAULT
) -> tuple[list[AccessUnit], tuple[str, ...]]:
    """Play until so many pictures have come; return them and what was tolerated."""
    async with playing(camera, policies, transport="udp") as (source, units, task):
        async with asyncio.timeout(40):
            while len(units) < count and not task.done():
                await asyncio.sleep(0.02)
        return list(units), source.client.tolerances.names  # type: ignore[attr-defined]


SENT = {tuple(unit) for unit in encoded()}


def test_five_percent_lost_cost_the_pictures_that_they_hit_and_no_other() -> None:
    """Each picture that arrives is as it was sent; the one behind a gap says how many packets are missing."""
    with impaired(5, namespaces=True) as path, far_camera(path, UdpCamera()) as camera, path.near():
        path.set_back(loss=0.05)
        units, _names = run(collected(camera, 120))
        whole = [tuple(unit.nals) in SENT for unit in units]
        lost = path.counts()["back"]["lost"]
        assert lost > 0
        assert whole.count(False) <= lost
        assert all(unit.lost_packets for unit, intact in zip(units, whole, strict=True) if not intact)
        assert 0 < sum(unit.lost_packets for unit in units) <= 2 * lost  # on a border both are told
        assert all(b.timestamp > a.timestamp for a, b in pairwise(units))


def test_packets_that_overtake_or_come_twice_are_put_in_order() -> None:
    """A tenth held back for 25 ms and a tenth doubled: every picture as it was sent, nothing counted as lost."""
    with impaired(6, namespaces=True) as path, far_camera(path, UdpCamera()) as camera, path.near():
        path.set_back(reorder=0.1, reorder_s=0.025, duplicate=0.1)
        units, _names = run(collected(camera, 120))
        assert all(tuple(unit.nals) in SENT for unit in units)
        assert sum(unit.lost_packets for unit in units) == 0
        assert len(units) >= 120


def test_a_lost_packet_holds_a_thin_stream_back_for_a_moment_only() -> None:
    """Five pictures a second: the next one after a gap comes within a second, not after sixteen packets more."""

    class Thin(UdpCamera):
        frame_s = 0.2

    with impaired(7, namespaces=True) as path, far_camera(path, Thin()) as camera, path.near():

        async def work() -> float:
            """Lose what comes in a moment, and see how late the next picture is handed on."""
            loop = asyncio.get_running_loop()
            async with playing(camera, transport="udp") as (_source, units, _task), asyncio.timeout(40):
                while len(units) < 4:
                    await asyncio.sleep(0.02)
                path.set_back(dark=True)
                await asyncio.sleep(0.3)
                path.set_back()
                light = loop.time()
                while not any(unit.lost_packets for unit in units):
                    await asyncio.sleep(0.01)
                return loop.time() - light

        assert run(work()) < 1.2  # sixteen packets take 1.6 s


def test_a_camera_whose_datagrams_never_come_is_played_over_tcp() -> None:
    """Nothing within the time that the policy gives from PLAY on: a new session over TCP, told by name."""

    class Swallowed(UdpCamera):
        def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
            if not self.client_port:
                super().send(writer, packet)

    with impaired(8, namespaces=True) as path, far_camera(path, Swallowed()) as camera, path.near():
        path.set_back(delay_s=0.03, loss=0.02)
        units, names = run(collected(camera, 20, Policies(udp_silence_s=1.0)))
        assert units[0].key_frame
        assert "udp_silent" in names
