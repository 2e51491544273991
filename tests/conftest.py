"""What all tests share: groups that need a program of the machine, and what was skipped and why."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ("browser", "gstreamer", "redis", "postgres")


def _missing() -> dict[str, str]:
    told = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "setup.py"), "missing"],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode != 0:
        return {}
    gone = json.loads(told.stdout.strip().splitlines()[-1])
    reasons = {group: f"needs Debian's {', '.join(packages)}" for group, packages in gone.items()}
    if "browser" not in reasons and not (ROOT / "hub" / "web" / "dist" / "index.html").is_file():
        reasons["browser"] = "needs the built user interface: make env"
    return reasons


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the groups whose programs this machine lacks, each with its reason."""
    wanted = {group for group in GROUPS if any(item.get_closest_marker(group) for item in items)}
    if not wanted:
        return
    missing = _missing()
    for item in items:
        for group in GROUPS:
            if group in missing and item.get_closest_marker(group):
                item.add_marker(pytest.mark.skip(reason=f"{group}: {missing[group]}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each skipped group and why, at the end."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("skipped groups", sep="-")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count} skipped: {reason}")
