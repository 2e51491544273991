"""Judgements: what the newest assessment of each camera says, one small row per camera, and the facts under it.

The row is what all cameras are judged again from (`hub.compliance.reassess`) and what area reports count; an
assessment's whole report and observations stay in `assessments`. Facts lose only what no verdict depends on: where
and when each was seen, and the sentences about what was not.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import msgspec
from sqlalchemy import delete, insert, select

from hub.catalog.types import NewAssessment
from hub.store import tables
from hub.store.store import Reading, Writing
from standards.compiled import LETTERS, NO_REASON
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


def pack_facts(observations: Mapping[str, Any]) -> bytes:
    """Return `Observations.as_json()` as small as a judgement needs it.

    A fact that was not asked is left out: that is what a fact that is not there counts as.
    """
    plain: dict[str, Any] = {}
    lists: dict[str, Any] = {}
    compound: dict[str, Any] = {}
    missing: dict[str, list[str]] = {}
    for fact, one in observations.items():
        if "reason" in one:
            if one["reason"] != Reason.NOT_ASKED:
                missing.setdefault(str(one["reason"]), []).append(fact)
        else:
            value = one["value"]
            if isinstance(value, _SCALARS):
                plain[fact] = value
            elif isinstance(value, list) and all(isinstance(one, _SCALARS) for one in value):
                lists[fact] = value
            else:
                compound[fact] = value
    return zlib.compress(msgspec.json.encode((plain, lists, compound, missing)), 6)


def unpack_facts(packed: bytes) -> dict[str, Value | Reason]:
    """Return the facts as `standards.compiled` judges them.

    Raises:
        ValueError: not what `pack_facts` makes.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, MAX_FACTS)
        if inflater.unconsumed_tail:
            raise ValueError(f"the facts of a camera are larger than {MAX_FACTS} bytes")
        facts, lists, compound, missing = cast("tuple[dict[str, Any], ...]", msgspec.json.decode(text))
        for fact, value in lists.items():
            facts[fact] = tuple(value)
        for fact, value in compound.items():
            facts[fact] = freeze(value)
        for reason, names in missing.items():
            facts.update(dict.fromkeys(names, _REASONS[reason]))
    except (zlib.error, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the facts of a camera cannot be read: {error!r}") from error
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
