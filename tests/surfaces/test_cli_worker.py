"""`tocsin worker` beside a `tocsin serve` with its own PostgreSQL: whoever starts first, both work."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from tests.processes import PATIENCE, data_directory, environment, served
from tests.use_cases.job_bench import until
from tocsin.db.embedded import files, running_dsn

WAITS = "The worker waits: no `tocsin serve` runs on"
RUNS = "The worker runs."
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1::oid AND granted"


class Worker:
    """A `tocsin worker` and what it has said so far."""

    def __init__(self, process: Process, said: Path) -> None:
        self.process = process
        self._said = said

    def said(self, words: str) -> int:
        return self._said.read_text().count(words)

    async def says(self, words: str, times: int = 1) -> None:
        async def said() -> bool:
            assert self.process.returncode is None, self._said.read_text()
            return self.said(words) >= times

        await until(said)

    async def ends(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def worker(root: Path, said: Path, **settings: str) -> AsyncIterator[Worker]:
    with said.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.cli", "worker"),
            env=environment(data_dir=str(root), **settings),
            stdout=errors,
            stderr=errors,
        )
    try:
        yield Worker(process, said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def works(root: Path) -> None:
    """Wait until a job that is put into the queue is done by somebody."""
    dsn = running_dsn(root)
    assert dsn is not None
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("UPDATE schedule SET next_at = tocsin_now()")
        before = await connection.fetchval("SELECT sum(extract(epoch FROM next_at)) FROM schedule")

        async def done() -> bool:
            left = await connection.fetchval("SELECT count(*) FROM job")
            moved = await connection.fetchval("SELECT sum(extract(epoch FROM next_at)) FROM schedule") > before
            return moved and left == 0

        await until(done)
    finally:
        await connection.close()


async def test_a_worker_that_is_first_waits_for_the_server_and_outlives_it(tmp_path: Path) -> None:
    """G04: it waits before the database is made, works, waits through a restart of the server, and works again."""
    with data_directory() as root:
        async with worker(root, tmp_path / "worker") as beside:
            await beside.says(WAITS)
            assert list(root.iterdir()) == []
            for times in (1, 2):
                async with served("--no-worker", err=tmp_path / "serve", data_dir=str(root)):
                    if times == 1:
                        await beside.says(RUNS)
                    # The server runs no jobs, so whatever is done is done by the worker.
                    await works(root)
                # It owns no database: with the server PostgreSQL ends.
                assert running_dsn(root) is None
                assert beside.process.returncode is None
            assert await beside.ends() == 0
            assert beside.said("Traceback") == 0
            assert beside.said(WAITS) == 1


async def test_a_worker_beside_a_server_leaves_the_database_to_it(tmp_path: Path) -> None:
    """G04: the server was first; the worker's end ends nothing else."""
    with data_directory() as root:
        async with served("--no-worker", err=tmp_path / "serve", data_dir=str(root)):
            pid = files.read_postmaster(root / files.CLUSTER)
            async with worker(root, tmp_path / "worker") as beside:
                await beside.says(RUNS)
                assert beside.said(WAITS) == 0
                await works(root)
                assert await beside.ends() == 0
            assert files.read_postmaster(root / files.CLUSTER) == pid
            assert running_dsn(root) is not None


async def test_a_worker_that_waits_ends_when_it_is_asked(tmp_path: Path) -> None:
    """G04: nothing has begun, so nothing keeps it; and it has made nothing."""
    with data_directory() as root:
        async with worker(root / "not there", tmp_path / "worker") as beside:
            await beside.says(WAITS)
            assert await beside.ends() == 0
            assert beside.said("Traceback") == 0
        assert list(root.iterdir()) == []


async def test_a_worker_waits_until_the_schema_is_that_of_its_version(tmp_path: Path) -> None:
    """G04: PostgreSQL runs before the server has made the tables; the worker makes none of its own."""
    with data_directory() as root:
        async with served("--no-worker", err=tmp_path / "serve", data_dir=str(root)):
            dsn = running_dsn(root)
            assert dsn is not None
            connection = await asyncpg.connect(dsn)
            version = await connection.fetchval("DELETE FROM alembic_version RETURNING version_num")
            assert re.fullmatch(r"\w+", version)
            async with worker(root, tmp_path / "worker") as beside:
                await beside.says(
                    "The worker waits: the server has not yet brought the database schema to this version"
                )
                assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 0
                await connection.execute("INSERT INTO alembic_version VALUES ($1)", version)
                await beside.says(RUNS)
                await connection.execute("UPDATE alembic_version SET version_num = '9999'")
            async with worker(root, tmp_path / "other") as beside:
                async with asyncio.timeout(PATIENCE):
                    assert await beside.process.wait() == 1
                assert beside.said("is newer than this program") == 1
            await connection.close()


async def test_a_worker_follows_the_server_to_another_socket(tmp_path: Path) -> None:
    """G04: the server may come back by another account, and then has its socket elsewhere."""
    with data_directory() as root:
        async with (
            served("--no-worker", err=tmp_path / "serve", data_dir=str(root)),
            worker(root, tmp_path / "worker") as beside,
        ):
            await beside.says(RUNS)
            file = root / files.CLUSTER / "postmaster.pid"
            true = file.read_text()
            file.write_text(true.replace(true.splitlines()[4], "/tmp/elsewhere"))
            await beside.says("The worker waits:")
            file.write_text(true)
            await beside.says(RUNS, times=2)
            await works(root)
            assert await beside.ends() == 0
