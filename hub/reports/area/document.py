"""The area report as data: the document from which every other form is made. Pure; the same census, the same bytes."""

import csv
import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from hub.catalog.judgements import KeptStandard
from hub.catalog.types import Kind
from hub.reports.area.census import DECISIONS, SMALLEST_GROUP, Census, Entry
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
_LOWERS = re.compile("[A-Z]")  # in a camera's verdicts: found by place, without a step for each of 89 letters


@lru_cache(maxsize=1)
def texts() -> Texts:
    """Return the words of area reports, read once."""
    return Texts.installed(("report", "area"))


def document(census: Census, *, kind: str, hub: Mapping[str, str]) -> Document:
    """Return the report. `kind`: ``area`` or ``yearly``; `hub`: ``id`` and ``name``."""
    entries = sorted(census.entries, key=_order)
    told = _told_groups(entries)
    standards = {
        hash_: (f"{kept.standard} {kept.version}", _lowering(kept))
        for hash_, kept in census.standards.items()
    }
    rows = [_row(entry, told, census.area_names, standards) for entry in entries]
    annex = as_csv_rows(rows).encode()
    alive = sum(1 for entry in entries if entry.health == "alive")
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
             "cameras": sum(1 for entry in entries if entry.standard == one.hash)}
            for one in sorted(census.standards.values(), key=lambda one: (one.standard, one.version, one.hash))
        ],
        "total": len(entries),
        "alive": alive,
        "enrolled_in_period": sum(1 for entry in entries if entry.enrolled_at >= census.since),
        "decision": _counted((entry.decision for entry in entries), DECISIONS),
        "health": dict(sorted(Counter(entry.health for entry in entries).items())),
        "census": [
            {
                "custodian": str(one),
                "total": len(of_kind),
                "alive": sum(1 for entry in of_kind if entry.health == "alive"),
                "decision": _counted((entry.decision for entry in of_kind), DECISIONS),
            }
            for one in Kind
            if (of_kind := [entry for entry in entries if entry.kind == one])
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
        "groups": _groups(entries, told),
        "areas": _areas(census, entries),
        "views": [{"purpose": name, "number": number, "minutes": minutes} for name, number, minutes in census.views],
        "limits": texts().both("area.limits"),
        "list": {"columns": list(COLUMNS), "rows": rows},
        "annex": {"format": "csv", "rows": len(rows), "bytes": len(annex), "sha256": hashlib.sha256(annex).hexdigest()},
    }  # fmt: skip


def _order(entry: Entry) -> tuple[int, str, str, str]:
    return (_WORST_FIRST[entry.decision], entry.area, entry.name, entry.id)


_WORST_FIRST = {decision: -place for place, decision in enumerate(DECISIONS)}


def _counted(found: Any, names: Sequence[str]) -> dict[str, int]:
    counts = Counter(found)
    return {name: counts[name] for name in names}


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)


def _row(
    entry: Entry,
    told: frozenset[str],
    names: Mapping[str, str],
    standards: Mapping[str, tuple[str, Callable[[str], str]]],
) -> list[str]:
    """Return one line of the list. A household's camera has no name here: it may be the owner's."""
    standard, lowers = standards.get(entry.standard, _NO_STANDARD)
    return [
        entry.id[:8],
        "" if entry.kind == _HOUSEHOLD else entry.name,
        names.get(entry.area, entry.area),
        entry.kind,
        entry.group if entry.group in told else "",
        entry.decision,
        entry.health,
        entry.enrolled_at.isoformat()[:10],
        standard,
        lowers(entry.verdicts),
    ]


def _nothing(_verdicts: str) -> str:
    return ""


_HOUSEHOLD = str(Kind.HOUSEHOLD)
_NO_STANDARD = ("", _nothing)


def _lowering(kept: KeptStandard) -> Callable[[str], str]:
    """Return what names the rules that lower a camera's decision; the same letters are read once."""

    @lru_cache(maxsize=4096)
    def named(verdicts: str) -> str:
        found = [kept.rules[one.start()][0] for one in _LOWERS.finditer(verdicts)]
        more = "" if len(found) <= _MOST_NAMED else f" +{len(found) - _MOST_NAMED}"
        return " ".join(found[:_MOST_NAMED]) + more

    return named


def _told_groups(entries: Sequence[Entry]) -> frozenset[str]:
    """Return the neighbourhood groups that are told by name: those of at least 5 owners."""
    owners: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.group:
            owners[entry.group].add(entry.custodian)
    return frozenset(name for name, own in owners.items() if len(own) >= SMALLEST_GROUP)


def _groups(entries: Sequence[Entry], told: frozenset[str]) -> list[dict[str, Any]]:
    """Return the neighbourhood groups, the small ones together, so that nobody is picked out."""
    named: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.group:
            named[entry.group if entry.group in told else None].append(entry)
    return [
        _group(name, own)
        for name, own in sorted(
            named.items(), key=lambda one: (one[0] is None, -len(one[1]), _counting(one[0]))
        )
    ]


def _counting(name: str | None) -> list[tuple[int, str]]:
    """Return the key that puts group 2 before group 10."""
    parts = re.split(r"(\d{1,9})", name or "")
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _group(name: str | None, own: Sequence[Entry]) -> dict[str, Any]:
    return {
        "name": name,
        "cameras": len(own),
        "alive": sum(1 for entry in own if entry.health == "alive"),
        "decision": _counted((entry.decision for entry in own), DECISIONS),
    }


def _areas(census: Census, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the areas below, those with the smallest share of living cameras first; empty for an area without any."""
    by_area: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_area[entry.area].append(entry)
    if set(by_area) <= {census.area.code}:
        return []
    told = [{"code": code, **_group(census.area_names.get(code, code), own)} for code, own in by_area.items()]
    return sorted(told, key=lambda one: (one["alive"] / one["cameras"], one["code"]))


def as_csv_rows(rows: Sequence[Sequence[str]]) -> str:
    """Return the list as CSV (RFC 4180), with a byte order mark, by which spreadsheets read UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    safe = lru_cache(maxsize=4096)(cell)  # wards, decisions, days: the same few in thousands of rows
    writer.writerows(map(safe, row) for row in rows)
    return "\N{BYTE ORDER MARK}" + out.getvalue()


def as_json(report: Document) -> bytes:
    """Return the report as its one byte form: canonical JSON."""
    return canonical_json(report) + b"\n"
