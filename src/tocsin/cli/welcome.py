"""What `tocsin serve` prints once it answers: where it listens, and the way in."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta

import click

from tocsin.alerts.sources import address_path
from tocsin.cli import demo as demo_data
from tocsin.cli import runtime
from tocsin.cli.people import OPERATOR
from tocsin.db.engine import Database, Tx
from tocsin.identity import service as identity
from tocsin.jobs.worker import workers_alive
from tocsin.kit.addresses import at
from tocsin.settings import Settings

LINK_VALID_FOR = timedelta(hours=24)


async def prepare(settings: Settings, dsn: str, *, demo: bool) -> list[str]:
    """Make the links that the greeting shows, and with `demo` fill an empty installation; returns the lines."""
    db = Database(dsn, bell=False, pool_size=2, application="tocsin-cli")
    try:
        await db.open()
        lines = [f"Tocsin is ready at {settings.base_url}", ""]
        if demo:
            lines += await _demo(db, settings)
        async with db.begin() as tx:
            if await identity.needs_set_up(tx):
                lines += _set_up(settings, await identity.make_set_up_link(tx))
        return lines
    finally:
        await db.close()


def show(lines: list[str]) -> None:
    """Print the greeting as one piece, so that no log line gets between its lines."""
    click.echo("\n" + "\n".join(lines))


def _set_up(settings: Settings, token: str) -> list[str]:
    return [
        "  Nobody has an account yet. Open this link within 24 hours to make the first one:",
        "    " + at(settings.base_url, f"/set-up?token={token}"),
        "",
    ]


async def _demo(db: Database, settings: Settings) -> list[str]:
    if await workers_alive(db.pool):
        runtime.say("Another worker runs on this database. Stop it if --demo shall fill an empty installation.")
    elif await demo_data.fill(db):
        runtime.say("The demo organisation Harbourline has been made.")
    async with db.begin() as tx:
        found = await demo_data.find(tx)
        if found is None:
            runtime.say("This installation is in use, so --demo has added nothing to it.")
            return []
        return await _way_in(tx, settings, found)


async def _way_in(tx: Tx, settings: Settings, found: demo_data.Found) -> list[str]:
    token = await identity.make_sign_in_link(tx, OPERATOR, found.admin.id, LINK_VALID_FOR)
    lines = [
        f"  Sign in as {found.admin.name} (administrator), once, within 24 hours:",
        "    " + at(settings.base_url, f"/link/{token}"),
        "",
    ]
    if found.source is None:
        return lines
    address = at(settings.base_url, address_path(found.source.kind, found.source.token))
    body = json.dumps(demo_data.EXAMPLE_ALERT)
    return [
        *lines,
        f"  Alert source “{found.source.name}”:",
        f"    {address}",
        "",
        f"  Fire an alert. It pages {demo_data.PAGED_FIRST}, and the page appears here with its acknowledge link:",
        f"    curl -H 'Content-Type: application/json' -d {shlex.quote(body)} {address}",
        "  While that alert is open, the same command counts it up and pages nobody anew.",
        "",
    ]
