"""Conditions over facts, as data, with three outcomes: true, false, or not known and why.

The operators are a closed list. ``all`` and ``any`` join conditions (``of`` a list), or, with a ``fact``, range over
the elements of its value (``of`` one condition on the element, or on a field of it).

Order of information: taking an observation away can turn true or false into not-known, and nothing else. That is
what makes the law of the house hold; `tests/standards` states it for every operator.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import isfinite

from standards.observation import NotObserved, Observation, Observed, Value
from standards.reason import ERROR_REASONS, INCONCLUSIVE_REASONS, Reason

_LONGEST_MATCHED = 1000  # characters of a device's string that a pattern is tried on
MOST_ELEMENTS = 256  # elements of a device's list that a condition ranges over


class Op(StrEnum):
    """The closed list of operators."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    SUBSET = "subset"
    MATCHES = "matches"
    EXISTS = "exists"
    BETWEEN = "between"
    ALL = "all"
    ANY = "any"


class State(StrEnum):
    """The three outcomes of a condition."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A condition's outcome; `reason`, `fact` and `detail` say why it is not known, or that the device denied."""

    state: State
    reason: Reason | None = None
    fact: str = ""
    detail: str = ""


TRUE = Outcome(State.TRUE)
FALSE = Outcome(State.FALSE)


@dataclass(frozen=True, slots=True)
class Condition:
    """One node of a condition tree.

    A leaf compares `fact` (or, inside a range, the element or its field `item`) with a literal `value`, with a
    parameter `param`, or with another fact `than`; ``contains`` with a list asks for each entry of it. `tolerance`
    widens a numeric comparison by that share of the right side; `absolute` drops the sign of the left side first.
    """

    op: Op
    fact: str = ""
    item: str | None = None
    value: Value = None
    param: str | tuple[str, str] = ""  # two names for ``between``
    than: str = ""
    tolerance: float = 0.0
    absolute: bool = False
    of: tuple["Condition", ...] = ()

    def facts(self) -> tuple[str, ...]:
        """Return the facts that this condition looks at, in order, each once."""
        found = dict.fromkeys(name for name in (self.fact, self.than) if name)
        for part in self.of:
            found.update(dict.fromkeys(part.facts()))
        return tuple(found)

    def params(self) -> tuple[str, ...]:
        """Return the parameters that this condition uses, in order, each once."""
        own = (self.param,) if isinstance(self.param, str) else self.param
        found = dict.fromkeys(name for name in own if name)
        for part in self.of:
            found.update(dict.fromkeys(part.params()))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a condition is evaluated on: observations, parameter values, and where told the element of a range."""

    observations: Mapping[str, Observation]
    params: Mapping[str, Value]
    element: Value = None


def evaluate(condition: Condition, scope: Scope) -> Outcome:
    """Evaluate a condition. Never raises for what a device sent: a value of the wrong kind is not-known."""
    if condition.of:
        return _joined(condition, scope) if not condition.fact else _ranged(condition, scope)
    if condition.fact:
        seen = scope.observations.get(condition.fact)
        if type(seen) is not Observed:
            return _absent(condition.fact, seen)
        left = seen.value
    else:
        left = field_of(scope.element, condition.item)
    right = condition.value
    if condition.param or condition.than:
        right, missing = _right(condition, scope)
        if missing is not None:
            return missing
    if (type(left) is float and not isfinite(left)) or (type(right) is float and not isfinite(right)):
        return Outcome(
            State.UNKNOWN, Reason.OUT_OF_RANGE, condition.fact, "the observed number is not finite"
        )
    try:
        if condition.absolute:
            left = abs(number_of(left))
        return TRUE if COMPARE[condition.op](left, right, condition.tolerance) else FALSE
    except TypeError as error:
        return Outcome(
            State.UNKNOWN, Reason.INTERNAL, condition.fact, f"the fact has an unexpected kind: {error}"
        )


def _joined(condition: Condition, scope: Scope) -> Outcome:
    """Join parts as Kleene does: one false decides ``all``, one true decides ``any``, else not-known stays."""
    decisive = State.FALSE if condition.op is Op.ALL else State.TRUE
    unknown: list[Outcome] = []
    denied: Outcome | None = None
    for part in condition.of:
        outcome = evaluate(part, scope)
        if outcome.state is decisive:
            return outcome
        if outcome.state is State.UNKNOWN:
            unknown.append(outcome)
        elif outcome.reason is not None:
            denied = outcome
    if unknown:
        return most_telling(unknown)
    if decisive is State.FALSE:
        return TRUE
    return denied or FALSE


def _ranged(condition: Condition, scope: Scope) -> Outcome:
    seen = scope.observations.get(condition.fact)
    if not isinstance(seen, Observed):
        return _absent(condition.fact, seen)
    elements = seen.value
    if not isinstance(elements, tuple):
        return Outcome(State.UNKNOWN, Reason.INTERNAL, condition.fact, "the fact is not a list")
    if len(elements) > MOST_ELEMENTS:
        return Outcome(
            State.UNKNOWN,
            Reason.OUT_OF_RANGE,
            condition.fact,
            f"the device listed {len(elements)} entries; at most {MOST_ELEMENTS} are looked at",
        )
    decisive = State.FALSE if condition.op is Op.ALL else State.TRUE
    unknown: list[Outcome] = []
    for element in elements:
        inner = Scope(scope.observations, scope.params, element)
        found = evaluate(condition.of[0], inner)
        if found.state is decisive:
            return Outcome(decisive)
        if found.state is State.UNKNOWN:
            unknown.append(found)
    if unknown:
        return most_telling(unknown)
    return TRUE if decisive is State.FALSE else FALSE


def most_telling(unknown: list[Outcome]) -> Outcome:
    """Return the not-known outcome that tells most: a contradiction, then a break, then what nobody looked at."""

    def rank(outcome: Outcome) -> int:
        if outcome.reason in INCONCLUSIVE_REASONS:
            return 0
        return 1 if outcome.reason in ERROR_REASONS else 2

    return min(unknown, key=rank)


def _absent(fact: str, observation: Observation | None) -> Outcome:
    """Return the outcome that a fact's absence leads to."""
    if not isinstance(observation, NotObserved):
        return Outcome(State.UNKNOWN, Reason.NOT_ASKED, fact)
    state = State.FALSE if observation.reason is Reason.DENIED_BY_DEVICE else State.UNKNOWN
    return Outcome(state, observation.reason, fact, observation.detail)


