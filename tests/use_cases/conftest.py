"""What several tests of use cases stand on: a team with an incident, a bench of workers, embedded servers."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.use_cases.embedded_servers import Serve
from tests.use_cases.incident_team import Team
from tests.use_cases.job_bench import Bench
from tocsin.db.embedded import EmbeddedServer, files
from tocsin.db.engine import Database
from tocsin.jobs import worker as engine


@pytest.fixture
async def team(db: Database) -> Team:
    team = Team(db)
    await team.move_in()
    return team


@pytest.fixture(params=[(True, True), (False, False)], ids=["bell and locks", "neither bell nor locks"])
async def bench(dsn: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Workers that do not let a freshly started PostgreSQL settle, and that look for orphans often."""
    monkeypatch.setattr(engine, "SETTLE", timedelta(0))
    monkeypatch.setattr(engine, "SWEEP_EVERY", 0.05)
    monkeypatch.setattr(engine, "POLL", 0.1)
    bell, locks = request.param
    bench = Bench(dsn, bell, locks)
    await bench.base()
    await bench.db.pool.execute("CREATE TABLE effect (what text NOT NULL)")
    yield bench
    for worker in bench.workers:
        await worker.stop()
    for db in bench.bases:
        await db.close()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that every account can pass through to. Servers left on it are stopped."""
    # pytest's own directories are private to root, so the account of PostgreSQL could not reach them.
    root = Path(tempfile.mkdtemp(prefix="tocsin-test-", dir="/tmp"))
    root.chmod(0o755)
    yield root
    for cluster in root.rglob("postmaster.pid"):
        left = files.read_postmaster(cluster.parent)
        if left and files.is_alive(left.pid) and files.serves(left.pid, cluster.parent):
            os.kill(left.pid, signal.SIGQUIT)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Make servers that are stopped at the end, each with the list of what it says."""
    made: list[EmbeddedServer] = []

    def make(data_dir: Path, **options: object) -> tuple[EmbeddedServer, list[str]]:
        said: list[str] = []
        made.append(EmbeddedServer(data_dir, report=said.append, **options))
        return made[-1], said

    yield make
    for each in made:
        await each.stop()
