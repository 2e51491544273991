"""Consent records: the texts that owners sign, and the check of what they choose."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from hub.catalog.types import PURPOSES, ROLES, Consent, ConsentInput, Mode, Recipient
from hub.store.errors import Invalid
from standards.observation import canonical_json

DEFAULT_LIFE = timedelta(days=365)
LONGEST_LIFE = timedelta(days=5 * 365)
MAX_RECIPIENTS = 20
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class ConsentText:
    """One version of the text, in both languages. `hash` covers version and both texts."""

    version: str
    vi: str
    en: str
    hash: str

    def said(self, language: str) -> str:
        """Return the text in one language (Vietnamese unless English is asked for)."""
        return self.en if language == "en" else self.vi


@cache
def texts() -> Mapping[str, ConsentText]:
    """Return all versions, oldest first, as installed with the program."""
    told = tomllib.loads((files("hub.catalog") / "consent_texts.toml").read_text("utf-8"))
    return {entry["version"]: _text(entry) for entry in told["text"]}


def current_text() -> ConsentText:
    """Return the version that is signed today."""
    return list(texts().values())[-1]


def checked(asked: ConsentInput, now: datetime) -> ConsentInput:
    """Return what an owner chose with every default filled in.

    Raises:
        Invalid: names the field; `consent_text_changed` where another version of the text was read.
    """
    if asked.sharing_mode not in list(Mode):
        raise Invalid("sharing_mode", f"choose one of {', '.join(Mode)}")
    mode = Mode(asked.sharing_mode)
    _check_choices(asked, mode)
    if asked.text_version != current_text().version:
        raise Invalid(
            "text_version",
            f"the text in force is {current_text().version}; read it and sign that one",
            code="consent_text_changed",
            params={"version": current_text().version},
        )
    if not asked.signed_by.strip() or len(asked.signed_by) > MAX_NAME:
        raise Invalid("signed_by", f"name who signed, in at most {MAX_NAME} characters")
    if len(asked.witnessed_by) > MAX_NAME:
        raise Invalid("witnessed_by", f"at most {MAX_NAME} characters")
    expires = asked.expires_at if asked.expires_at is not None else now + DEFAULT_LIFE
    if expires <= now:
        raise Invalid("expires_at", "choose a time to come")
    if expires > now + LONGEST_LIFE:
        raise Invalid("expires_at", "a consent lasts five years at most, then the owner is asked again")
    return ConsentInput(
        sharing_mode=mode,
        purposes=tuple(sorted(set(asked.purposes), key=PURPOSES.index)),
        recipients=tuple(dict.fromkeys(asked.recipients)),
        text_version=asked.text_version,
        signed_by=asked.signed_by.strip(),
        schedule=asked.schedule if mode is Mode.SCHEDULED else None,
        audio=asked.audio,
        expires_at=expires,
        witnessed_by=asked.witnessed_by.strip(),
    )


def _check_choices(asked: ConsentInput, mode: Mode) -> None:
    live = mode in {Mode.ON_INCIDENT, Mode.SCHEDULED, Mode.ALWAYS}
    if mode is Mode.SCHEDULED and asked.schedule is None:
        raise Invalid("schedule", "mode scheduled needs the hours in which one may look")
    if mode is not Mode.SCHEDULED and asked.schedule is not None:
        raise Invalid("schedule", "hours go with mode scheduled only")
    unknown = [purpose for purpose in asked.purposes if purpose not in PURPOSES]
    if unknown:
        raise Invalid("purposes", f"{unknown[0][:40]!r} is not a purpose; choose from {', '.join(PURPOSES)}")
    if live and not asked.purposes:
        raise Invalid("purposes", "name at least one purpose")
    if live and not asked.recipients:
        raise Invalid("recipients", "name at least one recipient")
    if len(asked.recipients) > MAX_RECIPIENTS:
        raise Invalid("recipients", f"at most {MAX_RECIPIENTS} recipients")
    for index, recipient in enumerate(asked.recipients):
        if recipient.role not in ROLES:
            raise Invalid(f"recipients.{index}.role", f"choose one of {', '.join(ROLES)}")
        if len(recipient.area) > 16:
            raise Invalid(f"recipients.{index}.area", "an area code has at most 16 characters")


def terms_json(consent: ConsentInput) -> dict[str, Any]:
    """Return what is kept of a checked input, as JSON."""
    return {
        "sharing_mode": str(consent.sharing_mode),
        "schedule": consent.schedule.as_json() if consent.schedule else None,
        "purposes": list(consent.purposes),
        "recipients": [{"area": one.area, "role": one.role} for one in consent.recipients],
        "audio": consent.audio,
        "signed_by": consent.signed_by,
        "witnessed_by": consent.witnessed_by,
    }


def recipients_from(told: Sequence[Mapping[str, Any]]) -> tuple[Recipient, ...]:
    """Read recipients from JSON."""
    return tuple(Recipient(str(one.get("area") or ""), str(one["role"])) for one in told)


def consent_json(consent: Consent, now: datetime) -> dict[str, Any]:
    """Return the `Consent` of the HTTP API; times stay datetimes."""
    return {
        "id": consent.id,
        "camera_id": consent.camera_id,
        "version": consent.version,
        "state": str(consent.state(now)),
        "sharing_mode": str(consent.mode),
        "schedule": consent.schedule.as_json() if consent.schedule else None,
        "purposes": list(consent.purposes),
        "recipients": [{"area": one.area, "role": one.role} for one in consent.recipients],
        "audio": consent.audio,
        "expires_at": consent.expires_at,
        "text_version": consent.text_version,
        "text_hash": consent.text_hash,
        "signed_by": consent.signed_by,
        "witnessed_by": consent.witnessed_by or None,
        "given_at": consent.given_at,
        "withdrawn_at": consent.ended_at if consent.state(now) == "withdrawn" else None,
    }


def _text(entry: Mapping[str, str]) -> ConsentText:
    version, vi, en = entry["version"], entry["vi"].strip(), entry["en"].strip()
    hashed = hashlib.sha256(canonical_json({"version": version, "vi": vi, "en": en})).hexdigest()
    return ConsentText(version, vi, en, hashed)
