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
    "how_to",
)
_STEERS = ("=", "+", "-", "@")  # a spreadsheet takes a cell that begins so for a formula


def rows(report: Document, language: str) -> list[list[str]]:
    """Return one row per finding, in the order of `COLUMNS`, each cell clean text on one line."""
    view, detail = View(report, language), report["standard_detail"]
    return [
        [
            clean(one).strip()
            for one in (
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
                view.both(finding["remedy"]["owner"]),
                view.both(finding["remedy"]["installer"]),
                view.both(finding["remedy"]["hub"]),
                "; ".join(view.references(finding)),
                " ".join(finding["overlays"]),
                " ".join(view.steps(finding.get("how_to") or [])),
            )
        ]
        for finding in report["findings"]
    ]


def cell(text: str) -> str:
    """Return a cell that no spreadsheet executes: what begins as a formula does gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_STEERS) else text


def as_csv(report: Document, language: str) -> str:
    """Return the report as CSV (RFC 4180) with a byte order mark, by which spreadsheets read UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(one) for one in row] for row in rows(report, language))
    return "\N{BYTE ORDER MARK}" + out.getvalue()
