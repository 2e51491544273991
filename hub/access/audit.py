"""The audit log as people read it: pages, and the proof that the chain is whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from hub.store import chain, tables
from hub.store.chain import Actor, AuditRecord
from hub.store.errors import Invalid
from hub.store.store import Store

_AUDIT, _HEAD = tables.audit, tables.audit_head
MAX_LIMIT = 200
BATCH = 1000


@dataclass(frozen=True, slots=True)
class ChainState:
    """What `verify` found. `broken_at` is the first record that does not hold; `why` says it in one sentence."""

    ok: bool
    checked_to: int
    broken_at: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of records, newest first."""

    items: tuple[AuditRecord, ...]
    next: str | None
    total: int


class AuditLog:
    """The hash-chained log. There is no way to change or remove a record, here or in the database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def append(
        self, kind: str, actor: Actor, subject: str, data: Mapping[str, Any] | None = None
    ) -> AuditRecord:
        """Append a record of its own. What changes the store appends within that change (`Writing.audit`)."""
        async with self._store.write() as tx:
            return await tx.audit(kind, actor, subject, data)

    async def verify(self) -> ChainState:
        """Walk the chain from its beginning and find the first record that does not hold."""
        prev_hash, seq = chain.GENESIS, 0
        while True:
            async with self._store.read() as tx:
                statement = select(_AUDIT).where(_AUDIT.c.seq > seq).order_by(_AUDIT.c.seq).limit(BATCH)
                rows = await tx.all(statement)
                head = await tx.one(select(_HEAD.c.seq, _HEAD.c.hash).where(_HEAD.c.id == 1))
            for row in rows:
                if row.seq != seq + 1:
                    return ChainState(False, seq, seq + 1, f"record {seq + 1} is missing")
                if row.prev_hash != prev_hash:
                    return ChainState(False, seq, row.seq, f"record {row.seq} does not follow the one before")
                if chain.hash_of(row._asdict()) != row.hash:
                    return ChainState(False, seq, row.seq, f"record {row.seq} was altered")
                prev_hash, seq = row.hash, row.seq
            if len(rows) < BATCH:
                break
        if (head.seq, head.hash) != (seq, prev_hash) if head is not None else seq != 0:
            return ChainState(False, seq, seq + 1, "the end of the log was cut off or written past the hub")
        return ChainState(True, seq)

    async def page(
        self, *, cursor: str = "", limit: int = 100, subject: str = "", kind: str = "", camera: str = ""
    ) -> AuditPage:
        """Return records, newest first. `kind` may end with a dot to take all below it (``view.``).

        Raises:
            Invalid: `bad_cursor`, or a limit outside 1-200.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid("limit", f"choose 1 to {MAX_LIMIT}")
        conditions: list[ColumnElement[bool]] = []
        if camera:
            conditions.append(_AUDIT.c.subject == f"camera/{camera}")
        if subject:
            conditions.append(_AUDIT.c.subject == subject)
        if kind:
            below = kind.endswith(".")
            conditions.append(
                _AUDIT.c.kind.startswith(kind, autoescape=True) if below else _AUDIT.c.kind == kind
            )
        statement = select(_AUDIT).where(*conditions).order_by(_AUDIT.c.seq.desc()).limit(limit + 1)
        if cursor:
            if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
                raise Invalid("cursor", "begin again without a cursor", code="bad_cursor")
            statement = statement.where(_AUDIT.c.seq < int(cursor))
        async with self._store.read() as tx:
            rows = await tx.all(statement)
            total = await tx.scalar(select(func.count()).select_from(_AUDIT).where(*conditions))
        items = tuple(AuditRecord.from_row(row) for row in rows[:limit])
        return AuditPage(items, str(items[-1].seq) if len(rows) > limit else None, int(total))
