"""The forms of an area report, all made from the one document."""

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hub.reports.area.document import COLUMNS, Document, as_csv_rows, as_json
from hub.reports.area.pdf import as_pdf
from hub.reports.area.view import annex_name, pages
from hub.reports.formats import FormatNotAvailable
from hub.reports.signing import About
from hub.reports.view import clean
from standards.observation import parse_rfc3339


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("hub.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("area.html.j2")


def as_html(report: Document, language: str) -> bytes:
    """Return the report as one HTML file: no script, nothing loaded from anywhere, prints on A4."""
    return _template().render(report=pages(report, language)).encode()


def as_csv(report: Document, _language: str) -> bytes:
    """Return the annex: the whole list. Its SHA-256 is the one that the report names."""
    return as_csv_rows(report["list"]["rows"]).encode()


def as_xlsx(report: Document, language: str) -> bytes:
    """Return a workbook: the tables of the report, and the whole list to sort and filter. No date of making is inside."""
    import xlsxwriter

    told = pages(report, language)
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    made = parse_rfc3339(report["as_of"]).astimezone(UTC)
    created = datetime(made.year, made.month, made.day, tzinfo=UTC).replace(tzinfo=None)
    book.set_properties({"title": told["title"], "author": "camhub", "created": created})
    bold, wrap = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    first = book.add_worksheet(told["words"]["part_census"][:31])
    first.set_column(0, 0, 44, wrap)
    first.set_column(1, 8, 16, wrap)
    head = [told["words"]["col_custodian"], *(one["word"] for one in told["decisions"])]
    lines = [
        [told["title"], told["area"]],
        [told["headline"]],
        [told["summary"]],
        *([one["name"], one["value"], one["note"]] for one in told["facts"]),
        ["CSV SHA-256", report["annex"]["sha256"]],
        [],
        [*head, told["words"]["col_total"], told["words"]["col_alive"]],
        *([one["name"], *one["said"], one["total"], one["alive"]] for one in told["census"]),
        [],
        [told["words"][f"col_{name}"] for name in ("rule", "failing", "concluded", "admits")],
        *(
            [f"{one['rule']} {one['title']}", one["failing"], one["concluded"], one["admits"]]
            for one in told["clauses"]
        ),
        [],
        [told["words"]["col_month"], *head[1:], told["words"]["col_total"]],
        *([one["name"], *one["said"], one["total"]] for one in told["trend"]),
        [],
        *([line] for line in (*told["uptime"], *told["method"])),
    ]
    for row, line in enumerate(lines):
        for column, text in enumerate(line):
            first.write_string(row, column, text, bold if row == 0 else wrap)
    sheet = book.add_worksheet(told["words"]["part_list"][:31])
    for column, name in enumerate(COLUMNS):
        sheet.write_string(0, column, name, bold)
    sheet.set_column(0, len(COLUMNS) - 1, 18)
    for number, row in enumerate(report["list"]["rows"], start=1):
        for column, text in enumerate(row):
            sheet.write_string(number, column, clean(text))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(1, len(report["list"]["rows"])), len(COLUMNS) - 1)
    book.close()
    return out.getvalue()


WRITERS: Mapping[str, Callable[[Document, str], bytes]] = {
    "json": lambda report, _language: as_json(report),
    "html": as_html,
    "pdf": as_pdf,
    "csv": as_csv,
    "xlsx": as_xlsx,
}
FORMS = tuple(WRITERS)


def render(report: Document, form: str, language: str) -> bytes:
    """Return an area report in one form.

    Raises:
        FormatNotAvailable: there is no such form.
    """
    writer = WRITERS.get(form)
    if writer is None:
        raise FormatNotAvailable(form, FORMS)
    return writer(report, language)


def file_name(report: Document, form: str) -> str:
    """Return the name of a form's file; that of CSV is the one by which the report names its annex."""
    return f"{annex_name(report).removesuffix('.csv')}.{form}"


def about(report: Document, form: str) -> About:
    """Return what a signature says of a form."""
    standards = tuple(
        {"id": one["id"], "version": one["version"], "hash": one["hash"]} for one in report["standards"]
    )
    return About(
        report["kind"], report["area"]["code"], form, report["as_of"], standards, report["hub"]["id"]
    )
