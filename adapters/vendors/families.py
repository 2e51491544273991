"""Families of cameras: by which route the hub reaches them, what the owner has to switch on, or why there is none."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from adapters.vendors.reading import CERTAINTIES, Row, VendorDataError, packaged

_FILE = "families.toml"
ROUTES = ("onvif", "rtsp", "vendor", "ask", "refuse")
_NOTHING = re.compile(r"[^a-z0-9]+")
_LEGAL = re.compile(
    r"\b(co|ltd|inc|corp|corporation|company|gmbh|ab|technology|technologies|digital|electronics)\b"
)


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence or paragraph for people, in both languages."""

    vi: str
    en: str

    def __bool__(self) -> bool:
        return bool(self.en)

    def in_language(self, language: str) -> str:
        """Return the text in a language."""
        return self.vi if language == "vi" else self.en

    def as_json(self) -> dict[str, str]:
        """Return both."""
        return {"vi": self.vi, "en": self.en}


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `advice` is what to do, `why` the reason where there is no route (or not on all models)."""

    id: str
    label: str
    names: tuple[str, ...]
    route: str  # onvif | rtsp | vendor | ask | refuse
    also: tuple[str, ...]  # further interfaces that some models have
    adapter: str  # scheme of the vendor adapter, "" where there is none
    extra: str  # pip extra that brings it, "" where it is built in
    ports: Mapping[str, int]  # scheme -> port; a port is tried once
    template: str  # id of its one RTSP template, "" where there is none
    account: Said
    advice: Said
    why: Said
    certainty: str
    sources: tuple[str, ...]


@lru_cache(maxsize=1)
def families() -> tuple[Family, ...]:
    """Return all families that this package knows, in the order of its file.

    Raises:
        VendorDataError: the file has a mistake.
    """
    told = packaged(_FILE)
    by_route = {route: _said(told["route"][route], f"route {route}") for route in ROUTES}
    found = tuple(_read(table, by_route) for table in told["family"])
    taken: dict[str, str] = {}
    for family in found:
        for name in {folded(one) for one in (family.id, *family.names)}:
            if taken.setdefault(name, family.id) != family.id:
                raise VendorDataError(f"{_FILE}: {name!r} names {taken[name]} and {family.id}")
    return found


def _read(table: Mapping[str, object], by_route: Mapping[str, Said]) -> Family:
    where = f"{_FILE}, {table.get('id', '?')}"
    row = Row(table, where)
    route = row.text("route", one_of=ROUTES)
    ports = row.table("ports")
    for scheme, port in ports.items():
        if not isinstance(port, int) or not 1 <= port <= 65535:
            raise row.wrong("ports", f"gives {scheme} no port from 1 to 65535")
    family = Family(
        id=row.text("id"),
        label=row.text("label"),
        names=row.texts("aliases"),
        route=route,
        also=row.texts("also"),
        adapter=row.text("adapter", default=""),
        extra=row.text("extra", default=""),
        ports=MappingProxyType({str(scheme): int(port) for scheme, port in ports.items()}),
        template=row.text("template", default=""),
        account=_said(row.table("account"), where, optional=True),
        advice=_said(row.table("do"), where, optional=True) or by_route[route],
        why=_said(row.table("why"), where, optional=True),
        certainty=row.text("certainty", one_of=CERTAINTIES),
        sources=row.texts("sources"),
    )
    row.ended()
    if route in {"ask", "refuse"} and not family.why:
        raise row.wrong("why", "is missing: a family without a route needs its reason")
    if route == "vendor" and not family.adapter:
        raise row.wrong("adapter", "is missing")
    return family


def _said(told: Mapping[str, object], where: str, *, optional: bool = False) -> Said:
    if optional and not told:
        return Said("", "")
    vi, en = told.get("vi"), told.get("en")
    if set(told) != {"vi", "en"} or not (isinstance(vi, str) and vi and isinstance(en, str) and en):
        raise VendorDataError(f"{_FILE}, {where}: a text is not there in vi and en")
    return Said(vi, en)


def folded(name: str) -> str:
    """Return a name for comparing: lower case, without accents, marks and legal forms ("Co., Ltd.")."""
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    words = _NOTHING.sub(" ", plain).strip()
    return _LEGAL.sub(" ", words).replace(" ", "") or words.replace(" ", "")


@lru_cache(maxsize=1)
def _index() -> Mapping[str, Family]:
    return MappingProxyType(
        {folded(name): family for family in families() for name in (family.id, family.label, *family.names)}
    )


def find_family(name: str) -> Family | None:
    """Return the family of a maker's name as a person or a device writes it; None where it is not known.

    Only whole names are matched: a name that merely contains another ("ONVIF_Dahua-like") is not taken for it.
    """
    return _index().get(folded(name[:120])) if name.strip() else None
