"""The words of an outcome: verdict per rule, severity of a rule, decision per camera, overlays."""

from enum import StrEnum

from standards.reason import ERROR_REASONS, INCONCLUSIVE_REASONS, Reason


class Verdict(StrEnum):
    """Outcome of one rule on one camera. Every one but PASS carries a reason (standard reference 3.2)."""

    PASS = "PASS"  # noqa: S105  a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"
    NOT_CHECKED = "NOT_CHECKED"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class Severity(StrEnum):
    """How much a rule weighs: blocker, major, minor, information."""

    BLOCKER = "B"
    MAJOR = "J"
    MINOR = "m"
    INFORMATION = "i"

    @property
    def weight(self) -> int:
        """Return 3 for a blocker down to 0 for information."""
        return _WEIGHT[self]


_WEIGHT = {Severity.BLOCKER: 3, Severity.MAJOR: 2, Severity.MINOR: 1, Severity.INFORMATION: 0}


class Decision(StrEnum):
    """What follows for the camera, from best to worst."""

    ADMITTED = "ADMITTED"
    CONDITIONAL = "CONDITIONAL"
    PENDING = "PENDING"
    REJECTED = "REJECTED"


class Overlay(StrEnum):
    """What lies over a verdict without changing it (standard reference 3.3)."""

    WAIVED = "waived"
    ATTESTED = "attested"
    STALE = "stale"


# The most decisive first: what was seen to be wrong, then what contradicts itself, broke, or was not looked at.
DECISIVENESS = (
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.ERROR,
    Verdict.NOT_CHECKED,
    Verdict.NOT_APPLICABLE,
    Verdict.PASS,
)
RANK = {verdict: rank for rank, verdict in enumerate(DECISIVENESS)}


def verdict_of(reason: Reason) -> Verdict:
    """Return the verdict that an absence with this reason leads to (`standards.reason`)."""
    if reason in INCONCLUSIVE_REASONS:
        return Verdict.INCONCLUSIVE
    if reason in ERROR_REASONS:
        return Verdict.ERROR
    if reason is Reason.DENIED_BY_DEVICE:
        return Verdict.FAIL
    return Verdict.NOT_CHECKED


def allowed(severity: Severity, verdict: Verdict, reason: Reason | None, *, waived: bool) -> Decision:
    """Return the best decision that a camera with such a finding can have (standard reference 3.3)."""
    if verdict in _MET or reason is Reason.PROBATION:
        return Decision.ADMITTED
    if severity is Severity.BLOCKER:
        if verdict is Verdict.FAIL:
            return Decision.ADMITTED if waived else Decision.REJECTED
        return Decision.PENDING
    if severity is Severity.MAJOR and not waived:
        return Decision.CONDITIONAL
    return Decision.ADMITTED


_MET = frozenset({Verdict.PASS, Verdict.NOT_APPLICABLE})
