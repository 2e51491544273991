"""Several relay workers: who holds which camera, and what the others notice when one dies."""

import asyncio
import contextlib
import json
import os
import re
import resource
import secrets
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner
from conftest import run, until
from relay_lean import Lean
from test_relay_worker import ended, service

from adapters.clock import SystemClock
from adapters.wire.gate import MemoryBook
from hub.cli.relay import relay as relay_commands
from hub.relay.camera.places import SharedPlaces
from hub.relay.errors import RelayRefused
from hub.relay.events import LayerChanged, SourceSpec, SourceState, ViewerEnded
from hub.relay.workers import process as workers
from hub.relay.workers.launch import RelayUnavailable, begin
from hub.relay.workers.service import RelayService

pytestmark = pytest.mark.long


def camera(name: str, url: str = "rtsp://127.0.0.1:9/live") -> SourceSpec:
    """Return the description of a synthetic camera."""
    return SourceSpec(name, f"{url}/{name}", None)


class Audience:
    """Viewers of a service, vouched for as the hub's sessions do."""

    def __init__(self, relay: RelayService) -> None:
        self.relay = relay
        self.viewers: dict[str, Lean] = {}

    async def watch(self, source: SourceSpec) -> str:
        """Add a viewer whose packets flow; return its id."""
        viewer_id, viewer = secrets.token_hex(4), Lean()
        self.viewers[viewer_id] = viewer
        await viewer.connect(await self.relay.view(viewer_id, source, viewer.offer()))
        await viewer.until(viewer.video, "a packet", 20)
        return viewer_id

    async def leave(self, viewer_id: str) -> None:
        """Take a viewer away."""
        await self.relay.stop(viewer_id, "viewer_left")
        await self.viewers.pop(viewer_id).close()

    def port_of(self, viewer_id: str) -> int:
        """Return the port that the answer named."""
        return int(re.search(r"udp \d+ \S+ (\d+) typ host", self.viewers[viewer_id].answer)[1])


@asynccontextmanager
async def audience(**fields):
    """Run a service of two workers."""
    relay = service(workers=2, **fields)
    await relay.start()
    them = Audience(relay)

    async def renew() -> None:
        while True:
            relay.renew(list(them.viewers))
            await asyncio.sleep(0.4)

    task = asyncio.create_task(renew())
    try:
        yield them
    finally:
        task.cancel()
        for viewer in them.viewers.values():
            await viewer.close()
        await relay.aclose()


def gaps(viewer: Lean) -> int:
    """Return how many packets a viewer misses among those that came."""
    numbers = sorted({packet.sequence for packet in viewer.video()})
    return numbers[-1] - numbers[0] + 1 - len(numbers)


