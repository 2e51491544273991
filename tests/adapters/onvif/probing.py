"""Helpers: probe a scripted device through the real adapter and the real dialer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from scripted_onvif import PASSWORD, USER, Device, listening

from adapters.clock import Clock, SystemClock
from adapters.deadline import Deadline
from adapters.onvif.adapter import OnvifAdapter
from adapters.port import Courtesy, Permission, ProbeContext, ProbeRequest, ProbeResult, Progress
from adapters.secret import Credential, Secret
from adapters.target import Target
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, MemoryBook
from standards.observation import NotObserved
from standards.reason import Reason

CLOCK = SystemClock()
GOOD = Credential(USER, Secret(PASSWORD))
WRONG = Credential(USER, Secret("not-it-4711"))
ADAPTER = OnvifAdapter()  # one for all tests, as in the hub: the WSDLs are parsed once


@dataclass
class Seen:
    """What a probe brought, and what it cost."""

    result: ProbeResult
    courtesy: Courtesy
    progress: list[Progress]
    dialer: Dialer
    took_s: float
    context: ProbeContext = field(repr=False)

    def value(self, fact: str) -> object:
        return self.result.observations.value(fact)

    def reason(self, fact: str) -> Reason | None:
        observation = self.result.observations[fact]
        return observation.reason if isinstance(observation, NotObserved) else None

    def detail(self, fact: str) -> str:
        observation = self.result.observations[fact]
        return observation.detail if isinstance(observation, NotObserved) else ""


async def probe_at(
    target: Target,
    credential: Credential | None = GOOD,
    *,
    limit_s: float = 0.0,
    gate: CredentialGate | None = None,
    clock: Clock = CLOCK,
    rule: str = "",
    depth: str = "full",
    extended: bool = False,
    video_source: str = "",
    window_s: float = 0.0,
) -> Seen:
    dialer = Dialer(NetworkPolicy.of((rule or target.authority,)))
    progress: list[Progress] = []
    courtesy = Courtesy()
    context = ProbeContext(
        dialer,
        gate or CredentialGate(MemoryBook(clock), clock),
        clock,
        target.authority,
        progress.append,
        courtesy,
    )
    request = ProbeRequest(
        target,
        credential,
        Permission("test", "own device", clock.now()),
        Deadline.after(clock, limit_s or (90.0 if extended else 20.0)),
        window_s=window_s,
        extended=extended,
        video_source=video_source,
        depth=depth,
    )
    started = CLOCK.monotonic()
    result = await ADAPTER.probe(request, context)
    return Seen(result, courtesy, progress, dialer, CLOCK.monotonic() - started, context)


async def probe_device(device: Device, credential: Credential | None = GOOD, **options: object) -> Seen:
    async with listening(device.handle) as port:
        device.port = port
        return await probe_at(Target("onvif", "127.0.0.1", port), credential, **options)  # type: ignore[arg-type]


def probe(device: Device, credential: Credential | None = GOOD, **options: object) -> Seen:
    """Probe a scripted device."""
    return asyncio.run(probe_device(device, credential, **options))


def probe_raw(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
    credential: Credential | None = GOOD,
    *,
    scheme: str = "onvif",
    **options: object,
) -> Seen:
    """Probe a server of raw bytes."""

    async def run() -> Seen:
        async with listening(handler) as port:
            return await probe_at(Target(scheme, "127.0.0.1", port), credential, **options)  # type: ignore[arg-type]

    return asyncio.run(run())
