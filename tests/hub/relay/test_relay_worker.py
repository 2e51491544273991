"""The relay as the hub runs it: a worker process, supervised, that sends only what the hub vouches for."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from conftest import run, still, until
from patience import PATIENCE_S
from relay_client import Watching
from test_relay_sdp import offer

from adapters.clock import SystemClock
from adapters.secret import Credential, Secret
from adapters.wire.dialer import NetworkPolicy
from adapters.wire.gate import MemoryBook
from hub.relay.workers.launch import begin
from hub.relay.workers.service import (
    RelayRefused,
    RelayService,
    RelaySetup,
    RelayUnavailable,
    SourceSpec,
    SourceState,
    ViewerConnected,
    ViewerEnded,
)

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
COMMAND = (sys.executable, str(HERE / "relay_worker_program.py"))
CAMERA = SourceSpec("c1", "rtsp://127.0.0.1:9/live", None)


def service(**fields) -> RelayService:
    """Return a service whose worker has synthetic cameras."""
    clock = SystemClock()
    setup = RelaySetup(
        **{"hosts": ("127.0.0.1",), "port": 0, "log_level": "warning", "command": COMMAND, **fields}
    )
    relay = RelayService(
        setup, policy=lambda: NetworkPolicy.of(("127.0.0.0/8",)), book=MemoryBook(clock), clock=clock
    )
    relay.events = []
    relay.on_event = relay.events.append
    return relay


@asynccontextmanager
async def vouching(relay: RelayService, *viewers: str):
    """Renew the viewers' leases each half second, as the hub's sessions do."""

    async def renew() -> None:
        while True:
            relay.renew(viewers)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()


def ended(relay: RelayService) -> list[ViewerEnded]:
    """Return the ends of views so far."""
    return [event for event in relay.events if isinstance(event, ViewerEnded)]


@pytest.mark.slow
def test_the_hub_views_renews_and_stops_through_the_worker() -> None:
    """Answer, frames, events and a stop that has taken effect when it returns."""

    async def main() -> None:
        relay, viewer = service(), Watching()
        await relay.start()
        try:
            assert relay.listeners() == {("127.0.0.1", relay.port)}
            async with vouching(relay, "v1"):
                await viewer.play(lambda text: relay.view("v1", CAMERA, text))
                await until(lambda: viewer.frames > 25, 5, "a second of picture")
                assert ViewerConnected("v1") in relay.events
                assert [e.state for e in relay.events if isinstance(e, SourceState)] == ["opening", "live"]
                assert (await relay.counters())["connected"] == 1
                await relay.trickle("v1", "a=end-of-candidates\r\n")
                await relay.stop("v1", "paused_by_owner")
                assert ended(relay) == [ViewerEnded("v1", "paused_by_owner")]
                assert (await relay.counters())["connected"] == 0
                await still(lambda: viewer.frames, "the picture")
                await relay.stop("v1", "again")
        finally:
            await viewer.close()
            await relay.aclose()
        assert relay.worker_pid is None

    run(main())


def test_one_worker_waits_to_take_the_place_of_another() -> None:
    """It has no port; it is the next worker, and another one waits. One that dies in waiting changes nothing; none outlives the hub."""

    async def main() -> None:
        relay = service(spare=True, spare_after_s=0.0)
        await relay.start()
        try:
            await until(lambda: relay.spare_pid is not None, 60, "one in waiting")
            port, first, spare = relay.port, relay.worker_pid, relay.spare_pid
            assert relay.listeners() == {("127.0.0.1", port)}
            os.kill(first, signal.SIGKILL)
            await until(lambda: relay.restarts == 1, 60, "another at work")
            assert (relay.worker_pid, relay.port) == (spare, port)
            await until(lambda: relay.spare_pid not in {None, spare}, 60, "another one in waiting")
            os.kill(relay.spare_pid, signal.SIGKILL)
            await until(lambda: relay.spare_pid is None, 60, "its end noticed")
            assert (relay.worker_pid, relay.restarts) == (spare, 1)
            assert (await relay.counters())["viewers"] == 0
        finally:
            await relay.aclose()
        assert not running(spare or 0)

    run(main())


def test_one_that_cannot_take_over_is_passed_over() -> None:
    """A process in waiting that ends at its first word: another one is begun in the usual way."""

    async def main() -> None:
        relay = service(spare=True, spare_after_s=3600.0)
        await relay.start()
        try:
            useless = await begin((sys.executable, "-c", "import sys; sys.exit(3)"), ())
            relay._spare._held = useless
            first = relay.worker_pid
            os.kill(first, signal.SIGKILL)
            await until(lambda: relay.restarts == 1, 60, "a new worker")
            assert relay.worker_pid not in {None, first, useless.process.pid}
        finally:
            await relay.aclose()

    run(main())


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_viewers_are_told() -> None:
    """kill -9 of the only worker: relay_restarted for each viewer, and a new view plays on the same port from the one in waiting."""

    async def main() -> None:
        relay, viewer, again = service(spare=True, spare_after_s=0.0), Watching(), Watching()
        await relay.start()
        await until(lambda: relay.spare_pid is not None, 60, "one in waiting")
        spare = relay.spare_pid
        try:
            port, pid = relay.port, relay.worker_pid
            async with vouching(relay, "v1", "v2"):
                await viewer.play(lambda text: relay.view("v1", CAMERA, text))
                await until(lambda: viewer.frames > 5, 5, "pictures")
                os.kill(pid, signal.SIGKILL)
                await until(lambda: bool(ended(relay)), 10, "the viewer told")
                assert ended(relay) == [ViewerEnded("v1", "relay_restarted")]
                assert relay.events[-1].state == "offline"
                await until(
                    lambda: relay.worker_pid not in {None, pid} and relay.restarts == 1, 30, "a new worker"
                )
                assert relay.worker_pid == spare
                await again.play(lambda text: relay.view("v2", CAMERA, text))
                await until(lambda: again.frames > 0, 15, "the picture back")
                assert relay.port == port
        finally:
            await viewer.close()
            await again.close()
            await relay.aclose()

    run(main())


def test_a_refusal_of_the_worker_reaches_the_hub_whole() -> None:
    """Status, code, sentence; and an address where the hub itself listens is never dialled."""

    async def main() -> None:
        relay = service()
        await relay.start()
        try:
            with pytest.raises(RelayRefused) as refused:
                await relay.view("v1", CAMERA, "hello")
            assert (refused.value.status, refused.value.code) == (422, "offer_unreadable")
            with pytest.raises(RelayRefused) as refused:
                await relay.view("v1", CAMERA, "v=0\r\n" + "x" * 100_000)
            assert refused.value.status == 422
            own = SourceSpec("c2", f"rtsp://127.0.0.1:{relay.port}/", None)
            with pytest.raises(RelayRefused) as refused:
                await relay.view("v2", own, offer())
            assert refused.value.code == "address_refused"
            far = SourceSpec("c3", "rtsp://10.1.2.3:554/", None)
            with pytest.raises(RelayRefused) as refused:
                await relay.view("v3", far, offer())
            assert refused.value.code == "address_refused"
            with pytest.raises(RelayRefused) as refused:
                await relay.trickle("nobody", "")
            assert refused.value.status == 404
        finally:
            await relay.aclose()
        with pytest.raises(RelayRefused) as refused:
            await relay.view("v4", CAMERA, offer())
        assert refused.value.code == "relay_down"

    run(main())


def test_a_cool_down_learnt_by_the_worker_holds_for_the_whole_hub_and_the_other_way_round() -> None:
    """The worker asks the hub's device book before it sends a credential and writes a refusal into it."""

    async def main() -> None:
        relay = service()
        await relay.start()
        try:
            credential = Credential("user", Secret("wrong"))
            refuses = SourceSpec("c1", "rtsp://127.0.0.1:9/refuses", credential, device="device-1")
            with pytest.raises(RelayRefused) as refused:
                await relay.view("v1", refuses, offer())
            assert refused.value.code == "login_refused"
            async with asyncio.timeout(PATIENCE_S):
                while await relay._book.cooldown_until("device-1") is None:
                    await asyncio.sleep(0.02)
            plays = SourceSpec("c2", "rtsp://127.0.0.1:9/live", credential, device="device-1")
            with pytest.raises(RelayRefused) as refused:
                await relay.view("v2", plays, offer())
            assert refused.value.code == "cooling_down"
            assert refused.value.retry_after_s > 1700
            await relay._book.clear_cooldown("device-1")
            assert (await relay.view("v3", plays, offer())).startswith("v=0")
        finally:
            await relay.aclose()

    run(main())


