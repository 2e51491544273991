"""`camhub adapters`: adapters, makers and the page on them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import hub.cli.adapters as command
from adapters.registry import Registry
from hub.cli import main
from hub.cli.adapters_page import page

ROOT = Path(__file__).parents[3]


def camhub(*words: str) -> Result:
    return CliRunner().invoke(main, ["adapters", *words])


def test_list_names_each_adapter_with_schemes_ports_and_facts() -> None:
    """Every installed adapter stands with its schemes, default ports and the facts that it can observe."""
    told = camhub()

    assert told.exit_code == 0
    for word in (
        "onvif:// 80",
        "rtsp:// 554",
        "hikvision:// 80",
        "reolink:// 443",
        "rtsp.",
        "Makers",
        "viettel",
    ):
        assert word in told.stdout, word


def test_json_holds_adapters_and_makers() -> None:
    """Scripts get schemes with ports, facts, whether the library is there, and every maker with both languages."""
    told = json.loads(camhub("--json").stdout)
    by_name = {one["name"]: one for one in told["adapters"]}

    assert by_name["onvif"]["schemes"] == {"onvif": 80, "onvifs": 443}
    assert by_name["onvif"]["state"] == "installed"
    assert all(one["read_only"] for one in told["adapters"])
    assert told["failures"] == []
    assert {one["id"] for one in told["makers"]} >= {"tapo", "ezviz", "viettel"}


def test_a_missing_library_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter behind an extra says that it is not installed, and how to install it; probing says the same."""
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda _name: None)
    told = json.loads(camhub("--json").stdout)

    for name in ("reolink", "unifi"):
        one = next(one for one in told["adapters"] if one["name"] == name)
        assert (one["state"], one["install"]) == ("extra", f'pip install "camhub[{name}]"')
        with pytest.raises(Exception, match="cannot be loaded") as refused:
            Registry.installed().adapter(name)
        assert getattr(refused.value, "hint", "") == f'pip install "camhub[{name}]"'


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Tapo", ("onvif 2020", "Camera Account", "/stream1")),
        ("viettel", ("ask the operator", "no local or cloud interface", "unconfirmed")),
        ("iCSee", ("8899", "password inside the path")),
        ("Xiaomi", ("Route: none", "does not connect")),
    ],
)
def test_one_maker(name: str, words: tuple[str, ...]) -> None:
    """A maker's cameras: route, ports, what to switch on, which path, or why there is no route."""
    told = camhub("--vendor", name)
    text = " ".join(told.stdout.split()).lower()

    assert told.exit_code == 0
    for word in words:
        assert word.lower() in text, text


def test_one_maker_in_vietnamese_and_as_json() -> None:
    """The same in Vietnamese, and for scripts with its templates."""
    assert "Tài khoản camera" in " ".join(camhub("--vendor", "tapo", "--lang", "vi").stdout.split())
    told = json.loads(camhub("--vendor", "xmeye", "--json").stdout)
    assert [row["not_used"] is not None for row in told["templates"]] == [True, True]


def test_an_unknown_maker_ends_with_2_and_a_hint() -> None:
    """A name that the table does not know is refused by name."""
    told = camhub("--vendor", "Nobody")

    assert told.exit_code == 2
    assert "'Nobody'" in told.stderr
    assert "hint: " in told.stderr


def test_the_page_on_adapters_is_fresh() -> None:
    """docs/ref/adapters.md is what `camhub adapters --markdown` writes."""
    fresh = page(Registry.installed())

    assert (ROOT / "docs" / "ref" / "adapters.md").read_text() == fresh, (
        "write it anew: .venv/bin/camhub adapters --markdown > docs/ref/adapters.md"
    )
    assert camhub("--markdown").stdout == fresh
