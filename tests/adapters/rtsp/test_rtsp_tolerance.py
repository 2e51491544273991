"""Tolerances: a closed list that is documented, counted and can be refused."""

import re
from pathlib import Path

import pytest

from adapters.rtsp.tolerance import Tolerance, Tolerances, Violation, excerpt_of

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "design" / "rtsp.md"


def test_every_tolerance_is_explained_in_the_design_document() -> None:
    """A name that appears in reports can be looked up, and the document names no other."""
    rows = [
        line for line in DOCUMENT.read_text().split("## Tolerances")[1].splitlines() if line.startswith("| `")
    ]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert named == {str(tolerance) for tolerance in Tolerance}


def test_tolerances_are_counted_and_sorted() -> None:
    """Reports get each name once."""
    tolerances = Tolerances()
    tolerances.note(Tolerance.MARKER_MISSING, 3)
    tolerances.note(Tolerance.BARE_LINE_FEED)
    assert tolerances.names == ("bare_line_feed", "marker_missing")
    assert tolerances.counts[Tolerance.MARKER_MISSING] == 3


def test_a_refused_one_raises_by_name() -> None:
    """Strictness is a policy, not an `if` in a parser."""
    with pytest.raises(Violation, match="marker_missing"):
        Tolerances(frozenset({Tolerance.MARKER_MISSING})).note(Tolerance.MARKER_MISSING)


def test_excerpts_are_bounded_and_printable() -> None:
    """Hostile bytes in an error message are short and harmless."""
    shown = excerpt_of(b"\x1b[31mred\r\n\\" + b"\xff" * 500)
    assert shown.startswith("\\x1b[31mred\\x0d\\x0a\\x5c\\xff")
    assert len(shown) < 400
    assert shown.isprintable()
