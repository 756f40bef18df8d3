"""The database's clock steps: what is left of a wait stays left, and nothing is taken early or left lying."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.use_cases.job_bench import NOBODY, Bench, until
from tests.world import World, minutes
from tocsin.app import WAITS
from tocsin.db.engine import Database
from tocsin.jobs import clockwatch
from tocsin.jobs import worker as engine
from tocsin.jobs.clockwatch import OF_JOBS, ClockWatch, recent_steps
from tocsin.jobs.worker import SETTLE

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
BOTH_WAYS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
LEFT = "SELECT due - tocsin_now() FROM job"


async def set_clock(db: Database, by: timedelta) -> None:
    """Have the database's clock differ so much from the real one from now on."""
    await db.pool.execute(
        "CREATE OR REPLACE FUNCTION tocsin_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"'SELECT clock_timestamp() + interval ''{by.total_seconds()} seconds'''"
    )


async def steps(db: Database) -> list[int]:
    return [row[0] for row in await db.pool.fetch("SELECT seconds FROM clock_step ORDER BY id")]


async def noticed(bench: Bench, *wanted: int) -> None:
    """Wait until the workers have noticed these steps, give or take a second."""

    async def counted() -> bool:
        return len(await steps(bench.db)) >= len(wanted)

    await until(counted)
    assert [round(seconds / 60) for seconds in await steps(bench.db)] == [round(each / 60) for each in wanted]


async def put_timer(bench: Bench, what: str, wait: timedelta) -> None:
    await bench.put(what, due=await bench.ask("SELECT tocsin_now() + $1::interval", wait))


async def test_a_clock_that_goes_back_an_hour_stops_no_timer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: the wait is a second, not an hour and a second; over three workers it is moved once."""
    monkeypatch.setattr(clockwatch, "LOOK_EVERY", 0.1)
    for _ in range(3):
        await bench.worker()
    await put_timer(bench, "timer", SECOND)
    await set_clock(bench.db, -HOUR)
    await bench.put("at once")
    await bench.have_happened("at once", "timer")
    await noticed(bench, -3600)
    # Nobody counts it again.
    await put_timer(bench, "later", SECOND)
    await bench.have_happened("at once", "later", "timer")
    await noticed(bench, -3600)
    assert [entry[2] for entry in bench.started] == [1, 1, 1]


async def test_a_clock_that_goes_forward_an_hour_ends_no_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: also not in the moment before anybody has noticed, when everything seems due; no attempt is used up."""
    monkeypatch.setattr(engine, "POLL", 0.01)
    for _ in range(3):
        await bench.worker()
    await put_timer(bench, "timer", minutes(5))
    await set_clock(bench.db, HOUR)
    await bench.put("at once")
    await noticed(bench, 3600)
    assert minutes(4) < await bench.ask(f"{LEFT} WHERE payload->>'what' = 'timer'") <= minutes(5)
    await bench.have_happened_but("timer", "at once")
    assert await bench.ask("SELECT attempt FROM job") == 0
    # When it has come back, five minutes are five minutes still.
    await set_clock(bench.db, timedelta(0))
    await noticed(bench, 3600, -3600)
    assert minutes(4) < await bench.ask(LEFT) <= minutes(5)
    assert [entry[0] for entry in bench.started] == ["at once"]


async def test_a_clock_that_goes_forward_takes_no_job_from_a_living_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: all leases seem to have run out, and a page would go out a second time."""
    monkeypatch.setattr(engine, "POLL", 0.01)
    go = asyncio.Event()
    await bench.worker(bench.held_up(go))
    await bench.put("slow", kind="slow")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    await bench.worker(bench.held_up(go))
    await set_clock(bench.db, HOUR)
    await noticed(bench, 3600)
    left: timedelta = await bench.ask("SELECT lease_until - tocsin_now() FROM job")
    assert timedelta(0) < left <= engine.LEASE
    go.set()
    await bench.have_happened("slow")
    assert len(bench.started) == 1


async def test_a_clock_that_went_back_does_not_keep_jobs_with_the_dead(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: PostgreSQL seems to start in an hour from now, so it would look freshly started for all that time."""
    monkeypatch.setattr(engine, "SETTLE", SETTLE)
    await set_clock(bench.db, -HOUR)
    await bench.leave_behind("orphan", owner=NOBODY, lease=-SECOND)
    await bench.worker()
    await bench.have_happened("orphan")


