"""Rules as data: what is asked of a camera, how it is seen, why, and what to do when it is not met."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from standards.condition import Condition
from standards.observation import Value, thaw
from standards.reason import Reason
from standards.verdict import Severity, Verdict
from standards.wording import EMPTY, LANGUAGES, Text, fill

# Root causes first: what cannot be reached cannot be judged, and who may look comes before how it looks.
GROUPS = ("CON", "SEC", "STR", "VQ", "TIM", "ID", "EVT", "REC", "PRV")
PEOPLE = ("owner", "installer", "hub")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A limit that a profile may set. `stricter` says which way is tighter; `floor` is the loosest value allowed.

    Numbers are tighter ``higher`` or ``lower``; lists with ``fewer`` entries (what is let through) or with ``more``
    (what is asked for).
    """

    name: str
    value: Value
    unit: str = ""
    floor: Value = None
    stricter: str = ""  # higher | lower | fewer | more | "" where the values have no order
    title: Text = EMPTY  # as people call it

    def loosened_below_floor(self, value: Value) -> bool:
        """Tell whether a value lies beyond the floor on the loose side."""
        if self.floor is None or not self.stricter:
            return False
        if isinstance(value, tuple) and isinstance(self.floor, tuple):
            held, within = (self.floor, value) if self.stricter == "fewer" else (value, self.floor)
            return not all(one in held for one in within)
        if not isinstance(value, (int, float)) or not isinstance(self.floor, (int, float)):
            return value != self.floor
        return value < self.floor if self.stricter == "higher" else value > self.floor

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "value": thaw(self.value),
            "unit": self.unit,
            "floor": thaw(self.floor),
            "stricter": self.stricter,
        }


@dataclass(frozen=True, slots=True)
class Document:
    """A document that rules cite. Dates are ISO 8601, "" where open or not known."""

    key: str
    title: Text
    edition: Text
    valid_from: str = ""
    valid_to: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """One clause. `certainty`: text (read), secondary, unconfirmed (never printed as a citation), own (our number)."""

    document: Document
    clause: Text
    certainty: str
    valid_from: str = ""
    valid_to: str = ""

    def in_force(self, day: str) -> bool:
        """Tell whether the clause is in force on a day (ISO 8601)."""
        return (not self.valid_from or self.valid_from <= day) and (not self.valid_to or day < self.valid_to)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON: names in English for scripts, in both languages for people."""
        return {
            "doc": self.document.title.en,
            "clause": self.clause.en,
            "edition": self.document.edition.en,
            "doc_text": self.document.title.as_json(),
            "clause_text": self.clause.as_json(),
            "edition_text": self.document.edition.as_json(),
            "certainty": self.certainty,
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
        }


@dataclass(frozen=True, slots=True)
class Message:
    """The sentence for a verdict, where `when` (if any) holds. The first that fits is used."""

    verdict: Verdict
    text: Text
    when: Condition | None = None
    remediation: Mapping[str, Text] = field(
        default_factory=dict
    )  # instead of the rule's own, for these people


@dataclass(frozen=True, slots=True)
class Case:
    """One part of a rule: under `when`, `expect` has to hold.

    `sound_when` says on what the judgement stands (enough samples, a record that exists); where it does not hold, the
    part is INCONCLUSIVE or NOT_CHECKED by the reason `unsound`, whatever was measured.
    """

    expect: Condition
    when: Condition | None = None
    sound_when: Condition | None = None
    unsound: Reason = Reason.TOO_FEW_SAMPLES


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. A camera passes when every case that applies passes; a case that cannot be seen is never skipped."""

    id: str
    rev: int
    title: Text
    why: Text
    severity: Severity
    observable: str  # A0 A1 A2 M N O L D F, joined by "+" (standard reference 6.1)
    probe: str  # protocol words, English
    cases: tuple[Case, ...]
    applies_when: Condition | None = None
    params: Mapping[str, Parameter] = field(default_factory=dict)
    waivable: bool = True
    needs_credential: bool = False
    over_time: bool = False
    max_age_h: float | None = None
    observed: Text = EMPTY
    required: Text = EMPTY
    claimed: Text = EMPTY
    unit: str = ""
    messages: tuple[Message, ...] = ()
    remediation: Mapping[str, Text] = field(default_factory=dict)
    remedy_unseen: tuple[
        Verdict, ...
    ] = ()  # verdicts other than FAIL and INCONCLUSIVE that the remedy helps against
    references: tuple[Reference, ...] = ()
    values: Mapping[str, Value] = field(init=False, compare=False, repr=False)  # of the parameters, by name
    facts: tuple[str, ...] = field(
        init=False, compare=False, repr=False
    )  # that decide it, in order, each once

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        values = {name: parameter.value for name, parameter in self.params.items()}
        object.__setattr__(self, "values", MappingProxyType(values))
        facts = dict.fromkeys(fact for condition in self.conditions() for fact in condition.facts())
        object.__setattr__(self, "facts", tuple(facts))
        object.__setattr__(self, "remediation", MappingProxyType(dict(self.remediation)))

    @property
    def group(self) -> str:
        """Return the group: the letters before the dash."""
        return self.id.partition("-")[0]

    @property
    def place(self) -> tuple[int, int, str]:
        """Return the place in reading order: group, then number."""
        group, _, tail = self.id.partition("-")
        return (GROUPS.index(group), int(tail) if tail.isdigit() else 0, tail)

    def conditions(self) -> tuple[Condition, ...]:
        """Return the deciding conditions: applicability first, then case by case."""
        parts = [self.applies_when]
        for case in self.cases:
            parts += [case.when, case.sound_when, case.expect]
        return tuple(part for part in parts if part is not None)

    def required_in(self, language: str) -> str:
        """Return what the rule asks, with its limits written out."""
        return fill(self.required.in_language(language), self.values.get, language)

    def refined(self, *, severity: Severity | None, values: Mapping[str, Value]) -> "Rule":
        """Return this rule with another severity or other parameter values."""
        params = dict(self.params)
        for name, value in values.items():
            params[name] = replace(params[name], value=value)
        return replace(self, severity=severity or self.severity, params=params)

    def as_json(self) -> dict[str, Any]:
        """Return the whole rule as plain JSON: what the content hash of a profile covers."""
        return {
            "id": self.id,
            "rev": self.rev,
            "group": self.group,
            "title": self.title.as_json(),
            "why": self.why.as_json(),
            "severity": str(self.severity),
            "observable": self.observable,
            "probe": self.probe,
            "needs_credential": self.needs_credential,
            "waivable": self.waivable,
            "over_time": self.over_time,
            "max_age_h": self.max_age_h,
            "facts": list(self.facts),
            "applies_when": condition_json(self.applies_when),
            "cases": [
                {
                    "when": condition_json(case.when),
                    "sound_when": condition_json(case.sound_when),
                    "unsound": str(case.unsound),
                    "expect": condition_json(case.expect),
                }
                for case in self.cases
            ],
            "params": {name: parameter.as_json() for name, parameter in sorted(self.params.items())},
            "param_titles": {
                name: one.title.as_json() for name, one in sorted(self.params.items()) if one.title
            },
            "observed": self.observed.as_json(),
            "required": self.required.as_json(),
            "required_text": {language: self.required_in(language) for language in LANGUAGES},
            "claimed": self.claimed.as_json(),
            "unit": self.unit,
            "messages": [
                {
                    "verdict": str(message.verdict),
                    "when": condition_json(message.when),
                    **message.text.as_json(),
                    **_helps(message),
                }
                for message in self.messages
            ],
            "remediation": {who: text.as_json() for who, text in sorted(self.remediation.items())},
            "remedy_unseen": [str(verdict) for verdict in self.remedy_unseen],
            "references": [reference.as_json() for reference in self.references],
        }


