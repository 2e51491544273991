"""A report in one language, laid out for reading: what the text form and the page have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from hub.reports.document import TOLD, Document, texts
from standards.observation import freeze, parse_rfc3339
from standards.rule import GROUPS
from standards.verdict import Verdict
from standards.wording import number, written

VIETNAM = timezone(timedelta(hours=7))
FAMILY = {
    "ADMITTED": "ok",
    "CONDITIONAL": "warn",
    "PENDING": "wait",
    "REJECTED": "bad",
    "PASS": "ok",
    "FAIL": "bad",
    "INCONCLUSIVE": "wait",
    "ERROR": "wait",
    "NOT_CHECKED": "none",
    "NOT_APPLICABLE": "none",
}
TALLY = ("PASS", "FAIL", "INCONCLUSIVE", "ERROR", "NOT_CHECKED", "NOT_APPLICABLE")
SETTLED = ("PASS", "NOT_APPLICABLE")
_ORDER = {
    str(verdict): rank
    for rank, verdict in enumerate(
        (
            Verdict.FAIL,
            Verdict.INCONCLUSIVE,
            Verdict.ERROR,
            Verdict.NOT_CHECKED,
            Verdict.PASS,
            Verdict.NOT_APPLICABLE,
        )
    )
}
_SEVERITY = {"B": 0, "J": 1, "m": 2, "i": 3}


def moment(text: str) -> str:
    """Write an RFC 3339 time as dd/mm/yyyy hh:mm:ss in Vietnam's zone."""
    return f"{parse_rfc3339(text).astimezone(VIETNAM):%d/%m/%Y %H:%M:%S}"


def day(text: str) -> str:
    """Write an ISO 8601 date as dd/mm/yyyy."""
    return f"{datetime.fromisoformat(text):%d/%m/%Y}" if text else ""


def clean(text: object) -> str:
    """Return a text on one line without control characters: what a camera says never steers a terminal."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def capital(text: str) -> str:
    """Return a text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def _ports(services: list[dict[str, Any]]) -> str:
    """Write services as ``http 80, rtsp 554``; one that is off stands in brackets."""
    parts = []
    for one in services:
        text = f"{one['name']} {one['port'] or ''}".strip()
        parts.append(f"({text})" if one["enabled"] is False else text)
    return ", ".join(parts)[:160]


