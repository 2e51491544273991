"""StandardProfiles: which rules a camera has to meet, with which limits, under one pinned version."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from standards.observation import Value, canonical_json, freeze, thaw
from standards.rule import Rule
from standards.verdict import Severity
from standards.wording import Text


class ProfileError(ValueError):
    """A profile that may not be: names the profile, the rule and the field."""


@dataclass(frozen=True, slots=True)
class Loosening:
    """A limit set beyond its floor, with the authority that answers for it. Printed in every report."""

    rule: str
    parameter: str
    floor: Value
    value: Value
    authority: str

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "rule": self.rule,
            "parameter": self.parameter,
            "floor": thaw(self.floor),
            "value": thaw(self.value),
            "authority": self.authority,
        }


@dataclass(frozen=True, slots=True)
class ProfileSource:
    """A profile as its file says it, before its chain is resolved."""

    id: str
    version: str
    title: Text
    summary: Text
    in_force_from: str
    extends: str = ""
    select: tuple[str, ...] = ()
    deselect: tuple[str, ...] = ()
    set_values: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    authorities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StandardProfile:
    """A resolved profile: the rules in reading order with the limits that hold in it."""

    id: str
    version: str
    title: Text
    summary: Text
    in_force_from: str
    chain: tuple[str, ...]  # ids and versions from the root down to this one
    rules: tuple[Rule, ...]
    loosened: tuple[Loosening, ...] = ()

    @cached_property
    def hash(self) -> str:
        """Return the SHA-256 (hex) of the canonical resolved content."""
        content = {
            "id": self.id,
            "version": self.version,
            "title": self.title.as_json(),
            "in_force_from": self.in_force_from,
            "chain": list(self.chain),
            "rules": [rule.as_json() for rule in self.rules],
            "loosened": [one.as_json() for one in self.loosened],
        }
        return hashlib.sha256(canonical_json(content)).hexdigest()

    def rule(self, rule_id: str) -> Rule | None:
        """Return a selected rule, or None."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def identity(self) -> dict[str, Any]:
        """Return what a report pins: id, version, hash, title, chain, loosened limits."""
        return {
            "id": self.id,
            "version": self.version,
            "hash": self.hash,
            "title": self.title.as_json(),
            "in_force_from": self.in_force_from,
            "chain": list(self.chain),
            "rules": len(self.rules),
            "loosened": [one.as_json() for one in self.loosened],
        }

    def as_json(self) -> dict[str, Any]:
        """Return the whole standard as plain JSON: `identity`, its summary, and ``rule_list`` in reading order."""
        return {
            **self.identity(),
            "summary": self.summary.as_json(),
            "rule_list": [rule.as_json() for rule in self.rules],
        }


def resolve(
    source: ProfileSource, parent: StandardProfile | None, rules: Mapping[str, Rule]
) -> StandardProfile:
    """Resolve one profile over its parent.

    Raises:
        ProfileError: an unknown rule or parameter, a rule that is not selected, a value of another kind, a limit loosened
            below its floor without an authority.
    """
    chosen = {rule.id: rule for rule in parent.rules} if parent else {}
    loosened = {(one.rule, one.parameter): one for one in parent.loosened} if parent else {}
    for rule_id in source.select:
        if rule_id not in rules:
            raise ProfileError(f"profile {source.id}: select names the unknown rule {rule_id}")
        chosen.setdefault(rule_id, rules[rule_id])
    for rule_id in source.deselect:
        if rule_id not in chosen:
            raise ProfileError(f"profile {source.id}: deselect names {rule_id}, which is not selected")
        if not chosen[rule_id].waivable and rule_id not in source.authorities:
            raise ProfileError(f"profile {source.id}: {rule_id} may only be deselected by a named authority")
        del chosen[rule_id]
    for rule_id in {**source.set_values, **source.severities}:
        if rule_id not in chosen:
            raise ProfileError(f"profile {source.id}: set or refine names {rule_id}, which is not selected")
        rule = chosen[rule_id]
        values = source.set_values.get(rule_id, {})
        for name, value in values.items():
            _check_value(source, rule, name, value)
            if rule.params[name].loosened_below_floor(value):
                authority = source.authorities.get(rule_id, "")
                if not authority:
                    raise ProfileError(
                        f"profile {source.id}: {rule_id} sets {name} to {value}, looser than the floor"
                        f" {rule.params[name].floor}; name the authority that answers for it"
                    )
                loosened[rule_id, name] = Loosening(rule_id, name, rule.params[name].floor, value, authority)
            else:
                loosened.pop((rule_id, name), None)
        severity = source.severities.get(rule_id)
        if (
            severity is not None
            and severity.weight < rule.severity.weight
            and not rule.waivable
            and rule_id not in source.authorities
        ):
            raise ProfileError(
                f"profile {source.id}: only a named authority lowers the severity of {rule_id}"
            )
        chosen[rule_id] = rule.refined(severity=severity, values=values)
    own = f"{source.id} {source.version}"
    return StandardProfile(
        id=source.id,
        version=source.version,
        title=source.title,
        summary=source.summary,
        in_force_from=source.in_force_from,
        chain=(*parent.chain, own) if parent else (own,),
        rules=tuple(sorted(chosen.values(), key=lambda rule: rule.place)),
        loosened=tuple(one for key, one in sorted(loosened.items()) if key[0] in chosen),
    )


WHAT_IF = "what-if"


def adjusted(
    profile: StandardProfile, params: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Rule]
) -> StandardProfile:
    """Return a profile with some limits set otherwise; its version says so, and a limit beyond its floor is told as loosened.

    Raises:
        ProfileError: no such rule or parameter, or a value of another kind.
    """
    if not params:
        return profile
    try:
        changed = {
            rule: {name: freeze(value) for name, value in values.items()} for rule, values in params.items()
        }
    except TypeError as error:
        raise ProfileError(f"profile {profile.id}: {error}") from error
    source = ProfileSource(
        id=profile.id,
        version=f"{profile.version}+{WHAT_IF}",
        title=profile.title,
        summary=profile.summary,
        in_force_from=profile.in_force_from,
        extends=profile.id,
        set_values=changed,
        authorities=dict.fromkeys(params, WHAT_IF),
    )
    return resolve(source, profile, rules)


def _check_value(source: ProfileSource, rule: Rule, name: str, value: Value) -> None:
    if name not in rule.params:
        known = ", ".join(rule.params) or "none"
        raise ProfileError(f"profile {source.id}: {rule.id} has no parameter {name} (it has: {known})")
    old = rule.params[name].value
    numbers = (int, float)
    same = (
        isinstance(old, numbers) and isinstance(value, numbers) and not isinstance(value, bool)
        if isinstance(old, numbers) and not isinstance(old, bool)
        else type(old) is type(value)
    )
    if not same:
        raise ProfileError(
            f"profile {source.id}: {rule.id}.{name} takes a {type(old).__name__}, not {value!r}"
        )
