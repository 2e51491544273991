"""The relay's soak: viewers come and go at random, cameras are restarted, and nothing may pile up.

    .venv/bin/python bench/soak.py [--minutes 30] [--viewers 20] [--cameras 6] [--seed 1] [--write]

The hub's side of the relay and two worker processes as in production, cameras by real RTSP from a process of their own, viewers with
real ICE and DTLS-SRTP in another. Of the viewers some never connect, some leave with a goodbye, some without a word, some are
stopped by the hub. Before and after all of it the relay stands idle: what it holds then is compared. In between resident memory,
tasks, timers, sockets and descriptors of each process are sampled every 10 s; a straight line is laid through the memory by least
squares, leaving the first sixth out. It needs no quiet machine. With --write the table goes into bench/RESULTS.md.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

from soak_worker import held  # noqa: E402

from adapters.clock import SystemClock  # noqa: E402
from adapters.wire.dialer import NetworkPolicy  # noqa: E402
from adapters.wire.gate import MemoryBook  # noqa: E402
from hub.observe import configure_logging  # noqa: E402
from hub.relay.workers.service import (  # noqa: E402
    RelayRefused,
    RelayService,
    RelaySetup,
    SourceSpec,
    ViewerConnected,
    ViewerEnded,
)

RESULTS = HERE / "RESULTS.md"
HEADING = "## Relay soak"
SAMPLE_S = 10.0
STAY_S = 25.0  # on the average
KBPS = 500
RESTART_EVERY_S = 45.0
IDLE_STOP_S = 5.0
SETTLE_S = 45.0  # half-open viewers 15 s, silent ones 30 s, cameras 5 s
BOUND_KB_PER_HOUR = 4096.0


class Child:
    """A child process that speaks JSON lines."""

    @classmethod
    async def start(cls, *command: str) -> "Child":
        """Start it and hear its first line."""
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        self.hello = await self.hear()
        return self

    def say(self, **words: object) -> None:
        """Send one line."""
        self.process.stdin.write((json.dumps(words) + "\n").encode())

    async def hear(self) -> dict[str, Any]:
        """Read one line."""
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("a child of the soak has ended")
        return json.loads(line)

    async def end(self) -> None:
        """End it."""
        self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@dataclass(frozen=True)
class Sample:
    """What one process held at a moment."""

    at_s: float
    rss_kb: int
    fds: int
    sockets: int
    tasks: int
    timers: int
    objects: int


@dataclass
class Course:
    """One process over the whole run."""

    name: str
    before: Sample
    samples: list[Sample] = field(default_factory=list)
    after: Sample | None = None

    def slope_kb_per_hour(self) -> float:
        """Return the slope of the line through the resident memory, least squares, the first sixth left out."""
        kept = self.samples[len(self.samples) // 6 :]
        if len(kept) < 3:
            return 0.0
        at = sum(s.at_s for s in kept) / len(kept)
        rss = sum(s.rss_kb for s in kept) / len(kept)
        spread = sum((s.at_s - at) ** 2 for s in kept)
        return 3600 * sum((s.at_s - at) * (s.rss_kb - rss) for s in kept) / spread

    def quarters(self) -> str:
        """Return the mean resident memory of each quarter, MB: a line that is level after the first has no leak in it."""
        size = max(1, len(self.samples) // 4)
        parts = [self.samples[n * size : (n + 1) * size] for n in range(4)]
        return " ".join(f"{sum(s.rss_kb for s in part) / len(part) / 1024:.1f}" for part in parts if part)

    def piled_up(self) -> list[str]:
        """Return what it holds at the end that it did not hold at the beginning."""
        assert self.after is not None
        return [
            f"{self.name}: {name} {getattr(self.before, name)} -> {getattr(self.after, name)}"
            for name in ("tasks", "timers", "sockets", "fds")
            if getattr(self.after, name) > getattr(self.before, name) + (1 if name == "timers" else 0)
        ]


class Soak:
    """One run."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self._given = given
        self._folder = folder
        self._luck = random.Random(given.seed)
        self._alive: set[str] = set()  # vouched for
        self._here: dict[str, bool] = {}  # of the viewers' process: how each is to leave
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._began_s = time.monotonic()
        self.courses: dict[int, Course] = {}
        self.came = self.connected = self.refused = self.restarts = 0
        self.ends: dict[str, int] = {}
        self.packets = self.failed = 0

    async def run(self) -> None:
        """Do all of it."""
        given, clock = self._given, SystemClock()
        self._cameras = await Child.start(str(HERE / "soak_cameras.py"), str(given.cameras), str(KBPS))
        self._viewers = await Child.start(str(HERE / "soak_viewers.py"))
        self._relay = RelayService(
            RelaySetup(
                hosts=("127.0.0.1",),
                port=0,
                workers=2,
                idle_stop_s=IDLE_STOP_S,
                log_level="error",
                command=(sys.executable, "-P", str(HERE / "soak_worker.py"), str(self._folder)),
            ),
            policy=lambda: NetworkPolicy.of(("127.0.0.0/8",)),
            book=MemoryBook(clock),
            clock=clock,
        )
        self._relay.on_event = self._heard
        await self._relay.start()
        renewing = asyncio.create_task(self._renew())
        try:
            # Once through everything, so that what is made once and kept is there when the idle relay is looked at.
            for number in range(given.cameras):
                await self._come(number, stay_s=3.0, kind="polite")
            await self._until_idle()
            names = {os.getpid(): "hub"}
            names |= {state.pid: f"worker {state.index}" for state in self._relay.workers() if state.pid}
            self.courses = {
                pid: Course(name, await self._sample(pid, collected=True)) for pid, name in names.items()
            }
            await self._live(given.minutes * 60)
            await self._until_idle()
            for pid, course in self.courses.items():
                course.after = await self._sample(pid, collected=True)
            self._viewers.say(count=True)
            told = await self._viewers.hear()
            self.packets, self.failed = told["packets"], told["failed"]
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await self._relay.aclose()
            await self._viewers.end()
            await self._cameras.end()

    async def _live(self, seconds: float) -> None:
        """Let viewers come and go and cameras be restarted for so long."""
        loop, luck = asyncio.get_running_loop(), self._luck
        ends = loop.time() + seconds
        comes = loop.time()
        restarts = loop.time() + RESTART_EVERY_S
        samples = loop.time()
        while (now := loop.time()) < ends:
            if now >= samples:
                samples += SAMPLE_S
                for pid, course in self.courses.items():
                    course.samples.append(await self._sample(pid))
            if now >= comes:
                comes = now + luck.expovariate(self._given.viewers / STAY_S)
                # Some cameras are watched nearly always, some seldom enough to be let go in between.
                camera = min(int(luck.expovariate(0.7)), self._given.cameras - 1)
                kind = luck.choices(("polite", "silent", "stopped", "half-open"), (50, 20, 20, 10))[0]
                await self._come(camera, stay_s=luck.expovariate(1 / STAY_S), kind=kind)
            if now >= restarts:
                restarts = now + luck.expovariate(1 / RESTART_EVERY_S)
                self._timers = [timer for timer in self._timers if timer.when() > now]
                self.restarts += 1
                self._cameras.say(
                    restart=luck.randrange(self._given.cameras), for_s=round(luck.uniform(0.5, 6.0), 1)
                )
            await asyncio.sleep(max(0.0, min(comes, restarts, samples, ends) - loop.time()))
        for timer in self._timers:
            timer.cancel()
        for name in list(self._here):
            self._leave(name)

    async def _come(self, camera: int, *, stay_s: float, kind: str) -> None:
        """Let one viewer come."""
        self.came += 1
        name = f"v{self.came}"
        self._viewers.say(offer=name)
        offer = (await self._viewers.hear())["sdp"]
        url = f"rtsp://127.0.0.1:{self._cameras.hello['ports'][camera]}"
        spec = SourceSpec(
            f"camera-{camera}", f"{url}/main", None, "tcp", "H264", sub_url=f"{url}/sub", both=True
        )
        wanted = self._luck.choice(("main", "main", "sub", "auto"))
        self._here[name] = kind != "silent"
        self._alive.add(name)
        task = asyncio.create_task(self._answer(name, spec, offer, wanted, kind))
        self._keep(task)
        loop = asyncio.get_running_loop()
        if kind == "stopped":
            self._timers.append(loop.call_later(stay_s, self._stop, name))
        self._timers.append(loop.call_later(stay_s + 1.0, self._leave, name))

    async def _answer(self, name: str, spec: SourceSpec, offer: str, wanted: str, kind: str) -> None:
        try:
            answer = await self._relay.view(name, spec, offer, wanted=wanted)
        except RelayRefused as refused:
            self.refused += 1
            self._alive.discard(name)
            self.ends[refused.code] = self.ends.get(refused.code, 0) + 1
            return
        if kind != "half-open" and name in self._here:
            self._viewers.say(answer=name, sdp=answer)

    def _stop(self, name: str) -> None:
        self._keep(asyncio.create_task(self._relay.stop(name, "stopped")))

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _leave(self, name: str) -> None:
        politely = self._here.pop(name, None)
        if politely is not None:
            self._viewers.say(leave=name, politely=politely)

    def _heard(self, event: object) -> None:
        if isinstance(event, ViewerEnded):
            self._alive.discard(event.viewer_id)
            self.ends[event.code] = self.ends.get(event.code, 0) + 1
        elif isinstance(event, ViewerConnected):
            self.connected += 1

    async def _renew(self) -> None:
        while True:
            self._relay.renew(self._alive)
            await asyncio.sleep(0.5)

    async def _until_idle(self) -> None:
        """Wait until every viewer has gone, by itself or given up, and every camera was let go."""
        ends = time.monotonic() + 2 * SETTLE_S
        while time.monotonic() < ends:
            await asyncio.sleep(1.0)
            try:
                counters = await self._relay.counters()
            except RelayRefused:  # none answered in time: the machine is busy
                continue
            if not self._here and not self._alive and not counters["viewers"] and not counters["cameras"]:
                break
        await asyncio.sleep(3.0)

    async def _sample(self, pid: int, *, collected: bool = False) -> Sample:
        words = await self._held(pid, collected=collected)
        return Sample(time.monotonic() - self._began_s, resident_kb(pid), *descriptors(pid), **words)

    async def _held(self, pid: int, *, collected: bool) -> dict[str, int]:
        if pid == os.getpid():
            if collected:
                gc.collect()
            return held(asyncio.get_running_loop())
        path = self._folder / f"{pid}.json"
        path.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR2 if collected else signal.SIGUSR1)
        ends = time.monotonic() + 60
        while not path.exists():
            if time.monotonic() > ends:
                raise RuntimeError(f"process {pid} does not say what it holds")
            await asyncio.sleep(0.02)
        return json.loads(path.read_text())


