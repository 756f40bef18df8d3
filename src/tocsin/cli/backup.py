"""`tocsin backup` and `tocsin restore`: the whole database in one file, by PostgreSQL's own pg_dump and pg_restore."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import click
from sqlalchemy import text

from tocsin.cli import runtime
from tocsin.cli.backup_note import note_backup
from tocsin.db import migrate
from tocsin.db.embedded import EmbeddedError, binaries, files, running_dsn
from tocsin.db.embedded.account import Account
from tocsin.db.engine import Database
from tocsin.settings import Settings

_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND application_name LIKE 'tocsin%' AND application_name <> 'tocsin-cli'
"""
_ANY_TABLE = "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')"
_ANY_CONTENT = "SELECT EXISTS (SELECT FROM user_account) OR EXISTS (SELECT FROM alert)"
_COUNTS = """
SELECT (SELECT count(*) FROM user_account) AS people, (SELECT count(*) FROM alert) AS alerts,
       (SELECT count(*) FROM incident) AS incidents, (SELECT count(*) FROM event) AS events,
       (SELECT count(*) FROM job WHERE due <= tocsin_now()) AS jobs
"""
# Drops all that a version of Tocsin makes, older or newer than the file. What others keep in schemas of their own
# stays, and so do extensions and what belongs to them.
_CLEAR = """
SET client_min_messages = warning;
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('DROP TABLE IF EXISTS %I CASCADE', relname) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
        UNION ALL
        SELECT format('DROP SEQUENCE IF EXISTS %I CASCADE', relname) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
        UNION ALL
        SELECT format('DROP FUNCTION IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
"""

_FULL = "the disk is full. Make room, or name a file on another disk."


@dataclass(frozen=True, slots=True)
class _Target:
    """A database as PostgreSQL's programs want it: its address without the password, and the environment with it."""

    address: str
    environment: dict[str, str]
    bin_dir: Path


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def backup(file: Path, force: bool) -> None:
    """Write everything into FILE, consistent while Tocsin runs. Only its owner may read the file.

    The file holds every secret of the installation. It has PostgreSQL's custom format, so `pg_restore` reads it too.
    """
    settings = runtime.read_settings()
    if file.exists() and not force:
        runtime.fail(f"{file} exists already. Name another file, or replace it with --force.")
    directory = file.absolute().parent
    if not directory.is_dir():
        runtime.fail(f"There is no directory {directory}. Make it, or name another file.")
    runtime.run(lambda: _backup(settings, file))


async def _backup(settings: Settings, file: Path) -> None:
    async with runtime.beside(settings) as dsn:
        db = Database(dsn, bell=False, pool_size=1, application="tocsin-cli", writes=False)
        try:
            if await migrate.current(db) is None:
                runtime.fail("There is nothing to back up: this database holds no Tocsin.")
            target = await _target(settings, db)
        finally:
            await db.close()
        unfinished = file.with_name(f"{file.name}.{secrets.token_hex(4)}.unfinished")
        try:
            await asyncio.to_thread(_dump, target, unfinished)
            await asyncio.to_thread(_read_contents, target.bin_dir, unfinished)
            with _writing(file):
                unfinished.replace(file)
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
    note_backup(settings, file)
    runtime.say(f"Written to {file} ({file.stat().st_size:,} bytes).")


def _dump(target: _Target, file: Path) -> None:
    with _writing(file):
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        words = ["--format=custom", "--no-owner", "--no-privileges", f"--dbname={target.address}"]
        with _writing(file):
            _call(target.bin_dir / "pg_dump", words, target.environment, stdout=fd)
            os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _writing(file: Path) -> Generator[None]:
    """Blame the place that is written to, not the database that everything else in a command speaks to."""
    directory = file.absolute().parent
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = _FULL if full else f"{error.strerror or error}. Name another file."
        raise EmbeddedError(f"Nothing can be written into {directory}: {why}") from None
    except EmbeddedError as error:
        # It is pg_dump that writes; it has no other way to say so.
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise EmbeddedError(f"Nothing can be written into {directory}: {_FULL}") from None


@click.command(short_help="Read a backup into an empty database.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Throw away what the database holds now.")
@click.option("--yes", is_flag=True, help="Do not ask before replacing.")
def restore(file: Path, replace: bool, yes: bool) -> None:
    """Read FILE, which `tocsin backup` wrote, into an empty database; Tocsin must not run meanwhile.

    All or nothing: when it fails, the database is as it was. The schema is brought to this version afterwards.
    Where the data directory holds no database yet, one is made.
    """
    settings = runtime.read_settings()
    if settings.database_url is None and running_dsn(settings.data_dir) is not None:
        runtime.fail("Tocsin runs on this data directory. Stop it before you restore.")
    # Before anybody is asked, and before a database is made.
    runtime.run(lambda: asyncio.to_thread(_look_at, settings, file))
    if replace and not yes:
        if not sys.stdin.isatty():
            runtime.fail("Nobody can be asked here. Add --yes to replace what the database holds now.")
        click.confirm("Throw away everything that the database holds now?", abort=True, err=True)
    runtime.run(lambda: _restore(settings, file.absolute(), replace=replace))


async def _restore(settings: Settings, file: Path, *, replace: bool) -> None:
    if not runtime.has_database(settings):
        runtime.say(f"A new database is made in {settings.data_dir}.")
    async with runtime.embedded(settings, lambda _: None) as dsn:
        db = Database(dsn, bell=False, pool_size=1, application="tocsin-cli")
        try:
            await _require_room(db, replace=replace)
            target = await _target(settings, db)
            await asyncio.to_thread(_load, target, file)
            before, after = await migrate.upgrade(db)
            await _tell_result(db, before, after)
        finally:
            await db.close()


