"""Column types that mean the same on SQLite and PostgreSQL."""

import json
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import DateTime, Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

from standards.observation import canonical_json

MAX_UNPACKED = 32 * 1024 * 1024
_EMPTY: Mapping[str, type[dict[str, Any]] | type[list[Any]]] = {"{}": dict, "[]": list}


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC moment with microseconds: ``timestamptz`` on PostgreSQL, ISO text without zone on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; write UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the store; pass an aware one")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware UTC moment."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class KeptMoments:
    """Moments as the driver of a database gives them (`Reading.tuples`), to compare thousands without converting each.

    SQLite keeps text that sorts as the moments do, PostgreSQL's driver gives aware datetimes.
    """

    month: Callable[[Any], str]

    def __init__(self, dialect: Dialect) -> None:
        kind = UtcTime().dialect_impl(dialect)
        self._into, self._from = kind.bind_processor(dialect), kind.result_processor(dialect, None)
        self.month = itemgetter(slice(7)) if dialect.name == "sqlite" else _month

    def kept(self, moment: datetime) -> Any:
        """Return a moment as this database keeps it, to be compared with others."""
        return self._into(moment) if self._into is not None else moment

    def moment(self, kept: Any) -> datetime:
        """Return the moment itself."""
        return cast(datetime, self._from(kept) if self._from is not None else kept)

    def day(self, kept: Any) -> str:
        """Return the day (UTC) as ``YYYY-MM-DD``."""
        return str(kept)[:10]

    def second(self, kept: Any) -> int:
        """Return whole seconds since 1970."""
        return int(self.moment(kept).timestamp())


def _month(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()[:7]


class JsonText(TypeDecorator[Any]):
    """Plain JSON values as canonical text: the same bytes on every database, so that hashes over it hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write canonical JSON; None is SQL NULL."""
        return None if value is None else canonical_json(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read it back."""
        if value is None:
            return None
        empty = _EMPTY.get(value)  # most lists and objects of a camera are empty; parsing costs 20 times more
        return empty() if empty is not None else json.loads(value)


class PackedJson(TypeDecorator[Any]):
    """Large JSON values (observations, whole assessments), deflated: about a tenth of the text."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Write deflated canonical JSON; None is SQL NULL."""
        return None if value is None else zlib.compress(canonical_json(value), 6)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """Read it back, at most 32 MiB."""
        if value is None:
            return None
        inflater = zlib.decompressobj()
        text = inflater.decompress(value, MAX_UNPACKED)
        if inflater.unconsumed_tail:
            raise ValueError(f"a packed value is larger than {MAX_UNPACKED} bytes")
        return json.loads(text)