def _helps(message: Message) -> dict[str, Any]:
    if not message.remediation:
        return {}
    return {"remediation": {who: text.as_json() for who, text in sorted(message.remediation.items())}}


def condition_json(condition: Condition | None) -> dict[str, Any] | None:
    """Return a condition as plain JSON, in the form in which rule packs write it."""
    if condition is None:
        return None
    out: dict[str, Any] = {"op": str(condition.op)}
    if condition.fact:
        out["fact"] = condition.fact
    if condition.item:
        out["item"] = condition.item
    if condition.param:
        out["param"] = list(condition.param) if isinstance(condition.param, tuple) else condition.param
    elif condition.than:
        out["than"] = condition.than
    elif condition.of:
        out["of"] = [condition_json(part) for part in condition.of]
    elif condition.value is not None:
        out["value"] = thaw(condition.value)
    if condition.tolerance:
        out["tolerance"] = condition.tolerance
    if condition.absolute:
        out["absolute"] = True
    return out


def condition_words(condition: Condition) -> str:
    """Return a condition in a line of words, for people who read packs: ``target.interfaces contains onvif``."""
    if condition.of and not condition.fact:
        joint = " and " if condition.op == "all" else " or "
        return joint.join(f"({condition_words(part)})" for part in condition.of)
    if condition.of:
        return f"{condition.op} of {condition.fact}: {condition_words(condition.of[0])}"
    left = condition.fact or condition.item or "it"
    if condition.op == "exists":
        return f"{left} exists"
    names = condition.param if isinstance(condition.param, str) else " and ".join(condition.param)
    right = condition.than or names or _plain(condition.value)
    return f"{left} {condition.op} {right}"


def _plain(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(_plain(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
