"""One waiver or attestation: what is proposed, what is kept, and its row.

::

    proposed --approve (another person)--> approved --expires_at--> (expired)
        |------reject--> rejected             |------revoke------> revoked
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from hub.access.principal import Principal
from hub.compliance.selector import Selector
from hub.store.store import new_id
from standards.observation import rfc3339
from standards.waiver import Attestation, Waiver

STATES = ("proposed", "active", "expired", "rejected", "revoked")
_PLAIN = (
    "id", "rule", "camera_id", "area_code", "starts_at", "expires_at", "proposed_by", "proposer", "proposed_at",
    "decided_by", "decider", "decided_at", "reason",
)  # fmt: skip


class Sort(StrEnum):
    """The two kinds of statements that need two people."""

    WAIVER = "waiver"
    ATTESTATION = "attestation"


@dataclass(frozen=True, slots=True)
class NewWaiver:
    """What is proposed: every field is needed (standard reference 3.4)."""

    rule: str
    selector: Selector
    justification: str
    authority: str
    compensating_control: str
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class NewAttestation:
    """What is proposed for one camera: who stands behind a rule's outcome (standard reference 3.5)."""

    rule: str
    camera_id: str
    author: str
    role: str
    explanation: str
    declared: datetime | None
    valid_until: datetime | None
    attachment_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One waiver or attestation as kept. `data` holds the fields of its kind."""

    id: str
    kind: Sort
    rule: str
    camera_id: str | None
    area_code: str | None
    selector: Selector
    data: Mapping[str, Any]
    starts_at: datetime
    expires_at: datetime
    stored_state: str  # proposed approved rejected revoked
    proposed_by: str
    proposer: str
    proposed_at: datetime
    decided_by: str | None
    decider: str | None
    decided_at: datetime | None
    reason: str

    def state(self, now: datetime) -> str:
        """Return proposed, active, expired, rejected or revoked. One that nobody decided in time has expired."""
        if self.stored_state in ("rejected", "revoked"):
            return self.stored_state
        if now >= self.expires_at:
            return "expired"
        return "active" if self.stored_state == "approved" else "proposed"

    @property
    def subject(self) -> str:
        """Return what the audit log names: its camera, or itself."""
        return f"camera/{self.camera_id}" if self.camera_id else f"{self.kind}/{self.id}"

    def facts(self) -> dict[str, Any]:
        """Return what the audit log says of it."""
        return {
            "statement": self.id,
            "rule": self.rule,
            "selector": self.selector.as_json(),
            "expires": rfc3339(self.expires_at),
        }

    def waiver(self) -> Waiver:
        """Return what `assess` takes."""
        return Waiver(
            rule=self.rule,
            justification=self.data["justification"],
            authority=self.data["authority"],
            created=self.starts_at,
            expires=self.expires_at,
            compensating_control=self.data["compensating_control"],
        )

    def attestation(self) -> Attestation:
        """Return what `assess` takes."""
        return Attestation(
            rule=self.rule,
            author=self.data["author"],
            role=self.data["role"],
            declared=self.starts_at,
            valid_until=self.expires_at,
            attachment_sha256=self.data["attachment_sha256"],
        )


def proposed(
    kind: Sort,
    rule: str,
    selector: Selector,
    *,
    area: str | None,
    data: Mapping[str, Any],
    lasts: tuple[datetime, datetime],
    who: Principal,
    now: datetime,
) -> Statement:
    """Return a new statement as it is proposed; `lasts` is from when until when."""
    return Statement(
        id=new_id(),
        kind=kind,
        rule=rule,
        camera_id=selector.value if selector.way == "camera" else None,
        area_code=area,
        selector=selector,
        data=data,
        starts_at=lasts[0],
        expires_at=lasts[1],
        stored_state="proposed",
        proposed_by=who.user_id,
        proposer=who.display_name or who.name,
        proposed_at=now,
        decided_by=None,
        decider=None,
        decided_at=None,
        reason="",
    )


def row_of(statement: Statement) -> dict[str, Any]:
    """Return a new statement as a row of the table."""
    return {
        "kind": str(statement.kind),
        "selector": statement.selector.as_json(),
        "data": dict(statement.data),
        "state": statement.stored_state,
        "settled": False,
        **{name: getattr(statement, name) for name in _PLAIN},
    }


def statement_from(row: Any) -> Statement:
    """Return a row of the table as a statement."""
    return Statement(
        kind=Sort(row.kind),
        selector=Selector.of(row.selector),
        data=row.data,
        stored_state=row.state,
        **{name: getattr(row, name) for name in _PLAIN},
    )
