"""Known flaws of firmware, as data: read, checked, and matched against model and build. Pure, but for the shipped file.

A list says about which makers it speaks. Of others nothing is known, and nothing is claimed.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from standards.packaged import packaged_texts

MAX_ADVISORIES = 10_000
MAX_PATTERN = 200
CERTAINTIES = ("text", "secondary", "own")
# of versions such as V5.4.0 build 160530, or 2.800.0000016.0.R with build and a date behind a comma
_BUILD_SHORT = re.compile(r"(?i)\bbuild[ :_]*(\d{2})(\d{2})(\d{2})\b")
_BUILD_LONG = re.compile(r"(?i)\bbuild(?: date)?[ :_]*(20\d{2})-?(\d{2})-?(\d{2})\b")
# what a pattern may hold: letters, digits and the plainest wildcards, so that none can run long
_PLAIN = re.compile(r"[A-Za-z0-9 _./()\[\]-]*(?:\.\*)?")


class AdvisoriesError(ValueError):
    """A list that cannot be used: says where and why."""


@dataclass(frozen=True, slots=True)
class Range:
    """Models with the first and last build concerned."""

    models: re.Pattern[str]
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Advisory:
    """One published flaw."""

    id: str
    family: str
    published: date
    source: str
    certainty: str
    ranges: tuple[Range, ...] = ()
    unsure_before: date | None = None

    def concerns(self, model: str, built: date | None) -> bool | None:
        """Tell whether a device is concerned; None where its model or version does not tell."""
        hits = [one for one in self.ranges if one.models.fullmatch(model)]
        if hits and built is not None:
            return any(one.first <= built <= one.last for one in hits)
        if hits:
            return None
        if self.unsure_before is not None and (built is None or built < self.unsure_before):
            return None
        return False


@dataclass(frozen=True, slots=True)
class Advisories:
    """One list."""

    issued: date
    families: frozenset[str]
    all: tuple[Advisory, ...] = ()

    def covers(self, family: str) -> bool:
        """Tell whether the list says anything about a maker."""
        return family in self.families

    def matching(
        self, family: str, model: str, built: date | None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the flaws that a device has, and those that it may have."""
        of_family = [(one.id, one.concerns(model, built)) for one in self.all if one.family == family]
        return (
            tuple(name for name, concerned in of_family if concerned is True),
            tuple(name for name, concerned in of_family if concerned is None),
        )


def firmware_build(firmware: str) -> date | None:
    """Return the day of the build that a firmware version names, None where it names none."""
    told = firmware[:200]
    found = _BUILD_LONG.search(told)
    parts = found.groups() if found else None
    if parts is None and (short := _BUILD_SHORT.search(told)):
        parts = (f"20{short[1]}", short[2], short[3])
    if parts is None:
        return None
    try:
        return date(int(parts[0]), int(parts[1]), int(parts[2]))
    except ValueError:
        return None


def parse(text: str, where: str = "advisories") -> Advisories:
    """Read a list.

    Raises:
        AdvisoriesError: it is not TOML, or an entry is wrong; names the entry and the field.
    """
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AdvisoriesError(f"{where}: {error}") from error
    unknown = told.keys() - {"issued", "families", "advisory"}
    if unknown:
        raise AdvisoriesError(f"{where}: unknown field {min(unknown)!r}")
    entries = told.get("advisory", [])
    if not isinstance(entries, list) or len(entries) > MAX_ADVISORIES:
        raise AdvisoriesError(f"{where}: advisory is a list of at most {MAX_ADVISORIES} tables")
    families = told.get("families", [])
    if not isinstance(families, list) or not all(isinstance(one, str) for one in families):
        raise AdvisoriesError(f"{where}: families is a list of names of makers")
    found = tuple(_advisory(one, f"{where}, advisory {index}") for index, one in enumerate(entries, 1))
    stray = {one.family for one in found} - set(families)
    if stray:
        raise AdvisoriesError(f"{where}: families does not name {min(stray)!r}")
    return Advisories(_date(told, "issued", where), frozenset(families), found)


@lru_cache(maxsize=1)
def shipped() -> Advisories:
    """Return the list that came with the program."""
    ((name, text),) = packaged_texts("advisories").items()
    return parse(text, name)


def _advisory(entry: Any, where: str) -> Advisory:
    if not isinstance(entry, Mapping):
        raise AdvisoriesError(f"{where}: not a table")
    known = {"id", "family", "published", "source", "certainty", "range", "unsure_before"}
    unknown = entry.keys() - known
    if unknown:
        raise AdvisoriesError(f"{where}: unknown field {min(unknown)!r}")
    texts = {}
    for name in ("id", "family", "source", "certainty"):
        value = entry.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > 300:
            raise AdvisoriesError(f"{where}: {name} is missing, or is not one line of text")
        texts[name] = value
    if texts["certainty"] not in CERTAINTIES:
        raise AdvisoriesError(f"{where}: certainty is one of {', '.join(CERTAINTIES)}")
    ranges = tuple(
        _range(one, f"{where}, range {index}") for index, one in enumerate(entry.get("range", ()), 1)
    )
    unsure = _date(entry, "unsure_before", where) if "unsure_before" in entry else None
    if not ranges and unsure is None:
        raise AdvisoriesError(f"{where}: neither range nor unsure_before says whom it concerns")
    return Advisory(
        texts["id"],
        texts["family"],
        _date(entry, "published", where),
        texts["source"],
        texts["certainty"],
        ranges,
        unsure,
    )


def _range(entry: Any, where: str) -> Range:
    if not isinstance(entry, Mapping) or entry.keys() != {"models", "first", "last"}:
        raise AdvisoriesError(f"{where}: models, first and last, and nothing else")
    models = entry["models"]
    if not isinstance(models, str) or len(models) > MAX_PATTERN or not _PLAIN.fullmatch(models):
        raise AdvisoriesError(f"{where}: models holds letters, digits, . for any sign and one .* at its end")
    first, last = _date(entry, "first", where), _date(entry, "last", where)
    if last < first:
        raise AdvisoriesError(f"{where}: last lies before first")
    try:
        return Range(re.compile(models, re.IGNORECASE), first, last)
    except re.error as error:
        raise AdvisoriesError(f"{where}: models is not a pattern: {error}") from error


def _date(entry: Mapping[str, Any], name: str, where: str) -> date:
    value = entry.get(name)
    if isinstance(value, datetime):
        return value.astimezone(UTC).date() if value.tzinfo else value.date()
    if not isinstance(value, date):
        raise AdvisoriesError(f"{where}: {name} is a day such as 2026-11-21")
    return value
