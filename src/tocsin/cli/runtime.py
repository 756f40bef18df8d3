"""What every command starts with: settings, and a database that is running or gets started."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NoReturn

import click
import uvloop

from tocsin import settings as settings_module
from tocsin.app import LISTENERS
from tocsin.cli.logs import set_up_logs
from tocsin.db import migrate
from tocsin.db.embedded import EmbeddedError, EmbeddedServer, cluster, files, running_dsn
from tocsin.db.engine import Database
from tocsin.db.errors import STORE_ERRORS, hide_values
from tocsin.db.migrate import SchemaError
from tocsin.kit.errors import Problem
from tocsin.settings import SettingError, Settings


def read_settings(**overrides: object) -> Settings:
    """Read the settings, or end with the sentence that says what is wrong."""
    try:
        settings = settings_module.load(os.environ, overrides)
    except SettingError as error:
        fail(str(error))
    set_up_logs(settings)
    return settings


def fail(sentence: str) -> NoReturn:
    """End the command with a sentence on standard error and status 1."""
    click.echo(f"tocsin: {sentence}", err=True)
    sys.exit(1)


def say(sentence: str) -> None:
    """Tell the operator something on standard error, where it does not mix with a command's result."""
    click.echo(f"tocsin: {sentence}", err=True)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command to its end; what the operator can mend ends it with a sentence instead of a traceback."""
    try:
        uvloop.run(work())
    except (EmbeddedError, SchemaError, SettingError) as error:
        fail(str(error))
    except Problem as problem:
        fail(problem.message)
    except (ConnectionError, OSError) as error:
        fail(f"The database cannot be reached: {error}.")
    except STORE_ERRORS as error:
        # A bug or an outage; its traceback must not show what was to be written.
        hide_values(error)
        raise
    except asyncio.CancelledError:
        say("Stopped before it had started.")
    except KeyboardInterrupt:
        sys.exit(130)


def calm_collector() -> None:
    """Keep the collector's pauses short in a process that is here to stay: what it has loaded by now stays too."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@contextlib.asynccontextmanager
async def embedded(settings: Settings, report: Callable[[str], None]) -> AsyncGenerator[str]:
    """Run the embedded PostgreSQL for as long as the block lasts, or use the external one; yields the DSN."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    server = EmbeddedServer(settings.data_dir, bin_dir=settings.pg_bin, account=settings.pg_user, report=report)
    dsn = await server.start()
    watch = asyncio.create_task(server.watch(), name="postgresql")
    try:
        yield dsn
    finally:
        await server.stop()
        await watch


def has_database(settings: Settings) -> bool:
    """Say whether the embedded PostgreSQL has been made in the data directory, or an external one is used."""
    return settings.database_url is not None or not cluster.is_missing(settings.data_dir / files.CLUSTER)


@contextlib.asynccontextmanager
async def beside(settings: Settings) -> AsyncGenerator[str]:
    """Use the database of a server that runs, or start the embedded one until the block ends; yields the DSN.

    Raises `EmbeddedError` where there is no database: a mistyped directory must not become a new, empty installation.
    """
    dsn = settings.database_url or running_dsn(settings.data_dir)
    if dsn is not None:
        yield dsn
        return
    if not has_database(settings):
        raise EmbeddedError(
            f"There is no database in {settings.data_dir}. Set TOCSIN_DATA_DIR to the directory that Tocsin runs on, "
            "or run `tocsin serve` first, which makes one."
        )
    async with embedded(settings, lambda _: None) as dsn:
        yield dsn


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncGenerator[Database]:
    """Open the database as `beside` finds or starts it, for the length of one command."""
    async with beside(settings) as dsn:
        # What a command does has the same consequences as what people do on the pages.
        db = Database(dsn, bell=False, pool_size=2, application="tocsin-cli", listeners=LISTENERS)
        try:
            await db.open()
            if settings.database_url is None:
                await migrate.upgrade(db)
            await migrate.check(db)
            yield db
        finally:
            await db.close()
