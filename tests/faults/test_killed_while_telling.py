"""Workers die while they tell followers, miss targets and remind: what is to be said is said, and once (G04)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from tests.faults.harness import Installation, Process, installation, until
from tests.faults.test_killed_processes import SETTLES_WITHIN, two_workers
from tests.processes import PATIENCE
from tocsin.app import LISTENERS
from tocsin.db.engine import Database, Tx
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor, User
from tocsin.incidents import service
from tocsin.incidents.service import subscribing, targeting

pytestmark = pytest.mark.faults

INCIDENTS = 20
_KINDS = "('incidents.tell_followers', 'incidents.watch_targets', 'incidents.remind')"
# Whatever is said stands in one of these: nothing is said while somebody holds them.
_HOLD = "LOCK TABLE inbox_entry, target_told, news_item, delivery IN SHARE MODE"
_STUCK = f"""
SELECT owner FROM job WHERE kind IN {_KINDS} AND owner = ANY($1::bigint[]) AND EXISTS (
    SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()) LIMIT 1
"""
_DUE = "UPDATE schedule SET next_at = tocsin_now() WHERE name IN ('incidents.watch_targets', 'incidents.remind')"
_LEFT = f"SELECT count(*) FROM job WHERE kind IN {_KINDS} AND coalesce(dedup, '') NOT LIKE 'schedule:%'"
_TOLD = "SELECT coalesce(sum(count), 0) FROM inbox_entry WHERE user_id = $1"
_MISSED = "SELECT count(*) FROM event WHERE name = 'incident.target_missed'"
_TWICE = """
SELECT count(*) FROM (
    SELECT FROM event WHERE name = 'incident.target_missed' GROUP BY incident_id, data->>'goal' HAVING count(*) > 1
) AS again
"""
_TO_REMIND = "SELECT count(*) FROM action_item WHERE remind_at <= tocsin_now()"
_REMINDED = "SELECT count(*) FROM delivery WHERE kind = 'news' AND user_id = $1 AND content::text LIKE '%is due%'"


@asynccontextmanager
async def changing(made: Installation) -> AsyncIterator[Tx]:
    """Change something by the use cases, in one transaction."""
    db = Database(made.dsn, bell=False, pool_size=2, listeners=LISTENERS)
    await db.open()
    try:
        async with db.begin() as tx:
            yield tx
    finally:
        await db.close()


async def person(made: Installation, name: str) -> User:
    id = await made.ask("SELECT id FROM user_account WHERE name = $1", name)
    async with changing(made) as tx:
        return await identity.user(tx, id)


async def make_incidents(made: Installation, ada: User, bob: User) -> None:
    """Have incidents that Bob follows and has something to do for, with a target that they will miss."""
    async with changing(made) as tx:
        await targeting.update_targets(tx, Actor.system("drill"), 3, {"acknowledge_minutes": 30})
        for number in range(INCIDENTS):
            incident = await service.declare(tx, Actor.person(ada), title=f"Crane {number} is stuck", severity=3)
            await subscribing.follow(tx, Actor.person(bob), incident.id)
            due = tx.now.date() + timedelta(days=3)
            words = {"description": "Write it down", "due_date": due, "assignee_id": bob.id}
            await service.create_action_item(tx, Actor.person(ada), incident.id, **words)


async def say_something(made: Installation, ada: User) -> None:
    """Comment on each incident, in one commit."""
    async with changing(made) as tx:
        for number in range(1, INCIDENTS + 1):
            await service.comment(tx, Actor.person(ada), f"INC-{number}", "The brake is cold.")


async def kill_in_the_middle(made: Installation, workers: list[Process], ada: User) -> Process:
    """Hold what is said where it is written, and kill the worker that waits there; returns it."""
    numbers = [each.worker_number for each in workers]
    holder = await asyncpg.connect(made.dsn, timeout=10)
    try:
        async with holder.transaction():
            await holder.execute(_HOLD)
            await say_something(made, ada)
            await made.ask(_DUE)

            async def is_stuck() -> bool:
                return await made.ask(_STUCK, numbers) is not None

            await until(is_stuck, PATIENCE, "a worker is in the middle of telling")
            number = await made.ask(_STUCK, numbers)
            killed = next(each for each in workers if each.worker_number == number)
            await killed.kill()
    finally:
        await holder.close()
    await made.count_in_flight(number)
    return killed


async def test_killing_whoever_tells_loses_no_news_and_repeats_none(dsn: str) -> None:
    """F078, F082, F128, F133: killed where it writes what it says, and its successor a little later as well."""
    async with installation(dsn) as made:
        workers = await two_workers(made)
        ada, bob = await person(made, "Ada"), await person(made, "Bob")
        await make_incidents(made, ada, bob)

        async def is_quiet() -> bool:
            return await made.ask(_LEFT) == 0

        await until(is_quiet, PATIENCE, "what was declared has been told")
        before = await made.ask(_TOLD, bob.id)
        await made.ask("UPDATE incident SET declared_at = declared_at - interval '1 hour'")
        await made.ask("UPDATE action_item SET remind_at = tocsin_now()")

        first = await kill_in_the_middle(made, workers, ada)
        second = await kill_in_the_middle(made, [each for each in workers if each is not first], ada)
        await first.start()
        await made.works(first, 2)
        await second.start()
        await made.works(second, 2)

        async def is_all_said() -> bool:
            return await is_quiet() and await made.ask(_TO_REMIND) == 0

        await until(is_all_said, SETTLES_WITHIN, "nothing is left to be said")
        assert await made.ask(_TOLD, bob.id) - before == 2 * INCIDENTS
        assert await made.ask(_TOLD, ada.id) == 0, "nobody hears of what they did"
        assert await made.ask(_MISSED) == INCIDENTS
        assert await made.ask(_TWICE) == 0
        assert await made.ask(_REMINDED, bob.id) == INCIDENTS
