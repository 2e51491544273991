"""The report as data: what every other form is made from (docs/design/standards.md, "Report").

Both languages are inside. Nothing in it is secret: no credential, no address with one.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from adapters.errors import AdapterError
from adapters.port import Courtesy, Permission
from hub.compliance.checker import CheckOutcome, CheckRequest
from hub.decode.service import Still
from hub.texts import Texts
from standards.assessment import Assessment
from standards.finding import Finding
from standards.observation import Observations, Observed, Value, rfc3339, thaw
from standards.reason import Reason
from standards.remedies import MakerRemedy, packaged_remedies
from standards.rule import PEOPLE
from standards.verdict import Decision, Severity, Verdict
from standards.wording import LANGUAGES
from standards.words import REASON_WORDS, detail_in

Document = dict[str, Any]
Both = dict[str, str]

# What a device tells about itself over its maker's interface, in the order of reading; the name is its label's key.
TOLD = {
    "vendor.family": "family",
    "vendor.interface": "interface",
    "account.activated": "activated",
    "account.password_status": "password_status",
    "account.anonymous_allowed": "anonymous_allowed",
    "account.own_level": "own_level",
    "account.levels": "levels",
    "account.lockout_enabled": "lockout",
    "account.lockout_attempts": "lockout_attempts",
    "service.ports": "ports",
    "service.onvif": "onvif",
    "service.https": "https",
    "service.telnet": "telnet",
    "service.ssh": "ssh",
    "service.upnp": "upnp",
    "service.p2p": "p2p",
    "stream.encrypted": "encrypted",
    "media.video_sources": "video_sources",
    "privacy.masks": "masks",
    "storage.present": "storage",
    "recording.mode": "recording",
}

UNSEEN = (Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.NOT_CHECKED)


@dataclass(frozen=True, slots=True)
class Method:
    """How the observations came about: who allowed it, what was sent, how long it took, what ended it early."""

    permission: Permission | None = None
    courtesy: Courtesy | None = None
    started_at: datetime | None = None
    seconds: float | None = None
    failure: AdapterError | None = None
    seen_from: str = ""
    still: Still | None = None


@lru_cache(maxsize=1)
def texts() -> Texts:
    """Return the report's own words, read once."""
    return Texts.installed(("report",))


def of_check(request: CheckRequest, outcome: CheckOutcome) -> Document:
    """Return the report of one check."""
    method = Method(
        permission=request.permission,
        courtesy=outcome.courtesy,
        started_at=outcome.started_at,
        seconds=outcome.seconds,
        failure=outcome.failure,
        still=outcome.still,
    )
    return document(outcome.assessment, outcome.observations, target=request.target.url, method=method)


def document(
    assessment: Assessment, observations: Observations, *, target: str, method: Method | None = None
) -> Document:
    """Return the report of an assessment. `target` is the address without credential, or the camera's name."""
    how = method or Method()
    known = [remedy for remedy in packaged_remedies() if remedy.fits(observations)]
    told = assessment.as_json()
    for shown, finding in zip(told["findings"], assessment.findings, strict=True):
        shown["how_to"] = how_to(finding, known)
    told["because"] = [shown for shown in told["findings"] if shown["lowers"]]
    return {
        "target": target,
        **told,
        "decision_text": texts().both(f"report.decision.{assessment.decision}"),
        "summary": summary(assessment),
        "to_do": to_do(assessment, known),
        "ladder": ladder(assessment),
        "earns": earns(assessment),
        "not_seen": not_seen(assessment),
        "device": {
            name: thaw(observations.value(f"device.{name}"))
            for name in ("manufacturer", "model", "firmware", "serial", "hardware_id", "mac")
        },
        "told": told_by_device(observations),
        "repairs": repairs(observations),
        "method": {**_method(how), "pictures": observations.value("picture.main.decoded")},
        "failure": _failure(how.failure),
        "still": _still(how, assessment.as_of),
        "limits": texts().both("report.limits"),
        "tool": {"name": "camhub", "version": version("camhub")},
        "adapters": sorted({one.provenance.source for one in observations.values()}),
    }


def _counted(key: str, count: int) -> Both:
    form = "one" if count == 1 else "other"
    return texts().both(f"report.{key}.{form}", {"count": count})


def _joined(parts: Iterable[Mapping[str, str]]) -> Both:
    told = list(parts)
    return {language: " ".join(part[language] for part in told) for language in LANGUAGES}


def _said(finding: Finding) -> Both:
    return {language: finding.text(language) for language in LANGUAGES}


_MOST_SENTENCES = 3


def _sentences(text: str) -> int:
    return len(re.findall(r"[.!?](?:\s|$)", text))


