"""Quirks as data: what cameras do beside their standards, where that was read, how it is recognised, what is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from adapters.vendors.reading import Row, VendorDataError, packaged

_FILE = "quirks.toml"
STATUSES = ("handled", "refused", "not handled")


@dataclass(frozen=True, slots=True)
class Quirk:
    """One quirk. `matchers` are the words under which reports name it; `code` the files that deal with it."""

    id: str  # rtsp/25, onvif/46, isapi/100; own-N where nobody else wrote it down
    symptom: str
    known_on: tuple[str, ...]
    citation: str
    matchers: tuple[str, ...]
    code: tuple[str, ...]
    policy: str
    status: str  # handled | refused | not handled

    def matches(self, name: str) -> bool:
        """Tell whether a word of a report names this quirk; ``off_schema:*`` matches every such word."""
        return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in self.matchers)


@lru_cache(maxsize=1)
def quirks() -> tuple[Quirk, ...]:
    """Return all quirks in the order of the file.

    Raises:
        VendorDataError: the file has a mistake.
    """
    found = tuple(_read(table) for table in packaged(_FILE)["quirk"])
    if len({one.id for one in found}) != len(found):
        raise VendorDataError(f"{_FILE}: two quirks have the same id")
    return found


def _read(table: Mapping[str, object]) -> Quirk:
    row = Row(table, f"{_FILE}, {table.get('id', '?')}")
    quirk = Quirk(
        id=row.text("id"),
        symptom=row.text("symptom"),
        known_on=row.texts("on"),
        citation=row.text("cite"),
        matchers=row.texts("names"),
        code=row.texts("code"),
        policy=row.text("policy"),
        status=row.text("status", one_of=STATUSES),
    )
    row.ended()
    if quirk.status == "handled" and not quirk.matchers and not quirk.code:
        raise row.wrong("status", "is handled, but neither a name nor a file says where")
    return quirk


def quirks_named(name: str) -> tuple[Quirk, ...]:
    """Return the quirks that a word of a report names."""
    return tuple(one for one in quirks() if one.matches(name))
