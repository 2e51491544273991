"""Memory of outcomes, so that thousands of cameras are judged rule by rule, each combination of facts once.

A value becomes a `Seen`: one object for all values of a fact that no rule of the profile can tell apart, because every
test that rules make of this fact alone comes out the same. A rule keeps its outcome by the `Seen` of its facts. All of
it is bounded and begins anew when it is full, so that what cameras send cannot fill the process.

Equal is not enough to be remembered as one: ``True == 1``, and ``(True,) == (1,)``. So each kind of value has a table
of its own, a list is told by the types of its entries too, and lists and mappings inside of lists are looked at anew.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from standards.observation import Value
from standards.reason import Reason

MOST = 1024  # values remembered per fact, and outcomes per rule
# By fact name: the value where it was observed, the reason where it was not.
Facts = Mapping[str, "Value | Reason"]
Test = Callable[[Facts, Value], bool | Reason]


class Absent:
    """That a fact was not observed, as a value that equals no other; a `Reason` equals its own text."""

    __slots__ = ("reason",)

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


ABSENT: Mapping[Reason, Absent] = {reason: Absent(reason) for reason in Reason}
_NEUTRAL = frozenset({Absent, type(None)})  # stand in every table; equal to nothing else
_NUMBERS = frozenset({int, float})  # 1 and 1.0 are the same to every operator
_FLAT = frozenset({str, bool, int, float, type(None)})


class Seen:
    """Values of one fact that are the same to every rule."""

    __slots__ = ("value",)

    def __init__(self, value: Value | Reason) -> None:
        self.value = value  # the first of them


class _Table(dict[Any, Seen]):
    """What was seen of one fact, of one kind."""

    def __init__(self, make: Callable[[Any], Seen]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: Any) -> Seen:
        seen = self._make(value)
        if len(self) >= MOST:
            self.clear()
        self[value] = seen
        return seen


class _Lists(_Table):
    """The same of lists, by the types of their entries and by their value."""

    def __missing__(self, told: tuple[tuple[type, ...], tuple[Value, ...]]) -> Seen:
        kinds, value = told
        if not _FLAT.issuperset(kinds):
            return self._make(value)
        seen = self._make(value)
        if len(self) >= MOST:
            self.clear()
        self[told] = seen
        return seen


class Values:
    """What was seen of one fact. `tests`: all that rules ask of it; None where one compares it with another fact."""

    def __init__(self, fact: str, tests: tuple[Test, ...] | None) -> None:
        self._fact = fact
        self._tests = tests
        self._alike: dict[tuple[bool | Reason | None, ...], Seen] = {}
        numbers = _Table(self._seen)
        self._tables = {bool: _Table(self._seen), str: _Table(self._seen), int: numbers, float: numbers}
        self._lists = _Lists(self._seen)

    def __len__(self) -> int:
        """Return how many values are remembered."""
        tables = {id(one): len(one) for one in (*self._tables.values(), self._lists)}
        return sum(tables.values()) + len(self._alike)

    def of(self, column: Sequence[Value | Absent]) -> list[Seen]:
        """Return the `Seen` of each value."""
        kinds = set(map(type, column)) - _NEUTRAL
        if len(kinds) <= 1 or kinds == _NUMBERS:
            kind = next(iter(kinds), str)
            table = self._tables.get(kind)
            if table is not None:
                return list(map(table.__getitem__, column))
            if kind is tuple:
                lists, others = self._lists, self._tables[str]
                try:
                    return [
                        lists[tuple(map(type, one)), one] if type(one) is tuple else others[one]
                        for one in column
                    ]
                except TypeError:
                    pass  # a mapping inside
        return [self._one(value) for value in column]

    def _one(self, value: Any) -> Seen:
        kind = type(value)
        if kind is tuple:
            kinds = tuple(map(type, value))
            return self._lists[kinds, value] if _FLAT.issuperset(kinds) else self._seen(value)
        table = self._tables.get(str if kind in _NEUTRAL else kind)
        return self._seen(value) if table is None else table[value]

    def _seen(self, value: Any) -> Seen:
        """Return what stands for a value: by the outcomes of all tests, else for itself alone."""
        plain = value.reason if type(value) is Absent else value
        if self._tests is None:
            return Seen(plain)
        facts = {self._fact: plain}
        told = tuple([_outcome(test, facts) for test in self._tests])
        seen = self._alike.get(told)
        if seen is None:
            if len(self._alike) >= MOST:
                self._alike.clear()
            seen = self._alike[told] = Seen(plain)
        return seen


def _outcome(test: Test, facts: Facts) -> bool | Reason | None:
    try:
        return test(facts, None)
    except Exception:  # noqa: BLE001  the rule that asks breaks at it, and says so
        return None


class Outcomes(dict[tuple[Seen, ...], str]):
    """What one rule says, by what was seen of its facts."""

    def __init__(self, facts: tuple[str, ...], judge: Callable[[Facts], str]) -> None:
        super().__init__()
        self.facts = facts
        self._judge = judge

    def __missing__(self, key: tuple[Seen, ...]) -> str:
        told = self._judge({fact: seen.value for fact, seen in zip(self.facts, key, strict=True)})
        if len(self) >= MOST:
            self.clear()
        self[key] = told
        return told

    def of(self, columns: Sequence[list[Seen]], count: int) -> list[str]:
        """Return the outcome for each of `count` cameras. `columns`: one per fact."""
        if not columns:
            return [self[()]] * count
        return list(map(self.__getitem__, zip(*columns, strict=True)))
