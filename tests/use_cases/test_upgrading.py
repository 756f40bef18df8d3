"""Upgrading a database that is in use: locks, interruptions, two upgrades at once, and the version before."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests import postgres
from tests.processes import PATIENCE
from tests.world import World
from tocsin.db import migrate
from tocsin.db.engine import Database
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge import readiness

INDEXES = """
SELECT indexrelid::regclass::text, indisvalid FROM pg_index
WHERE indexrelid::regclass::text IN ('incident_open_idx', 'incident_severity_idx', 'incident_lead_id_idx')
"""

# It has asked for the lock of upgrades, or waits for it.
ASKED = "SELECT FROM pg_stat_activity WHERE application_name = $1 AND query ~ 'COMMIT|advisory'"


@pytest.fixture
async def first(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the first schema."""
    async with postgres.fresh(postgres_dsn, "template0") as dsn:
        db = Database(dsn, bell=False, pool_size=3)
        await migrate.upgrade(db, to="0001")
        await db.open()
        yield db
        await db.close()


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who was in the way each time that a revision could not have its lock; each try and pause is short here."""
    made: list[str] = []
    really = migrate._in_the_way

    async def note(connection: AsyncConnection) -> str:
        made.append(await really(connection))
        return made[-1]

    monkeypatch.setattr(migrate, "_in_the_way", note)
    monkeypatch.setattr(migrate, "_LONG", timedelta(milliseconds=1))
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "20ms")
    monkeypatch.setattr(migrate, "PAUSES", (0.05,) * 10)
    return made


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A later version of the program, which adds a column; its revision."""
    there, before = tmp_path / "migrations", migrate.newest()
    shutil.copytree(migrate.MIGRATIONS, there, ignore=shutil.ignore_patterns("__pycache__"))
    revision = f"{int(before) + 1:04}"
    Path(there, "versions", f"{revision}_a_mark.py").write_text(
        f'from alembic import op\nrevision = "{revision}"\ndown_revision = "{before}"\n'
        'def upgrade():\n    op.execute("ALTER TABLE incident ADD COLUMN mark text")\n'
    )
    monkeypatch.setattr(migrate, "MIGRATIONS", there)
    migrate.newest.cache_clear()
    yield revision
    migrate.newest.cache_clear()


async def built(db: Database) -> dict[str, bool]:
    return {name: is_valid for name, is_valid in await db.pool.fetch(INDEXES)}


async def holder(db: Database) -> Any:
    """Somebody who reads the incidents in a transaction that does not end."""
    connection = await asyncpg.connect(db.dsn, server_settings={"application_name": "report"})
    await connection.execute("BEGIN")
    await connection.execute("LOCK TABLE incident IN ACCESS SHARE MODE")
    return connection


async def has_mark(db: Database) -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'incident'::regclass AND attname = 'mark')"
    return bool(await db.pool.fetchval(query))


async def test_the_missing_revisions_are_taken_one_by_one(first: Database) -> None:
    assert await migrate.current(first) == "0001"
    assert await migrate.is_behind(first)
    assert await migrate.upgrade(first) == ("0001", migrate.newest())
    assert await built(first) == dict.fromkeys(
        ("incident_open_idx", "incident_severity_idx", "incident_lead_id_idx"), True
    )


async def test_a_revision_that_cannot_have_its_lock_lets_others_through_and_tries_again(
    db: Database, later: str, tries: list[str]
) -> None:
    before = await migrate.current(db)
    held = await holder(db)
    upgrading = asyncio.create_task(migrate.upgrade(db))
    async with asyncio.timeout(PATIENCE):
        while len(tries) < 2:  # noqa: ASYNC110 (the upgrade rings no bell)
            await asyncio.sleep(0.01)
    # Nobody waits behind it for longer than a try.
    await db.pool.fetch("SELECT FROM incident")
    assert not await has_mark(db)
    await held.execute("ROLLBACK")
    assert await upgrading == (before, later)
    assert await has_mark(db)
    await held.close()


async def test_a_revision_that_never_gets_its_lock_says_who_holds_it_and_changes_nothing(
    db: Database, later: str, tries: list[str]
) -> None:
    before = await migrate.current(db)
    held = await holder(db)
    with pytest.raises(migrate.SchemaError, match=rf"Revision {later} .* process \d+ \(report, open for \d+ s\)"):
        await migrate.upgrade(db)
    assert len(tries) == len(migrate.PAUSES) + 1
    assert await migrate.current(db) == before
    assert not await has_mark(db)
    await held.close()
    # The lock of the upgrade itself is free again.
    assert await migrate.upgrade(db) == (before, later)


