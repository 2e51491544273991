"""Judging many cameras side by side: what is remembered of one camera is never said of another that differs."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observed_cameras import NOW, missed, seen

from standards import memo
from standards.assess import assess
from standards.compiled import CompiledProfile, Row, Verdicts, plain
from standards.condition import Condition, Op
from standards.observation import Observation, Observations
from standards.profile import StandardProfile
from standards.reason import Reason
from standards.rule import Case, Rule
from standards.verdict import Severity
from standards.wording import Text

ONE = Text("a", "a")


def rule(number: int, expect: Condition, *, over_time: bool = False) -> Rule:
    """Return a rule of one condition."""
    return Rule(
        id=f"CON-{number:02}", rev=1, title=ONE, why=ONE, severity=Severity.BLOCKER, observable="A0", probe="x",
        cases=(Case(expect=expect),), over_time=over_time,
    )  # fmt: skip


def profile(*conditions: Condition) -> StandardProfile:
    """Return a profile of rules of one condition each."""
    rules = tuple(rule(number, condition) for number, condition in enumerate(conditions, start=1))
    return StandardProfile("many", "1", ONE, ONE, "", ("many 1",), rules)


def plainly(judged_by: StandardProfile, observations: Observations) -> list[tuple[str, str | None]]:
    """Return verdict and reason of each rule as `standards.assess` finds them."""
    whole = assess(observations, judged_by, as_of=NOW, enrolled_at=NOW.replace(year=2025))
    by_rule = {one.rule.id: one for one in whole.findings}
    return [
        (str(by_rule[one.id].verdict)[0], str(by_rule[one.id].reason) if by_rule[one.id].reason else None)
        for one in judged_by.rules
    ]


def said(compiled: CompiledProfile, found: Verdicts) -> list[tuple[str, str | None]]:
    """Return the same of compiled verdicts."""
    return [
        (letter.upper(), None if why == "." else compiled.reasons[ord(why) - ord("A")])
        for letter, why in zip(found.verdicts, found.reasons, strict=True)
    ]


# Values that are equal, or look alike, and mean different things to one rule or another.
ALIKE: list[Observation] = [
    *map(seen, [True, 1, 1.0, False, 0, 0.0, -0.0, "1", "", None]),
    *map(seen, [[True], [1], [1.0], [], ["1"], [[1]], [[True]], [{"n": 1}], [{"n": True}], {"n": 1}]),
    *map(seen, ["timed_out", "denied_by_device", "not_asked", ["timed_out"]]),
    *map(missed, [Reason.TIMED_OUT, Reason.DENIED_BY_DEVICE, Reason.NOT_ASKED]),
    *map(seen, [2, 2.0, 2.4, 2.5, 2.6, 3, -2.5, -3, 10**400, -(10**400), 1e308]),
    *map(seen, [float("nan"), float("inf"), float("-inf")]),
]
CONDITIONS = (
    Condition(Op.EQ, fact="a", value=True),
    Condition(Op.EQ, fact="a", value=1),
    Condition(Op.EQ, fact="a", value="timed_out"),
    Condition(Op.EXISTS, fact="a"),
    Condition(Op.IN, fact="a", value=(1, "1", "denied_by_device")),
    Condition(Op.CONTAINS, fact="a", value=1),
    Condition(Op.CONTAINS, fact="a", value="timed_out"),
    Condition(Op.SUBSET, fact="a", value=(True, "1")),
    Condition(Op.ANY, fact="a", of=(Condition(Op.EQ, item="n", value=1),)),
    Condition(Op.ANY, fact="a", of=(Condition(Op.EQ, value=1),)),
    Condition(Op.LTE, fact="b", value=2.5),
    Condition(Op.GT, fact="b", value=2, tolerance=0.2),
    Condition(Op.LT, fact="b", value=2.5, absolute=True),
    Condition(Op.BETWEEN, fact="b", value=(0, 2.5), tolerance=0.04),
    Condition(Op.EQ, fact="b", value=2),
    Condition(Op.NE, fact="b", value=2.5),
    Condition(Op.EXISTS, fact="b"),
    Condition(Op.GTE, fact="c", value=2.5),
    Condition(Op.GTE, fact="c", than="a"),
)


@pytest.mark.long
def test_values_that_look_alike_are_told_apart() -> None:
    """``True`` and ``1``, a reason and its text, a number on a limit and one beside it: each as the plain way says."""
    judged_by = profile(*CONDITIONS)
    cameras = [Observations(dict.fromkeys("abc", one)) for one in ALIKE]
    cameras += [Observations({"a": one, "b": other, "c": one}) for one in ALIKE for other in ALIKE[::5]]
    flat = [
        Observations(dict.fromkeys("abc", one))
        for one in ALIKE
        if not isinstance(getattr(one, "value", None), (tuple, Mapping))
    ]
    for batch in (cameras, cameras[::-1], flat, flat[::-1]):
        compiled = CompiledProfile(judged_by)
        rows = [compiled.row(plain(one)) for one in batch]
        for _ in range(2):
            found = compiled.judge_many(rows, [False] * len(rows), {})
            assert [said(compiled, one) for one in found] == [plainly(judged_by, one) for one in batch]


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    limits=st.lists(st.tuples(st.sampled_from([Op.LT, Op.LTE, Op.GT, Op.GTE, Op.EQ, Op.NE]),
                              st.floats(-50, 50), st.sampled_from([0.0, 0.0, 0.01, 0.3]), st.booleans()), min_size=1, max_size=4),
    spread=st.lists(st.floats(-60, 60), max_size=6),
)  # fmt: skip
def test_numbers_between_two_limits_are_judged_once(
    limits: list[tuple[Op, float, float, bool]], spread: list[float]
) -> None:
    """On, just below and just above each limit, as well as anywhere: what the plain way says."""
    conditions = [
        Condition(op, fact="a", value=value, tolerance=0.0 if op in (Op.EQ, Op.NE) else tolerance, absolute=absolute)
        for op, value, tolerance, absolute in limits
    ]  # fmt: skip
    judged_by = profile(*conditions)
    marks = [
        value * share
        for _op, value, tolerance, _abs in limits
        for share in (1, 1 + tolerance, 1 - tolerance, -1)
    ]
    near = [mark * (1 + step) for mark in marks for step in (0, 1e-16, -1e-16, 1e-15, -1e-15, 2e-16, 0.1)]
    numbers: list[Any] = [*near, *spread, *(int(one) for one in spread)]
    cameras = [Observations({"a": seen(one)}) for one in numbers]
    compiled = CompiledProfile(judged_by)
    found = compiled.judge_many([compiled.row(plain(one)) for one in cameras], [False] * len(cameras), {})
    assert [said(compiled, one) for one in found] == [plainly(judged_by, one) for one in cameras]


def test_a_full_memory_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of different values neither change a verdict nor stay in memory."""
    monkeypatch.setattr(memo, "MOST", 16)
    judged_by = profile(Condition(Op.EQ, fact="a", value="x 7"), Condition(Op.LT, fact="b", than="c"))
    cameras = [
        Observations({"a": seen(f"x {number % 90}"), "b": seen(number / 7), "c": seen(20.5)})
        for number in range(300)
    ]
    compiled = CompiledProfile(judged_by)
    rows = [compiled.row(plain(one)) for one in cameras]
    found: list[Verdicts] = []
    for first in range(0, len(rows), 50):
        found += compiled.judge_many(rows[first : first + 50], [False] * 50, {})
    assert [said(compiled, one) for one in found] == [plainly(judged_by, one) for one in cameras]
    assert max(len(one) for one in (*compiled._values.values(), *compiled._outcomes)) <= 16


