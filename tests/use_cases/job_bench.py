"""A bench for the job engine: workers with connections of their own, and a table of what their jobs did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from tests.processes import PATIENCE
from tocsin.db.engine import Database, Tx
from tocsin.jobs import queue
from tocsin.jobs.kinds import Handled, JobKind, Payload, backoff, by_hand
from tocsin.jobs.queue import Job, NewJob
from tocsin.jobs.worker import Worker

AT_ONCE = timedelta(milliseconds=5)
NOBODY = 4711
HOLDS = "SELECT EXISTS (SELECT FROM pg_locks WHERE classid = $1::oid AND objid = $2::oid AND granted)"


class Told(Payload, frozen=True):
    """What the jobs of the bench carry."""

    what: str


def doing(name: str, work: Callable[[Job], Awaitable[None]], retry_after: Callable[[int], timedelta]) -> Handled:
    """A kind of job whose work ends it itself."""

    async def do(job: Job, _: object) -> None:
        await work(job)

    return by_hand(JobKind(name, object, retry_after=retry_after), do)


def told(job: Job) -> str:
    """What a job of the bench carries, or its kind where it carries nothing."""
    return msgspec.json.decode(job.payload).get("what", job.kind)


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

    async def worker(self, *kinds: Handled, start: bool = True, **options: Any) -> Worker:
        """A worker with connections of its own, as another process would have; it knows `work` at least."""
        db = await self.base()
        known = [doing("work", self.work_on(db), lambda _: AT_ONCE), *kinds]
        worker = Worker(db, known, **({"locks": self.locks} | options))
        if start:
            await worker.start()
            self.workers.append(worker)
        return worker

    def held_up(self, go: asyncio.Event) -> Handled:
        """Jobs of the kind `slow`, which have begun and end when they are let go."""

        async def slow(job: Job) -> None:
            self.started.append(("slow", job.owner, job.attempt))
            await go.wait()
            async with self.db.begin() as tx:
                await self.note(tx, job)
                await queue.finish(tx, job)

        return doing("slow", slow, backoff)

    def work_on(self, db: Database) -> Callable[[Job], Awaitable[None]]:
        async def work(job: Job) -> None:
            self.started.append((told(job), job.owner, job.attempt))
            async with db.begin() as tx:
                await self.note(tx, job)
                await queue.finish(tx, job)

        return work

    async def note(self, tx: Tx, job: Job) -> None:
        """Leave the effect of a job in its transaction."""
        await (await tx.raw()).execute("INSERT INTO effect VALUES ($1)", told(job))

    async def put(self, *whats: str, **fields: Any) -> None:
        async with self.db.begin() as tx:
            jobs = [NewJob(**({"kind": "work", "lane": "page", "payload": Told(what)} | fields)) for what in whats]
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

    async def have_happened_but(self, waiting: str, *whats: str) -> None:
        """Wait until these jobs have had their effect and only one is left, which waits."""

        async def done() -> bool:
            return await self.ask("SELECT string_agg(payload->>'what', ' ') FROM job") == waiting

        await until(done)
        assert await self.effects() == sorted(whats)

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
