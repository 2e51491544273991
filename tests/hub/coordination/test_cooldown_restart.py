"""A refused credential is remembered by the hub's store: stopping and starting the hub does not free the camera."""

import asyncio
from datetime import timedelta

import pytest

from adapters.clock import SystemClock
from adapters.errors import CoolingDown
from adapters.wire.gate import COOL_DOWN, CredentialGate
from hub.coordination.factory import coordination_for
from hub.store.store import Store


def test_a_cooldown_outlives_the_process(sqlite_url: str) -> None:
    """The store is closed and opened again: the gate still refuses, until the same moment, and slots are free."""

    async def run() -> None:
        clock = SystemClock()
        store = await Store.open(sqlite_url, clock)
        async with await coordination_for(None, clock, store) as before:
            until = await CredentialGate(before.book, clock).refused("192.0.2.7")
            assert await before.book.acquire("probe:192.0.2.7", 600)
        await store.aclose()

        store = await Store.open(sqlite_url, clock)
        async with await coordination_for(None, clock, store) as after:
            with pytest.raises(CoolingDown) as caught:
                await CredentialGate(after.book, clock).admit("192.0.2.7")
            assert abs(caught.value.until - until) < timedelta(milliseconds=2)
            assert until - clock.now() > COOL_DOWN - timedelta(minutes=5)
            assert await after.book.acquire("probe:192.0.2.7", 600)
        await store.aclose()

    asyncio.run(run())
