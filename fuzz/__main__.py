"""Fuzz all targets on all cores: ``python -m fuzz --seconds 3600`` (what `make fuzz` runs).

The seconds are of CPU, divided evenly among the targets. What is found lies in build/fuzz/findings, and the corpus that
grew in build/fuzz/corpus, from which the next run goes on. Each finding is tried again in a process without
instrumentation before it counts: what was slow only under it, or is mended by now, does not.
"""

import argparse
import importlib.util
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from fuzz import summary
from fuzz.limits import ROOT, Limits
from fuzz.targets import Target, targets

WORK = ROOT / "build" / "fuzz"
_COVERED = re.compile(r"cov: (\d+)")
_RESTARTS = 5  # of a process that dies
_SIGN_S = 30.0


@dataclass(slots=True)
class Work:
    """One target's share."""

    target: Target
    cpu_s: float
    restarts: int = 0
    engine: str = ""
    died: list[str] = field(default_factory=list)
    child: "subprocess.Popen[bytes] | None" = None
    log: Path = Path()


def main() -> int:
    """Fuzz; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz every parser of camhub.")
    parser.add_argument("--seconds", type=float, default=3600.0, help="CPU seconds over all targets")
    parser.add_argument("--target", action="append", choices=sorted(targets()), help="only this one")
    parser.add_argument("--engine", choices=("atheris", "own"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--write", action="store_true", help="write the table into bench/RESULTS.md")
    parser.add_argument("--replay", type=Path, help="run one input through --target, without an engine")
    told = parser.parse_args()
    chosen = [targets()[name] for name in told.target] if told.target else list(targets().values())
    if told.replay is not None:
        return replay(chosen[0], told.replay)
    engine = told.engine or ("atheris" if importlib.util.find_spec("atheris") else "own")
    if engine == "own" and told.engine is None:
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        say(f"atheris is not installed (it has wheels for Linux on x86-64; this is Python {python}).")
        say("Our own mutation engine is used: the same targets and limits, but no coverage.")
    share_s = told.seconds / len(chosen)
    say(
        f"{len(chosen)} targets, {share_s:.0f} CPU-seconds each, {told.jobs} at a time, {engine}, seed {told.seed}"
    )
    say(f"Artefacts: {told.work}")
    works = [Work(target, share_s, engine=engine) for target in chosen]
    waiting = deque(works if share_s else [])
    running: list[Work] = []
    done: list[Work] = [] if share_s else works  # no seconds: only tell what earlier runs did
    begun_s = last_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end the children, and tell what there is
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while waiting or running:
            while waiting and len(running) < told.jobs:
                work = waiting.popleft()
                start(work, told.work, told.seed + work.restarts)
                running.append(work)
            time.sleep(0.2)
            for work in [
                work for work in running if work.child is not None and work.child.poll() is not None
            ]:
                running.remove(work)
                (waiting if ended(work, told.work) else done).append(work)
            if time.monotonic() - last_s > _SIGN_S:
                last_s = time.monotonic()
                say(f"   {last_s - begun_s:.0f} s: {len(done)} of {len(chosen)} done, "
                    f"{cpu_s():.0f} CPU-seconds; at work: {', '.join(work.target.name for work in running)}")  # fmt: skip
    except KeyboardInterrupt:
        for work in running:
            if work.child is not None:
                work.child.terminate()
                work.child.wait()
                done.append(work)
    table, bad = summary.table(done_targets(done), told.work, [line for work in done for line in work.died])
    say(
        f"\n{table}\n\n{time.monotonic() - begun_s:.0f} s; what earlier runs in this folder did is counted, too"
    )
    if told.write:
        summary.write(table)
    return 1 if bad else 0


def done_targets(done: list[Work]) -> list[Target]:
    """Return the targets of works, in the order of their names."""
    return sorted((work.target for work in done), key=lambda target: target.name)


def say(text: str) -> None:
    """Write one line at once."""
    print(text, flush=True)


def cpu_s() -> float:
    """Return the CPU time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start(work: Work, folder: Path, seed: int) -> None:
    """Start a target's process."""
    work.log = folder / "log" / f"{work.target.name}.{work.restarts}.log"
    work.log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "fuzz.child", work.target.name, "--cpu-seconds", str(work.cpu_s), "--engine",
        work.engine, "--seed", str(seed), "--work", str(folder),
    ]  # fmt: skip
    with work.log.open("wb") as log:
        work.child = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def ended(work: Work, folder: Path) -> bool:
    """Take note of a process that ended; True where it died and shall go on with what is left of its time."""
    text = work.log.read_text("utf-8", "replace")
    edges = summary.covered(folder, work.target.name, [int(number) for number in _COVERED.findall(text)])
    rows = summary.reports(folder, work.target.name)
    status = work.child.returncode if work.child is not None else 0
    used = sum(row["cpu_s"] for row in rows)
    say(
        f"{work.target.name}: {sum(row['executions'] for row in rows)} executions, {used:.0f} CPU-seconds, "
        f"{edges or '-'} edges, {sum(len(row['findings']) for row in rows)} findings"
        + (f", ended with status {status}" if status else "")
    )
    if status == 0:
        return False
    work.died.append(f"status {status}, see {work.log}")
    work.restarts += 1
    work.cpu_s -= rows[-1]["cpu_s"] if rows else work.cpu_s
    return work.restarts <= _RESTARTS and work.cpu_s > 1.0


def replay(target: Target, path: Path) -> int:
    """Run one input by itself and say what it does."""
    run, allowed = target.prepare()
    finding = Limits().examine(run, allowed, path.read_bytes())
    if finding is None:
        say("nothing is wrong with it")
        return 0
    say(f"{finding.kind}: {finding.what}\n{finding.place}\n{finding.trace}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
