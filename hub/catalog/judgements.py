"""Judgements: what the newest assessment of each camera says, one small row per camera, and the facts under it.

The row is what all cameras are judged again from (`hub.compliance.reassess`) and what area reports count; an
assessment's whole report and observations stay in `assessments`. Facts lose only what no verdict depends on: where
and when each was seen, and the sentences about what was not.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

import msgspec
from sqlalchemy import delete, insert, select

from hub.catalog.types import NewAssessment
from hub.store import tables
from hub.store.store import Reading, Writing
from standards.compiled import LETTERS, NO_REASON
from standards.memo import ABSENT, Absent
from standards.observation import Value, freeze
from standards.profile import StandardProfile
from standards.reason import Reason
from standards.rule import GROUPS
from standards.verdict import Verdict

_JUDGEMENTS, _KEPT = tables.judgements, tables.standards_kept
MAX_FACTS = 4 * 1024 * 1024  # bytes of one camera's facts, unpacked
# In a report that waits to be written out: the id of the assessment whose observations it stands on.
UNWRITTEN = "unwritten"
_SCALARS = (bool, int, float, str, type(None))
_REASONS = {str(reason): reason for reason in Reason}
_FIRST = ord("A")
_OLDER = b"\x78"  # the first byte of a zlib stream
_PACKED = 2
_HEAD = struct.Struct(">BI")  # kind, length of the names
_VALUES = msgspec.json.Decoder(tuple[list[Any], list[int], list[int], dict[str, list[int]]])


def pack_facts(observations: Mapping[str, Any]) -> bytes:
    """Return `Observations.as_json()` as small as a judgement needs it.

    A fact that was not asked is left out: that is what a fact that is not there counts as. Names and values lie apart:
    the names of the next camera are mostly those of this one, and are then not read again.
    """
    names = tuple(sorted(fact for fact, one in observations.items() if one.get("reason") != Reason.NOT_ASKED))
    values: list[Any] = []
    lists: list[int] = []
    compound: list[int] = []
    missing: dict[str, list[int]] = {}
    for place, fact in enumerate(names):
        one = observations[fact]
        if "reason" in one:
            missing.setdefault(str(one["reason"]), []).append(place)
            values.append(None)
            continue
        value = one["value"]
        values.append(value)
        if isinstance(value, list) and all(isinstance(one, _SCALARS) for one in value):
            lists.append(place)
        elif not isinstance(value, _SCALARS):
            compound.append(place)
    head = _packed_names(names)
    text = msgspec.json.encode((values, lists, compound, missing))
    return _HEAD.pack(_PACKED, len(head)) + head + zlib.compress(text, 6)


@lru_cache(maxsize=256)
def _packed_names(names: tuple[str, ...]) -> bytes:
    return zlib.compress("\n".join(names).encode(), 6)


class PackedFacts(NamedTuple):
    """What `pack_facts` kept: names, and for each its value, or why there is none."""

    names: tuple[str, ...]
    values: list[Value | Absent]


def read_facts(packed: bytes) -> PackedFacts:
    """Return the facts of a judgement. The names of cameras that have the same ones are one object.

    Raises:
        ValueError: not what `pack_facts` makes.
    """
    try:
        if packed[:1] == _OLDER:
            facts = _older_facts(packed)
            return PackedFacts(tuple(facts), list(facts.values()))
        kind, size = _HEAD.unpack_from(packed)
        if kind != _PACKED:
            raise ValueError(f"facts of kind {kind} were packed by a newer program")
        names = _names(packed[_HEAD.size : _HEAD.size + size])
        text = _inflated(packed[_HEAD.size + size :])
        values, lists, compound, missing = _VALUES.decode(text)
        for place in lists:
            values[place] = tuple(values[place])
        for place in compound:
            values[place] = freeze(values[place])
        for reason, places in missing.items():
            absent = ABSENT[_REASONS[reason]]
            for place in places:
                values[place] = absent
    except (
        zlib.error,
        struct.error,
        ValueError,
        msgspec.MsgspecError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise ValueError(f"the facts of a camera cannot be read: {error!r}") from error
    if len(names) != len(values):
        raise ValueError(f"the facts of a camera cannot be read: {len(values)} values of {len(names)} names")
    return PackedFacts(names, values)


def unpack_facts(packed: bytes) -> dict[str, Value | Reason]:
    """Return the facts by name. Raises as `read_facts`."""
    names, values = read_facts(packed)
    return {
        name: value.reason if type(value) is Absent else cast(Value, value)
        for name, value in zip(names, values, strict=True)
    }


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(packed, MAX_FACTS)
    if inflater.unconsumed_tail:
        raise ValueError(f"the facts of a camera are larger than {MAX_FACTS} bytes")
    if not inflater.eof:
        raise ValueError("they are cut off")
    return text


@lru_cache(maxsize=1024)
def _names(packed: bytes) -> tuple[str, ...]:
    text = _inflated(packed).decode()
    return tuple(text.split("\n")) if text else ()


def _older_facts(packed: bytes) -> dict[str, Value | Absent]:
    """Read what programs before 2026-11-21 packed: names and values side by side."""
    facts, lists, compound, missing = cast(
        "tuple[dict[str, Any], ...]", msgspec.json.decode(_inflated(packed))
    )
    for fact, value in lists.items():
        facts[fact] = tuple(value)
    for fact, value in compound.items():
        facts[fact] = freeze(value)
    for reason, names in missing.items():
        facts.update(dict.fromkeys(names, ABSENT[_REASONS[reason]]))
    return facts


@dataclass(frozen=True, slots=True)
class KeptStandard:
    """One version of a standard that judged cameras here, in the order in which verdicts are kept."""

    hash: str
    standard: str
    version: str
    title: Mapping[str, str]
    rules: tuple[tuple[str, str, Mapping[str, str]], ...]  # id, severity, title
    reasons: tuple[str, ...]  # by letter, from A
    files: Mapping[str, str]  # own rule packs that stood beside the shipped ones

    @classmethod
    def of_profile(cls, profile: StandardProfile, files: Mapping[str, str]) -> "KeptStandard":
        """Return what is kept of a profile."""
        rules = tuple((rule.id, str(rule.severity), rule.title.as_json()) for rule in profile.rules)
        title = profile.title.as_json()
        return cls(profile.hash, profile.id, profile.version, title, rules, tuple(_REASONS), files)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "title": dict(self.title),
            "rules": [[rule, severity, dict(title)] for rule, severity, title in self.rules],
            "reasons": list(self.reasons),
            "files": dict(self.files),
        }


def rule_place(rule: str) -> tuple[int, int, str]:
    """Return the place of a rule in reading order, as `standards.rule.Rule.place`; unknown groups come last."""
    group, _, tail = rule.partition("-")
    return (
        GROUPS.index(group) if group in GROUPS else len(GROUPS),
        int(tail) if tail.isdigit() else 0,
        tail,
    )


def letters_of(findings: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the verdicts and reasons of a report's findings, which are sorted by `rule_place`, as letters."""
    verdicts, reasons = [], []
    for one in findings:
        letter = LETTERS[Verdict(one["verdict"])]
        verdicts.append(letter.upper() if one["lowers"] else letter)
        reason = str(one.get("reason") or "")
        reasons.append(chr(_FIRST + _PLACES[reason]) if reason in _PLACES else NO_REASON)
    return "".join(verdicts), "".join(reasons)


