"""A profile compiled for judging many cameras: the same verdicts as `standards.assess`, without texts and objects.

`standards.assess.judge` and `standards.condition.evaluate` are the one meaning; this is their fast form, and
`tests/standards/test_compiled.py` holds both against each other. A camera costs some tens of microseconds instead of
milliseconds: a profile is one function made once, facts are plain values, and a verdict is one letter.

Outcome of a test: true, false, or a `Reason`. ``DENIED_BY_DEVICE`` is false with its ground, any other reason
means not known (`standards.condition.State`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
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
_JudgeAll = Callable[[Facts, Mapping[int, _Judged]], list[_Judged]]

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
        rules = profile.rules
        self._judge = _Source({}).function(rules)  # the same condition under the same limits is compiled once
        self._told = tuple(_told(rule) for rule in rules)
        self._probation = {place: _ON_PROBATION for place, rule in enumerate(rules) if rule.over_time}
        self._places = {rule.id: place for place, rule in enumerate(rules)}

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
        skipped = self._probation if on_probation else {}
        if lapsed:
            without = {self._places[rule]: _LAPSED for rule in lapsed if rule in self._places}
            skipped = {**without, **skipped}
        told = [table[judged] for table, judged in zip(self._told, self._judge(facts, skipped), strict=True)]
        for rule in waived:
            if rule in self._places:
                place = self._places[rule]
                told[place] = _waived(self.profile.rules[place], told[place])
        verdicts, reasons = "".join([one[0] for one in told]), "".join([one[1] for one in told])
        worst = max([one[2] for one in told]) if told else _DECISIONS.index(Decision.PENDING)
        return Verdicts(_DECISIONS[worst], verdicts, reasons)


def _waived(rule: Rule, told: tuple[str, str, int]) -> tuple[str, str, int]:
    """Return the letters of an outcome over which a waiver lies."""
    letter, why, _allows = told
    verdict = VERDICTS[letter.lower()]
    if not rule.waivable or verdict is Verdict.PASS:
        return told
    reason = None if why == NO_REASON else _REASONS[ord(why) - _FIRST]
    allows = _DECISIONS.index(allowed(rule.severity, verdict, reason, waived=True))
    return (letter.upper() if allows else letter.lower(), why, allows)


def _told(rule: Rule) -> dict[_Judged, tuple[str, str, int]]:
    """Return for every outcome of a rule its letters and the place of the best decision that it allows."""
    table = {}
    for verdict, letter in LETTERS.items():
        for reason in (None, *_REASONS):
            allows = _DECISIONS.index(allowed(rule.severity, verdict, reason, waived=False))
            why = NO_REASON if reason is None else chr(_FIRST + _REASONS.index(reason))
            table[_judged(verdict, reason)] = (letter.upper() if allows else letter, why, allows)
    return table


_UNDECIDED: Mapping[Reason, _Judged] = {
    reason: _judged(Verdict.ERROR, Reason.DEVICE_FAULT)
    if reason is _DENIED
    else _judged(verdict_of(reason), reason)
    for reason in Reason
}


class _Source:
    """Writes the one function of a profile: all its rules without a call between them.

    A call costs more than a comparison, and a profile makes some 500 of them per camera. Only names, indentation and
    operators are written here; every value of a rule pack (facts' names, limits, texts) is handed over by reference, so
    that nothing of a pack is ever read as code.
    """

    def __init__(self, tests: dict[object, _Test]) -> None:
        self._tests = tests
        self._lines: list[str] = ["def judge(facts, skipped):", " get = facts.get", " out = []"]
        self._names: dict[str, Any] = {
            "R": Reason, "NA": Reason.NOT_ASKED, "D": _DENIED, "OUT": Reason.OUT_OF_RANGE, "ODD": Reason.INTERNAL,
            "INF": float("inf"), "UNDECIDED": _UNDECIDED, "TELLING": {reason: _telling(reason) for reason in Reason},
            "PASS": _PASS, "AWAY": _AWAY, "FAILED": _FAILED, "FAILED_DENIED": _FAILED_DENIED, "BROKE": _BROKE,
        }  # fmt: skip
        self._known: dict[int, str] = {}
        self._kept: list[Any] = []
        self._used = 0

    def function(self, rules: Sequence[Rule]) -> _JudgeAll:
        """Return the function from facts, and what was decided without them, to one outcome per rule."""
        for place, rule in enumerate(rules):
            self._say(1, f"if {place} in skipped:")
            self._say(2, f"out.append(skipped[{place}])")
            self._say(1, "else:")
            self._say(2, "try:")
            self._rule(rule, 3)
            self._say(2, "except Exception:")
            self._say(3, "v = BROKE")
            self._say(2, "out.append(v)")
        self._say(1, "return out")
        space = dict(self._names)
        exec(compile("\n".join(self._lines), "<profile>", "exec"), space)  # noqa: S102  see above
        return cast(_JudgeAll, space["judge"])

    def _say(self, depth: int, text: str) -> None:
        self._lines.append(" " * depth + text)

    def _name(self, value: Any) -> str:
        """Return the name under which the function finds a value."""
        name = self._known.get(id(value))
        if name is None:
            name = self._known[id(value)] = f"c{len(self._kept)}"
            self._kept.append(value)  # so that no other value gets its id
            self._names[name] = value
        return name

    def _fresh(self) -> str:
        self._used += 1
        return f"o{self._used}"

    def _rule(self, rule: Rule, depth: int) -> None:
        """`standards.assess.judge`: leaves the outcome in ``v``."""
        if rule.applies_when is not None:
            told = self._condition(rule.applies_when, rule.values, depth)
            self._say(depth, f"if {told} is not True:")
            self._say(depth + 1, f"v = AWAY if {told} is False else UNDECIDED[{told}]")
            self._say(depth, "else:")
            depth += 1
        self._case(rule.cases[0], rule.values, depth)
        for case in rule.cases[1:]:
            worst = self._fresh()
            self._say(depth, f"{worst} = v")
            self._case(case, rule.values, depth)
            self._say(
                depth, f"if v is None or ({worst} is not None and {worst} >> {_SHIFT} <= v >> {_SHIFT}):"
            )
            self._say(depth + 1, f"v = {worst}")
        self._say(depth, "if v is None:")
        self._say(depth + 1, "v = AWAY")

    def _case(self, case: Case, params: Mapping[str, Value], depth: int) -> None:
        """`standards.assess._case`: leaves the outcome in ``v``, None where the case does not apply."""
        if case.when is not None:
            told = self._condition(case.when, params, depth)
            self._say(depth, f"if {told} is not True:")
            self._say(depth + 1, f"v = None if {told} is False else UNDECIDED[{told}]")
            self._say(depth, "else:")
            depth += 1
        told = self._condition(case.expect, params, depth)
        if case.sound_when is None:
            self._say(depth, f"if {told} is True:")
            self._say(depth + 1, "v = PASS")
            self._ends(told, depth)
            return
        self._say(depth, f"if {told} is not True and {told} is not False and {told} is not D:")
        self._say(depth + 1, f"v = UNDECIDED[{told}]")
        self._say(depth, "else:")
        depth += 1
        sound = self._condition(case.sound_when, params, depth)
        unsound = self._name(_judged(verdict_of(case.unsound), case.unsound))
        self._say(depth, f"if {sound} is not True:")
        self._say(depth + 1, f"v = {unsound} if {sound} is False or {sound} is D else UNDECIDED[{sound}]")
        self._say(depth, f"elif {told} is True:")
        self._say(depth + 1, "v = PASS")
        self._ends(told, depth)

    def _ends(self, told: str, depth: int) -> None:
        self._say(depth, f"elif {told} is False:")
        self._say(depth + 1, "v = FAILED")
        self._say(depth, "else:")
        self._say(depth + 1, f"v = FAILED_DENIED if {told} is D else UNDECIDED[{told}]")

    def _condition(self, condition: Condition, params: Mapping[str, Value], depth: int) -> str:
        """Write a condition, and return the name that holds its outcome."""
        told = self._fresh()
        if condition.of and not condition.fact:
            self._joined(condition, params, depth, told)
        elif not self._leaf(condition, params, depth, told):
            test = _test(condition, params, self._tests)
            self._say(depth, f"{told} = {self._name(test)}(facts, None)")
        return told

    def _joined(self, condition: Condition, params: Mapping[str, Value], depth: int, told: str) -> None:
        """``all`` and ``any`` as Kleene does: one outcome decides, else the most telling of what is not known."""
        wants_all = condition.op is Op.ALL
        unknown, denied = self._fresh(), self._fresh()
        self._say(depth, f"{unknown} = None; {denied} = False")
        for part in condition.of:
            one = self._condition(part, params, depth)
            stops = f"{one} is False or {one} is D" if wants_all else f"{one} is True"
            self._say(depth, f"if {stops}:")
            self._say(depth + 1, f"{told} = {one}")
            self._say(depth, "else:")
            depth += 1
            if wants_all:
                self._say(depth, f"if {one} is not True:")
            else:
                self._say(depth, f"if {one} is D:")
                self._say(depth + 1, f"{denied} = D")
                self._say(depth, f"elif {one} is not False:")
            self._say(depth + 1, f"if {unknown} is None or TELLING[{one}] < TELLING[{unknown}]:")
            self._say(depth + 2, f"{unknown} = {one}")
        nothing = "True" if wants_all else denied
        self._say(depth, f"{told} = {nothing} if {unknown} is None else {unknown}")

    def _leaf(self, condition: Condition, params: Mapping[str, Value], depth: int, told: str) -> bool:
        """Write a plain comparison of a fact with a value; False for what is left to `_test`."""
        if not condition.fact or condition.of or condition.than or condition.absolute:
            return False
        if isinstance(condition.param, tuple):
            return False
        right = params[condition.param] if condition.param else condition.value
        kind, op, tolerance = type(right), condition.op, condition.tolerance
        if kind is float and not isfinite(cast(float, right)):
            return False
        odd = "l if k is R else OUT if k is float and not -INF < l < INF else"
        if op is Op.EQ and not tolerance and kind is str:
            text = f"l == {self._name(right)} if k is str else {odd} False"
        elif op is Op.EQ and not tolerance and kind is bool:
            text = f"l is {right is True} if k is bool else {odd} False"
        elif op in _SIGNS and kind in (int, float):
            share = 1 + tolerance if op in (Op.LT, Op.LTE) else 1 - tolerance
            holds = f"l {_SIGNS[op]} {self._name(cast(float, right) * share)}"
            text = f"{holds} if k is int or (k is float and -INF < l < INF) else {odd} ODD"
        elif op is Op.CONTAINS and kind is str:
            text = f"{self._name(right)} in l if k is tuple or k is str else {odd} ODD"
        else:
            return False
        self._say(depth, f"l = get({self._name(condition.fact)}, NA); k = type(l)")
        self._say(depth, f"{told} = {text}")
        return True


_SIGNS: Mapping[Op, str] = {Op.LT: "<", Op.LTE: "<=", Op.GT: ">", Op.GTE: ">="}


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
        return of_fact

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
