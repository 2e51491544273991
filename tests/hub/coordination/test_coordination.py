"""What both ways of coordination must do: in one process, and over a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from hub_world import run
from patience import PATIENCE_S

from adapters.clock import SystemClock
from hub.coordination.factory import coordination_for
from hub.coordination.port import LOST, QUEUE_LENGTH, Coordination
from hub.store.store import Store


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.redis)])
def nodes(request: pytest.FixtureRequest, sqlite_url: str) -> Callable[..., object]:
    """Opens nodes of one hub; a second local one stands for the hub after a restart."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None

    @asynccontextmanager
    async def opened(count: int = 1) -> AsyncIterator[list[Coordination]]:
        clock = SystemClock()
        store = await Store.open(sqlite_url, clock)
        made = [await coordination_for(url, clock, store) for _ in range(count)]
        try:
            yield made
        finally:
            for one in made:
                await one.aclose()
            await store.aclose()

    opened.over_redis = url is not None  # type: ignore[attr-defined]
    return opened


def test_subscribers_get_the_topics_they_named(nodes) -> None:  # type: ignore[no-untyped-def]
    """Exact topics, topics below a word, and everything; each subscriber gets data of its own."""

    async def go() -> None:
        async with nodes() as [node]:
            exact, below, everything = (
                node.bus.subscribe("camera.changed"),
                node.bus.subscribe("camera.*", "view.ended"),
                node.bus.subscribe(),
            )
            for topic in ("camera.changed", "camera.removed", "view.ended", "cameras"):
                await node.bus.publish(topic, {"topic": topic, "deep": [1, {"a": None}]})
            assert await _take(exact, 1) == ["camera.changed"]
            assert await _take(below, 3) == ["camera.changed", "camera.removed", "view.ended"]
            assert await _take(everything, 4) == ["camera.changed", "camera.removed", "view.ended", "cameras"]
            exact.close()
            await node.bus.publish("camera.changed", {})
            with pytest.raises(StopAsyncIteration):
                await anext(exact)

    run(go())


def test_a_slow_subscriber_is_told_that_it_lost_events(nodes) -> None:  # type: ignore[no-untyped-def]
    """A full queue never blocks a publisher; the slow one learns that it must read the state again."""

    async def go() -> None:
        async with nodes() as [node]:
            slow = node.bus.subscribe("a")
            for number in range(QUEUE_LENGTH + 5):
                await node.bus.publish("a", {"number": number})
            assert await anext(slow) == (LOST, {})
            assert await anext(slow) == ("a", {"number": QUEUE_LENGTH})

    run(go())


def test_closing_the_bus_ends_its_subscriptions(nodes) -> None:  # type: ignore[no-untyped-def]
    """Whoever waits for events at shutdown stops waiting."""

    async def go() -> None:
        async with nodes() as [node]:
            waiting = asyncio.create_task(anext(node.bus.subscribe("a")))
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(waiting, PATIENCE_S)

    run(go())


def test_data_that_is_not_plain_is_refused(nodes) -> None:  # type: ignore[no-untyped-def]
    """An event is plain JSON of bounded size."""

    async def go() -> None:
        async with nodes() as [node]:
            with pytest.raises(ValueError, match="plain JSON"):
                await node.bus.publish("a", {"x": object()})
            with pytest.raises(ValueError, match="at most"):
                await node.bus.publish("a", {"x": "y" * 70_000})

    run(go())


def test_a_rate_limit_counts_within_its_window(nodes) -> None:  # type: ignore[no-untyped-def]
    """So many hits in a window, then none until it ends; refused hits do not lengthen it."""

    async def go() -> None:
        async with nodes() as [node]:
            limiter = node.limiter
            verdicts = [await limiter.hit("k", 3, 600) for _ in range(5)]
            assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
            assert [verdict.left for verdict in verdicts] == [2, 1, 0, 0, 0]
            assert 0 < verdicts[-1].retry_after_s <= verdicts[-2].retry_after_s <= 600
            assert not (await limiter.peek("k", 3, 600)).allowed
            assert (await limiter.hit("other", 3, 600)).allowed
            await limiter.reset("k")
            assert (await limiter.hit("k", 3, 600)).left == 2
            brief = [await limiter.hit("brief", 3, 0.4) for _ in range(4)][-1]
            await asyncio.sleep(max(brief.retry_after_s, 0.4) + 0.02)
            assert (await limiter.peek("brief", 3, 0.4)).left == 2
            assert (await limiter.hit("brief", 3, 0.4)).left == 2

    run(go())


def test_hits_at_once_are_counted_once_each(nodes) -> None:  # type: ignore[no-untyped-def]
    """Twenty hits at the same moment on a limit of seven let exactly seven through."""

    async def go() -> None:
        async with nodes() as [node]:
            verdicts = await asyncio.gather(*(node.limiter.hit("k", 7, 10) for _ in range(20)))
            assert sum(verdict.allowed for verdict in verdicts) == 7

    run(go())


def test_a_cooldown_is_seen_by_all_and_survives_a_restart(nodes) -> None:  # type: ignore[no-untyped-def]
    """A refused credential is remembered by the next node too, until its time or until it is cleared."""

    async def go() -> None:
        async with nodes(2) as [one, two]:
            until = SystemClock().now() + timedelta(minutes=30)
            await one.book.start_cooldown("10.0.0.1", until)
            seen = await two.book.cooldown_until("10.0.0.1")
            assert seen is not None
            assert abs(seen - until) < timedelta(milliseconds=2)
            assert await two.book.cooldown_until("10.0.0.2") is None
            await two.book.clear_cooldown("10.0.0.1")
            assert await one.book.cooldown_until("10.0.0.1") is None
            await one.book.start_cooldown("10.0.0.1", SystemClock().now() + timedelta(seconds=0.1))
            await one.book.start_cooldown("10.0.0.1", SystemClock().now() + timedelta(seconds=0.2))
            await asyncio.sleep(0.25)
            assert await one.book.cooldown_until("10.0.0.1") is None

    run(go())


def test_a_slot_is_held_by_one_and_ends_by_itself(nodes) -> None:  # type: ignore[no-untyped-def]
    """Of many who want one slot one gets it; a holder that died frees it by its time; nobody frees another's."""

    async def go() -> None:
        async with nodes(2) as [one, two]:
            got = await asyncio.gather(*(node.book.acquire("probe:a", 30) for node in (one, two, one, two)))
            [token] = filter(None, got)
            holder, other = (one, two) if got.index(token) % 2 == 0 else (two, one)
            await other.book.release("probe:a", "another's")
            assert not await other.book.acquire("probe:a", 30)
            await holder.book.release("probe:a", token)
            late = await other.book.acquire("probe:a", 0.15)
            assert late
            await asyncio.sleep(0.2)
            assert await holder.book.acquire("probe:a", 30)
            await other.book.release("probe:a", late)  # its time was over: the slot is not its any more
            await holder.book.release("probe:a", late)
            assert not await other.book.acquire("probe:a", 30)
            assert await holder.book.acquire("probe:b", 30)

    run(go())


async def _take(subscription, count: int) -> list[str]:  # type: ignore[no-untyped-def]
    out = []
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(count):
            topic, data = await anext(subscription)
            assert data["topic"] == topic
            assert data["deep"] == [1, {"a": None}]
            out.append(topic)
    return out
