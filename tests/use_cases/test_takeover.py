"""Jobs whose worker has died, hangs or lost its network: taken over once, and the late one does nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.processes import PATIENCE
from tests.use_cases.job_bench import HOLDS, NOBODY, Bench, doing, until
from tocsin.jobs import queue
from tocsin.jobs import worker as engine
from tocsin.jobs.kinds import backoff
from tocsin.jobs.queue import Fenced, Job
from tocsin.jobs.worker import LOCK_SPACE


@pytest.mark.parametrize(
    "takeover",
    [
        f"UPDATE job SET owner = {NOBODY}",
        "UPDATE job SET attempt = attempt + 1",
        "UPDATE job SET owner = NULL, lease_until = NULL, due = due + interval '1 hour'",
        "DELETE FROM job",
    ],
    ids=["another owner", "another attempt", "released", "finished by another"],
)
@pytest.mark.parametrize("ending", ["finish", "postpone"])
async def test_what_a_job_did_rolls_back_when_it_was_taken_over(bench: Bench, takeover: str, ending: str) -> None:
    """G04: completing is fenced by owner and attempt, in the transaction of the effect."""
    fenced: list[str] = []

    async def late(job: Job) -> None:
        await bench.db.pool.execute(takeover)
        try:
            async with bench.db.begin() as tx:
                await bench.note(tx, job)
                await (queue.finish(tx, job) if ending == "finish" else queue.postpone(tx, job, tx.now))
        except Fenced as error:
            fenced.append(str(error))
            raise

    worker = await bench.worker(doing("late", late, backoff), start=False)
    await bench.put("late", kind="late")
    await worker.run_due()
    assert len(fenced) == 1
    assert await bench.effects() == []
    assert await bench.jobs() == (0 if takeover.startswith("DELETE") else 1)
    # The one that was too late leaves no trace on the job of the other.
    assert await bench.ask("SELECT count(*) FROM job WHERE last_error IS NOT NULL") == 0
    assert await bench.ask("SELECT count(*) FROM job_dead") == 0


async def test_a_job_whose_lease_has_run_out_goes_to_another_worker(bench: Bench) -> None:
    """G04: the rule that always holds."""
    await bench.leave_behind("orphan", owner=NOBODY, lease=timedelta(seconds=-1))
    worker = await bench.worker()
    await bench.have_happened("orphan")
    assert bench.started == [("orphan", worker.number, 2)]


async def test_a_job_of_a_worker_that_holds_no_lock_is_taken_over_long_before_its_lease(bench: Bench) -> None:
    """G04: a killed worker is noticed at once; a living one keeps what it has."""
    go = asyncio.Event()

    alive = await bench.worker(bench.held_up(go), locks=True)

    async def holds_lock() -> bool:
        return bool(await bench.ask(HOLDS, LOCK_SPACE, alive.number))

    await until(holds_lock)
    await bench.put("slow", kind="slow")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    await bench.leave_behind("orphan", owner=NOBODY, lease=timedelta(hours=1))
    await bench.worker(bench.held_up(go), locks=True)

    async def taken() -> bool:
        return await bench.effects() == ["orphan"]

    await until(taken)
    assert [entry for entry in bench.started if entry[0] == "slow"] == [("slow", alive.number, 1)]
    go.set()
    await bench.have_happened("orphan", "slow")
    assert len(bench.started) == 2


async def test_a_new_worker_takes_nothing_before_it_holds_its_lock(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: the others would take it for dead, and a page in its hands would wait until its outcome is clear."""
    connect, asked, answer = asyncpg.connect, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **options: Any) -> Any:
        asked.set()
        await answer.wait()
        return await connect(*args, **options)

    await bench.put("page")
    worker = await bench.worker(start=False, locks=True)
    monkeypatch.setattr(asyncpg, "connect", slow)
    starting = asyncio.create_task(worker.start())
    bench.workers.append(worker)
    await asked.wait()
    assert not starting.done()
    assert await bench.ask("SELECT count(*) FROM job WHERE owner IS NULL") == 1
    answer.set()
    await starting
    assert await bench.ask(HOLDS, LOCK_SPACE, worker.number)
    await bench.have_happened("page")


