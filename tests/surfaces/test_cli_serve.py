"""`tocsin serve` as its operator meets it: what it prints, what it refuses, how it starts again."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import PATIENCE, address, data_directory, fetch, printed_until, served, tocsin
from tocsin.db.embedded import files
from tocsin.db.engine import Database


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory of its own."""
    with data_directory() as root:
        yield root


async def test_the_first_start_prints_the_way_in_and_a_stop_ends_postgresql_too(data_dir: Path) -> None:
    async with served(data_dir=str(data_dir)) as (process, greeting):
        base = address(greeting)
        assert re.search(rf"{base}/set-up\?token=\S{{40,}}", greeting)
        assert (await fetch(f"{base}/readyz"))[0] == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
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


async def test_an_address_that_is_set_is_told_as_it_is_set(dsn: str) -> None:
    """F140: with its path, and without the port that the system has chosen, which is the proxy's affair."""
    async with served(database_url=dsn, base_url="https://t.example/tocsin/") as (_, greeting):
        assert "ready at https://t.example/tocsin\n" in greeting
        assert "    https://t.example/tocsin/set-up?token=" in greeting


async def test_a_wrong_setting_is_one_sentence(dsn: str) -> None:
    code, out, err = await tocsin("serve", database_url=dsn, prot="80")
    assert (code, out) == (1, "")
    meant = "Did you mean TOCSIN_PORT? `tocsin settings` lists them all."
    assert err == f"tocsin: TOCSIN_PROT is not a setting of Tocsin. {meant}\n"


async def test_the_demo_prints_a_command_whose_alert_pages_somebody_on_the_terminal(dsn: str, db: Database) -> None:
    async with served("--demo", database_url=dsn) as (process, greeting):
        base = address(greeting)
        first_link = re.search(rf"{base}/link/(\S+)", greeting)
        command = re.search(r"curl -H 'Content-Type: application/json' -d '(.+)' (http\S+)", greeting)
        assert first_link and command
        assert await db.pool.fetchval("SELECT count(*) FROM delivery WHERE state IN ('queued', 'sending')") == 0
        assert await db.pool.fetchval("SELECT count(*) FROM escalation_run WHERE state = 'running'") == 0

        assert (await fetch(command[2], command[1].encode()))[0] == 202

        page = await printed_until(process, "ack ")
        assert "Checkout in Rotterdam answers 500" in page
        assert "Jonas Lindqvist" in page
        assert f"{base}/p/" in page

    configured = "SELECT count(*) FROM event WHERE name LIKE 'configuration.%' AND data->>'kind' <> 'sign_in_link'"
    events = await db.pool.fetchval(configured)
    async with served("--demo", database_url=dsn) as (_, greeting):
        second_link = re.search(r"/link/(\S+)", greeting)
        assert second_link and second_link[1] != first_link[1]
        assert events == await db.pool.fetchval(configured)


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