def test_a_viewer_whose_browser_left_while_the_camera_was_opened_is_not_kept() -> None:
    """A cancelled view leaves nothing behind in the worker."""

    async def main() -> None:
        relay = service()
        await relay.start()
        try:
            waiting = asyncio.create_task(relay.view("v1", CAMERA, offer()))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await asyncio.sleep(0.5)
            async with asyncio.timeout(PATIENCE_S):
                while (await relay.counters())["viewers"]:
                    await asyncio.sleep(0.05)
        finally:
            await relay.aclose()

    run(main())


def test_a_port_that_is_taken_is_said_at_start() -> None:
    """RelayUnavailable names the port; nothing keeps running."""

    async def main() -> None:
        one = service()
        await one.start()
        two = service(port=one.port)
        with pytest.raises(RelayUnavailable, match=f"UDP port {one.port}"):
            await two.start()
        assert two.worker_pid is None
        await one.aclose()

    run(main())


def test_the_worker_inherits_none_of_the_hub_s_settings() -> None:
    """No CAMHUB_ variable (keys, database) is in its environment, and only three descriptors beside its socket."""
    os.environ["CAMHUB_DATABASE_URL"] = "postgresql://secret"

    async def main() -> None:
        relay = service()
        await relay.start()
        try:
            text = Path(f"/proc/{relay.worker_pid}/environ").read_bytes()
            assert b"CAMHUB" not in text
            assert b"PATH=" in text
        finally:
            await relay.aclose()

    try:
        run(main())
    finally:
        del os.environ["CAMHUB_DATABASE_URL"]


