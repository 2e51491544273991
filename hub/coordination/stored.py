"""The device book kept in the store: cool-downs outlive a restart, and nodes on one database share them."""

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from hub.store import tables
from hub.store.store import Store, new_id

_COOLDOWNS = tables.device_cooldowns
_SLOTS = tables.device_slots


class StoredBook:
    """A device book in the database. Slots belong to whoever has their token, and end by themselves."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clock = store.clock

    async def forget_slots(self) -> None:
        """Free all slots: called at the start of a hub that is the only one on its database."""
        async with self._store.write() as tx:
            await tx.execute(delete(_SLOTS))

    async def cooldown_until(self, device: str) -> datetime | None:
        """Return the end of a running cool-down, or None."""
        async with self._store.read() as tx:
            until = await tx.scalar(select(_COOLDOWNS.c.until).where(_COOLDOWNS.c.device == device))
        if isinstance(until, datetime) and until > self._clock.now():
            return until
        return None

    async def start_cooldown(self, device: str, until: datetime) -> None:
        """Remember a refused credential; cool-downs that are over are dropped on the way."""
        async with self._store.write() as tx:
            await tx.execute(
                delete(_COOLDOWNS).where(
                    (_COOLDOWNS.c.device == device) | (_COOLDOWNS.c.until <= self._clock.now())
                )
            )
            await tx.execute(insert(_COOLDOWNS).values(device=device, until=until))

    async def clear_cooldown(self, device: str) -> None:
        """Forget the cool-down."""
        async with self._store.write() as tx:
            await tx.execute(delete(_COOLDOWNS).where(_COOLDOWNS.c.device == device))

    async def acquire(self, slot: str, ttl_s: float) -> str:
        """Take an exclusive slot for at most `ttl_s`. Return its token, "" where it is taken."""
        now, token = self._clock.now(), new_id()
        async with self._store.write() as tx:
            await tx.execute(delete(_SLOTS).where(_SLOTS.c.until <= now))
            taken = await tx.scalar(select(_SLOTS.c.slot).where(_SLOTS.c.slot == slot))
            if taken is not None:
                return ""
            await tx.execute(
                insert(_SLOTS).values(slot=slot, owner=token, until=now + timedelta(seconds=ttl_s))
            )
        return token

    async def release(self, slot: str, token: str) -> None:
        """Give a slot back; one that ran out and was taken by somebody else stays theirs."""
        async with self._store.write() as tx:
            await tx.execute(delete(_SLOTS).where(_SLOTS.c.slot == slot, _SLOTS.c.owner == token))