_PLACES = {reason: place for place, reason in enumerate(_REASONS)}


async def keep_judgement(tx: Writing, camera_id: str, assessment_id: str, new: NewAssessment) -> None:
    """Keep the judgement of an assessment that was just recorded. One without findings is judged by nobody."""
    await tx.execute(delete(_JUDGEMENTS).where(_JUDGEMENTS.c.camera_id == camera_id))
    report = new.report
    detail = report.get("standard_detail") or {}
    findings = sorted(report.get("findings") or (), key=lambda one: rule_place(str(one["rule"])))
    if not findings or not detail.get("hash"):
        return
    rules = tuple((str(one["rule"]), str(one["severity"]), dict(one["title"])) for one in findings)
    kept = KeptStandard(
        detail["hash"], new.standard, new.standard_version, detail["title"], rules, tuple(_REASONS), {}
    )
    await keep_standard(tx, kept)
    verdicts, reasons = letters_of(findings)
    await tx.execute(
        insert(_JUDGEMENTS).values(
            camera_id=camera_id,
            assessment_id=assessment_id,
            basis_id=assessment_id,
            standard_hash=detail["hash"],
            decision=new.decision,
            as_of=new.as_of,
            verdicts=verdicts,
            reasons=reasons,
            said={
                "waivers": list(report.get("waivers") or ()),
                "attestations": list(report.get("attestations") or ()),
            },
            facts=pack_facts(new.observations),
        )
    )


async def keep_standard(tx: Writing, kept: KeptStandard) -> None:
    """Keep one version of a standard, once."""
    if await tx.scalar(select(_KEPT.c.hash).where(_KEPT.c.hash == kept.hash)) is None:
        await tx.execute(
            insert(_KEPT).values(
                hash=kept.hash, standard=kept.standard, version=kept.version, content=kept.as_json()
            )
        )


async def kept_standards(tx: Reading) -> dict[str, KeptStandard]:
    """Return all versions that ever judged a camera here, by hash."""
    return {row.hash: _kept(row) for row in await tx.all(select(_KEPT))}


async def kept_standard(tx: Reading, wanted: str) -> KeptStandard | None:
    """Return one version by its hash, or None."""
    row = await tx.one(select(_KEPT).where(_KEPT.c.hash == wanted))
    return _kept(row) if row is not None else None


def _kept(row: Any) -> KeptStandard:
    told = row.content
    rules = tuple((rule, severity, title) for rule, severity, title in told["rules"])
    return KeptStandard(
        row.hash,
        row.standard,
        row.version,
        told["title"],
        rules,
        tuple(told["reasons"]),
        told["files"],
    )


@lru_cache(maxsize=64)
def _failing(verdicts: str) -> tuple[int, ...]:
    return tuple(place for place, letter in enumerate(verdicts) if letter in "fF")


def failed_rules(kept: KeptStandard, verdicts: str) -> tuple[str, ...]:
    """Return the rules that a judgement found not met."""
    return tuple(kept.rules[place][0] for place in _failing(verdicts))
