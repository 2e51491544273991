"""A report as JUnit XML, for build servers: one test case per rule, by the table of the standard reference (3.2)."""

import re

from lxml import etree

from hub.reports.document import Document
from hub.reports.view import View

# XML 1.0 section 2.2: characters that no document may hold, written as they are or as references
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Document, language: str) -> str:
    """Return the report as JUnit XML: failures, errors (what broke or was not conclusive) and skips (not seen)."""
    view, counts = View(report, language), report["counts"]
    totals = {
        "tests": view.total,
        "failures": counts["FAIL"],
        "errors": counts["ERROR"] + counts["INCONCLUSIVE"],
        "skipped": counts["NOT_CHECKED"] + counts["NOT_APPLICABLE"],
    }
    numbers = {name: str(count) for name, count in totals.items()}
    root = etree.Element("testsuites", {"name": "camhub", **numbers})
    detail = report["standard_detail"]
    suite = etree.SubElement(
        root,
        "testsuite",
        {
            "name": _legal(f"{report['standard']} {detail['version']}"),
            "hostname": _legal(report["target"]),
            "timestamp": report["as_of"],
            **numbers,
        },
    )
    properties = etree.SubElement(suite, "properties")
    for name, value in (("decision", report["decision"]), ("standard.sha256", detail["hash"])):
        etree.SubElement(properties, "property", {"name": name, "value": str(value)})
    for finding in report["findings"]:
        case = etree.SubElement(
            suite,
            "testcase",
            {
                "classname": f"{report['standard']}.{finding['group']}",
                "name": _legal(f"{finding['rule']} {view.both(finding['title'])}"),
                "time": "0",
            },
        )
        said = _legal(view.both(finding["text"]))
        reason = _legal(view.both(finding["reason_text"]) or finding["reason"] or "")
        match finding["verdict"]:
            case "FAIL":
                told = {"type": finding["severity"], "message": said}
                etree.SubElement(case, "failure", told).text = _advice(view, finding)
            case "ERROR" | "INCONCLUSIVE":
                told = {"type": finding["verdict"], "message": f"{said} ({reason})"}
                etree.SubElement(case, "error", told).text = _legal(finding["detail"] or "")
            case "NOT_CHECKED" | "NOT_APPLICABLE":
                etree.SubElement(case, "skipped", {"message": f"{finding['verdict']}: {reason}"})
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True).decode()


def _advice(view: View, finding: Document) -> str:
    lines = [view.both(finding["reason_text"])]
    lines += [view.both(text) for text in finding["remedy"].values()]
    lines += view.steps(finding.get("how_to") or [])
    return _legal("\n".join(line for line in lines if line))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
