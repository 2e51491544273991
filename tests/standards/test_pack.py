"""Rule packs: what ships is whole, and what is wrong is refused with its place."""

import re

import pytest

from standards.pack import PackError, Packs, UnknownStandard, packaged
from standards.packaged import packaged_texts
from standards.reason import Reason
from standards.rule import GROUPS
from standards.verdict import Severity, Verdict
from standards.words import REASON_WORDS, detail_in

RULE = """
[document.HUB]
title = "camhub"
edition = "own"
[[rule]]
id = "TIM-02"
rev = 1
severity = "J"
observable = "A0"
probe = "GetSystemDateAndTime"
title = { vi = "Đồng hồ", en = "Clock" }
why = { vi = "Vì", en = "Because" }
expect = { fact = "time.offset_s", op = "lte", param = "max_offset_s", absolute = true }
required = { vi = "không quá {max_offset_s} s", en = "within {max_offset_s} s" }
params.max_offset_s = { value = 5.0, unit = "s", floor = 60.0, stricter = "lower" }
remedy.owner = { vi = "Bật NTP", en = "Enable NTP" }
[[clause]]
doc = "HUB"
clause = "5 s"
certainty = "own"
rules = ["TIM-02"]
"""
PROFILE = """
id = "mine"
version = "1.0.0"
in_force_from = "2026-11-01"
title = { vi = "Của tôi", en = "Mine" }
summary = { vi = "Thử", en = "Trial" }
select = ["TIM-02"]
"""


def parse(rule: str = RULE, *profiles: str) -> Packs:
    return Packs.parse({"r.toml": rule}, {f"p{n}.toml": text for n, text in enumerate(profiles)})


def test_shipped_rules_are_whole() -> None:
    """Every shipped rule has both languages, a sentence for PASS and FAIL, a remedy, a reference, and known words."""
    packs = packaged()

    assert len(packs.rules) >= 35
    for rule in packs.rules.values():
        assert rule.group in GROUPS
        told = {message.verdict for message in rule.messages}
        assert {Verdict.PASS, Verdict.FAIL} <= told, rule.id
        for verdict in told:
            last = [message for message in rule.messages if message.verdict is verdict][-1]
            assert last.when is None or verdict is Verdict.NOT_CHECKED, (
                f"{rule.id}: {verdict} always needs a sentence"
            )
        assert all((rule.remediation, rule.references, rule.required)), rule.id
        for text in [
            rule.title,
            rule.why,
            rule.required,
            *rule.remediation.values(),
            *(m.text for m in rule.messages),
        ]:
            assert all((text.vi.strip(), text.en.strip()))
            assert not re.search(r"vui lòng|rất tiếc|không hợp lệ|thất bại|anh/chị", text.vi.lower()), rule.id
        for reference in rule.references:
            assert reference.certainty in {"text", "secondary", "unconfirmed", "own"}


def test_shipped_profiles_are_these() -> None:
    """All profiles of the plan ship; donated extends base, municipal donated, a province municipal; reading order holds."""
    packs = packaged()

    assert packs.standards() == (
        "base",
        "en303645-observable",
        "gb28181-2022",
        "iec62676-4-2014",
        "iec62676-4-2025",
        "ndaa889",
        "onvif-g",
        "onvif-m",
        "onvif-s-legacy",
        "onvif-t",
        "qcvn11-2026-observable",
        "technical",
        "thanh-hoa-2026",
        "vn-donated-2026",
        "vn-municipal-2026",
    )
    assert len(packs.rules) == 89
    assert {rule.id for rule in packs.profile("vn-municipal-2026").rules} == set(packs.rules)
    province = packs.profile("thanh-hoa-2026")
    assert [step.split()[0] for step in province.chain] == [
        "base",
        "vn-donated-2026",
        "vn-municipal-2026",
        "thanh-hoa-2026",
    ]
    donated = packs.profile("vn-donated-2026")
    assert [step.split()[0] for step in donated.chain] == ["base", "vn-donated-2026"]
    assert {rule.id for rule in packs.profile("base").rules} < {rule.id for rule in donated.rules}
    for standard in packs.standards():
        places = [rule.place for rule in packs.profile(standard).rules]
        assert places == sorted(places)
        assert not packs.profile(standard).loosened
    technical = packs.profile("technical")
    assert not [rule.id for rule in technical.rules if rule.over_time or "D" in rule.observable.split("+")]
    assert technical.rule("STR-03").params["runs"].value == 1
    assert donated.rule("STR-03").params["runs"].value == 3


def test_every_reason_has_words() -> None:
    """Every reason of the closed list is said in both languages."""
    assert set(REASON_WORDS) == set(Reason)
    assert all(text.vi and text.en for text in REASON_WORDS.values())


