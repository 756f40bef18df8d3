"""Brings the schema to the version of this program, one process at a time, and refuses a newer schema.

Each revision is a transaction of its own. It waits for a lock for a moment only, since everybody who comes after it
waits as well; then it lets them through and tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Interval, Row, bindparam, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.db.engine import Database
from tocsin.db.errors import sqlstate

_log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
# Any constant will do; it only has to be the same in every version of Tocsin.
_LOCK = 7_302_101_001
OLDEST_SERVER = 150_000
# Less than a statement of a running server waits for its answer (`link.ANSWERS_WITHIN`), so that none fails.
LOCK_TIMEOUT = "3s"
# Seconds between two tries of one revision; after the last it is given up.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0, 10.0)
_LOOKS_EVERY = 0.5
# A lock that did not come in time, and one that could never come.
_HELD_UP = ("55P03", "40P01")
# A transaction that is open for longer is named when a lock does not come.
_LONG = timedelta(seconds=2)
_LONGEST_OPEN = """
SELECT pid, coalesce(nullif(application_name, ''), usename) AS who,
       extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND clock_timestamp() - xact_start > :longer_than
ORDER BY xact_start LIMIT :most
"""


class SchemaError(Exception):
    """The schema and the program do not fit, or the server is too old. The message says what to do."""


@cache
def newest() -> str:
    """Return the schema version that this program needs. Reads the migrations once: readiness asks again and again."""
    head = _scripts().get_current_head()
    if head is None:
        raise SchemaError("This installation of Tocsin carries no migrations; install it again.")
    return head


async def current(db: Database) -> str | None:
    """Return the schema version of the database, None when it is empty."""
    async with db.engine.connect() as connection:
        try:
            return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
        except ProgrammingError:
            return None


def missing(have: str | None, to: str = "head") -> list[Script]:
    """Return the revisions that lead from this schema version to another one, in their order."""
    return list(reversed(list(_scripts().iterate_revisions(to, have or "base"))))


def is_ahead(have: str | None) -> bool:
    """Say whether a later version of Tocsin has upgraded the database.

    A server that runs goes on meanwhile: no revision takes anything away that the version before it uses.
    """
    return have is not None and re.fullmatch(r"\d{4}", have) is not None and have > newest()


async def check(db: Database) -> None:
    """Raise `SchemaError` unless the schema is exactly the one this program needs."""
    have, need = await current(db), newest()
    if have == need:
        return
    if have is None or have in _known():
        raise SchemaError("The database schema is older than this program. Run `tocsin migrate` first.")
    refuse(have)


def refuse(have: str) -> None:
    """Raise `SchemaError` for a schema version that this program does not know."""
    if is_ahead(have):
        raise SchemaError(
            f"The database schema ({have}) is newer than this program ({newest()}): a later version of Tocsin has "
            "upgraded it. Install that version again, or restore the backup that was made before."
        )
    raise SchemaError(
        f"A development version made the database schema ({have}), and nothing leads from it to the one of this "
        f"program ({newest()}). Install that version again, or begin with a new data directory."
    )


async def is_behind(db: Database) -> bool:
    """Say whether the schema is missing or of an earlier version of this program."""
    have = await current(db)
    return have is None or (have != newest() and have in _known())


async def upgrade(db: Database, to: str | None = None) -> tuple[str | None, str]:
    """Take the missing revisions, up to one of them if it is named; returns the version before and after.

    May be stopped at any time and run again. Raises `SchemaError` when a lock could not be had.
    """
    # A large table takes its time.
    async with db.patient() as connection:
        version = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
        await connection.commit()
        if version < OLDEST_SERVER:
            raise SchemaError("Tocsin needs PostgreSQL 15 or newer.")
        async with _alone(connection):
            have = await current(db)
            if have is not None and have not in _known():
                refuse(have)
            for script in missing(have, to or "head"):
                await _take(connection, script)
            return have, await current(db) or newest()


@contextlib.asynccontextmanager
async def _alone(connection: AsyncConnection) -> AsyncGenerator[None]:
    """Keep every other upgrade out.

    Whoever has to wait asks again and again: a statement that waited would be open all the time, and an index that is
    built concurrently waits for every open statement. Both would wait for each other.
    """
    while not (await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK})).scalar_one():
        await connection.commit()
        await asyncio.sleep(_LOOKS_EVERY)
    await connection.commit()
    try:
        yield
    finally:
        await connection.rollback()
        await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
        await connection.commit()


async def _take(connection: AsyncConnection, script: Script) -> None:
    for pause in (*PAUSES, None):
        await connection.execute(text("SELECT set_config('lock_timeout', :most, false)"), {"most": LOCK_TIMEOUT})
        await connection.commit()
        try:
            await connection.run_sync(_run, script.revision)
        except DBAPIError as error:
            if sqlstate(error) not in _HELD_UP:
                raise
            await connection.rollback()
            holders = await _in_the_way(connection)
            if pause is None:
                raise SchemaError(
                    f"Revision {script.revision} of the schema was given up: it waits for others who use its tables, "
                    f"and they did not end{holders}. Nothing is lost; end them and run `tocsin migrate` again."
                ) from None
            _log.warning("migrate.held_up", revision=script.revision, again_in=pause, open_longest=holders.lstrip(": "))
            await asyncio.sleep(pause)
        else:
            await connection.commit()
            return


async def longest_open(connection: AsyncConnection, longer_than: timedelta, *, most: int) -> Sequence[Row[Any]]:
    """Return the transactions of others that are open for longer, the oldest first: `pid`, `who`, `seconds`."""
    wanted = text(_LONGEST_OPEN).bindparams(bindparam("longer_than", type_=Interval))
    return (await connection.execute(wanted, {"longer_than": longer_than, "most": most})).all()


async def _in_the_way(connection: AsyncConnection) -> str:
    found = await longest_open(connection, _LONG, most=3)
    await connection.commit()
    named = ", ".join(f"process {row.pid} ({row.who}, open for {row.seconds} s)" for row in found)
    return f": {named}" if named else ""


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _run(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
