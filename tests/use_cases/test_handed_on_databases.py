"""A database goes from test to test (`tests/databases.py`): what one test left, the next one does not see."""

from __future__ import annotations

import asyncpg
import pytest

from tests.databases import Databases, Handed, Lent
from tests.world import World, make_world, minutes
from tocsin.db.engine import Database

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"


async def rows(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, int]:
    tables = [name for (name,) in await connection.fetch(TABLES)]
    return {name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for name in tables}


async def after(databases: Databases, used: Handed, *, with_clock: bool = False) -> bool:
    """Say whether the next test gets the same database."""
    async with databases.one(with_clock=with_clock) as next_one:
        return next_one is used


async def tell_a_story(handed: Handed) -> None:
    async with make_world(handed.dsn, await handed.lender("world")) as world:
        ada, bob = await world.people("ada", "bob")
        await world.route(await world.policy([ada, bob]))
        alert = await world.alert()
        await world.pass_time(minutes(6))
        assert world.mail.subjects(bob) == [alert.title]


async def test_rows_and_sequences_are_as_in_a_new_database(databases: Databases) -> None:
    async with databases.one(with_clock=True) as used:
        new, numbers = await rows(used.keeper), await used.keeper.fetch(SEQUENCES)
        secrets = await used.keeper.fetch("SELECT * FROM configuration_version, clock_watch")
        await tell_a_story(used)
        left = {name for name, number in (await rows(used.keeper)).items() if number != new[name]}
        assert left >= {"alert", "event_past", "page", "delivery", "escalation_run", "user_account"}
        assert await used.keeper.fetch(SEQUENCES) != numbers

    async with databases.one(with_clock=True) as again:
        assert again is used
        assert await rows(again.keeper) == new
        assert await again.keeper.fetch(SEQUENCES) == numbers
        assert await again.keeper.fetch("SELECT * FROM configuration_version, clock_watch") == secrets


async def test_the_same_story_can_be_told_again(databases: Databases) -> None:
    for _ in range(3):
        async with databases.one(with_clock=True) as handed:
            await tell_a_story(handed)


async def test_the_record_is_append_only_in_every_test(databases: Databases) -> None:
    """What empties the database may do what nobody else may, and only it."""
    for _ in range(2):
        async with databases.one(with_clock=True) as handed:
            await tell_a_story(handed)
            with pytest.raises(asyncpg.RestrictViolationError):
                await handed.keeper.execute("DELETE FROM event")
            with pytest.raises(asyncpg.ForeignKeyViolationError):
                await handed.keeper.execute("DELETE FROM user_account")


async def test_what_a_session_holds_is_let_go(databases: Databases) -> None:
    """Advisory locks, LISTEN, settings, temporary tables and cursors, on connections that stay open."""
    async with databases.one(with_clock=False) as used:
        lender = await used.lender("db")
        async with lender.pool.acquire() as connection:
            pid = connection.get_server_pid()
            await connection.execute("SELECT pg_advisory_lock(4711)")
            await connection.execute("LISTEN somewhere")
            await connection.execute("SET timezone = 'Asia/Tokyo'; SET statement_timeout = '7min'")
            await connection.execute("CREATE TEMP TABLE user_account (id int)")
            await connection.execute("DECLARE left_open CURSOR WITH HOLD FOR SELECT 1")
        async with lender.begin() as tx:
            await (await tx.raw()).execute("SELECT pg_advisory_lock(4712)")

    async with databases.one(with_clock=False) as again:
        assert again is used
        assert await again.keeper.fetch("SELECT * FROM pg_locks WHERE locktype = 'advisory'") == []
        async with (await again.lender("db")).pool.acquire() as connection:
            assert connection.get_server_pid() == pid
            assert await connection.fetch("SELECT pg_listening_channels()") == []
            assert await connection.fetch("SELECT name FROM pg_cursors WHERE name = 'left_open'") == []
            assert await connection.fetchval("SHOW timezone") != "Asia/Tokyo"
            assert await connection.fetchval("SHOW statement_timeout") == "0"
            # What a connection of the product asks for when it is made is still so.
            assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") != "0"
            assert await connection.fetchval("SELECT count(*) FROM user_account WHERE email <> ''") == 0


