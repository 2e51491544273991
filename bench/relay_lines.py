"""One line of the relay bench: a server, its viewers and the camera, each a process of its own, and what /proc says of them."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from relay_link import Link
from relay_stream import FPS

HERE = Path(__file__).resolve().parent
FOREIGN = ("go2rtc", "janus")
SETTLED_S = 2.0  # the run-ups from the key frame are over
RING_FULL_S = 7.0  # 1,024 packets of 2 Mbit/s and the group of pictures in front of them are held
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    """A peer that could not run; says why."""


class Talker:
    """A child process that speaks JSON lines, pinned to one core."""

    def __init__(self, core: int, *command: str, inside: tuple[str, ...] = ()) -> None:
        """`inside` are the words that start a command in another network namespace."""
        self.process = subprocess.Popen(
            [*inside, "taskset", "-c", str(core), sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.hello = self.hear()

    def say(self, **words: object) -> None:
        """Send one line."""
        try:
            self.process.stdin.write(json.dumps(words) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Missing(self._last_words()) from None

    def hear(self) -> dict:
        """Read one line; a child that died is a missing peer."""
        line = self.process.stdout.readline()
        if not line:
            raise Missing(self._last_words())
        return json.loads(line)

    def ask(self, **words: object) -> dict:
        """Send one line and read the reply."""
        self.say(**words)
        return self.hear()

    def end(self) -> None:
        """End the child and wait for it."""
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def _last_words(self) -> str:
        self.process.wait(5)
        errors = self.process.stderr.read().strip().splitlines()
        return errors[-1] if errors else f"ended with status {self.process.returncode}"


@dataclass(frozen=True)
class Rig:
    """What all lines share."""

    camera: Talker
    link: Link
    streams: Path  # pickled: name -> pictures
    server_core: int
    viewer_core: int
    seconds: float

    @contextmanager
    def serving(self, server: str, host: str, stream: str):
        """Run one server, pinned to its core."""
        port = str(self.camera.hello["port"])
        if server in FOREIGN:
            command = ["relay_foreign.py", server, host, port, stream]
        elif server == "aiortc":
            command = ["relay_peers.py", server, str(self.streams), stream]
        else:
            command = ["relay_peers.py", server, host, port, stream]
        talker = Talker(self.server_core, str(HERE / command[0]), *command[1:])
        try:
            if "takes" in talker.hello:
                self.camera.ask(do="send", stream=stream, port=talker.hello["takes"])
            yield talker
        finally:
            talker.end()


@dataclass(frozen=True)
class Result:
    """One server at one number of viewers."""

    server: str
    asked: int
    kbps: int = 0
    cameras: int = 1
    connected: int = 0
    setup_ms: float = 0.0  # server CPU per viewer, offer to connected, media running meanwhile
    setup_watched_s: float = 0.0  # for which those who were connected already watched meanwhile, summed
    # From the camera's sending of a picture to its last packet's arrival at a viewer's socket: ms, its packets; sampled.
    late: tuple[tuple[float, int], ...] = ()
    resident_kb: float = (
        0.0  # of all the server's processes that came with the viewers but the first, and their cameras
    )
    burst: tuple[float, float, int] = (
        0.0,
        0.0,
        0,
    )  # seconds until connected, longest gap of the others, how many
    packets: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    lost: int = 0
    pictures: int = 0  # seen, all viewers
    pictures_due: int = 0
    gap_s: float = 0.0  # longest time between two pictures at any viewer
    decrypted: int = 0
    forged: int = 0
    core_busy: float = 0.0
    viewers_busy: float = 0.0  # of a core: the viewers' process
    missing: str = ""

    @property
    def us_per_packet(self) -> float:
        """Return the server's CPU per packet per viewer, µs."""
        return self.cpu_s / self.packets * 1e6 if self.packets else 0.0

    @property
    def core_share(self) -> float:
        """Return the part of a core that the server took."""
        return self.cpu_s / self.seconds if self.seconds else 0.0

    @property
    def lost_share(self) -> float:
        """Return the part of the packets that did not arrive."""
        return self.lost / (self.packets + self.lost) if self.packets else 1.0

    @property
    def frames_share(self) -> float:
        """Return the part of the pictures that did not arrive: a viewer that fell too far behind was given a newer one."""
        return self.frames_missing / self.pictures_due if self.pictures_due else 1.0

    @property
    def missed_share(self) -> float:
        """Return the larger of both parts; all, where not everybody was connected."""
        return max(self.lost_share, self.frames_share) if self.connected == self.asked else 1.0

    @property
    def setup_net_ms(self) -> float:
        """Return set-up CPU, run-up from the key frame included, without the pictures that those connected got meanwhile."""
        if not self.seconds:
            return 0.0
        watching_ms = 1000 * self.setup_watched_s * self.core_share / max(1, self.connected)
        return max(0.0, self.setup_ms - watching_ms / max(1, self.asked - 1))

    def late_ms(self, percent: int, most: int = 1 << 16) -> float:
        """Return a percentile of the way through the server, of pictures of at most so many packets."""
        return percentile([late for late, packets in self.late if packets <= most], percent)

    @property
    def frames_missing(self) -> int:
        """Return pictures that did not arrive, beyond the one that may straddle the window at either end."""
        return max(0, self.pictures_due - self.pictures - 2 * self.connected)


