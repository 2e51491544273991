"""Every fact that a rule looks at is supplied by somebody, or has its true reason in one named place."""

from pathlib import Path

import pytest

import hub
from hub.compliance.suppliers import DECLARATION, absence_of, suppliers_of, table
from standards.declaration import forms
from standards.facts import FACTS
from standards.pack import packaged

ROOT = Path(hub.__file__).parent.parent
RULES = packaged().rules.values()
ASKED = sorted({fact for rule in RULES for fact in rule.facts})


@pytest.mark.parametrize("fact", ASKED)
def test_fact_of_a_rule_is_supplied_or_has_its_reason(fact: str) -> None:
    """No rule waits for a fact that nobody brings without anybody saying so."""
    assert suppliers_of(fact) or absence_of(fact), f"{fact}: name its supplier in hub/compliance/suppliers.py"


def _says(module: str, fact: str) -> bool:
    """Tell whether a module's text, or that of another module of its folder, names a fact, or the last word of it."""
    path = ROOT / (module.replace(".", "/") + ".py")
    folder = "\n".join(one.read_text("utf-8") for one in path.parent.glob("*.py"))
    shared = "\n".join(one.read_text("utf-8") for one in (ROOT / "adapters/wire").glob("*.py"))
    word = fact.rpartition(".")[2]
    return any(form in folder + shared for form in (f'"{fact}"', f'"{word}"', f".{word}", f"claimed_{word}"))


@pytest.mark.parametrize(("fact", "suppliers"), table().items())
def test_table_of_suppliers_is_true(fact: str, suppliers: tuple[str, ...]) -> None:
    """Each named module exists, one of them at least names the fact, and each declared fact has its form."""
    modules = [one for one in suppliers if one != DECLARATION]
    assert (DECLARATION in suppliers) == (fact in forms())
    for one in modules:
        assert (ROOT / (one.replace(".", "/") + ".py")).is_file(), one
    assert not modules or any(_says(one, fact) for one in modules), f"none of {modules} names {fact}"


def test_nobody_supplies_a_fact_that_does_not_exist() -> None:
    """Reasons and forms are about facts of the vocabulary."""
    from hub.compliance import suppliers

    assert set(suppliers._ABSENT) <= set(FACTS)
    assert all(any(fact.startswith(prefix) for fact in FACTS) for prefix in suppliers._BY_PREFIX)
