"""Which forms of a report there are, and a clear word about those that there are not."""

from collections.abc import Callable, Mapping

from hub.reports.document import Document, as_json, texts
from hub.reports.junit import as_junit
from hub.reports.oscal import as_oscal
from hub.reports.page import as_html
from hub.reports.print import as_pdf
from hub.reports.sarif import as_sarif
from hub.reports.table import as_csv
from hub.reports.terminal import as_text
from hub.reports.workbook import as_xlsx

WRITERS: Mapping[str, Callable[[Document, str], str]] = {
    "text": as_text,
    "json": lambda report, _language: as_json(report),
    "html": as_html,
    "csv": as_csv,
    "sarif": as_sarif,
    "junit": as_junit,
    "oscal": as_oscal,
}
# not text: a file or a pipe is where they go
BINARY: Mapping[str, Callable[[Document, str], bytes]] = {"pdf": as_pdf, "xlsx": as_xlsx}
FORMS = (*WRITERS, *BINARY)
SUFFIXES = {
    "text": ".txt",
    "json": ".json",
    "html": ".html",
    "csv": ".csv",
    "sarif": ".sarif.json",
    "junit": ".junit.xml",
    "oscal": ".oscal.json",
    "pdf": ".pdf",
    "xlsx": ".xlsx",
}
MEDIA_TYPES = {
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "sarif": "application/sarif+json",
    "junit": "application/xml",
    "oscal": "application/json",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class FormatNotAvailable(ValueError):
    """A form that does not exist: `format` names it, `known` those that do."""

    def __init__(self, name: str, known: tuple[str, ...] = FORMS) -> None:
        self.format = name
        self.known = known
        super().__init__(self.said("en"))

    def said(self, language: str) -> str:
        """Return the refusal as one sentence."""
        return texts().say(
            "report.refused_format", language, {"format": self.format, "known": ", ".join(self.known)}
        )


def render(report: Document, form: str, language: str) -> str:
    """Return a report in one of the forms that are text.

    Raises:
        FormatNotAvailable: a form that is not text, or that nobody knows.
    """
    writer = WRITERS.get(form)
    if writer is None:
        raise FormatNotAvailable(form)
    return writer(report, language)


def render_bytes(report: Document, form: str, language: str) -> bytes:
    """Return a report in any of the forms, as it goes into a file or over HTTP.

    Raises:
        FormatNotAvailable: a form that nobody knows.
    """
    writer = BINARY.get(form)
    return writer(report, language) if writer is not None else render(report, form, language).encode()
