"""Which forms of a report there are, and a clear word about those that there are not."""

from collections.abc import Callable, Mapping

from hub.reports.document import Document, as_json, texts
from hub.reports.junit import as_junit
from hub.reports.oscal import as_oscal
from hub.reports.page import as_html
from hub.reports.sarif import as_sarif
from hub.reports.table import as_csv
from hub.reports.terminal import as_text

WRITERS: Mapping[str, Callable[[Document, str], str]] = {
    "text": as_text,
    "json": lambda report, _language: as_json(report),
    "html": as_html,
    "csv": as_csv,
    "sarif": as_sarif,
    "junit": as_junit,
    "oscal": as_oscal,
}
SUFFIXES = {
    "text": ".txt",
    "json": ".json",
    "html": ".html",
    "csv": ".csv",
    "sarif": ".sarif.json",
    "junit": ".junit.xml",
    "oscal": ".oscal.json",
}
MEDIA_TYPES = {
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "sarif": "application/sarif+json",
    "junit": "application/xml",
    "oscal": "application/json",
}
PLANNED = ("pdf", "xlsx")


class FormatNotAvailable(ValueError):
    """A form that does not exist (yet): `format` names it, `known` those that do."""

    def __init__(self, name: str) -> None:
        self.format = name
        self.known = tuple(WRITERS)
        super().__init__(self.said("en"))

    def said(self, language: str) -> str:
        """Return the refusal as one sentence."""
        return texts().say(
            "report.refused_format", language, {"format": self.format, "known": ", ".join(self.known)}
        )


def render(report: Document, form: str, language: str) -> str:
    """Return a report in one of the forms.

    Raises:
        FormatNotAvailable: pdf, xlsx, or a form that nobody knows.
    """
    writer = WRITERS.get(form)
    if writer is None:
        raise FormatNotAvailable(form)
    return writer(report, language)
