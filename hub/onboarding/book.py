"""Onboardings as kept: the state and all that a retry needs, the credential sealed and only while it may be needed."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from adapters.secret import Credential, Secret
from hub.problems import Problem
from hub.store import tables
from hub.store.sealer import Sealer
from hub.store.store import Store, Writing
from standards.observation import rfc3339

_TABLE = tables.onboardings
RUNNING = "running"
ENDED = frozenset({"admitted", "conditional", "pending", "rejected", "failed", "cancelled"})
AGAIN = frozenset({"failed", "cancelled"})  # states from which it may be retried or kept


@dataclass(slots=True)
class Onboarding:
    """One onboarding (or re-check, where `recheck_of` names a camera)."""

    id: str
    state: str
    started_by: str | None
    started_at: datetime
    request: dict[str, Any]  # as asked, without the credential
    camera_id: str | None = None
    ended_at: datetime | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    courtesy: dict[str, int] = field(default_factory=lambda: {"reads": 0, "logins": 0})
    decision: str | None = None
    channels: list[dict[str, Any]] = field(default_factory=list)  # other video sources of a recorder
    problem: dict[str, Any] | None = None  # {"code", "params", "field"}: said in the reader's language

    @property
    def recheck_of(self) -> str | None:
        """Return the camera that is checked again, if this is a re-check."""
        told = self.request.get("recheck_of")
        return str(told) if told else None

    def data(self) -> dict[str, Any]:
        """Return what the data column holds."""
        return {
            "request": self.request,
            "steps": self.steps,
            "courtesy": self.courtesy,
            "decision": self.decision,
            "channels": self.channels,
            "problem": self.problem,
        }

    def problem_value(self) -> Problem | None:
        """Return the problem, to be said in some language."""
        if self.problem is None:
            return None
        return Problem(self.problem["code"], self.problem["params"], field=self.problem["field"])

    def as_json(self, problem: dict[str, Any] | None) -> dict[str, Any]:
        """Return the representation of the HTTP API; `problem` is already in the reader's language."""
        return {
            "id": self.id,
            "state": self.state,
            "address": self.request.get("address", ""),
            "name": self.request.get("name"),
            "camera_id": self.camera_id,
            "recheck": self.recheck_of is not None,
            "steps": self.steps,
            "courtesy": self.courtesy,
            "decision": self.decision,
            "channels": self.channels,
            "problem": problem,
            "started_at": rfc3339(self.started_at),
            "ended_at": rfc3339(self.ended_at) if self.ended_at else None,
        }


class OnboardingBook:
    """The onboardings table."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def add(self, tx: Writing, entry: Onboarding, credential: Credential | None) -> None:
        """Write a new onboarding inside the caller's transaction."""
        await tx.execute(
            insert(_TABLE).values(
                id=entry.id,
                state=entry.state,
                camera_id=entry.camera_id,
                started_by=entry.started_by,
                started_at=entry.started_at,
                ended_at=None,
                data=entry.data(),
                sealed=self._seal(entry.id, credential),
            )
        )

    async def save(self, tx: Writing, entry: Onboarding, *, forget_credential: bool = False) -> None:
        """Write the present state inside the caller's transaction."""
        values: dict[str, Any] = {
            "state": entry.state,
            "camera_id": entry.camera_id,
            "started_at": entry.started_at,
            "ended_at": entry.ended_at,
            "data": entry.data(),
        }
        if forget_credential:
            values["sealed"] = None
        await tx.execute(update(_TABLE).where(_TABLE.c.id == entry.id).values(**values))

    async def set_credential(self, tx: Writing, entry_id: str, credential: Credential | None) -> None:
        """Replace the sealed credential."""
        sealed = self._seal(entry_id, credential)
        await tx.execute(update(_TABLE).where(_TABLE.c.id == entry_id).values(sealed=sealed))

    async def get(self, entry_id: str) -> Onboarding | None:
        """Return one onboarding as kept."""
        async with self._store.read() as tx:
            row = await tx.one(select(_TABLE).where(_TABLE.c.id == entry_id))
        return None if row is None else _entry(row)

    async def credential(self, entry_id: str) -> Credential | None:
        """Open the credential as typed. Raises SealError where the key does not fit."""
        async with self._store.read() as tx:
            sealed = await tx.scalar(select(_TABLE.c.sealed).where(_TABLE.c.id == entry_id))
        if sealed is None:
            return None
        told = json.loads(self._sealer.unseal(bytes(sealed), f"onboarding/{entry_id}", "credential").reveal())
        return Credential(str(told["user"]), Secret(str(told["password"])))

    async def left_running(self) -> list[Onboarding]:
        """Return what a hub that died left running."""
        async with self._store.read() as tx:
            rows = await tx.all(select(_TABLE).where(_TABLE.c.state == RUNNING))
        return [_entry(row) for row in rows]

    def _seal(self, entry_id: str, credential: Credential | None) -> bytes | None:
        if credential is None:
            return None
        told = json.dumps({"user": credential.user, "password": credential.password.reveal()})
        return self._sealer.seal(Secret(told), f"onboarding/{entry_id}", "credential")


def _entry(row: Any) -> Onboarding:
    data = row.data
    return Onboarding(
        id=row.id,
        state=row.state,
        started_by=row.started_by,
        started_at=row.started_at,
        request=data["request"],
        camera_id=row.camera_id,
        ended_at=row.ended_at,
        steps=data["steps"],
        courtesy=data["courtesy"],
        decision=data["decision"],
        channels=data.get("channels", []),
        problem=data["problem"],
    )
