"""Workers that are asked to stop, and workers that lose their connections."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.use_cases.job_bench import AT_ONCE, HOLDS, Bench, doing, told, until
from tocsin.db.bell import Bell
from tocsin.jobs import queue
from tocsin.jobs import worker as engine
from tocsin.jobs.kinds import backoff
from tocsin.jobs.queue import Job
from tocsin.jobs.worker import LOCK_SPACE


async def test_stopping_waits_for_what_runs(bench: Bench) -> None:
    """G04: an orderly stop."""
    go = asyncio.Event()

    worker = await bench.worker(bench.held_up(go))
    await bench.put("slow", kind="slow")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    await bench.put("later")
    go.set()
    await stopping
    bench.workers.clear()
    assert await bench.effects() == ["slow"]
    assert await bench.ask("SELECT string_agg(payload->>'what', ' ') FROM job WHERE owner IS NULL") == "later"


async def test_stopping_hands_back_what_takes_too_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: another worker need not wait for a lease."""
    monkeypatch.setattr(engine, "STOP_WITHIN", 0.05)

    async def endless(job: Job) -> None:
        bench.started.append(("endless", job.owner, job.attempt))
        if job.attempt == 1:
            await asyncio.Event().wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    worker = await bench.worker(doing("endless", endless, backoff))
    await bench.put("endless", kind="endless")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    await worker.stop()
    bench.workers.clear()
    assert await bench.ask("SELECT owner IS NULL AND lease_until IS NULL FROM job")
    other = await bench.worker(doing("endless", endless, backoff))
    await bench.have_happened("endless")
    assert bench.started[-1] == ("endless", other.number, 2)


async def _end_connections(bench: Bench) -> None:
    """End every connection to the database but the one that says so."""
    connection = await asyncpg.connect(bench.dsn)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


async def test_a_worker_survives_the_end_of_all_its_connections(bench: Bench) -> None:
    """G04: also in the middle of a job, which then has its effect once."""
    go = asyncio.Event()

    async def slow(job: Job) -> None:
        bench.started.append((f"slow {told(job)}", job.owner, job.attempt))
        await go.wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    worker = await bench.worker(doing("slow", slow, lambda _: AT_ONCE))
    names: list[str] = []
    for round in range(3):
        go.clear()
        name = f"slow {round}"
        names += [name, f"quick {round}"]
        await bench.put(str(round), kind="slow")
        await until(lambda name=name: _has_started(bench, name))
        await _end_connections(bench)
        go.set()
        # The one who asks for work has lost its connections as well, and does not have to know.
        await bench.put(f"quick {round}")
        await until(lambda number=2 * (round + 1): _count(bench, number))
    assert await bench.jobs() == 0
    assert sorted(await bench.effects()) == sorted(name.removeprefix("slow ") for name in names)
    assert worker.is_alive
    if bench.locks:

        async def holds_lock() -> bool:
            return bool(await bench.ask(HOLDS, LOCK_SPACE, worker.number))

        await until(holds_lock)


async def _has_started(bench: Bench, what: str) -> bool:
    return any(entry[0] == what for entry in bench.started)


async def _count(bench: Bench, number: int) -> bool:
    return bool(await bench.ask("SELECT count(*) FROM effect") == number)


async def test_the_bell_wakes_another_process_long_before_it_polls(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: a hint, and only that: without it the same happens at the next poll."""
    monkeypatch.setattr(engine, "POLL", 3600.0 if bench.bell else 0.1)
    await bench.worker()
    for number in range(5):
        await bench.put(str(number))
        await until(lambda number=number: _count(bench, number + 1))


@pytest.mark.parametrize(
    "error",
    [OSError("gone"), asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")],
    ids=["the system's error", "the driver's error"],
)
async def test_the_bell_is_heard_again_after_its_connection_was_lost(
    dsn: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: whatever the driver says when PostgreSQL goes away."""
    monkeypatch.setattr("tocsin.db.bell._RECONNECT", 0.01)
    connect, failures = asyncpg.connect, [error]

    async def fail_once(*args: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return await connect(*args, **options)

    monkeypatch.setattr(asyncpg, "connect", fail_once)
    here, there = Bell(dsn), Bell(dsn)
    heard = asyncio.Event()
    here.listen("topic", heard.set)
    here.start()

    async def listens() -> bool:
        return not failures and heard.is_set()

    # Listening anew wakes everybody once, because nobody knows what was missed.
    await until(listens)
    heard.clear()
    there.start()

    async def rings() -> bool:
        there.ring(["topic"])
        return heard.is_set()

    await until(rings)
    await here.stop()
    await there.stop()


async def test_a_retry_is_handed_back_before_the_stop_has_ended(bench: Bench) -> None:
    """G04: a job that fails while its worker stops comes back by its own wait, and nothing is written afterwards."""
    go = asyncio.Event()

    async def fails(job: Job) -> None:
        bench.started.append(("fails", job.owner, job.attempt))
        await go.wait()
        raise ValueError("not today")

    worker = await bench.worker(doing("fails", fails, lambda _: timedelta(hours=1)))
    await bench.put("fails", kind="fails")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    go.set()
    await stopping
    bench.workers.clear()
    row = await bench.db.pool.fetchrow("SELECT owner, lease_until, attempt, last_error, due > tocsin_now() FROM job")
    assert tuple(row) == (None, None, 1, "ValueError: not today", True)
    assert worker._running == {}


async def test_a_retry_that_cannot_be_written_does_not_outlive_the_stop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: the store is away, the worker stops; the job's lease ends by itself and nobody goes on trying."""
    monkeypatch.setattr(engine, "_RETRY", "SELECT $1::bigint, $2::int, $3::bigint, $4::interval, $5::text, 1 / 0")

    async def fails(job: Job) -> None:
        bench.started.append(("fails", job.owner, job.attempt))
        raise ValueError("not today")

    worker = await bench.worker(doing("fails", fails, backoff))
    await bench.put("fails", kind="fails")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    before = asyncio.all_tasks()
    await worker.stop()
    bench.workers.clear()
    assert worker._running == {}
    assert not [task for task in asyncio.all_tasks() & before if task.get_name().startswith("job-")]
    # Handed back all the same, by the last word of the stop.
    assert await bench.ask("SELECT owner IS NULL AND lease_until IS NULL FROM job")


async def test_a_claim_that_a_stop_cuts_off_uses_up_no_attempt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: PostgreSQL has the claim, the job has not begun, and another worker begins it at once."""
    go, claimed = asyncio.Event(), asyncio.Event()
    worker = await bench.worker(bench.held_up(go))
    claim = worker._claim

    async def cut_off(lane: str, most: int) -> Any:
        jobs, wait = await claim(lane, most)
        if jobs:
            claimed.set()
            await asyncio.Event().wait()
        return jobs, wait

    monkeypatch.setattr(worker, "_claim", cut_off)
    await bench.put("cut off")
    await claimed.wait()
    await worker.stop()
    bench.workers.clear()
    assert await bench.ask("SELECT owner IS NULL AND attempt = 0 FROM job")
    assert bench.started == []
