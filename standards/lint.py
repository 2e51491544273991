"""Checks rule packs for the people who write them: everything that is wrong, each with file, line and next step.

`Packs.parse` refuses a pack at the first error; this looks on. Pure: texts in, complaints out.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from standards.facts import FACTS
from standards.pack import (
    RULE_PARTS,
    PackError,
    Packs,
    ProfileFile,
    RuleFile,
    documents_of,
    profile_source,
    reference_of,
    rule_of,
)
from standards.profile import ProfileError, ProfileSource, StandardProfile, resolve
from standards.rule import Document, Reference, Rule
from standards.wording import EMPTY

_File = TypeVar("_File", RuleFile, ProfileFile)


@dataclass(frozen=True, slots=True, order=True)
class Complaint:
    """One thing that is wrong. `line` counts from 1; `hint` is the next step, "" where the message says it."""

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def lint(files: Mapping[str, str], known: Packs) -> list[Complaint]:
    """Return all that is wrong with some pack files on top of the packs that are known, by file and line."""
    found: list[Complaint] = []
    rules: dict[str, Rule] = dict(known.rules)
    documents: dict[str, Document] = {
        one.document.key: one.document for rule in known.rules.values() for one in rule.references
    }
    parsed = {name: _toml(name, text, found) for name, text in sorted(files.items())}
    sources: dict[str, tuple[str, ProfileSource]] = {}
    told = {
        name: file
        for name, data in parsed.items()
        if data is not None
        and data.keys() & RULE_PARTS
        and (file := _checked(name, files[name], data, RuleFile, found)) is not None
    }
    for file in told.values():
        documents |= documents_of(file)
    cited: dict[str, list[Reference]] = {one.id: [] for file in told.values() for one in file.rule}
    for name, file in told.items():
        found += _clauses(name, files[name], file, documents=documents, cited=cited, known=known)
    for name, file in told.items():
        found += _rules(name, files[name], file, cited=cited, rules=rules, known=known)
    for name, data in parsed.items():
        if data is None or data.keys() & RULE_PARTS:
            continue
        text = files[name]
        if "id" in data:
            profile = _checked(name, text, data, ProfileFile, found)
            if profile is not None:
                source = _source(name, text, profile, found)
                if source is not None and (source.id in sources or source.id in known.sources):
                    where = sources[source.id][0] if source.id in sources else "the packs that are shipped"
                    message = f"the profile {source.id} is defined twice (also in {where})"
                    found.append(Complaint(name, locate(text, ("id",)), message, "Give it an id of its own"))
                elif source is not None:
                    sources[source.id] = name, source
        else:
            hint = "A rule file has [[rule]] tables, a profile has an id, a version and a title"
            found.append(Complaint(name, 1, "this is neither a rule file nor a profile", hint))
    above = {key: source for key, (_name, source) in sources.items()}
    for name, source in sources.values():
        found += _profile(name, files[name], source, above=above, rules=rules, known=known)
    return sorted(set(found))


def locate(text: str, path: Sequence[str | int]) -> int:
    """Return the line (from 1) where a value stands: the last part of its path that the text writes out."""
    lines = text.splitlines()
    at, last = 0, ""
    for part in path:
        if isinstance(part, int):
            heads = [number for number, line in enumerate(lines) if line.strip() == f"[[{last}]]"]
            at = heads[part] if part < len(heads) else at
            continue
        pattern = re.compile(rf"(?<![\w-]){re.escape(part)}(?![\w-])")
        at = next((number for number in range(at, len(lines)) if pattern.search(lines[number])), at)
        last = f"{last}.{part}" if last else part
    return at + 1


def _toml(name: str, text: str, found: list[Complaint]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        line = int(place.group(1)) if place else len(text.splitlines())
        found.append(Complaint(name, max(line, 1), f"not TOML: {error}"))
        return None


def _checked(
    name: str, text: str, data: dict[str, Any], model: type[_File], found: list[Complaint]
) -> _File | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            path = tuple(
                part for part in one["loc"] if part not in ("function-before[_joined()", "_Condition")
            )
            where = ".".join(str(part) for part in path)
            found.append(Complaint(name, locate(text, path), f"{where}: {one['msg']}"))
        return None


def _clauses(
    name: str,
    text: str,
    told: RuleFile,
    *,
    documents: Mapping[str, Document],
    cited: dict[str, list[Reference]],
    known: Packs,
) -> Iterator[Complaint]:
    heads = [number for number, line in enumerate(text.splitlines(), start=1) if line.strip() == "[[clause]]"]
    for place, clause in enumerate(told.clause):
        head = heads[place] if place < len(heads) else 1
        try:
            reference = reference_of(clause, documents)
        except ValueError as error:
            line = _line_of(text, "doc =", head) or head
            yield Complaint(name, line, str(error), _nearest([clause.doc], documents))
            # stands in, so that one mistake is told once
            reference = Reference(Document(clause.doc, EMPTY, EMPTY), clause.clause.text(), clause.certainty)
        for rule in clause.rules:
            if rule in cited:
                cited[rule].append(reference)
            elif rule not in known.rules:
                line = _line_of(text, f'"{rule}"', head) or head
                yield Complaint(
                    name, line, f"clause: no rule {rule}", _nearest([rule], [*known.rules, *cited])
                )


def _rules(
    name: str,
    text: str,
    told: RuleFile,
    *,
    cited: Mapping[str, list[Reference]],
    rules: dict[str, Rule],
    known: Packs,
) -> Iterator[Complaint]:
    for one in told.rule:
        head = _line_of(text, f'"{one.id}"')
        if one.id in rules:
            where = "in the packs that are shipped" if one.id in known.rules else "above"
            yield Complaint(name, head, f"{one.id} is defined already, {where}", "An id is never reused")
            continue
        try:
            rules[one.id] = rule_of(
                one, cited[one.id], {key: text.text() for key, text in told.parameter_titles.items()}
            )
        except (ValueError, re.error) as error:
            message = str(error)
            named = re.findall(r"[{']([\w.\- ]+)[}']", message) or re.findall(r"parameter (\w+)", message)
            line = next((at for at in (_line_of(text, word, head) for word in named) if at), head)
            yield Complaint(name, line, f"{one.id}: {message}", _nearest(named, FACTS))


def _line_of(text: str, word: str, after: int = 1) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if number >= after and word in line:
            return number
    return 0


def _nearest(words: Iterable[str], known: Iterable[str]) -> str:
    pool = list(known)
    for word in words:
        near = difflib.get_close_matches(word, pool, n=1, cutoff=0.7)
        if near and near[0] != word:
            return f"Did you mean {near[0]}?"
    return ""


def _source(name: str, text: str, told: ProfileFile, found: list[Complaint]) -> ProfileSource | None:
    try:
        return profile_source(name, told)
    except PackError as error:
        found.append(Complaint(name, locate(text, ("refine",)), str(error), "Severities are B, J, m and i"))
        return None


def _profile(
    name: str,
    text: str,
    source: ProfileSource,
    *,
    above: Mapping[str, ProfileSource],
    rules: Mapping[str, Rule],
    known: Packs,
) -> Iterator[Complaint]:
    """Resolve a profile piece by piece, so that one wrong piece hides no other."""
    try:
        parent = _parent(source, above, rules, known, ())
    except (ProfileError, PackError) as error:
        hint = _nearest([source.extends], [*known.sources, *above]) or "camhub standards list"
        yield Complaint(name, locate(text, ("extends",)), str(error), hint)
        return
    good = []
    for rule in source.select:
        if rule in rules:
            good.append(rule)
        else:
            hint = _nearest([rule], rules) or "camhub standards show vn-municipal-2026 lists every rule"
            yield Complaint(name, _line_of(text, f'"{rule}"') or 1, f"select: no rule {rule}", hint)
    base = replace(source, select=tuple(good), deselect=(), set_values={}, severities={})
    pieces: list[tuple[tuple[str, ...], ProfileSource]] = [
        *((("deselect", rule), replace(base, deselect=(rule,))) for rule in source.deselect),
        *(
            (("set", rule, key), replace(base, set_values={rule: {key: value}}))
            for rule, values in source.set_values.items()
            for key, value in values.items()
        ),
        *(
            (("refine", rule), replace(base, severities={rule: one}))
            for rule, one in source.severities.items()
        ),
    ]
    for path, piece in pieces:
        try:
            resolve(piece, parent, rules)
        except ProfileError as error:
            message = str(error).removeprefix(f"profile {source.id}: ")
            hint = f'[authority] {path[1]} = "who answers for it"' if "authority" in message else ""
            yield Complaint(name, locate(text, path), message, hint)


def _parent(
    source: ProfileSource,
    above: Mapping[str, ProfileSource],
    rules: Mapping[str, Rule],
    known: Packs,
    below: tuple[str, ...],
) -> StandardProfile | None:
    if not source.extends:
        return None
    if source.extends in (*below, source.id):
        raise PackError(f"profile {source.id} extends itself through {' -> '.join((*below, source.id))}")
    if source.extends in above:
        own = above[source.extends]
        return resolve(own, _parent(own, above, rules, known, (*below, source.id)), rules)
    if source.extends not in known.sources:
        raise PackError(f"profile {source.id} extends {source.extends!r}, which does not exist")
    return known.profile(source.extends)
