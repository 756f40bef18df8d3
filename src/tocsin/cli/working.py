"""`tocsin worker`: jobs without a web server, on an external PostgreSQL or beside a `tocsin serve` with its own."""

from __future__ import annotations

import asyncio

import click

from tocsin.app import App
from tocsin.cli import listening, runtime
from tocsin.cli.stopping import Stop
from tocsin.db import migrate as migrations
from tocsin.db.embedded import files, running_dsn
from tocsin.db.engine import Database
from tocsin.db.errors import STORE_ERRORS
from tocsin.kit import clock
from tocsin.settings import Settings

_LOOK_EVERY = 0.5
_SAY_EVERY = 60.0
_RUNS = "The worker runs. Stop it with Ctrl-C."


@click.command()
def worker() -> None:
    """Run jobs only: routing, escalations and sending. Any number of workers may run.

    Without TOCSIN_DATABASE_URL it uses the embedded PostgreSQL of the `tocsin serve` on the same data directory. It
    waits until that runs, also when it is stopped and started again, and never starts a database itself.
    """
    settings = runtime.read_settings()
    runtime.run(lambda: _work(settings))


async def _work(settings: Settings) -> None:
    stop = Stop(runtime.say)
    stop.listen()
    if settings.database_url is None:
        await _work_beside(settings, stop)
        return
    db = Database(settings.database_url, bell=False, pool_size=2)
    try:
        await migrations.check(db)
    finally:
        await db.close()
    app = App(settings, settings.database_url)
    await app.start(web=False)
    runtime.calm_collector()
    stop.started()
    runtime.say(_RUNS)
    await stop.asked.wait()
    await listening.stop_app(app, stop)


async def _work_beside(settings: Settings, stop: Stop) -> None:
    """Work on the database of a server, wherever and however often that starts it."""
    waits = _Waiting(settings)
    while not stop.asked.is_set():
        dsn = await waits.until_there(stop)
        if dsn is None:
            return
        app = App(settings, dsn)
        try:
            await app.start(web=False)
        except STORE_ERRORS:
            # It was stopped again in this very moment.
            await app.stop()
            await _pause(stop)
            continue
        runtime.calm_collector()
        stop.started()
        runtime.say(_RUNS)
        while not stop.asked.is_set() and not _has_moved(settings, dsn):
            await _pause(stop)
        await listening.stop_app(app, stop)


class _Waiting:
    """Waits for the database of a server, and says what for: at once, when that changes, and once a minute."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._said: tuple[str, float] | None = None

    async def until_there(self, stop: Stop) -> str | None:
        """Return the address of a database that this program can work on; None when a stop is asked for."""
        while not stop.asked.is_set():
            dsn = await asyncio.to_thread(running_dsn, self._settings.data_dir)
            missing = self._no_server() if dsn is None else await _missing(dsn)
            if missing is None:
                self._said = None
                return dsn
            self._say(missing)
            await _pause(stop)
        return None

    def _no_server(self) -> str:
        return (
            f"no `tocsin serve` runs on {self._settings.data_dir}. Start it, or set TOCSIN_DATA_DIR to the directory "
            "that it runs on, or TOCSIN_DATABASE_URL"
        )

    def _say(self, missing: str) -> None:
        now = clock.monotonic()
        if self._said is None or self._said[0] != missing or now - self._said[1] >= _SAY_EVERY:
            self._said = missing, now
            runtime.say(f"The worker waits: {missing}.")


async def _missing(dsn: str) -> str | None:
    """Say what keeps this program from working on the database; raises `SchemaError` for one that is too new."""
    db = Database(dsn, bell=False, pool_size=1)
    try:
        if await migrations.is_behind(db):
            return "the server has not yet brought the database schema to this version of Tocsin"
        await migrations.check(db)
    except STORE_ERRORS as error:
        return f"the database of the server does not answer yet ({type(error).__name__})"
    else:
        return None
    finally:
        await db.close()


def _has_moved(settings: Settings, dsn: str) -> bool:
    """Say whether the server now has its socket elsewhere, as another account or version may."""
    found = files.read_postmaster(settings.data_dir.resolve() / files.CLUSTER)
    return found is not None and found.socket_dir is not None and files.dsn_of(found.socket_dir) != dsn


async def _pause(stop: Stop) -> None:
    await asyncio.wait([waiting := asyncio.ensure_future(stop.asked.wait())], timeout=_LOOK_EVERY)
    waiting.cancel()
