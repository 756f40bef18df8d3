"""The schema and the transaction."""

import asyncpg
import pytest
from sqlalchemy import text

from tocsin.db import link, migrate
from tocsin.db.engine import Database
from tocsin.db.errors import STORE_ERRORS


async def test_migrating_twice_changes_nothing(db: Database) -> None:
    """G09: every process may call it at start."""
    before, after = await migrate.upgrade(db)
    assert before == after == migrate.newest()


async def test_a_newer_schema_than_the_program_is_refused(db: Database) -> None:
    """G09: an old program must not write into a schema it does not know."""
    await db.pool.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(migrate.SchemaError, match="newer than this program"):
        await migrate.check(db)
    with pytest.raises(migrate.SchemaError, match="newer than this program"):
        await migrate.upgrade(db)


@pytest.mark.parametrize("statement", ["UPDATE event SET name = 'x'", "DELETE FROM event", "TRUNCATE event"])
async def test_the_record_cannot_be_changed(db: Database, statement: str) -> None:
    """F075, G07: the log is append-only in the database itself."""
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await db.pool.execute(statement)


@pytest.mark.parametrize("hot", [False, True], ids=["use cases", "intake and jobs"])
async def test_a_process_that_stands_still_in_a_transaction_holds_nobody_up_for_long(
    dsn: str, monkeypatch: pytest.MonkeyPatch, hot: bool
) -> None:
    """G04, G09: one of several nodes is frozen; its locks are free again, and what it had begun is undone."""
    monkeypatch.setattr(link, "IDLE_IN_TRANSACTION", "200ms")
    frozen, other = Database(dsn, bell=False), Database(dsn, bell=False)
    await frozen.open()
    await other.open()
    locked = "INSERT INTO schedule (name, next_at) VALUES ('one', tocsin_now())"
    try:
        with pytest.raises(STORE_ERRORS):
            async with frozen.begin_hot() if hot else frozen.begin() as tx:
                await (await tx.raw()).execute(locked)
                async with other.begin() as second:
                    await (await second.raw()).execute(locked)
                await (await tx.raw()).execute("SELECT 1")
        assert await other.pool.fetchval("SELECT count(*) FROM schedule WHERE name = 'one'") == 1
    finally:
        await frozen.close()
        await other.close()


async def test_a_look_leaves_transactions_as_they_were(dsn: str) -> None:
    """G09: what is written in a look stands at once; the same connection then rolls back as ever."""
    db = Database(dsn, bell=False, pool_size=1)
    await db.open()

    async def number() -> int:
        return await db.pool.fetchval("SELECT count(*) FROM schedule")

    insert = text("INSERT INTO schedule (name, next_at) VALUES (:name, tocsin_now())")
    try:
        before = await number()
        with pytest.raises(KeyError):
            async with db.look() as tx:
                await tx.session.execute(insert, {"name": "one"})
                raise KeyError
        assert await number() == before + 1
        with pytest.raises(KeyError):
            async with db.begin() as tx:
                await tx.session.execute(insert, {"name": "two"})
                raise KeyError
        assert await number() == before + 1
    finally:
        await db.close()


async def test_a_transaction_that_is_over_takes_no_connection(db: Database) -> None:
    """Whoever goes on using it is told, and does not keep a connection that nobody gives back."""
    for opened in (db.begin(), db.look()):
        async with opened as tx:
            await tx.session.execute(text("SELECT 1"))
        with pytest.raises(RuntimeError, match="over"):
            _ = tx.session
