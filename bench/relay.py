"""The relay's bench: what one viewer costs, and how many fit on one core without a lost frame.

    .venv/bin/python bench/relay.py [--viewers 100 200 500] [--cameras 200] [--seconds 10] [--write]

Server pinned to one core, viewers to another, loopback. The server's CPU is that of all its processes (hub, workers and
whatever they start) from /proc, beside how busy its core was with everything that ran on it. aiortc as shipped, go2rtc
(built by tools/go2rtc.py) and Debian's Janus run in the same run on the same stream; what could not run is printed as missing. With --write the table goes into bench/RESULTS.md.
"""

import argparse
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

from relay_stream import FPS, GROUP, bitrate_kbps, encoded  # noqa: E402

RESULTS = HERE / "RESULTS.md"
HEADING = "## Relay"
FOREIGN = ("go2rtc", "janus")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    """A peer that could not run; says why."""


class Talker:
    """A child process that speaks JSON lines, pinned to one core."""

    def __init__(self, core: int, *command: str) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.hello = self.hear()

    def say(self, **words: object) -> None:
        """Send one line."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict:
        """Read one line; a child that died is a missing peer."""
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(5)
            errors = self.process.stderr.read().strip().splitlines()
            raise Missing(errors[-1] if errors else f"ended with status {self.process.returncode}")
        return json.loads(line)

    def ask(self, **words: object) -> dict:
        """Send one line and read the reply."""
        self.say(**words)
        return self.hear()

    def end(self) -> None:
        """End the child and wait for it."""
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@dataclass(frozen=True)
class Result:
    """One server at one number of viewers."""

    server: str
    asked: int
    connected: int = 0
    setup_ms: float = 0.0  # server CPU per viewer, offer to connected, media running meanwhile
    setup_packets: int = 0  # that went to viewers meanwhile
    late_ms: tuple[float, ...] = ()  # picture in to its last packet at a viewer, sampled
    viewer_kb: float = 0.0  # resident memory that each further viewer took
    burst: tuple[float, float, int] = (
        0.0,
        0.0,
        0,
    )  # so many at once: seconds until connected, longest gap of the others
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
    missing: str = ""

    @property
    def us_per_packet(self) -> float:
        """Return the server's CPU per packet per viewer, µs."""
        return self.cpu_s / self.packets * 1e6 if self.packets else 0.0

    @property
    def setup_net_ms(self) -> float:
        """Return set-up CPU without that of the packets which were sent meanwhile, as the steady state costs them."""
        return max(0.0, self.setup_ms - self.setup_packets * self.us_per_packet / 1000 / max(1, self.asked))

    @property
    def late_p99_ms(self) -> float:
        """Return the 99th percentile of the way through the server and to a viewer's process."""
        ranked = sorted(self.late_ms)
        return ranked[int(len(ranked) * 0.99)] if ranked else 0.0

    @property
    def frames_missing(self) -> int:
        """Return pictures that did not arrive, beyond the one that may straddle the window at either end."""
        return max(0, self.pictures_due - self.pictures - 2 * self.connected)


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


def connect(serving: Talker, watching: Talker, names: list[str], cameras: int) -> dict:
    """Let viewers come one after the other, as fast as they are answered; return the state once all play, or time is up."""
    for number, name in enumerate(names):
        if serving.hello.get("offers"):
            offer = serving.ask(watch=name)["offer"]
            serving.ask(viewer=name, answer=watching.ask(do="take", viewer=name, sdp=offer)["answer"])
            continue
        offer = watching.ask(do="offer", viewer=name)["offer"]
        serving.say(offer=offer, viewer=name, camera=number % cameras)
        watching.say(do="answer", viewer=name, sdp=serving.hear()["answer"])
    return wait_for(watching, len(names))


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


def burst(serving: Talker, watching: Talker, count: int, playing: int) -> tuple[float, float, int]:
    """Let so many come in one moment; return seconds until all are connected, and the others' longest gap meanwhile."""
    names = [f"new{number}" for number in range(count)]
    offers = [(name, watching.ask(do="offer", viewer=name)["offer"]) for name in names]
    watching.ask(do="begin")
    began = time.monotonic()
    for name, offer in offers:
        serving.say(offer=offer, viewer=name)
    for _ in names:
        told = serving.hear()
        watching.say(do="answer", viewer=told["viewer"], sdp=told["answer"])
    state, ends = watching.ask(do="connected"), began + 30
    while state["connected"] < playing + count and time.monotonic() < ends:
        time.sleep(0.02)
        state = watching.ask(do="connected")
    return time.monotonic() - began, watching.ask(do="gap")["gap_s"], state["connected"] - playing


