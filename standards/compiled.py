"""A profile compiled for judging many cameras: the same verdicts as `standards.assess`, without texts and objects.

`standards.assess.judge` and `standards.condition.evaluate` are the one meaning; this is their fast form, and
`tests/standards/test_compiled.py` holds both against each other. A camera costs some tens of microseconds instead of
milliseconds: a rule is one function made once, facts are plain values, a verdict is one letter, and cameras are judged
side by side, each combination of facts once (`standards.memo`).

Outcome of a test: true, false, or a `Reason`. ``DENIED_BY_DEVICE`` is false with its ground, any other reason
means not known (`standards.condition.State`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from standards.condition import COMPARE, MOST_ELEMENTS, Condition, Op, field_of, number_of
from standards.memo import ABSENT, MOST, Absent, Facts, Outcomes, Test, Values
from standards.observation import NotObserved, Observation, Value
from standards.profile import StandardProfile
from standards.reason import ERROR_REASONS, INCONCLUSIVE_REASONS, Reason
from standards.rule import Case, Rule
from standards.verdict import RANK, Decision, Verdict, allowed, verdict_of

_Outcome = bool | Reason
# A rule's outcome as one number: the verdict's rank (`standards.verdict.RANK`) above, the reason below.
_Judged = int
_JudgeOne = Callable[[Facts], _Judged]
Excused = tuple[Collection[str], Collection[str]]  # rules with a waiver, rules whose attestations all lapsed
Row = Sequence[Value | Absent]  # of one camera, in the order of `CompiledProfile.facts`

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
_WIDE = 3  # characters of what is said of one rule: verdict, reason, place of the decision


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
        found = self.verdicts.lower()
        return {str(verdict): found.count(letter) for verdict, letter in LETTERS.items()}


class CompiledProfile:
    """A StandardProfile made ready for judging many cameras."""

    def __init__(self, profile: StandardProfile) -> None:
        self.profile = profile
        self.reasons = tuple(str(reason) for reason in Reason)
        rules = profile.rules
        tests: dict[object, Test] = {}  # the same condition under the same limits is compiled once
        self._values = {fact: Values(fact, asked) for fact, asked in _asked(rules, tests).items()}
        self.facts = tuple(self._values)  # those on which a verdict depends
        self._told = tuple(_told(rule) for rule in rules)
        self._outcomes = tuple(
            Outcomes(rule.facts, _saying(_Source(tests).function(rule), told))
            for rule, told in zip(rules, self._told, strict=True)
        )
        self._places = {rule.id: place for place, rule in enumerate(rules)}
        self._whole: dict[str, Verdicts] = {}

    def row(self, facts: Facts) -> Row:
        """Return what `facts` says of each of `self.facts`: what `judge_many` takes."""
        told = [facts.get(fact, Reason.NOT_ASKED) for fact in self.facts]
        return [ABSENT[one] if type(one) is Reason else one for one in told]

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
        return self.judge_many([self.row(facts)], [on_probation], {0: (waived, lapsed)})[0]

    def judge_many(
        self, cameras: Sequence[Row], on_probation: Sequence[bool], stated: Mapping[int, Excused]
    ) -> list[Verdicts]:
        """Judge cameras. `stated`: rules waived and lapsed, as `judge` takes them, by a camera's place."""
        if not cameras:
            return []
        seen = {
            fact: self._values[fact].of(column)
            for fact, column in zip(self.facts, zip(*cameras, strict=True), strict=True)
        }
        columns = []
        for rule, outcomes, told in zip(self.profile.rules, self._outcomes, self._told, strict=True):
            column = outcomes.of([seen[fact] for fact in outcomes.facts], len(cameras))
            if rule.over_time:
                waits = told[_ON_PROBATION]
                column = [waits if on else one for on, one in zip(on_probation, column, strict=True)]
            columns.append(column)
        rows = zip(*columns, strict=True) if columns else [()] * len(cameras)
        texts = ["".join(row) for row in rows]
        for place, (waived, lapsed) in stated.items():
            if waived or lapsed:
                texts[place] = self._stated(texts[place], on_probation[place], waived, lapsed)
        return [self._verdicts(text) for text in texts]

    def _stated(self, text: str, on_probation: bool, waived: Collection[str], lapsed: Collection[str]) -> str:
        """Return what was said of a camera with what people state laid over it."""
        rows = [text[place : place + _WIDE] for place in range(0, len(text), _WIDE)]
        for rule in lapsed:
            place = self._places.get(rule)
            if place is not None and not (on_probation and self.profile.rules[place].over_time):
                rows[place] = self._told[place][_LAPSED]
        for rule in waived:
            place = self._places.get(rule)
            if place is not None:
                rows[place] = _waived(self.profile.rules[place], rows[place])
        return "".join(rows)

    def _verdicts(self, text: str) -> Verdicts:
        found = self._whole.get(text)
        if found is None:
            worst = int(max(text[2::_WIDE], default=str(_DECISIONS.index(Decision.PENDING))))
            if len(self._whole) >= MOST:
                self._whole.clear()
            found = self._whole[text] = Verdicts(_DECISIONS[worst], text[::_WIDE], text[1::_WIDE])
        return found


