"""The area report as data: the document from which every other form is made. Pure; the same census, the same bytes."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from itertools import compress, islice
from operator import attrgetter
from typing import Any

import msgspec

from hub.catalog.judgements import KeptStandard
from hub.catalog.types import Kind
from hub.reports.area.census import DECISIONS, SMALLEST_GROUP, Census, Entry
from hub.reports.area.quiet import paused_collection
from hub.reports.table import cell
from hub.texts import Texts
from standards.observation import canonical_json, rfc3339
from standards.reason import Reason
from standards.words import REASON_WORDS

Document = dict[str, Any]
COLUMNS = (
    "camera",
    "name",
    "area",
    "custodian",
    "group",
    "decision",
    "health",
    "enrolled",
    "standard",
    "lowers",
)
TOP = 15
FIRST_ROWS = 500
_MOST_NAMED = 8  # rules that a row of the list names
_LOWERS = bytes(chr(code).isupper() for code in range(128)).ljust(
    256, b"\0"
)  # 1 for a letter that lowers the decision


@lru_cache(maxsize=1)
def texts() -> Texts:
    """Return the words of area reports, read once."""
    return Texts.installed(("report", "area"))


@paused_collection()
def document(census: Census, *, kind: str, hub: Mapping[str, str]) -> Document:
    """Return the report. `kind`: ``area`` or ``yearly``; `hub`: ``id`` and ``name``."""
    told = _told_groups(census.entries)
    counts = Counter(map(_COUNTED, census.entries))
    rows = _rows(census, told)
    annex = as_csv_rows(rows).encode()
    health = _sums(counts, _HEALTH)
    return {
        "kind": kind,
        "area": {"code": census.area.code, "name": census.area.name, "level": census.area.level},
        "as_of": rfc3339(census.as_of),
        "since": rfc3339(census.since),
        "measured_at": rfc3339(census.measured_at) if census.measured_at else None,
        "hub": dict(hub),
        "tool": {"name": "camhub", "version": version("camhub")},
        "standards": [
            {"id": one.standard, "version": one.version, "hash": one.hash, "title": dict(one.title),
             "cameras": _sums(counts, _STANDARD)[one.hash]}
            for one in sorted(census.standards.values(), key=lambda one: (one.standard, one.version, one.hash))
        ],
        "total": len(rows),
        "alive": health["alive"],
        "enrolled_in_period": _sums(counts, _RECENT)[True],
        "decision": _decisions(counts),
        "health": dict(sorted(health.items())),
        "census": [
            {"custodian": str(one), "total": of_kind.total(), "alive": _alive(of_kind), "decision": _decisions(of_kind)}
            for one in Kind
            if (of_kind := _where(counts, _KIND, one))
        ],
        "uptime": {
            "since": rfc3339(census.uptime.since),
            "until": rfc3339(census.uptime.until),
            "cameras": census.uptime.known,
            "median": _rounded(census.uptime.median),
            "mean": _rounded(census.uptime.mean),
            "below_95": census.uptime.below,
            "longest_outage_h": round(census.uptime.longest_outage_s / 3600, 1),
            "dead_7_days": census.uptime.dead,
        },
        "clauses": [
            {
                "rule": one.rule, "title": dict(one.title), "severity": one.severity, "failing": one.failing,
                "unseen": one.unseen, "concluded": one.concluded, "admits": one.admits,
            }
            for one in census.clauses
            if one.failing or one.unseen or one.admits
        ],
        "unseen": [
            {"reason": reason, "text": REASON_WORDS[Reason(reason)].as_json(), "cameras": cameras}
            for reason, cameras in census.unseen
            if reason in set(Reason)
        ],
        "trend": [{"month": month, "decision": dict(counts)} for month, counts in census.trend],
        "groups": _groups(counts, told),
        "areas": _areas(census, counts),
        "views": [{"purpose": name, "number": number, "minutes": minutes} for name, number, minutes in census.views],
        "limits": texts().both("area.limits"),
        "list": {"columns": list(COLUMNS), "rows": rows},
        "annex": {"format": "csv", "rows": len(rows), "bytes": len(annex), "sha256": hashlib.sha256(annex).hexdigest()},
    }  # fmt: skip


# What cameras are counted by: all tables of the report are sums over these.
_COUNTED = attrgetter("area", "group", "kind", "decision", "health", "standard", "recent")
_AREA, _GROUP, _KIND, _DECISION, _HEALTH, _STANDARD, _RECENT = range(7)
Counts = Counter[tuple[Any, ...]]


def _sums(counts: Counts, place: int) -> Counter[Any]:
    sums: Counter[Any] = Counter()
    for combination, cameras in counts.items():
        sums[combination[place]] += cameras
    return sums


def _where(counts: Counts, place: int, value: Any) -> Counts:
    return Counter({one: cameras for one, cameras in counts.items() if one[place] == value})


def _alive(counts: Counts) -> int:
    return _sums(counts, _HEALTH)["alive"]


def _decisions(counts: Counts) -> dict[str, int]:
    sums = _sums(counts, _DECISION)
    return {name: sums[name] for name in DECISIONS}


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)


def _rows(census: Census, told: frozenset[str]) -> list[tuple[str, ...]]:
    """Return the list, the worst decisions first. A household's camera has no name here: it may be the owner's."""
    standards = {
        hash_: (f"{kept.standard} {kept.version}", _lowering(kept))
        for hash_, kept in census.standards.items()
    }
    names, groups = census.area_names, {name: name for name in told}
    by_decision: dict[str, list[tuple[str, ...]]] = {decision: [] for decision in reversed(DECISIONS)}
    for entry in sorted(census.entries, key=_ORDER):
        camera, name, area, kind, _, group, decision, health, _, enrolled, _, standard, verdicts, _ = entry
        version_, lowers = standards.get(standard, _NO_STANDARD)
        by_decision[decision].append(
            (
                camera[:8],
                "" if kind == _HOUSEHOLD else name,
                names.get(area, area),
                kind,
                groups.get(group, ""),
                decision,
                health,
                enrolled,
                version_,
                lowers(verdicts),
            )
        )
    return [row for rows in by_decision.values() for row in rows]


_ORDER = attrgetter("area", "name", "id")
_HOUSEHOLD = str(Kind.HOUSEHOLD)


def _nothing(_verdicts: str) -> str:
    return ""


_NO_STANDARD = ("", _nothing)


def _lowering(kept: KeptStandard) -> Callable[[str], str]:
    """Return what names the rules that lower a camera's decision."""
    rules = [rule for rule, _severity, _title in kept.rules]

    @lru_cache(maxsize=65_536)
    def named(verdicts: str) -> str:
        lowering = verdicts.encode("latin-1", "replace").translate(_LOWERS)
        found = " ".join(islice(compress(rules, lowering), _MOST_NAMED))
        more = lowering.count(1) - _MOST_NAMED
        return f"{found} +{more}" if more > 0 else found

    return named