def percentile(values, percent: int) -> float:
    """Return a percentile, 0 of nothing."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, len(ranked) * percent // 100)] if ranked else 0.0


def cpu_s(pids: list[int]) -> float:
    """Return the time that processes ran on a core, user and system, all threads."""
    total = 0.0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            # The scheduler's own account, in ns; the tick-wise one of stat is too coarse for a cheap server.
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def resident_kb(pids: list[int]) -> int:
    """Return the memory of processes, shared pages counted once per process, kB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def core_s(core: int) -> float:
    """Return the seconds that a core was busy since boot, interrupts included."""
    for line in Path("/proc/stat").read_text().splitlines():
        fields = line.split()
        if fields[0] == f"cpu{core}":
            user, nice, system, _idle, _wait, hard, soft = map(int, fields[1:8])
            return (user + nice + system + hard + soft) / TICKS_PER_S
    raise Missing(f"core {core} is not there")


def connect(serving: Talker, watching: Talker, paths: dict[str, str]) -> dict:
    """Let viewers come one after the other, as fast as they are answered; return the state once all play, or time is up."""
    for name, path in paths.items():
        if serving.hello.get("offers"):
            offer = serving.ask(watch=name)["offer"]
            serving.ask(viewer=name, answer=watching.ask(do="take", viewer=name, sdp=offer)["answer"])
            continue
        offer = watching.ask(do="offer", viewer=name)["offer"]
        serving.say(offer=offer, viewer=name, path=path)
        answer = serving.hear()["answer"]
        if answer is not None:  # else it counts among those who did not connect
            watching.say(do="answer", viewer=name, sdp=answer)
    return wait_for(watching, len(paths))


def wait_for(watching: Talker, count: int) -> dict:
    """Return the viewers' state once so many play, or after 60 s, or 5 s after the last one connected or failed."""
    ends, settled = time.monotonic() + 60, 0.0
    while True:
        state = watching.ask(do="connected")
        now = time.monotonic()
        if state["connected"] + state["failed"] >= count:
            settled = settled or now
        if state["playing"] >= count or now > ends or (settled and now > settled + 5):
            return state
        time.sleep(0.05)


def burst(serving: Talker, watching: Talker, count: int, playing: int, path: str) -> tuple[float, float, int]:
    """Let so many come in one moment; return seconds until all are connected, the others' longest gap meanwhile, and how many came."""
    names = [f"new{number}" for number in range(count)]
    offers = [(name, watching.ask(do="offer", viewer=name)["offer"]) for name in names]
    watching.ask(do="begin")
    began = time.monotonic()
    for name, offer in offers:
        serving.say(offer=offer, viewer=name, path=path)
    for _ in names:
        told = serving.hear()
        if told["answer"] is not None:
            watching.say(do="answer", viewer=told["viewer"], sdp=told["answer"])
    state, ends = watching.ask(do="connected"), began + 30
    while state["connected"] < playing + count and time.monotonic() < ends:
        time.sleep(0.02)
        state = watching.ask(do="connected")
    took = time.monotonic() - began
    return took, watching.ask(do="gap")["gap_s"], state["connected"] - playing


def measure(
    rig: Rig,
    server: str,
    count: int,
    *,
    stream: str = "2000",
    cameras: int = 1,
    at_once: int = 0,
    runs: bool = False,
    settle_s: float = SETTLED_S,
) -> Result:
    """Run one server with so many viewers, spread over so many cameras; `runs`: they take several packets in one."""
    kbps = int(stream)
    with ExitStack() as stack:
        try:
            link = rig.link
            serving = stack.enter_context(rig.serving(server, link.server, stream))
            watching = Talker(
                rig.viewer_core,
                str(HERE / "relay_viewers.py"),
                link.viewers,
                link.server,
                *(["runs"] if runs else []),
                inside=link.inside,
            )
            stack.callback(watching.end)
            # A server written elsewhere has a process of its own.
            pids = family(serving.hello.get("pid", serving.process.pid))
            paths = {f"v{number}": f"{stream}/{number % cameras}" for number in range(count)}
            first = connect(serving, watching, {"v0": paths.pop("v0")})
            light = resident_kb(pids)
            before = cpu_s(pids)
            state = connect(serving, watching, paths)
            state = wait_for(watching, count)
            setup = (cpu_s(pids) - before) / max(1, count - 1)
            watched_s = state["watched_s"] - first["watched_s"]
            if not state["playing"]:
                return Result(server, count, missing=f"no viewer received a packet ({state})")
            time.sleep(settle_s)
            began = watching.ask(do="begin")["at"]
            used, busy, theirs = cpu_s(pids), core_s(rig.server_core), cpu_s([watching.process.pid])
            time.sleep(rig.seconds)
            used, busy_end = cpu_s(pids) - used, core_s(rig.server_core)
            theirs = cpu_s([watching.process.pid]) - theirs
            report = watching.ask(do="report")
            heavy = resident_kb(pids)
            seen = report["viewers"]
            took = report["at"] - began
            came = burst(serving, watching, at_once, count, f"{stream}/0") if at_once else (0.0, 0.0, 0)
        except (Missing, ProcessLookupError, FileNotFoundError) as error:
            return Result(server, count, missing=str(error))
        return Result(
            f"{server} {serving.hello.get('version', '')}".strip(),
            count,
            kbps=kbps,
            cameras=cameras,
            connected=sum(v["packets"] > 0 for v in seen),
            setup_ms=setup * 1000,
            setup_watched_s=watched_s,
            packets=sum(v["packets"] for v in seen),
            seconds=took,
            cpu_s=used * took / rig.seconds,
            lost=sum(v["lost"] for v in seen),
            pictures=sum(v["pictures"] for v in seen),
            pictures_due=int(took * FPS) * count,
            gap_s=max(v["gap_s"] for v in seen),
            decrypted=sum(v["decrypted"] for v in seen),
            forged=sum(v["forged"] for v in seen),
            core_busy=(busy_end - busy) / rig.seconds,
            viewers_busy=theirs / rig.seconds,
            late=tuple((late, packets) for v in seen for late, packets in v["late"]),
            resident_kb=heavy - light,
            burst=came,
        )