@pytest.mark.slow
def test_who_watches_another_worker_sees_nothing_of_one_that_is_killed() -> None:
    """Cameras are shared out; kill -9 of a worker: its viewers are told and served at once by the other one, the others miss no packet."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with audience() as them:
            relay = them.relay
            ours = await them.watch(camera("c1"))
            await them.watch(camera("c1"))
            other = await them.watch(camera("c2"))
            assert (relay.worker_of("c1"), relay.worker_of("c2")) == (0, 1)
            await them.watch(camera("c3"))
            assert relay.worker_of("c3") == 1, "the worker with fewer viewers"
            first, second = relay.workers()
            assert (them.port_of(ours), them.port_of(other)) == (first.port, second.port)
            assert relay.listeners() == {("127.0.0.1", first.port), ("127.0.0.1", second.port)}
            assert (await relay.counters())["connected"] == 4
            assert await relay.key_frame("c2", "rtsp://127.0.0.1:9/live/c2") is not None
            pieces: list[bytes] = []
            await relay.read("reader", camera("c2"), lambda data, _mime: pieces.append(data))
            await until(lambda: len(pieces) > 2, 20, "segments of the other worker")
            relay.taken("reader", sum(map(len, pieces)))
            await relay.stop("reader", "viewer_left")
            figures = await relay.figures()
            assert [one.up for one in figures] == [True, True]
            counted = {camera.camera_id: camera for one in figures for camera in one.cameras}
            assert {name: one.viewers for name, one in counted.items()} == {"c1": 2, "c2": 1, "c3": 1}
            assert all(one.packets > 0 and one.octets > 0 for one in counted.values())
            assert all(one.key_frame_age_s >= 0 for one in counted.values())

            told = len(relay.events)
            seen = len(them.viewers[other].packets)
            os.kill(first.pid, signal.SIGKILL)
            killed_s = loop.time()
            await until(lambda: len(ended(relay)) == 3, 10, "both viewers are told")
            again = await them.watch(camera("c1"))
            print(f"kill -9 to the picture back: {loop.time() - killed_s:.2f} s")
            assert them.port_of(again) == second.port
            await until(lambda: len(them.viewers[other].packets) > seen + 20, 20, "the other goes on")
            news = [
                event
                for event in relay.events[told:]
                if (isinstance(event, SourceState) and event.camera_id != "c1")
                or (isinstance(event, ViewerEnded | LayerChanged) and event.viewer_id == other)
            ]
            assert (news, gaps(them.viewers[other])) == ([], 0)
            assert {event.code for event in ended(relay)} == {"viewer_left", "relay_restarted"}

            await until(lambda: relay.restarts == 1, 60, "a new worker")
            state = relay.workers()[0]
            assert (state.port, state.restarts) == (first.port, 1)
            assert state.last_end == "signal 9 (Killed)"
            await them.watch(camera("c4"))
            assert relay.worker_of("c4") == 0, "it takes cameras again"

    run(main())


class CountingCamera:
    """An address that counts who is connected to it at the same time, by the first line that each says."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.ever: Counter[str] = Counter()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count one connection until it ends."""
        name = (await reader.readline()).decode().strip()
        self.now[name] += 1
        self.ever[name] += 1
        self.most[name] = max(self.most[name], self.now[name])
        with contextlib.suppress(ConnectionError):
            await reader.read()
        self.now[name] -= 1
        writer.close()


@pytest.mark.slow
def test_a_camera_has_never_more_than_one_connection() -> None:
    """Viewers come at once, leave, give up while it is opened, come back after it was let go or its worker died: one pull at a time."""

    async def main() -> None:
        counting = CountingCamera()
        server = await asyncio.start_server(counting.take, "127.0.0.1", 0)
        url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/counted"
        async with audience(idle_stop_s=3.0) as them:
            relay = them.relay
            sources = [camera(name, url) for name in ("c1", "c2", "c3")]
            waiting = [
                asyncio.create_task(relay.view(secrets.token_hex(4), sources[0], Lean().offer()))
                for _ in range(4)
            ]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()  # they give up while the camera is being opened
            await asyncio.gather(*waiting, return_exceptions=True)
            assert relay.worker_of("c1") == 0, "until the worker has said what became of it"
            viewers = await asyncio.gather(*(them.watch(source) for source in sources for _ in range(3)))
            assert {relay.worker_of(source.camera_id) for source in sources} == {0, 1}
            for viewer_id in viewers:
                await them.leave(viewer_id)
            await until(lambda: not counting.now.total(), 20, "all let go")
            await until(
                lambda: all(relay.worker_of(one.camera_id) is None for one in sources), 20, "and forgotten"
            )
            last = await them.watch(sources[0])
            await them.watch(sources[1])
            holder = relay.worker_of("c1")
            await them.leave(last)
            for _ in range(2):  # the worker that still pulls the first camera has the most viewers now
                await them.watch(sources[2])
            await them.watch(sources[0])
            assert relay.worker_of("c3") == holder
            os.kill(relay.workers()[relay.worker_of("c1")].pid, signal.SIGKILL)
            await until(lambda: bool(relay.restarts), 60, "another worker")
            await asyncio.gather(*(them.watch(source) for source in sources for _ in range(2)))
            assert counting.now.total() == 3
        server.close()
        assert set(counting.most.values()) == {1}
        assert counting.ever["/counted/c1"] >= 3

    run(main())


