"""The credential gate: gentleness, enforced for every adapter and for the relay.

One probe at a time per device; one credential-bearing attempt per action; after a refused credential a
cool-down of 30 minutes in which nothing that carries a credential is sent (standard reference section 5).
"""

import ipaddress
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Protocol

from adapters.clock import Clock
from adapters.errors import AdapterError, CoolingDown
from adapters.target import Target

COOL_DOWN = timedelta(minutes=30)


class DeviceBusy(AdapterError):
    """Another probe of the same device runs."""

    code = "device_busy"
    retryable = True


class DeviceBook(Protocol):
    """Where cool-downs and probe slots are kept: in memory, in the store, or in Redis for many nodes."""

    async def cooldown_until(self, device: str) -> datetime | None:
        """Return the end of a running cool-down, or None."""

    async def start_cooldown(self, device: str, until: datetime) -> None:
        """Remember a refused credential."""

    async def clear_cooldown(self, device: str) -> None:
        """Forget the cool-down: the owner supplied another credential."""

    async def acquire(self, slot: str, ttl_s: float) -> str:
        """Take an exclusive slot for at most `ttl_s`. Return the token that gives it back, "" where it is taken."""

    async def release(self, slot: str, token: str) -> None:
        """Give a slot back; one that ran out and was taken by somebody else stays theirs."""


class MemoryBook:
    """A device book for one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cooldowns: dict[str, datetime] = {}
        self._slots: dict[str, tuple[str, float]] = {}  # slot -> token, end (monotonic s)

    async def cooldown_until(self, device: str) -> datetime | None:
        """Return the end of a running cool-down, or None."""
        until = self._cooldowns.get(device)
        if until is not None and until <= self._clock.now():
            del self._cooldowns[device]
            return None
        return until

    async def start_cooldown(self, device: str, until: datetime) -> None:
        """Remember a refused credential."""
        self._cooldowns[device] = until

    async def clear_cooldown(self, device: str) -> None:
        """Forget the cool-down."""
        self._cooldowns.pop(device, None)

    async def acquire(self, slot: str, ttl_s: float) -> str:
        """Take an exclusive slot."""
        now = self._clock.monotonic()
        held = self._slots.get(slot)
        if held is not None and held[1] > now:
            return ""
        token = secrets.token_hex(8)
        self._slots[slot] = (token, now + ttl_s)
        return token

    async def release(self, slot: str, token: str) -> None:
        """Give a slot back, if the token is that of its holder."""
        held = self._slots.get(slot)
        if held is not None and held[0] == token:
            del self._slots[slot]


class CredentialGate:
    """Asked before every credential-bearing attempt, told after it."""

    def __init__(self, book: DeviceBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock

    async def admit(self, device: str) -> None:
        """Let an attempt pass, or refuse it.

        Raises:
            CoolingDown: a credential was refused less than 30 minutes ago; says until when.
        """
        until = await self._book.cooldown_until(device)
        if until is not None:
            raise CoolingDown(
                f"the device refused its credential; nothing is tried before {until:%H:%M:%S} UTC",
                until=until,
                peer=device,
                hint="Correct the user name or the password, then try again after that time",
            )

    async def refused(self, device: str) -> datetime:
        """Start the cool-down after a refused credential and return its end."""
        until = self._clock.now() + COOL_DOWN
        await self._book.start_cooldown(device, until)
        return until

    async def forget(self, device: str) -> None:
        """End a cool-down because the owner supplied another credential."""
        await self._book.clear_cooldown(device)

    @asynccontextmanager
    async def probing(self, device: str, ttl_s: float = 120.0) -> AsyncIterator[None]:
        """Hold the device's only probe slot.

        Raises:
            DeviceBusy: another probe of this device runs.
        """
        slot = f"probe:{device}"
        token = await self._book.acquire(slot, ttl_s)
        if not token:
            raise DeviceBusy(
                f"another check of {device} is running",
                peer=device,
                hint="Wait until it ends, then try again",
            )
        try:
            yield
        finally:
            await self._book.release(slot, token)


def device_key(target: Target) -> str:
    """Return the key under which one device is known to the gate.

    All ports of a host are one device (a refused ONVIF login also stops RTSP). On loopback, where many scripted
    cameras share one address, the port tells them apart.
    """
    host = target.host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local = host == "localhost"
    else:
        host, local = str(address), address.is_loopback  # one spelling of an IPv6 address
    return target.at(host=host).authority if local else host
