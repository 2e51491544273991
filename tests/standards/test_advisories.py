"""Known flaws: matched by what a device says, offline; what its version does not tell stays open; wrong lists are refused."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli.standards import standards
from hub.compliance.derived import worked_out
from standards.advisories import AdvisoriesError, firmware_build, parse, shipped
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance
from standards.reason import Reason

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TOLD = Provenance(Method.TEST, "test/1", "test", "10.0.0.1:80", NOW)


def flaws(manufacturer: str, model: str, firmware: str) -> Observation | None:
    """Return what is worked out for a device."""
    facts = {"device.manufacturer": manufacturer, "device.model": model, "device.firmware": firmware}
    seen = Observations({fact: Observed(value, TOLD) for fact, value in facts.items()})
    return worked_out(seen, shipped(), NOW).get("firmware.flaws")


def test_listed_model_and_build_is_concerned() -> None:
    """A build inside the published range counts; one built after every advisory has none."""
    old = flaws("HIKVISION", "DS-2CD2142F-I", "V5.3.0 build 150513")
    assert isinstance(old, Observed)
    assert old.value == 1
    assert "CVE-2017-7921" in old.provenance.operation
    new = flaws("HIKVISION", "DS-2CD2142F-I", "V5.7.3 build 240112")
    assert isinstance(new, Observed)
    assert new.value == 0


@pytest.mark.parametrize(
    ("manufacturer", "firmware", "reason"),
    [
        ("HIKVISION", "V5.5.82 build 190909", Reason.NO_DECLARATION),
        ("Dahua", "2.800.0000016.0.R", Reason.NO_DECLARATION),
        ("Nobody Knows Ltd", "1.0 build 250101", Reason.NOT_ASKED),
    ],
)
def test_what_the_version_does_not_tell_is_not_guessed(
    manufacturer: str, firmware: str, reason: Reason
) -> None:
    """A flaw without published ranges, and a maker that the list does not cover, are neither flaw nor health."""
    one = flaws(manufacturer, "X-1", firmware)
    assert isinstance(one, NotObserved)
    assert one.reason is reason


@pytest.mark.parametrize(
    ("firmware", "built"),
    [
        ("V5.4.0 build 160530", date(2016, 5, 30)),
        ("2.800.0000016.0.R, Build Date: 2020-11-05", date(2020, 11, 5)),
        ("2.420.0000.22.R,build:2015-09-09", date(2015, 9, 9)),
        ("build 169999", None),
        ("9.80.1", None),
    ],
)
def test_build_day_is_read_from_the_version(firmware: str, built: date | None) -> None:
    """Makers write the day of the build into the version in two ways; nonsense is no day."""
    assert firmware_build(firmware) == built


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("issued = 1", "issued"),
        ("issued = 2026-01-01\nmore = 1", "more"),
        ('issued = 2026-01-01\n[[advisory]]\nid = "X"', "family"),
        (
            (
                'issued = 2026-01-01\nfamilies = ["a"]\n[[advisory]]\nid = "X"\nfamily = "a"\nsource = "s"\n'
                'certainty = "text"\npublished = 2020-01-01\nrange = [{models = "(a+)+$", first = 2020-01-01, last = 2021-01-01}]'
            ),
            "models",
        ),
        ("= 1", "line 1"),
    ],
)
def test_wrong_lists_are_refused_by_place(text: str, said: str) -> None:
    """A list that cannot be used is refused with the field; patterns that could run long are none."""
    with pytest.raises(AdvisoriesError, match=said):
        parse(text)


def test_command_shows_and_checks_lists(tmp_path: Path) -> None:
    """`camhub standards advisories` shows the shipped list and tells what is wrong with a file."""
    wrong = tmp_path / "list.toml"
    wrong.write_text("issued = 1", "utf-8")
    assert "CVE-2017-7921" in CliRunner().invoke(standards, ["advisories"]).output
    assert CliRunner().invoke(standards, ["advisories", str(wrong)]).exit_code == 1
    assert CliRunner().invoke(standards, ["advisories", str(wrong.parent / "none")]).exit_code == 2