class Count:
    """A count of seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Watched:
    """A database whose clock stands where the test sets it, and watches that count what the test says."""

    def __init__(self, db: Database, at: datetime) -> None:
        self.db = db
        self.at = at
        self.counts: list[Count] = []

    async def watch(self) -> tuple[ClockWatch, Count]:
        count = Count()
        self.counts.append(count)
        watch = ClockWatch(self.db, count=count)
        await watch.look()
        return watch, count

    async def set(self, by: timedelta) -> None:
        self.at += by
        await self.db.pool.execute(
            "CREATE OR REPLACE FUNCTION tocsin_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"'SELECT timestamptz ''{self.at.isoformat()}'''"
        )

    async def put(self, wait: timedelta) -> None:
        await self.db.pool.execute("DELETE FROM job")
        await self.db.pool.execute(
            "INSERT INTO job (lane, kind, due, max_attempts, payload)"
            " VALUES ('page', 'x', tocsin_now() + $1::interval, 1, '{}')",
            wait,
        )

    async def left(self) -> timedelta:
        found: Any = await self.db.pool.fetchval(LEFT)
        return found


@pytest.fixture
async def watched(db: Database) -> Watched:
    made = Watched(db, await db.pool.fetchval("SELECT clock_timestamp()"))
    await made.set(timedelta(0))
    return made


@BOTH_WAYS
@pytest.mark.parametrize("wait", [timedelta(0), 10 * SECOND, minutes(5), -minutes(5)])
async def test_what_is_left_of_a_wait_stays_left(watched: Watched, step: timedelta, wait: timedelta) -> None:
    """G04: whatever was set before the step moves with it, what is overdue as well."""
    watch, _ = await watched.watch()
    await watched.put(wait)
    await watch.look()
    await watched.set(step)
    assert await watch.look()
    assert await watched.left() == wait
    assert not await watch.look()


@BOTH_WAYS
@pytest.mark.parametrize("wait", [timedelta(0), 10 * SECOND, minutes(5)])
async def test_a_wait_that_was_set_after_the_step_is_left_alone(
    watched: Watched, step: timedelta, wait: timedelta
) -> None:
    """G04: an alert that comes in before the step is noticed is neither routed an hour late nor escalated early."""
    watch, _ = await watched.watch()
    await watched.set(step)
    await watched.put(wait)
    assert await watch.look()
    assert await watched.left() == wait


@BOTH_WAYS
async def test_a_wait_that_was_set_right_before_the_step_moves(watched: Watched, step: timedelta) -> None:
    """G04: in the same second as the step, after the last look."""
    watch, _ = await watched.watch()
    await watched.put(minutes(5))
    await watched.set(step)
    assert await watch.look()
    assert await watched.left() == minutes(5)


async def test_time_that_has_passed_is_no_step(watched: Watched) -> None:
    """G04: the machine was busy, or asleep with its clock running: waits are over when they are over."""
    watch, count = await watched.watch()
    await watched.put(minutes(5))
    await watched.set(HOUR)
    count.seconds += 3600
    assert not await watch.look()
    assert await watched.left() == minutes(5) - HOUR
    assert await steps(watched.db) == []


@pytest.mark.parametrize("step", [4 * SECOND, 9 * SECOND, -4 * SECOND])
async def test_a_small_difference_moves_nothing(watched: Watched, step: timedelta) -> None:
    """G04: a clock that is steered, and looks that take their time."""
    watch, _ = await watched.watch()
    await watched.put(minutes(5))
    await watched.set(step)
    assert not await watch.look()
    assert await watched.left() == minutes(5) - step


async def test_a_worker_that_was_paused_moves_nothing_while_others_watched(watched: Watched) -> None:
    """G04: to it alone the clock seems to have stepped."""
    paused, _ = await watched.watch()
    awake, count = await watched.watch()
    await watched.put(minutes(5))
    await watched.set(HOUR)
    count.seconds += 3600
    assert not await awake.look()
    assert not await paused.look()
    assert await watched.left() == minutes(5) - HOUR
    # From now on it sees steps again.
    await watched.set(HOUR)
    assert await paused.look()
    # The other one finds that this has been counted.
    assert not await awake.look()
    assert await steps(watched.db) == [3600]


async def test_two_workers_that_see_one_step_count_it_once(watched: Watched) -> None:
    """G04: at the very same moment."""
    watches = [(await watched.watch())[0] for _ in range(4)]
    await watched.put(minutes(5))
    await watched.set(-HOUR)
    assert sorted(await asyncio.gather(*(watch.look() for watch in watches))) == [False, False, False, True]
    assert await watched.left() == minutes(5)
    assert await steps(watched.db) == [-3600]


async def test_a_clock_that_went_back_while_nobody_watched_is_noticed_at_the_start(watched: Watched) -> None:
    """G04: a machine that starts with an old time and is set right a minute later loses no hour."""
    await watched.watch()
    await watched.put(minutes(5))
    await watched.set(-HOUR)
    watch, _ = await watched.watch()
    assert await watched.left() == minutes(5)
    await watched.set(HOUR)
    assert await watch.look()
    assert await watched.left() == minutes(5)


async def test_a_look_that_could_not_be_finished_is_made_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: the store may be away just then."""
    watch, _ = await watched.watch()
    await watched.put(minutes(5))
    await watched.set(-HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(clockwatch, "_RECORD", "SELECT $1::timestamptz, $2::bigint, $3::bigint, 1 / 0")
        with pytest.raises(Exception, match="division by zero"):
            await watch.look()
    assert await watched.left() == minutes(5) + HOUR
    assert await watch.look()
    assert await watched.left() == minutes(5)


async def test_the_steps_of_the_last_days_can_be_read(watched: Watched) -> None:
    """G04: for the report of `tocsin doctor`."""
    watch, _ = await watched.watch()
    await watched.put(minutes(5))
    await watched.set(-HOUR)
    await watch.look()
    async with watched.db.begin() as tx:
        assert [(seconds, moved) for _, seconds, moved in await recent_steps(tx)] == [(-3600, 1)]
    await watched.set(timedelta(days=8))
    async with watched.db.begin() as tx:
        assert await recent_steps(tx) == []


@BOTH_WAYS
async def test_an_escalation_keeps_its_pace_when_the_clock_steps(world: World, step: timedelta) -> None:
    """F055, G04: the next person is paged five minutes after the first, no sooner and no later."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    count = Count()
    watch = ClockWatch(world.db, (*OF_JOBS, *WAITS), count=count)
    await world.db.pool.execute(
        "CREATE OR REPLACE FUNCTION tocsin_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
        " 'SELECT at FROM test_clock'"
    )
    await watch.look()
    alert = await world.alert()
    assert len(world.mail.to(ada)) == 1
    run = "SELECT next_step_at - tocsin_now() FROM escalation_run"
    await watch.look()
    await world.db.pool.execute("UPDATE test_clock SET at = at + $1", step)
    assert await watch.look()
    await world.settle()
    assert world.mail.to(bob) == []
    assert minutes(4) < await world.db.pool.fetchval(run) <= minutes(5)
    await world.pass_time(minutes(4))
    assert world.mail.to(bob) == []
    await world.pass_time(minutes(1))
    assert len(world.mail.to(bob)) == 1
    assert len(world.mail.to(ada)) == 1
    assert (await world.again(alert)).status == "triggered"
