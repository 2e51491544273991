"""`camhub check` on each scripted camera gives the decision, and first the rule, that the preset was made for."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_support import CAMHUB, simulators

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# preset -> decision under `technical`, the first rule that lowers it, exit code
TABLE = {
    "good-onvif": ("ADMITTED", None, 0),
    "household-no-onvif": ("CONDITIONAL", "CON-02", 1),
    "open-no-auth": ("REJECTED", "SEC-01", 1),
    "low-resolution": ("CONDITIONAL", "VQ-01", 1),
    "wrong-clock": ("CONDITIONAL", "TIM-02", 1),
    "h265-only": ("ADMITTED", None, 0),
    "mjpeg-2009": ("REJECTED", "STR-01", 1),
    "dead": ("PENDING", "CON-01", 1),
}


@pytest.fixture(scope="module")
def cameras() -> Iterator[dict[str, dict[str, str]]]:
    """All eight presets, in one process."""
    with simulators(*TABLE) as lines:
        yield {line["preset"]: line for line in lines}


@pytest.mark.parametrize("preset", TABLE)
def test_preset_gets_its_decision(preset: str, cameras: dict[str, dict[str, str]]) -> None:
    """The decision, its first cause and the exit code are those of the table, within 20 s."""
    camera = cameras[preset]
    decision, cause, exit_code = TABLE[preset]
    target = camera["onvif"] or camera["rtsp"]
    arguments = ["--user", camera["user"], "--password-stdin"] if camera["user"] else []
    started = time.monotonic()

    told = subprocess.run(
        [*CAMHUB, "check", target, *arguments, "--json"],
        input=camera["password"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    took = time.monotonic() - started
    assert told.stdout, told.stderr
    report = json.loads(told.stdout)
    because = [finding["rule"] for finding in report["because"]]
    assert (report["decision"], because[:1], told.returncode) == (
        decision,
        [cause] if cause else [],
        exit_code,
    ), because
    assert took < 23, f"took {took:.1f} s, start of the interpreter included"
    assert camera["password"] == "" or camera["password"] not in told.stdout + told.stderr
    findings = {finding["rule"]: finding for finding in report["findings"]}
    if preset == "h265-only":
        assert findings["STR-06"]["verdict"] == "PASS"
        assert "transcode" in findings["STR-06"]["text"]["en"]
    if preset == "wrong-clock":
        # ONVIF tells whole seconds, so the median of five reads is right to one second
        assert re.search(r"\b42[01] s fast", findings["TIM-02"]["text"]["en"])
    if preset == "dead":
        assert "GetSystemDateAndTime" in findings["CON-01"]["text"]["en"]


def test_report_can_be_kept_as_a_page(cameras: dict[str, dict[str, str]], tmp_path: Path) -> None:
    """--format html --output writes one self-contained file without a secret in it."""
    camera = cameras["low-resolution"]
    page = tmp_path / "report.html"

    subprocess.run(
        [
            *CAMHUB,
            "check",
            camera["onvif"],
            "--user",
            camera["user"],
            "--password-stdin",
            "--format",
            "html",
            "--lang",
            "vi",
            "--output",
            str(page),
        ],
        input=camera["password"],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )

    text = page.read_text()
    assert "<html" in text
    assert 'lang="vi"' in text
    assert camera["password"] not in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(["']?http""", text), (
        "it loads something"
    )
