"""`tocsin upgrade-check`: what `tocsin migrate` would do to this database, and whether anything stands in its way."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from alembic.script import Script
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.cli import runtime
from tocsin.cli.backup_note import last_backup
from tocsin.cli.doctor import Finding, Verdict
from tocsin.db import forecast, migrate
from tocsin.db.engine import Database
from tocsin.db.forecast import Statement
from tocsin.kit import clock
from tocsin.settings import Settings

_RECENT = timedelta(hours=24)
WARNINGS = 3
_SIZE = "SELECT pg_table_size(to_regclass(:table)), (SELECT reltuples FROM pg_class WHERE oid = to_regclass(:table))"
_WIDTH = """
SELECT coalesce(sum(avg_width), 0) FROM pg_stats WHERE tablename = :table AND :sql ~ ('\\m' || attname || '\\M')
"""
_UNFINISHED = """
SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relnamespace = 'public'::regnamespace
"""


@click.command("upgrade-check", short_help="Say what an upgrade of the schema would do.")
@click.option("--backup", "file", type=click.Path(path_type=Path), help="A backup that `tocsin backup` did not write.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of {verdict, check, words}.")
def upgrade_check(file: Path | None, as_json: bool) -> None:
    """Say what `tocsin migrate` of this version would do to the database: revisions, locks, disk. Changes nothing.

    Run it with the new version installed, while the old one still runs.

    Status 0: nothing stands in the way, or there is nothing to do. 1: the upgrade would fail. 3: there are warnings.
    """
    settings = runtime.read_settings()
    findings: list[Finding] = []

    async def examine() -> None:
        findings.extend([finding async for finding in _examine(settings, file)])

    runtime.run(examine)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(f"{finding.verdict:<4}  {finding.check}: {finding.words}")
    verdicts = {finding.verdict for finding in findings}
    if Verdict.FAIL in verdicts:
        sys.exit(1)
    if Verdict.WARN in verdicts:
        sys.exit(WARNINGS)


async def _examine(settings: Settings, file: Path | None) -> AsyncGenerator[Finding]:
    async with runtime.beside(settings) as dsn:
        db = Database(dsn, bell=False, pool_size=2, application="tocsin-cli", writes=False)
        try:
            have = await migrate.current(db)
            try:
                await migrate.check(db)
            except migrate.SchemaError as error:
                if have is not None and not await migrate.is_behind(db):
                    yield Finding(Verdict.FAIL, "schema", str(error))
                    return
            else:
                yield Finding(
                    Verdict.OK, "schema", f"It is at {have}, which this program needs. Nothing is to be done."
                )
                return
            async with db.engine.connect() as connection:
                async for finding in _of_upgrade(connection, settings, have):
                    yield finding
        finally:
            await db.close()
    if have is not None:
        yield _backup(settings, file)


async def _of_upgrade(connection: AsyncConnection, settings: Settings, have: str | None) -> AsyncIterator[Finding]:
    scripts = migrate.missing(have)
    names = ", ".join(script.revision for script in scripts)
    yield Finding(Verdict.OK, "schema", f"It goes from {have or 'nothing'} to {migrate.newest()}: {names}.")
    version = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
    if version < migrate.OLDEST_SERVER:
        yield Finding(Verdict.FAIL, "server", "Tocsin needs PostgreSQL 15 or newer.")
    if have is None:
        return
    builds = 0
    for script in scripts:
        steps = forecast.statements(script)
        yield await _revision(connection, script, steps)
        builds += sum([await _index_size(connection, step) for step in steps if step.index])
    yield _disk(settings, builds)
    for name in (await connection.execute(text(_UNFINISHED))).scalars():
        yield Finding(Verdict.OK, "indexes", f"{name} was left unfinished; it is built anew if a revision builds it.")
    yield await _others(connection)


async def _revision(connection: AsyncConnection, script: Script, steps: list[Statement]) -> Finding:
    words = [script.doc.strip()]
    for step in steps:
        if step.table is None:
            continue
        size, number = (await connection.execute(text(_SIZE), {"table": step.table})).one()
        of = "" if size is None else f" ({size // 2**20:,} MB, about {max(int(number), 0):,} rows)"
        what = f"builds {step.index} on {step.table}" if step.index else f"changes {step.table}"
        words.append(f"It {what}{of}: {step.waits}.")
    return Finding(Verdict.OK, f"revision {script.revision}", " ".join(words))


async def _index_size(connection: AsyncConnection, step: Statement) -> int:
    """Estimate from above: every row, also of an index that leaves some out."""
    size, number = (await connection.execute(text(_SIZE), {"table": step.table})).one()
    width = int((await connection.execute(text(_WIDTH), {"table": step.table, "sql": step.sql})).scalar_one())
    if size is None:
        return 0
    # Before the first ANALYZE nothing is known of the rows.
    return int(max(number, 0) * ((width or 64) + 16) * 1.3) if number >= 0 else int(size)


def _disk(settings: Settings, builds: int) -> Finding:
    # Sorting takes as much again for a while.
    needed = f"New indexes take up to {builds // 2**20 + 1:,} MB, and as much again while they are built."
    if settings.database_url is not None:
        return Finding(Verdict.OK, "disk", f"{needed} The disk of the database cannot be seen from here.")
    free = shutil.disk_usage(settings.data_dir).free
    words = f"{needed} {free // 2**20:,} MB are free on the disk of {settings.data_dir}."
    return Finding(Verdict.OK if free > 2 * builds + 2**28 else Verdict.FAIL, "disk", words)


async def _others(connection: AsyncConnection) -> Finding:
    found = await migrate.longest_open(connection, timedelta(seconds=3), most=5)
    if not found:
        return Finding(Verdict.OK, "locks", "Nobody holds a transaction open that an upgrade would wait for.")
    named = ", ".join(f"process {row.pid} ({row.who}, {row.seconds} s)" for row in found)
    return Finding(Verdict.WARN, "locks", f"Transactions are open that an upgrade may wait for: {named}.")


def _backup(settings: Settings, file: Path | None) -> Finding:
    note = last_backup(settings)
    at = note.at if note is not None else None
    path = note.file if note is not None else None
    if file is not None:
        if not file.is_file():
            return Finding(Verdict.WARN, "backup", f"There is no file {file}.")
        at, path = datetime.fromtimestamp(file.stat().st_mtime, UTC), file
    if at is None or path is None:
        return Finding(Verdict.WARN, "backup", "No backup is known here. Run `tocsin backup`, or name one (--backup).")
    if not path.is_file():
        return Finding(Verdict.WARN, "backup", f"{path}, the newest backup, is not there any more.")
    words = f"{path} is of {at:%Y-%m-%d %H:%M} UTC."
    if clock.utc_now() - at > _RECENT:
        return Finding(Verdict.WARN, "backup", f"{words} Make a new one before you upgrade: `tocsin backup`.")
    return Finding(Verdict.OK, "backup", words)