def test_each_worker_s_port_is_examined_and_one_that_is_gone_is_told() -> None:
    """The self-test walks UDP and TCP of both ports; of a worker that does not run it says so."""

    async def main() -> None:
        relay = service(workers=2)
        await relay.start()
        try:
            ports = {worker.port for worker in relay.workers()}
            found = await relay.examine()
            for way in ("udp", "tcp"):
                assert {
                    int(one.address.rpartition(":")[2]) for one in found if (one.way, one.code) == (way, "ok")
                } == ports
            assert len([one for one in found if one.code == "loopback_only"]) == 1
            os.kill(relay.workers()[1].pid, signal.SIGSTOP)
            examined = asyncio.create_task(relay.examine())
            await asyncio.sleep(0.1)
            os.kill(relay.workers()[1].pid, signal.SIGKILL)
            gone = [one for one in await examined if one.way == "worker"]
            assert [(one.worker, one.outcome, one.code) for one in gone] == [(1, "failed", "worker_down")]
        finally:
            await relay.aclose()

    run(main())


def test_the_self_test_of_a_stopped_hub_walks_the_port_of_each_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`camhub relay selftest` binds as many ports as workers are set; of a port that is taken it says which one."""
    monkeypatch.setenv("CAMHUB_RELAY__WORKERS", "2")
    monkeypatch.setenv("CAMHUB_RELAY__UDP_PORT", "0")
    told = CliRunner().invoke(relay_commands, ["selftest", "--json"])
    found = [one for one in json.loads(told.output) if (one["way"], one["code"]) == ("udp", "ok")]
    assert told.exit_code == 1, "browsers are told loopback addresses only"
    assert {one["worker"] for one in found} == {0, 1}
    assert len({one["address"] for one in found}) == 2
    with second_taken() as port:
        monkeypatch.setenv("CAMHUB_RELAY__UDP_PORT", str(port - 1))
        refused = CliRunner().invoke(relay_commands, ["selftest"])
    assert (refused.exit_code, f"UDP port {port} cannot be bound" in refused.output) == (2, True)


@contextlib.contextmanager
def second_taken() -> Iterator[int]:
    """Hold a UDP port of whose left neighbour nobody else has need now."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free,
        ):
            taken.bind(("127.0.0.1", 0))
            port = int(taken.getsockname()[1])
            try:
                free.bind(("127.0.0.1", port - 1))
            except OSError:
                continue
            free.close()
            yield port
            return


DYING = """
import asyncio, socket, sys
from hub.relay.workers import messages as m

async def main():
    sock = socket.socket(fileno=int(sys.argv[-1]))
    reader, writer = await asyncio.open_connection(sock=sock)
    start = await m.read_from_hub(reader)
    writer.write(m.pack(m.Ready(start.port or 40000, start.hosts)))
    await writer.drain()
    sys.exit(3)

asyncio.run(main())
"""


class Patient(SystemClock):
    """Notes how long somebody would have waited, and does not."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Note a pause."""
        self.pauses.append(seconds)
        await asyncio.sleep(0)


def test_a_worker_that_dies_again_and_again_is_started_after_longer_pauses_and_told() -> None:
    """The pauses grow up to a bound; the state says how often and by what it ended."""

    async def main() -> None:
        relay = service(command=(sys.executable, "-c", DYING))
        clock = relay._clock = Patient()
        await relay.start()
        try:
            await until(lambda: relay.restarts >= 4, 60, "five starts")
            pauses = [pause for pause in clock.pauses if pause != workers._BEAT_EVERY_S]
            assert pauses == sorted(pauses)
            assert pauses[:4] == list(workers._RESTART_PAUSES_S[1:5])
            state = relay.workers()[0]
            assert state.failures >= 4
            assert "exit status 3" in state.trouble
            assert str(state.failures) in state.trouble or state.pid is None
        finally:
            await relay.aclose()

    run(main())


