"""Embedded servers for tests, and processes that own one."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg

from tests.processes import PATIENCE
from tocsin.db.embedded import EmbeddedServer

Serve = Callable[..., tuple[EmbeddedServer, list[str]]]


# A Tocsin that does nothing but keep its server, for the tests that kill it.
OWNER = """
import asyncio, sys
from pathlib import Path
from tocsin.db.embedded import EmbeddedServer
async def main():
    server = EmbeddedServer(Path(sys.argv[1]), report=lambda sentence: None)
    await server.start()
    print(server.pid, flush=True)
    await server.watch()
asyncio.run(main())
"""


async def ask(dsn: str, question: str, *values: object) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question, *values)
    finally:
        await connection.close()


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not claim():  # noqa: ASYNC110 (other processes ring no bell)
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def owner_of(data_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A process that owns the data directory, and the id of its PostgreSQL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def watched(supervisor: EmbeddedServer) -> AsyncIterator[None]:
    watching = asyncio.create_task(supervisor.watch())
    try:
        yield
    finally:
        await supervisor.stop()
        await watching
