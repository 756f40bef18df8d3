"""The PostgreSQL inside `tocsin serve` (G09): starting and refusing, on real servers."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from tools import test_tools

from tests.use_cases.embedded_servers import Serve, ask, owner_of
from tocsin.db.embedded import EmbeddedError, binaries, files, running_dsn, server


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


@pytest.mark.needs("postgresql")
async def test_data_stays_with_the_version_that_wrote_it_while_that_is_installed(
    data_dir: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G09"""
    programs = test_tools.system_postgresql()
    assert programs is not None
    monkeypatch.setattr(binaries, "_SYSTEM", programs.parents[1])
    for name, value in test_tools.environment().items():
        monkeypatch.setenv(name, value)
    first, _ = serve(data_dir, bin_dir=programs)
    await first.start()
    await first.stop()
    second, said = serve(data_dir)
    dsn = await second.start()
    assert f"from the system ({programs})" in said[-1]
    assert str(await ask(dsn, "SHOW server_version")).startswith(f"{programs.parent.name}.")


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


def _exists(account: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(account))
    return False
