"""Sentences that the hub says, in Vietnamese (the source language) and English, as data in ``hub/locale``.

One file per kind: ``problem`` (RFC 9457 problems), ``step`` (onboarding steps), ``live`` (viewer sessions, health,
audit), ``statement`` (why a declaration, a waiver or an attestation is refused). A key that one language has and the
other lacks is an error when the texts are read.
"""

import json
import string
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

LANGUAGES = ("vi", "en")
KINDS = ("problem", "step", "live", "drift", "statement")

Both = dict[str, str]  # {"vi": ..., "en": ...}


class Texts:
    """All sentences of some kinds, flattened to dotted keys: ``unreachable.hint``, ``address.running``."""

    def __init__(self, by_language: Mapping[str, Mapping[str, str]]) -> None:
        self._by_language = MappingProxyType({name: dict(texts) for name, texts in by_language.items()})
        vietnamese, english = self._by_language["vi"], self._by_language["en"]
        lacking = vietnamese.keys() ^ english.keys()
        if lacking:
            raise ValueError(f"texts missing in one language: {', '.join(sorted(lacking))}")
        for key, text in vietnamese.items():
            if _names(text) - _names(english[key]) or _names(english[key]) - _names(text):
                raise ValueError(f"the texts of {key} do not use the same parameters in both languages")

    @classmethod
    def installed(cls, kinds: tuple[str, ...] = KINDS) -> "Texts":
        """Read the files that came with the program, those of some kinds."""
        by_language: dict[str, dict[str, str]] = {}
        for language in LANGUAGES:
            flat: dict[str, str] = {}
            for kind in kinds:
                told = json.loads((files("hub") / "locale" / language / f"{kind}.json").read_text("utf-8"))
                _flatten(kind, told, flat)
            by_language[language] = flat
        return cls(by_language)

    def has(self, key: str) -> bool:
        """Tell whether there is a text under this key."""
        return key in self._by_language["vi"]

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so, in the order of the file."""
        return [key for key in self._by_language["vi"] if key.startswith(prefix)]

    def say(self, key: str, language: str, params: Mapping[str, Any] | None = None) -> str:
        """Return one sentence. A parameter that is missing shows as "?".

        Raises:
            KeyError: there is no such text.
        """
        template = self._by_language[language if language in LANGUAGES else "vi"][key]
        return _fill(template, params or {})

    def template(self, key: str, language: str) -> str:
        """Return one sentence with its ``{parameters}`` unfilled, for documentation."""
        return self._by_language[language][key]

    def both(self, key: str, params: Mapping[str, Any] | None = None) -> Both:
        """Return one sentence in both languages. A parameter that is itself ``{"vi", "en"}`` is said in each."""
        return {language: self.say(key, language, _in(language, params or {})) for language in LANGUAGES}


def _in(language: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value[language] if isinstance(value, Mapping) and language in value else value
        for name, value in params.items()
    }


class _Formatter(string.Formatter):
    """Fills plain ``{name}`` fields only: no attribute, no index, no conversion reaches into a value."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        return kwargs.get(field_name, "?"), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return str(value)

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return value


def _fill(template: str, params: Mapping[str, Any]) -> str:
    return _Formatter().vformat(template, (), dict(params))


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def _flatten(prefix: str, told: Mapping[str, Any], into: dict[str, str]) -> None:
    for key, value in told.items():
        if isinstance(value, Mapping):
            _flatten(f"{prefix}.{key}", value, into)
        else:
            into[f"{prefix}.{key}"] = str(value)
