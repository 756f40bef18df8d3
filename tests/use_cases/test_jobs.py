"""The job engine on a real PostgreSQL: claiming, retrying, giving up, timers and schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.use_cases.job_bench import AT_ONCE, NOBODY, Bench, Told, doing, until
from tocsin.db.engine import Database, Tx
from tocsin.jobs import queue
from tocsin.jobs import worker as engine
from tocsin.jobs.kinds import Handled, JobKind, Nothing, Periodic, Run, backoff, in_one, in_portions, in_several
from tocsin.jobs.queue import Job, NewJob
from tocsin.jobs.worker import ensure_schedules


async def test_two_workers_run_each_job_exactly_once(bench: Bench) -> None:
    """G04: a claim is exclusive."""
    names = [f"{number:03}" for number in range(300)]
    for at in range(0, 300, 50):
        await bench.put(*names[at : at + 50])
    await bench.worker()
    await bench.worker()
    await bench.have_happened(*names)
    assert len(bench.started) == 300


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

    await bench.worker(doing("shaky", shaky, wait))
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
    ],
)
async def test_a_job_that_never_works_is_given_up_and_kept_with_its_error(
    bench: Bench, kind: str, handler: Callable[[Job], Awaitable[None]], words: str
) -> None:
    """G04, G13: nothing disappears silently."""
    await bench.worker(doing(kind, handler, lambda _: AT_ONCE))
    await bench.put("x", kind=kind, key="about:x", max_attempts=2)

    async def given_up() -> bool:
        return bool(await bench.ask("SELECT count(*) FROM job_dead") == 1)

    await until(given_up)
    assert await bench.jobs() == 0
    async with bench.db.begin() as tx:
        dead = (await queue.dead(tx))[0]
    assert (dead.kind, dead.lane, dead.key, dead.payload) == (kind, "page", "about:x", {"what": "x"})
    assert (dead.attempt, dead.last_error) == (2, words)


async def test_a_job_of_a_later_version_waits_for_it_and_uses_up_no_attempt(bench: Bench) -> None:
    """G04: while versions run side by side, and after a way back, nothing that the later one wanted is lost."""
    earlier = await bench.worker(start=False)
    await bench.put("x", kind="later", max_attempts=1)
    for looks in range(1, 4):
        assert await earlier.run_due() == 1, f"look {looks}"
        row = await bench.db.pool.fetchrow(
            "SELECT attempt, owner, last_error, due > tocsin_now(), due <= tocsin_now() + interval '5 minutes' FROM job"
        )
        assert row is not None
        words = "UnknownJob: nothing is done here for jobs of kind later"
        assert tuple(row.values()) == (0, None, words, True, True)
        await bench.db.pool.execute("UPDATE job SET due = tocsin_now(), created_at = created_at - interval '1 day'")
    assert await bench.ask("SELECT count(*) FROM job_dead") == 0
    later = await bench.worker(doing("later", bench.work_on(bench.db), backoff), start=False)
    await later.run_due()
    assert await bench.effects() == ["x"]
    assert await bench.jobs() == 0


async def test_what_a_job_carries_and_cannot_be_read_is_kept_with_what_is_wrong(bench: Bench) -> None:
    """G13: a payload that is no such one is not done, and not forgotten."""

    async def never(tx: Tx, _: Told) -> None:
        raise AssertionError

    worker = await bench.worker(in_one(JobKind("typed", Told, retry_after=lambda _: AT_ONCE), never), start=False)
    await bench.put("x", kind="typed", payload={"what": 5}, max_attempts=1)
    await worker.run_due()
    async with bench.db.begin() as tx:
        dead = (await queue.dead(tx))[0]
    assert dead.last_error.startswith("ValidationError: ") and "$.what" in dead.last_error


@pytest.mark.parametrize("comes_again", [False, True], ids=["ends", "comes again"])
async def test_work_in_one_transaction_ends_with_its_effect_or_not_at_all(bench: Bench, comes_again: bool) -> None:
    """G04: effect and end are one commit; whoever was overtaken has done nothing."""

    async def work(tx: Tx, payload: Told, job: Job) -> datetime | None:
        await bench.note(tx, job)
        if payload.what == "overtaken":
            await bench.db.pool.execute(f"UPDATE job SET owner = {NOBODY}")
        return tx.now + timedelta(hours=1) if comes_again else None

    worker = await bench.worker(in_one(JobKind("one", Told), work, needs=Job), start=False)
    await bench.put("overtaken", kind="one")
    await worker.run_due()
    assert await bench.effects() == []
    assert await bench.ask("SELECT owner FROM job") == NOBODY
    await bench.db.pool.execute("DELETE FROM job")
    await bench.put("x", kind="one")
    await worker.run_due()
    assert await bench.effects() == ["x"]
    assert await bench.jobs() == comes_again


async def test_work_in_portions_ends_with_the_last(bench: Bench) -> None:
    """G04: what is committed before stands, and the job is there until all of it is done."""
    left: list[int] = []

    async def work(tx: Tx, _: Told, job: Job) -> bool:
        left.append(await bench.jobs())
        await bench.note(tx, job)
        if len(left) == 3:
            raise ValueError("half way")
        return len(left) < 5

    kind = JobKind("portions", Told, retry_after=lambda _: timedelta())
    worker = await bench.worker(in_portions(kind, work, needs=Job), start=False)
    await bench.put("x", kind="portions")
    await worker.run_due()
    assert left == [1] * 5
    assert await bench.effects() == ["x"] * 4
    assert await bench.jobs() == 0


async def test_work_in_several_transactions_ends_behind_them(bench: Bench) -> None:
    """G04: whoever is overtaken on the way does not end what is another's by then."""

    async def work(run: Run, payload: Told) -> None:
        for _ in range(2):
            async with run.begin() as tx:
                await bench.note(tx, run.job)
        if payload.what == "overtaken":
            await bench.db.pool.execute(f"UPDATE job SET owner = {NOBODY}")

    worker = await bench.worker(in_several(JobKind("several", Told), work), start=False)
    await bench.put("overtaken", kind="several")
    await worker.run_due()
    assert await bench.ask("SELECT owner FROM job") == NOBODY
    await bench.db.pool.execute("DELETE FROM job")
    await bench.put("x", kind="several")
    await worker.run_due()
    assert await bench.effects() == ["overtaken", "overtaken", "x", "x"]
    assert await bench.jobs() == 0


async def test_a_worker_that_lacks_what_a_job_needs_is_not_made(bench: Bench) -> None:
    async def work(tx: Tx, _: Nothing, number: int) -> None: ...

    with pytest.raises(LookupError, match="int"):
        await bench.worker(in_one(JobKind("needs", Nothing), work, needs=int), start=False)


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

    await bench.worker(bench.held_up(go))
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

    worker = await bench.worker(doing("stuck", stuck, backoff))
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

    await bench.worker(doing("look", look, backoff))
    async with bench.db.begin() as tx:
        due = tx.now + timedelta(milliseconds=300)
    await bench.put("timer", kind="look", due=due)
    await bench.have_happened("timer")
    assert early == [False]


async def test_a_slot_of_a_schedule_fires_once_over_two_workers(bench: Bench) -> None:
    """G04: periodic work."""
    fired: list[str] = []

    def kinds(db: Database) -> Sequence[Handled]:
        async def tick(job: Job) -> None:
            fired.append(job.lane)
            async with db.begin() as tx:
                await queue.finish(tx, job)

        return [doing("tick", tick, backoff)]

    every = [Periodic(JobKind("tick", Nothing, lane="bulk"), timedelta(hours=1))]
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