def test_probation_and_statements_are_each_cameras_own() -> None:
    """Of cameras side by side one is on probation, one has a waiver and one a lapsed attestation."""
    slow = Condition(Op.GTE, fact="a", value=20)
    judged_by = StandardProfile(
        "many", "1", ONE, ONE, "", ("many 1",), (rule(1, slow), rule(2, slow, over_time=True))
    )
    compiled = CompiledProfile(judged_by)
    row: Row = compiled.row({"a": 5})
    stated = {
        2: (("CON-01",), ()),
        3: ((), ("CON-02", "CON-01")),
        4: ((), ("CON-02",)),
        5: (("XX-01",), ("XX-02",)),
    }
    found = compiled.judge_many([row] * 6, [False, True, False, False, True, False], stated)
    assert [one.verdicts for one in found] == ["FF", "Fn", "fF", "NN", "Fn", "FF"]
    alone = [
        compiled.judge({"a": 5}, on_probation=place in (1, 4), waived=stated.get(place, ((), ()))[0], lapsed=stated.get(place, ((), ()))[1])
        for place in range(6)
    ]  # fmt: skip
    assert alone == found
    assert compiled.judge_many([], [], {}) == []


def test_a_profile_without_rules_is_pending() -> None:
    """Nothing was asked, so nothing was shown."""
    empty = CompiledProfile(profile())
    assert [str(one.decision) for one in empty.judge_many([(), ()], [False, False], {})] == ["PENDING"] * 2
