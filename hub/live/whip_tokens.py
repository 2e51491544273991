"""Publishing tokens: which encoder may push which camera, until when, and who said so.

A token is 256 random bits, shown once and kept as SHA-256. It opens one camera, for pushing alone.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, insert, or_, select, update

from adapters.clock import Clock
from adapters.secret import Secret
from adapters.target import parse_target
from hub.access.principal import Principal
from hub.catalog.types import Camera
from hub.problems import Problem
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import ServiceError
from hub.store.store import Store, new_id
from standards.observation import rfc3339

_TOKENS = tables.push_tokens
SCHEME: Final = "whip"
PREFIX: Final = "camhub_push_"
MAX_TOKEN: Final = 100  # characters; what is longer is no token
MAX_OF_CAMERA: Final = 10  # that hold at the same time
LONGEST: Final = timedelta(days=366)
_TOO_LONG: Final = {
    "vi": "hãy chọn một thời điểm sắp tới, trong vòng 366 ngày",
    "en": "choose a time to come, within 366 days",
}
_TOO_MANY: Final = {
    "vi": f"camera này đã có {MAX_OF_CAMERA} mã phát; hãy thu hồi một mã trước",
    "en": f"the camera has {MAX_OF_CAMERA} publishing tokens already; revoke one first",
}


@dataclass(frozen=True, slots=True)
class PushToken:
    """One publishing token, without its secret."""

    id: str
    camera_id: str
    name: str
    created_by: str  # user id
    creator: str  # the name at that time
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None  # when an encoder last came with it

    def state(self, now: datetime) -> str:
        """Return active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "active"

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Return the representation of the HTTP API."""
        return {
            "id": self.id,
            "camera_id": self.camera_id,
            "name": self.name,
            "state": self.state(now),
            "created_by": self.creator,
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.expires_at),
            "revoked_at": rfc3339(self.revoked_at) if self.revoked_at else None,
            "used_at": rfc3339(self.used_at) if self.used_at else None,
        }


def pushes(camera: Camera) -> bool:
    """Tell whether a camera is one that pushes."""
    return parse_target(camera.address)[0].scheme == SCHEME


class PushTokens:
    """The publishing tokens of this hub."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def make(
        self, principal: Principal, camera: Camera, name: str, expires_at: datetime
    ) -> tuple[PushToken, Secret]:
        """Make a token and return it with its secret, which is kept nowhere.

        Raises:
            Problem: ``push_off`` (the camera is dialled), ``invalid_input``, ``conflict`` where it has 10 already.
        """
        now = self._clock.now()
        if not pushes(camera):
            raise Problem("push_off")
        if not now < expires_at <= now + LONGEST:
            what = {"count": 1, "field": "expires_at", "what": _TOO_LONG}
            raise Problem("invalid_input", what, field="expires_at")
        secret = Secret(PREFIX + secrets.token_urlsafe(32))
        token = PushToken(
            id=new_id(),
            camera_id=camera.id,
            name=name,
            created_by=principal.user_id,
            creator=principal.display_name or principal.name,
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
            used_at=None,
        )
        held = (
            (_TOKENS.c.camera_id == camera.id) & _TOKENS.c.revoked_at.is_(None) & (_TOKENS.c.expires_at > now)
        )
        async with self._store.write() as tx:
            count = int(await tx.scalar(select(func.count()).select_from(_TOKENS).where(held)))
            if count >= MAX_OF_CAMERA:
                raise Problem("conflict", {"what": _TOO_MANY})
            values = {one: getattr(token, one) for one in PushToken.__slots__}
            await tx.execute(insert(_TOKENS).values(**values, token_hash=_hash(secret.reveal())))
            told = {"push_token": token.id, "name": name, "expires_at": rfc3339(expires_at)}
            await tx.audit("push_token.made", principal.actor(), f"camera/{camera.id}", told)
        return token, secret

    async def of_camera(self, camera_id: str) -> list[PushToken]:
        """Return the tokens of a camera, newest first; those that ended more than 90 days ago are left out."""
        kept = self._clock.now() - timedelta(days=90)
        recent = or_(_TOKENS.c.revoked_at.is_(None), _TOKENS.c.revoked_at > kept)
        statement = (
            select(_TOKENS)
            .where(_TOKENS.c.camera_id == camera_id, _TOKENS.c.expires_at > kept, recent)
            .order_by(_TOKENS.c.created_at.desc(), _TOKENS.c.id)
            .limit(200)
        )
        async with self._store.read() as tx:
            return [_token(row) for row in await tx.all(statement)]

    async def revoke(self, camera_id: str, token_id: str, actor: Actor) -> PushToken:
        """Revoke a token. A second time changes nothing.

        Raises:
            ServiceError: ``not_found``.
        """
        now = self._clock.now()
        chosen = select(_TOKENS).where(_TOKENS.c.id == token_id, _TOKENS.c.camera_id == camera_id)
        async with self._store.write() as tx:
            row = await tx.one(chosen)
            if row is None:
                raise ServiceError("not_found", "there is no such publishing token")
            if row.revoked_at is None:
                await tx.execute(update(_TOKENS).where(_TOKENS.c.id == token_id).values(revoked_at=now))
                told = {"push_token": token_id, "name": row.name}
                await tx.audit("push_token.revoked", actor, f"camera/{camera_id}", told)
            return _token(await tx.one(chosen))

    async def known(self, secret: str) -> PushToken | None:
        """Return the token that holds now, None for anything else."""
        if not secret.startswith(PREFIX) or len(secret) > MAX_TOKEN:
            return None
        async with self._store.read() as tx:
            row = await tx.one(select(_TOKENS).where(_TOKENS.c.token_hash == _hash(secret)))
        token = None if row is None else _token(row)
        return token if token is not None and token.state(self._clock.now()) == "active" else None

    async def holds(self, token_id: str) -> str:
        """Return "" while a token holds, else why no more: ``token_revoked`` or ``token_expired``."""
        async with self._store.read() as tx:
            row = await tx.one(select(_TOKENS).where(_TOKENS.c.id == token_id))
        state = "revoked" if row is None else _token(row).state(self._clock.now())
        return "" if state == "active" else f"token_{state}"

    async def used(self, token: PushToken) -> None:
        """Note that an encoder came with it."""
        async with self._store.write() as tx:
            now = self._clock.now()
            await tx.execute(update(_TOKENS).where(_TOKENS.c.id == token.id).values(used_at=now))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Any) -> PushToken:
    return PushToken(**{name: getattr(row, name) for name in PushToken.__slots__})
