"""Records kept for other rooms: onboardings with their state, and replies remembered for idempotency keys."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from adapters.secret import Credential, Secret
from hub.store import tables
from hub.store.errors import ServiceError
from hub.store.sealer import Sealer
from hub.store.store import Store
from standards.observation import canonical_json

_ONBOARDINGS, _KEYS = tables.onboardings, tables.idempotency
RUNNING = "running"
REMEMBERED = timedelta(hours=24)
# A first request that never answered (the hub was killed) blocks its key no longer than this.
ABANDONED = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class OnboardingRecord:
    """One onboarding as kept. `data` is the whole state as plain JSON, without secrets."""

    id: str
    state: str
    camera_id: str | None
    started_by: str | None
    started_at: datetime
    ended_at: datetime | None
    data: Mapping[str, Any]


class OnboardingRecords:
    """The onboardings of this hub. A credential that a retry may need is sealed beside the state."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def save(self, record: OnboardingRecord) -> None:
        """Write an onboarding, new or known. The sealed credential stays as it is."""
        values = {
            "state": record.state,
            "camera_id": record.camera_id,
            "started_by": record.started_by,
            "started_at": record.started_at,
            "ended_at": record.ended_at,
            "data": dict(record.data),
        }
        async with self._store.write() as tx:
            known = await tx.execute(
                update(_ONBOARDINGS).where(_ONBOARDINGS.c.id == record.id).values(**values)
            )
            if known.rowcount == 0:
                await tx.execute(insert(_ONBOARDINGS).values(id=record.id, **values))

    async def get(self, onboarding_id: str) -> OnboardingRecord | None:
        """Return one onboarding, or None."""
        async with self._store.read() as tx:
            row = await tx.one(select(_ONBOARDINGS).where(_ONBOARDINGS.c.id == onboarding_id))
        return _record_from(row) if row is not None else None

    async def running(self) -> tuple[OnboardingRecord, ...]:
        """Return those in state `running`: at start, those that the last run left behind."""
        async with self._store.read() as tx:
            rows = await tx.all(select(_ONBOARDINGS).where(_ONBOARDINGS.c.state == RUNNING))
        return tuple(_record_from(row) for row in rows)

    async def keep_credential(self, onboarding_id: str, credential: Credential | None) -> None:
        """Seal the credential as typed, for a retry; None erases it."""
        sealed = None
        if credential is not None:
            text = f"{credential.user}\x00{credential.password.reveal()}"
            sealed = self._sealer.seal(Secret(text), onboarding_id, "onboarding")
        async with self._store.write() as tx:
            await tx.execute(
                update(_ONBOARDINGS).where(_ONBOARDINGS.c.id == onboarding_id).values(sealed=sealed)
            )

    async def credential_for(self, onboarding_id: str) -> Credential | None:
        """Open the sealed credential of an onboarding, or None."""
        async with self._store.read() as tx:
            sealed = await tx.scalar(select(_ONBOARDINGS.c.sealed).where(_ONBOARDINGS.c.id == onboarding_id))
        if sealed is None:
            return None
        user, _, password = (
            self._sealer.unseal(sealed, onboarding_id, "onboarding").reveal().partition("\x00")
        )
        return Credential(user, Secret(password))

    async def forget_credentials(self, before: datetime) -> int:
        """Erase the sealed credentials of onboardings that ended before a moment. Returns how many."""
        async with self._store.write() as tx:
            erased = await tx.execute(
                update(_ONBOARDINGS)
                .where(_ONBOARDINGS.c.sealed.is_not(None), _ONBOARDINGS.c.ended_at < before)
                .values(sealed=None)
            )
        return int(erased.rowcount)


class IdempotencyKeys:
    """Replies remembered for 24 hours by who asked and the key they chose."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clock = store.clock

    async def begin(self, scope: str, key: str, request: Any) -> Any:
        """Claim a key for a request (plain JSON values). Returns the remembered reply, or None: go on and `finish`.

        Raises:
            ServiceError: `idempotency_conflict`: the key was used for another request; `idempotency_running`: the
                first request has not answered yet.
        """
        fingerprint = hashlib.sha256(canonical_json(request)).hexdigest()
        now = self._clock.now()
        mine = (_KEYS.c.scope == scope[:64]) & (_KEYS.c.key == key[:128])
        async with self._store.write() as tx:
            stale = (_KEYS.c.at < now - REMEMBERED) | (
                _KEYS.c.reply.is_(None) & (_KEYS.c.at < now - ABANDONED)
            )
            await tx.execute(delete(_KEYS).where(stale))
            row = await tx.one(select(_KEYS).where(mine))
            if row is None:
                await tx.execute(
                    insert(_KEYS).values(scope=scope[:64], key=key[:128], fingerprint=fingerprint, at=now)
                )
                return None
        if row.fingerprint != fingerprint:
            raise ServiceError("idempotency_conflict", "this idempotency key was used for another request")
        if row.reply is None:
            raise ServiceError("idempotency_running", "the first request with this key has not ended yet")
        return row.reply

    async def finish(self, scope: str, key: str, reply: Any) -> None:
        """Remember the reply (plain JSON values, no secrets)."""
        mine = (_KEYS.c.scope == scope[:64]) & (_KEYS.c.key == key[:128])
        async with self._store.write() as tx:
            await tx.execute(update(_KEYS).where(mine).values(reply=reply))

    async def give_up(self, scope: str, key: str) -> None:
        """Free a key whose request failed, so that it may be tried again."""
        mine = (_KEYS.c.scope == scope[:64]) & (_KEYS.c.key == key[:128]) & _KEYS.c.reply.is_(None)
        async with self._store.write() as tx:
            await tx.execute(delete(_KEYS).where(mine))


def _record_from(row: Row[Any]) -> OnboardingRecord:
    return OnboardingRecord(
        row.id, row.state, row.camera_id, row.started_by, row.started_at, row.ended_at, row.data
    )