def measure(
    server: str,
    count: int,
    seconds: float,
    host: str,
    stream: Path,
    cores: tuple[int, int],
    *,
    cameras: int = 1,
    at_once: int = 0,
) -> Result:
    """Run one server with so many viewers."""
    try:
        program = "relay_foreign.py" if server in FOREIGN else "relay_peers.py"
        serving = Talker(cores[0], str(HERE / program), server, str(stream), host)
    except Missing as error:
        return Result(server, count, missing=str(error))
    label = f"{server} {serving.hello.get('version', '')}".strip()
    watching = Talker(cores[1], str(HERE / "relay_viewers.py"), host)
    try:
        pids = family(
            serving.hello.get("pid", serving.process.pid)
        )  # a server written elsewhere has one of its own
        first = connect(serving, watching, ["first"], 1)
        light = resident_kb(pids)
        before = cpu_s(pids)
        state = connect(serving, watching, [f"v{number}" for number in range(1, count)], cameras)
        state = wait_for(watching, count)
        setup = (cpu_s(pids) - before) / max(1, count - 1)
        sent = state["packets"] - first["packets"]
        if not state["playing"]:
            return Result(label, count, missing=f"no viewer received a packet ({state})")
        time.sleep(2.0)  # the run-ups from the key frame are over
        heavy = resident_kb(pids)
        began = watching.ask(do="begin")["at"]
        used, busy = cpu_s(pids), core_s(cores[0])
        time.sleep(seconds)
        used, busy_end = cpu_s(pids) - used, core_s(cores[0])
        report = watching.ask(do="report")
        seen = report["viewers"]
        took = report["at"] - began
        came = burst(serving, watching, at_once, count) if at_once else (0.0, 0.0, 0)
        return Result(
            label,
            count,
            connected=sum(v["packets"] > 0 for v in seen),
            setup_ms=setup * 1000,
            setup_packets=sent,
            packets=sum(v["packets"] for v in seen),
            seconds=took,
            cpu_s=used * took / seconds,
            lost=sum(v["lost"] for v in seen),
            pictures=sum(v["pictures"] for v in seen),
            pictures_due=int(took * FPS) * count,
            gap_s=max(v["gap_s"] for v in seen),
            decrypted=sum(v["decrypted"] for v in seen),
            forged=sum(v["forged"] for v in seen),
            core_busy=(busy_end - busy) / seconds,
            late_ms=tuple(one for v in seen for one in v["late_ms"]),
            viewer_kb=(heavy - light) / max(1, count - 1),
            burst=came,
        )
    except (Missing, ProcessLookupError, FileNotFoundError) as error:
        return Result(server, count, missing=str(error))
    finally:
        watching.end()
        serving.end()


