"""`camhub standards`: the rule packs on the command line."""

import json
from pathlib import Path

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

    assert told["chain"] == ["base 1.2.0", "vn-donated-2026 1.3.0"]
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


def test_lint_names_file_line_and_next_step(tmp_path: Path) -> None:
    """A pack with mistakes ends with code 1, each with its line; a good one with 0; a missing one with 2."""
    pack = tmp_path / "own.toml"
    head = (
        'id = "own"\nversion = "1.0.0"\nin_force_from = "2026-12-01"\nextends = "technical"\n'
        'title = { vi = "Riêng", en = "Own" }\nsummary = { vi = "Riêng", en = "Own" }\n'
    )
    pack.write_text(head + "[set.VQ-02]\nmin_fps = 4.0\n", "utf-8")
    wrong = camhub("lint", str(pack))
    assert wrong.exit_code == 1
    assert f"{pack}:8: VQ-02 sets min_fps to 4.0, looser than the floor 5.0" in wrong.stdout
    assert "hint: [authority] VQ-02" in wrong.stdout

    pack.write_text(head + "[set.VQ-02]\nmin_fps = 20.0\n", "utf-8")
    right = camhub("lint", str(tmp_path))
    assert (right.exit_code, right.stdout) == (0, "1 file: nothing is wrong\n")

    missing = camhub("lint", str(tmp_path / "none.toml"))
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (2, True)


def test_show_takes_one_rule_and_prints_every_clause_with_its_dates() -> None:
    """A rule's id shows that rule alone, with the clauses of all documents mapped onto it, ended ones marked as such."""
    told = camhub("show", "SEC-03").stdout

    assert told.startswith("SEC-03 ")
    assert told.count("Clause:") == 4
    assert "QCVN 135:2024/BTTTT" in told
    assert "ends 2026-07-01" in " ".join(told.split())
    assert json.loads(camhub("show", "SEC-03", "--json").stdout)["id"] == "SEC-03"
