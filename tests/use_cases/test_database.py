"""The schema and the transaction."""

import asyncpg
import pytest

from tocsin.db import migrate
from tocsin.db.engine import Database


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
