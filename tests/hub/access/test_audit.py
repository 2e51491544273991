"""The audit log: append-only, chained, and any tampering shows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hub_world import ANNA, run, world
from sqlalchemy import delete, insert, select, text, update

from hub.access.audit import BATCH
from hub.store import tables
from hub.store.chain import Actor, AuditRecord, hash_of
from hub.store.errors import Invalid

NewUrl = Callable[[], str]


@pytest.mark.long
def test_a_whole_chain_verifies(new_url: NewUrl, tmp_path: Path) -> None:
    """More records than one piece holds are walked in pieces and found whole; texts and numbers come back as written."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            async with hub.store.write() as tx:
                for number in range(BATCH + 20):
                    await tx.audit(
                        "test", ANNA, "hub", {"n": number, "text": "Đã xem ‘camera’", "x": 0.1, "z": None}
                    )
            state = await hub.audit.verify()
            assert (state.ok, state.broken_at) == (True, None)
            assert state.checked_to >= BATCH + 20
            record = (await hub.audit.page(limit=1)).items[0]
            assert record.data["text"] == "Đã xem ‘camera’"
            assert record.actor == ANNA
            assert hash_of(record.as_row()) == record.hash

    run(go())


@pytest.mark.parametrize(
    "how", ["altered", "altered_time", "altered_actor", "removed", "inserted", "cut_off", "rehashed"]
)
def test_tampering_shows_where(new_url: NewUrl, tmp_path: Path, how: str) -> None:
    """Whoever gets past the database's own guard is found out at the first record that does not hold."""

    async def go() -> None:
        audit = tables.audit
        async with world(new_url(), tmp_path) as hub:
            for number in range(9):
                await hub.audit.append("test", ANNA, "hub", {"n": number})
            last = (await hub.audit.verify()).checked_to
            victim = last - 4
            async with hub.store.write() as tx:
                if hub.store.dialect == "sqlite":
                    await tx.execute(text("DROP TRIGGER audit_no_update"))
                    await tx.execute(text("DROP TRIGGER audit_no_delete"))
                else:
                    await tx.execute(text("DROP TRIGGER audit_append_only ON audit"))
                row = await tx.one(select(audit).where(audit.c.seq == victim))
                assert row is not None
                here = audit.c.seq == victim
                forged = AuditRecord.from_row(row)
                expected = victim
                if how == "altered":
                    await tx.execute(update(audit).where(here).values(data='{"n":99}'))
                elif how == "altered_time":
                    await tx.execute(update(audit).where(here).values(at="2020-01-01T00:00:00.000Z"))
                elif how == "altered_actor":
                    await tx.execute(update(audit).where(here).values(actor=row.actor.replace("anna", "an")))
                elif how == "removed":
                    await tx.execute(delete(audit).where(here))
                elif how == "inserted":
                    extra = AuditRecord(last + 1, row.at, "test", ANNA, "hub", {}, row.hash)
                    values = extra.as_row()
                    await tx.execute(insert(audit).values(**values | {"hash": hash_of(values)}))
                    expected = last + 1
                elif how == "cut_off":
                    await tx.execute(delete(audit).where(audit.c.seq >= victim))
                else:  # the altered record gets a hash that fits, the next one then does not follow
                    values = forged.as_row() | {"data": '{"n":99}'}
                    await tx.execute(update(audit).where(here).values(data='{"n":99}', hash=hash_of(values)))
                    expected = victim + 1
            state = await hub.audit.verify()
            assert not state.ok
            assert state.broken_at == expected
            assert str(expected) in state.why or "cut off" in state.why

    run(go())


def test_pages_and_filters(new_url: NewUrl, tmp_path: Path) -> None:
    """Newest first, by cursor, by camera, by kind and by all kinds below a word."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            before = (await hub.audit.page()).total
            for number in range(7):
                await hub.audit.append("view.started", ANNA, f"camera/{number % 2}")
                await hub.audit.append("view.ended", Actor("system"), f"camera/{number % 2}")
            assert (await hub.audit.page()).total == before + 14
            assert (await hub.audit.page(kind="view.ended")).total == 7
            assert (await hub.audit.page(kind="view.")).total == 14
            assert (await hub.audit.page(camera="1")).total == 6
            seen: list[int] = []
            cursor: str | None = ""
            while cursor is not None:
                page = await hub.audit.page(cursor=cursor, limit=5, kind="view.")
                seen += [record.seq for record in page.items]
                cursor = page.next
            assert seen == sorted(seen, reverse=True)
            assert len(set(seen)) == 14
            for wrong in ("x", "-1", "9" * 30, "²"):
                with pytest.raises(Invalid):
                    await hub.audit.page(cursor=wrong)

    run(go())


def test_large_data_has_no_place_in_the_log(sqlite_url: str, tmp_path: Path) -> None:
    """A record of more than 16 KiB is a bug of the caller; the chain goes on without it."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            with pytest.raises(ValueError, match="at most"):
                await hub.audit.append("test", ANNA, "hub", {"x": "y" * 20_000})
            assert (await hub.audit.verify()).ok

    run(go())
