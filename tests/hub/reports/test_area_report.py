"""Area reports: what is counted, what is left out, and that every form says the same."""

import csv
import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.catalog.judgements import KeptStandard
from hub.catalog.types import Area
from hub.reports.area.census import Census, Entry, UpTime, _clauses, _unseen
from hub.reports.area.document import COLUMNS, as_csv_rows, as_json, document
from hub.reports.area.forms import FORMS, file_name, render
from hub.reports.area.service import yearly_since
from hub.reports.table import cell
from hub.store.errors import Invalid
from standards.observation import canonical_json

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
RULES = (("CON-01", "B", {"vi": "a", "en": "answers"}), ("VQ-02", "J", {"vi": "b", "en": "frames"}))
KEPT = KeptStandard(
    "h" * 64, "base", "1.0.0", {"vi": "Cơ sở", "en": "Base"}, RULES, ("unstable", "timed_out"), {}
)


def entry(number: int, verdicts: str, **more: Any) -> Entry:
    """Return a camera of the census."""
    told: dict[str, Any] = {
        "id": f"{number:08}-0000-4000-8000-000000000000", "name": f"=Cổng {number}", "area": "99001", "kind": "authority",
        "custodian": f"owner {number}", "group": "", "decision": "CONDITIONAL", "health": "alive",
        "consent": "not_needed", "enrolled": "2026-08-23", "recent": False, "standard": KEPT.hash,
        "verdicts": verdicts, "reasons": "." * len(verdicts), **more,
    }  # fmt: skip
    return Entry(**told)


def census(*entries: Entry) -> Census:
    """Return a census of these cameras."""
    standards = {KEPT.hash: KEPT}
    return Census(
        area=Area("99001", "Phường Ẩm Ướt", "ward", "99", ("99", "99001")), as_of=NOW, since=NOW - timedelta(days=30),
        entries=entries, area_names={"99001": "Phường Ẩm Ướt"}, standards=standards, clauses=_clauses(entries, standards),
        unseen=_unseen(entries, standards), uptime=UpTime(NOW - timedelta(days=30), NOW, len(entries), 0.9, 0.91, 1, 7200, 0),
        trend=(("2026-10", {"ADMITTED": 1, "CONDITIONAL": 1, "PENDING": 0, "REJECTED": 0}),
               ("2026-11", {"ADMITTED": 2, "CONDITIONAL": 0, "PENDING": 0, "REJECTED": 0})),
        views=(("public_safety", 3, 12.5),), measured_at=NOW,
    )  # fmt: skip


def made(*entries: Entry) -> dict[str, Any]:
    """Return the document."""
    return document(census(*entries), kind="area", hub={"id": "hub", "name": "Nút"})


def test_what_one_repair_admits_is_exact() -> None:
    """Only cameras that this rule alone keeps back are counted, and none behind a closed consent gate."""
    report = made(
        entry(1, "pF"),
        entry(2, "FF"),
        entry(3, "pN", reasons=".B"),
        entry(4, "pp", decision="ADMITTED"),
        entry(5, "pF", kind="household", consent="missing", decision="PENDING"),
        entry(6, "pf"),
    )
    found = {one["rule"]: one for one in report["clauses"]}
    assert found["VQ-02"] == {**found["VQ-02"], "failing": 4, "unseen": 1, "concluded": 5, "admits": 2}
    assert found["CON-01"]["admits"] == 0
    assert report["unseen"] == [{**report["unseen"][0], "reason": "timed_out", "cameras": 1}]


def test_numbers_add_up() -> None:
    """Each camera counts once in the total, the decisions, the classes and the list."""
    report = made(
        *(entry(n, "pF", kind=kind) for n, kind in enumerate(("authority", "shop", "school", "household")))
    )
    assert report["total"] == 4 == sum(report["decision"].values()) == sum(report["health"].values())
    assert sum(one["total"] for one in report["census"]) == 4 == len(report["list"]["rows"])


