"""The client's side of the probe bench: one process, one part of the measurement, JSON in and out.

    .venv/bin/python bench/probe_client.py PART < configuration

PART: full | onvif | identity | stock | memory | dead. CPU is the process's own (user and system, all threads).
"""

import asyncio
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from adapters.clock import SystemClock  # noqa: E402
from adapters.deadline import Deadline  # noqa: E402
from adapters.onvif.adapter import OnvifAdapter  # noqa: E402
from adapters.port import Permission, ProbeContext, ProbeRequest, ProbeResult  # noqa: E402
from adapters.rtsp.adapter import RtspAdapter  # noqa: E402
from adapters.secret import Credential, Secret  # noqa: E402
from adapters.target import Target  # noqa: E402
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer  # noqa: E402
from adapters.wire.gate import CredentialGate, MemoryBook, device_key  # noqa: E402

PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE_EVERY = 250  # probes between two looks at the memory


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def slope(points: list[tuple[int, int]]) -> float:
    """Return the least-squares slope of (probes, bytes)."""
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


class Probes:
    """Probes as the hub makes them: one dialer, one gate, one adapter of each kind."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.dialer = Dialer(LAN_AND_LOOPBACK)
        self.gate = CredentialGate(MemoryBook(self.clock), self.clock)
        self.onvif = OnvifAdapter()
        self.rtsp = RtspAdapter()
        self.requests = 0
        self.failed: list[str] = []

    def request(self, camera: dict, depth: str = "full") -> tuple[ProbeRequest, ProbeContext]:
        """Return what one probe is asked."""
        target = Target("onvif", "127.0.0.1", camera["onvif"])
        context = ProbeContext(self.dialer, self.gate, self.clock, device_key(target))
        credential = Credential(camera["user"], Secret(camera["password"]))
        permission = Permission("bench", "own simulated camera", self.clock.now())
        deadline = Deadline.after(self.clock, 60.0)
        return ProbeRequest(target, credential, permission, deadline, depth=depth), context

    async def full(self, camera: dict) -> None:
        """Make the ONVIF reads, then RTSP to the first parameter sets; no media window."""
        request, context = self.request(camera)
        async with self.gate.probing(context.device):
            told = await self.onvif.probe(request, context)
            self._judge(told, "device.serial")
            if told.offers:
                played = await self.rtsp.probe(replace(request, target=told.offers[0].target), context)
                self._judge(played, "stream.main.width")
        self.requests += context.courtesy.reads

    async def reads(self, camera: dict) -> None:
        """Make the ONVIF reads alone."""
        request, context = self.request(camera)
        async with self.gate.probing(context.device):
            self._judge(await self.onvif.probe(request, context), "device.serial")
        self.requests += context.courtesy.reads

    async def identity(self, camera: dict) -> None:
        """Make the identity probe."""
        request, context = self.request(camera, "identity")
        async with self.gate.probing(context.device):
            self._judge(await self.onvif.probe(request, context), "device.serial")
        self.requests += context.courtesy.reads

    async def dead(self, port: int) -> float:
        """Probe an address that does not answer; return how long it took."""
        request, context = self.request({"onvif": port, "user": "admin", "password": "x"})
        began = time.monotonic()
        told = await self.onvif.probe(request, context)
        if told.failure is None:
            self.failed.append("a dead address answered")
        return time.monotonic() - began

    def _judge(self, told: ProbeResult, fact: str) -> None:
        if told.failure is not None:
            self.failed.append(str(told.failure))
        elif told.observations.value(fact) is None:
            self.failed.append(f"no {fact}")


class Stock:
    """onvif-zeep-async as shipped: a new ONVIFCamera each, the same ONVIF reads as far as its WSDLs go."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed: list[str] = []

    async def reads(self, camera: dict) -> None:
        """Make the reads with the package's own camera class."""
        from onvif import ONVIFCamera

        cam = ONVIFCamera("127.0.0.1", camera["onvif"], camera["user"], camera["password"])
        try:
            await cam.update_xaddrs()
            device = await cam.create_devicemgmt_service()
            for _ in range(5):
                await device.GetSystemDateAndTime()
            told = await device.GetDeviceInformation()
            if not told["SerialNumber"]:
                self.failed.append("no serial number")
            await device.GetCapabilities({"Category": "All"})
            await device.GetScopes()
            await device.GetNetworkInterfaces()
            await device.GetNetworkProtocols()
            await device.GetNTP()
            media = await cam.create_media_service()
            profiles = await media.GetProfiles()
            for number in (0, 0, 1):
                await media.GetStreamUri(
                    {
                        "StreamSetup": {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
                        "ProfileToken": profiles[number].token,
                    }
                )
            await media.GetSnapshotUri({"ProfileToken": profiles[0].token})
            self.requests += 17
        except Exception as error:  # noqa: BLE001  counted and printed
            self.failed.append(f"{type(error).__name__}: {error}"[:200])
        finally:
            await cam.close()


async def many(
    probe: Callable[[dict], Awaitable[None]],
    cameras: list[dict],
    count: int,
    at_once: int,
    each: Callable[[int], None] = lambda _done: None,
) -> list[float]:
    """Probe `count` times, `at_once` side by side, each lane on cameras of its own; return how long each took."""
    took: list[float] = []

    async def lane(number: int) -> None:
        own = cameras[number::at_once]
        for turn in range(count // at_once):
            began = time.monotonic()
            await probe(own[turn % len(own)])
            took.append(time.monotonic() - began)
            each(len(took))

    await asyncio.gather(*(lane(number) for number in range(at_once)))
    return took


async def timed(probe: Callable[[dict], Awaitable[None]], given: dict, count: int) -> dict:
    """Warm up, then measure."""
    cameras, at_once = given["cameras"], given["at_once"]
    await many(probe, cameras, at_once * 2, at_once)
    cpu, wall = time.process_time(), time.monotonic()
    took = await many(probe, cameras, count, at_once)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    return {"probes": len(took), "cpu_s": cpu, "wall_s": wall, "median_s": statistics.median(took)}


async def main(part: str, given: dict) -> dict:
    """Run one part."""
    probes = Stock() if part == "stock" else Probes()
    if part == "dead":
        alone = await timed(probes.full, given, given["count"])
        gone = [asyncio.ensure_future(probes.dead(port)) for port in given["dead"]]
        await asyncio.sleep(0)
        cpu, wall = time.process_time(), time.monotonic()
        took = await many(probes.full, given["cameras"], given["count"], given["at_once"])
        beside = {
            "probes": len(took),
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.monotonic() - wall,
            "median_s": statistics.median(took),
        }
        waited = await asyncio.gather(*gone)
        cpu = time.process_time()
        await asyncio.gather(*(probes.dead(port) for port in given["dead"]))
        result = {
            "alone": alone,
            "beside": beside,
            "dead_s": statistics.median(waited),
            "dead_cpu_s": time.process_time() - cpu,
        }
    elif part == "memory":
        points: list[tuple[int, int]] = []

        def look(done: int) -> None:
            if done % SAMPLE_EVERY == 0:
                points.append((done, resident()))

        cpu = time.process_time()
        await many(probes.full, given["cameras"], given["count"], given["at_once"], look)
        settled = [point for point in points if point[0] >= given["count"] * 0.2]
        result = {
            "probes": points[-1][0],
            "cpu_s": time.process_time() - cpu,
            "from": settled[0],
            "to": settled[-1],
            "slope": slope(settled),
            "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
    else:
        probe = {"full": "full", "onvif": "reads", "identity": "identity", "stock": "reads"}[part]
        result = await timed(getattr(probes, probe), given, given["count"])
    result["requests"] = probes.requests
    result["failed"] = len(probes.failed)
    result["failures"] = sorted(set(probes.failed))[:3]
    return result


if __name__ == "__main__":
    import logging

    logging.disable(logging.WARNING)
    print(json.dumps(asyncio.run(main(sys.argv[1], json.load(sys.stdin)))))
