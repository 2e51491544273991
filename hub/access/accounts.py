"""People: who they are and how they sign in. Every change is one transaction with its audit record."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, delete, func, insert, select, update

from adapters.clock import Clock
from adapters.secret import Secret
from hub.access import passwords as rules
from hub.access.passwords import Passwords
from hub.access.principal import EVERYWHERE, Principal
from hub.catalog.areas import AreaTable, area_in
from hub.catalog.folding import exact
from hub.catalog.types import ROLES
from hub.coordination.port import RateLimiter
from hub.store import tables
from hub.store.chain import HUB, Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Reading, Store, Writing, new_id

log = structlog.get_logger("access")

_USERS, _SESSIONS = tables.users, tables.login_sessions
TRIES = 5
TRIES_PER_ADDRESS = 20  # an office behind one address has more than one forgetful person
LOCK_S = 300.0
IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=7)
TOUCH = timedelta(minutes=1)  # `seen_at` is written no oftener
MAX_NAME = 64
MAX_AREAS = 100


@dataclass(frozen=True, slots=True)
class User:
    """A person as administrators see them."""

    id: str
    number: int
    name: str
    display_name: str
    role: str
    areas: tuple[str, ...]
    custodian_id: str | None
    locale: str
    must_change_password: bool
    disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to be added. Without a password a one-time password is made."""

    name: str
    role: str
    display_name: str = ""
    areas: tuple[str, ...] = ()
    custodian_id: str | None = None
    locale: str = "vi"
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A running sign-in."""

    id: str
    principal: Principal
    user: User
    csrf_hash: bytes
    expires_at: datetime

    def csrf_fits(self, token: str) -> bool:
        """Tell whether a CSRF token belongs to this sign-in; compared in constant time."""
        return secrets.compare_digest(_digest(token), self.csrf_hash)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a successful sign-in hands out, once: the secrets are not kept, only their hashes."""

    session: LoginSession
    token: Secret
    csrf: Secret


