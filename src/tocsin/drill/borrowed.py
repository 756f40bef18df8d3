"""A database that somebody lends for a drill: it has to be empty, and it is empty again afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import asyncpg

from tocsin.kit.errors import Conflict

# Everything that people or programs make, and none of what PostgreSQL or an extension brings along. A column by which
# a table is partitioned depends on it as well, which says nothing about the table.
_THINGS = """
SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
       WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind, c.oid::regclass::text AS name FROM pg_class AS c
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relnamespace = ANY ($1) AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND objsubid = 0
    AND deptype IN ('e', 'i', 'a'))
UNION ALL
SELECT 'ROUTINE', p.oid::regprocedure::text FROM pg_proc AS p
WHERE pronamespace = ANY ($1) AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
"""
_SCHEMAS = """
SELECT array_agg(oid) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
"""


class Keeper:
    """Knows what the drill has made in the database, and takes away that and nothing else."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._before: set[str] = set()
        self._new: list[tuple[str, str]] = []

    async def things(self) -> list[tuple[str, str]]:
        schemas = await self._connection.fetchval(_SCHEMAS)
        return [(row["kind"], row["name"]) for row in await self._connection.fetch(_THINGS, schemas)]

    async def _extensions(self) -> set[str]:
        return {row["extname"] for row in await self._connection.fetch("SELECT extname FROM pg_extension")}

    async def note_what_is_there(self) -> None:
        """Remember what has to stay: extensions, which may have been put there for the drill."""
        self._before = await self._extensions()

    async def note_what_is_new(self) -> None:
        """Take all else that is there as made by the drill: the database was empty at its beginning."""
        extensions = sorted(await self._extensions() - self._before)
        self._new = [*await self.things(), *(("EXTENSION", f'"{name}"') for name in extensions)]

    async def take_away(self) -> None:
        for kind, name in self._new:
            await self._connection.execute(f"DROP {kind} IF EXISTS {name} CASCADE")


@contextlib.asynccontextmanager
async def empty(dsn: str) -> AsyncGenerator[Keeper]:
    """Yield the keeper of this database; raises `Conflict` when there is anything in it."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        keeper = Keeper(connection)
        found = await keeper.things()
        if found:
            raise Conflict(
                f"The database for the drill is not empty: it has {found[0][1]}, among {len(found)} things. Nothing "
                "was changed. Make a new one (createdb) and name it."
            )
        await keeper.note_what_is_there()
        try:
            yield keeper
        finally:
            await keeper.take_away()
    finally:
        await connection.close()
