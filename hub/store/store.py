"""The store: one database, many readers, one writer.

SQLite: WAL, foreign keys on, `BEGIN IMMEDIATE` on a connection of its own behind one lock, so that a write never
fails half-way because another one holds the file. PostgreSQL: the same lock in the process and an advisory lock in
the transaction, so that several nodes also write one after the other; the audit chain needs that order.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import unquote
from uuid import uuid4

import structlog
from sqlalchemy import Connection, CursorResult, Row, event, insert, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql import Executable
from sqlalchemy.sql.dml import UpdateBase

from adapters.clock import Clock
from hub.store import chain, tables
from hub.store.columns import KeptMoments
from hub.store.errors import StoreError
from hub.store.migrate import upgrade

log = structlog.get_logger("store")
T = TypeVar("T")

BUSY_TIMEOUT_MS = 5000
READERS = 4
WRITER_LOCK = 0x63616D68  # advisory lock of PostgreSQL: "camh"

AfterCommit = Callable[[], Awaitable[None]]


def new_id() -> str:
    """Return a fresh UUID4 in text form, the id of every record."""
    return str(uuid4())


def ids_in_order() -> Iterator[str]:
    """Yield up to 2^28 fresh ids that sort as they are made: a hundred thousand new rows then lie side by side in an index.

    UUID4 in form, but 28 of its 122 random bits count; the others are drawn once per call.
    """
    drawn = uuid4().hex
    for number in range(1 << 28):
        yield f"{drawn[:5]}{number >> 16:03x}-{number & 0xFFFF:04x}-{drawn[12:16]}-{drawn[16:20]}-{drawn[20:]}"


class Reading:
    """A transaction that reads."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def execute(
        self, statement: Executable, parameters: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Run one statement (or one statement for many parameter sets)."""
        return await _to_the_end(self.connection.execute(statement, parameters))

    async def one(self, statement: Executable) -> Row[Any] | None:
        """Return the first row, or None."""
        return (await self.execute(statement)).first()

    async def all(self, statement: Executable) -> Sequence[Row[Any]]:
        """Return all rows."""
        return (await self.execute(statement)).all()

    async def tuples(self, statement: Executable) -> Sequence[tuple[Any, ...]]:
        """Return all rows as the driver gives them: tens of thousands at a third of the cost, and nothing converted.

        For columns of text and numbers; of moments `moments` knows what the driver gives.
        """
        result = await self.execute(statement)
        try:
            return result.cursor.fetchall() if result.cursor is not None else ()
        finally:
            result.close()

    @property
    def moments(self) -> KeptMoments:
        """Return what reads the moments of `tuples`."""
        return KeptMoments(self.connection.dialect)

    async def scalar(self, statement: Executable) -> Any:
        """Return the first column of the first row, or None."""
        return (await self.execute(statement)).scalar()


class Writing(Reading):
    """The one transaction that writes."""

    def __init__(self, connection: AsyncConnection, clock: Clock) -> None:
        super().__init__(connection)
        self._clock = clock
        self._after: list[AfterCommit] = []
        self._head: tuple[int, str] | None = None  # of the audit chain, once this transaction has read it

    async def audit(
        self, kind: str, actor: chain.Actor, subject: str, data: Mapping[str, Any] | None = None
    ) -> chain.AuditRecord:
        """Append one record to the hash chain; it stands or falls with this transaction."""
        if self._head is None:
            head = await self.one(
                select(tables.audit_head.c.seq, tables.audit_head.c.hash).where(tables.audit_head.c.id == 1)
            )
            self._head = (head.seq, head.hash) if head is not None else (0, chain.GENESIS)
        first = self._head[0] == 0
        record = chain.following(self._head, self._clock.now(), kind, actor, subject=subject, data=data or {})
        await self.execute(insert(tables.audit).values(**record.as_row()))
        self._head = (record.seq, record.hash)
        values = {"seq": record.seq, "hash": record.hash}
        if first:
            await self.execute(insert(tables.audit_head).values(id=1, **values))
        else:
            await self.execute(update(tables.audit_head).where(tables.audit_head.c.id == 1).values(**values))
        return record

    async def audit_many(
        self, kind: str, actor: chain.Actor, records: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> None:
        """Append many records ``(subject, data)`` of one kind to the chain: two statements for all of them."""
        if not records:
            return
        first, *rest = records
        record = await self.audit(kind, actor, first[0], first[1])
        rows = []
        for subject, data in rest:
            head = (record.seq, record.hash)
            record = chain.following(head, self._clock.now(), kind, actor, subject=subject, data=data)
            rows.append(record.as_row())
        if rows:
            await self.execute(insert(tables.audit), rows)
            values = {"seq": record.seq, "hash": record.hash}
            await self.execute(update(tables.audit_head).where(tables.audit_head.c.id == 1).values(**values))
            self._head = (record.seq, record.hash)

    async def many(
        self,
        statement: UpdateBase,
        shared: Mapping[str, Any],
        names: Sequence[str],
        rows: Iterable[Sequence[Any]],
    ) -> None:
        """Run one statement for thousands of rows. What all have in common stands in `shared`, by the name of its bind.

        `rows` hold the other binds, `names` says in which order, as the database keeps them: text, numbers, bytes, and
        JSON as its canonical text. No row is converted or checked one by one, which costs ten times the rest.
        """
        dialect = self.connection.dialect
        compiled = statement.compile(dialect=dialect, column_keys=[*shared, *names])
        values = []
        for name, value in shared.items():
            into = compiled.binds[name].type._cached_bind_processor(dialect)  # the public way makes it anew
            values.append(into(value) if into is not None else value)
        order = [*names, *shared]
        take = itemgetter(*(order.index(name) for name in compiled.positiontup or ()))
        told = [take((*row, *values)) for row in rows]
        if told:
            await _to_the_end(self.connection.exec_driver_sql(str(compiled), told))

    def after_commit(self, call: AfterCommit) -> None:
        """Run something once this transaction is durable (events are published so); never on rollback."""
        self._after.append(call)

    async def _committed(self) -> None:
        for call in self._after:
            await call()


class Store:
    """The database of one hub. Build it with `open`, end it with `aclose`."""

    def __init__(self, url: URL, clock: Clock, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self._url = url
        self._clock = clock
        self._reader = reader
        self._writer = writer
        self._lock = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(cls, url: str, clock: Clock) -> Self:
        """Connect, migrate to the newest tables, and return the store.

        `url`: ``sqlite+aiosqlite:///PATH`` or ``postgresql+asyncpg://...`` (``sqlite:///`` and ``postgresql://``
        are understood too).

        Raises:
            StoreError: the address cannot be understood, the database cannot be reached or opened, or it was made
                by a newer program.
        """
        parsed = _parse(url)
        shown = parsed.render_as_string(hide_password=True)
        if parsed.get_backend_name() == "sqlite":
            reader, writer = _sqlite_engines(parsed)
        else:
            engine = create_async_engine(parsed, pool_size=READERS + 4, pool_pre_ping=True)
            reader = writer = engine
        store = cls(parsed, clock, reader, writer)
        try:
            async with writer.begin() as connection:
                await connection.run_sync(_upgrade)
        except (DBAPIError, OSError) as error:
            await store.aclose()
            raise StoreError(
                f"the database {shown} cannot be opened ({_cause(error)}). "
                "Check that it runs, that its address is right and that this user may write there"
            ) from error
        except BaseException:
            await store.aclose()
            raise
        return store

    @property
    def dialect(self) -> str:
        """Return ``sqlite`` or ``postgresql``."""
        return self._url.get_backend_name()

    @property
    def clock(self) -> Clock:
        """Return the clock that stamps audit records."""
        return self._clock

    @property
    def peers(self) -> tuple[tuple[str, int], ...]:
        """Return host and port of the database server (no camera may have that address); empty for SQLite."""
        if self.dialect == "sqlite" or not self._url.host:
            return ()
        return ((self._url.host, self._url.port or 5432),)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """Open a reading transaction; it sees one state of the database."""
        connection = await _acquire(self._reader)
        try:
            yield Reading(connection)
        finally:
            await _to_the_end(connection.close())

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Writing]:
        """Open the writing transaction, alone. Leaving it commits; an exception inside rolls all of it back.

        Once the commit has begun it and the `Writing.after_commit` calls run to their end, even where the caller
        is cancelled: what is committed is also published.
        """
        async with self._lock:
            connection = await _acquire(self._writer)
            try:
                await _to_the_end(connection.begin().start())
                if self.dialect == "postgresql":
                    lock = text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
                    await _to_the_end(connection.execute(lock))
                writing = Writing(connection, self._clock)
                yield writing
            except BaseException:
                await _to_the_end(_abandon(connection))
                raise
            await _to_the_end(self._finish(connection, writing))

    @staticmethod
    async def _finish(connection: AsyncConnection, writing: Writing) -> None:
        try:
            await connection.commit()
        finally:
            await connection.close()
        await writing._committed()

    async def ping(self) -> None:
        """Answer whether the database answers.

        Raises:
            StoreError: it does not.
        """
        try:
            async with self.read() as tx:
                await tx.scalar(select(tables.audit_head.c.seq))
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the database does not answer ({_cause(error)})") from error

    async def setting(self, key: str) -> Any:
        """Return one value of the settings table, or None."""
        async with self.read() as tx:
            return await tx.scalar(select(tables.settings.c.value).where(tables.settings.c.key == key))

    async def set_setting(self, key: str, value: Any) -> None:
        """Write one value of the settings table."""
        async with self.write() as tx:
            changed = await tx.execute(
                update(tables.settings).where(tables.settings.c.key == key).values(value=value)
            )
            if changed.rowcount == 0:
                await tx.execute(insert(tables.settings).values(key=key, value=value))

    async def hub_id(self) -> str:
        """Return this hub's id, made at the first call and kept ever after."""
        known = await self.setting("hub.id")
        if known is None:
            await self.set_setting("hub.id", new_id())
            known = await self.setting("hub.id")
        return str(known)

    async def aclose(self) -> None:
        """Wait for the running write, then close all connections. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        async with self._lock:
            await self._writer.dispose()
            if self._reader is not self._writer:
                await self._reader.dispose()


async def _abandon(connection: AsyncConnection) -> None:
    try:
        await connection.rollback()
    except SQLAlchemyError as error:
        # The connection broke; what it had begun is gone with it.
        log.warning("store.rollback_failed", cause=_cause(error))
    finally:
        await connection.close()


async def _acquire(engine: AsyncEngine) -> AsyncConnection:
    """Take a connection; one that comes after the caller was cancelled goes straight back."""
    task = asyncio.ensure_future(engine.connect().start())
    try:
        return await _to_the_end(task)
    except asyncio.CancelledError:
        if not task.cancelled() and task.exception() is None:
            await _to_the_end(task.result().close())
        raise


async def _to_the_end(work: Awaitable[T]) -> T:
    """Run a step to its end even where the caller is cancelled meanwhile; then let the cancellation through.

    A database call that is cut off half-way leaves a connection of which nobody knows what state it is in (and, on
    SQLite, a thread that nobody ends). Steps are short; waiting for one is cheaper than finding out.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()  # looked at: what failed is told by the cancellation
        raise


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            "the database address cannot be understood. "
            "Write sqlite+aiosqlite:///PATH or postgresql+asyncpg://user:password@host/name"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise StoreError("SQLite needs a file: readers and the writer are connections of their own")
        return parsed.set(drivername="sqlite+aiosqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+asyncpg")
    raise StoreError(
        f"the database {backend!r} is not supported. Use sqlite+aiosqlite:///PATH or postgresql+asyncpg://..."
    )


def _sqlite_engines(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    path = Path(unquote(url.database or ""))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the database file {path} cannot be made ({error.strerror}). Choose a data directory that this user may write"
        ) from error
    reader = create_async_engine(url, pool_size=READERS, max_overflow=READERS)
    writer = create_async_engine(url, pool_size=1, max_overflow=0)
    _prepare(reader, "BEGIN", ("PRAGMA query_only=ON",))
    _prepare(
        writer,
        "BEGIN IMMEDIATE",
        ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA secure_delete=ON"),
    )
    return reader, writer


def _prepare(engine: AsyncEngine, begin: str, pragmas: tuple[str, ...]) -> None:
    """Set up each SQLite connection, and begin transactions ourselves (the driver would begin them too late)."""

    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
            "PRAGMA foreign_keys=ON",
            "PRAGMA cache_size=-16000",
            "PRAGMA mmap_size=67108864",
            "PRAGMA temp_store=MEMORY",
            *pragmas,
        ):
            cursor.execute(pragma)
        cursor.close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
    upgrade(connection)


def _cause(error: BaseException) -> str:
    """Say what the driver said, in one line, without the statement and its values."""
    origin = getattr(error, "orig", None) or error
    return " ".join(str(origin).split())[:200] or type(origin).__name__
