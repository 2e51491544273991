"""Folding for search and sorting: Vietnamese without its marks, numbers in counting order."""

import re
import unicodedata

_BLANK = re.compile(r"\s+")
_NUMBER = re.compile(r"\d+")
_D = str.maketrans({"đ": "d", "Đ": "d"})  # a letter of its own in Unicode, no mark to strip


def exact(text: str) -> str:
    """Return the text in one form (NFC, lower case, single blanks) that keeps accents."""
    return _BLANK.sub(" ", unicodedata.normalize("NFC", text).casefold()).strip()


def fold(text: str) -> str:
    """Return the text without accents, đ as d, lower case, single blanks: ``Đông`` and ``dong`` are the same."""
    apart = unicodedata.normalize("NFKD", text.translate(_D))
    bare = "".join(char for char in apart if not unicodedata.combining(char))
    return _BLANK.sub(" ", bare.casefold().translate(_D)).strip()


def sort_key(text: str) -> str:
    """Return a key by which names sort as people read: accents aside, "Cổng 2" before "Cổng 10"."""
    return _NUMBER.sub(lambda number: number[0].lstrip("0").zfill(10), fold(text))[:200]


def terms(text: str, most: int = 8) -> tuple[str, ...]:
    """Return the folded words to look for, at most `most` of the first 200 characters."""
    return tuple(fold(text[:200]).split()[:most])
