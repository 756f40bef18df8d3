"""`tocsin serve`, `tocsin worker` and `tocsin migrate`: the long-running processes and the schema."""

from __future__ import annotations

import asyncio
import signal

import click
import uvicorn

from tocsin.app import App
from tocsin.cli import runtime
from tocsin.db import migrate as migrations
from tocsin.db.engine import Database
from tocsin.settings import Settings


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@click.option("--workers", type=int, help="Number of web processes.")
@click.option("--no-worker", is_flag=True, help="Serve only; `tocsin worker` runs the jobs elsewhere.")
@click.option("--demo", is_flag=True, help="Fill an empty data directory with a small organisation to try out.")
def serve(host: str | None, port: int | None, workers: int | None, no_worker: bool, demo: bool) -> None:
    """Run everything: the embedded PostgreSQL, the web server and the worker."""
    settings = runtime.read_settings(host=host, port=port, workers=workers, console_pages=True if demo else None)
    runtime.run(lambda: _serve(settings, worker=not no_worker, demo=demo))


async def _serve(settings: Settings, *, worker: bool, demo: bool) -> None:
    async with runtime.embedded(settings, runtime.say) as dsn:
        await _prepare(settings, dsn)
        app = App(settings, dsn)
        await app.start(worker=worker)
        try:
            await _listen(app)
        finally:
            await app.stop()


async def _prepare(settings: Settings, dsn: str) -> None:
    db = Database(dsn, bell=False, pool_size=2)
    try:
        if settings.database_url is None:
            await migrations.upgrade(db)
        else:
            await migrations.check(db)
    finally:
        await db.close()


async def _listen(app: App) -> None:
    settings = app.settings
    config = uvicorn.Config(
        app.asgi(),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="none",
        http="httptools",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=10,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        backlog=4096,
    )
    server = uvicorn.Server(config)
    await server.serve()


@click.command()
def worker() -> None:
    """Run jobs only: routing, escalations and sending. Any number of workers may run."""
    settings = runtime.read_settings()
    runtime.run(lambda: _work(settings))


async def _work(settings: Settings) -> None:
    async with runtime.beside(settings) as dsn:
        app = App(settings, dsn)
        await app.start(web=False)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        await stop.wait()
        await app.stop()


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
