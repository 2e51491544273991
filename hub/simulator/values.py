"""Durations and times as clients write them in ONVIF requests."""

import re
from datetime import UTC, datetime

_DURATION = re.compile(
    r"^P(?:(?P<d>\d{1,4})D)?(?:T(?:(?P<h>\d{1,4})H)?(?:(?P<m>\d{1,6})M)?(?:(?P<s>\d{1,8}(?:\.\d{1,9})?)S)?)?$"
)


def duration_s(text: str) -> float | None:
    """Return the seconds of an xs:duration without years and months, None where it is none."""
    found = _DURATION.match(text)
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes = (int(found[name] or 0) for name in "dhm")
    return float(((days * 24 + hours) * 60 + minutes) * 60 + float(found["s"] or 0))


def until_s(text: str, now: datetime) -> float | None:
    """Return the seconds from `now` to a termination: a duration or an absolute time; None where it is neither."""
    seconds = duration_s(text)
    if seconds is not None:
        return seconds
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