PARENT = """
import asyncio, os, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
from hub.observe import configure_logging
from test_relay_worker import service
from test_relay_workers import camera

configure_logging("warning")

async def main():
    relay = service(workers=2)
    await relay.start()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(*(worker.pid for worker in relay.workers()), flush=True)

    async def renew():
        while True:
            relay.renew(["v0", "v1"])
            await asyncio.sleep(0.5)

    renewing = asyncio.create_task(renew())
    for number in range(2):
        size = int(await reader.readline())
        answer = await relay.view(f"v{number}", camera(f"c{number}"), (await reader.readexactly(size)).decode())
        print(len(answer.encode()), flush=True)
        print(answer, end="", flush=True)
    await renewing

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_hub_that_is_killed_or_hangs_stops_the_frames(sign: signal.Signals) -> None:
    """kill -9 of the hub process: frames of all workers stop at once and the workers end. A hub that hangs: within 2 s."""

    async def main() -> None:
        viewers = Watching(), Watching()
        hub = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PARENT,
            os.pathsep.join((str(HERE), str(HERE.parents[1] / "support"))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        workers = [int(pid) for pid in (await hub.stdout.readline()).split()]

        async def answered(text: str) -> str:
            hub.stdin.write(f"{len(text)}\n{text}".encode())
            return (await hub.stdout.readexactly(int(await hub.stdout.readline()))).decode()

        try:
            for viewer in viewers:
                await viewer.play(answered)
            await until(lambda: all(viewer.frames > 10 for viewer in viewers), 20, "pictures")
            hub.send_signal(sign)
            for viewer in viewers:
                await still(lambda viewer=viewer: viewer.frames, "the picture")
            if sign == signal.SIGKILL:
                await until(lambda: not any(map(running, workers)), 15, "the workers' end")
        finally:
            if hub.returncode is None:
                hub.kill()
            await hub.wait()
            for viewer in viewers:
                await viewer.close()
            hub._transport.close()
        await until(lambda: not any(map(running, workers)), 15, "the workers' end")

    run(main())


def running(pid: int) -> bool:
    """Tell whether a process runs (an orphan that ended counts as ended, whoever reaps it)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