async def test_sessions_of_others_are_ended(databases: Databases) -> None:
    """A process that was not stopped, in the middle of a transaction."""
    async with databases.one(with_clock=False) as used:
        left = await asyncpg.connect(used.dsn)
        await left.execute("BEGIN; LOCK TABLE alert")

    assert await after(databases, used)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await left.fetchval("SELECT 1")


async def test_a_database_that_is_still_borrowed_is_not_clean(databases: Databases) -> None:
    """So it would be dropped, and what holds it would end with it."""
    async with databases.one(with_clock=False) as used:
        lender = await used.lender("db")
        async with lender.begin():
            assert not await used.is_clean()
        async with lender.pool.acquire():
            assert not await used.is_clean()
        assert await used.is_clean()


async def test_a_connection_that_broke_is_not_lent_again(databases: Databases) -> None:
    async with databases.one(with_clock=False) as used:
        lender = await used.lender("db")
        lender.condition.note(TimeoutError())

    assert not await after(databases, used)


@pytest.mark.parametrize(
    "changing",
    [
        "CREATE TABLE effect (what text)",
        "DROP INDEX job_due_idx",
        "ALTER TABLE alert ADD COLUMN more text",
        "CREATE OR REPLACE FUNCTION tocsin_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT clock_timestamp()'",
        "DROP TRIGGER event_append_only ON event",
        "ALTER TABLE event DISABLE TRIGGER event_append_only",
        "ANALYZE alert",
        "ALTER DATABASE {name} SET default_transaction_read_only = on",
        "INSERT INTO configuration_version SELECT generate_series(1, 50000)",
    ],
)
async def test_a_database_that_was_changed_is_not_handed_on(databases: Databases, changing: str) -> None:
    """Its schema, its settings, its statistics, or how much room a table takes."""
    async with databases.one(with_clock=False) as used:
        name = await used.keeper.fetchval("SELECT current_database()")
        await used.keeper.execute(changing.format(name=name))

    async with databases.one(with_clock=False) as other:
        assert other is not used
        admin = await asyncpg.connect(other.dsn)
        assert not await admin.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name)
        await admin.close()


async def test_a_test_that_fails_hands_nothing_on(databases: Databases) -> None:
    with pytest.raises(AssertionError):
        async with databases.one(with_clock=False) as used:
            raise AssertionError

    assert not await after(databases, used)


async def test_an_application_begins_with_nothing_in_its_memory(databases: Databases) -> None:
    """What it read of the configuration, and what it heard of its store."""

    async def fallback(db: Database) -> object:
        async def load(tx: object) -> object:
            return object()

        async with db.begin() as tx:
            return await tx.cached("paging", load)

    async with databases.one(with_clock=False) as used:
        lender = await used.lender("db")
        first = Lent(lender, bell=False)
        await first.open()
        read = await fallback(first)
        assert await fallback(first) is read
        first.condition.note(asyncpg.DiskFullError("full"))
        assert first.condition.trouble
        await first.close()

    async with databases.one(with_clock=False) as again:
        assert again is used
        second = Lent(await again.lender("db"), bell=False)
        await second.open()
        assert await fallback(second) is not read
        assert second.condition.trouble is None
        await second.close()


async def test_a_world_begins_now(world: World, databases: Databases) -> None:
    """However far another test has moved the clock."""
    await world.pass_time(minutes(60 * 24 * 365))
    async with databases.one(with_clock=True) as handed:
        await tell_a_story(handed)
    async with databases.one(with_clock=True) as handed, make_world(handed.dsn, await handed.lender("world")) as next:
        ahead = await next.db.pool.fetchval("SELECT tocsin_now() - clock_timestamp()")
        assert ahead.total_seconds() < 1
