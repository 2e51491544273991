"""The law of the house: taking an observation away never turns a camera that was not ADMITTED into an ADMITTED one."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from observed_cameras import GOOD, NOW, camera, in_words_of, missed, seen

from standards.assess import assess
from standards.condition import Condition, Op
from standards.facts import FACTS
from standards.observation import Observations
from standards.pack import packaged
from standards.profile import StandardProfile
from standards.reason import Reason
from standards.rule import Rule
from standards.verdict import Decision, Verdict

pytestmark = pytest.mark.long

PACKS = packaged()
PROFILES = [PACKS.profile(standard) for standard in PACKS.standards()]
SETTLED = {Verdict.PASS, Verdict.NOT_APPLICABLE}


def _leaves(condition: Condition, fact: str = "") -> Iterator[tuple[str, Condition]]:
    fact = condition.fact or fact
    if condition.of:
        for part in condition.of:
            yield from _leaves(part, fact)
    else:
        yield fact, condition


def _right_sides(rule: Rule, leaf: Condition) -> list[Any]:
    names = [leaf.param] if isinstance(leaf.param, str) else list(leaf.param)
    sides = [rule.params[name].value for name in names if name]
    return [*sides, leaf.value] if leaf.value is not None else sides


def _values() -> dict[str, list[Any]]:
    """Values that matter for each fact: around every limit that any shipped rule sets, and a few of another kind."""
    values: dict[str, list[Any]] = {fact: [GOOD[fact]] for fact in GOOD}
    for profile in PROFILES:
        for rule in profile.rules:
            for condition in rule.conditions():
                for fact, leaf in _leaves(condition):
                    kind = FACTS[fact].kind
                    around = values.setdefault(fact, [])
                    for side in _right_sides(rule, leaf):
                        for one in side if isinstance(side, tuple) else (side,):
                            if isinstance(one, bool):
                                around += [one, not one]
                            elif isinstance(one, int | float):
                                around += [one, one - 1, one + 1, -one, one * 1.04, one * 0.96, one * 1.2, 0]
                            elif kind == "list":
                                around += [[one], [], [one, "other"], ["other"]]
                            else:
                                around += [one, "other", ""]
    each = {fact: {repr(one): one for one in [*around, None, "", 0]} for fact, around in values.items()}
    return {fact: list(one.values()) for fact, one in each.items()}


VALUES = _values()
ABSENT = [missed(reason) for reason in Reason]
OF_EACH_VERDICT = [missed(Reason(one)) for one in ("unstable", "timed_out", "denied_by_device", "not_asked")]


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Change a few facts of the good camera: most of these cameras stand next to the edge of ADMITTED."""
    facts = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=6))
    return {
        fact: draw(st.one_of(st.sampled_from(VALUES[fact]).map(seen), st.sampled_from(ABSENT)))
        for fact in facts
    }


def _holds(profile: StandardProfile, before: Observations, taken: list[str], enrolled: bool) -> None:
    enrolled_at = NOW.replace(year=2025) if enrolled else NOW
    whole = assess(before, profile, as_of=NOW, enrolled_at=enrolled_at)
    less = assess(before.without(*taken), profile, as_of=NOW, enrolled_at=enrolled_at)
    if whole.decision is not Decision.ADMITTED:
        assert less.decision is not Decision.ADMITTED, taken
    for finding in whole.findings:
        if finding.verdict not in SETTLED:
            assert less.finding(finding.rule.id).verdict not in SETTLED, (finding.rule.id, taken)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(profile=st.sampled_from(PROFILES), changed=changes(), data=st.data(), enrolled=st.booleans())
def test_taking_observations_away_never_admits(
    profile: StandardProfile, changed: dict[str, Any], data: st.DataObject, enrolled: bool
) -> None:
    """Whatever was observed of a camera, taking any observations away admits none and settles no rule."""
    before = camera(changed)
    some = st.lists(st.sampled_from(list(before)), unique=True, min_size=1, max_size=5)
    taken = data.draw(st.one_of(some, st.just(sorted(changed))))

    _holds(profile, before, taken, enrolled)


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(profile, id=profile.id, marks=[pytest.mark.long] if len(profile.rules) > 50 else [])
        for profile in PROFILES
    ],
)
def test_taking_away_each_fact_that_speaks_against_a_camera_never_admits(profile: StandardProfile) -> None:
    """For every fact and every value that matters, a camera with that value is no better off without the fact."""
    decisive = {fact for rule in profile.rules for fact in rule.facts}
    for fact, values in VALUES.items():
        if fact not in decisive:
            continue
        for observation in [*map(seen, values), *OF_EACH_VERDICT]:
            _holds(profile, camera({fact: observation}), [fact], enrolled=True)


def _has_alternatives(rule: Rule) -> bool:
    """Tell whether a rule can pass in more than one way: several cases, or a join of which one part is enough."""

    def any_joined(condition: Condition) -> bool:
        own = condition.op is Op.ANY and not condition.fact
        return own or any(any_joined(part) for part in condition.of)

    return len(rule.cases) > 1 or any(any_joined(condition) for condition in rule.conditions())


def test_every_deciding_fact_of_a_blocker_or_major_is_needed() -> None:
    """Without any one of the facts that a blocker or major rule passed on, the good camera is not ADMITTED."""
    for profile in PROFILES:
        whole = assess(
            camera(in_words_of(profile.id)), profile, as_of=NOW, enrolled_at=NOW.replace(year=2025)
        )
        assert whole.decision is Decision.ADMITTED
        for finding in whole.findings:
            if finding.severity.weight < 2 or _has_alternatives(finding.rule):
                continue  # those are covered by the law itself
            for fact in finding.rule.facts:
                less = assess(
                    camera(in_words_of(profile.id)).without(fact),
                    profile,
                    as_of=NOW,
                    enrolled_at=NOW.replace(year=2025),
                )
                assert less.decision is not Decision.ADMITTED, (finding.rule.id, fact)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_nothing_passes_without_an_observation(profile: StandardProfile) -> None:
    """With no observation at all no rule passes; with a rule's own facts taken away that rule does not pass, and says why."""
    nothing = assess(Observations({}), profile, as_of=NOW, enrolled_at=NOW.replace(year=2025))
    assert not [finding.rule.id for finding in nothing.findings if finding.verdict is Verdict.PASS]

    for rule in profile.rules:
        bare = assess(
            camera(in_words_of(profile.id)).without(*rule.facts),
            profile,
            as_of=NOW,
            enrolled_at=NOW.replace(year=2025),
        )
        finding = bare.finding(rule.id)
        assert finding.verdict not in SETTLED
        assert finding.reason
