"""What each version number of the shipped packs stands for. `python tests/standards/versions.py` writes the table anew.

It refuses to do so for a rule or profile whose content changed under the same number: first raise `rev`, or `version`.
"""

import hashlib
import sys
import tomllib
from pathlib import Path

from standards.observation import canonical_json
from standards.pack import packaged
from standards.profile import StandardProfile
from standards.rule import Rule

TABLE = Path(__file__).with_name("versions.toml")
# What a verdict or a decision depends on; texts, remedies and clauses may be mended under the same number.
DECISIVE = ("severity", "waivable", "over_time", "max_age_h", "applies_when", "cases", "params")


def of_rule(rule: Rule) -> tuple[str, str]:
    """The number of a rule, and the digest of what it decides by."""
    told = rule.as_json()
    return str(rule.rev), _digest([told[name] for name in DECISIVE])


def of_profile(profile: StandardProfile) -> tuple[str, str]:
    """The number of a profile, and the digest of its rules with their limits and weights."""
    rules = [(rule.id, rule.rev, str(rule.severity), rule.as_json()["params"]) for rule in profile.rules]
    return profile.version, _digest(rules)


def _digest(content: object) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()[:16]


def present() -> dict[str, tuple[str, str]]:
    """Number and digest of everything that ships, by id."""
    packs = packaged()
    rules = {one.id: of_rule(one) for one in packs.rules.values()}
    return {**rules, **{name: of_profile(packs.profile(name)) for name in packs.standards()}}


def written() -> dict[str, tuple[str, str]]:
    """The table as it was written."""
    if not TABLE.is_file():
        return {}
    return {name: (one[0], one[1]) for name, one in tomllib.loads(TABLE.read_text("utf-8")).items()}


def silent_changes() -> list[str]:
    """Ids whose content changed under the same number."""
    known = written()
    return [
        name
        for name, (number, digest) in present().items()
        if name in known and known[name][0] == number and known[name][1] != digest
    ]


if __name__ == "__main__":
    if silent_changes():
        sys.exit(f"changed under the same number: {', '.join(silent_changes())}; raise rev or version first")
    lines = [f'"{name}" = ["{number}", "{digest}"]' for name, (number, digest) in sorted(present().items())]
    TABLE.write_text("# number and digest of what ships; written by versions.py\n" + "\n".join(lines) + "\n")
