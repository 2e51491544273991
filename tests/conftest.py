"""What all tests share: groups that need a program of the machine, what was skipped and why, captures checked."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import corpus
import httpx
import hypothesis
import pytest
from patience import PATIENCE_S

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
# Whole files go to one worker: the longest first, so that none is left alone with one at the end.
LONGEST = (
    "web/test_web_accessibility.py",
    "e2e/test_live_view.py",
    "e2e/test_player.py",
    "web/test_web_pages.py",
    "hub/live/test_gentle_lines.py",
    "e2e/test_demo.py",
    "e2e/test_wall.py",
    "hub/cli/test_cli_check.py",
    "hub/live/test_donated_camera.py",
    "hub/live/test_view_limits.py",
    "hub/live/test_mse_view.py",
    "hub/live/test_outputs.py",
    "hub/simulator/test_sim_media.py",
    "hub/relay/test_relay_chromium.py",
    "hub/relay/test_codecs.py",
    "hub/live/test_stills.py",
    "adapters/rtsp/test_rtsp_gstreamer.py",
    "hub/relay/test_relay_rtsp.py",
    "hub/api/test_hostile_requests.py",
    "hub/relay/test_relay_engine.py",
    "hub/live/test_relay_workers_of_a_hub.py",
    "hub/e2e/test_hub_on_servers.py",
    "standards/test_law.py",
    "fuzz/",
    "hub/compliance/test_statements.py",
    "hub/onboarding/test_rechecks.py",
    "hub/api/test_reports_api.py",
    "hub/compliance/test_reassess.py",
    "hub/access/test_decide.py",
    "hub/cli/test_cli_vendor.py",
    "standards/test_compiled.py",
    "hub/store/test_store.py",
    "web/",
)
GROUPS = ("browser", "firefox", "gstreamer", "vlc", "coturn", "redis", "postgres")


def pytest_configure() -> None:
    """Let chance and a busy machine decide nothing: of its own httpx gives an answer five seconds."""
    default = httpx._config.DEFAULT_TIMEOUT_CONFIG
    default.connect = default.read = default.write = default.pool = PATIENCE_S
    hypothesis.settings.load_profile(
        "ci"
    )  # the same examples each time, and no limit to the time that one takes


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


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Put the longest files first; skip the groups whose programs this machine lacks, each with its reason."""
    places = {name: place for place, name in enumerate(LONGEST)}

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(TESTS).as_posix() if TESTS in item.path.parents else ""
        return places.get(name, places.get(name.partition("/")[0] + "/", len(LONGEST)))

    items.sort(key=place)
    yield  # to the choice by marks: what no chosen test needs is not looked for
    wanted = {group for group in GROUPS if any(item.get_closest_marker(group) for item in items)}
    if not wanted:
        return
    missing = _missing()
    for item in items:
        for group in GROUPS:
            if group in missing and item.get_closest_marker(group):
                item.add_marker(pytest.mark.skip(reason=f"{group}: {missing[group]}"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what this worker checked of the captured replies to the controller (xdist only)."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["captured"] = corpus.checked_here()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a worker checked (xdist only; one that crashed hands nothing)."""
    corpus.add_checked(getattr(node, "workeroutput", {}).get("captured", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each skipped group and why, and count the captured replies that were checked, at the end."""
    captured = corpus.summary()
    if captured:
        terminalreporter.write_line(f"captured replies: {captured}")
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("skipped groups", sep="-")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count} skipped: {reason}")
