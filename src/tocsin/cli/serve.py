"""`tocsin serve` and `tocsin migrate`: the server with everything in it, and the schema."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
import socket

import click

from tocsin.app import App
from tocsin.cli import listening, runtime, serving, supervisor, welcome
from tocsin.cli.stopping import Stop
from tocsin.db import migrate as migrations
from tocsin.db.engine import Database
from tocsin.settings import Settings


@click.command(short_help="Run everything: database, web server and worker.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.")
@click.option("--workers", type=int, help="Number of web processes; each also runs jobs.")
@click.option("--no-worker", is_flag=True, help="Serve only; `tocsin worker` runs the jobs elsewhere.")
@click.option("--demo", is_flag=True, help="Fill an empty installation with a small organisation to try out.")
def serve(host: str | None, port: int | None, workers: int | None, no_worker: bool, demo: bool) -> None:
    """Run everything: the embedded PostgreSQL, the web server and the worker.

    SIGTERM or Ctrl-C stops it in good order within 25 seconds; a second one stops it at once.
    """
    settings = runtime.read_settings(host=host, port=port, workers=workers, console_pages=True if demo else None)
    if settings.database_url is None and settings.workers > supervisor.MOST_ON_EMBEDDED:
        runtime.fail(
            f"The embedded PostgreSQL has connections for {supervisor.MOST_ON_EMBEDDED} web processes. Start fewer, "
            "or set TOCSIN_DATABASE_URL to a larger PostgreSQL."
        )
    runtime.run(lambda: _serve(settings, worker=not no_worker, demo=demo))


async def _serve(settings: Settings, *, worker: bool, demo: bool) -> None:
    stop = Stop(runtime.say)
    stop.listen()
    with listening.bind(settings) as listener:
        settings = _with_port(settings, listener)
        async with runtime.embedded(settings, runtime.say) as dsn:
            await _prepare(settings, dsn)
            greeting = await welcome.prepare(settings, dsn, demo=demo)
            # The words go out once, when the first process answers.
            greet = functools.cache(lambda: welcome.show(greeting))
            with serving.announced(settings):
                if settings.workers > 1:
                    stop.started()
                    await supervisor.WebProcesses(settings, dsn, listener, worker=worker).run(stop, greet)
                    return
                app = App(settings, dsn)
                await app.start(worker=worker)
                stop.started()
                await listening.serve_until_stopped(app, listener, stop, greet)


def _with_port(settings: Settings, listener: socket.socket) -> Settings:
    """Return the settings with the port that was taken, when the operator left the choice to us."""
    if settings.port != 0:
        return settings
    port = int(listener.getsockname()[1])
    address = settings.base_url
    # An address that is set is the one that people use, whatever our port is.
    own = f"{address.removesuffix(':0')}:{port}" if address.endswith(":0") else address
    return dataclasses.replace(settings, port=port, base_url=own)


async def _prepare(settings: Settings, dsn: str) -> None:
    db = Database(dsn, bell=False, pool_size=2)
    try:
        if settings.database_url is None:
            await migrations.upgrade(db)
        else:
            await migrations.check(db)
    finally:
        await db.close()


@click.command(supervisor.COMMAND, hidden=True)
@click.option("--listen-fd", type=int, required=True)
@click.option("--lifeline-fd", type=int, required=True)
@click.option("--pool-size", type=int, required=True)
@click.option("--no-worker", is_flag=True)
def web_process(listen_fd: int, lifeline_fd: int, pool_size: int, no_worker: bool) -> None:
    """Be one of the web processes of `tocsin serve --workers`, which starts it."""
    settings = runtime.read_settings()
    runtime.run(lambda: _be_web_process(settings, listen_fd, lifeline_fd, pool_size, worker=not no_worker))


async def _be_web_process(
    settings: Settings, listen_fd: int, lifeline_fd: int, pool_size: int, *, worker: bool
) -> None:
    stop = Stop()
    stop.listen()
    lifeline = socket.socket(fileno=lifeline_fd)
    lifeline.setblocking(False)
    loop = asyncio.get_running_loop()

    def notice_end() -> None:
        # Readable means closed: the other side never writes. Nobody is left to start PostgreSQL again or to stop us.
        loop.remove_reader(lifeline)
        stop.ask()

    loop.add_reader(lifeline, notice_end)
    app = App(settings, settings.database_url or "", pool_size=pool_size)
    await app.start(worker=worker)
    stop.started()

    def report_start() -> None:
        with contextlib.suppress(OSError):
            lifeline.send(b"r")

    with socket.socket(fileno=os.dup(listen_fd)) as listener:
        await listening.serve_until_stopped(app, listener, stop, report_start)


@click.command()
def migrate() -> None:
    """Bring the database schema to this version of Tocsin. Safe to run twice, and while Tocsin runs."""
    settings = runtime.read_settings()
    runtime.run(lambda: _migrate(settings))


async def _migrate(settings: Settings) -> None:
    async with runtime.beside(settings) as dsn:
        db = Database(dsn, bell=False, pool_size=2)
        try:
            before, after = await migrations.upgrade(db)
        finally:
            await db.close()
    click.echo(f"The schema is at {after}." if before == after else f"Migrated from {before or 'nothing'} to {after}.")
