"""Brings the schema to the version of this program, one process at a time, and refuses a newer schema."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from tocsin.db.engine import Database

# Any constant will do; it only has to be the same in every version of Tocsin.
_LOCK = 7_302_101_001
OLDEST_SERVER = 150_000


class SchemaError(Exception):
    """The schema and the program do not fit, or the server is too old. The message says what to do."""


@cache
def newest() -> str:
    """Return the schema version that this program needs. Reads the migrations once: readiness asks again and again."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
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


async def check(db: Database) -> None:
    """Raise `SchemaError` unless the schema is exactly the one this program needs."""
    have, need = await current(db), newest()
    if have == need:
        return
    if have is None or have in _known():
        raise SchemaError("The database schema is older than this program. Run `tocsin migrate` first.")
    raise SchemaError(
        f"The database schema ({have}) is newer than this program ({need}), or a development version made it. Install "
        "the version that made it again, or begin with a new data directory."
    )


async def is_behind(db: Database) -> bool:
    """Say whether the schema is missing or of an earlier version of this program."""
    have = await current(db)
    return have is None or (have != newest() and have in _known())


async def upgrade(db: Database) -> tuple[str | None, str]:
    """Run the missing migrations under an advisory lock; returns the version before and after."""
    # Another process may be at it, and a large table takes its time.
    async with db.patient() as connection:
        version = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
        if version < OLDEST_SERVER:
            raise SchemaError("Tocsin needs PostgreSQL 15 or newer.")
        await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        await connection.commit()
        try:
            have, need = await current(db), newest()
            if have is not None and have not in _known():
                await check(db)
            if have != need:
                await connection.run_sync(_run)
                await connection.commit()
            return have, need
        finally:
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            await connection.commit()


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _run(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
