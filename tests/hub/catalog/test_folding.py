"""Folding Vietnamese for search and sorting."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalog.folding import exact, fold, sort_key, terms

VIETNAMESE = "aàảãáạăằẳẵắặâầẩẫấậbcdđeèẻẽéẹêềểễếệghiìỉĩíịklmnoòỏõóọôồổỗốộơờởỡớợpqrstuùủũúụưừửữứựvxyỳỷỹýỵ"


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("Đông", "dong"),
        ("ĐƯỜNG  Nguyễn Huệ", "duong nguyen hue"),
        ("Ủy ban", "uy ban"),
        ("phở ", "pho"),
        ("", ""),
    ],
)
def test_marks_and_d_fold(typed: str, folded: str) -> None:
    """Accents go and đ is d, in either Unicode form."""
    assert fold(typed) == folded
    assert fold(unicodedata.normalize("NFD", typed)) == folded


def test_every_vietnamese_letter_folds_to_ascii() -> None:
    """No letter of the alphabet is left with a mark."""
    assert fold(VIETNAMESE).isascii()
    assert fold(VIETNAMESE.upper()) == fold(VIETNAMESE)


def test_names_sort_as_people_count() -> None:
    """Cổng 2 stands before Cổng 10."""
    assert sorted(["Cổng 10", "Cổng 2", "cong 1"], key=sort_key) == ["cong 1", "Cổng 2", "Cổng 10"]


@given(st.text(max_size=300))
def test_folding_is_stable(text: str) -> None:
    """Folding twice is folding once, and a query has at most eight words."""
    assert fold(fold(text)) == fold(text)
    assert exact(exact(text)) == exact(text)
    assert len(terms(text)) <= 8