def summary(assessment: Assessment) -> Both:
    """Return the decision and its ground in at most three sentences."""
    because = assessment.because
    minor = sum(
        1
        for finding in assessment.findings
        if finding.verdict is Verdict.FAIL and finding.severity is Severity.MINOR
    )
    if not because:
        parts = [_counted("summary.ADMITTED", 1)]
        return _joined([*parts, _counted("summary.minor", minor)] if minor else parts)
    deciding = [finding for finding in because if finding.allows is assessment.decision]
    failed = [finding for finding in deciding if finding.verdict is Verdict.FAIL]
    key = f"summary.{assessment.decision}"
    if assessment.decision is Decision.CONDITIONAL and not failed:
        key = "summary.CONDITIONAL_unseen"
    parts = [_counted(key, len(failed or deciding)), _said(because[0])]
    second = failed[1:2]  # what was not seen mostly follows from the first: saying it twice tells nothing
    if second and sum(_sentences(part["en"]) for part in (*parts, _said(second[0]))) <= _MOST_SENTENCES:
        parts.append(_said(second[0]))
    rest = len(deciding) - len(failed) if failed else 0
    if rest and assessment.decision is Decision.CONDITIONAL and len(parts) < _MOST_SENTENCES:
        parts.append(_counted("summary.unseen", rest))
    return _joined(parts)


# Who can make seen what was not, where the rule's own remedy does not say; other absences name no person's task.
_ASKED_OF = {
    Reason.REFUSED: "owner",
    Reason.NO_CREDENTIAL: "owner",
    Reason.NO_CONSENT: "owner",
    Reason.NO_DECLARATION: "owner",
    Reason.UNREACHABLE: "owner",
    Reason.TIMED_OUT: "owner",
    Reason.EMPTY_REPLY: "owner",
    Reason.DEVICE_FAULT: "owner",
    Reason.NO_PERMISSION: "installer",
    Reason.NOT_THE_PROTOCOL: "installer",
    Reason.MALFORMED_HTTP: "installer",
    Reason.MALFORMED_XML: "installer",
    Reason.MALFORMED_RTSP: "installer",
    Reason.MALFORMED_MEDIA: "installer",
    Reason.TLS_FAILED: "installer",
    Reason.INTERNAL: "hub",
}
# An absence that follows from another one asks for nothing of its own.
_FOLLOWS_FROM = {Reason.NO_CREDENTIAL: Reason.REFUSED}


def how_to(finding: Finding, known: Iterable[MakerRemedy]) -> list[dict[str, Any]]:
    """Return where this maker's cameras hold what the rule asks for; empty where the general remedy is all there is."""
    if not finding.actionable and not finding.lowers:
        return []
    return [remedy.as_json() for remedy in known if finding.rule.id in remedy.rules]


def to_do(assessment: Assessment, known: Iterable[MakerRemedy] = ()) -> list[dict[str, Any]]:
    """Return who can do what, the most decisive first. One act that repairs several rules is one item.

    An item has `steps` where it is known how that is done on cameras of this maker, each told once.
    """
    items: dict[str, dict[str, dict[str, Any]]] = {who: {} for who in PEOPLE}
    makers, shown = list(known), set()

    def add(who: str, finding: Finding, text: Both) -> None:
        first = {"rules": [], "severity": str(finding.severity), "text": text, "steps": []}
        item = items[who].setdefault(text["en"], first)
        item["rules"].append(finding.rule.id)
        for step in makers:
            if step.who == who and finding.rule.id in step.rules and step not in shown:
                shown.add(step)
                item["steps"].append(step.as_json())

    ordered = sorted(assessment.findings, key=lambda one: one.order)
    reasons = {finding.reason for finding in ordered}
    alive = all(finding.rule.id != "CON-01" for finding in assessment.because)
    for finding in ordered:
        if finding.actionable:
            for who in PEOPLE:
                text = {language: finding.remedy(who, language) for language in LANGUAGES}
                if all(text.values()):
                    add(who, finding, text)
        elif finding.lowers and _asks(finding.reason, reasons, alive=alive):
            assert finding.reason is not None
            add(_ASKED_OF[finding.reason], finding, texts().both(f"report.unseen.{finding.reason}"))
    return [{"who": who, "items": list(own.values())} for who, own in items.items() if own]


def _asks(reason: Reason | None, reasons: set[Reason | None], *, alive: bool) -> bool:
    """Tell whether an absence names a task of its own: not what follows from another, nor from a dead camera."""
    if reason is None or reason not in _ASKED_OF:
        return False
    cause = _FOLLOWS_FROM.get(reason)
    if cause is not None and cause in reasons:
        return False
    return alive or reason not in (Reason.UNREACHABLE, Reason.TIMED_OUT)


def earns(assessment: Assessment) -> dict[str, Any] | None:
    """Return what repairing everything that was seen not to be met would earn; None where that is nothing."""
    repaired = [
        finding.rule.id
        for finding in assessment.because
        if finding.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    ]
    if not repaired:
        return None
    better = assessment.decision_without(repaired)
    if better is assessment.decision:
        text = texts().both("report.earns_same")
    else:
        text = texts().both(
            f"report.earns.{'one' if len(repaired) == 1 else 'other'}",
            {"count": len(repaired), "decision": texts().both(f"report.decision.{better}")},
        )
    return {"decision": str(better), "rules": repaired, "text": text}