def table(results: list[Result]) -> str:
    """Return the results as a Markdown table."""
    out = [
        "| server | viewers (asked) | µs CPU per packet per viewer | server CPU, % of a core | core busy, % | packets/s | lost packets | frames missing | longest gap, ms | in to out p99, ms | set-up, ms CPU per viewer: with media running / without its packets | kB per viewer | at once: connected in s / others' longest gap, ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        if r.missing:
            out.append(f"| {r.server} | - ({r.asked}) | missing: {r.missing} | | | | | | | | | | |")
            continue
        share = 100 * r.cpu_s / r.seconds
        out.append(
            f"| {r.server} | {r.connected} ({r.asked}) | **{r.us_per_packet:.1f}** | {share:.0f} | {100 * r.core_busy:.0f} "
            f"| {r.packets / r.seconds:.0f} | {r.lost} | {r.frames_missing} of {r.pictures_due} | {r.gap_s * 1000:.0f} | {r.late_p99_ms:.1f} "
            f"| {r.setup_ms:.1f} / {r.setup_net_ms:.1f} | {r.viewer_kb:.0f} | {_at_once(r)} |"
        )
    return "\n".join(out)


def _at_once(r: Result) -> str:
    took, gap_s, came = r.burst
    return f"{came}: {took:.1f} / {gap_s * 1000:.0f}" if took else ""


def machine() -> str:
    """Return one line about the machine."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, load before {load:.1f}"


def outward_host() -> str:
    """Return an address of this machine that is not loopback: aiortc gathers no loopback candidates."""
    from aioice.ice import get_host_addresses

    found = get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not found:
        raise Missing("aiortc gathers no candidate: this machine has no address but loopback")
    return str(found[0])


def main() -> int:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--viewers", type=int, nargs="+", default=[100, 200, 500])
    arguments.add_argument(
        "--cameras", type=int, default=200, help="as many cameras of 1 Mbit/s with one viewer each; 0: none"
    )
    arguments.add_argument(
        "--at-once", type=int, default=100, help="viewers that come in one moment to the first line"
    )
    arguments.add_argument("--aiortc-viewers", type=int, nargs="*", default=[25, 100])
    arguments.add_argument(
        "--peer-viewers", type=int, nargs="*", default=[25, 100, 200], help="of go2rtc and of Janus"
    )
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--kbps", type=int, default=2000)
    arguments.add_argument("--server-core", type=int, default=0)
    arguments.add_argument("--viewer-core", type=int, default=1)
    arguments.add_argument("--write", action="store_true", help="write the table into bench/RESULTS.md")
    given = arguments.parse_args()
    cores = (given.server_core, given.viewer_core)
    where = machine()
    units = encoded(given.kbps)
    with tempfile.NamedTemporaryFile(suffix=".stream") as file:
        stream = Path(file.name)
        stream.write_bytes(pickle.dumps(units))
        results = []
        for count in given.viewers:
            print(f"camhub, {count} viewers ...", file=sys.stderr, flush=True)
            at_once = given.at_once if count == given.viewers[0] else 0
            results.append(
                measure("camhub", count, given.seconds, "127.0.0.1", stream, cores, at_once=at_once)
            )
        if given.cameras:
            print(f"camhub, {given.cameras} cameras ...", file=sys.stderr, flush=True)
            stream.write_bytes(pickle.dumps(encoded(1000)))
            one = measure(
                "camhub", given.cameras, given.seconds, "127.0.0.1", stream, cores, cameras=given.cameras
            )
            results.append(replace(one, server=f"camhub, {given.cameras} cameras of 1 Mbit/s, a viewer each"))
            stream.write_bytes(pickle.dumps(units))
        asked = {"aiortc": given.aiortc_viewers, **dict.fromkeys(FOREIGN, given.peer_viewers)}
        for server, counts in asked.items():
            for count in counts:
                print(f"{server}, {count} viewers ...", file=sys.stderr, flush=True)
                try:
                    host = outward_host()
                except Missing as error:
                    results.append(Result(server, count, missing=str(error)))
                    continue
                results.append(measure(server, count, given.seconds, host, stream, cores))
    text = "\n".join(
        [
            HEADING,
            "",
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {where}. Server on core {cores[0]}, viewers on core {cores[1]}, loopback.",
            "",
            (
                f"Stream: H.264 1280x720, {FPS} fps, key frame every {GROUP} pictures, {bitrate_kbps(units)} kbit/s measured, given from "
                "memory inside the server process (the camera's side is not part of the figure; go2rtc gets it by RTSP over TCP and Janus as RTP "
                "over UDP, as from a camera, and taking in that one stream is part of theirs). Each viewer: own socket, key and SSRC, "
                f"real ICE and DTLS-SRTP, RTX and transport-wide feedback (20 a second) where the server agrees, a receiver report a second, "
                f"the end of one picture a second decrypted: it tells when the server got it (in to out, the viewers' own waiting included). {given.seconds:.0f} s per line."
            ),
            "",
            table(results),
            "",
            f"Command: `{' '.join(['.venv/bin/python bench/relay.py', *sys.argv[1:]])}`",
            "",
        ]
    )
    print(text)
    if given.write:
        _write(text)
    return (
        1 if any(r.server.startswith("camhub") and (r.missing or r.lost or r.forged) for r in results) else 0
    )


def _write(text: str) -> None:
    """Replace the relay's part of the results, leaving the others."""
    old = (
        RESULTS.read_text()
        if RESULTS.exists()
        else "# Results\n\nWritten by the programs in this folder; each part names its command and machine.\n"
    )
    before, heading, rest = old.partition(f"{HEADING}\n")
    after = rest[rest.index("\n## ") + 1 :] if heading and "\n## " in rest else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + text + ("\n" + after if after else ""))


if __name__ == "__main__":
    sys.exit(main())