async def test_an_index_waits_longer_than_a_change_of_a_table(first: Database, tries: list[str]) -> None:
    """It holds up nobody, and what it has built would be thrown away."""
    held = await holder(first)
    # A snapshot is what it waits for.
    await held.execute("UPDATE organisation SET name = name; LOCK TABLE incident IN ROW EXCLUSIVE MODE")
    upgrading = asyncio.create_task(migrate.upgrade(first))
    await postgres.until_somebody_waits(first)
    await first.pool.execute("UPDATE incident SET title = title")
    await held.execute("ROLLBACK")
    assert await upgrading == ("0001", migrate.newest())
    assert tries == []
    await held.close()


async def test_an_interrupted_index_is_built_anew(first: Database) -> None:
    for name in ("incident_open_idx", "incident_severity_idx"):
        await first.pool.execute(f"CREATE INDEX {name} ON incident (severity, declared_at DESC, id DESC)")
    stays = await first.pool.fetchval("SELECT 'incident_severity_idx'::regclass::oid")
    # As a build leaves it that was cut off.
    await first.pool.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'incident_open_idx'::regclass")

    assert await migrate.upgrade(first) == ("0001", migrate.newest())

    assert set((await built(first)).values()) == {True}
    # What was finished is not built again.
    assert await first.pool.fetchval("SELECT 'incident_severity_idx'::regclass::oid") == stays


async def test_an_upgrade_that_is_cut_off_while_it_builds_is_gone_on_with(first: Database) -> None:
    """G09: its connection goes away in the middle, and PostgreSQL leaves an index that nobody may use."""
    held = await holder(first)
    await held.execute("LOCK TABLE incident IN ROW EXCLUSIVE MODE")
    upgrading = asyncio.create_task(migrate.upgrade(first))
    await postgres.until_somebody_waits(first)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
    await first.pool.execute(end)
    with pytest.raises(STORE_ERRORS):
        await upgrading
    assert await migrate.current(first) == "0001"
    assert await built(first) == {"incident_open_idx": False}
    await held.close()

    assert await migrate.upgrade(first) == ("0001", migrate.newest())
    assert set((await built(first)).values()) == {True}


async def test_two_upgrades_at_once_do_not_stop_each_other(first: Database) -> None:
    """An index built concurrently waits for every open statement, so that of the second must not be one."""
    second_name = "tocsin-second"
    second = Database(first.dsn, bell=False, pool_size=1, application=second_name)
    held = await holder(first)
    await held.execute("LOCK TABLE incident IN ROW EXCLUSIVE MODE")
    one = asyncio.create_task(migrate.upgrade(first))
    await postgres.until_somebody_waits(first)
    other = asyncio.create_task(migrate.upgrade(second))
    async with asyncio.timeout(PATIENCE):
        while not await first.pool.fetch(ASKED, second_name):  # noqa: ASYNC110 (the upgrade rings no bell)
            await asyncio.sleep(0.02)
    await held.execute("ROLLBACK")
    assert await one == ("0001", migrate.newest())
    assert await other == (migrate.newest(), migrate.newest())
    await held.close()
    await second.close()


async def test_a_server_that_runs_goes_on_when_a_later_version_has_upgraded(
    world: World, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes alerts, pages and is ready; only a new start of the version before is refused."""
    ada = await world.person("ada")
    await world.route(await world.policy(steps=[ada]))
    await migrate.upgrade(world.app.db)
    monkeypatch.undo()
    migrate.newest.cache_clear()

    await world.alert("Checkout is down")

    assert world.mail.subjects(ada) == ["Checkout is down"]
    assert world.app.context is not None
    assert (await readiness.examine(world.app.context)).checks["schema"]
    with pytest.raises(migrate.SchemaError, match="newer than this program"):
        await migrate.check(world.app.db)


async def test_what_is_ahead_is_told_from_what_is_foreign() -> None:
    assert migrate.is_ahead("9999")
    for have in (None, "0001", migrate.newest(), "0001_ab12cd34"):
        assert not migrate.is_ahead(have)


@pytest.mark.parametrize(
    ("version", "words"), [("9999", "restore the backup"), ("0001_ab12cd34", "new data directory")]
)
async def test_a_schema_that_is_not_known_is_refused_in_words(db: Database, version: str, words: str) -> None:
    """G09: an old program must not write into a schema it does not know."""
    async with db.begin() as tx:
        await tx.session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    with pytest.raises(migrate.SchemaError, match=words):
        await migrate.check(db)
    with pytest.raises(migrate.SchemaError, match=words):
        await migrate.upgrade(db)
    assert await migrate.current(db) == version