TALKING = """
import json, socket, sys

sock = socket.socket(fileno=int(sys.argv[-1]))

def say(kind, **fields):
    body = json.dumps({"type": kind, **fields}).encode()
    sock.sendall(len(body).to_bytes(4, "big") + body)

sock.recv(1)
say("Ready", port=40000, hosts=["127.0.0.1"])
for camera in ("first", "second"):
    say("SourceState", camera_id=camera, state="live", since="2026-11-22T00:00:00Z")
while sock.recv(4096):
    pass
"""


def test_a_fault_over_one_message_of_a_worker_costs_that_message_alone() -> None:
    """What the worker says next is heard: the ear for it never ends while the process lives."""

    class Clumsy:
        heard: ClassVar[list[str]] = []

        def told(self, _worker: workers.WorkerProcess, message: SourceState) -> None:
            self.heard.append(message.camera_id)
            if message.camera_id == "first":
                raise KeyError(message.camera_id)

        def lost(self, _worker: workers.WorkerProcess, _code: str) -> None:
            """Take no notice."""

    async def main() -> None:
        setup = service()._setup
        clock = SystemClock()
        worker = workers.WorkerProcess(
            0,
            (sys.executable, "-c", TALKING),
            setup.first_word(0, -1, -1),
            Clumsy(),
            book=MemoryBook(clock),
            clock=clock,
        )
        await worker.start()
        try:
            await until(lambda: Clumsy.heard == ["first", "second"], 30, "both heard")
            assert worker.serves
        finally:
            await worker.aclose()

    run(main())


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Hold every descriptor that this process may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 200, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in held:
            os.close(descriptor)


def test_a_worker_that_cannot_be_begun_for_want_of_descriptors_is_told_like_any_other() -> None:
    """The supervisor tries again after such a refusal; anything else would end it, and no worker would come back."""

    async def main() -> None:
        with no_descriptor_left(), pytest.raises(RelayUnavailable, match="cannot be started"):
            await begin((sys.executable, "-c", DYING), ())

    run(main())


def test_a_worker_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lives and does not answer is killed; the state says so."""
    monkeypatch.setattr(workers, "_BEAT_EVERY_S", 0.1)
    monkeypatch.setattr(workers, "_BEAT_WITHIN_S", 0.5)

    async def main() -> None:
        relay = service()
        await relay.start()
        try:
            pid = relay.worker_pid
            os.kill(pid, signal.SIGSTOP)
            await until(lambda: relay.worker_pid not in {None, pid} and relay.restarts >= 1, 80, "another")
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        finally:
            await relay.aclose()

    run(main())


def test_workers_are_not_started_where_one_port_of_the_row_is_taken() -> None:
    """The refusal names the port; the workers that could start do not stay behind."""

    async def main() -> None:
        with second_taken() as port:
            relay = service(workers=2, port=port - 1)
            with pytest.raises(workers.RelayUnavailable, match=f"UDP port {port} on"):
                await relay.start()
            assert [worker.pid for worker in relay.workers()] == [None, None]
            with pytest.raises(RelayRefused) as refused:
                await relay.view("v", camera("c1"), "v=0")
            assert refused.value.code == "relay_down"

    run(main())


HOLDER = """
import sys
from hub.relay.camera.places import SharedPlaces
places = SharedPlaces(int(sys.argv[1]), 2)
print(places.take(), flush=True)
sys.stdin.read()
"""


def test_places_are_shared_by_processes_and_come_back_from_one_that_is_killed() -> None:
    """Two places: one is held by another process, so one is left here; kill -9 gives it back."""

    async def main() -> None:
        with tempfile.TemporaryFile() as file:
            other = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                HOLDER,
                str(file.fileno()),
                pass_fds=(file.fileno(),),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=Path(__file__).parents[3],
            )
            assert await other.stdout.readline() == b"True\n"
            places = SharedPlaces(file.fileno(), 2)
            assert (places.take(), places.left, places.take()) == (True, False, False)
            assert SharedPlaces(file.fileno(), 2, first=2).left, "of another kind"
            places.free()
            assert places.left
            places.take()
            other.kill()
            await other.wait()
            assert places.take()
            other._transport.close()

    run(main())