def _told_groups(entries: Sequence[Entry]) -> frozenset[str]:
    """Return the neighbourhood groups that are told by name: those of at least 5 owners."""
    owners: dict[str, set[str]] = defaultdict(set)
    for group, custodian in map(_OWNED, entries):
        if group:
            owners[group].add(custodian)
    return frozenset(name for name, own in owners.items() if len(own) >= SMALLEST_GROUP)


_OWNED = attrgetter("group", "custodian")


def _groups(counts: Counts, told: frozenset[str]) -> list[dict[str, Any]]:
    """Return the neighbourhood groups, the small ones together, so that nobody is picked out."""
    named: dict[str | None, Counts] = defaultdict(Counter)
    for one, cameras in counts.items():
        if one[_GROUP]:
            named[one[_GROUP] if one[_GROUP] in told else None][one] += cameras
    return [
        _group(name, own)
        for name, own in sorted(
            named.items(), key=lambda one: (one[0] is None, -one[1].total(), _counting(one[0]))
        )
    ]


def _counting(name: str | None) -> list[tuple[int, str]]:
    """Return the key that puts group 2 before group 10."""
    parts = re.split(r"(\d{1,9})", name or "")
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _group(name: str | None, own: Counts) -> dict[str, Any]:
    return {"name": name, "cameras": own.total(), "alive": _alive(own), "decision": _decisions(own)}


def _areas(census: Census, counts: Counts) -> list[dict[str, Any]]:
    """Return the areas below, those with the smallest share of living cameras first; empty for an area without any."""
    by_area: dict[str, Counts] = defaultdict(Counter)
    for one, cameras in counts.items():
        by_area[one[_AREA]][one] += cameras
    if set(by_area) <= {census.area.code}:
        return []
    told = [{"code": code, **_group(census.area_names.get(code, code), own)} for code, own in by_area.items()]
    return sorted(told, key=lambda one: (one["alive"] / one["cameras"], one["code"]))


def as_csv_rows(rows: Sequence[Sequence[str]]) -> str:
    """Return the list as CSV (RFC 4180), with a byte order mark, by which spreadsheets read UTF-8.

    Column by column: of 33,060 cameras only names and a few words have to be looked at, and hardly one is quoted.
    """
    columns = [_cells(column) for column in zip(COLUMNS, *rows, strict=True)]
    return "\N{BYTE ORDER MARK}" + "".join(
        f"{line}\r\n" for line in map(",".join, zip(*columns, strict=True))
    )


_QUOTED = re.compile('[",\r\n]')


def _cells(column: tuple[str, ...]) -> Sequence[str]:
    """Return the cells of a column as a file has them: none that a spreadsheet executes, quoted where it must be."""
    told = set(column)
    changed = {text: safe for text in told if (safe := cell(text)) != text}
    if _QUOTED.search("".join(told)):
        for text in told:
            safe = changed.get(text, text)
            if _QUOTED.search(safe):
                doubled = safe.replace('"', '""')
                changed[text] = f'"{doubled}"'
    return [changed.get(text, text) for text in column] if changed else column


def as_json(report: Document) -> bytes:
    """Return the report as its one byte form: canonical JSON.

    The list, nearly all of it, holds text alone: for that msgspec writes the same bytes, five times as fast.
    """
    listed = report["list"]
    before, place, after = canonical_json({**report, "list": {**listed, "rows": []}}).partition(b'"rows":[]')
    return b"".join((before, place[:-2], msgspec.json.encode(listed["rows"]), after, b"\n"))
