"""Which language a reply speaks: ``?lang=``, else ``Accept-Language``, else Vietnamese."""

from typing import Any

from litestar.connection import ASGIConnection

from hub.texts import LANGUAGES


def language_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return "vi" or "en" for one request."""
    asked = connection.query_params.get("lang")
    if asked in LANGUAGES:
        return str(asked)
    return preferred(connection.headers.get("accept-language", ""))


def preferred(header: str) -> str:
    """Return the best of our languages by an Accept-Language header (RFC 9110 12.5.4); Vietnamese on a tie."""
    best, best_weight = "vi", 0.0
    for item in header[:500].split(","):
        tag, _, tail = item.partition(";")
        name = tag.strip().lower().split("-", 1)[0]
        weight = 1.0
        if "q=" in tail:
            try:
                weight = float(tail.partition("q=")[2].strip())
            except ValueError:
                weight = 0.0
        if name in LANGUAGES and weight > best_weight:
            best, best_weight = name, weight
    return best
