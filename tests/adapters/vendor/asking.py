"""Helpers: probe a replaying device through a real adapter of the registry and the real dialer."""

import asyncio
import ssl
from dataclasses import dataclass, field

from vendor_replay import PASSWORD, USER, Replayer, serving

from adapters.clock import Clock, SystemClock
from adapters.deadline import Deadline
from adapters.port import Courtesy, Permission, ProbeContext, ProbeRequest, ProbeResult, Progress
from adapters.registry import Registry
from adapters.secret import Credential, Secret
from adapters.target import Target
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, MemoryBook
from standards.observation import NotObserved, Provenance
from standards.reason import Reason

CLOCK = SystemClock()
GOOD = Credential(USER, Secret(PASSWORD))
WRONG = Credential(USER, Secret("not-it-4711"))


@dataclass
class Told:
    """What a probe brought, and what it cost."""

    result: ProbeResult
    courtesy: Courtesy
    device: Replayer
    progress: list[Progress] = field(default_factory=list)

    def value(self, fact: str) -> object:
        return self.result.observations.value(fact)

    def reason(self, fact: str) -> Reason | None:
        observation = self.result.observations.get(fact)
        return observation.reason if isinstance(observation, NotObserved) else None

    def detail(self, fact: str) -> str:
        observation = self.result.observations[fact]
        return observation.detail if isinstance(observation, NotObserved) else ""

    def provenance(self, fact: str) -> Provenance:
        return self.result.observations[fact].provenance

    def text(self) -> str:
        """Everything that was written down, for searches of what must not be there."""
        return repr(self.result.observations.as_json()) + repr(self.progress) + str(self.result.failure)


async def ask_at(
    scheme: str,
    port: int,
    device: Replayer,
    credential: Credential | None = GOOD,
    *,
    limit_s: float = 30.0,
    gate: CredentialGate | None = None,
    video_source: str = "",
    clock: Clock = CLOCK,
) -> Told:
    target = Target(scheme, "127.0.0.1", port)
    progress: list[Progress] = []
    courtesy = Courtesy()
    context = ProbeContext(
        Dialer(NetworkPolicy.of(("127.0.0.1",))),
        gate or CredentialGate(MemoryBook(clock), clock),
        clock,
        target.authority,
        progress.append,
        courtesy,
    )
    request = ProbeRequest(
        target,
        credential,
        Permission("test", "own device", CLOCK.now()),
        Deadline.after(clock, limit_s),
        video_source=video_source,
    )
    adapter = Registry.installed().adapter(scheme)
    return Told(await adapter.probe(request, context), courtesy, device, progress)


def ask(
    scheme: str,
    device: Replayer,
    credential: Credential | None = GOOD,
    tls: ssl.SSLContext | None = None,
    **options: object,
) -> Told:
    """Probe a device."""

    async def run() -> Told:
        async with serving(device.handle, tls) as port:
            return await ask_at(scheme, port, device, credential, **options)  # type: ignore[arg-type]

    return asyncio.run(run())
