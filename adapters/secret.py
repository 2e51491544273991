"""Secrets have a type, and it prints dots."""

from dataclasses import dataclass, field
from typing import final


@final
class Secret:
    """A password or key. `str`, `repr`, `format` and pickling show dots; only `reveal` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text. Call it at the last moment, where bytes are made."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(•••)"

    def __str__(self) -> str:
        return "•••"

    def __format__(self, spec: str) -> str:
        return format("•••", spec)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __bool__(self) -> bool:
        return bool(self._text)


@dataclass(frozen=True, slots=True)
class Credential:
    """The account that the owner supplied. Nothing else is ever sent to a camera."""

    user: str
    password: Secret = field(default_factory=lambda: Secret(""))