def resident_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    return next(
        int(line.split()[1])
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )


def descriptors(pid: int) -> tuple[int, int]:
    """Return how many descriptors a process has open, and how many of them are sockets."""
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(fd.readlink()))
    return len(links), sum(link.startswith("socket:") for link in links)


def part(soak: Soak, given: argparse.Namespace, load: float) -> str:
    """Return the results as Markdown."""
    rows = []
    for course in soak.courses.values():
        assert course.after is not None
        before, after = course.before, course.after
        most = max(course.samples, key=lambda s: s.rss_kb, default=after)
        rows.append(
            f"| {course.name} | **{course.slope_kb_per_hour():+.0f}** | {before.rss_kb} / {most.rss_kb} / {after.rss_kb} | {course.quarters()} "
            + "".join(
                f"| {getattr(before, name)} / {max((getattr(s, name) for s in course.samples), default=0)} / {getattr(after, name)} "
                for name in ("tasks", "timers", "sockets", "fds", "objects")
            )
            + "|"
        )
    piled = [line for course in soak.courses.values() for line in course.piled_up()]
    ends = ", ".join(f"{code} {count}" for code, count in sorted(soak.ends.items(), key=lambda one: -one[1]))
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return "\n".join(
        [
            HEADING,
            "",
            (
                f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {os.cpu_count()} x {model}, Linux {platform.release()}, "
                f"Python {platform.python_version()}, load before {load:.1f}. {given.minutes:g} minutes, seed {given.seed}."
            ),
            "",
            (
                f"{soak.came} viewers came, about {given.viewers} at a time, to {given.cameras} cameras of {KBPS} kbit/s with a sub-stream, "
                f"pulled by RTSP by two workers; cameras were restarted {soak.restarts} times. {soak.connected} connected, "
                f"{soak.packets} packets arrived. Ends: {ends}. {soak.failed} connections failed at the viewer's side."
            ),
            "",
            "Idle before / most / idle after. Slope: least squares over resident memory, the first sixth left out.",
            "",
            "| process | memory slope, kB per hour | resident, kB | MB by quarters | tasks | timers | sockets | descriptors | objects of the collector |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Piled up: {'; '.join(piled) if piled else 'nothing'}.",
            "",
            f"Command: `{' '.join(['.venv/bin/python bench/soak.py', *sys.argv[1:]])}`",
            "",
        ]
    )


def write(text: str) -> None:
    """Replace the soak's part of the results, leaving the others."""
    old = (
        RESULTS.read_text() if RESULTS.exists() else "# Results\n\nWritten by the programs in this folder.\n"
    )
    before, heading, rest = old.partition(f"{HEADING}\n")
    after = rest[rest.index("\n## ") + 1 :] if heading and "\n## " in rest else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + text + ("\n" + after if after else ""))


def main() -> int:
    """Soak, print, write; 1 where something piled up or the memory of a process rises faster than is allowed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--viewers", type=int, default=20, help="at a time, on the average")
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the part into bench/RESULTS.md")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    configure_logging("error")
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(given, Path(folder))
        asyncio.run(soak.run())
    text = part(soak, given, load)
    print(text)
    if given.write:
        write(text)
    courses = soak.courses.values()
    rises = any(course.slope_kb_per_hour() > BOUND_KB_PER_HOUR for course in courses)
    return int(rises or any(course.piled_up() for course in courses))


if __name__ == "__main__":
    sys.exit(main())
