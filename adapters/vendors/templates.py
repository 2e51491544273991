"""RTSP path templates: exactly one for a maker that was named, never a walk down a list.

An address is made from a template only where the owner named the maker or the device reported it, and no interface
gave the stream's address. An unconfirmed template is used only where the owner named it, and then with that word.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from adapters.errors import BadTarget
from adapters.target import Target
from adapters.vendors.families import find_family
from adapters.vendors.reading import CERTAINTIES, Row, VendorDataError, packaged

_FILE = "templates.toml"
_FIELDS = frozenset({"c", "c0", "cc"})
_SECRET = frozenset({"user", "password"})
_OPENED = frozenset({"rtsp", "rtsps"})  # schemes that an adapter here speaks for media


@dataclass(frozen=True, slots=True)
class Template:
    """One row of the table. `main` and `sub` are paths with fields in braces; `sub` is "" where none is known."""

    row: int
    id: str
    family: str
    label: str
    main: str
    sub: str
    scheme: str
    port: int
    sources: tuple[str, ...]
    certainty: str  # code | doc | reported | unconfirmed
    default: bool
    note: str

    @property
    def fields(self) -> frozenset[str]:
        """Return the names of the fields in its paths."""
        return _fields(self.main) | _fields(self.sub)

    @property
    def usable(self) -> str:
        """Return "" where an address can be made of it, else why not, in one sentence."""
        if self.fields & _SECRET:
            return (
                f"{self.label}: its RTSP wants the password inside the path, where logs and recorders would keep it;"
                " camhub builds no such address"
            )
        if self.fields - _FIELDS:
            return f"{self.label}: its address holds a token that only the maker's console gives"
        if self.scheme not in _OPENED:
            return f"{self.label}: no adapter speaks {self.scheme}:// for media"
        return ""

    def addresses(self, host: str, *, channel: int = 1, port: int | None = None) -> "Addresses":
        """Return the stream addresses of one host.

        Raises:
            BadTarget: this template cannot be used; the message says why.
        """
        if self.usable:
            raise BadTarget(self.usable, peer=host, hint="Use ONVIF, or enter the whole stream address")
        at = port or self.port
        main = Target(self.scheme, host, at, _filled(self.main, channel))
        sub = Target(self.scheme, host, at, _filled(self.sub, channel)) if self.sub else None
        return Addresses(self, main, sub)


@dataclass(frozen=True, slots=True)
class Addresses:
    """What one template gives for one host."""

    template: Template
    main: Target
    sub: Target | None


@dataclass(frozen=True, slots=True)
class Templates:
    """The table."""

    rows: tuple[Template, ...]
    sources: Mapping[str, str]

    def by_id(self, name: str) -> Template | None:
        """Return the template of this id."""
        return next((one for one in self.rows if one.id == name), None)

    def of_family(self, family: str) -> tuple[Template, ...]:
        """Return all templates of a family, its default one first. For people to read; nothing tries them in turn."""
        return tuple(
            sorted((one for one in self.rows if one.family == family), key=lambda one: not one.default)
        )


@lru_cache(maxsize=1)
def templates() -> Templates:
    """Return the table that this package ships.

    Raises:
        VendorDataError: the file has a mistake.
    """
    told = packaged(_FILE)
    sources = {str(key): str(value) for key, value in told["sources"].items()}
    rows = tuple(_read(table, sources) for table in told["template"])
    for name in ("row", "id"):
        seen = [getattr(row, name) for row in rows]
        if len(seen) != len(set(seen)):
            raise VendorDataError(f"{_FILE}: two rows have the same {name}")
    for family in {row.family for row in rows}:
        if sum(row.default for row in rows if row.family == family) > 1:
            raise VendorDataError(f"{_FILE}: the family {family} has more than one default template")
    return Templates(rows, MappingProxyType(sources))


def _read(table: Mapping[str, object], sources: Mapping[str, str]) -> Template:
    row = Row(table, f"{_FILE}, row {table.get('row', '?')}")
    template = Template(
        row=row.number("row", 1, 999),
        id=row.text("id"),
        family=row.text("family"),
        label=row.text("label"),
        main=row.text("main"),
        sub=row.text("sub", default=""),
        scheme=row.text("scheme", one_of=("rtsp", "rtsps", "http", "dvrip")),
        port=row.number("port", 1, 65535),
        sources=(row.text("source", one_of=tuple(sources)),),
        certainty=row.text("certainty", one_of=CERTAINTIES),
        default=row.flag("default"),
        note=row.text("note", default=""),
    )
    row.ended()
    for name in ("main", "sub"):
        path = getattr(template, name)
        if path and not path.startswith(("/", "?")):
            raise row.wrong(name, "does not begin with / or ?")
        if _fields(path) - _FIELDS - _SECRET - {"token"}:
            raise row.wrong(name, "has a field that nothing fills")
    if template.default and template.usable:
        raise row.wrong("default", "is true, but no address can be made of this template")
    return template


def template_for(vendor: str) -> Template:
    """Return the one template for a maker as the owner named it: a family, one of its other names, or a template's id.

    Raises:
        BadTarget: the name is not known, or nothing can be made for it; message and hint say what to do.
    """
    table = templates()
    exact = table.by_id(vendor.strip().lower())
    family = find_family(vendor)
    if exact is None and family is not None and family.template:
        exact = table.by_id(family.template)
    if exact is not None and not exact.usable:
        return exact
    if exact is None and family is None:
        raise BadTarget(
            f"the maker {vendor.strip()[:60]!r} is not in the table of makers",
            hint="`camhub adapters` lists the makers; or enter the whole stream address, rtsp://host:port/path",
        )
    why = exact.usable if exact is not None else ""
    raise BadTarget(
        why
        or (family.why.en if family is not None and family.why else "")
        or f"no RTSP path of {vendor} is known",
        hint=family.advice.en
        if family is not None
        else "Enter the whole stream address, rtsp://host:port/path",
    )


def reported_template(vendor: str) -> Template | None:
    """Return the template for a maker that the device itself reported, or None.

    Stricter than `template_for`: nothing unconfirmed is used on the word of a device, and a family without ONVIF or
    RTSP of its own gets nothing.
    """
    family = find_family(vendor)
    if family is None or family.route in {"refuse", "ask"} or not family.template:
        return None
    template = templates().by_id(family.template)
    doubtful = "unconfirmed" in {family.certainty, template.certainty if template else ""}
    return None if template is None or doubtful or template.usable else template


def spoken(template: Template, language: str) -> str:
    """Return one line on which template was taken and how sure it is, for people."""
    doubt = {
        "code": {"vi": "có trong mã nguồn của thư viện", "en": "found in a library's code"},
        "doc": {"vi": "theo tài liệu của hãng", "en": "by the maker's documents"},
        "reported": {"vi": "theo người dùng công bố", "en": "as users reported"},
        "unconfirmed": {"vi": "chưa xác nhận", "en": "unconfirmed"},
    }[template.certainty][language]
    word = {"vi": "mẫu", "en": "template"}[language]
    return f"{word} {template.row}, {template.label}: {template.main} ({doubt})"


def _fields(path: str) -> frozenset[str]:
    return frozenset(name for _text, name, _spec, _conversion in string.Formatter().parse(path) if name)


def _filled(path: str, channel: int) -> str:
    return path.format(c=channel, c0=channel - 1, cc=f"{channel:02d}")
