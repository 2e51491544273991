"""`camhub assess`: kept observations judged again, with no packet, and files that are not to be believed."""

import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hub.cli.assess import assess
from hub.compliance.observation_file import VERSION, Kept, ObservationFileRefused, read, written
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance
from standards.reason import Reason

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TOLD = Provenance(Method.TEST, "onvif/1", "GetSystemDateAndTime", "192.168.1.20:80", NOW, 0.1)
SEEN: dict[str, Observation] = {
    "target.interfaces": Observed(("onvif", "rtsp"), TOLD),
    "time.offset_s": Observed(3.0, TOLD),
    "reach.answers": NotObserved(Reason.TIMED_OUT, "no answer in 3.0 s", TOLD),
}
KEPT = Kept("onvif://192.168.1.20:80", NOW, Observations(SEEN))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of observations, and a machine on which nothing can be dialled."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a packet was about to be sent")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    file = tmp_path / "camera.json"
    file.write_bytes(written(KEPT))
    return file


def run(file: Path, *words: str) -> Result:
    return CliRunner().invoke(assess, [str(file), "--json", "--lang", "en", *words])


def verdict(result: Result, rule: str) -> str:
    findings = json.loads(result.stdout)["findings"]
    return next(str(one["verdict"]) for one in findings if one["rule"] == rule)


def test_another_limit_judges_the_same_observations_otherwise(kept: Path) -> None:
    """Three seconds are within the donated limit, beyond the municipal one, and beyond one that is set by hand; no packet leaves."""
    assert verdict(run(kept), "TIM-02") == "PASS"
    assert verdict(run(kept, "--standard", "vn-municipal-2026"), "TIM-02") == "FAIL"
    tight = run(kept, "--set", "TIM-02.max_offset_s=2.5")

    assert verdict(tight, "TIM-02") == "FAIL"
    assert json.loads(tight.stdout)["standard_detail"]["version"].endswith("+what-if")
    assert tight.exit_code == 1


def test_the_same_file_gives_the_same_report(kept: Path) -> None:
    """The moment of judgement is that of the check."""
    first, second = run(kept), run(kept)

    assert first.stdout == second.stdout
    assert json.loads(first.stdout)["as_of"] == "2026-11-20T12:00:00.000Z"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--standard", "vn-lunar"], "there is no standard"),
        (["--set", "TIM-02.max_offset=1.0"], "no parameter max_offset"),
        (["--set", "VQ-99.x=1"], "VQ-99"),
        (["--set", "TIM-02.max_offset_s=soon"], "is not RULE.PARAMETER=VALUE"),
        (["--set", 'TIM-02.max_offset_s="soon"'], "takes a float"),
    ],
)
def test_what_cannot_be_judged_is_said_with_the_next_step(kept: Path, words: list[str], said: str) -> None:
    """A wrong standard, rule, parameter or value ends with exit code 2, one sentence and a hint."""
    result = run(kept, *words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert "hint:" in result.stderr


def changed(**fields: Any) -> bytes:
    told = json.loads(written(KEPT))
    told.update(fields)
    return json.dumps({name: value for name, value in told.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"not json", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "format"),
        (changed(format="other"), "format"),
        (changed(version=VERSION + 1, program="9.0.0"), "newer camhub (9.0.0); this one reads up to"),
        (changed(version="1"), "version"),
        (changed(as_of="yesterday"), "a field cannot be read"),
        (changed(target=...), "'target'"),
        (changed(observations={"time.offset_s": {"value": 1.0}}), "time.offset_s"),
        (changed(observations={}), "were changed"),
        (changed(sha256="0" * 64), "were changed"),
    ],
)
def test_a_file_that_is_not_to_be_believed_is_refused_with_place_and_reason(data: bytes, said: str) -> None:
    """Another format, a newer version, a changed or broken file: refused by name, never half-read."""
    with pytest.raises(ObservationFileRefused) as refused:
        read(data)

    assert said in str(refused.value)


def test_a_refused_file_ends_the_command(tmp_path: Path) -> None:
    """The command says which file, why, and what to give instead."""
    file = tmp_path / "newer.json"
    file.write_bytes(changed(version=VERSION + 1))
    result = run(file)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "newer.json: version" in result.stderr
    assert run(tmp_path / "nowhere.json").exit_code == 2


def test_a_file_comes_back_as_it_was_written_and_unknown_facts_are_left_aside() -> None:
    """Values, absences and moments survive; a fact of another program's does not enter."""
    assert read(written(KEPT)) == KEPT
    more = Kept(KEPT.target, NOW, Observations({**SEEN, "from.elsewhere": Observed(1, TOLD)}))
    assert read(written(more)).observations == KEPT.observations
