"""`camhub standards`: the rule packs on the command line."""

import json

import pytest
from click.testing import CliRunner, Result

from hub.cli import main
from standards.pack import packaged


def camhub(*words: str) -> Result:
    return CliRunner().invoke(main, ["standards", *words])


def test_list_names_each_standard_with_its_rules_and_date() -> None:
    """Each standard stands on one line with version, number of rules and the day from which it is in force."""
    told = camhub("list")

    assert told.exit_code == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == list(packaged().standards())
    assert "2026-11-01" in told.stdout


def test_list_as_json_pins_the_content() -> None:
    """The JSON list carries id, version, content hash and both titles."""
    told = json.loads(camhub("list", "--json").stdout)

    assert {one["id"] for one in told} == set(packaged().standards())
    assert all(len(one["hash"]) == 64 and one["title"]["vi"] for one in told)


@pytest.mark.parametrize(("language", "word"), [("vi", "lệch không quá 5 s"), ("en", "within 5 s")])
def test_show_writes_each_rule_out(language: str, word: str) -> None:
    """A shown standard writes out each rule: severity, limit, how it is seen, clauses, remedies; 80 columns."""
    told = camhub("show", "technical", "--lang", language)

    assert told.exit_code == 0
    for rule in packaged().profile("technical").rules:
        assert f"\n{rule.id} (" in told.stdout
    assert word in told.stdout
    assert "{" not in told.stdout
    assert max(len(line) for line in told.stdout.splitlines() if "SHA-256" not in line) <= 100


def test_show_as_json_has_parameters_and_references() -> None:
    """The JSON form has every rule with parameters, references and both languages."""
    told = json.loads(camhub("show", "vn-donated-2026", "--json").stdout)

    assert told["chain"] == ["base 1.0.0", "vn-donated-2026 1.0.0"]
    clock = next(rule for rule in told["rule_list"] if rule["id"] == "TIM-02")
    assert clock["params"]["max_offset_s"]["value"] == 5.0
    assert clock["required_text"]["vi"] == "lệch không quá 5 s"
    assert clock["references"][0]["doc"] == "Decree 61/2026/ND-CP"


def test_an_unknown_standard_is_one_sentence_and_a_hint() -> None:
    """An unknown id ends with code 2, the known ids, and the command that lists them."""
    told = camhub("show", "technicl")

    assert told.exit_code == 2
    assert told.stderr.startswith("error: there is no standard 'technicl'; known: base, ")
    assert " technical," in told.stderr
    assert "hint: camhub standards list" in told.stderr