async def _require_room(db: Database, *, replace: bool) -> None:
    async with db.engine.connect() as connection:
        if (await connection.execute(text(_OTHERS))).scalar_one() > 0:
            runtime.fail("Tocsin is connected to this database. Stop every process of it before you restore.")
        if not (await connection.execute(text(_ANY_TABLE))).scalar_one() or replace:
            return
        if await migrate.current(db) is None:
            runtime.fail("The database holds tables of something else. Give Tocsin a database of its own.")
        if (await connection.execute(text(_ANY_CONTENT))).scalar_one():
            runtime.fail("The database is not empty. Add --replace to throw away what it holds now.")


async def _tell_result(db: Database, before: str | None, after: str) -> None:
    async with db.engine.connect() as connection:
        row = (await connection.execute(text(_COUNTS))).one()
    moved = "" if before == after else f" The schema was brought from {before} to {after}."
    runtime.say(
        f"Restored {row.people} people, {row.alerts} alerts, {row.incidents} incidents and {row.events} events.{moved}"
    )
    if row.jobs:
        runtime.say(f"{row.jobs} jobs of that time are due and run when Tocsin starts; among them may be pages.")


async def _target(settings: Settings, db: Database) -> _Target:
    """Find the programs, and make sure that they are not older than the server, which they would refuse."""
    async with db.engine.connect() as connection:
        server = int((await connection.execute(text("SHOW server_version_num"))).scalar_one()) // 10_000
    bin_dir = _bin_dir(settings, server)
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME") if name in os.environ}
    environment |= {"LC_ALL": "C"}
    parts, address = urlsplit(db.dsn), db.dsn
    if parts.password is not None:
        # Arguments of a process can be read by everybody on the machine, its environment cannot.
        environment["PGPASSWORD"] = unquote(parts.password)
        user = parts.netloc.partition(":")[0]
        address = urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
    return _Target(address, environment, bin_dir)


def _bin_dir(settings: Settings, server: int) -> Path:
    me = pwd.getpwuid(os.geteuid())
    account = Account(me.pw_name, me.pw_uid, me.pw_gid, tuple(os.getgroups()), is_other=False)
    cluster = settings.data_dir / files.CLUSTER if settings.database_url is None else Path("/nonexistent")
    found = binaries.choose(settings.pg_bin, account, cluster)
    if found.major < server:
        raise EmbeddedError(
            f"The server is PostgreSQL {server}, but the programs here are {found.version} ({found.directory}) and "
            f"cannot read a newer server. Install PostgreSQL {server} and name its bin directory in TOCSIN_PG_BIN."
        )
    if not all((found.directory / program).exists() for program in ("pg_dump", "pg_restore", "psql")):
        raise EmbeddedError(f"{found.directory} has no pg_dump, pg_restore and psql. Install the client programs.")
    return found.directory


def _load(target: _Target, file: Path) -> None:
    """Put what the file holds in the place of all that the database holds, in one transaction.

    `pg_restore --clean` would drop what the file knows, as the file knows it: not the tables of a later version that
    refer to these, nor the parts of a table one by one.
    """
    write = [target.bin_dir / "pg_restore", "--schema=public", "--no-owner", "--no-privileges", "--no-comments"]
    write += ["--file=-", str(file)]
    run = [target.bin_dir / "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    run += [f"--dbname={target.address}", "--file=-"]
    with tempfile.TemporaryFile() as said:
        streams: dict[str, Any] = {"stderr": said, "env": target.environment}
        with (
            subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **streams) as runs,
            subprocess.Popen(write, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **streams) as writes,
        ):
            failed = "psql"
            # Whoever is refused stops reading.
            with contextlib.suppress(BrokenPipeError):
                if runs.stdin is not None and writes.stdout is not None:
                    runs.stdin.write(_CLEAR.encode())
                    shutil.copyfileobj(writes.stdout, runs.stdin, 1024 * 1024)
                    failed = "pg_restore" if writes.wait() else failed
                    if writes.returncode == 0:
                        # Only its end lets the transaction commit.
                        runs.stdin.close()
            if writes.returncode != 0:
                runs.kill()
                writes.kill()
        if writes.returncode or runs.returncode:
            said.seek(0)
            raise _failed(failed, said.read().decode(errors="replace"))


def _look_at(settings: Settings, file: Path) -> None:
    _read_contents(_bin_dir(settings, 0), file)


def _read_contents(bin_dir: Path, file: Path) -> None:
    """Make sure that the file can be read to its end and is a backup of Tocsin."""
    try:
        contents = _call(bin_dir / "pg_restore", ["--list", str(file)], {"LC_ALL": "C"})
    except EmbeddedError as error:
        raise EmbeddedError(f"{file} is not a backup that can be read here. {error}") from None
    if not re.search(r"TABLE DATA public alembic_version", contents):
        raise EmbeddedError(f"{file} is not a backup of Tocsin.")


def _call(program: Path, words: list[str], environment: dict[str, str], stdout: int = subprocess.PIPE) -> str:
    done = subprocess.run(
        [program, *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise _failed(program.name, done.stderr)
    return done.stdout or ""


def _failed(program: str, said: str) -> EmbeddedError:
    words = " ".join(line.strip() for line in said.splitlines() if line.strip())[:1000]
    return EmbeddedError(f"{program} failed and nothing was changed: {words}")
