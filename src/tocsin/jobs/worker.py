"""The worker: claims due jobs lane by lane, runs them, retries them, and takes over from workers that died.

Two rules keep a job from being run by two workers. The lease: a claimed job belongs to its worker for 30 seconds,
renewed every 10. The lock: each worker holds a session advisory lock; when it is gone, its jobs are free after a
second look, so that a killed worker is noticed in about two seconds. Neither is believed in the first seconds after
PostgreSQL itself has started again, because then every worker has just lost its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from tocsin.db import link
from tocsin.db.engine import Database
from tocsin.db.errors import STORE_ERRORS, hide_values
from tocsin.db.link import CLAIMS_WITHIN, Connection, Link, Pool
from tocsin.jobs import clockwatch
from tocsin.jobs.clockwatch import ClockWatch, Waits
from tocsin.jobs.kinds import Handled, Periodic, Run, UnknownJob, backoff
from tocsin.jobs.queue import LANES, Fenced, Job
from tocsin.kit.clock import monotonic

log = structlog.stdlib.get_logger(__name__)

LEASE = timedelta(seconds=30)
RENEW_EVERY = 10.0
POLL = 1.0
SWEEP_EVERY = 1.0
# A lane that could not be asked for work for this long is one in which nothing gets done.
SILENT_AFTER = 15.0
# How often a worker makes sure that the connection of its lock still stands.
ASK_LOCK_EVERY = 5.0
# No takeover until PostgreSQL has been up for this long: living workers need a moment to come back.
SETTLE = timedelta(seconds=8)
STOP_WITHIN = 20.0
SILENT_IN_TRANSACTION = timedelta(seconds=8)
# So long a new worker waits for its lock before it takes jobs; others would take them from it again.
LOCK_WITHIN = 5.0
# First half of the advisory lock's key: "tocs" as a number.
LOCK_SPACE = 0x746F6373


# A job that waits for the outside this long gives its place to another; so many of a lane may run beside its places.
ASIDE_AFTER = 1.0
ASIDE: Mapping[str, int] = {"send": 128}
SLOTS: Mapping[str, int] = {"page": 16, "send": 64, "news": 4, "default": 8, "bulk": 4, "probe": 4}

# Claims what is due and says when the next one will be, both as of one instant. Nothing claimed: one row without an id.
# A clock that is ahead of what the worker expects ($6) claims nothing until the worker has looked at it.
_CLAIM = """
WITH instant AS MATERIALIZED (
    SELECT tocsin_now() AS now
), picked AS (
    SELECT id FROM job
    WHERE lane = $1 AND owner IS NULL AND due <= (SELECT now FROM instant) AND NOT (shares && $5::text[])
      AND ($6::timestamptz IS NULL OR tocsin_clock() <= $6)
    ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE job SET owner = $3, lease_until = (SELECT now FROM instant) + $4, attempt = attempt + 1
    FROM picked WHERE job.id = picked.id
    RETURNING job.id, job.lane, job.kind, job.key, job.due, job.attempt, job.max_attempts, job.payload, job.shares,
              extract(epoch FROM (SELECT now FROM instant) - job.due)::float8 AS late
), coming AS (
    SELECT extract(epoch FROM min(due) - (SELECT now FROM instant))::float8 AS next_in FROM job
    WHERE lane = $1 AND owner IS NULL AND due > (SELECT now FROM instant)
)
SELECT claimed.*, coming.next_in FROM coming LEFT JOIN claimed ON true ORDER BY claimed.due
"""
# What was claimed beyond the limit of a share goes back as it was.
_PUT_BACK = """
UPDATE job SET owner = NULL, lease_until = NULL, attempt = attempt - 1 WHERE owner = $1 AND id = ANY($2::bigint[])
"""
# Only what really runs: a claim whose answer was lost on the way stays nobody's work and ends with its lease.
_RENEW = "UPDATE job SET lease_until = tocsin_now() + $2 WHERE owner = $1 AND id = ANY($3::bigint[])"
_RETRY = """
UPDATE job SET owner = NULL, lease_until = NULL, due = tocsin_now() + $4, last_error = $5
WHERE id = $1 AND attempt = $2 AND owner = $3
"""
# Of a later version: left for it, however long that takes. This is no attempt, and it is looked at less and less often.
_LEAVE = """
UPDATE job SET owner = NULL, lease_until = NULL, attempt = attempt - 1, last_error = $4,
       due = tocsin_now() + least(greatest((tocsin_now() - created_at) / 4, interval '1 s'), interval '5 minutes')
