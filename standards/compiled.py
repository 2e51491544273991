"""A profile compiled for judging many cameras: the same verdicts as `standards.assess`, without texts and objects.

`standards.assess.judge` and `standards.condition.evaluate` are the one meaning; this is their fast form, and
`tests/standards/test_compiled.py` holds both against each other. A camera costs some tens of microseconds instead of
milliseconds: conditions are closures made once per profile, facts are plain values, and a verdict is one letter.

Outcome of a closure: true, false, or a `Reason`. ``DENIED_BY_DEVICE`` is false with its ground, any other reason
means not known (`standards.condition.State`).
"""

import operator
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from standards.condition import COMPARE, MOST_ELEMENTS, Condition, Op, field_of, number_of
from standards.observation import NotObserved, Observation, Value
from standards.profile import StandardProfile
from standards.reason import ERROR_REASONS, INCONCLUSIVE_REASONS, Reason
from standards.rule import Case, Rule
from standards.verdict import RANK, Decision, Verdict, allowed, verdict_of

# By fact name: the value where it was observed, the reason where it was not.
Facts = Mapping[str, "Value | Reason"]
_Outcome = bool | Reason
_Test = Callable[[Facts, Value], _Outcome]
# A rule's outcome as one number: the verdict's rank (`standards.verdict.RANK`) above, the reason below.
_Judged = int
_Judge = Callable[[Facts], "_Judged | None"]

_SHIFT = 6
_REASONS = tuple(Reason)
_DENIED = Reason.DENIED_BY_DEVICE
_DECISIONS = (Decision.ADMITTED, Decision.CONDITIONAL, Decision.PENDING, Decision.REJECTED)


def _judged(verdict: Verdict, reason: Reason | None = None) -> _Judged:
    return RANK[verdict] << _SHIFT | (0 if reason is None else _REASONS.index(reason) + 1)


_PASS = _judged(Verdict.PASS)
_FAILED, _FAILED_DENIED = _judged(Verdict.FAIL), _judged(Verdict.FAIL, _DENIED)
_AWAY = _judged(Verdict.NOT_APPLICABLE)
_BROKE = _judged(Verdict.ERROR, Reason.INTERNAL)
_ON_PROBATION = _judged(Verdict.NOT_CHECKED, Reason.PROBATION)
_PASS_AT_MOST = _judged(Verdict.PASS, _REASONS[-1])  # the largest number of an outcome
_LAPSED = _judged(Verdict.NOT_CHECKED, Reason.NO_DECLARATION)

# One letter per rule, in the profile's order. A capital lowers the decision.
LETTERS: Mapping[Verdict, str] = {
    Verdict.PASS: "p",
    Verdict.FAIL: "f",
    Verdict.INCONCLUSIVE: "i",
    Verdict.ERROR: "e",
    Verdict.NOT_CHECKED: "n",
    Verdict.NOT_APPLICABLE: "a",
}
VERDICTS: Mapping[str, Verdict] = {letter: verdict for verdict, letter in LETTERS.items()}
NO_REASON = "."
_FIRST = ord("A")  # the letter of the first reason


