"""Every rule against its own table of decisive cases, and every slip in a rule against the same table.

`rules/*.toml` holds for each rule a camera that meets it and the changes that decide: both sides of each limit, each
alternative, each reason. A rule that was mistyped (`mutants`) has to contradict at least one of its cases.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mutants import mutants
from observed_cameras import missed, seen

from standards import assess as engine
from standards import condition
from standards.assess import judge
from standards.condition import Op, Outcome, State
from standards.observation import Observations, Value, freeze
from standards.pack import packaged
from standards.reason import Reason
from standards.rule import Rule
from standards.verdict import RANK

pytestmark = pytest.mark.long

RULES = packaged().rules
# Slips that change no verdict, and why: not worth a case, because there can be none.
EQUAL = {
    (
        "SEC-10",
        "case 3: when: tls.key_kind compared with nothing",
    ): "an RSA key is held to the longer limit too",
    ("VQ-05", "case 2: expect: picture.main.changed_share compared with nothing"): "sound_when says the same",
}


@cache
def tables() -> Mapping[str, Mapping[str, Any]]:
    """All tables by rule id."""
    found: dict[str, Mapping[str, Any]] = {}
    for file in sorted((Path(__file__).parent / "rules").glob("*.toml")):
        found |= tomllib.loads(file.read_text("utf-8"))
    return found


def observed(facts: Mapping[str, Any]) -> Observations:
    """Observations as a table writes them: "!reason" is an absence, "-" a fact that nobody looked at."""
    made = {}
    for name, value in facts.items():
        if isinstance(value, str) and value.startswith("!"):
            made[name] = missed(Reason(value[1:]))
        elif value != "-":
            made[name] = seen(value)
    return Observations(made)


def rule_of(rule_id: str) -> Rule:
    """A shipped rule with the limits that its table sets."""
    values = {name: freeze(value) for name, value in tables()[rule_id].get("params", {}).items()}
    return RULES[rule_id].refined(severity=None, values=values)


@cache
def cases(rule_id: str) -> tuple[tuple[str, Observations, str], ...]:
    """(verdict, observations, what was changed) of one rule's table."""
    table = tables()[rule_id]
    return tuple(
        (told, observed({**table["good"], **changed}), str(changed)) for told, changed in table["cases"]
    )


def verdict(rule: Rule, observations: Observations) -> str:
    """The verdict and its reason in the words of the tables."""
    found, reason, _, _ = judge(rule, observations)
    return f"{found} {reason}" if reason is not None else str(found)


def contradicted(rule: Rule) -> bool:
    """Tell whether a rule says otherwise than its table in at least one case."""
    return any(verdict(rule, facts) != told for told, facts, _ in cases(rule.id))


def test_every_rule_has_its_table() -> None:
    """No shipped rule is without decisive cases, and no table is about a rule that does not exist."""
    assert set(tables()) == set(RULES)
    for rule_id, table in tables().items():
        told = {case[0].split(" ")[0] for case in table["cases"]}
        assert {"PASS", "FAIL"} <= told, rule_id


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_a_rule_says_what_its_table_says(rule_id: str) -> None:
    """Each decisive case has the verdict and the reason that the table names."""
    rule = rule_of(rule_id)

    assert {changed: verdict(rule, facts) for _, facts, changed in cases(rule_id)} == {
        changed: told for told, _, changed in cases(rule_id)
    }


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_every_slip_in_a_rule_is_caught(rule_id: str) -> None:
    """Another operator, limit, fact, word or join, a case or part left out: each contradicts the rule's table."""
    made = 0
    for what, wrong in mutants(rule_of(rule_id)):
        made += 1
        if (rule_id, what) not in EQUAL:
            assert contradicted(wrong), f"{rule_id}: {what} goes unnoticed"
    assert made >= 3


def _always(value: bool) -> Callable[[Value, Value, float], bool]:
    return lambda _left, _right, _tolerance: value


def _leaves(whole: condition.Condition) -> Iterator[condition.Condition]:
    if whole.of:
        for part in whole.of:
            yield from _leaves(part)
    else:
        yield whole


USED = sorted(
    {str(one.op) for rule in RULES.values() for whole in rule.conditions() for one in _leaves(whole)}
)


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("op", USED)
def test_an_operator_that_always_says_the_same_is_caught(
    op: str, always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operator that a rule uses decides at least one case to either side."""
    monkeypatch.setitem(condition.COMPARE, Op(op), _always(always))

    assert any(contradicted(rule_of(rule_id)) for rule_id in RULES)


@pytest.mark.parametrize(
    ("op", "wrong"),
    [
        (Op.LTE, Op.LT), (Op.GTE, Op.GT), (Op.LT, Op.LTE), (Op.GT, Op.GTE), (Op.EQ, Op.NE), (Op.NE, Op.EQ),
        (Op.IN, Op.NOT_IN), (Op.NOT_IN, Op.IN), (Op.CONTAINS, Op.SUBSET), (Op.SUBSET, Op.CONTAINS), (Op.MATCHES, Op.EQ),
    ],
)  # fmt: skip
def test_an_operator_that_does_the_work_of_another_is_caught(
    op: Op, wrong: Op, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that confuses two operators contradicts some table."""
    monkeypatch.setitem(condition.COMPARE, op, condition.COMPARE[wrong])

    assert any(contradicted(rule_of(rule_id)) for rule_id in RULES)


def _absent_is_false(fact: str, _observation: Any) -> Outcome:
    return Outcome(State.FALSE, None, fact)


def _absent_is_true(fact: str, _observation: Any) -> Outcome:
    return Outcome(State.TRUE, None, fact)


def _joined_by_the_first(whole: condition.Condition, scope: condition.Scope) -> Outcome:
    return condition.evaluate(whole.of[0], scope)


@pytest.mark.parametrize(
    ("place", "name", "wrong"),
    [
        (condition, "_absent", _absent_is_false),
        (condition, "_absent", _absent_is_true),
        (condition, "_joined", _joined_by_the_first),
        (condition, "most_telling", lambda unknown: unknown[-1]),
        (condition, "number_of", abs),
        (engine, "_undecided", lambda outcome: (engine.Verdict.FAIL, outcome.reason, "", "")),
        (engine, "RANK", {one: -rank for one, rank in RANK.items()}),
        (engine, "verdict_of", lambda _reason: engine.Verdict.NOT_CHECKED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_engine_with_one_wrong_part_is_caught(
    place: Any, name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absences, joins, reasons and the order of cases are each held by some table."""
    monkeypatch.setattr(place, name, wrong)

    assert any(contradicted(rule_of(rule_id)) for rule_id in RULES)
