"""Remedies per maker and model: where the setting is that a rule asks for. Data with sources, beside the general remedies.

A rule says what helps on any camera; an entry here says where to find it on cameras of one family. Which family a camera
is of, it tells itself (``vendor.family``, else ``device.manufacturer``); an entry that does not surely fit is left out.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from standards.observation import Observation, Observed
from standards.pack import packaged
from standards.packaged import packaged_texts
from standards.wording import Text

_LONGEST = 200  # characters of a device's string that a pattern is tried on


class RemedyError(ValueError):
    """A file of remedies that cannot be used: names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class MakerRemedy:
    """Steps on cameras of one family, or of a few that share their firmware. `firmware_from` and `firmware_to` are inclusive, "" where open."""

    families: tuple[str, ...]
    maker: str
    rules: tuple[str, ...]
    who: str
    steps: tuple[Text, ...]
    source: str
    certainty: str
    model: str = ""
    firmware_from: str = ""
    firmware_to: str = ""

    def fits(self, observations: Mapping[str, Observation]) -> bool:
        """Tell whether a camera is surely of this family, model and firmware, by its own words."""
        family = _said(observations, "vendor.family")
        if family:
            if family not in self.families:
                return False
        elif not re.search(self.maker, _said(observations, "device.manufacturer")):
            return False
        if self.model and not re.search(self.model, _said(observations, "device.model")):
            return False
        if not self.firmware_from and not self.firmware_to:
            return True
        version = _version(_said(observations, "device.firmware"))
        if not version:
            return False
        newest = _version(self.firmware_to)
        return version >= _version(self.firmware_from) and (not newest or version[: len(newest)] <= newest)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON: who, the steps in both languages, and where they are from."""
        return {
            "families": list(self.families),
            "who": self.who,
            "steps": [step.as_json() for step in self.steps],
            "source": self.source,
            "certainty": self.certainty,
        }


def _said(observations: Mapping[str, Observation], fact: str) -> str:
    seen = observations.get(fact)
    return seen.value[:_LONGEST] if isinstance(seen, Observed) and isinstance(seen.value, str) else ""


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers of the first dotted version in a text: ``V5.7.3 build 220315`` is (5, 7, 3)."""
    found = re.search(r"\d{1,6}(?:\.\d{1,6})+", text)
    return tuple(int(part) for part in found.group(0).split(".")) if found else ()


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    vi: str = Field(min_length=1)
    en: str = Field(min_length=1)


class _Remedy(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    families: list[str] = Field(min_length=1)
    maker: str = Field(min_length=1)
    rules: list[str] = Field(min_length=1)
    who: Literal["owner", "installer", "hub"]
    steps: list[_Text] = Field(min_length=1)
    source: str = Field(min_length=1)
    certainty: Literal["doc", "code", "reported"]
    model: str = ""
    firmware_from: str = ""
    firmware_to: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    remedy: list[_Remedy]


def parse_remedies(files: Mapping[str, str], rules: Collection[str]) -> tuple[MakerRemedy, ...]:
    """Parse TOML texts by file name.

    Raises:
        RemedyError: not TOML, not in this form, an unknown rule, or a pattern that is none.
    """
    found: list[MakerRemedy] = []
    for name, text in sorted(files.items()):
        try:
            told = _File.model_validate(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise RemedyError(f"{name}: {error}") from error
        for place, one in enumerate(told.remedy):
            unknown = set(one.rules) - set(rules)
            if unknown:
                raise RemedyError(f"{name}: remedy {place + 1}: no rule {min(unknown)}")
            try:
                for pattern in (one.maker, one.model):
                    re.compile(pattern)
            except re.error as error:
                raise RemedyError(f"{name}: remedy {place + 1}: {error}") from error
            fields = one.model_dump(exclude={"rules", "steps", "families"})
            steps = tuple(Text(step.vi, step.en) for step in one.steps)
            found.append(
                MakerRemedy(families=tuple(one.families), rules=tuple(one.rules), steps=steps, **fields)
            )
    return tuple(found)


@lru_cache(maxsize=1)
def packaged_remedies() -> tuple[MakerRemedy, ...]:
    """Return the remedies that the program ships, parsed once."""
    return parse_remedies(packaged_texts("remedies"), packaged().rules)
