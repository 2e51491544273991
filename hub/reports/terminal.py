"""The report for a terminal: decision, why, what to do, tally, not seen, findings. Reads well at 80 columns."""

import textwrap
from collections.abc import Iterable
from typing import Any

from hub.reports.document import Document
from hub.reports.view import FAMILY, SETTLED, View, capital, clean, moment

SYMBOL = {
    "ADMITTED": "✓",
    "CONDITIONAL": "▲",
    "PENDING": "…",
    "REJECTED": "✗",
    "PASS": "✓",
    "FAIL": "✗",
    "INCONCLUSIVE": "≠",
    "ERROR": "!",
    "NOT_CHECKED": "○",
    "NOT_APPLICABLE": "–",
}
_COLOUR = {"ok": "32", "warn": "33", "bad": "31", "wait": "35", "none": "2"}


class _Page:
    """Lines of at most `width` columns. Colour only repeats what symbol and word already say."""

    def __init__(self, width: int, colour: bool) -> None:
        self.width = width
        self.colour = colour
        self.lines: list[str] = []

    def paint(self, text: str, *codes: str) -> str:
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self.colour and codes else text

    def blank(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def head(self, text: str) -> None:
        self.blank()
        self.lines.append(self.paint(text, "1"))

    def put(
        self, text: str, indent: int = 2, *, hang: int = 0, lead: str = "", codes: tuple[str, ...] = ()
    ) -> None:
        """Wrap a text under an indent; `lead` stands before the first line and does not count as text."""
        start = " " * indent + lead
        wrapped = textwrap.wrap(
            clean(text),
            width=self.width,
            initial_indent=start,
            subsequent_indent=" " * (indent + hang + len(lead)),
            break_on_hyphens=False,
        ) or [start]
        self.lines += [self.paint(line, *codes) for line in wrapped]


def as_text(report: Document, language: str, *, colour: bool = False, width: int = 80) -> str:
    """Return the report as text. `colour` adds ANSI colours; nothing depends on them."""
    view = View(report, language)
    page = _Page(width, colour)
    _top(page, view)
    _to_do(page, view)
    _tally(page, view)
    _told(page, view)
    _not_seen(page, view)
    _findings(page, view)
    _limits(page, view)
    return "\n".join(page.lines) + "\n"


def _top(page: _Page, view: View) -> None:
    report = view.report
    decision = report["decision"]
    colour = _COLOUR[FAMILY[decision]]
    page.lines.append(page.paint(f"{SYMBOL[decision]} {view.decision}", "1", colour))
    page.put(report["target"])
    standard = report["standard_detail"]
    page.put(
        f"{view.both(standard['title'])} ({standard['id']} {standard['version']}, {standard['hash'][:12]})"
    )
    page.put(f"{moment(report['as_of'])} ({view.word('label.zone')})")
    page.blank()
    page.put(view.both(report["summary"]))
    for line in view.standing:
        page.put(line)
    failure = report["failure"]
    if failure:
        page.put(f"{view.word('label.failure')}: {view.both(failure['text'])}")
        if failure["hint"]:
            page.put(failure["hint"], lead="hint: ")


def _to_do(page: _Page, view: View) -> None:
    if view.ladder:
        page.head(view.word("part.ladder"))
    for place, rung in enumerate(view.ladder, start=1):
        page.put(rung, lead=f"{place}. ")
    page.head(view.word("part.to_do"))
    tasks = view.report["to_do"]
    if not tasks:
        page.put(view.word("nothing_to_do"))
    for task in tasks:
        page.put(view.word(f"who.{task['who']}"), codes=("1",))
        for item in task["items"]:
            severity = view.word(f"severity.{item['severity']}")
            page.put(
                f"{view.both(item['text'])} ({', '.join(item['rules'])}, {severity.lower()})", 4, lead="- "
            )
            for step in view.steps(item.get("steps") or []):
                page.put(step, 6, lead="> ")


def _tally(page: _Page, view: View) -> None:
    page.head(view.word("part.tally"))
    parts = [f"{word} {view.number(count)}" for _verdict, word, count in view.tally]
    page.put(f"{' · '.join(parts)} = {view.number(view.total)}")
    page.put(view.conclusive)


def _told(page: _Page, view: View) -> None:
    if not view.told:
        return
    page.head(view.word("part.told"))
    for label, value in view.told:
        page.put(f"{label}: {value}", hang=2)


def _not_seen(page: _Page, view: View) -> None:
    page.head(view.word("part.not_seen"))
    if not view.report["not_seen"]:
        page.put(view.word("everything_seen"))
    for one in view.report["not_seen"]:
        names = ", ".join(rule["rule"] for rule in one["rules"])
        page.put(f"{capital(view.both(one['text']))}: {names}", lead="○ ")
        detail = view.both(one["detail"])
        if detail:
            page.put(detail, 4)
        if one["remedy"]:
            page.put(view.both(one["remedy"]), 4)


def _findings(page: _Page, view: View) -> None:
    page.head(view.word("part.findings"))
    for name, findings in view.groups:
        page.put(name, codes=("1",))
        for finding in findings:
            _finding(page, view, finding)


def _finding(page: _Page, view: View, finding: dict[str, Any]) -> None:
    verdict = finding["verdict"]
    word = view.word(f"verdict.{verdict}")
    severity = view.word(f"severity.{finding['severity']}").lower()
    overlays = "".join(f", {view.overlays[name].lower()}" for name in finding["overlays"])
    line = f"{finding['rule']} {word} ({severity}{overlays}): {view.both(finding['title'])}"
    colour = () if verdict in SETTLED else (_COLOUR[FAMILY[verdict]],)
    page.put(line, 4, lead=f"{SYMBOL[verdict]} ", codes=colour)
    if verdict == "PASS":
        observed, claimed = view.value(finding, "observed"), view.value(finding, "claimed")
        label, value = ("measured", observed) if observed else ("claimed", claimed)
        page.put(f"{view.word(f'label.{label}')}: {value}" if value else view.both(finding["text"]), 6)
        return
    if verdict in SETTLED:
        page.put(view.both(finding["text"]), 6)
        return
    page.put(view.both(finding["text"]), 6)
    told = [
        f"{view.word(f'label.{label}')}: {value}"
        for label, value in (
            ("claimed", view.value(finding, "claimed")),
            ("measured", view.value(finding, "observed")),
            ("required", view.value(finding, "required")),
        )
        if value
    ]
    if told:
        page.put(" · ".join(told), 6)


def _limits(page: _Page, view: View) -> None:
    page.head(view.word("part.method"))
    for line in _lines(view):
        page.put(line)


def _lines(view: View) -> Iterable[str]:
    if view.sent:
        yield view.sent
    if view.permission:
        yield f"{view.word('label.permission')}: {view.permission}"
    yield from view.loosened
    adapters = ", ".join(view.report["adapters"])
    yield f"{view.word('label.tool')}: camhub {view.report['tool']['version']} ({adapters})"
    yield view.both(view.report["limits"])
