"""Days as people name them: a date is a day in Vietnam (UTC+7 all year), from its beginning to its end."""

from datetime import date, datetime, time, timedelta, timezone

VIETNAM = timezone(timedelta(hours=7))


def begins(day: datetime | date | None) -> datetime | None:
    """Return the moment at which a named day begins; a moment stays as it is."""
    if day is None or isinstance(day, datetime):
        return day
    return datetime.combine(day, time(), VIETNAM)


def ends(day: datetime | date | None) -> datetime | None:
    """Return the moment at which a named day is over; a moment stays as it is."""
    began = begins(day)
    return began + timedelta(days=1) if began is not None and not isinstance(day, datetime) else began
