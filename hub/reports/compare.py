"""Two assessments side by side: which rules turned, which way, and what the device says of itself now. Pure.

Both sides are reports as `hub.reports.document` makes them, of any age: what an old one lacks is None.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from standards.verdict import Verdict

Report = Mapping[str, Any]

# How a rule moved, the worst first: not met now; no longer seen; met again; seen for the first time; other verdicts;
# asked only now; asked no more.
MOVES = ("broken", "lost", "mended", "seen", "other", "added", "gone")
SAME = "same"
_UNSEEN = frozenset({str(Verdict.INCONCLUSIVE), str(Verdict.ERROR), str(Verdict.NOT_CHECKED)})
_SETTLED = frozenset({str(Verdict.PASS), str(Verdict.NOT_APPLICABLE)})
_FAIL = str(Verdict.FAIL)


def move_of(before: str | None, after: str | None) -> str:
    """Return how a verdict moved; None stands for a rule that is not asked on that side."""
    if before == after:
        return SAME
    if before is None or after is None:
        return "added" if before is None else "gone"
    if after == _FAIL:
        return "broken"
    if after in _UNSEEN:
        return "other" if before in _UNSEEN else "lost"
    if before == _FAIL:
        return "mended"
    return "seen" if before in _UNSEEN and after in _SETTLED else "other"


def same_standard(before: Report, after: Report) -> bool:
    """Tell whether both were made by the same content of the same standard."""

    def pinned(report: Report) -> tuple[Any, ...]:
        detail = report.get("standard_detail") or {}
        return (detail.get("id") or report.get("standard"), detail.get("version"), detail.get("hash"))

    return pinned(before) == pinned(after)


def changes(before: Report, after: Report) -> dict[str, Any]:
    """Return what turned, by move, as ``{"rule", "title"}``."""
    moves: dict[str, list[dict[str, Any]]] = {name: [] for name in MOVES}
    for old, new in _pairs(before, after):
        move = move_of(_verdict(old), _verdict(new))
        if move != SAME:
            told = new or old or {}
            moves[move].append({"rule": told.get("rule"), "title": told.get("title")})
    return {"same_standard": same_standard(before, after), "moves": moves}


def compared(before: Report, after: Report) -> dict[str, Any]:
    """Return every rule of both sides with its move, those that turned first, and what changed about the device."""
    rules = []
    for old, new in _pairs(before, after):
        told = new or old or {}
        rules.append(
            {
                "rule": told.get("rule"),
                "title": told.get("title"),
                "group": told.get("group"),
                "severity": told.get("severity"),
                "move": move_of(_verdict(old), _verdict(new)),
                "before": _side(old),
                "after": _side(new),
            }
        )
    order = {move: place for place, move in enumerate((*MOVES, SAME))}
    rules.sort(key=lambda one: order[str(one["move"])])  # stable: within a move as the newer report has them
    return {"same_standard": same_standard(before, after), "rules": rules, "device": _device(before, after)}


def _pairs(before: Report, after: Report) -> Iterable[tuple[Report | None, Report | None]]:
    old, new = _by_rule(before), _by_rule(after)
    for rule in (*new, *(rule for rule in old if rule not in new)):
        yield old.get(rule), new.get(rule)


def _by_rule(report: Report) -> dict[str, Report]:
    return {str(one.get("rule")): one for one in report.get("findings") or ()}


def _verdict(finding: Report | None) -> str | None:
    return None if finding is None else str(finding.get("verdict"))


def _side(finding: Report | None) -> dict[str, Any] | None:
    names = ("verdict", "severity", "text", "observed_text", "required_text", "unit")
    return None if finding is None else {name: finding.get(name) for name in names}


def _device(before: Report, after: Report) -> list[dict[str, Any]]:
    old, new = before.get("device") or {}, after.get("device") or {}
    return [
        {"name": name, "before": old.get(name), "after": new.get(name)}
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]
