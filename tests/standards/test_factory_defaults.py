"""Factory defaults: recognised offline, from hashes."""

import re

import pytest

from standards.factory_defaults import is_factory_default
from standards.packaged import packaged_texts


@pytest.mark.parametrize(
    ("user", "password"),
    [("admin", "admin"), ("Admin", "12345"), ("admin", ""), ("root", "pass"), ("888888", "888888")],
)
def test_well_known_defaults_are_recognised(user: str, password: str) -> None:
    """A pair that makers ship is recognised, whatever the case of the user name."""
    assert is_factory_default(user, password)


@pytest.mark.parametrize(
    ("user", "password"), [("admin", "Tre-xanh-27"), ("hub", "12345"), ("admin", "ADMIN"), ("", "")]
)
def test_other_pairs_are_not(user: str, password: str) -> None:
    """A pair that no maker ships is not on the list; passwords count exactly."""
    assert not is_factory_default(user, password)


def test_no_readable_password_ships() -> None:
    """The list is hashes and one comment, nothing else."""
    lines = packaged_texts("data", ".txt")["factory_defaults.txt"].splitlines()

    assert lines[0].startswith("#")
    assert all(re.fullmatch(r"[0-9a-f]{32}", line) for line in lines[1:])
    assert lines[1:] == sorted(set(lines[1:]))
