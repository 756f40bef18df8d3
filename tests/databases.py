"""Databases that go from test to test: emptied in between, with connections that stay open.

A copy of the template costs 30 ms, the first statements of each new connection as much again, and SQLAlchemy compiles
every statement anew for each engine. So a test gets a database that another one had before it. What that one left is
gone (`tests/use_cases/test_handed_on_databases.py`): rows, sequences, sessions of others, and all that a session holds.
A database in which anything else was changed, such as its schema, its settings or its statistics, is dropped.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from tests import postgres
from tocsin.db.engine import Database, Listeners
from tocsin.db.errors import STORE_ERRORS

# The clock of a world stands still but for a microsecond per look: a slow machine tells the same story, and no two
# moments are one.
MOVABLE_CLOCK = """
CREATE TABLE test_clock (at timestamptz NOT NULL);
CREATE SEQUENCE test_clock_looks;
CREATE OR REPLACE FUNCTION tocsin_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$SELECT at + nextval('test_clock_looks') * interval '1 microsecond' FROM test_clock$$;
"""

SET_CLOCK = "INSERT INTO test_clock VALUES (clock_timestamp())"

# Notes what changes the schema. What lives as long as its session is none of the schema.
_NOTE_CHANGES = """
CREATE SCHEMA tests;
CREATE TABLE tests.changed (what text);
CREATE FUNCTION tests.note_change() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tests.changed
        SELECT object_identity FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp';
END $$;
CREATE FUNCTION tests.note_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tests.changed
        SELECT object_identity FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary AND original;
END $$;
"""
_WATCH = """
CREATE EVENT TRIGGER tests_change ON ddl_command_end EXECUTE FUNCTION tests.note_change();
CREATE EVENT TRIGGER tests_drop ON sql_drop EXECUTE FUNCTION tests.note_drop();
ALTER EVENT TRIGGER tests_change ENABLE ALWAYS;
ALTER EVENT TRIGGER tests_drop ENABLE ALWAYS;
"""

# Says whether the database is as it was made again; if not, it is of no more use. Rows that are gone leave their room
# behind, which plans take into account, so a table that has grown is not handed on either.
_CLEAN = """
CREATE FUNCTION tests.clean() RETURNS boolean LANGUAGE plpgsql SET session_replication_role = replica AS $clean$
BEGIN
    IF EXISTS (SELECT FROM tests.changed)
        OR EXISTS (SELECT FROM pg_statistic WHERE starelid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace))
        OR EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = (
            SELECT oid FROM pg_database WHERE datname = current_database()))
        OR EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND (
            reltuples <> -1 OR pg_relation_size(oid) > 262144))
    THEN
        RETURN false;
    END IF;
    {clean}
    RETURN true;
END $clean$
"""
_TABLES = "SELECT format('%I', relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
_SEQUENCES = "SELECT format('%I', sequencename), start_value FROM pg_sequences WHERE schemaname = 'public'"

# All that a session can hold and its end would have freed.
_LET_GO = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; DISCARD TEMP"
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND pid <> ALL($1)
"""


