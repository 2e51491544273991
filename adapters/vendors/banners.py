"""Who made a device, by its own banners: a hint for people, never a reason to send anything."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from adapters.vendors.families import find_family
from adapters.vendors.reading import Row, VendorDataError, packaged

_FILE = "banners.toml"
KINDS = ("camera", "recorder", "server", "other")
MAX_BANNER = 1024  # characters that are looked at
_ICON = re.compile(r"^[0-9a-f]{32}$")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the table."""

    maker: str  # "" where only the kind is known
    family: str  # id in the table of families, "" where the maker is not in it
    kind: str  # camera | recorder | server | other
    pattern: re.Pattern[str] | None
    icons: frozenset[str]


@dataclass(frozen=True, slots=True)
class Hint:
    """What a banner hints at. Never more than a hint: anybody can write anything into a header."""

    maker: str
    family: str
    kind: str


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """Return the table that this package ships.

    Raises:
        VendorDataError: the file has a mistake.
    """
    return tuple(_read(table) for table in packaged(_FILE)["banner"])


def _read(table: Mapping[str, object]) -> Rule:
    row = Row(table, f"{_FILE}, {table.get('maker', '?')}")
    words, patterns = row.texts("words"), row.texts("patterns")
    parts = [rf"(?<![\w-]){re.escape(word)}(?![\w-])" for word in words] + [f"(?:{one})" for one in patterns]
    try:
        pattern = re.compile("|".join(parts), re.IGNORECASE) if parts else None
    except re.error as error:
        raise row.wrong("patterns", f"cannot be read: {error}") from error
    rule = Rule(
        maker=row.text("maker", default=""),
        family=row.text("family", default=""),
        kind=row.text("kind", one_of=KINDS),
        pattern=pattern,
        icons=frozenset(row.texts("icons")),
    )
    row.ended()
    if rule.family and find_family(rule.family) is None:
        raise row.wrong("family", "is not in families.toml")
    if rule.pattern is None and not rule.icons:
        raise VendorDataError(f"{_FILE}, {rule.maker}: it has neither words nor patterns nor icons")
    return rule


def recognise(banner: str) -> Hint | None:
    """Return what a banner hints at: a Server header, a realm or challenge, a title, a certificate's subject, an icon's MD5.

    None where no rule of the table fits.
    """
    text = " ".join(banner[:MAX_BANNER].split())
    if not text:
        return None
    icon = _ICON.match(text) is not None
    for rule in rules():
        if text in rule.icons or (not icon and rule.pattern is not None and rule.pattern.search(text)):
            return Hint(rule.maker, rule.family, rule.kind)
    return None
