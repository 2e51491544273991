"""The programs that take the project's figures start: they are run by hand, so nothing else tells when one is broken."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
LIMIT_S = 120


def run(*command: str) -> str:
    """Run Python on a command with nothing to read and return what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=BENCH.parent,
        input="",
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "given"),
    [
        ("relay_viewers.py", ("127.0.0.1", "127.0.0.1")),
        ("soak_viewers.py", ()),
        ("soak_cameras.py", ("2", "500")),
    ],
)
def test_each_process_of_the_relay_figures_starts(program: str, given: tuple[str, ...]) -> None:
    """It says that it is ready, and ends with its input."""
    assert run(str(BENCH / program), *given).startswith("{")


@pytest.mark.long
@pytest.mark.parametrize("program", ["relay.py", "soak.py", "probe.py", "assess.py"])
def test_each_bench_tells_its_options(program: str) -> None:
    """All that it is made of can be loaded."""
    assert "--write" in run(str(BENCH / program), "--help")
