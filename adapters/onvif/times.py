"""Times as devices write them in events and recordings, read tolerantly (quirk 54)."""

import re
from datetime import UTC, datetime, timedelta, timezone

_TIME = re.compile(
    r"^\s*(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})[T\s\-](?P<hour>\d{1,2}):(?P<minute>\d{1,2})"
    r"(?::(?P<second>\d{1,2})(?:[.,](?P<fraction>\d{1,12}))?)?\s*(?P<zone>Z|z|UTC|GMT|[+\-]\d{2}:?\d{2})?\s*$"
)
_DURATION = re.compile(r"^P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})(?:\.\d+)?S)?)?$")


def moment(text: str) -> datetime | None:
    """Return the moment in UTC, or None where the text tells none.

    A ``-`` or blank for the ``T``, minute or second 60 and 61 (carried over) and missing seconds are read; a time
    without zone is UTC, as ONVIF asks. ``0000-00-00`` and other impossible dates are none.
    """
    found = _TIME.match(text[:64])
    if found is None:
        return None
    minutes, seconds = int(found["minute"]), int(found["second"] or 0)
    if int(found["hour"]) > 24 or minutes > 61 or seconds > 61:
        return None
    try:
        day = datetime(
            int(found["year"]), int(found["month"]), int(found["day"]), tzinfo=_zone(found["zone"])
        )
        fraction = int((found["fraction"] or "0")[:6].ljust(6, "0"))
        told = day + timedelta(
            hours=int(found["hour"]), minutes=minutes, seconds=seconds, microseconds=fraction
        )
        return told.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def says_utc(text: str) -> bool:
    """Tell whether a time is written in UTC as ONVIF Core 9.1.2 wants it: with ``T`` and ``Z``."""
    stripped = text.strip()
    return stripped.endswith("Z") and "T" in stripped and moment(stripped) is not None


def seconds_of(duration: str) -> float | None:
    """Return the seconds of an xs:duration without years and months, None where it is none."""
    found = _DURATION.match(duration.strip()[:40])
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in {"Z", "UTC", "GMT"}:
        return UTC
    digits = text[1:].replace(":", "")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-ahead if text[0] == "-" else ahead)
