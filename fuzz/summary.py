"""What all runs in one work folder did, as a table; findings count only while they still happen."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fuzz.limits import ROOT
from fuzz.targets import Target

RESULTS = ROOT / "bench" / "RESULTS.md"
HEADING = "## Fuzzing"


def reports(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return what a target's processes of all runs wrote down, the oldest first."""
    paths = sorted((folder / "report").glob(f"{name}.*.json"), key=lambda path: path.stat().st_mtime)
    return [json.loads(path.read_text()) for path in paths]


def covered(folder: Path, name: str, seen: Iterable[int] = ()) -> int:
    """Return the most edges that any run of a target covered, with what was `seen` now; 0 where nobody counted."""
    path = folder / "covered" / name
    most = max([int(path.read_text()) if path.exists() else 0, *seen])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(most))
    return most


def table(targets: Sequence[Target], folder: Path, died: Sequence[str]) -> tuple[str, int]:
    """Return the table as Markdown, and how many findings count."""
    lines = [
        "| target | executions | CPU, s | edges | slowest input, s | ready, MB | peak, MB | findings |",
        "|---|---|---|---|---|---|---|---|",
    ]
    counted = list(died)
    total, total_s = 0, 0.0
    for target in targets:
        rows = reports(folder, target.name)
        found = {
            (row["kind"], row["what"].partition(":")[0], row["place"]): row
            for told in rows
            for row in told["findings"]
        }
        bad = [row for row in found.values() if confirmed(target, Path(row["file"]))]
        counted += [f"{target.name}: {row['what']} ({row['place']}), {row['file']}" for row in bad]
        executions, used_s = sum(row["executions"] for row in rows), sum(row["cpu_s"] for row in rows)
        total, total_s = total + executions, total_s + used_s
        most = {
            key: max((row[key] for row in rows), default=0) for key in ("slowest_s", "ready_mb", "peak_mb")
        }
        lines.append(
            f"| {target.name} | {executions} | {used_s:.0f} | {covered(folder, target.name) or '-'} "
            f"| {most['slowest_s']:.2f} | {most['ready_mb']} | {most['peak_mb']} | {len(bad)} |"
        )
    lines += [
        "",
        f"**{total} executions in {total_s:.0f} CPU-seconds over {len(targets)} targets: {len(counted)} findings.**",
    ]
    return "\n".join([*lines, *counted]), len(counted)


def confirmed(target: Target, path: Path) -> bool:
    """Tell whether an input does it again in a process of its own, without instrumentation."""
    command = [sys.executable, "-m", "fuzz", "--target", target.name, "--replay", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode != 0


def write(text: str) -> None:
    """Replace the part about fuzzing in bench/RESULTS.md, leaving the others."""
    name = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    machine = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {os.cpu_count()} x {name}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}."
    )
    limits = (
        "Limits per input: 1 s of CPU (under instrumentation), 256 MB above the ready process (resident peak), no error but "
        "those that a target names. Findings are those that still happen; mended ones are regressions in fuzz/regressions."
    )
    part = f"{HEADING}\n\n{machine}\n\n{limits}\n\n{text}\n\nCommand: `make fuzz ARGS=--write`\n"
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    before, heading, rest = old.partition(f"{HEADING}\n")
    after = rest[rest.index("\n## ") + 1 :] if heading and "\n## " in rest else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + part + ("\n" + after if after else ""))
