"""An area report in one language: words and numbers for the pages, so that the templates decide nothing but the look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.reports.area.census import DECISIONS
from hub.reports.area.document import COLUMNS, FIRST_ROWS, TOP, Document, texts
from hub.reports.view import FAMILY, clean, moment
from standards.wording import number


@dataclass(frozen=True)
class AreaView:
    """A report and the language in which it is read."""

    report: Document
    language: str

    def word(self, key: str, **params: Any) -> str:
        """Return one text of the file ``area``."""
        return texts().say(f"area.{key}", self.language, params)

    def both(self, text: Mapping[str, str]) -> str:
        """Return a text of the report in this language."""
        return clean(text[self.language])

    def number(self, value: float) -> str:
        """Write a number."""
        return number(value, self.language)

    def share(self, part: float, whole: float) -> str:
        """Write a share in percent, one decimal; a dash of nothing."""
        return "–" if not whole else number(part / whole * 100, self.language, 1) + "%"

    def ratio(self, value: float | None) -> str:
        """Write a ratio in percent."""
        return "–" if value is None else number(value * 100, self.language, 1) + "%"

    def decision(self, name: str) -> str:
        """Return the word of a decision."""
        return texts().say(f"report.decision.{name}", self.language)

    def health(self, name: str) -> str:
        """Return the word of a state of health."""
        return self.word(f"health.{name}") if texts().has(f"area.health.{name}") else clean(name)

    @property
    def headline(self) -> str:
        """Return the one line that is read first."""
        report = self.report
        said = self.word(
            "headline",
            alive=self.number(report["alive"]),
            total=self.number(report["total"]),
            share=self.share(report["alive"], report["total"]),
        )
        at = report["measured_at"]
        return f"{said} · {self.word('label.measured', at=moment(at))}" if at else said

    @property
    def summary(self) -> str:
        """Return the decisions, and what helps most."""
        report = self.report
        if not report["total"]:
            return self.word("summary.none")
        counts = {name.lower(): self.number(count) for name, count in report["decision"].items()}
        said = self.word("summary.all", **counts)
        best = max(report["clauses"], key=lambda one: one["admits"], default=None)
        if best is None or not best["admits"]:
            return f"{said} {self.word('summary.nofirst')}" if report["clauses"] else said
        first = self.word(
            "summary.first",
            rule=best["rule"],
            title=self.both(best["title"]),
            count=self.number(best["admits"]),
        )
        return f"{said} {first}"


def annex_name(report: Document) -> str:
    """Return the file name of the annex."""
    return f"camhub-{report['kind']}-{report['area']['code']}-{report['as_of'][:10]}.csv"


def pages(report: Document, language: str) -> dict[str, Any]:
    """Return everything that the pages show."""
    view = AreaView(report, language)
    return {
        "language": language,
        "title": view.word(f"title.{report['kind']}"),
        "area": f"{clean(report['area']['name'])} ({clean(report['area']['code'])})",
        "headline": view.headline,
        "summary": view.summary,
        "facts": _facts(view),
        "decisions": [
            {"key": name, "word": view.decision(name), "tone": FAMILY[name]} for name in DECISIONS
        ],
        "census": [
            _line(view, view.word(f"kind.{one['custodian']}"), one) for one in report["census"]
        ],
        "health": [
            {"word": view.health(name), "count": view.number(count), "share": view.share(count, report["total"])}
            for name, count in sorted(report["health"].items(), key=lambda one: -one[1])
        ],
        "uptime": _uptime(view),
        "clauses": _clauses(view),
        "unseen": [
            {"text": view.both(one["text"]), "count": view.number(one["cameras"])} for one in report["unseen"][:8]
        ],
        "trend": [
            {**_line(view, f"{one['month'][5:]}/{one['month'][:4]}", one), "total": view.number(sum(one["decision"].values()))}
            for one in report["trend"]
        ],
        "groups": [
            _line(view, clean(one["name"]) if one["name"] else view.word("groups.small"), one)
            for one in report["groups"][:60]
        ],
        "areas": [_line(view, clean(one["name"]), one) for one in report["areas"][:60]],
        "views": [
            {"word": clean(one["purpose"]), "number": view.number(one["number"]), "minutes": view.number(one["minutes"])}
            for one in report["views"]
        ],
        "list": {
            "head": [view.word(f"col.{name}") for name in _SHOWN],
            "rows": _rows(view),
            "note": view.word(
                "list.first",
                shown=view.number(min(FIRST_ROWS, report["annex"]["rows"])),
                total=view.number(report["annex"]["rows"]),
                name=annex_name(report),
                bytes=view.number(report["annex"]["bytes"]),
            ),
            "sha256": report["annex"]["sha256"],
        },
        "method": [view.word("method.counts"), view.word("method.admits"), view.word("trend.note"), view.both(report["limits"])],
        "footer": f"{clean(report['area']['name'])} · {moment(report['as_of'])} · {view.both(report['limits'])}",
        "words": {
            **{f"part_{name}": view.word(f"part.{name}") for name in _PARTS},
            **{f"col_{name}": view.word(f"col.{name}") for name in _HEADS},
            **{f"no_{name}": view.word(f"{name}.none") for name in ("trend", "groups", "views", "unseen")},
        },
    }  # fmt: skip


_PARTS = (
    "census",
    "health",
    "uptime",
    "clauses",
    "unseen",
    "trend",
    "groups",
    "areas",
    "views",
    "list",
    "method",
)
_HEADS = (
    "custodian", "total", "alive", "rule", "failing", "unseen", "concluded", "admits", "month", "group", "area",
    "reason", "cameras", "purpose", "number", "minutes", "state",
)  # fmt: skip
_SHOWN = ("camera", "name", "area", "decision", "health", "lowers")


def _line(view: AreaView, name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table of decisions: as numbers for the bar, as words for the table."""
    total = one.get("total") or one.get("cameras") or sum(one["decision"].values())
    alive = one.get("alive")
    return {
        "name": name,
        "counts": [one["decision"][decision] for decision in DECISIONS],
        "said": [view.number(one["decision"][decision]) for decision in DECISIONS],
        "total": view.number(total),
        "alive": "" if alive is None else f"{view.number(alive)} ({view.share(alive, total)})",
    }


