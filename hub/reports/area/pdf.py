"""An area report as PDF, set with typst: the same document, the same bytes (no date of making is inside)."""

import json
from importlib import resources

from hub.reports.area.document import Document
from hub.reports.area.view import pages


def as_pdf(report: Document, language: str) -> bytes:
    """Return the report as A4 pages; charts are drawn as vectors, and legible in black and white."""
    import typst  # loads a shared library of some 50 MB: only where a PDF is asked for

    template = resources.files("hub.reports").joinpath("templates/area.typ").read_bytes()
    told = json.dumps(pages(report, language), ensure_ascii=False)
    made: bytes = typst.compile(template, sys_inputs={"report": told}, ignore_system_fonts=True)
    return made
