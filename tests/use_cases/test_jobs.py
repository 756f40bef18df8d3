"""The job engine on a real PostgreSQL: claiming, fencing, retrying, taking over, with and without its accelerators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from tests.processes import PATIENCE
from tocsin.db.bell import Bell
from tocsin.db.engine import Database, Tx
from tocsin.jobs import queue
from tocsin.jobs import worker as engine
from tocsin.jobs.queue import Fenced, Job, NewJob
from tocsin.jobs.worker import LOCK_SPACE, Kind, Periodic, Worker, backoff, ensure_schedules

AT_ONCE = timedelta(milliseconds=5)
NOBODY = 4711


async def until(claim: Callable[[], Awaitable[bool]]) -> None:
    """Wait for the claim to become true."""
    async with asyncio.timeout(PATIENCE):
        while not await claim():  # noqa: ASYNC110 (rows ring no bell)
            await asyncio.sleep(0.01)


@dataclass
class Bench:
    """A database with a table of effects, and workers that are stopped at the end."""

    dsn: str
    bell: bool
    locks: bool
    workers: list[Worker] = field(default_factory=list)
    bases: list[Database] = field(default_factory=list)
    started: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def db(self) -> Database:
        return self.bases[0]

    async def base(self) -> Database:
        db = Database(self.dsn, bell=self.bell, pool_size=5, application="bench")
        await db.open()
        self.bases.append(db)
        return db

    async def worker(self, *kinds: Kind, start: bool = True, **options: Any) -> Worker:
        """A worker with connections of its own, as another process would have; it knows `work` at least."""
        db = await self.base()
        known = [Kind("work", self.work_on(db), lambda _: AT_ONCE), *kinds]
        worker = Worker(db, known, **({"locks": self.locks} | options))
        if start:
            await worker.start()
            self.workers.append(worker)
        return worker

    def work_on(self, db: Database) -> Callable[[Job], Awaitable[None]]:
        async def work(job: Job) -> None:
            self.started.append((job.payload["what"], job.owner, job.attempt))
            async with db.begin() as tx:
                await self.note(tx, job)
                await queue.finish(tx, job)

        return work

    async def note(self, tx: Tx, job: Job) -> None:
        """Leave the effect of a job in its transaction."""
        await (await tx.raw()).execute("INSERT INTO effect VALUES ($1)", job.payload.get("what", job.kind))

    async def put(self, *whats: str, **fields: Any) -> None:
        async with self.db.begin() as tx:
            jobs = [NewJob(**({"kind": "work", "lane": "page", "payload": {"what": what}} | fields)) for what in whats]
            await queue.enqueue(tx, *jobs)

    async def ask(self, question: str, *values: object) -> Any:
        return await self.db.pool.fetchval(question, *values)

    async def effects(self) -> list[str]:
        return [row[0] for row in await self.db.pool.fetch("SELECT what FROM effect ORDER BY what")]

    async def have_happened(self, *whats: str) -> None:
        """Wait until these jobs have had their effect, and no job is left."""
        wanted = sorted(whats)

        async def done() -> bool:
            return await self.ask("SELECT count(*) FROM effect") >= len(wanted) and await self.jobs() == 0

        await until(done)
        assert await self.effects() == wanted

    async def pass_time(self, by: timedelta) -> None:
        """Set the database's clock so much ahead of the real one."""
        await self.db.pool.execute(
            "CREATE OR REPLACE FUNCTION tocsin_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"'SELECT clock_timestamp() + interval ''{by.total_seconds()} seconds'''"
        )

    async def jobs(self) -> int:
        return int(await self.ask("SELECT count(*) FROM job"))

    async def leave_behind(self, what: str, *, owner: int, lease: timedelta, lane: str = "page") -> None:
        """A job in the hands of a worker that will not finish it."""
        await self.db.pool.execute(
            """
            INSERT INTO job (lane, kind, due, attempt, max_attempts, owner, lease_until, payload)
            VALUES ($1, 'work', tocsin_now(), 1, 20, $2, tocsin_now() + $3, jsonb_build_object('what', $4::text))
            """,
            lane,
            owner,
            lease,
            what,
        )