class Accounts:
    """The people of this hub."""

    def __init__(
        self,
        store: Store,
        limiter: RateLimiter,
        clock: Clock,
        *,
        passwords: Passwords | None = None,
        idle: timedelta = IDLE,
        absolute: timedelta = ABSOLUTE,
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._clock = clock
        self._passwords = passwords or Passwords()
        self._idle = idle
        self._absolute = absolute
        self._areas = AreaTable(store)

    # first start

    async def ensure_administrator(self, name: str = "admin") -> tuple[User, Secret] | None:
        """Make the first administrator with a one-time password where there is no user; None where there is one."""
        async with self._store.read() as tx:
            if await tx.scalar(select(_USERS.c.id).limit(1)) is not None:
                return None
        user, password = await self.add(NewUser(name, "admin"), HUB)
        assert password is not None
        return user, password

    # people

    async def add(self, new: NewUser, actor: Actor) -> tuple[User, Secret | None]:
        """Add a person. Returns the one-time password where none was given: it is shown once and kept nowhere.

        Raises:
            Invalid: names the field; `password_weak`, `area_unknown`, `custodian_unknown`.
            ServiceError: `name_taken`.
        """
        name = new.name.strip()
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise Invalid("name", f"a sign-in name has 1 to {MAX_NAME} characters")
        if new.password is not None:
            rules.check_new(new.password, name, "password")
        given = new.password or rules.one_time()
        hashed = await self._passwords.hash(given)
        now, user_id = self._clock.now(), new_id()
        async with self._store.write() as tx:
            if await tx.scalar(select(_USERS.c.id).where(_USERS.c.name_key == exact(name))) is not None:
                raise ServiceError("name_taken", f"there is a user {name!r} already", field="name")
            values = await self._checked(tx, new.role, new.areas, new.custodian_id, new.locale)
            number = int(await tx.scalar(select(func.coalesce(func.max(_USERS.c.number), 1000)))) + 1
            await tx.execute(
                insert(_USERS).values(
                    id=user_id,
                    number=number,
                    name=name,
                    name_key=exact(name),
                    display_name=_display(new.display_name or name),
                    password_hash=hashed,
                    must_change_password=new.password is None,
                    disabled=False,
                    created_at=now,
                    changed_at=now,
                    **values,
                )
            )
            facts = {"name": name, "role": new.role, "areas": list(values["areas"])}
            await tx.audit("user.added", actor, f"user/{user_id}", facts)
            user = await _user(tx, user_id)
        return user, None if new.password is not None else given

    async def change(
        self,
        user_id: str,
        actor: Actor,
        *,
        role: str | None = None,
        areas: Sequence[str] | None = None,
        disabled: bool | None = None,
        display_name: str | None = None,
        locale: str | None = None,
    ) -> User:
        """Change a person; what is None stays. Disabling, a new role or new areas end their sign-ins.

        Raises:
            ServiceError: `not_found`; `last_admin`. Invalid: names the field.
        """
        async with self._store.write() as tx:
            before = await _user(tx, user_id)
            after = replace(
                before,
                role=role if role is not None else before.role,
                areas=tuple(areas) if areas is not None else before.areas,
                disabled=disabled if disabled is not None else before.disabled,
                display_name=_display(display_name) if display_name is not None else before.display_name,
                locale=locale if locale is not None else before.locale,
            )
            values = await self._checked(tx, after.role, after.areas, after.custodian_id, after.locale)
            was_admin = before.role == "admin" and not before.disabled
            if was_admin and (after.disabled or after.role != "admin"):
                await _check_other_admin(tx, user_id)
            await tx.execute(
                update(_USERS)
                .where(_USERS.c.id == user_id)
                .values(
                    display_name=after.display_name,
                    disabled=after.disabled,
                    changed_at=self._clock.now(),
                    **values,
                )
            )
            if (after.role, after.areas, after.disabled) != (before.role, before.areas, before.disabled):
                await self._end_sessions(tx, user_id)
            kind = "user.disabled" if after.disabled and not before.disabled else "user.changed"
            changed = {
                name: getattr(after, name)
                for name in ("role", "areas", "disabled", "display_name", "locale")
                if getattr(after, name) != getattr(before, name)
            }
            await tx.audit(kind, actor, f"user/{user_id}", changed)
            return await _user(tx, user_id)

    async def users(self) -> tuple[User, ...]:
        """Return all people by name."""
        async with self._store.read() as tx:
            rows = await tx.all(select(_USERS).order_by(_USERS.c.name_key))
        return tuple(_user_from(row) for row in rows)

    async def get(self, user_id: str) -> User:
        """Return one person.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            return await _user(tx, user_id)

    async def by_name(self, name: str) -> User | None:
        """Return the person with a sign-in name, or None."""
        async with self._store.read() as tx:
            row = await tx.one(select(_USERS).where(_USERS.c.name_key == exact(name)))
        return _user_from(row) if row is not None else None

    async def principal(self, user_id: str, via: str = "user") -> Principal | None:
        """Return a person as the one who asks; None where they are gone or disabled."""
        async with self._store.read() as tx:
            row = await tx.one(select(_USERS).where(_USERS.c.id == user_id))
        if row is None or row.disabled:
            return None
        return await self._principal(_user_from(row), via)

    # passwords

    async def change_password(
        self, user_id: str, current: Secret, new: Secret, *, keep_session: str | None = None
    ) -> User:
        """Let a person change their own password; all other sign-ins end.

        Raises:
            ServiceError: `password_wrong`; `login_locked` after five wrong ones. Invalid: `password_weak`.
        """
        user = await self.prove(user_id, current)
        rules.check_new(new, user.name)
        if new == current:
            raise Invalid(
                "new_password",
                "choose another password than the present one",
                code="password_weak",
                params={"least": rules.SHORTEST},
            )
        return await self._set_password(
            user_id, new, Actor("user", user.id, user.name, user.role), must_change=False, keep=keep_session
        )

    async def prove(self, user_id: str, password: Secret) -> User:
        """Make sure that it is still the person themself who asks, by their password.

        Raises:
            ServiceError: `password_wrong`; `login_locked` after five wrong ones.
        """
        async with self._store.read() as tx:
            row = await tx.one(select(_USERS).where(_USERS.c.id == user_id))
        if row is None:
            raise ServiceError("not_found", "there is no such user")
        key = f"password:{user_id}"
        await self._check_lock(f"{key}:lock", 1)
        if not await self._passwords.matches(row.password_hash, password):
            await self._count_failure(key)
            raise ServiceError("password_wrong", "this is not the present password", field="current_password")
        await self._limiter.reset(key)
        return _user_from(row)

    async def reset_password(self, name: str, actor: Actor) -> Secret:
        """Give a person a one-time password; all their sign-ins end.

        Raises:
            ServiceError: `not_found`.
        """
        user = await self.by_name(name)
        if user is None:
            raise ServiceError("not_found", f"there is no user {name!r}")
        password = rules.one_time()
        await self._set_password(user.id, password, actor, must_change=True, keep=None)
        return password

    # signing in

    async def login(self, name: str, password: Secret, address: str) -> SignedIn:
        """Sign a person in. Unknown names take as long as known ones and answer the same.

        Raises:
            ServiceError: `login_failed` (params `tries_left`); `login_locked` (params `until`): five wrong tries for
                this name, or twenty from this address, and five minutes of silence.
        """
        name = name.strip()[:MAX_NAME]
        keys = (f"login:name:{exact(name)}", f"login:address:{address[:64]}")
        for key in keys:
            await self._check_lock(f"{key}:lock", 1)
        async with self._store.read() as tx:
            row = await tx.one(select(_USERS).where(_USERS.c.name_key == exact(name)))
        right = await self._passwords.matches(row.password_hash if row is not None else None, password)
        if row is None or not right or row.disabled:
            raise await self._login_failed(name, keys, address)
        for key in keys:
            await self._limiter.reset(key)
        if self._passwords.outdated(row.password_hash):
            await self._rehash(row.id, password)
        return await self._sign_in(_user_from(row), address)

    async def session(self, token: str) -> LoginSession | None:
        """Return the sign-in behind a cookie, or None where it ended: 12 hours idle, 7 days in all, or logged out."""
        now = self._clock.now()
        statement = (
            select(
                _USERS,
                _SESSIONS.c.id.label("session_id"),
                _SESSIONS.c.csrf_hash,
                _SESSIONS.c.seen_at,
                _SESSIONS.c.expires_at,
            )
            .join(_SESSIONS, _SESSIONS.c.user_id == _USERS.c.id)
            .where(_SESSIONS.c.token_hash == _digest(token))
        )
        async with self._store.read() as tx:
            row = await tx.one(statement)
        if row is None or row.disabled or now >= row.expires_at or now - row.seen_at >= self._idle:
            return None
        if now - row.seen_at >= TOUCH:
            async with self._store.write() as writing:
                await writing.execute(
                    update(_SESSIONS).where(_SESSIONS.c.id == row.session_id).values(seen_at=now)
                )
        user = _user_from(row)
        ends = min(row.expires_at, now + self._idle)
        return LoginSession(row.session_id, await self._principal(user, "user"), user, row.csrf_hash, ends)

    async def session_lives(self, session_id: str) -> bool:
        """Tell whether a sign-in still runs: asked while a picture is running on it."""
        now = self._clock.now()
        statement = (
            select(_SESSIONS.c.seen_at, _SESSIONS.c.expires_at, _USERS.c.disabled)
            .join(_USERS, _USERS.c.id == _SESSIONS.c.user_id)
            .where(_SESSIONS.c.id == session_id)
        )
        async with self._store.read() as tx:
            row = await tx.one(statement)
        return (
            row is not None and not row.disabled and now < row.expires_at and now - row.seen_at < self._idle
        )

    async def logout(self, session: LoginSession) -> None:
        """End a sign-in."""
        async with self._store.write() as tx:
            await tx.execute(delete(_SESSIONS).where(_SESSIONS.c.id == session.id))
            await tx.audit("logout", session.principal.actor(), f"user/{session.user.id}", {})

    async def forget_ended_sessions(self) -> int:
        """Delete sign-ins that ran out; a hub calls it now and then. Returns how many."""
        now = self._clock.now()
        ended = (_SESSIONS.c.expires_at <= now) | (_SESSIONS.c.seen_at <= now - self._idle)
        async with self._store.write() as tx:
            return int((await tx.execute(delete(_SESSIONS).where(ended))).rowcount)

    # inside

    async def _principal(self, user: User, via: str) -> Principal:
        codes = [code for code in user.areas if code != EVERYWHERE]
        return Principal(
            user_id=user.id,
            name=user.name,
            role=user.role,
            areas=user.areas,
            lineage=await self._areas.lineage(codes),
            custodian_id=user.custodian_id,
            number=user.number,
            display_name=user.display_name,
            must_change_password=user.must_change_password,
            via=via,
        )

    async def _sign_in(self, user: User, address: str) -> SignedIn:
        now = self._clock.now()
        token, csrf = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))
        session_id, expires_at = new_id(), now + self._absolute
        async with self._store.write() as tx:
            await tx.execute(
                insert(_SESSIONS).values(
                    id=session_id,
                    token_hash=_digest(token.reveal()),
                    csrf_hash=_digest(csrf.reveal()),
                    user_id=user.id,
                    address=address[:64],
                    created_at=now,
                    seen_at=now,
                    expires_at=expires_at,
                )
            )
            actor = Actor("user", user.id, user.name, user.role)
            await tx.audit("login.succeeded", actor, f"user/{user.id}", {"address": address[:64]})
        principal = await self._principal(user, "user")
        ends = min(expires_at, now + self._idle)
        return SignedIn(LoginSession(session_id, principal, user, _digest(csrf.reveal()), ends), token, csrf)

    async def _login_failed(self, name: str, keys: tuple[str, str], address: str) -> ServiceError:
        left = await self._count_failure(keys[0])
        from_there = await self._count_failure(keys[1], TRIES_PER_ADDRESS)
        # The name as typed may be a password in the wrong field: known names only are written down.
        known = await self.by_name(name)
        subject = f"user/{known.id}" if known is not None else "user/unknown"
        async with self._store.write() as tx:
            facts = {"address": address[:64], "tries_left": left}
            await tx.audit("login.failed", Actor("anonymous"), subject, facts)
            if left == 0 or from_there == 0:
                await tx.audit("login.locked", Actor("anonymous"), subject, {"address": address[:64]})
        log.warning("login.failed", address=address[:64], tries_left=left)
        return ServiceError(
            "login_failed", "the name or the password is wrong", params={"tries_left": min(left, from_there)}
        )

    async def _count_failure(self, key: str, tries: int = TRIES) -> int:
        """Count a wrong password; after the last try the lock of five minutes begins. Returns the tries left."""
        verdict = await self._limiter.hit(key, tries, LOCK_S)
        if verdict.left == 0:
            await self._limiter.hit(f"{key}:lock", 1, LOCK_S)
            await self._limiter.reset(key)
        return verdict.left

    async def _check_lock(self, key: str, limit: int) -> None:
        verdict = await self._limiter.peek(key, limit, LOCK_S)
        if not verdict.allowed:
            until = self._clock.now() + timedelta(seconds=verdict.retry_after_s)
            raise ServiceError("login_locked", "too many wrong passwords; wait", params={"until": until})

    async def _checked(
        self, tx: Reading, role: str, areas: Sequence[str], custodian_id: str | None, locale: str
    ) -> dict[str, Any]:
        """Return the columns that say who somebody is, checked."""
        if role not in ROLES:
            raise Invalid("role", f"choose one of {', '.join(ROLES)}")
        if locale not in {"vi", "en"}:
            raise Invalid("locale", "choose vi or en")
        if len(areas) > MAX_AREAS:
            raise Invalid("areas", f"at most {MAX_AREAS} areas")
        for code in areas:
            if code != EVERYWHERE and await area_in(tx, code) is None:
                raise Invalid(
                    "areas", f"the area {code[:16]!r} is not in this hub's table", code="area_unknown"
                )
        if custodian_id is not None:
            custodians = tables.custodians
            if await tx.scalar(select(custodians.c.id).where(custodians.c.id == custodian_id)) is None:
                raise Invalid("custodian_id", "there is no such custodian", code="custodian_unknown")
        elif role == "donor":
            raise Invalid("custodian_id", "a donor's account belongs to a custodian; name which")
        return {
            "role": role,
            "areas": list(dict.fromkeys(areas)),
            "custodian_id": custodian_id,
            "locale": locale,
        }

    async def _set_password(
        self, user_id: str, new: Secret, actor: Actor, *, must_change: bool, keep: str | None
    ) -> User:
        hashed = await self._passwords.hash(new)
        async with self._store.write() as tx:
            await tx.execute(
                update(_USERS)
                .where(_USERS.c.id == user_id)
                .values(password_hash=hashed, must_change_password=must_change, changed_at=self._clock.now())
            )
            await self._end_sessions(tx, user_id, keep=keep)
            await tx.audit("password.changed", actor, f"user/{user_id}", {"one_time": must_change})
            return await _user(tx, user_id)

    async def _rehash(self, user_id: str, password: Secret) -> None:
        hashed = await self._passwords.hash(password)
        async with self._store.write() as tx:
            await tx.execute(update(_USERS).where(_USERS.c.id == user_id).values(password_hash=hashed))

    @staticmethod
    async def _end_sessions(tx: Writing, user_id: str, keep: str | None = None) -> None:
        theirs = _SESSIONS.c.user_id == user_id
        if keep is not None:
            theirs &= _SESSIONS.c.id != keep
        await tx.execute(delete(_SESSIONS).where(theirs))


def _digest(token: str) -> bytes:
    """Hash a random 256-bit token: SHA-256 is enough, there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _display(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME * 2 or not name.isprintable():
        raise Invalid("display_name", f"a display name has 1 to {MAX_NAME * 2} characters")
    return name


async def _user(tx: Reading, user_id: str) -> User:
    row = await tx.one(select(_USERS).where(_USERS.c.id == user_id))
    if row is None:
        raise ServiceError("not_found", "there is no such user")
    return _user_from(row)


async def _check_other_admin(tx: Reading, user_id: str) -> None:
    others = (_USERS.c.role == "admin") & _USERS.c.disabled.is_(False) & (_USERS.c.id != user_id)
    if await tx.scalar(select(_USERS.c.id).where(others).limit(1)) is None:
        raise ServiceError("last_admin", "this is the last administrator; make another one first")


def _user_from(row: Row[Any]) -> User:
    return User(
        id=row.id,
        number=row.number,
        name=row.name,
        display_name=row.display_name,
        role=row.role,
        areas=tuple(row.areas),
        custodian_id=row.custodian_id,
        locale=row.locale,
        must_change_password=row.must_change_password,
        disabled=row.disabled,
        created_at=row.created_at,
    )