def _asked(rules: Sequence[Rule], tests: dict[object, Test]) -> dict[str, tuple[Test, ...] | None]:
    """Return all tests that rules make of each fact alone; None for a fact that one compares with another."""
    found: dict[str, dict[int, Test] | None] = {}
    for rule in rules:
        parts = list(rule.conditions())
        for condition in parts:
            if condition.of and not condition.fact:
                parts += condition.of
                continue
            facts = condition.facts()
            for fact in facts:
                known = found.setdefault(fact, {})
                if len(facts) > 1 or known is None:
                    found[fact] = None
                else:
                    test = _test(condition, rule.values, tests)
                    known[id(test)] = test
    return {fact: None if known is None else tuple(known.values()) for fact, known in found.items()}


def _saying(judge: _JudgeOne, told: Mapping[_Judged, str]) -> Callable[[Facts], str]:
    return lambda facts: told[judge(facts)]


def _waived(rule: Rule, told: str) -> str:
    """Return what is said of an outcome over which a waiver lies."""
    letter, why = told[0], told[1]
    verdict = VERDICTS[letter.lower()]
    if not rule.waivable or verdict is Verdict.PASS:
        return told
    reason = None if why == NO_REASON else _REASONS[ord(why) - _FIRST]
    allows = _DECISIONS.index(allowed(rule.severity, verdict, reason, waived=True))
    return f"{letter.upper() if allows else letter.lower()}{why}{allows}"


def _told(rule: Rule) -> dict[_Judged, str]:
    """Return what is said of every outcome of a rule: its two letters and the place of the best decision it allows."""
    table = {}
    for verdict, letter in LETTERS.items():
        for reason in (None, *_REASONS):
            allows = _DECISIONS.index(allowed(rule.severity, verdict, reason, waived=False))
            why = NO_REASON if reason is None else chr(_FIRST + _REASONS.index(reason))
            table[_judged(verdict, reason)] = f"{letter.upper() if allows else letter}{why}{allows}"
    return table


_UNDECIDED: Mapping[Reason, _Judged] = {
    reason: _judged(Verdict.ERROR, Reason.DEVICE_FAULT)
    if reason is _DENIED
    else _judged(verdict_of(reason), reason)
    for reason in Reason
}


class _Source:
    """Writes the function of a rule: all its conditions without a call between them.

    A call costs more than a comparison. Only names, indentation and operators are written here; every value of a rule
    pack (facts' names, limits, texts) is handed over by reference, so that nothing of a pack is ever read as code.
    """

    def __init__(self, tests: dict[object, Test]) -> None:
        self._tests = tests
        self._lines: list[str] = ["def judge(facts):", " get = facts.get"]
        self._names: dict[str, Any] = {
            "R": Reason, "NA": Reason.NOT_ASKED, "D": _DENIED, "OUT": Reason.OUT_OF_RANGE, "ODD": Reason.INTERNAL,
            "INF": float("inf"), "UNDECIDED": _UNDECIDED, "TELLING": _TELLING,
            "PASS": _PASS, "AWAY": _AWAY, "FAILED": _FAILED, "FAILED_DENIED": _FAILED_DENIED, "BROKE": _BROKE,
        }  # fmt: skip
        self._known: dict[int, str] = {}
        self._kept: list[Any] = []
        self._used = 0

    def function(self, rule: Rule) -> _JudgeOne:
        """Return the function from facts to the rule's outcome."""
        self._say(1, "try:")
        self._rule(rule, 2)
        self._say(1, "except Exception:")
        self._say(2, "v = BROKE")
        self._say(1, "return v")
        space = dict(self._names)
        exec(compile("\n".join(self._lines), f"<rule {rule.id}>", "exec"), space)  # noqa: S102  see above
        return cast(_JudgeOne, space["judge"])

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


def _test(condition: Condition, params: Mapping[str, Value], tests: dict[object, Test]) -> Test:
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


def _leaf(condition: Condition, params: Mapping[str, Value]) -> Test:
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


def _joined(condition: Condition, parts: tuple[Test, ...]) -> Test:
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


def _ranged(condition: Condition, inner: Test) -> Test:
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


_TELLING = {reason: _telling(reason) for reason in Reason}