@pytest.fixture(params=[(True, True), (False, False)], ids=["bell and locks", "neither bell nor locks"])
async def bench(dsn: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Workers that do not let a freshly started PostgreSQL settle, and that look for orphans often."""
    monkeypatch.setattr(engine, "SETTLE", timedelta(0))
    monkeypatch.setattr(engine, "SWEEP_EVERY", 0.05)
    monkeypatch.setattr(engine, "POLL", 0.1)
    bell, locks = request.param
    bench = Bench(dsn, bell, locks)
    await bench.base()
    await bench.db.pool.execute("CREATE TABLE effect (what text NOT NULL)")
    yield bench
    for worker in bench.workers:
        await worker.stop()
    for db in bench.bases:
        await db.close()


async def test_two_workers_run_each_job_exactly_once(bench: Bench) -> None:
    """G04: a claim is exclusive."""
    names = [f"{number:03}" for number in range(300)]
    for at in range(0, 300, 50):
        await bench.put(*names[at : at + 50])
    await bench.worker()
    await bench.worker()
    await bench.have_happened(*names)
    assert len(bench.started) == 300


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

    worker = await bench.worker(Kind("late", late, backoff), start=False)
    await bench.put("late", kind="late")
    await worker.run_due()
    assert len(fenced) == 1
    assert await bench.effects() == []
    assert await bench.jobs() == (0 if takeover.startswith("DELETE") else 1)
    # The one that was too late leaves no trace on the job of the other.
    assert await bench.ask("SELECT count(*) FROM job WHERE last_error IS NOT NULL") == 0
    assert await bench.ask("SELECT count(*) FROM job_dead") == 0


async def test_a_failed_job_comes_back_after_its_wait_and_counts_its_attempts(bench: Bench) -> None:
    """G04: retry."""
    attempts: list[int] = []
    waits: list[int] = []
    errors: list[str | None] = []

    def wait(attempt: int) -> timedelta:
        waits.append(attempt)
        return timedelta(milliseconds=100)

    moments: list[float] = []

    async def shaky(job: Job) -> None:
        attempts.append(job.attempt)
        moments.append(asyncio.get_running_loop().time())
        errors.append(await bench.ask("SELECT last_error FROM job"))
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)
            if job.attempt < 3:
                raise ValueError(f"no luck {job.attempt}")

    await bench.worker(Kind("shaky", shaky, wait))
    await bench.put("shaky", kind="shaky")
    await bench.have_happened("shaky")
    assert attempts == [1, 2, 3]
    assert waits == [1, 2]
    assert errors == [None, "ValueError: no luck 1", "ValueError: no luck 2"]
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(moments))


def test_waits_grow_to_five_minutes_and_are_spread() -> None:
    for attempt, seconds in [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (60, 300)]:
        found = {backoff(attempt).total_seconds() for _ in range(50)}
        assert all(seconds * 0.75 <= wait <= seconds * 1.25 for wait in found)
        assert len(found) > 1


async def _fails(_: Job) -> None:
    raise ValueError("never")


async def _forgets(_: Job) -> None:
    return


@pytest.mark.parametrize(
    ("kind", "handler", "words"),
    [
        ("fails", _fails, "ValueError: never"),
        ("forgets", _forgets, "RuntimeError: the handler of forgets returned without finishing its job"),
        ("unknown", None, "LookupError: no handler for jobs of kind unknown"),
    ],
)
async def test_a_job_that_never_works_is_given_up_and_kept_with_its_error(
    bench: Bench, kind: str, handler: Callable[[Job], Awaitable[None]] | None, words: str
) -> None:
    """G04, G13: nothing disappears silently."""
    kinds = [Kind(kind, handler, lambda _: AT_ONCE)] if handler else []
    await bench.worker(*kinds)
    # The one of an unknown kind waits as long as any other would.
    await bench.put("x", kind=kind, key="about:x", max_attempts=2 if handler else 1)

    async def given_up() -> bool:
        return bool(await bench.ask("SELECT count(*) FROM job_dead") == 1)

    await until(given_up)
    assert await bench.jobs() == 0
    async with bench.db.begin() as tx:
        dead = (await queue.dead(tx))[0]
    assert (dead.kind, dead.lane, dead.key, dead.payload) == (kind, "page", "about:x", {"what": "x"})
    assert (dead.attempt, dead.last_error) == (2 if handler else 1, words)


async def test_one_job_waits_per_dedup_and_another_may_follow_it(bench: Bench) -> None:
    worker = await bench.worker(start=False)
    await bench.put("first", dedup="same")
    await bench.put("second", dedup="same")
    await bench.put("other", dedup="other")
    await bench.put("third", "fourth", dedup="same")
    await worker.run_due()
    assert await bench.effects() == ["first", "other"]
    await bench.put("fifth", dedup="same")
    await worker.run_due()
    assert await bench.effects() == ["fifth", "first", "other"]


async def test_cancelling_a_key_removes_what_waits_and_leaves_what_runs(bench: Bench) -> None:
    go = asyncio.Event()

    async def slow(job: Job) -> None:
        bench.started.append(("slow", job.owner, job.attempt))
        await go.wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    await bench.worker(Kind("slow", slow, backoff))
    await bench.put("slow", kind="slow", key="a")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    async with bench.db.begin() as tx:
        later = tx.now + timedelta(hours=1)
    await bench.put("waits", key="a", due=later)
    await bench.put("stays", key="b", due=later)
    async with bench.db.begin() as tx:
        await queue.cancel(tx, "a")
    assert await bench.ask("SELECT string_agg(payload->>'what', ' ' ORDER BY id) FROM job") == "slow stays"
    go.set()

    async def slow_is_done() -> bool:
        return await bench.effects() == ["slow"]

    await until(slow_is_done)
    assert await bench.jobs() == 1


async def test_a_rolled_back_transaction_leaves_no_job(bench: Bench) -> None:
    with pytest.raises(LookupError):
        async with bench.db.begin() as tx:
            await queue.enqueue(tx, NewJob("work", {"what": "x"}))
            raise LookupError
    assert await bench.jobs() == 0


async def test_a_full_bulk_lane_does_not_delay_a_page(bench: Bench) -> None:
    """G04: lanes have slots of their own."""
    go = asyncio.Event()

    async def stuck(job: Job) -> None:
        bench.started.append(("stuck", job.owner, job.attempt))
        await go.wait()
        async with bench.db.begin() as tx:
            await queue.finish(tx, job)

    worker = await bench.worker(Kind("stuck", stuck, backoff))
    await bench.put(*(f"{number}" for number in range(100)), kind="stuck", lane="bulk")

    async def full() -> bool:
        return len(bench.started) == engine.SLOTS["bulk"]

    await until(full)
    await bench.put("page")

    async def paged() -> bool:
        return await bench.effects() == ["page"]

    await until(paged)
    assert len(bench.started) == engine.SLOTS["bulk"] + 1
    async with bench.db.begin() as tx:
        waiting = await queue.waiting(tx)
    assert waiting["bulk"][0] == 100 - engine.SLOTS["bulk"]
    assert waiting["page"] == (0, 0.0)
    assert worker.is_alive
    go.set()
    await bench.have_happened("page")


async def test_a_timer_runs_when_it_is_due_and_not_before(bench: Bench) -> None:
    early: list[bool] = []

    async def look(job: Job) -> None:
        async with bench.db.begin() as tx:
            early.append(tx.now < job.due)
            await bench.note(tx, job)
            await queue.finish(tx, job)

    await bench.worker(Kind("look", look, backoff))
    async with bench.db.begin() as tx:
        due = tx.now + timedelta(milliseconds=300)
    await bench.put("timer", kind="look", due=due)
    await bench.have_happened("timer")
    assert early == [False]


async def test_a_job_whose_lease_has_run_out_goes_to_another_worker(bench: Bench) -> None:
    """G04: the rule that always holds."""
    await bench.leave_behind("orphan", owner=NOBODY, lease=timedelta(seconds=-1))
    worker = await bench.worker()
    await bench.have_happened("orphan")
    assert bench.started == [("orphan", worker.number, 2)]


async def test_a_job_of_a_worker_that_holds_no_lock_is_taken_over_long_before_its_lease(bench: Bench) -> None:
    """G04: a killed worker is noticed at once; a living one keeps what it has."""
    go = asyncio.Event()

    async def slow(job: Job) -> None:
        bench.started.append(("slow", job.owner, job.attempt))
        await go.wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    alive = await bench.worker(Kind("slow", slow, backoff), locks=True)

    async def holds_lock() -> bool:
        return bool(await bench.ask(_HOLDS, LOCK_SPACE, alive.number))

    await until(holds_lock)
    await bench.put("slow", kind="slow")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    await bench.leave_behind("orphan", owner=NOBODY, lease=timedelta(hours=1))
    await bench.worker(Kind("slow", slow, backoff), locks=True)

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
    assert await bench.ask(_HOLDS, LOCK_SPACE, worker.number)
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


_HOLDS = "SELECT EXISTS (SELECT FROM pg_locks WHERE classid = $1::oid AND objid = $2::oid AND granted)"


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

    await bench.worker(Kind("long", long, backoff))
    await bench.worker(Kind("long", long, backoff))
    await bench.put("long", kind="long")
    await bench.have_happened("long")
    assert len(bench.started) == 1


async def test_a_slot_of_a_schedule_fires_once_over_two_workers(bench: Bench) -> None:
    """G04: periodic work."""
    fired: list[str] = []

    def kinds(db: Database) -> Sequence[Kind]:
        async def tick(job: Job) -> None:
            fired.append(job.lane)
            async with db.begin() as tx:
                await queue.finish(tx, job)

        return [Kind("tick", tick, backoff)]

    every = [Periodic("tick", "tick", timedelta(hours=1))]
    await ensure_schedules(bench.db, every)
    await ensure_schedules(bench.db, every)
    workers = [await bench.worker(*kinds(bench.db), start=False, periodic=every) for _ in range(4)]
    await asyncio.gather(*(worker.run_due() for worker in workers))
    assert fired == []
    for slot in (1, 2, 3):
        await bench.db.pool.execute("UPDATE schedule SET next_at = tocsin_now() - interval '1 minute'")
        await asyncio.gather(*(worker.run_due() for worker in workers))
        assert len(fired) == slot
        assert await bench.ask("SELECT next_at > tocsin_now() + interval '59 minutes' FROM schedule")
    assert await bench.jobs() == 0
    for worker in workers[:2]:
        await worker.start()
        bench.workers.append(worker)
    await bench.db.pool.execute("UPDATE schedule SET next_at = tocsin_now() - interval '1 minute'")

    async def again() -> bool:
        return len(fired) > 3 and await bench.jobs() == 0

    await until(again)
    assert fired == ["bulk"] * 4


async def test_stopping_waits_for_what_runs(bench: Bench) -> None:
    """G14: an orderly stop."""
    go = asyncio.Event()

    async def slow(job: Job) -> None:
        bench.started.append(("slow", job.owner, job.attempt))
        await go.wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    worker = await bench.worker(Kind("slow", slow, backoff))
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
    """G14: another worker need not wait for a lease."""
    monkeypatch.setattr(engine, "STOP_WITHIN", 0.05)

    async def endless(job: Job) -> None:
        bench.started.append(("endless", job.owner, job.attempt))
        if job.attempt == 1:
            await asyncio.Event().wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    worker = await bench.worker(Kind("endless", endless, backoff))
    await bench.put("endless", kind="endless")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    await worker.stop()
    bench.workers.clear()
    assert await bench.ask("SELECT owner IS NULL AND lease_until IS NULL FROM job")
    other = await bench.worker(Kind("endless", endless, backoff))
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
        bench.started.append((f"slow {job.payload['what']}", job.owner, job.attempt))
        await go.wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    worker = await bench.worker(Kind("slow", slow, lambda _: AT_ONCE))
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
            return bool(await bench.ask(_HOLDS, LOCK_SPACE, worker.number))

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