def test_adapters_sentences_are_said_in_vietnamese_where_their_form_is_known() -> None:
    """The time-out of a step is said in Vietnamese with the step and the seconds; an unknown form stays as it is."""
    told = detail_in("vi", "RTSP OPTIONS of 10.0.0.5:554: no answer in 3.0 s")

    assert told == "10.0.0.5:554 không trả lời bước RTSP OPTIONS trong 3,0 giây"
    assert detail_in("vi", "strange") == detail_in("en", "strange") == "strange"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("time.offset_s", "time.offset"), "unknown fact 'time.offset'"),
        (('op = "lte"', 'op = "eval"'), "unknown operator 'eval'"),
        (('param = "max_offset_s", ', 'param = "max", '), "undeclared parameter max"),
        (('severity = "J"', 'severity = "X"'), "'X' is not a valid Severity"),
        (('{max_offset_s} s", en', '{max_offset} s", en'), "{max_offset} is neither a fact nor a parameter"),
        (
            ('en = "within {max_offset_s} s"', 'en = "within {max_offset_s|round} s"'),
            "unknown filter 'round'",
        ),
        (('en = "within {max_offset_s} s"', 'en = "within 5 s"'), "name different values"),
        (('doc = "HUB"', 'doc = "ISO"'), "unknown document 'ISO'"),
        (("rev = 1", "rev = 1\ncode = 'x'"), "rule.0.code"),
        (('observable = "A0"', 'observable = "Z"'), "rule.0.observable"),
        (("floor = 60.0", "floor = 2.0"), "starts below its own floor"),
        (("rev = 1", "rev = = 1"), "not TOML"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(change: tuple[str, str], named: str) -> None:
    """A pack with one fault is refused whole; the error names the file and the fault."""
    assert change[0] in RULE
    with pytest.raises(PackError) as refused:
        parse(RULE.replace(*change))

    assert "r.toml" in str(refused.value)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ('deselect = ["VQ-01"]', "VQ-01, which is not selected"),
        ("[set.TIM-02]\nmax_offset = 1.0", "no parameter max_offset"),
        ('[set.TIM-02]\nmax_offset_s = "much"', "takes a float"),
        ("[set.TIM-02]\nmax_offset_s = 90.0", "looser than the floor"),
        ('[refine]\nTIM-03 = "m"', "TIM-03, which is not selected"),
        ('extends = "nothing"', "extends 'nothing'"),
        ('extends = "mine"', "extends itself through mine"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_place(more: str, named: str) -> None:
    """A profile that names what is not there, or loosens below a floor without an authority, is refused."""
    text = (
        PROFILE + more
        if more.startswith(("[", "deselect"))
        else PROFILE.replace("select", f"{more}\nselect", 1)
    )
    with pytest.raises(PackError, match="mine") as refused:
        parse(RULE, text)

    assert named in str(refused.value)


def test_a_child_tightens_freely_and_loosens_only_by_authority() -> None:
    """Tightening needs nobody; loosening below the floor names its authority and is kept for the report."""
    child = PROFILE.replace('"mine"', '"child"').replace('select = ["TIM-02"]', 'extends = "mine"')
    tight = parse(RULE, PROFILE, child + "[set.TIM-02]\nmax_offset_s = 1.0\n[refine]\nTIM-02 = 'B'").profile(
        "child"
    )
    loose = parse(
        RULE, PROFILE, child + "[set.TIM-02]\nmax_offset_s = 90.0\n[authority]\nTIM-02 = 'Sở Công an'"
    ).profile("child")

    assert tight.rules[0].params["max_offset_s"].value == 1.0
    assert tight.rules[0].severity is Severity.BLOCKER
    assert tight.loosened == ()
    assert loose.loosened[0].authority == "Sở Công an"
    assert loose.identity()["loosened"][0]["value"] == 90.0


def test_the_hash_pins_the_resolved_content() -> None:
    """The same content has the same hash; one changed limit has another."""
    same = [parse(RULE, PROFILE).profile("mine").hash for _ in range(2)]
    other = parse(RULE, PROFILE + "[set.TIM-02]\nmax_offset_s = 4.0").profile("mine").hash

    assert same[0] == same[1] != other


def test_unknown_standard_names_those_that_exist() -> None:
    """Asking for a standard that does not exist names those that do."""
    with pytest.raises(UnknownStandard, match="technical"):
        packaged().profile("tecnical")


def test_shipped_files_are_found_in_the_package() -> None:
    """Rules, profiles and the list of defaults are files of the package."""
    assert "tim.toml" in packaged_texts("rules")
    assert "technical.toml" in packaged_texts("profiles")
    assert "factory_defaults.txt" in packaged_texts("data", ".txt")


def test_every_limit_has_a_name_for_people() -> None:
    """No shipped limit is shown by its technical name alone; a name of one rule goes before the shared one."""
    rules = packaged().rules

    for rule in rules.values():
        titles = rule.as_json()["param_titles"]
        assert set(titles) == set(rule.params), rule.id
        assert all(one["vi"] and one["en"] for one in titles.values())
    assert rules["CON-05"].params["min_ratio"].title != rules["CON-07"].params["min_ratio"].title
    assert rules["CON-07"].refined(severity=None, values={"min_ratio": 0.99}).params["min_ratio"].title
