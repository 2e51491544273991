"""A report as SARIF 2.1.0 (OASIS), for tools that collect results: kinds by the table of the standard reference (3.2)."""

import json
from typing import Any

from hub.reports.document import Document
from hub.reports.view import View

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_KIND = {
    "PASS": "pass",
    "FAIL": "fail",
    "INCONCLUSIVE": "review",
    "ERROR": "review",
    "NOT_APPLICABLE": "notApplicable",
    "NOT_CHECKED": "open",
}
_LEVEL = {"B": "error", "J": "error", "m": "warning", "i": "note"}


def as_sarif(report: Document, language: str) -> str:
    """Return the report as a SARIF log with one run. `level` is "none" for all but failures (SARIF 3.27.10)."""
    view, detail, method = View(report, language), report["standard_detail"], report["method"]
    findings = report["findings"]
    waivers = {one["rule"]: one for one in report["waivers"]}
    run = {
        "tool": {
            "driver": {
                "name": report["tool"]["name"],
                "version": report["tool"]["version"],
                "rules": [_rule(view, finding) for finding in findings],
            },
        },
        "language": language,
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": report["failure"] is None,
                **({"startTimeUtc": method["started_at"]} if method["started_at"] else {}),
            }
        ],
        "artifacts": [{"location": {"uri": _uri(report)}}],
        "results": [
            _result(view, finding, index, waivers.get(finding["rule"]))
            for index, finding in enumerate(findings)
        ],
        "properties": {
            "decision": report["decision"],
            "standard": report["standard"],
            "standardVersion": detail["version"],
            "standardSha256": detail["hash"],
            "asOf": report["as_of"],
            "observationsSha256": report["observations_sha256"],
            "limits": view.both(report["limits"]),
        },
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _uri(report: Document) -> str:
    """Return the camera's address as a URI; a name that is none goes into one of ours."""
    target = str(report["target"])
    return target if "://" in target else f"camhub:camera/{target.replace(' ', '%20')}"


def _rule(view: View, finding: Document) -> dict[str, Any]:
    advice = [view.both(text) for text in finding["remedy"].values()]
    advice += view.steps(finding.get("how_to") or [])
    return {
        "id": finding["rule"],
        "name": finding["rule"].replace("-", ""),
        "shortDescription": {"text": view.both(finding["title"])},
        "help": {"text": " ".join(one for one in advice if one) or view.both(finding["title"])},
        "defaultConfiguration": {"level": _LEVEL[finding["severity"]]},
        "properties": {
            "revision": finding["rev"],
            "group": finding["group"],
            "severity": finding["severity"],
            "references": view.references(finding),
        },
    }


def _result(view: View, finding: Document, index: int, waiver: Document | None) -> dict[str, Any]:
    verdict = finding["verdict"]
    result: dict[str, Any] = {
        "ruleId": finding["rule"],
        "ruleIndex": index,
        "kind": _KIND[verdict],
        "level": _LEVEL[finding["severity"]] if verdict == "FAIL" else "none",
        "message": {"text": view.both(finding["text"])},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": _uri(view.report), "index": 0}}},
        ],
        "partialFingerprints": {"camhub/rule": f"{finding['rule']}@{finding['rev']}"},
        "properties": {
            "verdict": verdict,
            "reason": finding["reason"],
            "claimed": finding["claimed"],
            "observed": finding["observed"],
            "required": finding["required"],
            "overlays": finding["overlays"],
        },
    }
    if waiver is not None and "waived" in finding["overlays"]:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": waiver["justification"]}
        ]
    return result
