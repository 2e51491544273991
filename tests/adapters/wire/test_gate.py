"""The credential gate: one attempt, a cool-down, one probe at a time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from adapters.errors import CoolingDown
from adapters.target import Target, parse_target
from adapters.wire.gate import COOL_DOWN, CredentialGate, DeviceBusy, MemoryBook, device_key


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def test_a_refused_credential_cools_down_for_half_an_hour() -> None:
    """After a refusal nothing passes for 30 minutes, then again; other devices are not concerned."""

    async def run() -> None:
        clock = HandClock()
        gate = CredentialGate(MemoryBook(clock), clock)
        await gate.admit("a")
        until = await gate.refused("a")
        assert until == clock.now() + COOL_DOWN
        await gate.admit("b")
        with pytest.raises(CoolingDown) as caught:
            await gate.admit("a")
        assert caught.value.until == until
        clock.at = until
        await gate.admit("a")

    asyncio.run(run())


def test_another_credential_ends_the_cool_down() -> None:
    """The owner's new credential may be tried at once."""

    async def run() -> None:
        clock = HandClock()
        gate = CredentialGate(MemoryBook(clock), clock)
        await gate.refused("a")
        await gate.forget("a")
        await gate.admit("a")

    asyncio.run(run())


def test_one_probe_at_a_time() -> None:
    """A second probe of the same device is refused while the first runs, and the slot comes back after an error."""

    async def run() -> None:
        clock = HandClock()
        gate = CredentialGate(MemoryBook(clock), clock)

        async def failing() -> None:
            async with gate.probing("a"), gate.probing("b"):
                with pytest.raises(DeviceBusy):
                    await gate.probing("a").__aenter__()
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await failing()
        async with gate.probing("a"):
            pass

    asyncio.run(run())


def test_a_probe_that_outlived_its_slot_does_not_free_the_next_ones() -> None:
    """A slot that ran out and was taken again is given back by its present holder only."""

    async def run() -> None:
        clock = HandClock()
        gate = CredentialGate(MemoryBook(clock), clock)
        async with gate.probing("a", ttl_s=1.0):
            await clock.sleep(2.0)
            second = gate.probing("a")
            await second.__aenter__()
        with pytest.raises(DeviceBusy):
            await gate.probing("a").__aenter__()
        await second.__aexit__(None, None, None)
        async with gate.probing("a"):
            pass

    asyncio.run(run())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("rtsp://192.0.2.1:554/a", "onvif://192.0.2.1:8000", True),
        ("rtsp://Cam.example./a", "onvif://cam.example", True),
        ("rtsp://[2001:db8::1]/a", "onvif://[2001:0db8:0::1]", True),
        ("rtsp://127.0.0.1:8554/a", "onvif://127.0.0.1:8000", False),
        ("rtsp://192.0.2.1/a", "rtsp://192.0.2.2/a", False),
    ],
)
def test_ports_of_a_host_are_one_device(one: str, other: str, same: bool) -> None:
    """All ports and spellings of a host are one device; on loopback the port tells devices apart."""
    first, second = parse_target(one)[0], parse_target(other)[0]

    assert (device_key(first) == device_key(second)) is same


def test_loopback_keeps_its_port() -> None:
    """A scripted camera on loopback is known by address and port."""
    assert device_key(Target("rtsp", "127.0.0.1", 8554)) == "127.0.0.1:8554"
