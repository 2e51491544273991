"""Linting own packs: all that is wrong, each with its line and the next step."""

from textwrap import dedent

import pytest

from standards.lint import lint
from standards.pack import PackError, packaged, packaged_with

HEAD = """\
id = "can-tho-2026"
version = "1.0.0"
in_force_from = "2026-12-01"
extends = "vn-municipal-2026"
title = { vi = "Cần Thơ 2026", en = "Can Tho 2026" }
summary = { vi = "Ví dụ", en = "Example" }
"""
RULE = """\
[[rule]]
id = "CON-30"
rev = 1
severity = "J"
observable = "A0"
probe = "x"
title = { vi = "a", en = "a" }
why = { vi = "a", en = "a" }
required = "x"
expect = { fact = "FACT", op = "gte", value = 1 }
remedy.owner = { vi = "a", en = "a" }
[[clause]]
doc = "HUB"
clause = "1"
certainty = "own"
rules = ["CON-30"]
"""


def told(**files: str) -> list[tuple[str, int, str, str]]:
    """All complaints about some files, by name without suffix."""
    texts = {f"{name}.toml": dedent(text) for name, text in files.items()}
    return [(one.file, one.line, one.message, one.hint) for one in lint(texts, packaged())]


def test_a_good_child_profile_and_a_good_rule_have_no_complaint() -> None:
    """What lint lets pass, the hub takes: the same files resolve."""
    profile = HEAD + 'select = ["CON-30"]\n[set.VQ-02]\nmin_fps = 20.0\n'
    files = {"p.toml": profile, "r.toml": RULE.replace("FACT", "reach.answers")}

    assert lint(files, packaged()) == []
    own = packaged_with(files).profile("can-tho-2026")
    assert own.rule("CON-30")
    assert own.rule("VQ-02").params["min_fps"].value == 20.0
    assert own.chain[-1] == "can-tho-2026 1.0.0"


@pytest.mark.parametrize(
    ("tail", "line", "message", "hint"),
    [
        ('select = ["VQ-99"]\n', 7, "no rule VQ-99", "Did you mean VQ-09?"),
        ('deselect = ["PRV-01"]\n', 7, "only be deselected by a named authority", "[authority] PRV-01"),
        ("[set.VQ-02]\nmin_fps = 4.0\n", 8, "looser than the floor 5.0", "[authority] VQ-02"),
        ("[set.VQ-01]\n\nmin_widht = 1280\n", 9, "no parameter min_widht (it has: min_width", ""),
        ('[set.TIM-02]\nmax_offset_s = "two"\n', 8, "takes a float, not 'two'", ""),
        ('[refine]\nXX-01 = "B"\n', 8, "names XX-01, which is not selected", ""),
        ('[refine]\nVQ-01 = "Z"\n', 7, "refine", "Severities are B, J, m and i"),
        ("colour = 1\n", 7, "colour: Extra inputs", ""),
        ("select = [\n", 8, "not TOML", ""),
    ],
)
def test_each_mistake_of_a_profile_is_named_with_its_line(
    tail: str, line: int, message: str, hint: str
) -> None:
    """A wrong piece of a profile is told where it stands, with what to do."""
    ((file, at, said, advice),) = told(own=HEAD + tail)

    assert file == "own.toml"
    assert at in (line, line - 1)  # the end of a file that breaks off counts as its last line
    assert message in said
    assert hint in advice


def test_one_mistake_hides_no_other() -> None:
    """A profile with three mistakes gets three complaints, in the order of their lines."""
    found = told(own=HEAD + 'select = ["VQ-99"]\n[set.VQ-02]\nmin_fps = 4.0\n[set.VQ-01]\nmin_widht = 1\n')

    assert [line for _, line, _, _ in found] == [7, 9, 11]


def test_a_circle_and_a_missing_parent_are_told() -> None:
    """Profiles that extend each other, or nothing that exists, are refused by name."""
    circle = told(
        a=HEAD.replace("can-tho-2026", "a").replace('extends = "vn-municipal-2026"', 'extends = "b"'),
        b=HEAD.replace("can-tho-2026", "b").replace('extends = "vn-municipal-2026"', 'extends = "a"'),
    )
    assert [(file, line) for file, line, _, _ in circle] == [("a.toml", 4), ("b.toml", 4)]
    assert all("extends itself through" in message for _, _, message, _ in circle)

    ((_, line, message, hint),) = told(own=HEAD.replace("vn-municipal-2026", "vn-municipal-2027"))
    assert (line, "does not exist" in message, hint) == (4, True, "Did you mean vn-municipal-2026?")


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"),
    [
        ("FACT", "reach.answrs", 10, "unknown fact 'reach.answrs'", "Did you mean reach.answers?"),
        ('op = "gte"', 'op = "over"', 10, "unknown operator 'over'", ""),
        ("value = 1 ", 'param = "limit" ', 10, "undeclared parameter limit", ""),
        ('doc = "HUB"', 'doc = "ISO"', 13, "unknown document 'ISO'", ""),
        ('required = "x"', 'required = "{nothing.at.all}"', 9, "neither a fact nor a parameter", ""),
        ("CON-30", "CON-01", 2, "defined already, in the packs that are shipped", "never reused"),
    ],
)
def test_each_mistake_of_a_rule_is_named_with_its_line(
    old: str, new: str, line: int, message: str, hint: str
) -> None:
    """A wrong rule is told where it stands."""
    ((_, at, said, advice),) = told(own=RULE.replace(old, new).replace("FACT", "reach.answers"))

    assert (at, message in said, hint in advice) == (line, True, True), said


def test_what_is_neither_is_refused_by_both() -> None:
    """A TOML file that is neither rules nor a profile is a complaint, and no pack."""
    ((_, line, message, _),) = told(own="x = 1\n")

    assert (line, message) == (1, "this is neither a rule file nor a profile")
    with pytest.raises(PackError):
        packaged_with({"own.toml": "x = 1\n"})
