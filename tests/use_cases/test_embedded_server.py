"""The PostgreSQL inside `tocsin serve`, on real servers in directories of their own (G09)."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.processes import PATIENCE
from tocsin.db.embedded import EmbeddedError, EmbeddedServer, files, running_dsn, server

Serve = Callable[..., tuple[EmbeddedServer, list[str]]]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start PostgreSQL as another account")

# A Tocsin that does nothing but keep its server, for the tests that kill it.
_OWNER = """
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
    + _OWNER
)


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
        sys.executable, "-c", _OWNER, str(data_dir), stdout=asyncio.subprocess.PIPE
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


# Starting


async def test_a_first_start_makes_the_database_and_a_second_start_finds_its_data(data_dir: Path, serve: Serve) -> None:
    """G09"""
    first, said = serve(data_dir)
    dsn = await first.start()
    await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS number")
    assert await ask(dsn, "SELECT current_database() || '/' || current_user") == "tocsin/tocsin"
    assert await ask(dsn, "SELECT current_setting('data_checksums')") == "on"
    assert await ask(dsn, "SELECT current_setting('listen_addresses')") == ""
    assert len(said) == 1
    assert said[0].startswith("PostgreSQL ")
    assert str(data_dir / "postgres") in said[0]
    await first.stop()
    assert first.pid is None

    second, _ = serve(data_dir)
    assert await second.start() == dsn
    assert await ask(dsn, "SELECT number FROM kept") == 7


async def test_sqlalchemy_understands_the_address(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir)
    dsn = await supervisor.start()
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_commits_are_durable_whatever_the_operator_configures(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir)
    await supervisor.start()
    await supervisor.stop()
    custom = data_dir / "postgres" / "custom.conf"
    custom.write_text("fsync = off\nwork_mem = 9MB\n")
    custom.chmod(0o644)

    again, _ = serve(data_dir)
    dsn = await again.start()
    settings = [
        await ask(dsn, "SELECT current_setting($1)", name) for name in ("fsync", "full_page_writes", "work_mem")
    ]
    assert settings == ["on", "on", "9MB"]


@pytest.mark.parametrize(
    "sabotage",
    ["ALTER SYSTEM SET fsync = off", "ALTER DATABASE tocsin SET synchronous_commit = off"],
)
async def test_a_server_that_could_lose_a_commit_is_refused(data_dir: Path, serve: Serve, sabotage: str) -> None:
    """G09"""
    supervisor, _ = serve(data_dir)
    await ask(await supervisor.start(), sabotage)
    await supervisor.stop()

    again, _ = serve(data_dir)
    with pytest.raises(EmbeddedError, match="could lose what was confirmed"):
        await again.start()
    assert again.pid is None
    assert running_dsn(data_dir) is None


async def test_a_second_owner_is_refused_and_told_who_the_first_one_is(data_dir: Path, serve: Serve) -> None:
    """G09"""
    async with owner_of(data_dir) as (owner, _):
        second, _ = serve(data_dir)
        with pytest.raises(EmbeddedError, match=f"in use by process {owner.pid} on "):
            await second.start()


async def test_commands_find_the_running_server(data_dir: Path, serve: Serve) -> None:
    """G09"""
    assert running_dsn(data_dir) is None
    supervisor, _ = serve(data_dir)
    dsn = await supervisor.start()
    assert running_dsn(data_dir) == dsn
    await supervisor.stop()
    assert running_dsn(data_dir) is None


async def test_a_long_path_gets_a_short_socket_directory(data_dir: Path, serve: Serve) -> None:
    """G09"""
    deep = data_dir / ("a" * 60) / ("b, c:" * 10)
    deep.mkdir(parents=True)
    for each in (deep, deep.parent):
        each.chmod(0o755)
    supervisor, said = serve(deep)
    dsn = await supervisor.start()
    assert "/tmp/tocsin-" in dsn
    assert "so the socket is in /tmp/tocsin-" in said[0]
    assert await ask(dsn, "SELECT 1") == 1
    assert running_dsn(deep) == dsn
    await supervisor.stop()
    Path(dsn.partition("host=")[2].partition("&")[0]).rmdir()


async def test_a_short_socket_directory_of_somebody_else_is_refused(data_dir: Path, serve: Serve) -> None:
    """G09"""
    deep = data_dir / ("a" * 100)
    deep.mkdir()
    deep.chmod(0o755)
    account = next((each for each in ("postgres", "nobody") if _exists(each)), "") if os.geteuid() == 0 else ""
    uid = pwd.getpwnam(account or getpass.getuser()).pw_uid
    planted = Path("/tmp") / f"{files.name_of(deep)}-{uid}"
    planted.symlink_to(data_dir)
    try:
        supervisor, _ = serve(deep)
        with pytest.raises(EmbeddedError, match="is not a private directory"):
            await supervisor.start()
    finally:
        planted.unlink()