def plain(observations: Mapping[str, Observation]) -> dict[str, Value | Reason]:
    """Return observations as plain facts."""
    return {
        fact: one.reason if isinstance(one, NotObserved) else one.value for fact, one in observations.items()
    }


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a compiled profile says of one camera."""

    decision: Decision
    verdicts: str  # one of `LETTERS` per rule, a capital where it lowers the decision
    reasons: str  # one letter of `CompiledProfile.reasons` per rule, or `NO_REASON`

    @property
    def counts(self) -> dict[str, int]:
        """Return how many rules have each verdict, as `standards.assessment.Assessment.counts`."""
        found = Counter(self.verdicts.lower())
        return {str(verdict): found[letter] for verdict, letter in LETTERS.items()}


class CompiledProfile:
    """A StandardProfile made ready for judging many cameras."""

    def __init__(self, profile: StandardProfile) -> None:
        self.profile = profile
        self.reasons = tuple(str(reason) for reason in Reason)
        tests: dict[object, _Test] = {}  # rules share conditions ("speaks ONVIF"); each is compiled once
        self._rules = tuple((rule, rule.over_time, _rule(rule, tests), _told(rule)) for rule in profile.rules)

    def judge(
        self,
        facts: Facts,
        *,
        on_probation: bool = False,
        waived: Collection[str] = (),
        lapsed: Collection[str] = (),
    ) -> Verdicts:
        """Judge one camera. `waived`: rules with an active waiver; `lapsed`: rules whose attestations all lapsed.

        Never raises for what a device sent; a rule that breaks is ERROR(`internal`).
        """
        worst = 0
        said: list[str] = []
        why: list[str] = []
        for rule, over_time, judge, told in self._rules:
            judged: _Judged | None
            if over_time and on_probation:
                judged = _ON_PROBATION
            elif lapsed and rule.id in lapsed:
                judged = _LAPSED
            else:
                try:
                    judged = judge(facts)
                except Exception:  # noqa: BLE001  a rule that breaks costs that rule, not the assessment
                    judged = _BROKE
            assert judged is not None
            letter, reason, allows = told[judged]
            if waived and rule.id in waived and rule.waivable and judged != _PASS:
                because = None if reason == NO_REASON else _REASONS[ord(reason) - _FIRST]
                verdict = VERDICTS[letter.lower()]
                allows = _DECISIONS.index(allowed(rule.severity, verdict, because, waived=True))
                letter = letter.upper() if allows else letter.lower()
            worst = max(worst, allows)
            said.append(letter)
            why.append(reason)
        decision = _DECISIONS[worst] if said else Decision.PENDING
        return Verdicts(decision, "".join(said), "".join(why))


def _told(rule: Rule) -> dict[_Judged, tuple[str, str, int]]:
    """Return for every outcome of a rule its letters and the place of the best decision that it allows."""
    table = {}
    for verdict, letter in LETTERS.items():
        for reason in (None, *_REASONS):
            allows = _DECISIONS.index(allowed(rule.severity, verdict, reason, waived=False))
            why = NO_REASON if reason is None else chr(_FIRST + _REASONS.index(reason))
            table[_judged(verdict, reason)] = (letter.upper() if allows else letter, why, allows)
    return table


def _rule(rule: Rule, tests: dict[object, _Test]) -> _Judge:
    """Compile one rule: `standards.assess.judge`."""
    applies = None if rule.applies_when is None else _test(rule.applies_when, rule.values, tests)
    cases = tuple(_case(case, rule.values, tests) for case in rule.cases)
    only = cases[0] if len(cases) == 1 else None

    def judge(facts: Facts) -> _Judged:
        if applies is not None:
            outcome = applies(facts, None)
            if outcome is not True:
                return _AWAY if outcome is False else _undecided(outcome)
        if only is not None:
            found = only(facts)
            return _AWAY if found is None else found
        worst = _AWAY + (1 << _SHIFT * 2)
        for case in cases:
            found = case(facts)
            if found is not None and found >> _SHIFT < worst >> _SHIFT:
                worst = found
        return _AWAY if worst > _PASS_AT_MOST else worst

    return judge


def _case(case: Case, params: Mapping[str, Value], tests: dict[object, _Test]) -> _Judge:
    when = None if case.when is None else _test(case.when, params, tests)
    sound_when = None if case.sound_when is None else _test(case.sound_when, params, tests)
    expect = _test(case.expect, params, tests)
    unsound = _judged(verdict_of(case.unsound), case.unsound)

    def judge(facts: Facts) -> _Judged | None:
        if when is not None:
            applies = when(facts, None)
            if applies is not True:
                return None if applies is False else _undecided(applies)
        expected = expect(facts, None)
        known = expected is True or expected is False or expected is _DENIED
        if not known:
            return _undecided(cast(Reason, expected))
        if sound_when is not None:
            sound = sound_when(facts, None)
            if sound is False or sound is _DENIED:
                return unsound
            if sound is not True:
                return _undecided(sound)
        if expected is True:
            return _PASS
        return _FAILED_DENIED if expected is _DENIED else _FAILED

    return judge


_UNDECIDED: Mapping[Reason, _Judged] = {
    reason: _judged(Verdict.ERROR, Reason.DEVICE_FAULT)
    if reason is _DENIED
    else _judged(verdict_of(reason), reason)
    for reason in Reason
}


def _undecided(reason: Reason) -> _Judged:
    return _UNDECIDED[reason]


def _test(condition: Condition, params: Mapping[str, Value], tests: dict[object, _Test]) -> _Test:
    """Compile a condition; the same one under the same limits is compiled once."""
    key = (repr(condition), tuple((name, repr(params[name])) for name in condition.params()))
    made = tests.get(key)
    if made is None:
        if not condition.of:
            made = _leaf(condition, params)
        elif condition.fact:
            made = _ranged(condition, _test(condition.of[0], params, tests))
        else:
            made = _joined(condition, tuple(_test(part, params, tests) for part in condition.of))
        tests[key] = made
    return made


def _leaf(condition: Condition, params: Mapping[str, Value]) -> _Test:
    fact, item, than = condition.fact, condition.item, condition.than
    compare, tolerance, absolute = COMPARE[condition.op], condition.tolerance, condition.absolute
    right = condition.value
    if isinstance(condition.param, tuple):
        right = tuple(params[name] for name in condition.param)
    elif condition.param:
        right = params[condition.param]
    asked = Reason.NOT_ASKED

    def of_fact(facts: Facts, _element: Value) -> _Outcome:
        left = facts.get(fact, asked)
        kind = type(left)
        if kind is Reason:
            return cast(Reason, left)
        if kind is float and not isfinite(cast(float, left)):
            return Reason.OUT_OF_RANGE
        try:
            return compare(left, right, tolerance)
        except TypeError:
            return Reason.INTERNAL

    finite = type(right) is not float or isfinite(right)
    if fact and finite and not than and not absolute:
        return _quick(condition, right) or of_fact

    def general(facts: Facts, element: Value) -> _Outcome:
        left: Value
        if fact:
            seen = facts.get(fact, asked)
            if type(seen) is Reason:
                return seen
            left = seen
        else:
            left = field_of(element, item)
        other: Value = right
        if than:
            seen = facts.get(than, asked)
            if type(seen) is Reason:
                return seen
            other = seen
        if (type(left) is float and not isfinite(left)) or (type(other) is float and not isfinite(other)):
            return Reason.OUT_OF_RANGE
        try:
            return compare(abs(number_of(left)) if absolute else left, other, tolerance)
        except TypeError:
            return Reason.INTERNAL

    return general


def _quick(condition: Condition, right: Value) -> _Test | None:
    """Compile the comparisons that rules make most, without the detour over `COMPARE`; None for all others."""
    fact, op, tolerance = condition.fact, condition.op, condition.tolerance
    asked = Reason.NOT_ASKED
    if op is Op.EQ and not tolerance and type(right) in (bool, str, int):
        truth = type(right) is bool

        def equal(facts: Facts, _element: Value) -> _Outcome:
            left = facts.get(fact, asked)
            kind = type(left)
            if kind is Reason:
                return cast(Reason, left)
            if kind is float and not isfinite(cast(float, left)):
                return Reason.OUT_OF_RANGE
            return left == right and (kind is bool) is truth

        return equal
    if op in (Op.LT, Op.LTE, Op.GT, Op.GTE) and type(right) in (int, float):
        upper = op in (Op.LT, Op.LTE)
        limit = cast(float, right) * (1 + tolerance if upper else 1 - tolerance)
        holds = _HOLDS[op]

        def ordered(facts: Facts, _element: Value) -> _Outcome:
            left = facts.get(fact, asked)
            kind = type(left)
            if kind is int:
                return holds(left, limit)
            if kind is float:
                return holds(left, limit) if isfinite(cast(float, left)) else Reason.OUT_OF_RANGE
            return cast(Reason, left) if kind is Reason else Reason.INTERNAL

        return ordered
    if op is Op.CONTAINS and type(right) is str:

        def contains(facts: Facts, _element: Value) -> _Outcome:
            left = facts.get(fact, asked)
            kind = type(left)
            if kind is tuple or kind is str:
                return right in cast(str, left)
            if kind is Reason:
                return cast(Reason, left)
            return (
                Reason.OUT_OF_RANGE if kind is float and not isfinite(cast(float, left)) else Reason.INTERNAL
            )

        return contains
    return None


_HOLDS: Mapping[Op, Callable[[Any, Any], bool]] = {
    Op.LT: operator.lt,
    Op.LTE: operator.le,
    Op.GT: operator.gt,
    Op.GTE: operator.ge,
}


def _joined(condition: Condition, parts: tuple[_Test, ...]) -> _Test:
    wants_all = condition.op is Op.ALL

    def every(facts: Facts, element: Value) -> _Outcome:
        unknown: list[Reason] | None = None
        for part in parts:
            outcome = part(facts, element)
            if outcome is True:
                continue
            if outcome is False or outcome is _DENIED:
                return outcome
            unknown = [outcome] if unknown is None else [*unknown, outcome]
        return True if unknown is None else _most_telling(unknown)

    def some(facts: Facts, element: Value) -> _Outcome:
        unknown: list[Reason] | None = None
        denied = False
        for part in parts:
            outcome = part(facts, element)
            if outcome is True:
                return True
            if outcome is False:
                continue
            if outcome is _DENIED:
                denied = True
                continue
            unknown = [outcome] if unknown is None else [*unknown, outcome]
        if unknown is not None:
            return _most_telling(unknown)
        return _DENIED if denied else False

    return every if wants_all else some


def _ranged(condition: Condition, inner: _Test) -> _Test:
    fact, wants_all = condition.fact, condition.op is Op.ALL

    def over(facts: Facts, _element: Value) -> _Outcome:
        elements = facts.get(fact, Reason.NOT_ASKED)
        if type(elements) is Reason:
            return elements
        if not isinstance(elements, tuple):
            return Reason.INTERNAL
        if len(elements) > MOST_ELEMENTS:
            return Reason.OUT_OF_RANGE
        unknown: list[Reason] = []
        for element in elements:
            found = inner(facts, element)
            if found is True:
                if not wants_all:
                    return True
            elif found is False or found is _DENIED:
                if wants_all:
                    return False
            else:
                unknown.append(found)
        return _most_telling(unknown) if unknown else wants_all

    return over


def _most_telling(unknown: list[Reason]) -> Reason:
    """Return the first of the most telling rank, as `standards.condition.most_telling`."""
    return min(unknown, key=_telling) if len(unknown) > 1 else unknown[0]


def _telling(reason: Reason) -> int:
    if reason in INCONCLUSIVE_REASONS:
        return 0
    return 1 if reason in ERROR_REASONS else 2
