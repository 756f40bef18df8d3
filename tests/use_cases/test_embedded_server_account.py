"""The account that the PostgreSQL inside `tocsin serve` runs as (G09)."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from tests.use_cases.embedded_servers import Serve, ask
from tocsin.db.embedded import EmbeddedError

as_root = pytest.mark.needs("root")


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
async def test_root_as_the_account_is_refused(data_dir: Path, serve: Serve) -> None:
    """G09"""
    supervisor, _ = serve(data_dir, account="root")
    with pytest.raises(EmbeddedError, match="refuses to run as root"):
        await supervisor.start()
