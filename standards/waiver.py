"""Waivers and attestations: what people in authority add to an assessment. Neither ever changes a verdict."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from standards.observation import rfc3339

LONGEST_WAIVER = timedelta(days=180)


class WaiverRefused(ValueError):
    """A waiver that may not be: says which field and why."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One rule set aside for one camera until a date, by a named authority (standard reference 3.4).

    Raises:
        WaiverRefused: no rule, justification or authority; times without a zone; an expiry before the creation or more
            than 180 days after it.
    """

    rule: str
    justification: str
    authority: str
    created: datetime
    expires: datetime
    compensating_control: str = ""

    def __post_init__(self) -> None:
        for name in ("rule", "justification", "authority"):
            if not getattr(self, name).strip():
                raise WaiverRefused(f"a waiver needs its {name}")
        if self.created.tzinfo is None or self.expires.tzinfo is None:
            raise WaiverRefused("the dates of a waiver carry their time zone")
        if self.expires <= self.created:
            raise WaiverRefused("a waiver expires after it was created")
        if self.expires - self.created > LONGEST_WAIVER:
            raise WaiverRefused(f"a waiver ends within {LONGEST_WAIVER.days} days of its creation")

    def active(self, moment: datetime) -> bool:
        """Tell whether the waiver holds at a moment."""
        return self.created <= moment < self.expires

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "rule": self.rule,
            "justification": self.justification,
            "authority": self.authority,
            "created": rfc3339(self.created),
            "expires": rfc3339(self.expires),
            "compensating_control": self.compensating_control,
        }


@dataclass(frozen=True, slots=True)
class Attestation:
    """A declaration behind a rule's facts: who said it, until when it holds (standard reference 3.5).

    The declared values themselves are observations with method INTERVIEW; an attestation names the paper. Once it has
    lapsed, what it stood for counts as not declared.
    """

    rule: str
    author: str
    role: str
    declared: datetime
    valid_until: datetime
    attachment_sha256: str = ""

    def active(self, moment: datetime) -> bool:
        """Tell whether the attestation holds at a moment."""
        return self.declared <= moment < self.valid_until

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "rule": self.rule,
            "author": self.author,
            "role": self.role,
            "declared": rfc3339(self.declared),
            "valid_until": rfc3339(self.valid_until),
            "attachment_sha256": self.attachment_sha256,
        }
