"""What was accepted is stored and paged, whatever is killed meanwhile (G04).

TOCSIN_FAULT_ROUNDS multiplies the number of kills, TOCSIN_FAULT_SEED repeats the moments of an earlier run.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest

from tests.faults.harness import ROUNDS, Installation, Process, dice, installation
from tocsin.db.embedded import files
from tocsin.jobs.worker import LOCK_SPACE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(450 * (ROUNDS + 1))]

# After the last kill: takeover, the 20 s after which a send of unknown outcome goes out again, and a slow machine.
SETTLES_WITHIN = 180.0


async def some_moment(chance: random.Random, made: Installation) -> None:
    """Wait until the load is under way, and then a random while longer."""
    await made.have_been_accepted(chance.randint(5, 25))
    await asyncio.sleep(chance.uniform(0.0, 0.4))


async def pass_every_step(made: Installation, cut: Process | None = None) -> None:
    """Let nobody answer: the second step follows, also when the process is killed meanwhile; then none is left."""
    await made.let_the_wait_pass()
    if cut is not None:
        await made.until_paged("bob")
        await cut.kill()
        await made.count_in_flight()
        await cut.start()
        await made.serves(cut)
    await made.settle(SETTLES_WITHIN)
    print(await made.must_hold(person="bob"))
    await made.let_the_wait_pass()
    await made.settle(SETTLES_WITHIN)
    assert await made.ask("SELECT count(*) FROM job WHERE coalesce(dedup, '') NOT LIKE 'schedule:%'") == 0
    assert await made.ask("SELECT count(*) FROM escalation_run WHERE state <> 'exhausted'") == 0


async def test_killing_the_process_that_does_everything_loses_nothing() -> None:
    """G04: `tocsin serve` with its own PostgreSQL, ended by kill -9 and started again."""
    chance = dice()
    async with installation(None) as made:
        serve = await made.process("serve")
        await made.serves(serve)
        await made.furnish()
        made.sink.delay = lambda: chance.uniform(0.0, 0.3)
        for _ in range(3 * ROUNDS):
            async with made.under_load(most=1000):
                await some_moment(chance, made)
                await serve.kill()
                await made.count_in_flight()
                await serve.start()
                await made.serves(serve)
        await made.settle(SETTLES_WITHIN)
        print(await made.must_hold())
        await pass_every_step(made, cut=serve)


async def two_workers(made: Installation, **second: str) -> list[Process]:
    """A web process without a worker, and two workers beside it."""
    serve = await made.process("serve", "--no-worker")
    workers = [await made.process("worker"), await made.process("worker", **second)]
    await made.serves(serve)
    for worker in workers:
        await made.works(worker)
    await made.furnish()
    return workers


async def test_killing_a_worker_loses_nothing(dsn: str) -> None:
    """G04: the other worker takes over, and what may have gone out already says so."""
    chance = dice()
    async with installation(dsn) as made:
        workers = await two_workers(made)
        made.sink.delay = lambda: chance.uniform(0.05, 0.3)
        starts = [1, 1]
        for _ in range(3 * ROUNDS):
            which = chance.randrange(2)
            async with made.under_load(most=1000):
                await some_moment(chance, made)
                number = workers[which].worker_number
                await workers[which].kill()
                await made.count_in_flight(number)
                await workers[which].start()
                starts[which] += 1
                await made.works(workers[which], starts[which])
        await made.settle(SETTLES_WITHIN)
        print(await made.must_hold())


async def test_killing_postgresql_loses_nothing_and_repeats_nothing() -> None:
    """G04, G09: the processes live on, so they know what they have sent."""
    chance = dice()
    async with installation(None) as made:
        serve = await made.process("serve")
        await made.serves(serve)
        await made.furnish()
        made.sink.delay = lambda: chance.uniform(0.0, 0.3)
        for _ in range(3 * ROUNDS):
            async with made.under_load(most=1000):
                await some_moment(chance, made)
                found = files.read_postmaster(made.root / "data" / files.CLUSTER)
                assert found is not None
                os.kill(found.pid, signal.SIGKILL)
                made.figures.kills += 1
                await made.have_been_accepted(5)
        assert not serve.has_ended
        assert set(made.load.answers) <= {202, 503}, made.load.answers
        assert made.load.refusals_without_retry_after == 0
        await made.settle(SETTLES_WITHIN)
        print(await made.must_hold(duplicates=0))
        await pass_every_step(made)


_CONNECTIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()
"""
_LOCK = """
SELECT count(pg_terminate_backend(pid)) FROM pg_locks
WHERE locktype = 'advisory' AND classid = $1::oid AND objid = $2::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def second_account(made: Installation) -> str:
    """Let the second worker connect as somebody else, so that its connections can be told from the others."""
    if not await made.ask("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'second')"):
        await made.ask("CREATE ROLE second SUPERUSER LOGIN")
    return made.dsn.replace("tocsin@", "second@")


async def test_two_living_workers_never_send_a_page_twice(dsn: str) -> None:
    """G04: also while one of them loses its connections and the other one its lock."""
    chance = dice()
    async with installation(dsn) as made:
        first, _ = await two_workers(made, TOCSIN_DATABASE_URL=await second_account(made))
        made.sink.delay = lambda: chance.uniform(0.2, 0.6)
        for _ in range(4 * ROUNDS):
            async with made.under_load(most=1000):
                await some_moment(chance, made)
                assert await made.ask(_CONNECTIONS, "second") > 0
                await made.have_been_accepted(chance.randint(5, 25))
                await made.ask(_LOCK, LOCK_SPACE, first.worker_number)
                made.figures.kills += 2
                await made.have_been_accepted(5)
        await made.settle(SETTLES_WITHIN)
        print(await made.must_hold(duplicates=0))


async def test_without_bell_and_locks_the_lease_alone_is_enough(dsn: str) -> None:
    """G04: slower, and nothing else."""
    chance = dice()
    async with installation(dsn, TOCSIN_BELL="off", TOCSIN_WORKER_LOCKS="off") as made:
        first, _ = await two_workers(made, TOCSIN_DATABASE_URL=await second_account(made))
        made.sink.delay = lambda: chance.uniform(0.2, 0.6)
        async with made.under_load(most=1000):
            await some_moment(chance, made)
            await made.ask(_CONNECTIONS, "second")
            await some_moment(chance, made)
            await made.until_busy(first.worker_number)
            number = first.worker_number
            await first.kill()
            await made.count_in_flight(number)
        # The lease lasts 30 s from its last renewal; what follows it is quick.
        took = await made.settle(SETTLES_WITHIN)
        print(await made.must_hold(), f"took {took:.0f} s")
