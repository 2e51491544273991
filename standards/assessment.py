"""An assessment: all findings of one camera under one StandardProfile at one moment, and the decision."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from standards.finding import Finding
from standards.observation import Observation, Observations, canonical_json, rfc3339
from standards.profile import StandardProfile
from standards.verdict import Decision, Verdict
from standards.waiver import Attestation, Waiver


@dataclass(frozen=True, slots=True)
class Assessment:
    """The result of `standards.assess.assess`. Same inputs give the same bytes (`canonical`)."""

    camera: str
    profile: StandardProfile
    as_of: datetime
    enrolled_at: datetime | None
    findings: tuple[Finding, ...]  # those that lower the decision first, then the rest in profile order
    decision: Decision
    waivers: tuple[Waiver, ...]  # those that lie over a finding
    attestations: tuple[Attestation, ...]
    observations: Mapping[str, Observation]

    @property
    def because(self) -> tuple[Finding, ...]:
        """Return the findings that lower the decision, the most decisive first."""
        return tuple(finding for finding in self.findings if finding.lowers)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many findings have each verdict; the six add up to all findings."""
        counts = {str(verdict): 0 for verdict in Verdict}
        for finding in self.findings:
            counts[str(finding.verdict)] += 1
        return counts

    def finding(self, rule: str) -> Finding:
        """Return the finding of one rule.

        Raises:
            KeyError: the profile does not select this rule.
        """
        for finding in self.findings:
            if finding.rule.id == rule:
                return finding
        raise KeyError(f"{self.profile.id} selects no rule {rule}")

    def decision_without(self, rules: Collection[str]) -> Decision:
        """Return the decision there would be if these rules passed: what repairing them earns."""
        return decide([finding for finding in self.findings if finding.rule.id not in rules])

    def as_json(self) -> dict[str, Any]:
        """Return the assessment as plain JSON (docs/design/standards.md, "Assessment")."""
        return {
            "camera": self.camera,
            "standard": self.profile.id,
            "standard_detail": self.profile.identity(),
            "decision": str(self.decision),
            "as_of": rfc3339(self.as_of),
            "enrolled_at": rfc3339(self.enrolled_at) if self.enrolled_at else None,
            "counts": self.counts,
            "because": [finding.as_json() for finding in self.because],
            "findings": [finding.as_json() for finding in self.findings],
            "waivers": [waiver.as_json() for waiver in self.waivers],
            "attestations": [attestation.as_json() for attestation in self.attestations],
            "observations_sha256": self._observed().digest(),
        }

    def _observed(self) -> Observations:
        whole = self.observations
        return whole if isinstance(whole, Observations) else Observations(whole)

    def canonical(self) -> bytes:
        """Return the one byte form of this assessment."""
        return canonical_json(self.as_json())


_WORST_FIRST: Mapping[Decision, int] = {
    Decision.REJECTED: 0,
    Decision.PENDING: 1,
    Decision.CONDITIONAL: 2,
    Decision.ADMITTED: 3,
}


def decide(findings: Collection[Finding]) -> Decision:
    """Return the decision that follows from findings: the worst that any of them allows; PENDING from none."""
    return min(
        (finding.allows for finding in findings), key=_WORST_FIRST.__getitem__, default=Decision.PENDING
    )
