"""`camhub check --declare FILE`: what people state about a camera, from a TOML or JSON file (docs/ref/declarations.md)."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

from hub.compliance.attachments import MAX_BYTES, attachment
from hub.compliance.refused import StatementRefused
from hub.texts import Texts
from standards.declaration import Declaration, DeclarationRefused, declaration
from standards.observation import Observation, Observations

MAX_FILE = 256 * 1024
MAX_DECLARATIONS = 200
VIETNAM = timezone(timedelta(hours=7))
_COMMON = frozenset({"author", "role", "date", "valid_until"})
_OWN = frozenset({"fact", "value", "attachment"}) | _COMMON
_ENTRY = re.compile(r"^[ \t]*\[\[\s*declaration\s*\]\]", re.MULTILINE)


class DeclarationsUnreadable(Exception):
    """The file cannot be used; the message names the file, the line where it is known, the field and the reason."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the file something stands."""

    path: Path
    line: int | None
    field: str

    def __str__(self) -> str:
        parts = [str(self.path) if self.line is None else f"{self.path}:{self.line}", self.field]
        return ": ".join(part for part in parts if part)


def read_declarations(path: Path, now: datetime, language: str) -> Observations:
    """Read a file of declarations and return what they are worth now, as observations.

    Attachments are read next to the file, checked by their content and hashed; they are sent nowhere.

    Raises:
        DeclarationsUnreadable: the file or one of its entries cannot be used.
    """
    texts = Texts.installed(("statement",))

    def refuse(place: _Place, why: str, **params: Any) -> DeclarationsUnreadable:
        said = texts.both(f"statement.why.{why}", params)[language]
        return DeclarationsUnreadable(f"{place}: {said}")

    whole = _Place(path, None, "")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
        if len(raw) > MAX_FILE:
            raise refuse(whole, "file_unreadable", cause=f"> {MAX_FILE} B")
        text = raw.decode("utf-8")
    except OSError as error:
        raise refuse(whole, "file_unreadable", cause=error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise refuse(whole, "file_unreadable", cause="not UTF-8") from error
    is_json = path.suffix.lower() == ".json"
    try:
        told = json.loads(text) if is_json else tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise refuse(_Place(path, error.lineno, ""), "file_json", cause=error.msg) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"line (\d+)", str(error))
        place = _Place(path, int(found.group(1)) if found else None, "")
        raise refuse(place, "file_toml", cause=str(error)) from error
    lines = [] if is_json else [text.count("\n", 0, one.start()) + 1 for one in _ENTRY.finditer(text)]
    if not isinstance(told, Mapping):
        raise refuse(whole, "file_shape", cause="a table is expected")
    unknown = sorted(set(told) - _COMMON - {"declaration"})
    if unknown:
        raise refuse(_Place(path, None, str(unknown[0])[:60]), "file_shape", cause="unknown key")
    entries = told.get("declaration")
    if not isinstance(entries, list) or not entries or len(entries) > MAX_DECLARATIONS:
        raise refuse(
            _Place(path, None, "declaration"), "file_shape", cause=f"[[declaration]], 1-{MAX_DECLARATIONS}"
        )
    facts: dict[str, Observation] = {}
    for index, entry in enumerate(entries):
        line = lines[index] if index < len(lines) else None
        where = f"declaration[{index}]"
        if not isinstance(entry, Mapping) or set(entry) - _OWN:
            odd = min(set(entry) - _OWN) if isinstance(entry, Mapping) else ""
            raise refuse(_Place(path, line, f"{where}.{odd}".rstrip(".")), "file_shape", cause="unknown key")
        try:
            stated = _declaration({**{key: told[key] for key in _COMMON if key in told}, **entry}, path, now)
        except (DeclarationRefused, StatementRefused) as error:
            raise refuse(_Place(path, line, f"{where}.{error.field}"), error.why, **error.params) from error
        if stated.fact in facts:
            raise refuse(_Place(path, line, f"{where}.fact"), "twice", fact=stated.fact)
        facts[stated.fact] = stated.observation(now, peer=str(path.name))
    return Observations(facts)


def _declaration(told: Mapping[str, Any], path: Path, now: datetime) -> Declaration:
    name = told.get("attachment", "")
    digest = ""
    if name:
        file = path.parent / str(name)
        try:
            with file.open("rb") as paper:
                content = paper.read(MAX_BYTES + 1)
        except OSError as error:
            cause = error.strerror or type(error).__name__
            raise StatementRefused("attachment", "attachment_missing", name=str(name), cause=cause) from error
        digest = attachment(file.name, content).sha256
    until = _moment(told.get("valid_until"), "valid_until")
    return declaration(
        str(told.get("fact", "")),
        told.get("value"),
        author=str(told.get("author", "")),
        role=str(told.get("role", "")),
        declared=_moment(told.get("date"), "date"),
        valid_until=until + timedelta(days=1)
        if until is not None and _is_day(told["valid_until"])
        else until,
        now=now,
        attachment_sha256=digest,
    )


def _is_day(value: Any) -> bool:
    return (isinstance(value, date) and not isinstance(value, datetime)) or (
        isinstance(value, str) and len(value) == len("2026-11-21")
    )


def _moment(value: Any, field: str) -> datetime | None:
    """Return a day's beginning in Vietnam, or a moment; TOML gives dates, JSON text."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            value = date.fromisoformat(value) if _is_day(value) else datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo is not None else value.replace(tzinfo=VIETNAM)
        if isinstance(value, date):
            return datetime.combine(value, time(), VIETNAM)
    except ValueError:
        pass
    wanted = {"vi": "một ngày dạng NĂM-THÁNG-NGÀY", "en": "a date as YEAR-MONTH-DAY"}
    raise DeclarationRefused(field, "value_kind", fact=field, wanted=wanted)
