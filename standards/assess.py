"""The heart: `assess` turns observations and a StandardProfile into findings and a decision. Pure.

Law of the house: taking an observation away never turns a camera that was not ADMITTED into an ADMITTED one. It holds
because a condition loses nothing but knowledge with an observation (`standards.condition`), because nothing that is
not known passes, and because what is not known lowers the decision wherever a failure would.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from standards.assessment import Assessment, decide
from standards.condition import TRUE, Outcome, Scope, State, evaluate
from standards.finding import Finding, why_not_applicable
from standards.observation import Observation
from standards.profile import StandardProfile
from standards.reason import Reason
from standards.rule import Case, Rule
from standards.verdict import RANK, Overlay, Verdict, allowed, verdict_of
from standards.waiver import Attestation, Waiver

PROBATION = timedelta(days=30)

# A case's outcome: verdict, reason, fact, detail.
_Judged = tuple[Verdict, Reason | None, str, str]
_PASSED: _Judged = (Verdict.PASS, None, "", "")


def assess(
    observations: Mapping[str, Observation],
    profile: StandardProfile,
    *,
    waivers: Iterable[Waiver] = (),
    attestations: Iterable[Attestation] = (),
    as_of: datetime,
    enrolled_at: datetime | None = None,
    camera: str = "",
) -> Assessment:
    """Judge one camera's observations by every rule of a profile.

    `as_of` is the moment of judgement. `enrolled_at` is the catalog's enrolment date; until 30 days after it, and for
    a camera that is not enrolled, rules over time are on probation. Waivers and attestations of other moments or other
    rules are left aside. Never raises for what a device sent or for a rule that breaks: that costs one finding.

    Raises:
        ValueError: `as_of` or `enrolled_at` has no time zone.
    """
    for moment in (as_of, enrolled_at):
        if moment is not None and moment.tzinfo is None:
            raise ValueError("assess takes moments with their time zone")
    on_probation = enrolled_at is None or as_of - enrolled_at < PROBATION
    active = {waiver.rule: waiver for waiver in waivers if waiver.active(as_of)}
    declared = tuple(attestations)
    found = [
        _finding(
            rule,
            observations,
            on_probation=on_probation,
            waiver=active.get(rule.id),
            attestations=declared,
            as_of=as_of,
        )
        for rule in profile.rules
    ]
    decision = decide(found)
    because = sorted((finding for finding in found if finding.lowers), key=lambda finding: finding.order)
    rest = [finding for finding in found if not finding.lowers]
    selected = {rule.id for rule in profile.rules}
    return Assessment(
        camera=camera,
        profile=profile,
        as_of=as_of,
        enrolled_at=enrolled_at,
        findings=(*because, *rest),
        decision=decision,
        waivers=tuple(active[finding.rule.id] for finding in found if Overlay.WAIVED in finding.overlays),
        attestations=tuple(attestation for attestation in declared if attestation.rule in selected),
        observations=observations,
    )


def _finding(
    rule: Rule,
    observations: Mapping[str, Observation],
    *,
    on_probation: bool,
    waiver: Waiver | None,
    attestations: tuple[Attestation, ...],
    as_of: datetime,
) -> Finding:
    own = [attestation for attestation in attestations if attestation.rule == rule.id] if attestations else []
    attested = bool(own) and any(attestation.active(as_of) for attestation in own)
    if rule.over_time and on_probation:
        judged: _Judged = (Verdict.NOT_CHECKED, Reason.PROBATION, "", "")
    elif own and not attested:
        judged = (Verdict.NOT_CHECKED, Reason.NO_DECLARATION, "", "the declaration has lapsed")
    else:
        try:
            judged = judge(rule, observations)
        except Exception as error:  # noqa: BLE001  a rule that breaks costs that rule, not the assessment
            judged = (Verdict.ERROR, Reason.INTERNAL, "", f"rule {rule.id} broke: {type(error).__name__}")
    overlays: list[Overlay] = []
    waived = waiver is not None and rule.waivable and judged[0] is not Verdict.PASS
    if waived:
        overlays.append(Overlay.WAIVED)
    if attested:
        overlays.append(Overlay.ATTESTED)
    if _stale(rule, observations, as_of):
        overlays.append(Overlay.STALE)
    verdict, reason, fact, detail = judged
    allows = allowed(rule.severity, verdict, reason, waived=waived)
    return Finding(rule, verdict, reason, fact, detail, tuple(overlays), observations, allows)


def _stale(rule: Rule, observations: Mapping[str, Observation], as_of: datetime) -> bool:
    if rule.max_age_h is None:
        return False
    oldest = timedelta(hours=rule.max_age_h)
    seen = (observations.get(fact) for fact in rule.facts)
    return any(one is not None and as_of - one.provenance.collected_at > oldest for one in seen)


def judge(rule: Rule, observations: Mapping[str, Observation]) -> _Judged:
    """Return (verdict, reason, fact, detail) of one rule; probation and declarations are the caller's."""
    scope = Scope(observations, rule.values)
    if rule.applies_when is not None:
        applies = evaluate(rule.applies_when, scope)
        if applies.state is State.UNKNOWN or applies.reason is not None:
            return _undecided(applies)
        if applies.state is State.FALSE:
            return (Verdict.NOT_APPLICABLE, None, "", why_not_applicable(rule))
    if len(rule.cases) == 1:
        only = _case(rule.cases[0], scope)
        return only or (Verdict.NOT_APPLICABLE, None, "", why_not_applicable(rule))
    judged = [outcome for outcome in (_case(case, scope) for case in rule.cases) if outcome is not None]
    if not judged:
        return (Verdict.NOT_APPLICABLE, None, "", why_not_applicable(rule))
    return min(judged, key=lambda outcome: RANK[outcome[0]])


def _case(case: Case, scope: Scope) -> _Judged | None:
    """Judge one case; None where its applicability was observed false."""
    if case.when is not None:
        applies = evaluate(case.when, scope)
        if applies.state is State.UNKNOWN or applies.reason is not None:
            return _undecided(applies)
        if applies.state is State.FALSE:
            return None
    expected = evaluate(case.expect, scope)
    if expected.state is State.UNKNOWN:
        return _undecided(expected)
    sound = TRUE if case.sound_when is None else evaluate(case.sound_when, scope)
    if sound.state is State.UNKNOWN:
        return _undecided(sound)
    if sound.state is State.FALSE:
        return (verdict_of(case.unsound), case.unsound, "", sound.detail)
    if expected.state is State.TRUE:
        return _PASSED
    return (Verdict.FAIL, expected.reason, expected.fact, expected.detail)


def _undecided(outcome: Outcome) -> _Judged:
    """Return the verdict of a condition that is not known.

    A device that denies the fact an applicability test needs leaves open whether the rule applies: ERROR.
    """
    assert outcome.reason is not None
    if outcome.reason is Reason.DENIED_BY_DEVICE:
        return (Verdict.ERROR, Reason.DEVICE_FAULT, outcome.fact, outcome.detail)
    return (verdict_of(outcome.reason), outcome.reason, outcome.fact, outcome.detail)
