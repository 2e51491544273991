"""Reading the data files of this room: each value is checked, and a mistake names file, row and field."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

CERTAINTIES = ("code", "doc", "reported", "unconfirmed")


class VendorDataError(ValueError):
    """A data file of this room does not fit; the message names file, row and field."""


def packaged(name: str) -> Mapping[str, Any]:
    """Return one data file of this package."""
    return tomllib.loads(resources.files("adapters.vendors").joinpath(name).read_text("utf-8"))


class Row:
    """One table of a data file, read field by field; what was not read at the end is a mistake."""

    def __init__(self, told: Mapping[str, Any], where: str) -> None:
        self._left = dict(told)
        self._where = where

    def text(self, name: str, *, one_of: tuple[str, ...] = (), default: str | None = None) -> str:
        """Take a text; without `default` it has to be there."""
        value = self._left.pop(name, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.wrong(name, "is not a text")
        if one_of and value not in one_of:
            raise self.wrong(name, f"is not one of {', '.join(one_of)}")
        return value

    def number(self, name: str, low: int, high: int) -> int:
        """Take a whole number within bounds."""
        value = self._left.pop(name, None)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"is not a whole number from {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        """Take a truth value, false where it is absent."""
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "is neither true nor false")
        return value

    def texts(self, name: str, *, one_of: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Take a list of texts, empty where it is absent."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self.wrong(name, "is not a list of texts")
        for one in value:
            if one_of and one not in one_of:
                raise self.wrong(name, f"names {one!r}, which is not one of {', '.join(one_of)}")
        return tuple(value)

    def table(self, name: str) -> Mapping[str, Any]:
        """Take a table, empty where it is absent."""
        value = self._left.pop(name, {})
        if not isinstance(value, Mapping):
            raise self.wrong(name, "is not a table")
        return value

    def ended(self) -> None:
        """Refuse fields that nobody reads."""
        if self._left:
            raise self.wrong(min(self._left), "is not a field of this table")

    def wrong(self, name: str, said: str) -> VendorDataError:
        """Return the error for one field."""
        return VendorDataError(f"{self._where}: {name} {said}")
