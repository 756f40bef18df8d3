"""Several statements that write are one, and do what each of them does."""

import asyncpg
import pytest

from tests.world import World
from tocsin.db.compose import as_one

ROWS = "INSERT INTO part (name, number) SELECT name, $2::int + 1 FROM unnest($1::text[]) AS new (name)"
RENAME = "UPDATE whole SET name = $1::text || $2::text || $1::text"


async def test_each_has_its_own_parameters(world: World) -> None:
    """F138: in their order, also where one of them is named twice or written in another order."""
    async with world.db.pool.acquire() as connection:
        await connection.execute("CREATE TABLE part (name text UNIQUE, number int); CREATE TABLE whole (name text)")
        await connection.execute("INSERT INTO whole VALUES ('')")
        together = as_one(ROWS, RENAME, "DELETE FROM whole WHERE false", f"{ROWS} RETURNING number")
        answer = await connection.fetch(together, ["a", "b"], 1, "x", "y", ["c"], 10)
        assert [row["number"] for row in answer] == [11]
        found = await connection.fetch("SELECT name, number FROM part ORDER BY name")
        assert [tuple(row) for row in found] == [("a", 2), ("b", 2), ("c", 11)]
        assert await connection.fetchval("SELECT name FROM whole") == "xyx"


async def test_all_of_them_are_done_or_none(world: World) -> None:
    async with world.db.pool.acquire() as connection:
        await connection.execute("CREATE TABLE part (name text UNIQUE, number int); CREATE TABLE whole (name text)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(as_one("INSERT INTO whole VALUES ($1)", ROWS), "x", ["a", "a"], 1)
        assert await connection.fetch("SELECT FROM part UNION ALL SELECT FROM whole") == []


def test_one_alone_stays_as_it_is() -> None:
    assert as_one("SELECT $1") == "SELECT $1"
