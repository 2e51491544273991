"""Reports against published schemas: SARIF 2.1.0 of OASIS, and the subset of NIST's OSCAL model that camhub writes."""

import json
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, Draft202012Validator
from oscal_subset import DOCUMENT
from test_reports import EVIL, NOW, WRONG_CLOCK, report
from test_reports import told as told_by

from adapters.errors import TimedOut
from hub.reports.document import Document
from hub.reports.formats import render
from standards.observation import NotObserved
from standards.reason import Reason
from standards.waiver import Waiver

# Carried by the development package @microsoft/jest-sarif.
SARIF = (
    Path(__file__).parents[3] / "web/node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"
)
WAIVER = Waiver("TIM-02", "replaced in May", "Ward office", NOW, NOW + timedelta(days=30))
REPORTS: dict[str, Document] = {
    "nothing seen": report({}),
    "a wrong clock": report(WRONG_CLOCK),
    "waived": report(WRONG_CLOCK, waivers=(WAIVER,)),
    "hostile": report({**WRONG_CLOCK, "device.model": EVIL, "device.firmware": "x" * 5000}),
    "cut off": report({}, failure=TimedOut("connect", waited_s=3.0, peer="192.168.1.20:80")),
}


@cache
def sarif_schema() -> dict[str, Any]:
    if not SARIF.is_file():
        pytest.skip("the schema comes with the packages of web/: run make dev")
    told: dict[str, Any] = json.loads(SARIF.read_text("utf-8"))
    return told


def complaints(validator: Any, document: str) -> list[str]:
    return [
        f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(json.loads(document))
    ]


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("name", REPORTS)
def test_sarif_holds_the_published_schema(name: str, language: str) -> None:
    """Every report is a valid SARIF 2.1.0 log, formats of dates and addresses included."""
    validator = Draft4Validator(sarif_schema(), format_checker=Draft4Validator.FORMAT_CHECKER)

    assert complaints(validator, render(REPORTS[name], "sarif", language)) == []


def test_the_sarif_schema_is_in_use() -> None:
    """A log with a kind that SARIF does not know is refused: the schema does look."""
    log = json.loads(render(REPORTS["a wrong clock"], "sarif", "en"))
    log["runs"][0]["results"][0]["kind"] = "good"

    assert complaints(Draft4Validator(sarif_schema()), json.dumps(log))


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("name", REPORTS)
def test_oscal_holds_the_model(name: str, language: str) -> None:
    """Every report is assessment results as NIST's model has them: required fields, datatypes, no field of another name."""
    assert complaints(Draft202012Validator(DOCUMENT), render(REPORTS[name], "oscal", language)) == []


def test_the_oscal_subset_is_itself_a_schema() -> None:
    """The subset is a JSON Schema, and refuses a misspelt field."""
    Draft202012Validator.check_schema(DOCUMENT)
    told = json.loads(render(REPORTS["a wrong clock"], "oscal", "en"))
    told["assessment-results"]["results"][0]["findigns"] = []

    assert complaints(Draft202012Validator(DOCUMENT), json.dumps(told))


def test_a_fact_that_is_absent_stands_in_no_observation() -> None:
    """OSCAL has no observation of something that was not seen."""
    told = report({"time.utc_present": NotObserved(Reason.TIMED_OUT, "no answer", told_by())})
    result = json.loads(render(told, "oscal", "en"))["assessment-results"]["results"][0]

    assert "time.utc_present" not in [one["title"] for one in result["observations"]]
