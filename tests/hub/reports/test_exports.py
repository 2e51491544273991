"""Reports for other programs: CSV, SARIF, JUnit and OSCAL say what the report says, and nothing runs in a spreadsheet."""

import csv
import io
import json
import zipfile
from collections import Counter
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from test_reports import EVIL, NOW, TECHNICAL, WRONG_CLOCK, report

from hub.reports.formats import BINARY, FORMS, MEDIA_TYPES, SUFFIXES, render, render_bytes
from hub.reports.table import COLUMNS
from standards.waiver import Waiver

EXPORTS = ("csv", "sarif", "junit", "oscal", "pdf", "xlsx")


@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_same_report_gives_the_same_bytes(form: str, language: str) -> None:
    """Two renderings of one report are equal byte by byte, identifiers included."""
    told = report(WRONG_CLOCK)

    assert render_bytes(told, form, language) == render_bytes(json.loads(json.dumps(told)), form, language)


def test_every_form_has_a_suffix_and_a_media_type() -> None:
    """Whatever can be written can be saved and sent under a name of its own."""
    assert set(FORMS) == set(SUFFIXES) == set(MEDIA_TYPES)
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)


def test_csv_has_a_row_for_every_rule() -> None:
    """A spreadsheet reads one row per finding, with Vietnamese letters whole."""
    rows = list(csv.DictReader(io.StringIO(render(report(WRONG_CLOCK), "csv", "vi").removeprefix("\ufeff"))))

    assert sorted(row["rule"] for row in rows) == sorted(rule.id for rule in TECHNICAL.rules)
    clock = next(row for row in rows if row["rule"] == "TIM-02")
    assert (clock["verdict"], clock["observed"]) == ("FAIL", "421,3 s")
    assert clock["text"].startswith("Đồng hồ camera chạy nhanh 421 giây")


@pytest.mark.parametrize("evil", ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", EVIL])
def test_no_cell_of_a_csv_is_a_formula(evil: str) -> None:
    """Whatever a camera calls itself, no cell begins as a formula does, and no line is broken by it."""
    facts = {f"device.{name}": evil for name in ("manufacturer", "model", "firmware", "serial")}
    text = render(report(facts), "csv", "en").removeprefix("\ufeff")

    for row in csv.reader(io.StringIO(text)):
        assert len(row) == len(COLUMNS)
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t"))]


def test_junit_counts_what_failed_broke_and_was_not_seen() -> None:
    """The totals of the suite are those of its cases, and of the report."""
    told = report({**WRONG_CLOCK, "device.model": EVIL})
    suite = ET.fromstring(render(told, "junit", "en"))[0]
    cases = suite.findall("testcase")

    kinds = Counter(child.tag for case in cases for child in case)
    counts = told["counts"]
    assert len(cases) == int(suite.get("tests", "0")) == sum(counts.values())
    assert kinds["failure"] == int(suite.get("failures", "0")) == counts["FAIL"]
    assert kinds["error"] == int(suite.get("errors", "0")) == counts["ERROR"] + counts["INCONCLUSIVE"]
    assert kinds["skipped"] == counts["NOT_CHECKED"] + counts["NOT_APPLICABLE"]


def test_sarif_tells_kinds_levels_and_waivers() -> None:
    """Failures carry a level, everything else is of level none; a waived failure is suppressed with its ground."""
    waiver = Waiver("TIM-02", "replaced in May", "Ward office", NOW, NOW + timedelta(days=30))
    run = json.loads(render(report(WRONG_CLOCK, waivers=(waiver,)), "sarif", "en"))["runs"][0]
    results = {one["ruleId"]: one for one in run["results"]}

    assert (results["TIM-02"]["kind"], results["TIM-02"]["level"]) == ("fail", "error")
    assert results["TIM-02"]["suppressions"][0]["justification"] == "replaced in May"
    assert results["TIM-01"]["kind"] == "pass"
    assert results["VQ-01"]["kind"] == "open"
    assert {one["level"] for one in results.values() if one["kind"] != "fail"} == {"none"}
    assert all(
        run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"]
    )


def test_oscal_keeps_observations_and_findings_apart() -> None:
    """Findings exist for what was judged, name observations that exist, and what was not seen stands in the remarks."""
    result = json.loads(render(report(WRONG_CLOCK), "oscal", "en"))["assessment-results"]["results"][0]
    known = {one["uuid"] for one in result["observations"]}
    states = {one["target"]["target-id"]: one["target"]["status"] for one in result["findings"]}

    assert states["TIM-02"]["state"] == "not-satisfied"
    assert states["TIM-01"] == {"state": "satisfied", "reason": "pass"}
    assert "VQ-01" not in states
    assert "VQ-01 NOT_CHECKED" in result["remarks"]
    for finding in result["findings"]:
        assert {one["observation-uuid"] for one in finding.get("related-observations", [])} <= known


def test_a_pdf_carries_its_fonts_and_no_date_of_making() -> None:
    """The PDF embeds every font it names, and says nothing of when it was made."""
    made = render_bytes(report({**WRONG_CLOCK, "device.model": EVIL}), "pdf", "vi")

    assert made.startswith(b"%PDF-")
    assert b"/FontFile3" in made or b"/FontFile2" in made
    assert b"CreationDate" not in made
    assert b"ModDate" not in made


def test_a_camera_cannot_write_the_markup_of_a_pdf() -> None:
    """What a camera says is printed, whatever it looks like: typst markup and code are letters."""
    evil = '#panic("no") $x$ *b* _i_ `c` @ref <label> \\ #read("/etc/passwd") = head'
    facts = {
        "device.manufacturer": evil,
        "device.model": evil,
        "onvif.services": [evil],
        "rtsp.quirks": [evil],
    }

    assert render_bytes(report(facts), "pdf", "en").startswith(b"%PDF-")


def test_no_cell_of_a_workbook_is_a_formula() -> None:
    """An XLSX holds texts only."""
    facts = {f"device.{name}": "=HYPERLINK(1)" for name in ("manufacturer", "model", "firmware", "serial")}
    made = render_bytes(report(facts), "xlsx", "en")

    with zipfile.ZipFile(io.BytesIO(made)) as book:
        sheets = [book.read(name) for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
        shared = book.read("xl/sharedStrings.xml")
    assert len(sheets) == 2
    assert not [sheet for sheet in sheets if b"<f>" in sheet]
    assert b"=HYPERLINK(1)" in shared


@pytest.mark.parametrize("form", sorted(BINARY))
def test_what_is_not_text_is_not_rendered_as_text(form: str) -> None:
    """The text renderer refuses forms that are bytes."""
    with pytest.raises(ValueError, match=form):
        render(report({}), form, "en")
