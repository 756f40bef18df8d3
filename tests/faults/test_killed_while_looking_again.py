"""A process dies in the middle of looking again: what it has not looked at is looked at, and nobody is asked twice."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from tests.faults.harness import Installation, installation, until
from tests.faults.test_killed_processes import SETTLES_WITHIN, two_workers
from tests.processes import PATIENCE
from tocsin.app import LISTENERS
from tocsin.db.engine import Database
from tocsin.identity.model import Actor
from tocsin.net.http import OutboundHttp
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.webhook import Webhook
from tocsin.settings import load

pytestmark = pytest.mark.faults

ALERTS = 24
_OWNER = "SELECT owner FROM job WHERE kind = 'oncall.look_again' AND owner IS NOT NULL"
_WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())
"""
_RUNS = "SELECT id FROM escalation_run ORDER BY id"
_PAGED = "SELECT count(*) FROM escalation_run WHERE step > 0"
_UNREACHED = "SELECT count(*) FROM escalation_run WHERE step = 0 AND unreached_since IS NOT NULL"
_TWICE = "SELECT count(*) FROM (SELECT FROM page GROUP BY run_id, user_id HAVING count(*) > 1) AS again"


async def change_methods(made: Installation, *, address: str = "") -> None:
    """Take everybody's contact methods away, or give the first person one."""
    db = Database(made.dsn, bell=False, pool_size=2, listeners=LISTENERS)
    await db.open()
    try:
        async with db.begin() as tx:
            who = Actor.system("drill")
            people = [row["id"] for row in await (await tx.raw()).fetch("SELECT id FROM user_account ORDER BY id")]
            if address:
                channels = {
                    "webhook": Webhook(OutboundHttp(load({"TOCSIN_OUTBOUND_ALLOW": "127.0.0.0/8"}, {}).outbound_allow))
                }
                await notifications.add_contact_method(
                    tx, who, channels, user_id=people[0], kind="webhook", address=address
                )
            for id in () if address else people:
                for method in await contact.contact_methods(tx, id):
                    await notifications.remove_contact_method(tx, who, user_id=id, method_id=method.id)
    finally:
        await db.close()


async def test_killing_whoever_looks_again_loses_nobody_and_asks_nobody_twice(dsn: str) -> None:
    """G04, F136: killed between two of the runs that a new contact method matters to, and its successor as well."""
    async with installation(dsn) as made:
        workers = await two_workers(made)
        address = await made.webhook("ada")
        await change_methods(made)
        for _ in range(ALERTS):
            assert await made.fire() == 202

        async def nobody_is_there() -> bool:
            return await made.ask(_UNREACHED) == ALERTS

        await until(nobody_is_there, PATIENCE, "nobody could be reached for any alert")
        # A run is looked at once a minute at most.
        await made.travel(timedelta(minutes=2))
        made.sink.delay = lambda: 0.2

        holder = await asyncpg.connect(dsn, timeout=10)
        try:
            runs = [row["id"] for row in await holder.fetch(_RUNS)]
            held = holder.transaction()
            await held.start()
            await holder.execute("SELECT FROM escalation_run WHERE id = $1 FOR UPDATE", runs[ALERTS // 3])
            await change_methods(made, address=address)
            number = await made_to_wait(made, ALERTS // 3)
            first = next(each for each in workers if each.worker_number == number)
            await first.kill()
            await made.count_in_flight(number)

            # The other one finds out, comes as far, and dies as well, a little later.
            second = await asyncpg.connect(dsn, timeout=10)
            try:
                async with second.transaction():
                    await second.execute("SELECT FROM escalation_run WHERE id = $1 FOR UPDATE", runs[2 * ALERTS // 3])
                    await held.rollback()
                    number = await made_to_wait(made, 2 * ALERTS // 3)
                    successor = next(each for each in workers if each is not first)
                    assert successor.worker_number == number
                    await successor.kill()
                    await made.count_in_flight(number)
            finally:
                await second.close()
        finally:
            await holder.close()
        await first.start()
        await made.works(first, 2)
        await made.settle(SETTLES_WITHIN)
        assert await made.ask(_PAGED) == ALERTS
        assert await made.ask(_TWICE) == 0
        print(await made.must_hold())


async def made_to_wait(made: Installation, paged: int) -> int:
    """Wait until whoever looks again has come to the run that is held; returns which worker it is."""

    async def waits() -> bool:
        owned = await made.ask(_OWNER) is not None
        return owned and await made.ask(_PAGED) == paged and bool(await made.ask(_WAITS))

    await until(waits, PATIENCE, f"{paged} runs have been looked at, and the next one is waited for")
    return int(await made.ask(_OWNER))