def test_no_owner_can_be_picked_out() -> None:
    """A household's camera has no name, groups of fewer than 5 owners have none, custodians are told nowhere."""
    small = [entry(n, "pp", group="Tổ 1", kind="household", name="Nhà ông Ất") for n in range(4)]
    large = [entry(10 + n, "pp", group="Tổ 2") for n in range(5)]
    same_owner = [entry(20 + n, "pp", group="Tổ 3", custodian="one") for n in range(9)]
    report = made(*small, *large, *same_owner)
    assert [(one["name"], one["cameras"]) for one in report["groups"]] == [("Tổ 2", 5), (None, 13)]
    for form in FORMS:
        if form in ("pdf", "xlsx"):
            continue
        text = render(report, form, "vi").decode()
        assert not any(word in text for word in ("Ất", "Tổ 1", "Tổ 3", "owner"))


def test_the_annex_is_the_file_that_the_report_names() -> None:
    """SHA-256, size and name fit; no cell is a formula."""
    report = made(entry(1, "pF"), entry(2, "pp"))
    annex = render(report, "csv", "vi")
    assert hashlib.sha256(annex).hexdigest() == report["annex"]["sha256"]
    assert len(annex) == report["annex"]["bytes"]
    assert file_name(report, "csv") in render(report, "html", "en").decode()
    rows = list(csv.reader(io.StringIO(annex.decode("utf-8-sig"))))
    assert len(rows) == 3
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.lists(
            st.text(alphabet="=+-@\",\r\n 'aồ", max_size=6), min_size=len(COLUMNS), max_size=len(COLUMNS)
        ),
        max_size=8,
    )
)
def test_the_annex_is_csv_whatever_its_cells_hold(rows: list[list[str]]) -> None:
    """Quotes, commas and line ends come back as they were; only what begins as a formula gets its apostrophe."""
    text = as_csv_rows(rows)
    expected = io.StringIO(newline="")
    csv.writer(expected, lineterminator="\r\n").writerows(
        [COLUMNS, *([cell(one) for one in row] for row in rows)]
    )
    assert text == "\N{BYTE ORDER MARK}" + expected.getvalue()


def test_the_json_form_is_canonical() -> None:
    """Whatever a name holds, the bytes are those of canonical JSON, by which hashes and signatures go."""
    odd = "".join(map(chr, range(256))) + '\u2028\uffff\U0001f3a5"rows":[]'
    report = made(entry(1, "pF", name=odd), entry(2, "pp", group='"rows":[]'))
    assert as_json(report) == canonical_json(report) + b"\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_same_document_same_bytes(form: str, language: str) -> None:
    """Every form of the same document is the same, byte by byte, the PDF included."""
    report = made(entry(1, "pF"), entry(2, "pp", group="Tổ 2"))
    again = json.loads(as_json(report))
    assert render(report, form, language) == render(again, form, language)


def test_every_form_can_tell_of_nothing() -> None:
    """An area without a camera, without a trend and without up-time has a report too."""
    empty = census()
    report = document(empty, kind="yearly", hub={"id": "hub", "name": "Nút"})
    report |= {"trend": [], "uptime": {**report["uptime"], "cameras": 0}, "views": [], "measured_at": None}
    for form in FORMS:
        assert render(report, form, "en")
    assert "no camera yet" in render(report, "html", "en").decode()


def test_markup_of_a_name_stays_text() -> None:
    """What a name holds is never markup."""
    report = made(entry(1, "pF", name="<script>alert(1)</script> #eval(1) $x$ *b*"))
    assert "<script" not in render(report, "html", "en").decode()
    assert render(report, "pdf", "en").startswith(b"%PDF")
    sheet = zipfile.ZipFile(io.BytesIO(render(report, "xlsx", "en")))
    assert b"<f>" not in b"".join(sheet.read(name) for name in sheet.namelist() if "sheet" in name)


def test_the_reporting_year_begins_in_december() -> None:
    """It is due on 30 November: 1 December before, in the time of Viet Nam; other years cannot be counted now."""
    assert yearly_since(NOW, None).isoformat() == "2025-12-01T00:00:00+07:00"
    december = datetime(2026, 12, 2, tzinfo=UTC)
    assert yearly_since(december, 2027).isoformat() == "2026-12-01T00:00:00+07:00"
    for year in (2025, 2027):
        with pytest.raises(Invalid):
            yearly_since(NOW, year)