WHERE id = $1 AND attempt = $2 AND owner = $3
"""
_GIVE_UP = """
WITH gone AS (DELETE FROM job WHERE id = $1 AND attempt = $2 AND owner = $3 RETURNING *)
INSERT INTO job_dead (id, lane, kind, key, attempt, payload, created_at, died_at, last_error)
SELECT id, lane, kind, key, attempt, payload, created_at, tocsin_now(), $4 FROM gone
"""
# Jobs of a claim whose answer was lost: nobody runs them, so they need not wait for their lease, nor was it an attempt.
_DISOWN = """
UPDATE job SET owner = NULL, lease_until = NULL, attempt = attempt - 1
WHERE owner = $1 AND lane = $2 AND id <> ALL($3::bigint[])
"""
_RELEASE = "UPDATE job SET owner = NULL, lease_until = NULL WHERE owner = $1"
# A server that seems to start in the future started before the clock went back.
_EXPIRED = """
UPDATE job SET owner = NULL, lease_until = NULL
WHERE owner IS NOT NULL AND lease_until < tocsin_now()
  AND ($2::timestamptz IS NULL OR tocsin_clock() <= $2)
  AND pg_postmaster_start_time() NOT BETWEEN tocsin_clock() - $1::interval AND tocsin_clock()
RETURNING lane
"""
_OWNERS_WITHOUT_LOCK = """
SELECT DISTINCT owner FROM job
WHERE owner IS NOT NULL
  AND pg_postmaster_start_time() NOT BETWEEN tocsin_clock() - $1::interval AND tocsin_clock()
  AND NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = $2::oid AND objid = job.owner::oid AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  )