async def _prepare(keeper: asyncpg.Connection[Any], *, with_clock: bool) -> None:
    """Give a copy of the template the means to become one again."""
    if with_clock:
        await keeper.execute(MOVABLE_CLOCK)
    await keeper.execute(_NOTE_CHANGES)
    clean: list[str] = []
    for (table,) in await keeper.fetch(_TABLES):
        clean.append(f"DELETE FROM {table};")
        if await keeper.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
            await keeper.execute(f"CREATE TABLE tests.{table} AS TABLE {table}")
            clean.append(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM tests.{table};")
    for name, start in await keeper.fetch(_SEQUENCES):
        clean.append(f"PERFORM setval('{name}', {start}, false);")
    await keeper.execute(_CLEAN.format(clean="\n    ".join(clean)))
    await keeper.execute(_WATCH)


class Lent(Database):
    """A database as the application makes it, but on connections that are open already and stay open."""

    def __init__(self, lender: Database, *, bell: bool, listeners: Listeners | None = None) -> None:
        self._lender = lender
        super().__init__(lender.dsn, bell=bell, pool_size=lender._pool_size, listeners=listeners)
        self._looking, self._snapshot_engine = lender._looking, lender._snapshot_engine
        self.condition, self._links = lender.condition, lender._links

    def _engine(self, *, is_patient: bool = False, **pool: Any) -> AsyncEngine:
        return super()._engine(is_patient=True, **pool) if is_patient else self._lender.engine

    async def open(self) -> None:
        self._pool = self._lender.pool
        self.bell.start()

    async def close(self) -> None:
        await self.bell.stop()
        self._pool = None


@dataclass
class Handed:
    """A database of one test at a time."""

    dsn: str
    keeper: asyncpg.Connection[Any]
    lenders: dict[str, Database] = field(default_factory=dict)

    async def lender(self, name: str, *, pool_size: int = 5) -> Database:
        """Connections that stay open from test to test; `name` is whoever borrows them, one at a time."""
        if name not in self.lenders:
            self.lenders[name] = lender = Database(self.dsn, bell=False, pool_size=pool_size)
            await lender.open()
        return self.lenders[name]

    async def is_clean(self) -> bool:
        """Make it as it was before the test, or say that this cannot be done."""
        if not all(_is_idle(lender) for lender in self.lenders.values()):
            return False
        links = [link for lender in self.lenders.values() for link in lender._links if not link.is_closed()]
        for link in links:
            await link.execute(_LET_GO)
        await self.keeper.fetch(_END_OTHERS, [link.get_server_pid() for link in links])
        for lender in self.lenders.values():
            _begin_anew(lender)
        return bool(await self.keeper.fetchval("SELECT tests.clean()"))

    async def close(self) -> None:
        for lender in self.lenders.values():
            await lender.close()
        await self.keeper.close()


def _is_idle(lender: Database) -> bool:
    """Say whether everything that was borrowed is back, and nothing has shaken the trust in it."""
    engines = [lender.engine.sync_engine, lender._snapshot_engine.sync_engine]
    return (
        not any(engine.pool.checkedout() for engine in engines)
        and lender.pool.get_idle_size() == lender.pool.get_size()
        and lender.condition.doubted_at == -math.inf
        and not any(link.is_in_transaction() for link in lender._links if not link.is_closed())
    )


def _begin_anew(lender: Database) -> None:
    """Forget what statements said of the store; connections report to this very object."""
    when_doubted = lender.condition.when_doubted
    lender.condition.__init__()
    lender.condition.when_doubted = when_doubted


class Databases:
    """The databases of a process that runs tests, those that wait for their next test among them."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._waiting: dict[bool, list[tuple[Handed, AsyncExitStack]]] = {False: [], True: []}

    @asynccontextmanager
    async def one(self, *, with_clock: bool, is_new: bool = False) -> AsyncIterator[Handed]:
        """Hand a database to a test, with a clock that can be moved or with the real one, and take it back."""
        waiting = self._waiting[with_clock]
        handed, end = waiting.pop() if waiting and not is_new else await self._make(with_clock=with_clock)
        is_clean = False
        try:
            yield handed
            with contextlib.suppress(*STORE_ERRORS):
                is_clean = not is_new and await handed.is_clean()
        finally:
            if is_clean:
                waiting.append((handed, end))
            else:
                await end.aclose()

    async def _make(self, *, with_clock: bool) -> tuple[Handed, AsyncExitStack]:
        async with AsyncExitStack() as stack:
            dsn = await stack.enter_async_context(postgres.fresh(self._dsn))
            handed = Handed(dsn, await asyncpg.connect(dsn, server_settings={"lock_timeout": "10s"}))
            stack.push_async_callback(handed.close)
            await _prepare(handed.keeper, with_clock=with_clock)
            return handed, stack.pop_all()

    async def close(self) -> None:
        for waiting in self._waiting.values():
            while waiting:
                await waiting.pop()[1].aclose()
