"""One process that fuzzes one target for so many seconds of CPU: ``python -m fuzz.child TARGET``.

What it finds it writes down and goes on; a finding of the same cause is written once. `fuzz.__main__` starts it.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from fuzz.limits import Finding, Limits
from fuzz.mutate import Mutator
from fuzz.targets import Target, targets

_EVERY_S = 5.0  # how often the report is written
INSTRUMENTED = ["adapters", "hub", "standards"]


class Session:
    """The inputs of one process, counted."""

    def __init__(self, target: Target, work: Path, cpu_s: float, engine: str) -> None:
        self._target = target
        self._findings = work / "findings" / target.name
        self._report = work / "report" / f"{target.name}.{os.getpid()}.json"
        self._until_s = time.process_time() + cpu_s
        self._begun_s = time.process_time()
        self._next_s = self._begun_s
        self._seen: dict[tuple[str, str, str], dict[str, str]] = {}
        self._executions = 0
        self._over = False
        self._engine = engine
        self._run, self._allowed = target.prepare() if engine == "own" else self._instrumented()
        self._limits = Limits()
        self._limits.confine()

    def _instrumented(self):  # type: ignore[no-untyped-def]
        import atheris

        with atheris.instrument_imports(include=INSTRUMENTED):
            return self._target.prepare()

    def one(self, data: bytes) -> bool:
        """Examine one input; False when the time is over, and then it is not examined any more."""
        if self._over:
            return False
        finding = self._limits.examine(self._run, self._allowed, data)
        self._executions += 1
        if finding is not None:
            self._keep(finding, data)
        now_s = time.process_time()
        self._over = now_s >= self._until_s
        if self._over or now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self.write(now_s)
        return not self._over

    def _keep(self, finding: Finding, data: bytes) -> None:
        if finding.key in self._seen:
            return
        name = hashlib.sha256(data).hexdigest()[:16]
        self._findings.mkdir(parents=True, exist_ok=True)
        path = self._findings / f"{finding.kind}-{name}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(f"{finding.what}\n{finding.place}\n{finding.trace}")
        self._seen[finding.key] = {
            "kind": finding.kind, "what": finding.what, "place": finding.place, "file": str(path),
        }  # fmt: skip
        self.write(time.process_time())

    def write(self, now_s: float) -> None:
        """Write down how far it is."""
        self._report.parent.mkdir(parents=True, exist_ok=True)
        told = {
            "target": self._target.name,
            "engine": self._engine,
            "executions": self._executions,
            "cpu_s": round(now_s - self._begun_s, 2),
            "slowest_s": round(self._limits.slowest_s, 3),
            "ready_mb": self._limits.base_bytes >> 20,
            "peak_mb": self._limits.peak_bytes >> 20,
            "findings": list(self._seen.values()),
        }
        half = self._report.with_suffix(".half")
        half.write_text(json.dumps(told))
        half.replace(self._report)


def begin_with(target: Target, corpus: str) -> list[bytes]:
    """Return the seeds, the regressions and, where a folder of captured data is named, what fits of it."""
    found = [path.read_bytes() for path in target.inputs()]
    if corpus:
        for pattern in target.corpora:
            paths = [path for path in sorted(Path(corpus).glob(pattern)) if path.is_file()]
            some = paths[:: max(1, len(paths) // 300)]
            found += [target.prefix + path.read_bytes()[: target.max_bytes - 1] for path in some]
    return found


def main() -> int:
    """Fuzz until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.child")
    parser.add_argument("target", choices=sorted(targets()))
    parser.add_argument("--cpu-seconds", type=float, default=60.0)
    parser.add_argument("--engine", choices=("atheris", "own"), default="atheris")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True)
    told = parser.parse_args()
    target = targets()[told.target]
    seeds = begin_with(target, os.environ.get("CAMHUB_CORPUS", ""))
    session = Session(target, told.work, told.cpu_seconds, told.engine)
    if told.engine == "own":
        for data in seeds:
            session.one(data)
        mutator = Mutator(seeds, target.max_bytes, told.seed)
        while session.one(mutator.one()):
            pass
        return 0

    import atheris

    def one(data: bytes) -> None:
        if not session.one(data):
            os.kill(os.getpid(), signal.SIGUSR1)  # libFuzzer ends well on it, with its last numbers

    kept = told.work / "corpus" / target.name
    given = told.work / "seeds" / target.name
    crashes = told.work / "findings" / target.name
    for folder in (kept, given, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for data in seeds:
        (given / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    options = [
        f"-max_len={target.max_bytes}", "-timeout=60", "-rss_limit_mb=2048", f"-seed={told.seed}",
        f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-report_slow_units=60", "-len_control=20",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(kept), str(given)], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