def ladder(assessment: Assessment) -> list[dict[str, Any]]:
    """Return what lifts the decision, in the order in which it does: what to repair, what to make seen, what it becomes."""
    rungs: list[dict[str, Any]] = []
    decision, settled = assessment.decision, set()
    while decision is not Decision.ADMITTED:
        holding = [
            finding
            for finding in assessment.because
            if finding.allows is decision and finding.rule.id not in settled
        ]
        if not holding:
            break
        settled |= {finding.rule.id for finding in holding}
        decision = assessment.decision_without(settled)
        repair = [finding.rule.id for finding in holding if finding.verdict is Verdict.FAIL]
        see = [finding.rule.id for finding in holding if finding.verdict is not Verdict.FAIL]
        kind = "both" if repair and see else "repair" if repair else "see"
        said = {
            "repair": _named(repair),
            "see": _named(see),
            "decision": texts().both(f"report.decision.{decision}"),
        }
        rungs.append(
            {
                "decision": str(decision),
                "repair": repair,
                "see": see,
                "text": texts().both(f"report.ladder.{kind}", said),
            }
        )
    return rungs


_NAMED = 8  # rules that a rung names; a longer list stands among the findings


def _named(rules: list[str]) -> str:
    return ", ".join(rules[:_NAMED]) + (f", … (+{len(rules) - _NAMED})" if len(rules) > _NAMED else "")


def not_seen(assessment: Assessment) -> list[dict[str, Any]]:
    """Return what could not be concluded, by reason, the reasons of blocker rules first, with what would make it seen."""
    by_reason: dict[Reason, list[Finding]] = {}
    for finding in sorted(assessment.findings, key=lambda one: one.order):
        if finding.verdict in UNSEEN and finding.reason is not None:
            by_reason.setdefault(finding.reason, []).append(finding)
    groups = []
    for reason, findings in by_reason.items():
        detail = _detail(findings)
        said = reason is Reason.NOT_ASKED and detail is not None  # the detail is the way to ask
        groups.append(
            {
                "reason": str(reason),
                "text": REASON_WORDS[reason].as_json(),
                "remedy": None if said else texts().both(f"report.unseen.{reason}"),
                "detail": detail,
                "rules": [
                    {
                        "rule": finding.rule.id,
                        "severity": str(finding.severity),
                        "verdict": str(finding.verdict),
                        "title": finding.rule.title.as_json(),
                    }
                    for finding in findings
                ],
            }
        )
    return groups


def _detail(findings: list[Finding]) -> Both | None:
    """Return the one detail that all findings of a reason share, if they do."""
    details = {finding.detail for finding in findings}
    if len(details) != 1 or details == {""}:
        return None
    (detail,) = details
    return {language: detail_in(language, detail) for language in LANGUAGES}


def told_by_device(observations: Observations) -> dict[str, Any]:
    """Return the facts of the maker's own interface, by name; empty where none was asked."""
    if observations.value("vendor.interface") is None:
        return {}
    return {
        fact: thaw(observation.value)
        for fact in TOLD
        if isinstance(observation := observations.get(fact), Observed)
    }


def repairs(observations: Observations) -> list[str]:
    """Return the named tolerances that were needed to see this camera at all."""
    quirks: Value = observations.value("rtsp.quirks")
    found = [str(quirk) for quirk in quirks] if isinstance(quirks, tuple) else []
    if observations.value("onvif.xaddr") == "rewritten":
        found.append("onvif-addresses-rewritten")
    return found


def _method(how: Method) -> dict[str, Any]:
    permission, courtesy = how.permission, how.courtesy
    return {
        "permission": {
            "granted_by": permission.granted_by,
            "basis": permission.basis,
            "granted_at": rfc3339(permission.granted_at),
        }
        if permission
        else None,
        "reads": courtesy.reads if courtesy else None,
        "logins": courtesy.logins if courtesy else None,
        "started_at": rfc3339(how.started_at) if how.started_at else None,
        "seconds": round(how.seconds, 1) if how.seconds is not None else None,
        "seen_from": how.seen_from or None,
        "writes": 0,
    }


def _still(how: Method, as_of: datetime) -> dict[str, Any] | None:
    if how.still is None:
        return None
    return {
        "media_type": "image/jpeg",
        "width": how.still.width,
        "height": how.still.height,
        "taken_after": rfc3339(how.started_at or as_of),
        "taken_before": rfc3339(as_of),
        "data": b64encode(how.still.jpeg).decode(),
    }


def _failure(failure: AdapterError | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "code": failure.code,
        "operation": failure.operation,
        "peer": failure.peer,
        "detail": str(failure),
        "text": {language: detail_in(language, str(failure)) for language in LANGUAGES},
        "hint": failure.hint,
    }


def as_json(report: Document) -> str:
    """Return the report as JSON text, UTF-8 letters as they are, indented."""
    return json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
