"""A report as OSCAL assessment results (NIST OSCAL 1.1): observations and findings apart, as here.

NOT_CHECKED and NOT_APPLICABLE have no finding in OSCAL (standard reference 3.2): they stand in the result's remarks.
Identifiers are derived from the content, so that the same report gives the same bytes.
"""

import json
import uuid
from typing import Any

from hub.reports.document import Document
from hub.reports.view import View

OSCAL_VERSION = "1.1.3"
_SPACE = uuid.UUID("5b1f8b5e-1f0e-5c0b-9a53-0c6d4f2c9e11")  # of identifiers that camhub derives for OSCAL
_NAMESPACE = "https://camhub.example/ns/oscal"
_STATE = {
    "PASS": ("satisfied", "pass"),
    "FAIL": ("not-satisfied", "fail"),
    "INCONCLUSIVE": ("not-satisfied", "other"),
    "ERROR": ("not-satisfied", "other"),
}


def as_oscal(report: Document, language: str) -> str:
    """Return the report as an OSCAL assessment-results document, JSON form."""
    view, detail, method = View(report, language), report["standard_detail"], report["method"]
    key = f"{report['target']}|{report['as_of']}|{detail['hash']}|{report['observations_sha256']}"

    def identity(what: str) -> str:
        return str(uuid.uuid5(_SPACE, f"{key}|{what}"))

    facts = {fact["name"]: fact for finding in report["findings"] for fact in finding["facts"]}
    seen = {name: fact for name, fact in facts.items() if "value" in fact}
    observations = [
        {
            "uuid": identity(f"observation {name}"),
            "title": name,
            "description": f"{name} = {json.dumps(fact['value'], ensure_ascii=False)}",
            "methods": [fact["method"]],
            "collected": fact["collected_at"],
            "relevant-evidence": [_evidence(fact)],
        }
        for name, fact in sorted(seen.items())
    ]
    findings = [
        {
            "uuid": identity(f"finding {finding['rule']}"),
            "title": f"{finding['rule']} {view.both(finding['title'])}",
            "description": view.both(finding["text"]),
            "props": [
                _property("severity", finding["severity"]),
                _property("verdict", finding["verdict"]),
                *(_property("overlay", one) for one in finding["overlays"]),
            ],
            "target": {
                "type": "objective-id",
                "target-id": finding["rule"],
                "status": {
                    "state": _STATE[finding["verdict"]][0],
                    "reason": _STATE[finding["verdict"]][1],
                    **({"remarks": finding["reason"]} if finding["reason"] else {}),
                },
            },
            **_remarks(view.steps(finding.get("how_to") or [])),
            **_related(
                [identity(f"observation {one['name']}") for one in finding["facts"] if one["name"] in seen]
            ),
        }
        for finding in report["findings"]
        if finding["verdict"] in _STATE
    ]
    result: dict[str, Any] = {
        "uuid": identity("result"),
        "title": f"{view.both(detail['title'])}: {view.decision}",
        "description": view.both(report["summary"]),
        "start": method["started_at"] or report["as_of"],
        "end": report["as_of"],
        "props": [
            _property("decision", report["decision"]),
            _property("standard", report["standard"]),
            _property("standard-version", detail["version"]),
            _property("standard-sha256", detail["hash"]),
        ],
        "reviewed-controls": {
            "control-selections": [
                {"include-controls": [{"control-id": finding["rule"]} for finding in report["findings"]]}
            ]
        },
    }
    if observations:
        result["observations"] = observations
    if findings:
        result["findings"] = findings
    unseen = [
        f"{finding['rule']} {finding['verdict']}: {view.both(finding['reason_text']) or finding['reason']}"
        for finding in report["findings"]
        if finding["verdict"] not in _STATE
    ]
    if unseen:
        result["remarks"] = "\n".join(unseen)
    plan = identity("plan")
    whole = {
        "assessment-results": {
            "uuid": identity("report"),
            "metadata": {
                "title": f"{report['target']}: {view.both(detail['title'])}",
                "last-modified": report["as_of"],
                "version": detail["version"],
                "oscal-version": OSCAL_VERSION,
                "remarks": view.both(report["limits"]),
            },
            "import-ap": {"href": f"#{plan}"},
            "results": [result],
            "back-matter": {
                "resources": [
                    {
                        "uuid": plan,
                        "title": f"{report['standard']} {detail['version']}",
                        "description": f"camhub StandardProfile, SHA-256 {detail['hash']}",
                    }
                ]
            },
        }
    }
    return json.dumps(whole, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _property(name: str, value: object) -> dict[str, str]:
    return {"name": name, "ns": _NAMESPACE, "value": str(value)}


def _evidence(fact: Document) -> dict[str, Any]:
    told: dict[str, Any] = {"description": f"{fact['operation']} ({fact['peer']})"}
    if fact.get("excerpt_sha256"):
        told["props"] = [_property("excerpt-sha256", fact["excerpt_sha256"])]
    return told


def _remarks(lines: list[str]) -> dict[str, str]:
    return {"remarks": "\n".join(lines)} if lines else {}


def _related(observations: list[str]) -> dict[str, Any]:
    return (
        {"related-observations": [{"observation-uuid": one} for one in observations]} if observations else {}
    )
