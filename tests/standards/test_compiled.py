"""The compiled form of a profile says what `standards.assess` says."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observed_cameras import GOOD, NOW, camera, missed, rtsp_only, seen

from standards.assess import assess
from standards.assessment import Assessment
from standards.compiled import LETTERS, NO_REASON, CompiledProfile, Verdicts, plain
from standards.condition import Condition, Op
from standards.observation import Observations
from standards.pack import packaged
from standards.profile import StandardProfile
from standards.reason import Reason
from standards.rule import Case, Rule
from standards.verdict import Overlay, Severity, Verdict
from standards.waiver import Attestation, Waiver
from standards.wording import Text

pytestmark = pytest.mark.long

PACKS = packaged()
PROFILES = {standard: PACKS.profile(standard) for standard in PACKS.standards()}
COMPILED = {standard: CompiledProfile(profile) for standard, profile in PROFILES.items()}
LONG_AGO = NOW.replace(year=2025)
SCALARS = [None, True, False, 0, 1, 2, 25, 1080, 0.0, 14.9, -3.0, 1e9, float("inf"), float("nan"), "", "none"]
COMPOUND = [[], ["onvif"], ["rtsp", "onvif"], [1, 2], [{"name": "x"}], ["x"] * 300, {"name": "x"}]
ODD = st.sampled_from([*SCALARS, "onvif", "active", "VN", "H264", *COMPOUND]).map(seen)


def whole_and_compiled(
    profile: StandardProfile, compiled: CompiledProfile, observations: Observations, **more: Any
) -> tuple[Assessment, Verdicts]:
    """Judge the same observations both ways."""
    enrolled = more.pop("enrolled_at", LONG_AGO)
    whole = assess(observations, profile, as_of=NOW, enrolled_at=enrolled, **more)
    waived = {one.rule for one in more.get("waivers", ()) if one.active(NOW)}
    declared = more.get("attestations", ())
    lapsed = {one.rule for one in declared} - {one.rule for one in declared if one.active(NOW)}
    fast = compiled.judge(
        plain(observations), on_probation=NOW - enrolled < timedelta(days=30), waived=waived, lapsed=lapsed
    )
    return whole, fast


def agree(
    profile: StandardProfile, compiled: CompiledProfile, observations: Observations, **more: Any
) -> None:
    """Compare decision, verdict and reason of each rule, and what lowers."""
    whole, fast = whole_and_compiled(profile, compiled, observations, **more)
    assert fast.decision is whole.decision
    assert fast.counts == whole.counts
    letters = zip(fast.verdicts, fast.reasons, strict=True)
    said = dict(zip((rule.id for rule in profile.rules), letters, strict=True))
    for finding in whole.findings:
        letter, why = said[finding.rule.id]
        expected = LETTERS[finding.verdict]
        assert letter == (expected.upper() if finding.lowers else expected), finding.rule.id
        reason = None if why == NO_REASON else compiled.reasons[ord(why) - ord("A")]
        assert reason == (str(finding.reason) if finding.reason is not None else None), finding.rule.id


@pytest.mark.parametrize("standard", PROFILES)
def test_good_and_rtsp_only_cameras_and_one_of_which_nothing_is_known(standard: str) -> None:
    """Both forms agree on three plain cameras, on probation and after it."""
    for observations in (camera(), rtsp_only(), Observations()):
        for enrolled_at in (LONG_AGO, NOW):
            agree(PROFILES[standard], COMPILED[standard], observations, enrolled_at=enrolled_at)


@pytest.mark.parametrize("standard", ["vn-municipal-2026", "onvif-t", "technical"])
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_camera_gets_the_same_verdicts(standard: str, data: st.DataObject) -> None:
    """Facts of any kind, missing for any reason, waived and attested or lapsed: verdict, reason, decision agree."""
    rules = sorted(rule.id for rule in PROFILES[standard].rules)
    facts = data.draw(st.lists(st.sampled_from(sorted(GOOD)), unique=True, max_size=25))
    absent = st.sampled_from([missed(reason) for reason in Reason])
    changed = {fact: data.draw(st.one_of(ODD, absent)) for fact in facts}
    of_rules = st.lists(st.sampled_from(rules), unique=True, max_size=4)
    waivers = tuple(
        Waiver(rule, "x", "y", NOW - timedelta(days=40), NOW + timedelta(days=days))
        for rule in data.draw(of_rules)
        for days in [data.draw(st.sampled_from([-1, 5]))]
    )
    attestations = tuple(
        Attestation(rule, "a", "b", NOW - timedelta(days=40), NOW + timedelta(days=days))
        for rule in data.draw(of_rules)
        for days in [data.draw(st.sampled_from([-1, 5]))]
    )
    agree(
        PROFILES[standard],
        COMPILED[standard],
        camera(changed),
        waivers=waivers,
        attestations=attestations,
        enrolled_at=data.draw(st.sampled_from([LONG_AGO, NOW])),
    )


def _one_rule(condition: Condition, *, sound_when: Condition | None = None) -> StandardProfile:
    rule = Rule(
        id="CON-01", rev=1, title=Text("a", "a"), why=Text("a", "a"), severity=Severity.BLOCKER, observable="A0",
        probe="x", cases=(Case(expect=condition, sound_when=sound_when),),
    )  # fmt: skip
    return StandardProfile("one", "1", Text("a", "a"), Text("a", "a"), "", ("one 1",), (rule,))


LEAF = st.builds(
    Condition,
    op=st.sampled_from([one for one in Op if one not in (Op.ALL, Op.ANY)]),
    fact=st.sampled_from(["a", "b", "c"]),
    value=st.sampled_from([None, 1, 2.5, "x", True, (1, 2), ("x", "y"), ""]),
    than=st.sampled_from(["", "", "b"]),
    tolerance=st.sampled_from([0.0, 0.2]),
    absolute=st.booleans(),
)
INNER = st.builds(
    Condition,
    op=st.sampled_from([Op.EQ, Op.GT, Op.EXISTS]),
    item=st.sampled_from([None, "n"]),
    value=st.sampled_from([1, "x"]),
)
RANGE = st.builds(
    Condition, op=st.sampled_from([Op.ALL, Op.ANY]), fact=st.sampled_from(["a", "b"]), of=st.tuples(INNER)
)
TREE = st.recursive(
    st.one_of(LEAF, RANGE),
    lambda parts: st.builds(
        Condition, op=st.sampled_from([Op.ALL, Op.ANY]), of=st.lists(parts, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=6,
)
SEEN = st.one_of(ODD, st.sampled_from([seen([{"n": 1}, {"n": "x"}]), *(missed(reason) for reason in Reason)]))


@settings(max_examples=400, deadline=None)
@given(condition=TREE, sound=st.one_of(st.none(), TREE), facts=st.dictionaries(st.sampled_from("abc"), SEEN))
def test_any_condition_means_the_same(
    condition: Condition, sound: Condition | None, facts: dict[str, Any]
) -> None:
    """Every operator, joined and ranged in any way, over values of any kind."""
    profile = _one_rule(condition, sound_when=sound)
    agree(profile, CompiledProfile(profile), Observations(facts))


def test_a_rule_that_breaks_costs_that_rule() -> None:
    """A condition that raises is ERROR in both forms."""
    profile = _one_rule(Condition(Op.BETWEEN, fact="a", value=(1, 2, 3)))
    agree(profile, CompiledProfile(profile), Observations({"a": seen(1)}))
    assert CompiledProfile(profile).judge({"a": 1}).counts[str(Verdict.ERROR)] == 1


def test_a_waived_failure_keeps_its_verdict_and_lowers_nothing() -> None:
    """The letter stays that of the verdict; only the capital goes."""
    profile, compiled = PROFILES["vn-municipal-2026"], COMPILED["vn-municipal-2026"]
    observations = camera({"stream.main.fps": 5.0})
    waiver = Waiver("VQ-02", "x", "y", NOW - timedelta(days=1), NOW + timedelta(days=1))
    place = [rule.id for rule in profile.rules].index("VQ-02")
    _, before = whole_and_compiled(profile, compiled, observations)
    whole, after = whole_and_compiled(profile, compiled, observations, waivers=(waiver,))
    assert (before.verdicts[place], after.verdicts[place]) == ("F", "f")
    assert Overlay.WAIVED in whole.finding("VQ-02").overlays
