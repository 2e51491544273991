"""The report as PDF: A4 pages set by typst, fonts embedded, no date of making inside, so that it is the same bytes each time."""

import json
from base64 import b64decode
from importlib import resources
from typing import Any

from hub.reports.document import Document
from hub.reports.terminal import SYMBOL
from hub.reports.view import FAMILY, SETTLED, TALLY, View, capital, clean, day, moment

_LIGHT = ("INCONCLUSIVE", "NOT_APPLICABLE")  # verdicts that share a colour with a neighbour in the bar


def as_pdf(report: Document, language: str) -> bytes:
    """Return the report as PDF."""
    import typst  # loads a shared library of some 50 MB: only where a PDF is asked for

    template = resources.files("hub.reports").joinpath("templates/report.typ").read_bytes()
    told = json.dumps(_pages(View(report, language)), ensure_ascii=False)
    made: bytes = typst.compile(template, sys_inputs={"report": told}, ignore_system_fonts=True)
    return made


def _pages(view: View) -> dict[str, Any]:
    """Return all words and values of the pages: texts only, so that the template decides nothing but the look."""
    report, detail = view.report, view.report["standard_detail"]
    failure = report["failure"]
    return {
        "language": view.language,
        "title": view.word("title"),
        "target": clean(report["target"]),
        "tone": FAMILY[report["decision"]],
        "decision": view.decision,
        "summary": view.both(report["summary"]),
        "standing": view.standing,
        "failure": f"{view.word('label.failure')}: {view.both(failure['text'])}" if failure else "",
        "facts": _facts(view),
        "to_do": [
            {
                "who": view.word(f"who.{task['who']}"),
                "items": [
                    {
                        "text": view.both(item["text"]),
                        "rules": f"{', '.join(item['rules'])} · {view.word('severity.' + item['severity'])}",
                        "steps": view.steps(item.get("steps") or []),
                    }
                    for item in task["items"]
                ],
            }
            for task in report["to_do"]
        ],
        "ladder": view.ladder,
        "still": list(b64decode(report["still"]["data"])) if view.still else [],
        "still_age": view.still_age if view.still else "",
        "symbol": SYMBOL[report["decision"]],
        "tally": [
            {
                "word": word,
                "count": count,
                "number": view.number(count),
                "tone": FAMILY[verdict],
                "symbol": SYMBOL[verdict],
                "light": verdict in _LIGHT,
            }
            for verdict, (_same, word, count) in zip(TALLY, view.tally, strict=True)
        ],
        "conclusive": f"{view.word('label.total', count=view.number(view.total))} · {view.conclusive}",
        "not_seen": [
            {
                "text": capital(view.both(one["text"])),
                "rules": ", ".join(rule["rule"] for rule in one["rules"]),
                "detail": capital(view.both(one["detail"])),
                "remedy": view.both(one["remedy"]),
            }
            for one in report["not_seen"]
        ],
        "groups": [
            {"name": name, "findings": [_finding(view, one) for one in findings]}
            for name, findings in view.groups
        ],
        "repairs": [clean(one) for one in report["repairs"]],
        "overrides": _overrides(view),
        "evidence": [
            {
                "name": one["name"],
                "value": one["value"],
                "detail": one["detail"],
                "source": " · ".join(part for part in (one["operation"], one["peer"], one["at"]) if part),
            }
            for one in view.evidence
        ],
        "method": [line for line in (view.sent, view.pictures, _permission(view), *view.loosened) if line]
        + [view.word("method.repeat")],
        "digest": view.word("method.digest", digest=report["observations_sha256"]),
        "limits": view.both(report["limits"]),
        "footer": f"{detail['id']} {detail['version']} · {moment(report['as_of'])} · {view.both(report['limits'])}",
        "words": {
            "to_do": view.word("part.to_do"),
            "ladder": view.word("part.ladder"),
            "nothing_to_do": view.word("nothing_to_do"),
            "tally": view.word("part.tally"),
            "not_seen": view.word("part.not_seen"),
            "findings": view.word("part.findings"),
            "repairs": view.word("part.repairs"),
            "waivers": view.word("part.waivers"),
            "evidence": view.word("part.evidence"),
            "method": view.word("part.method"),
            "fact": view.word("label.evidence"),
            "measured": view.word("label.measured"),
            "details": view.word("label.details"),
        },
    }


def _facts(view: View) -> list[dict[str, str]]:
    report, detail = view.report, view.report["standard_detail"]
    version = view.word("label.version", version=detail["version"], hash=detail["hash"][:12])
    facts = [
        (view.word("label.standard"), view.both(detail["title"]), f"{detail['id']}, {version}"),
        (view.word("label.as_of"), moment(report["as_of"]), view.word("label.zone")),
        (
            view.word("label.seen_from"),
            clean(report["method"]["seen_from"] or view.word("label.this_machine")),
            f"camhub {report['tool']['version']} · {', '.join(report['adapters'])}",
        ),
    ]
    device = report["device"]
    name = " ".join(clean(device[part]) for part in ("manufacturer", "model") if device[part])
    if name:
        facts.append((view.word("part.device"), name, clean(device["firmware"] or "")))
    return [{"name": name, "value": value, "note": note} for name, value, note in facts]


def _finding(view: View, finding: dict[str, Any]) -> dict[str, Any]:
    values = [
        {"name": view.word(f"label.{label}"), "value": view.value(finding, name)}
        for label, name in (("claimed", "claimed"), ("measured", "observed"), ("required", "required"))
    ]
    return {
        "rule": finding["rule"],
        "severity": view.word(f"severity.{finding['severity']}"),
        "tone": FAMILY[finding["verdict"]],
        "symbol": SYMBOL[finding["verdict"]],
        "settled": finding["verdict"] in SETTLED,
        "verdict": view.word(f"verdict.{finding['verdict']}"),
        "title": view.both(finding["title"]),
        "overlays": " · ".join(view.overlays[one] for one in finding["overlays"]),
        "text": view.both(finding["text"]),
        "values": [one for one in values if one["value"]] if finding["verdict"] != "NOT_APPLICABLE" else [],
        "clauses": view.references(finding),
    }


def _overrides(view: View) -> list[str]:
    waived, attested = view.word("overlay.waived"), view.word("overlay.attested")
    told = []
    for one in view.report["waivers"]:
        until = view.word("label.until", day=day(one["expires"][:10]))
        told.append(
            f"{one['rule']} {waived} {until}: {clean(one['justification'])} ({clean(one['authority'])})"
        )
    for one in view.report["attestations"]:
        until = view.word("label.until", day=day(one["valid_until"][:10]))
        told.append(f"{one['rule']} {attested}: {clean(one['author'])}, {clean(one['role'])}, {until}")
    return told


def _permission(view: View) -> str:
    return f"{view.word('label.permission')}: {view.permission}." if view.permission else ""
