"""The hash chain of the audit log: pure values and how they are sealed.

A record's hash is SHA-256 over the canonical JSON of all its other fields, the hash of the record before it
included. Changing, removing or inserting a record breaks every later one; the head is kept apart, so that cutting
off the end shows too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from standards.observation import canonical_json, rfc3339

GENESIS = "0" * 64
MAX_DATA = 16_384


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a person, or a part of the hub. The name is what it was at that time."""

    kind: str  # user | token | system | cli | anonymous
    id: str = ""
    name: str = ""
    role: str = ""

    def as_json(self) -> dict[str, str]:
        """Return plain values."""
        return {"kind": self.kind, "id": self.id, "name": self.name, "role": self.role}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Actor":
        """Read what `as_json` wrote."""
        return cls(
            str(told["kind"]), str(told.get("id", "")), str(told.get("name", "")), str(told.get("role", ""))
        )


HUB = Actor("system", name="camhub")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record. `subject` is ``camera/ID``, ``user/ID``, ``consent/ID``, ... or ``hub``."""

    seq: int
    at: str  # RFC 3339, UTC, milliseconds
    kind: str
    actor: Actor
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    prev_hash: str = GENESIS
    hash: str = ""

    def as_row(self) -> dict[str, Any]:
        """Return the columns of the audit table."""
        return {
            "seq": self.seq,
            "at": self.at,
            "kind": self.kind,
            "actor": canonical_json(self.actor.as_json()).decode(),
            "subject": self.subject,
            "data": canonical_json(dict(self.data)).decode(),
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }

    @classmethod
    def from_row(cls, row: Any) -> "AuditRecord":
        """Read a row of the audit table."""
        return cls(
            seq=row.seq,
            at=row.at,
            kind=row.kind,
            actor=Actor.from_json(json.loads(row.actor)),
            subject=row.subject,
            data=MappingProxyType(json.loads(row.data)),
            prev_hash=row.prev_hash,
            hash=row.hash,
        )


def hash_of(row: Mapping[str, Any]) -> str:
    """Return the hash (hex) over a record's columns as they are stored, all but its own hash."""
    fields = ("seq", "at", "kind", "actor", "subject", "data", "prev_hash")
    return hashlib.sha256(canonical_json({name: row[name] for name in fields})).hexdigest()


def following(
    head: tuple[int, str], at: datetime, kind: str, actor: Actor, *, subject: str, data: Mapping[str, Any]
) -> AuditRecord:
    """Return the record that follows `head` (the last sequence number and its hash).

    Raises:
        ValueError: the data is larger than 16 KiB: the log keeps what was decided, not what was seen.
    """
    packed = canonical_json(dict(data))
    if len(packed) > MAX_DATA:
        raise ValueError(f"audit data of {kind} has {len(packed)} bytes; at most {MAX_DATA}")
    plain = MappingProxyType(json.loads(packed))
    record = AuditRecord(head[0] + 1, rfc3339(at), kind, actor, subject, plain, prev_hash=head[1])
    return replace(record, hash=hash_of(record.as_row()))