async def test_a_worker_that_gets_no_lock_works_all_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: late is better than never, and the lease still holds."""
    monkeypatch.setattr(engine, "LOCK_WITHIN", 0.05)
    worker = await bench.worker(start=False, locks=True)

    monkeypatch.setattr(worker, "_hold_lock", lambda: asyncio.Event().wait())
    await worker.start()
    bench.workers.append(worker)
    await bench.put("page")
    await bench.have_happened("page")


async def test_nothing_is_taken_over_right_after_postgresql_has_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: every worker has just lost its lock then, and could not renew its leases."""
    monkeypatch.setattr(engine, "SETTLE", timedelta(days=365))
    await bench.leave_behind("orphan", owner=NOBODY, lease=timedelta(seconds=-1))
    swept = asyncio.Event()
    worker = await bench.worker(start=False)
    sweep, seen = worker._sweep, 0

    async def count() -> None:
        nonlocal seen
        await sweep()
        seen += 1
        if seen == 4:
            swept.set()

    monkeypatch.setattr(worker, "_sweep", count)
    await worker.start()
    bench.workers.append(worker)
    async with asyncio.timeout(PATIENCE):
        await swept.wait()
    assert bench.started == []
    monkeypatch.setattr(engine, "SETTLE", timedelta(0))
    await bench.have_happened("orphan")


async def test_a_claim_whose_answer_was_lost_runs_after_its_lease(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: the connection may end between the commit of a claim and its answer; a living worker must not keep it."""
    monkeypatch.setattr(engine, "RENEW_EVERY", 0.1)
    worker = await bench.worker()
    await bench.leave_behind("lost", owner=worker.number, lease=timedelta(seconds=1))
    await bench.have_happened("lost")


async def test_the_lease_of_a_running_job_is_renewed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: a job may take longer than its lease."""
    monkeypatch.setattr(engine, "LEASE", timedelta(hours=1))
    monkeypatch.setattr(engine, "RENEW_EVERY", 0.1)

    async def long(job: Job) -> None:
        bench.started.append(("long", job.owner, job.attempt))

        async def renewed() -> bool:
            return bool(await bench.ask("SELECT lease_until > tocsin_now() + interval '50 minutes' FROM job"))

        for minutes in (40, 80, 120):
            await bench.pass_time(timedelta(minutes=minutes))
            await until(renewed)
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    await bench.worker(doing("long", long, backoff))
    await bench.worker(doing("long", long, backoff))
    await bench.put("long", kind="long")
    await bench.have_happened("long")
    assert len(bench.started) == 1


async def test_one_look_is_not_enough_to_take_a_worker_for_dead(bench: Bench) -> None:
    """G04: it may have lost its connection and be about to come back; two looks in a row are."""
    looker = await bench.worker(start=False, locks=True)
    looker.number = await looker._next_number()
    await bench.leave_behind("held", owner=NOBODY, lease=timedelta(hours=1))
    owner = "SELECT owner FROM job"
    await looker._sweep()
    assert await bench.ask(owner) == NOBODY
    # It is back, so what the first look found counts no more, also when it is away again.
    alive = await asyncpg.connect(bench.dsn)
    await alive.execute("SELECT pg_advisory_lock($1::int, $2::int)", LOCK_SPACE, NOBODY)
    await looker._sweep()
    await alive.execute("SELECT pg_advisory_unlock($1::int, $2::int)", LOCK_SPACE, NOBODY)
    await looker._sweep()
    assert await bench.ask(owner) == NOBODY
    await looker._sweep()
    assert await bench.ask(owner) is None
    await alive.close()


async def test_a_worker_without_its_lock_does_not_take_its_own_jobs(bench: Bench) -> None:
    """G04: what it runs itself is in no dead hands, whatever the locks say."""
    looker = await bench.worker(start=False, locks=True)
    looker.number = await looker._next_number()
    await bench.leave_behind("mine", owner=looker.number, lease=timedelta(hours=1))
    for _ in range(3):
        await looker._sweep()
    assert await bench.ask("SELECT owner FROM job") == looker.number
