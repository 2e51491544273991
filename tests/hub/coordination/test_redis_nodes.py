"""What only many nodes show: events between processes, a Redis that goes away, addresses that are wrong."""

import asyncio
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from free_ports import free_port
from hub_world import run
from patience import PATIENCE_S

from adapters.clock import SystemClock
from adapters.secret import Secret
from hub.coordination.port import LOST
from hub.coordination.redis import CHANNEL, CoordinationError, connect

pytestmark = pytest.mark.redis


def test_events_reach_the_other_node_once(redis_url: str) -> None:
    """An event of one node reaches its own subscribers at once and the other node's once."""

    async def go() -> None:
        async with (
            await connect(redis_url, SystemClock()) as one,
            await connect(redis_url, SystemClock()) as two,
        ):
            here, there = one.bus.subscribe("camera.*"), two.bus.subscribe("camera.*")
            await one.bus.publish("camera.changed", {"id": "a"})
            await one.bus.publish("camera.changed", {"id": "b"})
            async with asyncio.timeout(PATIENCE_S):
                assert [(await anext(there))[1]["id"] for _ in range(2)] == ["a", "b"]
                assert [(await anext(here))[1]["id"] for _ in range(2)] == ["a", "b"]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(here), 0.2)

    run(go())


def test_an_idle_subscription_stays_alive(redis_url: str) -> None:
    """With nothing to tell for longer than the socket's time limit, the next event still arrives."""

    async def go() -> None:
        async with (
            await connect(redis_url, SystemClock()) as one,
            await connect(redis_url, SystemClock()) as two,
        ):
            there = two.bus.subscribe()
            await asyncio.sleep(3.6)
            await one.bus.publish("a", {"x": 1})
            assert await asyncio.wait_for(anext(there), PATIENCE_S) == ("a", {"x": 1})

    run(go())


@pytest.mark.parametrize(
    "noise", [b"\xff\xfe", b"no json", b"[]", b'{"node":"x","topic":"a","text":"[]"}', b"{" * 200_000]
)
def test_a_message_that_is_not_ours_is_dropped(redis_url: str, noise: bytes) -> None:
    """Whatever somebody else publishes on the channel costs a log line and nothing more."""

    async def go() -> None:
        from redis.asyncio import Redis

        async with (
            await connect(redis_url, SystemClock()) as one,
            await connect(redis_url, SystemClock()) as two,
        ):
            there = two.bus.subscribe()
            async with Redis.from_url(redis_url) as stranger:
                await stranger.publish(CHANNEL, noise)
            await one.bus.publish("a", {"x": 1})
            assert await asyncio.wait_for(anext(there), PATIENCE_S) == ("a", {"x": 1})

    run(go())


def test_a_redis_that_comes_back_is_used_again(tmp_path: Path, unused_redis: int) -> None:
    """While Redis is away events still reach this process; when it is back the others are told that they missed some."""

    async def go() -> None:
        server = _serve(unused_redis, tmp_path)
        url = f"redis://127.0.0.1:{unused_redis}/0"
        try:
            async with await connect(url, SystemClock()) as one, await connect(url, SystemClock()) as two:
                here, there = one.bus.subscribe(), two.bus.subscribe()
                server.kill()
                server.wait()
                await one.bus.publish("a", {"x": 1})
                assert await asyncio.wait_for(anext(here), PATIENCE_S) == ("a", {"x": 1})
                server = _serve(unused_redis, tmp_path)
                assert await asyncio.wait_for(anext(there), PATIENCE_S) == (LOST, {})
                assert await asyncio.wait_for(anext(here), PATIENCE_S) == (LOST, {})
                await one.bus.publish("b", {"x": 2})
                assert await asyncio.wait_for(anext(there), PATIENCE_S) == ("b", {"x": 2})
        finally:
            server.kill()
            server.wait()

    run(go())


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://:hunter2@127.0.0.1:1/0", "does not answer"),
        ("nonsense", "cannot be understood"),
        ("redis://127.0.0.1:notaport/0", "cannot be understood"),
    ],
)
def test_a_redis_that_is_not_there_says_so(url: str, sentence: str) -> None:
    """A wrong address ends the start with one sentence, without the password."""
    with pytest.raises(CoordinationError, match=sentence) as told:
        run(connect(url, SystemClock()))

    assert "hunter2" not in str(told.value)


def test_the_address_of_redis_is_a_peer(redis_url: str, redis_port: int, sqlite_url: str) -> None:
    """Where Redis listens is told, so that no camera may have that address; the address may come as a secret."""

    async def go() -> None:
        from hub.coordination.factory import coordination_for
        from hub.store.store import Store

        store = await Store.open(sqlite_url, SystemClock())
        async with await coordination_for(Secret(redis_url), SystemClock(), store) as node:
            assert node.peers == (("127.0.0.1", redis_port),)
        await store.aclose()

    run(go())


@pytest.fixture
def unused_redis() -> int:
    """A port for a Redis that the test itself starts and kills."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis: needs Debian's redis-server")
    return free_port()


def _serve(port: int, folder: Path) -> subprocess.Popen[bytes]:
    import socket

    process = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process
    process.kill()
    raise AssertionError("redis-server did not start")
