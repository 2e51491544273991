"""A report as an Excel workbook (ISO/IEC 29500): a sheet to read first, and one row per finding to sort and filter."""

import io
from datetime import UTC, datetime

from hub.reports.document import Document
from hub.reports.table import COLUMNS, rows
from hub.reports.view import FAMILY, View, clean, moment
from standards.observation import parse_rfc3339

_PAPER = {"ok": "#E5F3EA", "warn": "#FDF1DC", "wait": "#E6EDF9", "bad": "#FBE6E6", "none": "#EEF0F3"}
_WIDTHS = {"title": 40, "text": 60, "owner": 50, "installer": 50, "hub": 40, "references": 60, "required": 30}


def as_xlsx(report: Document, language: str) -> bytes:
    """Return the report as XLSX. Every cell is written as text, never as a formula; no date of making is inside."""
    import xlsxwriter

    view, detail = View(report, language), report["standard_detail"]
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    made = parse_rfc3339(report["as_of"]).astimezone(UTC)
    book.set_properties(
        {
            "title": view.word("title"),
            "author": "camhub",
            "created": datetime(made.year, made.month, made.day, tzinfo=UTC).replace(tzinfo=None),
        }
    )
    bold, wrap = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    first = book.add_worksheet(view.word("part.tally"))
    first.set_column(0, 0, 26, wrap)
    first.set_column(1, 1, 100, wrap)
    lines = [
        (view.word("title"), clean(report["target"])),
        (view.decision, view.both(report["summary"])),
        (view.word("label.standard"), f"{view.both(detail['title'])} ({detail['id']} {detail['version']})"),
        ("SHA-256", detail["hash"]),
        (view.word("label.as_of"), f"{moment(report['as_of'])} ({view.word('label.zone')})"),
        *((word, view.number(count)) for _verdict, word, count in view.tally),
        *(
            (view.word(f"who.{task['who']}"), f"{view.both(item['text'])} ({', '.join(item['rules'])})")
            for task in report["to_do"]
            for item in task["items"]
        ),
        (view.word("part.method"), view.both(report["limits"])),
    ]
    for number, (name, value) in enumerate(lines):
        first.write_string(number, 0, name, bold)
        first.write_string(number, 1, value, wrap)
    sheet = book.add_worksheet(view.word("part.findings")[:31])
    for place, name in enumerate(COLUMNS):
        sheet.write_string(0, place, name, bold)
        sheet.set_column(place, place, _WIDTHS.get(name, 14))
    tones = {
        tone: book.add_format({"text_wrap": True, "valign": "top", "bg_color": paper})
        for tone, paper in _PAPER.items()
    }
    table = rows(report, language)
    for number, row in enumerate(table, start=1):
        verdict = tones[FAMILY[row[COLUMNS.index("verdict")]]]
        for place, text in enumerate(row):
            sheet.write_string(number, place, text, verdict if COLUMNS[place] == "verdict" else wrap)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(table), len(COLUMNS) - 1)
    book.close()
    return out.getvalue()
