"""`tocsin drill`: what it prints, that it sees every loss, and that it leaves nothing behind (G04)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from tests.faults.harness import traversable_directory, until
from tests.processes import PATIENCE, environment
from tocsin.drill.exercises import EXERCISES

pytestmark = pytest.mark.faults

_PROGRAM = "from tocsin.cli import main; main()"
# Each third page is gone before it is counted.
_FORGETFUL = """
import itertools
from tocsin.drill.sink import Sink
remember, count = Sink.remember, itertools.count()
Sink.remember = lambda self, page: remember(self, page) if next(count) % 3 else None
"""
# Each page comes twice, and neither says so.
_DOUBLE = """
from tocsin.drill.sink import Sink
remember = Sink.remember
Sink.remember = lambda self, page: (remember(self, page), remember(self, page))
"""


@pytest.fixture
def room() -> Iterator[Path]:
    """Where the drill makes its directories; empty at the end, whatever it went through."""
    with traversable_directory() as root:
        yield root
        assert [path.name for path in root.iterdir()] == []
        assert _processes_in(root) == []


def _processes_in(root: Path) -> list[str]:
    found: list[str] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(root) in " ".join([*process.cmdline(), process.environ().get("TOCSIN_DATA_DIR", "")]):
                found.append(" ".join(process.cmdline()))
    return found


@contextlib.asynccontextmanager
async def drilling(room: Path, *words: str, before: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", before + _PROGRAM, "drill", *words),
        env=environment(data_dir=str(room / "unused")) | {"TMPDIR": str(room)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def drill(room: Path, *words: str, before: str = "") -> tuple[int, str, str]:
    async with drilling(room, *words, before=before) as process:
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


async def test_a_quick_drill_goes_through_every_kind_of_fault_and_loses_nothing(room: Path) -> None:
    """G04: kills, freezes, a silent network, a full disk, a gateway that refuses."""
    code, out, err = await drill(room, "--quick")
    assert code == 0, out + err
    head, *rows = out.splitlines()
    assert head.split() == ["exercise", "accepted", "lost", "due", "lost", "repeated", "marked", "longest", "innocent"]
    cells = {row.split()[0]: row.split() for row in rows}
    for exercise in (each for each in EXERCISES if each.is_quick):
        _, accepted, alerts_lost, due, pages_lost, repeated, marked, *_ = cells[exercise.name]
        assert int(accepted) > 0
        assert int(due) >= int(accepted)
        assert (alerts_lost, pages_lost) == ("0", "0")
        assert repeated == marked
    assert "Nothing was lost." in out
    print(out)


@pytest.mark.parametrize(("fault", "figure"), [(_FORGETFUL, "pages_lost"), (_DOUBLE, "repeated")])
async def test_a_page_that_is_lost_or_repeated_without_a_word_ends_the_drill_with_1(
    room: Path, fault: str, figure: str
) -> None:
    """G04: a drill that cannot fail would prove nothing."""
    words = ("--only", "kill-postgres", "--rounds", "1", "--json")
    code, out, err = await drill(room, *words, before=fault)
    assert code == 1, out + err
    report = json.loads(out)
    (exercise,) = report["exercises"]
    assert not report["is_clean"]
    assert exercise[figure] > 0
    assert exercise["alerts_lost"] == exercise["marked"] == 0
    assert exercise["wrong"] == []


async def test_ctrl_c_ends_a_drill_and_leaves_nothing(room: Path) -> None:
    async with drilling(room, "--only", "freeze-postgres") as process:
        # In the middle of its one exercise: what stands still then has to go, too.
        async def is_frozen() -> bool:
            assert process.returncode is None
            return any(_status(pid) == psutil.STATUS_STOPPED for pid in _below(process.pid))

        await until(is_frozen, PATIENCE, "PostgreSQL has been stopped")
        everything = _below(process.pid)
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
        assert process.returncode == 130
        assert out == b""
        assert [pid for pid in everything if psutil.pid_exists(pid) and _status(pid) != psutil.STATUS_ZOMBIE] == []


def _below(pid: int) -> list[int]:
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


def _status(pid: int) -> str:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status()
    return ""


@pytest.fixture
async def empty_database(dsn: str) -> AsyncIterator[str]:
    name = f"drill_{os.getpid()}"
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield dsn.replace(f"/{urlsplit(dsn).path.strip('/')}?", f"/{name}?")
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def _things(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(
            "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
            " + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"
        )
    finally:
        await connection.close()


async def test_a_lent_database_is_empty_before_and_afterwards(room: Path, empty_database: str) -> None:
    assert await _things(empty_database) == 0
    words = ("--only", "kill-node", "--only", "cut", "--rounds", "1", "--database-url", empty_database)
    code, out, err = await drill(room, *words)
    assert code == 0, out + err
    assert "Left out: cut" in out
    assert await _things(empty_database) == 0


async def test_a_database_with_anything_in_it_is_refused_and_left_alone(room: Path, dsn: str) -> None:
    before = await _things(dsn)
    code, out, err = await drill(room, "--only", "kill-node", "--database-url", dsn)
    assert (code, out) == (1, "")
    assert "is not empty" in err
    assert await _things(dsn) == before > 0