def _facts(view: AreaView) -> list[dict[str, str]]:
    report = view.report
    period = f"{_day(report['since'])} – {_day(report['as_of'])}"
    facts = [
        {"name": view.word("label.as_of"), "value": moment(report["as_of"]), "note": view.word("label.zone")},
        {"name": view.word("label.period"), "value": period,
         "note": f"{view.word('label.new')}: {view.number(report['enrolled_in_period'])}"},
        {"name": view.word("label.hub"), "value": clean(report["hub"]["name"]), "note": f"camhub {report['tool']['version']}"},
    ]  # fmt: skip
    facts += [
        {
            "name": view.word("label.standard"),
            "value": view.both(one["title"]),
            "note": f"{one['id']} {one['version']} · {one['hash'][:12]} · "
            f"{view.word('label.cameras', count=view.number(one['cameras']))}",
        }
        for one in report["standards"][:3]
    ]
    return facts


def _day(text: str) -> str:
    return moment(text)[:10]


def _uptime(view: AreaView) -> list[str]:
    told = view.report["uptime"]
    if not told["cameras"]:
        return [view.word("uptime.none")]
    return [
        view.word(
            "uptime.known",
            count=view.number(told["cameras"]),
            total=view.number(view.report["total"]),
            since=_day(told["since"]),
            until=_day(told["until"]),
        ),
        view.word(
            "uptime.values",
            median=view.ratio(told["median"]),
            mean=view.ratio(told["mean"]),
            below=view.number(told["below_95"]),
            longest=view.number(told["longest_outage_h"]),
            dead=view.number(told["dead_7_days"]),
        ),
    ]


def _clauses(view: AreaView) -> list[dict[str, Any]]:
    return [
        {
            "rule": one["rule"],
            "title": view.both(one["title"]),
            "severity": texts().say(f"report.severity.{one['severity']}", view.language),
            "count": one["failing"],
            "failing": view.number(one["failing"]),
            "unseen": view.number(one["unseen"]),
            "concluded": view.number(one["concluded"]),
            "admits": view.number(one["admits"]),
            "gain": one["admits"],
        }
        for one in _top(view.report["clauses"])
    ]


def _top(clauses: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rules to show: those most often not met, and those whose repair alone admits most."""
    failing = list(clauses[:TOP])
    gains = sorted(clauses, key=lambda one: -one["admits"])[:5]
    return failing + [one for one in gains if one["admits"] and one not in failing]


def _rows(view: AreaView) -> list[list[str]]:
    places = [COLUMNS.index(name) for name in _SHOWN]
    kind, decision, health = (COLUMNS.index(name) for name in ("custodian", "decision", "health"))
    told = []
    for row in view.report["list"]["rows"][:FIRST_ROWS]:
        shown = [clean(row[place]) for place in places]
        if not shown[1] and row[kind] == "household":
            shown[1] = view.word("list.household")
        shown[3], shown[4] = view.decision(row[decision]), view.health(row[health])
        told.append(shown)
    return told