@dataclass(frozen=True)
class View:
    """A report and the language in which it is read."""

    report: Document
    language: str

    def word(self, key: str, **params: Any) -> str:
        """Return one of the report's own words."""
        return texts().say(f"report.{key}", self.language, params)

    def counted(self, key: str, count: int) -> str:
        """Return a word that depends on a number."""
        return self.word(f"{key}.{'one' if count == 1 else 'other'}", count=self.number(count))

    def both(self, text: Mapping[str, str] | None) -> str:
        """Return the text of this language, "" where there is none."""
        return clean(text[self.language]) if text else ""

    def number(self, value: float) -> str:
        """Write a number as this language does."""
        return number(value, self.language)

    @property
    def decision(self) -> str:
        """Return the decision in words."""
        return self.word(f"decision.{self.report['decision']}")

    @property
    def tally(self) -> list[tuple[str, str, int]]:
        """Return (verdict, word, count) for the six verdicts."""
        counts = self.report["counts"]
        return [(verdict, self.word(f"verdict.{verdict}"), counts[verdict]) for verdict in TALLY]

    @property
    def total(self) -> int:
        """Return how many rules were judged."""
        return sum(self.report["counts"].values())

    @property
    def conclusive(self) -> str:
        """Return how many of the conclusive rules pass, with the base."""
        passed, failed = self.report["counts"]["PASS"], self.report["counts"]["FAIL"]
        return self.word("label.conclusive", passed=self.number(passed), base=self.number(passed + failed))

    @property
    def groups(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return the findings by group in reading order, failures first inside each."""
        found: dict[str, list[dict[str, Any]]] = {}
        for finding in sorted(self.report["findings"], key=lambda one: one["rule"]):
            found.setdefault(finding["group"], []).append(finding)
        return [
            (
                self.word(f"group.{group}"),
                sorted(
                    found[group],
                    key=lambda one: (_ORDER[one["verdict"]], _SEVERITY[one["severity"]], one["rule"]),
                ),
            )
            for group in GROUPS
            if group in found
        ]

    def value(self, finding: Mapping[str, Any], name: str) -> str:
        """Return what was claimed, measured (`observed`) or required, with its unit; "" where there is none."""
        text = self.both(finding.get(f"{name}_text"))
        unit = finding.get("unit")
        if text and unit and name != "required" and not text.endswith(unit):
            return f"{text}\N{NO-BREAK SPACE}{ {'1/s': self.fps, 'd': self.days}.get(unit, unit) }"
        return text

    @property
    def fps(self) -> str:
        """Return the unit of a frame rate."""
        return "hình/s" if self.language == "vi" else "fps"

    @property
    def days(self) -> str:
        """Return the unit of days."""
        return "ngày" if self.language == "vi" else "days"

    def steps(self, known: list[dict[str, Any]]) -> list[str]:
        """Return the steps on cameras of this maker, one line each, and after them where they are from."""
        lines = []
        for one in known:
            lines += [self.both(step) for step in one["steps"]]
            lines[-1] += f" [{self.word('label.source')}: {clean(one['source'])}]"
        return lines

    @property
    def ladder(self) -> list[str]:
        """Return what lifts the decision, rung by rung; what reports of older versions told instead, where there is none."""
        rungs = [self.both(one["text"]) for one in self.report.get("ladder") or []]
        earns = self.report["earns"]
        return rungs or ([self.both(earns["text"])] if earns else [])

    @property
    def standing(self) -> list[str]:
        """Return what to know about the decision's ground: runs of a vote of three, and reasons that are old."""
        lines = []
        series = self.report.get("series") or {}
        if series.get("worse"):
            key = "open" if series["open"] else "settled"
            lines.append(
                self.word(
                    f"series.{key}",
                    worse=self.number(series["worse"]),
                    runs=self.number(series["runs"]),
                    of=self.number(series["of"]),
                    held=self.word(f"decision.{series['held']}"),
                )
            )
        old = [one["rule"] for one in self.report["because"] if "stale" in one["overlays"]]
        if old:
            lines.append(self.word("old_reasons", rules=", ".join(old)))
        return lines

    @property
    def still(self) -> str:
        """Return the still as a data URL, "" where the report has none."""
        still = self.report.get("still")
        return f"data:{still['media_type']};base64,{still['data']}" if still else ""

    @property
    def still_age(self) -> str:
        """Return in a sentence when the still was taken."""
        still = self.report["still"]
        if "taken_at" in still:
            return self.word("label.still_now", at=moment(still["taken_at"]))
        return self.word(
            "label.still", first=moment(still["taken_after"]), last=moment(still["taken_before"])
        )

    def references(self, finding: Mapping[str, Any]) -> list[str]:
        """Return the clauses that may be cited, with edition and what there is to know about their standing."""
        as_of = self.report["as_of"][:10]
        cited = []
        for one in finding["references"]:
            if one["certainty"] == "unconfirmed":
                continue
            if one["certainty"] == "own":
                cited.append(f"{self.word('label.own_number')}: {self.both(one['clause_text'])}")
                continue
            text = f"{self.both(one['doc_text'])} ({self.both(one['edition_text'])}), {self.both(one['clause_text'])}"
            notes = [self.word("label.secondary")] if one["certainty"] == "secondary" else []
            if one["valid_to"] and one["valid_to"] <= as_of:
                notes.append(self.word("label.ended", day=day(one["valid_to"])))
            cited.append(f"{text} [{'; '.join(notes)}]" if notes else text)
        return cited

    @property
    def evidence(self) -> list[dict[str, str]]:
        """Return each fact that was looked at, once: value or reason, operation, peer, time in UTC, excerpt."""
        rows: dict[str, dict[str, str]] = {}
        quoted: set[str] = set()  # an excerpt that several facts share is printed once
        for finding in self.report["findings"]:
            for fact in finding["facts"]:
                if fact["name"] in rows:
                    continue
                seen, digest = "value" in fact, str(fact.get("excerpt_sha256", ""))
                excerpt = "" if digest in quoted else clean(fact.get("excerpt", ""))[:400]
                quoted.add(digest)
                rows[fact["name"]] = {
                    "name": fact["name"],
                    "seen": "yes" if seen else "",
                    "value": clean(written(freeze(fact["value"]), self.language))
                    if seen
                    else clean(fact["reason"]),
                    "detail": "" if seen else clean(fact["detail"]),
                    "operation": clean(fact.get("operation", "")),
                    "peer": clean(fact.get("peer", "")),
                    "at": fact.get("collected_at", ""),
                    "excerpt": excerpt,
                    "sha256": digest,
                }
        return [rows[name] for name in sorted(rows)]

    @property
    def told(self) -> list[tuple[str, str]]:
        """Return what the device tells over its maker's interface: label and value, the device itself first."""
        facts = self.report.get("told") or {}
        if not facts:
            return []
        device = self.report["device"]
        name = " ".join(clean(device[part]) for part in ("manufacturer", "model", "firmware") if device[part])
        rows = [(self.word("part.device"), name)] if name else []
        for fact, value in facts.items():
            text = _ports(value) if fact == "service.ports" else written(freeze(value), self.language)
            rows.append((self.word(f"told.{TOLD[fact]}"), clean(text)))
        return rows

    @property
    def sent(self) -> str:
        """Return what was sent to the camera, in a sentence; "" where the report does not know."""
        method = self.report["method"]
        if method["reads"] is None:
            return ""
        return self.word(
            "method.sent",
            reads=self.number(method["reads"]),
            logins=self.number(method["logins"]),
            seconds=self.number(float(method["seconds"] or 0)),
        )

    @property
    def pictures(self) -> str:
        """Return what was done with pictures, in a sentence; "" where none was decoded."""
        count = self.report["method"].get("pictures")
        return self.word("method.pictures", count=self.number(count)) if count else ""

    @property
    def permission(self) -> str:
        """Return who allowed the check, in words; "" where the report does not know."""
        permission = self.report["method"]["permission"]
        if permission is None:
            return ""
        key = f"method.basis.{permission['basis']}"
        basis = self.word(key) if texts().has(f"report.{key}") else clean(permission["basis"])
        who = clean(permission["granted_by"])
        return f"{who} ({basis})" if who else basis

    @property
    def loosened(self) -> list[str]:
        """Return the limits that were loosened below their floor, each with its authority."""
        return [
            self.word(
                "label.loosened",
                rule=one["rule"],
                parameter=one["parameter"],
                value=written(freeze(one["value"]), self.language),
                floor=written(freeze(one["floor"]), self.language),
                authority=clean(one["authority"]),
            )
            for one in self.report["standard_detail"]["loosened"]
        ]

    @property
    def overlays(self) -> dict[str, str]:
        """Return the words of the overlays."""
        return {name: self.word(f"overlay.{name}") for name in ("waived", "attested", "stale")}
