"""Texts in two languages, and how values are written in them.

A template names values in braces: ``{time.offset_s|abs|0}``. The filters are a closed list: ``abs``, ``neg``, a
number of decimals ``0`` to ``3``, ``percent``. What was not observed is written as a dash, never as a guess.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from standards.observation import Value

LANGUAGES = ("vi", "en")
_HOLE = re.compile(r"\{([A-Za-z][\w.]*)((?:\|[a-z0-9]+)*)\}")
FILTERS = frozenset({"abs", "neg", "percent", "0", "1", "2", "3"})
_LONGEST = 160
# Words that facts of closed lists use (standards/facts.py), as Vietnamese says them.
_VALUE_WORDS_VI = {
    "answered": "có trả lời",
    "refused": "từ chối",
    "none": "không có",
    "same": "trùng",
    "rewritten": "đã thay",
    "not_needed": "không cần",
    "active": "còn hiệu lực",
    "missing": "chưa có",
    "withdrawn": "đã rút lại",
    "expired": "đã hết hạn",
    "Manual": "đặt tay",
    "default": "mật khẩu xuất xưởng",
    "untold": "không nói",
    "risk": "mật khẩu yếu",
    "ok": "đạt",
    "administrator": "quản trị",
    "operator": "vận hành",
    "user": "chỉ xem",
    "other": "khác",
    "continuous": "liên tục",
    "event": "khi có sự kiện",
    "scheduled": "theo lịch",
    "mixed": "nhiều kiểu",
    "in_band": "trong luồng hình",
    "both": "SDP và trong luồng hình",
    "sdp": "SDP",
}
_YES_NO = {"vi": ("có", "không"), "en": ("yes", "no")}
_NOTHING = {"vi": "không có", "en": "none"}  # an empty list was seen; a dash says that nothing was


@dataclass(frozen=True, slots=True)
class Text:
    """One text in Vietnamese (the source language) and English."""

    vi: str
    en: str

    def in_language(self, language: str) -> str:
        """Return the text in ``vi`` or ``en``."""
        return self.vi if language == "vi" else self.en

    def as_json(self) -> dict[str, str]:
        """Return both as plain JSON."""
        return {"vi": self.vi, "en": self.en}

    def __bool__(self) -> bool:
        return bool(self.vi or self.en)


EMPTY = Text("", "")


def holes(template: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the (name, filters) pairs that a template asks for, in order."""
    return tuple(
        (match[1], tuple(part for part in match[2].split("|") if part)) for match in _HOLE.finditer(template)
    )


def check_template(template: str) -> None:
    """Check a template's braces and filters.

    Raises:
        ValueError: a brace without a partner, or an unknown filter; names it.
    """
    rest = _HOLE.sub("", template)
    if "{" in rest or "}" in rest:
        raise ValueError(f"a brace in {template!r} belongs to no {{name}}")
    for name, filters in holes(template):
        unknown = [word for word in filters if word not in FILTERS]
        if unknown:
            raise ValueError(f"{{{name}}} uses the unknown filter {unknown[0]!r}; known: {sorted(FILTERS)}")


def fill(template: str, look_up: Callable[[str], Value], language: str) -> str:
    """Fill the holes of a template with values written for a language."""

    def one(match: re.Match[str]) -> str:
        value = look_up(match[1])
        for word in match[2].split("|")[1:]:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            if word == "abs":
                value = abs(value)
            elif word == "neg":
                value = -value
            elif word == "percent":
                return number(value * 100, language, 1) + "%"
            else:
                return number(value, language, int(word))
        return written(value, language)

    return _HOLE.sub(one, template)


def number(value: float, language: str, decimals: int | None = None) -> str:
    """Write a number: decimal comma and thousands dot in Vietnamese; `decimals` at most, no trailing zeros.

    Thousands are set apart from five digits on, so that 1280 stays a picture width.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    grouped = "," if abs(value) >= 10_000 else ""
    if isinstance(value, int):
        text = f"{value:{grouped}}"
    else:
        places = (
            decimals if decimals is not None else (0 if abs(value) >= 1000 else 2 if abs(value) >= 0.1 else 3)
        )
        text = f"{value:{grouped}.{places}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        if text == "-0":
            text = "0"
    if language == "vi":
        text = text.translate(str.maketrans(",.", ".,"))
    return text


def written(value: Value, language: str) -> str:
    """Write any fact's value for people, at most 160 characters, without control characters."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _YES_NO[language][0 if value else 1]
    if isinstance(value, (int, float)):
        return number(value, language)
    if isinstance(value, tuple):
        text = ", ".join(written(item, language) for item in value) or _NOTHING[language]
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key} {written(item, language)}" for key, item in sorted(value.items()))
    else:
        plain = "".join(char if char.isprintable() else " " for char in value).strip() or "–"
        text = _VALUE_WORDS_VI.get(plain, plain) if language == "vi" else plain
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
