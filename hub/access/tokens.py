"""Tokens by which programs speak in a person's name: shown once, kept as hashes, ended at any time."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from adapters.clock import Clock
from adapters.secret import Secret
from hub.access.accounts import Accounts
from hub.access.principal import Principal
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Store, new_id
from standards.observation import rfc3339

_USERS, _TOKENS = tables.users, tables.api_tokens
BEARER_PREFIX = "camhub_"
PROGRAM = "token/"  # before the id of a token, where a view hangs on it as others hang on a sign-in
MAX_TOKENS = 20


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A bearer token for programs, without the token."""

    id: str
    user_id: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """Return ``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Return the representation of a token, without the token."""
        return {
            "id": self.id,
            "label": self.label,
            "state": self.state(now),
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.expires_at) if self.expires_at is not None else None,
            "revoked_at": rfc3339(self.revoked_at) if self.revoked_at is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks for, and which one it is."""

    token_id: str
    principal: Principal


class ApiTokens:
    """The tokens of this hub's people."""

    def __init__(self, store: Store, accounts: Accounts, clock: Clock) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock

    async def issue(
        self, user_id: str, label: str, actor: Actor, *, expires_at: datetime | None = None
    ) -> tuple[ApiToken, Secret]:
        """Make a bearer token in a person's name. It is shown once; only its hash is kept.

        Raises:
            ServiceError: `not_found`, or `conflict` where the person has 20 already. Invalid: names the field.
        """
        label = label.strip()
        if not 1 <= len(label) <= 100 or not label.isprintable():
            raise Invalid("label", "say what the token is for, in at most 100 characters")
        now = self._clock.now()
        if expires_at is not None and expires_at <= now:
            raise Invalid("expires_at", "choose a time to come")
        user = await self._accounts.get(user_id)
        secret = Secret(BEARER_PREFIX + secrets.token_urlsafe(32))
        token = ApiToken(new_id(), user_id, label, now, expires_at, None)
        async with self._store.write() as tx:
            valid = _TOKENS.c.expires_at.is_(None) | (_TOKENS.c.expires_at > now)
            mine = (_TOKENS.c.user_id == user_id) & _TOKENS.c.revoked_at.is_(None) & valid
            if int(await tx.scalar(select(func.count()).select_from(_TOKENS).where(mine))) >= MAX_TOKENS:
                raise ServiceError("conflict", f"{user.name} has {MAX_TOKENS} tokens; revoke one first")
            await tx.execute(
                insert(_TOKENS).values(
                    id=token.id,
                    token_hash=_digest(secret.reveal()),
                    user_id=user_id,
                    label=token.label,
                    created_at=token.created_at,
                    expires_at=expires_at,
                )
            )
            await tx.audit(
                "token.created", actor, f"user/{user_id}", {"token": token.id, "label": token.label}
            )
        return token, secret

    async def bearer(self, token: str) -> Bearer | None:
        """Return whom a token speaks for; None where it is unknown, revoked or expired, or they are disabled."""
        if not token.startswith(BEARER_PREFIX) or len(token) > 200:
            return None
        return await self._valid(_TOKENS.c.token_hash == _digest(token))

    async def person(self, token_id: str) -> Principal | None:
        """Return whom a token still speaks for: asked while a picture runs on it."""
        found = await self._valid(_TOKENS.c.id == token_id)
        return found.principal if found is not None else None

    async def of(self, user_id: str) -> tuple[ApiToken, ...]:
        """Return a person's tokens, newest first."""
        statement = (
            select(_TOKENS)
            .where(_TOKENS.c.user_id == user_id)
            .order_by(_TOKENS.c.created_at.desc(), _TOKENS.c.id)
            .limit(500)
        )
        async with self._store.read() as tx:
            return tuple(_token_from(row) for row in await tx.all(statement))

    async def revoke(self, user_id: str, token_id: str, actor: Actor) -> ApiToken:
        """End a token of a person. Idempotent.

        Raises:
            ServiceError: `not_found`.
        """
        mine = (_TOKENS.c.id == token_id) & (_TOKENS.c.user_id == user_id)
        async with self._store.write() as tx:
            row = await tx.one(select(_TOKENS).where(mine))
            if row is None:
                raise ServiceError("not_found", "there is no such token")
            if row.revoked_at is None:
                await tx.execute(update(_TOKENS).where(mine).values(revoked_at=self._clock.now()))
                await tx.audit("token.revoked", actor, f"user/{user_id}", {"token": token_id})
                row = await tx.one(select(_TOKENS).where(mine))
            return _token_from(row)

    async def _valid(self, which: Any) -> Bearer | None:
        async with self._store.read() as tx:
            row = await tx.one(select(_TOKENS).where(which))
        if row is None or _token_from(row).state(self._clock.now()) != "active":
            return None
        principal = await self._accounts.principal(row.user_id, "token")
        return Bearer(row.id, principal) if principal is not None else None


def _digest(token: str) -> bytes:
    """Hash a random 256-bit token: SHA-256 is enough, there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _token_from(row: Row[Any] | None) -> ApiToken:
    assert row is not None  # read in the same transaction that wrote it
    return ApiToken(row.id, row.user_id, row.label, row.created_at, row.expires_at, row.revoked_at)
