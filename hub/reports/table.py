"""A report as CSV: one row per finding, for people who sort and filter in a spreadsheet."""

import csv
import io

from hub.reports.document import Document
from hub.reports.view import View, clean

COLUMNS = (
    "target",
    "standard",
    "version",
    "as_of",
    "decision",
    "rule",
    "severity",
    "title",
    "verdict",
    "reason",
    "claimed",
    "observed",
    "required",
    "text",
    "owner",
    "installer",
    "hub",
    "references",
    "overlays",
)
_STEERS = ("=", "+", "-", "@")  # a spreadsheet takes a cell that begins so for a formula


def cell(text: object) -> str:
    """Return a cell on one line that no spreadsheet executes: a formula's first sign gets an apostrophe before it."""
    told = clean(text).strip()
    return f"'{told}" if told.startswith(_STEERS) else told


def as_csv(report: Document, language: str) -> str:
    """Return the report as CSV (RFC 4180) with a byte order mark, by which spreadsheets read UTF-8."""
    view, detail = View(report, language), report["standard_detail"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for finding in report["findings"]:
        remedy = finding["remedy"]
        row = (
            report["target"],
            report["standard"],
            detail["version"],
            report["as_of"],
            report["decision"],
            finding["rule"],
            finding["severity"],
            view.both(finding["title"]),
            finding["verdict"],
            view.both(finding["reason_text"]) or finding["reason"] or "",
            view.value(finding, "claimed"),
            view.value(finding, "observed"),
            view.value(finding, "required"),
            view.both(finding["text"]),
            view.both(remedy["owner"]),
            view.both(remedy["installer"]),
            view.both(remedy["hub"]),
            "; ".join(view.references(finding)),
            " ".join(finding["overlays"]),
        )
        writer.writerow([cell(one) for one in row])
    return "\N{BYTE ORDER MARK}" + out.getvalue()
