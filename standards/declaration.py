"""Declarations: facts that people state, in forms that are data (`declarations/forms.toml`).

A form says what may be declared, by whom, in which kind of value, and how long it holds. A `Declaration` is one
statement that fits its form; it becomes an `Observation` with method INTERVIEW. A lapsed one becomes NotObserved with
`no_declaration`. Pure: the moment of judgement is an argument.
"""

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from standards.facts import FACTS
from standards.observation import (
    Method,
    NotObserved,
    Observation,
    Observed,
    Provenance,
    Value,
    freeze,
    rfc3339,
)
from standards.packaged import packaged_texts
from standards.reason import Reason
from standards.wording import Text

SOURCE = "declaration/1"
ROLES = ("owner", "installer", "manufacturer", "authority", "reviewer")
MAX_AUTHOR = 120
MAX_COUNTRIES = 20
DAYS_PER_MONTH = 30.4375
_COUNTRY = re.compile(r"[A-Z]{2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What a value of a form becomes: the kind of the fact (`standards.facts`).
_FACT_KINDS = {
    "bool": ("bool",),
    "int": ("int",),
    "float": ("float",),
    "choice": ("str",),
    "countries": ("list",),
    "date": ("float",),
}

Kind = Literal["bool", "int", "float", "choice", "countries", "date"]


class FormError(ValueError):
    """The table of forms is wrong: names the fact and what about it."""


class DeclarationRefused(ValueError):
    """A declaration that may not be: `field` says where, `why` is a key of sentences, `params` fill them."""

    def __init__(self, field: str, why: str, **params: Any) -> None:
        said = ", ".join(f"{name} {value}" for name, value in params.items())
        super().__init__(f"{field}: {why}" + (f" ({said})" if said else ""))
        self.field = field
        self.why = why
        self.params = params


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values that a choice offers."""

    value: str
    text: Text


@dataclass(frozen=True, slots=True)
class Form:
    """How one fact is declared. Days are days; `low` and `high` bound numbers in `unit`."""

    fact: str
    kind: Kind
    who: tuple[str, ...]
    rules: tuple[str, ...]
    title: Text
    donor: Text
    help: Text
    valid_days: int
    longest_days: int
    becomes: str = ""  # of a date: age_days | age_months | days_left
    choices: tuple[Choice, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = ""
    kept_by: str = ""  # catalog | consent: where a hub keeps it instead

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON, as the API gives it."""
        return {
            "fact": self.fact,
            "kind": self.kind,
            "becomes": self.becomes or None,
            "unit": self.unit or None,
            "min": self.low,
            "max": self.high,
            "choices": [{"value": one.value, "text": one.text.as_json()} for one in self.choices],
            "who": list(self.who),
            "rules": list(self.rules),
            "kept_by": self.kept_by or None,
            "valid_days": self.valid_days,
            "longest_days": self.longest_days,
            "title": self.title.as_json(),
            "donor": self.donor.as_json(),
            "help": self.help.as_json(),
        }

    def wanted(self) -> Text:
        """Return what kind of value is asked for, in words."""
        if self.kind == "choice":
            known = ", ".join(one.value for one in self.choices)
            return Text(f"một trong: {known}", f"one of: {known}")
        return _WANTED[self.kind]


_WANTED = {
    "bool": Text("true (có) hoặc false (không)", "true or false"),
    "int": Text("một số nguyên", "a whole number"),
    "float": Text("một số", "a number"),
    "countries": Text("danh sách mã nước hai chữ hoa (ISO 3166), ví dụ VN", "two-letter codes, such as VN"),
    "date": Text("một ngày dạng NĂM-THÁNG-NGÀY", "a date as YEAR-MONTH-DAY"),
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """One fact as somebody stated it. Made by `declaration`, which checks it. `value` is as typed: a date stays a date."""

    fact: str
    value: Any
    author: str
    role: str
    declared: datetime
    valid_until: datetime
    attachment_sha256: str = ""

    def active(self, moment: datetime) -> bool:
        """Tell whether it holds at a moment."""
        return self.declared <= moment < self.valid_until

    def observation(self, now: datetime, *, peer: str = "hub") -> Observation:
        """Return what it is worth at a moment. Names the author's role, never the author."""
        told = self._provenance(peer)
        if not self.active(now):
            until = self.valid_until.date().isoformat()
            return NotObserved(Reason.NO_DECLARATION, f"the declaration lapsed on {until}", told)
        return Observed(_fact_value(forms()[self.fact], self.value, now), told)

    def _provenance(self, peer: str) -> Provenance:
        parts = [
            f"value {self.value}",
            f"declared {rfc3339(self.declared)}",
            f"valid until {rfc3339(self.valid_until)}",
        ]
        if self.attachment_sha256:
            parts.append(f"attachment SHA-256 {self.attachment_sha256}")
        excerpt = "; ".join(parts)
        return Provenance(
            Method.INTERVIEW,
            SOURCE,
            f"declaration by {self.role}",
            peer,
            self.declared,
            excerpt=excerpt,
            excerpt_sha256=hashlib.sha256(excerpt.encode()).hexdigest(),
        )


def declaration(
    fact: str,
    value: Any,
    *,
    author: str,
    role: str,
    declared: datetime | None,
    now: datetime,
    valid_until: datetime | None = None,
    attachment_sha256: str = "",
) -> Declaration:
    """Check one statement against its form.

    `now` is the moment at which it is taken in; `valid_until` None takes the form's own time.

    Raises:
        DeclarationRefused: `fact_unknown`, `value_kind`, `value_bounds`, `value_ahead`, `author_missing`, `role_unknown`,
            `role_may_not`, `date_missing`, `date_ahead`, `until_before`, `until_far`, `lapsed`, `attachment_hash`.
    """
    form = forms().get(fact)
    if form is None:
        raise DeclarationRefused("fact", "fact_unknown", fact=str(fact)[:80])
    kept = _checked_value(form, value, now)
    name = author.strip()
    if not name or len(name) > MAX_AUTHOR or not name.isprintable():
        raise DeclarationRefused("author", "author_missing")
    if role not in ROLES:
        raise DeclarationRefused("role", "role_unknown", role=str(role)[:40], known=", ".join(ROLES))
    if role not in form.who:
        raise DeclarationRefused("role", "role_may_not", role=role, who=", ".join(form.who))
    if declared is None:
        raise DeclarationRefused("date", "date_missing")
    if declared > now:
        raise DeclarationRefused("date", "date_ahead", date=_day(declared))
    until = valid_until or declared + timedelta(days=form.valid_days)
    if until <= declared:
        raise DeclarationRefused("valid_until", "until_before", date=_day(until), declared=_day(declared))
    if until - declared > timedelta(days=form.longest_days + 1):  # to the end of the last day
        raise DeclarationRefused("valid_until", "until_far", days=form.longest_days)
    if until <= now:
        raise DeclarationRefused("valid_until", "lapsed", date=_day(until))
    if attachment_sha256 and not _SHA256.fullmatch(attachment_sha256):
        raise DeclarationRefused("attachment", "attachment_hash")
    return Declaration(fact, kept, name, role, declared, until, attachment_sha256)


def _checked_value(form: Form, value: Any, now: datetime) -> Any:
    """Return the value as kept (plain JSON; a date as its ISO text)."""
    refused = DeclarationRefused("value", "value_kind", fact=form.fact, wanted=form.wanted().as_json())
    if form.kind == "bool":
        if not isinstance(value, bool):
            raise refused
        return value
    if form.kind in ("int", "float"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or (form.kind == "int" and value != int(value)):
            raise refused
        low, high = form.low, form.high
        if (low is not None and value < low) or (high is not None and value > high):
            raise DeclarationRefused("value", "value_bounds", min=low, max=high, unit=form.unit)
        return int(value) if form.kind == "int" else float(value)
    if form.kind == "choice":
        if not isinstance(value, str) or value not in {one.value for one in form.choices}:
            raise refused
        return value
    if form.kind == "countries":
        listed = isinstance(value, list | tuple) and 0 < len(value) <= MAX_COUNTRIES
        if not listed or not all(isinstance(one, str) and _COUNTRY.fullmatch(one) for one in value):
            raise refused
        return sorted(set(value))
    day = _date_of(value)
    if day is None:
        raise refused
    if (
        form.becomes != "days_left" and day > (now + timedelta(hours=14)).date()
    ):  # somewhere it is that day already
        raise DeclarationRefused("value", "value_ahead", date=day.isoformat())
    return day.isoformat()


def _date_of(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _fact_value(form: Form, value: Any, now: datetime) -> Value:
    """Return the fact that a kept value is worth today."""
    if form.kind != "date":
        return freeze(value)
    days = (now - datetime.combine(date.fromisoformat(value), time(), UTC)).total_seconds() / 86_400
    if form.becomes == "days_left":
        return round(-days, 2)
    return round(max(0.0, days) / (DAYS_PER_MONTH if form.becomes == "age_months" else 1.0), 2)


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Strict):
    vi: str = Field(min_length=1)
    en: str = Field(min_length=1)


class _Choice(_Text):
    value: str = Field(min_length=1)


class _Form(_Strict):
    fact: str
    kind: Kind
    becomes: Literal["", "age_days", "age_months", "days_left"] = ""
    min: float | None = None
    max: float | None = None
    unit: str = ""
    choices: list[_Choice] = []
    who: list[str] = Field(min_length=1)
    kept_by: Literal["", "catalog", "consent"] = ""
    valid_days: int = Field(ge=1)
    longest_days: int = Field(ge=1)
    rules: list[str] = Field(min_length=1)
    title: _Text
    donor: _Text | None = None
    help: _Text


class _File(_Strict):
    form: list[_Form]


def parse_forms(text: str) -> Mapping[str, Form]:
    """Read a table of forms, by fact in the order of the file.

    Raises:
        FormError: names the fact and what is wrong.
    """
    try:
        told = _File.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise FormError(f"forms: {error}") from error
    out: dict[str, Form] = {}
    for one in told.form:
        known = FACTS.get(one.fact)
        if known is None or one.fact in out:
            raise FormError(f"form {one.fact}: {'a fact has one form' if known else 'no such fact'}")
        if known.kind not in _FACT_KINDS[one.kind]:
            raise FormError(f"form {one.fact}: a {one.kind} does not give a fact of kind {known.kind}")
        if (one.kind == "date") != bool(one.becomes) or (one.kind == "choice") != bool(one.choices):
            raise FormError(f"form {one.fact}: `becomes` goes with dates, `choices` with choices")
        unknown = set(one.who) - set(ROLES)
        if unknown or one.longest_days < one.valid_days:
            raise FormError(f"form {one.fact}: who is one of {', '.join(ROLES)}; longest_days >= valid_days")
        title = Text(one.title.vi, one.title.en)
        out[one.fact] = Form(
            fact=one.fact,
            kind=one.kind,
            who=tuple(one.who),
            rules=tuple(one.rules),
            title=title,
            donor=Text(one.donor.vi, one.donor.en) if one.donor else title,
            help=Text(one.help.vi, one.help.en),
            valid_days=one.valid_days,
            longest_days=one.longest_days,
            becomes=one.becomes,
            choices=tuple(Choice(each.value, Text(each.vi, each.en)) for each in one.choices),
            low=one.min,
            high=one.max,
            unit=one.unit,
            kept_by=one.kept_by,
        )
    return out


@lru_cache(maxsize=1)
def forms() -> Mapping[str, Form]:
    """Return the forms that the program ships, read once."""
    return parse_forms(packaged_texts("declarations")["forms.toml"])
