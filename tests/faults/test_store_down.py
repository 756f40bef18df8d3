"""While the store is away intake says 503 and Retry-After, and nothing else; then it goes on (G04)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.faults.harness import ROUNDS, Installation, OwnPostgres, installation, traversable_directory, until
from tests.processes import PATIENCE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(450 * (ROUNDS + 1))]


@contextlib.asynccontextmanager
async def on_own_postgresql() -> AsyncIterator[tuple[Installation, OwnPostgres]]:
    with traversable_directory() as place:
        server = OwnPostgres(place)
        server.make()
        await server.start()
        try:
            async with installation(server.dsn) as made:
                migrate = await made.process("migrate")

                async def migrated() -> bool:
                    return migrate.has_ended

                await until(migrated, PATIENCE, "the schema is there")
                serve = await made.process("serve")
                await made.serves(serve)
                await made.furnish()
                yield made, server
                assert not serve.has_ended
        finally:
            server.freeze(signal.SIGCONT)
            await server.stop()


async def goes_on(made: Installation) -> None:
    """Wait until alerts are accepted again."""

    async def accepted() -> bool:
        return await made.fire() == 202

    await until(accepted, PATIENCE, "alerts are accepted again")


async def test_while_postgresql_is_away_senders_are_asked_to_come_again() -> None:
    """G04: triggers and resolves alike; after a stop in good order, a crash and a freeze."""
    async with on_own_postgresql() as (made, server):
        for round in range(ROUNDS):
            assert await made.fire(key=f"before {round}") == 202
            await made.settle()
            for how in (signal.SIGINT, signal.SIGQUIT):
                await server.stop(how)
                answers = {await made.fire() for _ in range(5)}
                answers |= {await made.fire(key=f"before {round}", status="resolved") for _ in range(3)}
                answers |= set(await asyncio.gather(*(made.fire() for _ in range(20))))
                assert answers == {503}
                await server.start()
                await goes_on(made)
                made.figures.kills += 1
        assert await made.fire(key="before 0", status="resolved") == 202
        assert made.load.refusals_without_retry_after == 0
        assert set(made.load.answers) <= {202, 503}
        await made.settle()
        print(await made.must_hold(duplicates=0))


async def test_a_frozen_postgresql_does_not_hold_senders_for_ever() -> None:
    """G04: a disk that hangs, a machine that is paused: no answer from the store is an answer, too."""
    async with on_own_postgresql() as (made, server):
        assert await made.fire() == 202
        # Whether it is paged before its resolve, which may be stored after the freeze, is not left to chance.
        await made.settle()
        server.freeze(signal.SIGSTOP)
        answers = await asyncio.gather(
            *(made.fire() for _ in range(10)), *(made.fire(key="alert 1", status="resolved") for _ in range(3))
        )
        assert set(answers) == {503}
        server.freeze(signal.SIGCONT)
        await goes_on(made)
        assert made.load.refusals_without_retry_after == 0
        await made.settle()
        print(await made.must_hold(duplicates=0))


async def test_a_full_queue_turns_triggers_away_and_takes_a_resolve(dsn: str) -> None:
    """G04: a resolve is never shed, and what waits is stored in the end."""
    async with installation(dsn, TOCSIN_INTAKE_QUEUE="1") as made:
        serve = await made.process("serve")
        await made.serves(serve)
        await made.furnish()
        assert await made.fire(key="open") == 202
        blocker = await asyncpg.connect(dsn)
        try:
            transaction = blocker.transaction()
            await transaction.start()
            await blocker.execute("LOCK TABLE signal IN ACCESS EXCLUSIVE MODE")
            held = asyncio.create_task(made.fire())

            async def waits() -> bool:
                return bool(await made.ask("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

            await until(waits, PATIENCE, "the first batch waits for the store")
            more = [asyncio.create_task(made.fire()) for _ in range(6)]

            async def turned_away() -> bool:
                return sum(task.done() for task in more) == 5

            await until(turned_away, PATIENCE, "all but the one that waits are turned away")
            assert [task.result() for task in more if task.done()] == [503] * 5
            resolve = asyncio.create_task(made.fire(key="open", status="resolved"))
            # A trigger that comes after it is turned away, so the resolve is in the queue by then.
            assert await made.fire() == 503
            assert not resolve.done()
            await transaction.rollback()
            assert await resolve == 202
            assert await held == 202
            assert [await task for task in more].count(202) == 1  # the one that waited
        finally:
            await blocker.close()
        assert made.load.refusals_without_retry_after == 0
        assert await made.ask("SELECT status FROM alert WHERE dedup_key = 'open'") == "resolved"
        await made.settle()
        assert await made.ask("SELECT count(*) FROM alert") == 3
