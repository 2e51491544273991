"""The consent gate over the rules' decision, and what the catalog keeps of an assessment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.catalog.types import Consent, ConsentState, Kind, NewAssessment
from hub.compliance.checker import CheckOutcome
from hub.texts import Both, Texts
from standards.assessment import Assessment
from standards.verdict import Overlay

GATE = "CONSENT"  # the gate's name where findings are named by their rule
_WORST_FIRST = ("REJECTED", "PENDING", "CONDITIONAL", "ADMITTED")


@dataclass(frozen=True, slots=True)
class Gate:
    """What the consent gate says: open (no reason), or closed with the sentence for the owner."""

    reason: Mapping[str, Any] | None = None


def consent_gate(kind: Kind, consent: Consent | None, now: datetime, texts: Texts) -> Gate:
    """Return the gate: a donated camera without an active consent is PENDING, whatever its rules say."""
    if kind is Kind.AUTHORITY or (consent is not None and consent.state(now) is ConsentState.ACTIVE):
        return Gate()
    text: Both = texts.both("step.why.consent_missing")
    return Gate({"rule": GATE, "severity": "B", "verdict": "NOT_CHECKED", "text": text})


def new_assessment(
    report: Mapping[str, Any],
    assessment: Assessment,
    observations: Mapping[str, Any],
    gate: Gate,
    texts: Texts,
) -> NewAssessment:
    """Return what the catalog keeps: the rules' report, and the decision after the gate.

    The gate never makes a decision better. The report keeps the rules' own decision as `decision_by_rules`.
    """
    by_rules = decision = str(assessment.decision)
    reasons = [
        {
            "rule": finding.rule.id,
            "severity": str(finding.severity),
            "verdict": str(finding.verdict),
            "text": {language: finding.text(language) for language in ("vi", "en")},
            **({"stale": True} if Overlay.STALE in finding.overlays else {}),
        }
        for finding in assessment.because
    ]
    kept = {**report, "decision_by_rules": by_rules, "gate": gate.reason}
    if gate.reason is not None:
        decision = min(by_rules, "PENDING", key=_WORST_FIRST.index)
        reasons.insert(len(reasons) if by_rules == "REJECTED" else 0, dict(gate.reason))
        kept["decision"] = decision
        kept["decision_text"] = texts.both(f"step.outcome.{decision}")
        kept["summary"] = {
            language: f"{gate.reason['text'][language]}. {report['summary'][language]}"
            for language in ("vi", "en")
        }
    return NewAssessment(
        standard=assessment.profile.id,
        standard_version=assessment.profile.version,
        decision=decision,
        as_of=assessment.as_of,
        counts=dict(assessment.counts),
        reasons=tuple(reasons),
        report=kept,
        observations=observations,
    )


def step_params(outcome: CheckOutcome, texts: Texts) -> dict[str, Any]:
    """Return what the steps say was seen: `device`, `picture` (absent where not seen), and the tally."""
    seen = outcome.observations
    counts = outcome.assessment.counts
    said: dict[str, Any] = {
        "passed": counts["PASS"],
        "failed": counts["FAIL"],
        "unseen": counts["INCONCLUSIVE"] + counts["ERROR"] + counts["NOT_CHECKED"],
    }
    unknown = texts.both("step.unknown")
    device = {
        name: _short(seen.value(f"device.{name}")) or unknown
        for name in ("manufacturer", "model", "firmware")
    }
    if any(value is not unknown for value in device.values()):
        said["device"] = texts.both("step.device_seen", device)
    codec = seen.value("stream.main.codec")
    if codec:
        picture = {
            "codec": _short(codec),
            "width": seen.value("stream.main.width") or seen.value("stream.main.claimed_width") or "?",
            "height": seen.value("stream.main.height") or seen.value("stream.main.claimed_height") or "?",
        }
        said["picture"] = texts.both("step.picture_seen", picture)
    return said


def _short(value: Any) -> str:
    return str(value)[:80] if value is not None else ""
