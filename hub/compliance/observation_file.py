"""Observations of one check as a file, to be judged again later: by another standard, with other limits, without a packet.

::

    {"format": "camhub-observations", "version": 1, "target": "rtsp://192.168.1.20:554/main", "as_of": "2026-11-20T12:00:00.000Z",
     "enrolled_at": null, "program": "0.1.0", "sha256": "...", "observations": {"time.offset_s": {"value": 0.4, ...}}}

Nothing in it is secret: no credential, no address with one, excerpts redacted as in every report.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from standards.facts import FACTS
from standards.observation import Observations, parse_rfc3339, rfc3339

FORMAT = "camhub-observations"
VERSION = 1
LARGEST = 16 << 20  # bytes; a check of a recorder with 64 channels keeps about 1 MB


class ObservationFileRefused(ValueError):
    """A file that is not used: says where in it, and why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one check saw, and when."""

    target: str
    as_of: datetime
    observations: Observations
    enrolled_at: datetime | None = None


def written(kept: Kept) -> bytes:
    """Return the file; the same observations give the same bytes."""
    told = {
        "format": FORMAT,
        "version": VERSION,
        "target": kept.target,
        "as_of": rfc3339(kept.as_of),
        "enrolled_at": rfc3339(kept.enrolled_at) if kept.enrolled_at else None,
        "program": version("camhub"),
        "sha256": kept.observations.digest(),
        "observations": kept.observations.as_json(),
    }
    return (json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def read(data: bytes) -> Kept:
    """Read what `written` wrote; facts that this program does not know are left aside.

    Raises:
        ObservationFileRefused: too large, not JSON, of another format, from a newer version, changed, or a field that
            cannot be read.
    """
    if len(data) > LARGEST:
        raise ObservationFileRefused(f"the file has {len(data)} bytes; at most {LARGEST} are read")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ObservationFileRefused(f"the file is no JSON: {error}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ObservationFileRefused(f"format: not a file of observations ({FORMAT})")
    made = told.get("version")
    if not isinstance(made, int) or made < 1:
        raise ObservationFileRefused("version: no number of 1 or more")
    if made > VERSION:
        program = str(told.get("program", ""))[:20]
        raise ObservationFileRefused(
            f"version: {made}, written by a newer camhub ({program}); this one reads up to {VERSION}"
        )
    try:
        observations = Observations.from_json(_mapping(told, "observations"))
        target, as_of = str(told["target"])[:500], parse_rfc3339(told["as_of"])
        enrolled_at = parse_rfc3339(told["enrolled_at"]) if told.get("enrolled_at") else None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ObservationFileRefused(f"a field cannot be read: {error}") from error
    if told.get("sha256") != observations.digest():
        raise ObservationFileRefused("sha256: the observations were changed after they were written")
    unknown = tuple(fact for fact in observations if fact not in FACTS)
    return Kept(target, as_of, observations.without(*unknown), enrolled_at)


def _mapping(told: dict[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return value