# Refusing


async def test_a_directory_with_other_things_is_left_alone(data_dir: Path, serve: Serve) -> None:
    """G09"""
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "thesis.txt").write_text("years of work")
    supervisor, _ = serve(data_dir)
    with pytest.raises(EmbeddedError, match="is not a PostgreSQL database"):
        await supervisor.start()
    assert [each.name for each in (data_dir / "postgres").iterdir()] == ["thesis.txt"]


async def test_data_of_another_version_stops_with_an_instruction(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir)
    await supervisor.start()
    await supervisor.stop()
    (data_dir / "postgres" / "PG_VERSION").write_text("99\n")

    again, _ = serve(data_dir)
    with pytest.raises(EmbeddedError) as refused:
        await again.start()
    assert "written by PostgreSQL 99" in str(refused.value)
    assert "apt install postgresql-99" in str(refused.value)
    assert "TOCSIN_PG_BIN" in str(refused.value)


@pytest.mark.skipif(not Path("/usr/lib/postgresql/15/bin/initdb").exists(), reason="needs the system's PostgreSQL 15")
async def test_data_stays_with_the_version_that_wrote_it_while_that_is_installed(data_dir: Path, serve: Serve) -> None:
    """G09"""
    first, _ = serve(data_dir, bin_dir=Path("/usr/lib/postgresql/15/bin"))
    await first.start()
    await first.stop()
    second, said = serve(data_dir)
    dsn = await second.start()
    assert "PostgreSQL 15." in said[-1]
    assert str(await ask(dsn, "SHOW server_version")).startswith("15.")


async def test_a_directory_without_binaries_is_named(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir, bin_dir=data_dir)
    with pytest.raises(EmbeddedError, match="has no postgres and initdb"):
        await supervisor.start()


async def test_a_full_disk_is_refused_and_a_nearly_full_one_is_reported(
    data_dir: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G09"""
    supervisor, said = serve(data_dir)
    monkeypatch.setattr(server, "REFUSE_BELOW", 2**60)
    with pytest.raises(EmbeddedError, match="MB are free on the disk"):
        await supervisor.start()
    assert not (data_dir / "postgres").exists()

    monkeypatch.setattr(server, "REFUSE_BELOW", 1)
    monkeypatch.setattr(server, "WARN_BELOW", 2**60)
    await supervisor.start()
    assert "Make room soon." in said[0]


# Dying


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


# Accounts


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir)
    await supervisor.start()
    assert supervisor.pid is not None
    assert os.getsid(supervisor.pid) == supervisor.pid


@as_root
async def test_root_runs_it_as_an_unprivileged_account(data_dir: Path, serve: Serve) -> None:
    """G09"""
    inside = data_dir / "tocsin"
    before = data_dir.stat()
    supervisor, said = serve(inside, account="nobody")
    dsn = await supervisor.start()
    nobody = pwd.getpwnam("nobody").pw_uid
    assert Path(f"/proc/{supervisor.pid}").stat().st_uid == nobody
    for private in (inside / "postgres", inside / "run"):
        assert private.stat().st_uid == nobody
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert " as nobody (process " in said[-1]
    assert await ask(dsn, "SELECT 1") == 1
    assert (data_dir.stat().st_uid, data_dir.stat().st_mode) == (before.st_uid, before.st_mode)
    environment = Path(f"/proc/{supervisor.pid}/environ").read_bytes()
    assert b"TOCSIN" not in environment
    await supervisor.stop()

    # Nobody is told again: the owner of the data runs it.
    again, said = serve(inside)
    await again.start()
    assert " as nobody (process " in said[-1]


@as_root
async def test_another_account_than_the_owner_of_the_data_is_refused(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir, account="nobody")
    await supervisor.start()
    await supervisor.stop()
    again, _ = serve(data_dir, account="daemon")
    with pytest.raises(EmbeddedError, match="chown -R daemon"):
        await again.start()


@as_root
async def test_a_directory_the_account_may_not_pass_is_named(data_dir: Path, serve: Serve) -> None:
    """G09"""
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    supervisor, _ = serve(closed / "tocsin")
    with pytest.raises(EmbeddedError) as refused:
        await supervisor.start()
    assert f"may not pass through {closed}. " in str(refused.value)
    assert "TOCSIN_DATA_DIR=/var/lib/tocsin" in str(refused.value)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_root_as_the_account_is_refused(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir, account="root")
    with pytest.raises(EmbeddedError, match="refuses to run as root"):
        await supervisor.start()


def _exists(account: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(account))
    return False
