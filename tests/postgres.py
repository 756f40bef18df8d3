"""One real PostgreSQL for each process that runs tests, and a fresh database, copied from a template, for each test."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg

from tests.processes import PATIENCE
from tocsin.db import migrate
from tocsin.db.embedded import account as accounts
from tocsin.db.embedded import binaries, files
from tocsin.db.embedded.account import SpawnOptions
from tocsin.db.engine import Database

TEMPLATE = "tocsin_template"
_SHM = Path("/dev/shm")
# The log of a server that never archives, the template, and the largest database of one test at a time.
ROOM = 2 * 1024**3
PREFIX = "tocsin-test-pg-"
# Held by the process that started the server for as long as it lives.
_HELD = "held"


def _in_memory() -> Path | None:
    """Return a directory in memory with room for the whole run, or nothing: a fresh database is mostly writing."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    is_there = _SHM.is_dir() and os.access(_SHM, os.W_OK | os.X_OK)
    return _SHM if is_there and shutil.disk_usage(_SHM).free >= ROOM * processes else None


def clear_up(*places: Path) -> list[Path]:
    """End the servers of runs that were killed, and remove their directories, which are returned."""
    cleared: list[Path] = []
    for root in (root for place in places for root in place.glob(f"{PREFIX}*")):
        # Another account's, or one that is just being made or cleared up: nothing of ours.
        with contextlib.suppress(OSError), (root / _HELD).open() as held:
            if os.fstat(held.fileno()).st_uid != os.geteuid():
                continue
            # Refused while whoever started the server lives.
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = files.read_postmaster(root / "data")
            if left and files.is_alive(left.pid) and files.serves(left.pid, root / "data"):
                os.kill(left.pid, signal.SIGQUIT)
            shutil.rmtree(root, ignore_errors=True)
            cleared.append(root)
    return cleared


def make_cluster(root: Path) -> tuple[Path, SpawnOptions]:
    """Make a cluster, `data`, and the directory of its socket, `run`; returns the programs, and how to start them."""
    root.chmod(0o755)
    data = root / "data"
    account = accounts.choose(None, data)
    for path in (data, root / "run"):
        files.own_directory(path, account)
    programs = binaries.choose(None, account, data).directory
    initdb = [programs / "initdb", "-D", data, "-U", "tocsin", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **account.spawn())
    return programs, account.spawn()


@contextmanager
def server() -> Iterator[str]:
    """Run a PostgreSQL without fsync in a directory of its own; yields the DSN prefix `postgresql://…/`.

    Or the one that `python -m tests.postgres` keeps for several runs, one after the other.
    """
    if lent := os.environ.get("TOCSIN_TEST_POSTGRES"):
        yield lent
        return
    clear_up(_SHM, Path(tempfile.gettempdir()))
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_in_memory()))
    with (root / "new").open("w") as held:
        # Nobody finds it before it is held.
        fcntl.flock(held, fcntl.LOCK_EX)
        (root / "new").rename(root / _HELD)
        yield from _serve(root)


def _serve(root: Path) -> Iterator[str]:
    data, run = root / "data", root / "run"
    programs, spawn = make_cluster(root)
    options = {
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": 200,
        "shared_buffers": "64MB",
        "jit": "off",
        # It would analyse and hold transactions open whenever it likes.
        "autovacuum": "off",
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", run, "-c", "listen_addresses=", *flags],
            stdout=log,
            stderr=log,
            **spawn,
        )
    try:
        subprocess.run(
            ["bash", "-c", f"until '{programs}/pg_isready' -q -h '{run}'; do kill -0 {process.pid}; sleep 0.05; done"],
            check=True,
        )
        yield f"postgresql://tocsin@/{{}}?host={run}"
    finally:
        process.send_signal(2)
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


async def make_template(dsn: str) -> None:
    """Create the migrated database that every test copies, unless it is there."""
    admin = await asyncpg.connect(dsn.format("postgres"))
    is_there = await admin.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", TEMPLATE)
    if not is_there:
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    await admin.close()
    if is_there:
        return
    db = Database(dsn.format(TEMPLATE), bell=False)
    await migrate.upgrade(db)
    await db.close()


@asynccontextmanager
async def fresh(dsn: str, template: str = TEMPLATE) -> AsyncIterator[str]:
    """Yield the DSN of a database of its own, a copy of the template, and drop it afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(dsn.format("postgres"))
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield dsn.format(name)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def until_somebody_waits(db: Database) -> None:
    """Wait until somebody in this database waits for a lock that another one holds."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(PATIENCE):
        while not await db.pool.fetch(waiting):  # noqa: ASYNC110 (locks ring no bell)
            await asyncio.sleep(0.02)


def keep() -> None:
    """Keep a server until the standard input ends, and say where it is."""
    with server() as dsn:
        asyncio.run(make_template(dsn))
        print(dsn, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    keep()
