"""Wrong rules, made from right ones by one change each: what a slip in a rule pack would look like."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from standards.condition import Condition, Op
from standards.reason import INCONCLUSIVE_REASONS, Reason
from standards.rule import Case, Parameter, Rule

# Each operator with those that a hand may have meant otherwise.
OTHERS = {
    Op.EQ: (Op.NE,),
    Op.NE: (Op.EQ,),
    Op.LT: (Op.LTE, Op.GTE),
    Op.LTE: (Op.LT, Op.GT, Op.EQ),
    Op.GT: (Op.GTE, Op.LTE),
    Op.GTE: (Op.GT, Op.LT, Op.EQ),
    Op.IN: (Op.NOT_IN,),
    Op.NOT_IN: (Op.IN,),
    Op.CONTAINS: (Op.SUBSET,),
    Op.SUBSET: (Op.CONTAINS,),
    Op.MATCHES: (Op.EQ,),
    Op.ALL: (Op.ANY,),
    Op.ANY: (Op.ALL,),
}
NEVER = Condition(Op.EXISTS, fact="catalog.enrolled_days")  # a fact that no shipped rule decides by


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Return wrong versions of a rule, each with what is wrong with it."""
    if rule.applies_when is not None:
        yield "applies_when dropped", replace(rule, applies_when=None)
        for what, wrong in _conditions(rule.applies_when):
            yield f"applies_when: {what}", replace(rule, applies_when=wrong)
    for place, case in enumerate(rule.cases):
        if len(rule.cases) > 1:
            rest = (*rule.cases[:place], *rule.cases[place + 1 :])
            yield f"case {place + 1} dropped", replace(rule, cases=rest)
        for what, other in _cases(case):
            changed = (*rule.cases[:place], other, *rule.cases[place + 1 :])
            yield f"case {place + 1}: {what}", replace(rule, cases=changed)
    for name, parameter in rule.params.items():
        for what, value in _values(parameter.value):
            moved = Parameter(name, value, parameter.unit, parameter.floor, parameter.stricter)
            yield f"{name}: {what}", replace(rule, params={**rule.params, name: moved})


def _cases(case: Case) -> Iterator[tuple[str, Case]]:
    for part in ("expect", "when", "sound_when"):
        whole = getattr(case, part)
        if whole is None:
            continue
        if part != "expect":
            yield f"{part} dropped", replace(case, **{part: None})
        for what, wrong in _conditions(whole):
            yield f"{part}: {what}", replace(case, **{part: wrong})
    if case.sound_when is not None:
        other = Reason.UNSTABLE if case.unsound in INCONCLUSIVE_REASONS else Reason.TOO_FEW_SAMPLES
        yield "unsound changed", replace(case, unsound=other)


def _conditions(condition: Condition) -> Iterator[tuple[str, Condition]]:
    """Return what can be wrong with a condition, or with one part of it."""
    for op in OTHERS.get(condition.op, ()):
        if condition.of and len(condition.of) == 1 and not condition.fact:
            continue
        yield f"{_name(condition)} {condition.op} -> {op}", replace(condition, op=op)
    if condition.fact and not condition.of and condition.op is not Op.EXISTS:
        yield f"{condition.fact} compared with nothing", Condition(Op.EXISTS, fact=condition.fact)
    if condition.fact:
        yield f"{condition.fact} -> another fact", replace(condition, fact=NEVER.fact)
    if condition.than:
        yield f"{condition.than} -> another fact", replace(condition, than=NEVER.fact)
    if condition.absolute:
        yield f"{condition.fact}: absolute dropped", replace(condition, absolute=False)
    elif condition.op in (Op.LTE, Op.GTE) and condition.tolerance:
        yield f"{condition.fact}: tolerance dropped", replace(condition, tolerance=0.0)
        yield f"{condition.fact}: tolerance doubled", replace(condition, tolerance=2 * condition.tolerance)
    if condition.value is not None:
        for what, value in _values(condition.value):
            yield f"{_name(condition)}: {what}", replace(condition, value=value)
    for place, part in enumerate(condition.of):
        before, after = condition.of[:place], condition.of[place + 1 :]
        if len(condition.of) > 1:
            yield f"{_name(part)} dropped", replace(condition, of=(*before, *after))
        for what, wrong in _conditions(part):
            yield what, replace(condition, of=(*before, wrong, *after))


def _name(condition: Condition) -> str:
    return (
        condition.fact
        or condition.item
        or (f"{condition.op} of {len(condition.of)}" if condition.of else "it")
    )


def _values(value: Any) -> Iterator[tuple[str, Any]]:
    """Return a limit moved a little to either side, or a word or list that is another one."""
    if isinstance(value, bool):
        yield f"{value} -> {not value}", not value
    elif isinstance(value, int):
        yield f"{value} -> {value + 1}", value + 1
        yield f"{value} -> {value - 1}", value - 1
    elif isinstance(value, float):
        step = abs(value) * 0.05 or 0.001
        yield f"{value} -> {value + step}", value + step
        yield f"{value} -> {value - step}", value - step
    elif isinstance(value, str):
        yield f"{value!r} -> another word", f"{value}\N{SECTION SIGN}"
    elif isinstance(value, tuple):
        for place, one in enumerate(value):
            yield f"{one!r} taken out", (*value[:place], *value[place + 1 :])