def _right(condition: Condition, scope: Scope) -> tuple[Value, Outcome | None]:
    if condition.than:
        seen = scope.observations.get(condition.than)
        if not isinstance(seen, Observed):
            return None, _absent(condition.than, seen)
        return seen.value, None
    if isinstance(condition.param, tuple):
        return tuple(scope.params[name] for name in condition.param), None
    return scope.params[condition.param], None


def field_of(element: Value, item: str | None) -> Value:
    """Return a field of an element, or the element itself where none is named."""
    if not item:
        return element
    return element.get(item) if isinstance(element, Mapping) else None


def number_of(value: Value) -> int | float:
    """Return a value that is a number.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a number is needed, {type(value).__name__} was seen")
    return value


def _same(left: Value, right: Value, tolerance: float) -> bool:
    if tolerance:
        wanted = number_of(right)
        return abs(number_of(left) - wanted) <= abs(wanted) * tolerance
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return left == right


def _list(value: Value) -> tuple[Value, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"a list is needed, {type(value).__name__} was seen")
    return value


def _contains(left: Value, right: Value, _tolerance: float) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return right in left
    held = _list(left)
    return all(one in held for one in right) if isinstance(right, tuple) else right in held


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _matches(left: Value, right: Value, _tolerance: float) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        raise TypeError(f"a text is needed, {type(left).__name__} was seen")
    return _pattern(right).search(left[:_LONGEST_MATCHED]) is not None


def _exists(left: Value, _right: Value, _tolerance: float) -> bool:
    if isinstance(left, str):
        return bool(left.strip())
    if isinstance(left, (tuple, Mapping)):
        return len(left) > 0
    return left is not None


def _between(left: Value, right: Value, tolerance: float) -> bool:
    low, high = (number_of(bound) for bound in _list(right))
    return low - abs(low) * tolerance <= number_of(left) <= high + abs(high) * tolerance


COMPARE: Mapping[Op, Callable[[Value, Value, float], bool]] = {
    Op.EQ: _same,
    Op.NE: lambda left, right, tolerance: not _same(left, right, tolerance),
    Op.LT: lambda left, right, tolerance: number_of(left) < number_of(right) * (1 + tolerance),
    Op.LTE: lambda left, right, tolerance: number_of(left) <= number_of(right) * (1 + tolerance),
    Op.GT: lambda left, right, tolerance: number_of(left) > number_of(right) * (1 - tolerance),
    Op.GTE: lambda left, right, tolerance: number_of(left) >= number_of(right) * (1 - tolerance),
    Op.IN: lambda left, right, _tolerance: left in _list(right),
    Op.NOT_IN: lambda left, right, _tolerance: left not in _list(right),
    Op.CONTAINS: _contains,
    Op.SUBSET: lambda left, right, _tolerance: all(item in _list(right) for item in _list(left)),
    Op.MATCHES: _matches,
    Op.EXISTS: _exists,
    Op.BETWEEN: _between,
}
