"""The store: one writer, readers beside it, migrations, the append-only chain; on SQLite and on PostgreSQL."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hub_world import ANNA, TurnedClock, run
from sqlalchemy import Text, bindparam, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from hub.store import tables
from hub.store.errors import StoreError
from hub.store.migrate import newest
from hub.store.store import Store, Writing, ids_in_order

NewUrl = Callable[[], str]


def test_migrations_make_exactly_the_tables(new_url: NewUrl) -> None:
    """After the migrations the database has the tables, columns and indexes that the code names, and no others."""

    async def go() -> list[object]:
        store = await Store.open(new_url(), TurnedClock())
        try:
            async with store.read() as tx:
                return await tx.connection.run_sync(
                    lambda connection: compare_metadata(
                        MigrationContext.configure(connection, opts={"compare_type": True}), tables.metadata
                    )
                )
        finally:
            await store.aclose()

    assert run(go()) == []


def test_many_rows_are_written_as_one_by_one(new_url: NewUrl) -> None:
    """Rows written in bulk read back as rows written one by one; ids made in order sort so and are UUID4."""

    async def go() -> None:
        store = await Store.open(new_url(), TurnedClock())
        table = tables.assessments
        now = store.clock.now()
        ids = [one for one, _ in zip(ids_in_order(), range(70_000), strict=False)][::7000]
        assert ids == sorted(set(ids))
        assert all(str(UUID(one)) == one and UUID(one).version == 4 for one in ids)
        common = {"standard": "x", "standard_version": "1", "as_of": now, "report": {"a": "đ"}}
        rows = [{"id": one, "camera_id": one[::-1], "decision": "PENDING", "counts": {"b": 1}} for one in ids]
        async with store.write() as tx:
            await tx.execute(insert(table).values(**rows[0], **common, observations={"c": [1]}))
            statement = insert(table).values(counts=bindparam("counts", type_=Text()))
            names = ("counts", "id", "decision", "camera_id")
            told = [('{"b":1}', one["id"], one["decision"], one["camera_id"]) for one in rows[1:]]
            await tx.many(statement, {**common, "observations": {"c": [1]}}, names, told)
            await tx.many(statement, {**common, "observations": {}}, names, [])
            change = update(table).where(table.c.id == bindparam("of")).values(decision=bindparam("decision"))
            await tx.many(change, {"decision": "ADMITTED"}, ("of",), [(one,) for one in ids])
        async with store.read() as tx:
            found = await tx.all(select(table).order_by(table.c.id))
        wanted = [{**one, **common, "observations": {"c": [1]}, "decision": "ADMITTED"} for one in rows]
        assert [dict(one._mapping) for one in found] == wanted
        await store.aclose()

    run(go())


def test_opening_again_keeps_what_was_written(new_url: NewUrl) -> None:
    """A store that is opened a second time has the same hub id."""

    async def go() -> None:
        url = new_url()
        store = await Store.open(url, TurnedClock())
        first = await store.hub_id()
        await store.aclose()
        await store.aclose()
        store = await Store.open(url, TurnedClock())
        assert await store.hub_id() == first
        await store.ping()
        await store.aclose()

    run(go())


def test_a_newer_database_is_refused(new_url: NewUrl) -> None:
    """A database written by a newer program is not touched, and the sentence says what to do."""

    async def go() -> None:
        url = new_url()
        store = await Store.open(url, TurnedClock())
        async with store.write() as tx:
            await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await store.aclose()
        with pytest.raises(StoreError, match="newer one"):
            await Store.open(url, TurnedClock())

    run(go())
    assert newest() != "9999"


def test_nothing_is_half_written(new_url: NewUrl) -> None:
    """An exception inside a write takes back all of it, the audit record too, and no event goes out."""

    async def go() -> None:
        store = await Store.open(new_url(), TurnedClock())
        told: list[str] = []

        async def tell() -> None:
            told.append("committed")

        async def change() -> None:
            async with store.write() as tx:
                await tx.execute(insert(tables.settings).values(key="a", value=1))
                await tx.audit("test", ANNA, "hub")
                tx.after_commit(tell)
                raise RuntimeError("changed its mind")

        with pytest.raises(RuntimeError):
            await change()
        assert await store.setting("a") is None
        async with store.read() as tx:
            assert await tx.one(select(tables.audit)) is None
        async with store.write() as tx:
            tx.after_commit(tell)
        assert told == ["committed"]
        await store.aclose()

    run(go())


def test_many_writers_take_turns(new_url: NewUrl) -> None:
    """Fifty tasks that write at once make fifty records in one unbroken chain, through two stores on one database."""

    async def go() -> None:
        url = new_url()
        stores = [await Store.open(url, TurnedClock()) for _ in range(2)]

        async def write(number: int) -> None:
            async with stores[number % 2].write() as tx:
                await asyncio.sleep(0)
                await tx.audit("test", ANNA, "hub", {"number": number})

        await asyncio.gather(*(write(number) for number in range(50)))
        async with stores[0].read() as tx:
            rows = await tx.all(select(tables.audit).order_by(tables.audit.c.seq))
        assert [row.seq for row in rows] == list(range(1, 51))
        assert [row.prev_hash for row in rows[1:]] == [row.hash for row in rows[:-1]]
        for store in stores:
            await store.aclose()

    run(go())


def test_readers_do_not_wait_for_the_writer(new_url: NewUrl) -> None:
    """While a write is open others read, and see the state before it."""

    async def go() -> None:
        store = await Store.open(new_url(), TurnedClock())
        async with store.write() as tx:
            await tx.execute(insert(tables.settings).values(key="a", value=1))
            assert await asyncio.wait_for(store.setting("a"), 60) is None
        assert await store.setting("a") == 1
        await store.aclose()

    run(go())


def test_a_cancelled_write_is_rolled_back_and_the_writer_is_free(new_url: NewUrl) -> None:
    """Cancelling a task inside its write leaves nothing behind and does not lock the next one out."""

    async def go() -> None:
        store = await Store.open(new_url(), TurnedClock())
        inside = asyncio.Event()

        async def hang() -> None:
            async with store.write() as tx:
                await tx.execute(insert(tables.settings).values(key="a", value=1))
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(hang())
        await inside.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(store.set_setting("b", 2), 60)
        assert await store.setting("a") is None
        await store.aclose()

    run(go())


def test_what_is_committed_is_published_though_the_caller_is_cancelled(new_url: NewUrl) -> None:
    """A caller that is cancelled while its write commits does not swallow the event."""

    async def go() -> None:
        store = await Store.open(new_url(), TurnedClock())
        committing, published = asyncio.Event(), asyncio.Event()

        async def publish() -> None:
            committing.set()
            await asyncio.sleep(0.05)
            published.set()

        async def change(tx: Writing) -> None:
            await tx.execute(insert(tables.settings).values(key="a", value=1))
            tx.after_commit(publish)

        async def work() -> None:
            async with store.write() as tx:
                await change(tx)

        task = asyncio.create_task(work())
        await committing.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert published.is_set()
        assert await store.setting("a") == 1
        await store.aclose()

    run(go())


@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_itself_refuses_to_change_the_audit_log(new_url: NewUrl, change: str) -> None:
    """Neither UPDATE nor DELETE goes through on the audit table, whoever asks."""

    async def go() -> None:
        store = await Store.open(new_url(), TurnedClock())
        async with store.write() as tx:
            await tx.audit("test", ANNA, "hub")
        statement = update(tables.audit).values(kind="other") if change == "update" else delete(tables.audit)
        with pytest.raises(DBAPIError, match="append-only"):
            async with store.write() as tx:
                await tx.execute(statement)
        await store.aclose()

    run(go())


def test_readers_cannot_write(sqlite_url: str) -> None:
    """A reading transaction on SQLite refuses to write."""

    async def go() -> None:
        store = await Store.open(sqlite_url, TurnedClock())
        with pytest.raises(DBAPIError, match="readonly"):
            async with store.read() as tx:
                await tx.execute(insert(tables.settings).values(key="a", value=1))
        await store.aclose()

    run(go())


def test_the_database_file_is_private(sqlite_url: str, tmp_path: Path) -> None:
    """The SQLite file and its log are readable by their owner only."""

    async def go() -> None:
        store = await Store.open(sqlite_url, TurnedClock())
        await store.set_setting("a", 1)
        for path in tmp_path.glob("hub.db*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        await store.aclose()

    run(go())


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "cannot be understood"),
        ("mysql://somewhere/x", "not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:////proc/none/x.db", "cannot be made"),
        ("postgresql+asyncpg://camhub:hunter2@127.0.0.1:1/x", "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_opened_says_why(url: str, sentence: str) -> None:
    """Each wrong address gives one sentence with what was seen, and never the password."""
    with pytest.raises(StoreError, match=sentence) as told:
        run(Store.open(url, TurnedClock()))

    assert "hunter2" not in str(told.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file with other content is named, not overwritten."""
    path = tmp_path / "hub.db"
    path.write_bytes(b"this is not a database, it is a letter" * 100)

    with pytest.raises(StoreError, match="cannot be opened"):
        run(Store.open(f"sqlite:///{path}", TurnedClock()))
    assert path.read_bytes().startswith(b"this is not")


def test_cancelled_work_leaves_the_store_usable(new_url: NewUrl) -> None:
    """Readers and writers that are cancelled at any moment leave no connection behind and no lock held."""

    async def go() -> None:
        store = await Store.open(new_url(), TurnedClock())
        await store.set_setting("a", 0)

        async def read() -> None:
            while True:
                await store.setting("a")

        async def write(number: int) -> None:
            while True:
                async with store.write() as tx:
                    await tx.audit("test", ANNA, "hub", {"number": number})

        for round_ in range(12):
            tasks = [asyncio.create_task(read()) for _ in range(4)]
            tasks += [asyncio.create_task(write(number)) for number in range(3)]
            await asyncio.sleep(0.004 * round_)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        async with asyncio.timeout(60):
            await store.set_setting("a", 1)
            assert await store.setting("a") == 1
        async with store.read() as tx:
            rows = await tx.all(select(tables.audit).order_by(tables.audit.c.seq))
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        await store.aclose()

    run(go())
