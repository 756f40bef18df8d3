"""`tocsin serve` as its operator meets it: what it prints, what it refuses, how it starts again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tocsin.db.embedded import files
from tocsin.db.engine import Database

Served = tuple[asyncio.subprocess.Process, str]


def environment(**settings: str) -> dict[str, str]:
    """Our environment with exactly these settings of Tocsin."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "PG"))}
    return ours | {f"TOCSIN_{name.upper()}": value for name, value in settings.items()}


async def tocsin(*words: str, stdin: str = "", **settings: str) -> tuple[int, str, str]:
    """Run a command to its end: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin.cli", *words),
        env=environment(**settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def served(*words: str, err: Path | None = None, **settings: str) -> AsyncIterator[Served]:
    """A `tocsin serve` that answers, with its greeting; it is stopped at the end unless it has ended by itself."""
    with tempfile.TemporaryDirectory(prefix="tocsin-test-") as scratch:
        said = err or Path(scratch, "said")
        async with _running(*words, err=said, **settings) as process:
            yield process, await greeting(process, said)


@contextlib.asynccontextmanager
async def _running(*words: str, err: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with err.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.cli", "serve", "--port", "0", *words),
            env=environment(**settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            # What nobody reads any more must not keep it from ending.
            while await process.stdout.read(65536):
                pass
            await process.wait()


async def greeting(process: asyncio.subprocess.Process, said: Path) -> str:
    """Read until the paragraph after the last line of the greeting has begun."""
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(30):
        while "ready at" not in text or not text.endswith("\n\n"):
            line = await process.stdout.readline()
            assert line, f"it ended early: {text}{said.read_text()}"
            text += line.decode()
            if "ready at" in line.decode() or not text.endswith("\n\n"):
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    text += (await process.stdout.readline()).decode()
    return text


def address(greeting: str) -> str:
    found = re.search(r"ready at (http://\S+)", greeting)
    assert found
    return found[1]


async def fetch(url: str, body: bytes | None = None) -> tuple[int, str]:
    def call() -> tuple[int, str]:
        headers = {"Content-Type": "application/json"} if body else {}
        with urlopen(Request(url, data=body, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(call)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that every account can pass through to. A server left on it is stopped."""
    root = Path(tempfile.mkdtemp(prefix="tocsin-test-", dir="/tmp"))
    root.chmod(0o755)
    yield root
    left = files.read_postmaster(root / files.CLUSTER)
    if left and files.is_alive(left.pid) and files.serves(left.pid, root / files.CLUSTER):
        os.kill(left.pid, signal.SIGQUIT)
    shutil.rmtree(root, ignore_errors=True)


async def test_the_first_start_prints_the_way_in_and_a_stop_ends_postgresql_too(data_dir: Path) -> None:
    async with served(data_dir=str(data_dir)) as (process, greeting):
        base = address(greeting)
        assert re.search(rf"{base}/set-up\?token=\S{{40,}}", greeting)
        assert (await fetch(f"{base}/readyz"))[0] == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(25):
            assert await process.wait() == 0
    assert files.read_postmaster(data_dir / files.CLUSTER) is None


async def test_a_killed_server_leaves_postgresql_to_the_next_start(data_dir: Path) -> None:
    async with served(data_dir=str(data_dir)) as (process, _):
        before = files.read_postmaster(data_dir / files.CLUSTER)
        process.kill()
        await process.wait()
    said = data_dir / "said"
    async with served(data_dir=str(data_dir), err=said) as (_, greeting):
        after = files.read_postmaster(data_dir / files.CLUSTER)
        assert before and after and before.pid == after.pid
        assert (await fetch(f"{address(greeting)}/readyz"))[0] == 200
    assert "was taken over" in said.read_text()


async def test_a_port_that_is_taken_is_one_sentence(dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = await tocsin("serve", "--port", str(port), database_url=dsn)
    assert (code, out) == (1, "")
    assert err == (
        f"tocsin: Another program listens on 127.0.0.1 port {port} already. "
        "Stop it, or choose another port with --port.\n"
    )


async def test_a_wrong_setting_is_one_sentence(dsn: str) -> None:
    code, out, err = await tocsin("serve", database_url=dsn, prot="80")
    assert (code, out) == (1, "")
    assert err == "tocsin: TOCSIN_PROT is not a setting of Tocsin. docs/settings.md lists them all.\n"


async def test_the_demo_prints_a_command_whose_alert_pages_somebody_on_the_terminal(dsn: str, db: Database) -> None:
    async with served("--demo", database_url=dsn) as (process, greeting):
        base = address(greeting)
        first_link = re.search(rf"{base}/link/(\S+)", greeting)
        command = re.search(r"curl -H 'Content-Type: application/json' -d '(.+)' (http\S+)", greeting)
        assert first_link and command
        assert await db.pool.fetchval("SELECT count(*) FROM delivery WHERE state IN ('queued', 'sending')") == 0
        assert await db.pool.fetchval("SELECT count(*) FROM escalation_run WHERE state = 'running'") == 0

        assert (await fetch(command[2], command[1].encode()))[0] == 202

        assert process.stdout is not None
        page = ""
        async with asyncio.timeout(15):
            while "ack " not in page:
                page += (await process.stdout.readline()).decode()
        assert "Checkout in Rotterdam answers 500" in page
        assert "Jonas Lindqvist" in page
        assert f"{base}/p/" in page

    events = await db.pool.fetchval("SELECT count(*) FROM event WHERE name LIKE 'configuration.%'")
    async with served("--demo", database_url=dsn) as (_, greeting):
        second_link = re.search(r"/link/(\S+)", greeting)
        assert second_link and second_link[1] != first_link[1]
        assert events == await db.pool.fetchval("SELECT count(*) FROM event WHERE name LIKE 'configuration.%'")


async def test_the_record_of_the_demo_reads_in_the_order_of_time(dsn: str, db: Database) -> None:
    async with served("--demo", "--no-worker", database_url=dsn):
        pass
    times = [row["at"] for row in await db.pool.fetch("SELECT at FROM event ORDER BY position")]
    assert times == sorted(times)
    statuses = {row["status"] for row in await db.pool.fetch("SELECT status FROM incident")}
    assert {"closed", "resolved", "cancelled", "monitoring", "mitigated", "investigating"} <= statuses
    alerts = {row["status"] for row in await db.pool.fetch("SELECT status FROM alert")}
    assert alerts == {"triggered", "acknowledged", "resolved"}


async def test_an_installation_in_use_gets_nothing_of_the_demo(dsn: str, db: Database, tmp_path: Path) -> None:
    made = await tocsin("user", "create", "--email=ada@example.org", "--name=Ada", "--role=admin", database_url=dsn)
    assert made[0] == 0
    async with served("--demo", "--no-worker", err=tmp_path / "said", database_url=dsn) as (_, greeting):
        assert "/link/" not in greeting
    assert "so --demo has added nothing to it." in (tmp_path / "said").read_text()
    assert await db.pool.fetchval("SELECT count(*) FROM user_account") == 1