"""
_TAKE_FROM = "UPDATE job SET owner = NULL, lease_until = NULL WHERE owner = ANY($1::bigint[]) RETURNING lane"
# A session of ours in the middle of a transaction whose client has said nothing for so long. PostgreSQL ends those that
# are idle by itself, but one that was still told what comes next counts as busy, and keeps its locks for ever.
_END_SILENT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name LIKE 'tocsin%'
  AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND wait_event = 'ClientRead'
  AND state_change < clock_timestamp() - $1::interval AND ($2::timestamptz IS NULL OR tocsin_clock() <= $2)
"""
# The number is this worker's alone, so another session with its lock is a connection that it has lost.
_END_GHOST = """
SELECT count(pg_terminate_backend(pid)) FROM pg_locks
WHERE locktype = 'advisory' AND classid = $1::oid AND objid = $2::oid AND granted AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_LOCKED = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = $1::oid AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_FIRE = """
WITH slot AS (
    SELECT name, next_at FROM schedule WHERE name = $1 AND next_at <= tocsin_now() FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE schedule SET next_at = tocsin_now() + $2 FROM slot WHERE schedule.name = slot.name
)
INSERT INTO job (lane, kind, dedup, due, max_attempts, payload)
SELECT $3, $4, 'schedule:' || name || ':' || next_at, tocsin_now(), 5, '{}' FROM slot
ON CONFLICT (dedup) WHERE dedup IS NOT NULL DO NOTHING
"""


class Worker:
    """Runs jobs in this process until it is stopped. Survives restarts of PostgreSQL."""

    def __init__(
        self,
        db: Database,
        handled: Iterable[Handled],
        periodic: Sequence[Periodic] = (),
        *,
        parts: Iterable[object] = (),
        locks: bool = True,
        slots: Mapping[str, int] = SLOTS,
        aside: Mapping[str, int] = ASIDE,
        waits: Sequence[Waits] = (),
    ) -> None:
        self.number = 0
        self.lateness: Callable[[str, float], None] = lambda _lane, _seconds: None
        # How many jobs of one share may run here at once.
        self.limit: Callable[[str], int] = lambda _share: sys.maxsize
        self._db = db
        self._handled = {each.kind.name: each for each in handled}
        # What jobs are given, each by its type.
        self._parts: dict[type[Any], object] = {type(part): part for part in parts}
        if missing := {each.needs for each in self._handled.values()} - {None, Job, *self._parts}:
            raise LookupError(f"Jobs need what this worker does not have: {missing}.")
        self._periodic = periodic
        self._locks = locks
        self._free = {lane: slots.get(lane, 1) for lane in LANES}
        # Lane → how many slow jobs may still move aside.
        self._room = {lane: aside.get(lane, 0) for lane in LANES}
        self._aside = set[int]()
        self._wake = {lane: asyncio.Event() for lane in LANES}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._shares: Counter[str] = Counter()
        # Shares for which a job was left where it was, since one of theirs ended.
        self._were_full = set[str]()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._locked = asyncio.Event()
        self._missing: set[int] = set()
        # Lane → when it was last asked for work, and had an answer.
        self._claimed_at: dict[str, float] = dict.fromkeys(LANES, 0.0)
        self._clock = ClockWatch(db, (*clockwatch.OF_JOBS, *waits))

    @property
    def is_alive(self) -> bool:
        """Whether this worker has asked for work in every lane within the last 15 seconds, and had an answer."""
        return bool(self._tasks) and max(self.silent_for().values()) < SILENT_AFTER

    def silent_for(self) -> dict[str, float]:
        """Return, per lane, for how many seconds this worker has not been able to ask for work."""
        now = monotonic()
        return {lane: now - at for lane, at in self._claimed_at.items()}

    async def run_due(self) -> int:
        """Run every job that is due, one after the other, until none is left; returns how many there were.

        Needs no `start`: for tests and for commands that have to see their work done.
        """
        self.number = self.number or await self._next_number()
        done = 0
        while True:
            await self._fire()
            jobs = [job for lane in LANES for job in (await self._claim(lane, 1))[0]]
            if not jobs:
                return done
            for job in jobs:
                await self.run(job)
            done += len(jobs)

    async def start(self) -> None:
        """Take a number and begin to work."""
        self.number = await self._next_number()
        self._claimed_at = dict.fromkeys(LANES, monotonic())
        await self._watch_clock()
        if self._locks:
            self._tasks.append(asyncio.create_task(self._hold_lock(), name="worker-lock"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOCK_WITHIN):
                    await self._locked.wait()
        for lane in LANES:
            self._db.bell.listen(f"lane:{lane}", self._wake[lane].set)
            self._tasks.append(asyncio.create_task(self._serve(lane), name=f"lane-{lane}"))
        self._tasks.append(asyncio.create_task(self._forever(self._renew, RENEW_EVERY), name="renew"))
        self._tasks.append(asyncio.create_task(self._forever(self._sweep, SWEEP_EVERY), name="sweep"))
        self._tasks.append(asyncio.create_task(self._forever(self._fire, POLL), name="schedules"))
        self._tasks.append(asyncio.create_task(self._forever(self._watch_clock, clockwatch.LOOK_EVERY), name="clock"))
        log.info("worker.started", worker=self.number)

    async def stop(self) -> None:
        """Stop claiming, give running jobs up to 20 seconds, then hand everything back."""
        self._stopping.set()
        asking = [task for task in self._tasks if task.get_name() not in ("worker-lock", "renew")]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        # What was claimed a moment ago and has not begun waits for nobody, and has made no attempt.
        with contextlib.suppress(*STORE_ERRORS):
            for lane in LANES:
                await self._disown(lane)
        if self._running:
            await asyncio.wait(set(self._running.values()), timeout=STOP_WITHIN)
        for task in [*self._tasks, *self._running.values()]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._running.values(), return_exceptions=True)
        with contextlib.suppress(*STORE_ERRORS):
            await self._db.pool.execute(_RELEASE, self.number, timeout=CLAIMS_WITHIN)
        self._tasks.clear()
        log.info("worker.stopped", worker=self.number)

    async def _forever(self, step: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            try:
                await step()
                wait = every
            except STORE_ERRORS as error:
                log.warning("worker.database_unreachable", worker=self.number, error=type(error).__name__)
                wait = min(every, POLL)
            await asyncio.sleep(wait)

    async def _serve(self, lane: str) -> None:
        wake = self._wake[lane]
        is_unsure = False
        while True:
            wait = POLL
            try:
                wake.clear()
                if is_unsure:
                    await self._disown(lane)
                    is_unsure = False
                if (asked := self._free[lane]) > 0:
                    is_unsure = True
                    jobs, wait = await self._claim(lane, asked)
                    excess = [job for job in jobs if not self._begin(job)]
                    is_unsure = bool(excess)
                    self._claimed_at[lane] = monotonic()
                    if excess:
                        ids = [job.id for job in excess]
                        await self._db.pool.execute(_PUT_BACK, self.number, ids, timeout=CLAIMS_WITHIN)
                        is_unsure = False
                    # More may be due, and a slot may have become free meanwhile.
                    if len(jobs) == asked and self._free[lane] > 0:
                        wait = 0.0
                else:
                    # It has all the work that it can do.
                    self._claimed_at[lane] = monotonic()
            except STORE_ERRORS as error:
                log.warning("worker.database_unreachable", worker=self.number, lane=lane, error=type(error).__name__)
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await wake.wait()

    async def _claim(self, lane: str, most: int) -> tuple[list[Job], float]:
        """Claim due jobs, the longest due first; returns them, and how long to wait before looking again."""
        full = [share for share in self._shares if self._is_full(share)]
        values = (lane, most, self.number, LEASE, full, self._clock.latest())
        rows = await self._db.pool.fetch(_CLAIM, *values, timeout=CLAIMS_WITHIN)
        next_in = rows[0]["next_in"]
        jobs: list[Job] = []
        for row in rows:
            if row["id"] is not None:
                self.lateness(lane, row["late"])
                jobs.append(self._job(row))
        return jobs, POLL if next_in is None else min(POLL, max(0.001, next_in))

    async def _disown(self, lane: str) -> None:
        """Give back what a claim took whose answer never came."""
        running = list(self._running)
        await self._db.pool.execute(_DISOWN, self.number, lane, running, timeout=CLAIMS_WITHIN)

    async def _next_number(self) -> int:
        return int(await self._db.pool.fetchval("SELECT nextval('worker_number')"))

    def _job(self, row: asyncpg.Record) -> Job:
        return Job(
            id=row["id"],
            lane=row["lane"],
            kind=row["kind"],
            key=row["key"],
            due=row["due"],
            attempt=row["attempt"],
            max_attempts=row["max_attempts"],
            owner=self.number,
            payload=row["payload"],
            claimed_at=row["due"] + timedelta(seconds=row["late"]),
            shares=row["shares"],
        )

    def _begin(self, job: Job) -> bool:
        """Start a claimed job, unless something that it shares is taken up already."""
        if any(self._is_full(share) for share in job.shares):
            return False
        self._free[job.lane] -= 1
        self._shares.update(job.shares)
        self._running[job.id] = asyncio.create_task(self._run(job), name=f"job-{job.kind}")
        return True

    def _is_full(self, share: str) -> bool:
        if is_full := self._shares[share] >= self.limit(share):
            self._were_full.add(share)
        return is_full

    async def _run(self, job: Job) -> None:
        slow = asyncio.get_running_loop().call_later(ASIDE_AFTER, self._move_aside, job)
        try:
            await self.run(job)
        finally:
            slow.cancel()
            self._running.pop(job.id, None)
            # Only a full lane or share has left due jobs behind. This job may have made more room in its share.
            if self._free[job.lane] == 0 or not self._were_full.isdisjoint(job.shares):
                self._were_full.difference_update(job.shares)
                self._wake[job.lane].set()
            is_aside = job.id in self._aside
            self._aside.discard(job.id)
            (self._room if is_aside else self._free)[job.lane] += 1
            self._shares -= Counter(job.shares)

    def _move_aside(self, job: Job) -> None:
        """Give the place of a slow job to another one: many that hang at once must not hold up one that would not."""
        if self._room[job.lane] > 0:
            self._room[job.lane] -= 1
            self._aside.add(job.id)
            self._free[job.lane] += 1
            self._wake[job.lane].set()

    async def run(self, job: Job) -> None:
        """Run one claimed job to its end: finished, put back for another attempt, or given up."""
        handled = self._handled.get(job.kind)
        try:
            if handled is None:
                raise UnknownJob(f"nothing is done here for jobs of kind {job.kind}")
            await self._do(handled, job)
            if not job.finished:
                raise RuntimeError(f"the handler of {job.kind} returned without finishing its job")
        except Fenced:
            log.warning("job.taken_over", kind=job.kind, job=job.id, worker=self.number)
        except Exception as error:  # noqa: BLE001  Whatever a handler raises must end in a retry, not in silence.
            await self._failed(job, handled, error)

    async def _do(self, handled: Handled, job: Job) -> None:
        carried = handled.kind.read(job.payload)
        job.happened_at = carried.at
        run = Run(self._db, job, carried.depth)
        if handled.needs is None:
            await handled.run(run, carried.payload)
        else:
            await handled.run(run, carried.payload, job if handled.needs is Job else self._parts[handled.needs])

    async def _failed(self, job: Job, handled: Handled | None, error: Exception) -> None:
        if job.finished:
            # It ended in a transaction that then failed to commit, so the row is still there.
            job.finished = False
        hide_values(error)
        words = f"{type(error).__name__}: {error}"[:2000]
        is_unknown = isinstance(error, UnknownJob)
        if is_unknown:
            log.warning("job.unknown", kind=job.kind, job=job.id, error=words)
        else:
            log.warning("job.failed", kind=job.kind, job=job.id, attempt=job.attempt, exc_info=error)
        while True:
            try:
                if is_unknown:
                    await self._db.pool.execute(_LEAVE, job.id, job.attempt, job.owner, words)
                elif job.attempt >= job.max_attempts:
                    await self._db.pool.execute(_GIVE_UP, job.id, job.attempt, job.owner, words)
                    log.error("job.given_up", kind=job.kind, job=job.id, attempt=job.attempt)
                else:
                    wait = (handled.kind.retry_after if handled else backoff)(job.attempt)
                    await self._db.pool.execute(_RETRY, job.id, job.attempt, job.owner, wait, words)
            except STORE_ERRORS:
                if self._stopping.is_set():
                    return
                await asyncio.sleep(POLL)
            else:
                return

    async def _renew(self) -> None:
        await self._db.pool.execute(_RENEW, self.number, LEASE, list(self._running), timeout=CLAIMS_WITHIN)

    async def _sweep(self) -> None:
        """Free the locks of sessions, and the jobs of workers, that are gone."""
        silent = (SILENT_IN_TRANSACTION, self._clock.latest())
        if ended := await self._db.pool.fetchval(_END_SILENT, *silent, timeout=CLAIMS_WITHIN):
            log.warning("worker.silent_sessions_ended", sessions=ended, by=self.number)
        freed = list(await self._db.pool.fetch(_EXPIRED, SETTLE, self._clock.latest(), timeout=CLAIMS_WITHIN))
        if self._locks:
            rows = await self._db.pool.fetch(_OWNERS_WITHOUT_LOCK, SETTLE, LOCK_SPACE, timeout=CLAIMS_WITHIN)
            missing = {int(row["owner"]) for row in rows} - {self.number}
            # Seen twice in a row, a second apart: the worker is gone and not merely reconnecting.
            if gone := missing & self._missing:
                log.warning("worker.takeover", workers=sorted(gone), by=self.number)
                freed += await self._db.pool.fetch(_TAKE_FROM, sorted(gone), timeout=CLAIMS_WITHIN)
            self._missing = missing
        if freed:
            self._db.bell.ring({f"lane:{row['lane']}" for row in freed})

    async def _fire(self) -> None:
        for work in self._periodic:
            values = (work.name, work.every, work.kind.lane, work.kind.name)
            done = await self._db.pool.execute(_FIRE, *values, timeout=CLAIMS_WITHIN)
            if done != "INSERT 0 0":
                self._wake[work.kind.lane].set()

    async def _watch_clock(self) -> None:
        if await self._clock.look():
            for wake in self._wake.values():
                wake.set()

    async def _hold_lock(self) -> None:
        """Hold this worker's advisory lock on a connection of its own, and take it again after an outage.

        While an earlier connection of ours hangs, its session may still hold the lock, so that nobody takes our jobs.
        """
        while True:
            connection: Link | None = None
            lost = asyncio.Event()
            try:
                connection = await link.connect(
                    self._db.dsn, settings={"application_name": "tocsin-lock"}, answers_within=CLAIMS_WITHIN
                )
                connection.add_termination_listener(lambda _, gone=lost: gone.set())
                await connection.fetchval(_END_GHOST, LOCK_SPACE, self.number)
                await connection.execute("SELECT pg_advisory_lock($1::int, $2::int)", LOCK_SPACE, self.number)
                self._locked.set()
                await link.ask_now_and_then(connection, lost, ASK_LOCK_EVERY)
            except STORE_ERRORS as error:
                log.warning("worker.lock_lost", worker=self.number, error=type(error).__name__)
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(0.2)


async def workers_alive(connection: Connection | Pool) -> int:
    """Count the workers of all processes that hold their lock on this database; one that works without is not seen."""
    return int(await connection.fetchval(_LOCKED, LOCK_SPACE))


async def ensure_schedules(db: Database, periodic: Sequence[Periodic]) -> None:
    """Make sure that every periodic work has its row; a new one is due after its first interval."""
    await db.pool.executemany(
        "INSERT INTO schedule (name, next_at) VALUES ($1, tocsin_now() + $2) ON CONFLICT DO NOTHING",
        [(work.name, work.every) for work in periodic],
    )
