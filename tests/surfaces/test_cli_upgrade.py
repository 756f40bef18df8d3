"""`tocsin upgrade-check` and `tocsin migrate` on a database of an earlier version."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests import postgres
from tests.processes import tocsin
from tocsin.db import migrate
from tocsin.db.engine import Database


@pytest.fixture
async def old(postgres_dsn: str) -> AsyncIterator[str]:
    """The DSN of a database with the first schema."""
    async with postgres.fresh(postgres_dsn, "template0") as dsn:
        db = Database(dsn, bell=False, pool_size=1)
        await migrate.upgrade(db, to="0001")
        await db.close()
        yield dsn


async def check(dsn: str, data_dir: Path, *words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    code, out, err = await tocsin("upgrade-check", "--json", *words, database_url=dsn, data_dir=str(data_dir))
    assert out, err
    return code, {entry["check"]: (entry["verdict"], entry["words"]) for entry in json.loads(out)}


async def test_a_schema_of_this_version_needs_nothing(dsn: str, tmp_path: Path) -> None:
    code, found = await check(dsn, tmp_path)
    assert code == 0
    assert found["schema"][0] == "ok"
    assert "Nothing is to be done" in found["schema"][1]


async def test_what_would_be_done_is_said_and_not_done(old: str, tmp_path: Path) -> None:
    code, found = await check(old, tmp_path)
    assert code == 3
    assert "from 0001 to" in found["schema"][1]
    assert "builds incident_open_idx on incident" in found["revision 0002"][1]
    assert "nobody waits" in found["revision 0002"][1]
    assert "New indexes take up to" in found["disk"][1]
    assert found["locks"][0] == "ok"
    assert found["backup"] == ("warn", "No backup is known here. Run `tocsin backup`, or name one (--backup).")
    code, found = await check(old, tmp_path)
    assert "from 0001 to" in found["schema"][1]


async def test_with_a_fresh_backup_nothing_stands_in_the_way(old: str, tmp_path: Path) -> None:
    file = tmp_path / "file.dump"
    code, _, err = await tocsin("backup", str(file), database_url=old, data_dir=str(tmp_path))
    assert code == 0, err
    code, found = await check(old, tmp_path)
    assert (code, found["backup"][0]) == (0, "ok")
    assert str(file) in found["backup"][1]

    file.unlink()
    code, found = await check(old, tmp_path)
    assert (code, found["backup"][0]) == (3, "warn")

    other = tmp_path / "other.dump"
    other.write_bytes(b"x")
    assert (await check(old, tmp_path, "--backup", str(other)))[0] == 0
    yesterday = time.time() - 25 * 3600
    os.utime(other, (yesterday, yesterday))
    code, found = await check(old, tmp_path, "--backup", str(other))
    assert (code, found["backup"][0]) == (3, "warn")


async def test_whoever_would_be_waited_for_is_named(old: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(old, server_settings={"application_name": "report"})
    await connection.execute("BEGIN")
    await connection.execute("SELECT pg_sleep(3.1)")
    code, found = await check(old, tmp_path)
    assert (code, found["locks"][0]) == (3, "warn")
    assert "(report, " in found["locks"][1]
    await connection.close()


async def test_a_newer_schema_fails(old: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(old)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    code, found = await check(old, tmp_path)
    assert code == 1
    assert found["schema"][0] == "FAIL"
    assert "newer than this program" in found["schema"][1]


async def test_migrate_takes_what_was_foretold(old: str, tmp_path: Path) -> None:
    code, out, _ = await tocsin("migrate", database_url=old, data_dir=str(tmp_path))
    assert (code, out) == (0, f"Migrated from 0001 to {migrate.newest()}.\n")
    assert (await check(old, tmp_path))[0] == 0
