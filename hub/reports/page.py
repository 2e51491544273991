"""The report as one HTML file: no script, nothing loaded from anywhere, prints on A4."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hub.reports.document import Document
from hub.reports.view import FAMILY, SETTLED, View, capital, day, moment


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("hub.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=moment, day=day, capitalize_first=capital)
    return environment.get_template("report.html.j2")


def as_html(report: Document, language: str) -> str:
    """Return the report as a self-contained page in ``vi`` or ``en``."""
    view = View(report, language)
    groups = [
        (name, findings, sum(1 for one in findings if one["verdict"] in SETTLED))
        for name, findings in view.groups
    ]
    return _template().render(
        view=view, report=report, language=language, family=FAMILY, settled=SETTLED, groups=groups
    )
