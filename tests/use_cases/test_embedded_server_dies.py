"""The PostgreSQL inside `tocsin serve` (G09) when it, or the process that keeps it, is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.use_cases.embedded_servers import OWNER, Serve, ask, owner_of, until, watched
from tocsin.db.embedded import files, running_dsn, server

# The same, but it never notices that initdb is done.
_OWNER_OF_HALF = (
    """
import subprocess, time
run = subprocess.run
def start(words, **options):
    if not any(str(word).startswith("--pgdata=") for word in words):
        return run(words, **options)
    mine = {name: value for name, value in options.items() if name not in ("capture_output", "check", "text", "errors")}
    subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **mine)
    time.sleep(3600)
subprocess.run = start
"""
    + OWNER
)


async def test_an_interrupted_first_start_does_not_stand_in_the_way(data_dir: Path, serve: Serve) -> None:
    """G09"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OWNER_OF_HALF, str(data_dir), stdout=asyncio.subprocess.DEVNULL
    )
    await until(lambda: any(data_dir.glob("postgres.unfinished-*/*")))
    process.kill()
    await process.wait()
    assert not (data_dir / "postgres").exists()

    supervisor, _ = serve(data_dir)
    assert await ask(await supervisor.start(), "SELECT 1") == 1


async def test_a_killed_server_is_started_again_with_its_data(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, said = serve(data_dir)
    dsn = await supervisor.start()
    await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS number")
    async with watched(supervisor):
        for _ in range(2):
            killed = supervisor.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            await until(lambda: said[-1].startswith("PostgreSQL runs again"))
            assert supervisor.pid != killed
            assert any(f"(process {killed}) ended unexpectedly (signal 9)" in each for each in said)
            assert await ask(dsn, "SELECT number FROM kept") == 7
            said.append("")


async def test_a_query_that_does_not_end_does_not_keep_a_killed_server_down(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, said = serve(data_dir)
    dsn = await supervisor.start()
    connection = await asyncpg.connect(dsn)
    endless = asyncio.create_task(connection.execute("DO $$ BEGIN LOOP END LOOP; END $$"))
    await asyncio.sleep(0)
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO $$%' AND state = 'active'"
    while await ask(dsn, running) == 0:  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0.01)
    async with watched(supervisor):
        assert supervisor.pid is not None
        os.kill(supervisor.pid, signal.SIGKILL)
        await until(lambda: said[-1].startswith("PostgreSQL runs again"))
        assert await ask(dsn, "SELECT 1") == 1
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await endless
    connection.terminate()


async def test_a_restart_that_fails_is_reported_and_tried_again(
    data_dir: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G09"""
    supervisor, said = serve(data_dir)
    dsn = await supervisor.start()
    async with watched(supervisor):
        assert supervisor.pid is not None
        monkeypatch.setattr(server, "REFUSE_BELOW", 2**60)
        os.kill(supervisor.pid, signal.SIGKILL)
        await until(lambda: any("The next attempt is in 0.2 s." in each for each in said))
        monkeypatch.undo()
        await until(lambda: said[-1].startswith("PostgreSQL runs again"))
        assert await ask(dsn, "SELECT 1") == 1


async def test_the_server_of_a_killed_tocsin_is_taken_over_and_watched(data_dir: Path, serve: Serve) -> None:
    """G09"""
    async with owner_of(data_dir) as (owner, postmaster):
        owner.kill()
        await owner.wait()
    assert files.is_alive(postmaster)

    supervisor, said = serve(data_dir)
    dsn = await supervisor.start()
    assert supervisor.pid == postmaster
    assert "was taken over" in said[-1]
    async with watched(supervisor):
        os.kill(postmaster, signal.SIGKILL)
        await until(lambda: said[-1].startswith("PostgreSQL runs again"))
        assert supervisor.pid != postmaster
        assert await ask(dsn, "SELECT 1") == 1


async def test_a_left_server_with_other_settings_is_started_anew(data_dir: Path, serve: Serve) -> None:
    """G09"""
    async with owner_of(data_dir) as (owner, postmaster):
        owner.kill()
        await owner.wait()
    with (data_dir / "postgres" / "tocsin.conf").open("a") as file:
        file.write("work_mem = 1MB\n")

    supervisor, said = serve(data_dir)
    dsn = await supervisor.start()
    assert supervisor.pid != postmaster
    assert "with other settings" in said[0]
    assert await ask(dsn, "SELECT current_setting('work_mem')") == "8MB"
    assert not files.is_alive(postmaster)


async def test_both_killed_at_once_leave_nothing_that_stands_in_the_way(data_dir: Path, serve: Serve) -> None:
    """G09"""
    async with owner_of(data_dir) as (owner, postmaster):
        owner.kill()
        os.kill(postmaster, signal.SIGKILL)
        await owner.wait()
    supervisor, _ = serve(data_dir)
    assert await ask(await supervisor.start(), "SELECT 1") == 1


async def test_an_old_process_id_that_somebody_else_has_now_does_not_stand_in_the_way(
    data_dir: Path, serve: Serve
) -> None:
    """G09: a container counts its processes from 1 again."""
    supervisor, _ = serve(data_dir)
    await supervisor.start()
    await supervisor.stop()
    cluster = data_dir / "postgres"
    # The same account as the server's: PostgreSQL itself passes over processes of others.
    options = {"user": cluster.stat().st_uid} if os.geteuid() == 0 else {}
    somebody = await asyncio.create_subprocess_exec("sleep", "600", **options)
    try:
        (data_dir / "run" / ".s.PGSQL.5432.lock").write_text(f"{somebody.pid}\n")
        (cluster / "postmaster.pid").write_text(f"{somebody.pid}\n{cluster}\n1\n5432\n{data_dir / 'run'}\n\n")
        os.chown(cluster / "postmaster.pid", cluster.stat().st_uid, cluster.stat().st_gid)
        assert running_dsn(data_dir) is None
        assert await ask(await supervisor.start(), "SELECT 1") == 1
    finally:
        somebody.kill()
        await somebody.wait()


async def test_a_stop_while_it_starts_leaves_nothing_running(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir)
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: supervisor.pid is not None)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert supervisor.pid is None
    again, _ = serve(data_dir)
    assert await ask(await again.start(), "SELECT 1") == 1
