"""The demo organisation: what its tools have sent, and that a start which is killed leaves nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from tests.postgres import until_somebody_waits
from tests.processes import environment, fetch, served
from tests.races import held_at
from tocsin.alerts import queries as alerts
from tocsin.alerts import source_queries
from tocsin.alerts.queries import Filter
from tocsin.cli import demo, demo_history
from tocsin.cli.demo_history import Cast
from tocsin.db.engine import Database
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor

Counted = tuple[int, ...]


async def count(db: Database) -> Counted:
    """How many people, sources, routes, incidents, alerts and signals there are."""
    tables = ("user_account", "alert_source", "alert_route", "incident", "alert", "signal")
    return tuple([await db.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables])


async def test_every_source_has_sent_something_today_and_its_body_is_kept(db: Database) -> None:
    assert await demo.fill(db)
    async with db.begin() as tx:
        sources = await source_queries.sources(tx, EVERYTHING)
        busy = await source_queries.source_figures(tx, [source.id for source in sources])
        assert {source.name for source in sources if busy[source.id].signals_24h == 0} == set()
        for source in sources:
            newest = (await alerts.signals_of_source(tx, source.id, limit=1))[0]
            assert newest.body.startswith(b"{") and newest.outcome == "accepted"
            assert source.token.encode() not in newest.body
            assert tx.now - newest.received_at < timedelta(hours=24)
        for alert, _, _ in await alerts.listed(tx, EVERYTHING, Filter(), limit=100):
            effects = [effect for _, effect in await alerts.signals_of_alert(tx, alert.id, limit=50)]
            assert effects[-1] == "opened"
            assert effects.count("opened") + effects.count("repeated") == alert.count


async def test_filling_twice_changes_nothing(db: Database) -> None:
    assert await demo.fill(db)
    before = await count(db)
    assert not await demo.fill(db)
    assert await count(db) == before


async def test_a_telling_that_ends_early_tells_nothing_and_is_told_anew(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(cast: Cast) -> AsyncGenerator[float]:
        raise ConnectionError
        yield 0

    whole = demo_history._STORIES  # pyright: ignore[reportPrivateUsage]
    with monkeypatch.context() as patched:
        patched.setattr(demo_history, "_STORIES", (*whole, (timedelta(minutes=1), breaks)))
        with pytest.raises(ConnectionError):
            await demo.fill(db)
    assert (await count(db))[:3] == (7, 4, 3)
    assert (await count(db))[3:] == (0, 0, 0)

    assert await demo.fill(db)
    assert all(number > 0 for number in await count(db))


async def test_two_starts_at_once_tell_it_once(db: Database) -> None:
    assert await demo.fill(db)
    alone = await count(db)
    # As if the first start had been killed after the organisation was made.
    await db.pool.execute("TRUNCATE incident, alert, signal, alert_signal, responder CASCADE")
    assert sorted(await asyncio.gather(demo.fill(db), demo.fill(db))) == [False, True]
    assert await count(db) == alone


async def test_two_first_starts_at_once_make_one_organisation(db: Database) -> None:
    """G01: the second waits until the first has made it, and finds it whole."""
    async with held_at(demo, "_make_organisation", demo.fill(db)) as first:
        second = asyncio.ensure_future(demo.fill(db))
        waiting = asyncio.ensure_future(until_somebody_waits(db))
        await asyncio.wait({second, waiting}, return_when=asyncio.FIRST_COMPLETED)
        has_waited = waiting.done()
        waiting.cancel()
    assert sorted(await asyncio.gather(first, second)) == [False, True]
    assert has_waited
    assert (await count(db))[:3] == (7, 4, 3)


async def test_two_servers_that_start_first_at_once_both_answer_and_let_people_in(dsn: str, db: Database) -> None:
    """G01: on one external database, each with a way in that works."""
    async with contextlib.AsyncExitStack() as both:
        starts = [both.enter_async_context(served("--demo", database_url=dsn)) for _ in range(2)]
        for _, greeting in await asyncio.gather(*starts):
            links = re.findall(r"http://127\.0\.0\.1:\d+/link/\S+", greeting)
            assert len(links) == 1 and "Maren Okafor" in (await fetch(links[0]))[1]
    assert (await count(db))[:3] == (7, 4, 3)


async def test_an_installation_whose_people_have_changed_is_left_alone(db: Database) -> None:
    async with db.begin() as tx:
        await identity.ensure_organisation(tx, demo.ORGANISATION)
        await identity.create_user(tx, Actor.system("test"), email=demo.ADMIN, name="Maren", role=demo.Role.ADMIN)
    assert not await demo.fill(db)
    assert await count(db) == (1, 0, 0, 0, 0, 0)


async def test_a_start_that_is_killed_while_it_fills_is_completed_by_the_next(dsn: str, db: Database) -> None:
    words = (sys.executable, "-m", "tocsin.cli", "serve", "--demo", "--no-worker", "--port", "0")
    # It is stopped in the middle of its first story, where somebody joins an incident.
    async with db.begin() as tx:
        await (await tx.raw()).execute("LOCK TABLE responder IN ACCESS EXCLUSIVE MODE")
        process = await asyncio.create_subprocess_exec(
            *words,
            env=environment(database_url=dsn),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until_somebody_waits(db)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    left = await count(db)
    assert left[:3] == (7, 4, 3)
    assert left[3:] == (0, 0, 0)

    assert await demo.fill(db)
    assert all(number > 0 for number in await count(db))
