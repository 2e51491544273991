"""Versions: what decides cannot change under the same number, and an id that was given up stays so."""

from dataclasses import replace

import pytest
from test_pack import PROFILE, RULE
from versions import of_profile, of_rule, present, silent_changes, written

from standards.pack import PackError, Packs, packaged
from standards.verdict import Severity


def test_nothing_changed_under_the_same_number() -> None:
    """A rule that decides otherwise has another `rev`, a profile another `version`; then the table is written anew."""
    assert silent_changes() == [], "raise rev or version, then run: python tests/standards/versions.py"
    assert present() == written(), "run: python tests/standards/versions.py"


def test_a_change_of_what_decides_shows() -> None:
    """Limit, severity and condition are in a rule's digest, its texts are not; a profile's has the limits of its rules."""
    rule = packaged().rules["TIM-02"]
    tighter = rule.refined(severity=None, values={"max_offset_s": 1.0})
    profile = packaged().profile("technical")

    assert of_rule(tighter)[1] != of_rule(rule)[1]
    assert of_rule(rule.refined(severity=Severity.MINOR, values={}))[1] != of_rule(rule)[1]
    assert of_rule(replace(rule, applies_when=None))[1] != of_rule(rule)[1]
    assert of_rule(replace(rule, why=rule.title))[1] == of_rule(rule)[1]
    changed = replace(profile, rules=tuple(tighter if one.id == rule.id else one for one in profile.rules))
    assert of_profile(changed)[1] != of_profile(profile)[1]


@pytest.mark.parametrize(
    ("line", "profile", "named"),
    [
        ('deprecated_ids = { "TIM-02" = "TIM-02" }\n', PROFILE, "TIM-02 is in use again"),
        ('deprecated_ids = { "TIM-90" = "TIM-91" }\n', PROFILE, "no rule TIM-91 says it now"),
        (
            'deprecated_ids = { "TIM-90" = "TIM-02" }\n',
            PROFILE.replace('"TIM-02"', '"TIM-90"'),
            "TIM-90 was given up; TIM-02 says it now",
        ),
    ],
)
def test_an_id_that_was_given_up_is_never_used_again(line: str, profile: str, named: str) -> None:
    """A rule under a given-up id, a successor that is none, and a profile that still selects it are refused by name."""
    with pytest.raises(PackError) as refused:
        Packs.parse({"r.toml": line + RULE}, {"p.toml": profile})

    assert named in str(refused.value)


def test_a_list_is_loosened_by_what_it_lets_through_or_no_longer_asks_for() -> None:
    """An open port that is allowed, or a service that is not asked for any more, needs an authority like any other limit."""
    packs = packaged().rules
    allowed, services = packs["CON-08"].params["allowed"], packs["CON-02"].params["services"]

    assert allowed.loosened_below_floor((80,))
    assert not allowed.loosened_below_floor(())
    assert services.loosened_below_floor(())
    assert not services.loosened_below_floor(("device", "events"))
