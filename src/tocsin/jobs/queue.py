"""The job table: putting jobs in, taking them out of a transaction, finishing them inside one.

A timer, a retry and an orphan are the same thing: a row with a `due`. Completing a job deletes its row in the
transaction that holds its effect, fenced by owner and attempt, so that a job taken over by somebody else cannot be
completed twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Identity, Index, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.db.engine import Tx, encode_json
from tocsin.kit.record import JsonObject, Record

# `page` routes and escalates and never waits for the outside; `send` calls out, and `news` does for what wakes nobody.
LANES = ("page", "send", "news", "default", "bulk", "probe")


class JobRow(Record):
    """A job that is due at some time; `owner` is the worker that runs it now."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("lane IN ('page', 'send', 'news', 'default', 'bulk', 'probe')", name="lane"),
        Index("job_due_idx", "lane", "due", postgresql_where=text("owner IS NULL")),
        Index("job_owner_idx", "owner", postgresql_where=text("owner IS NOT NULL")),
        Index("job_dedup_key", "dedup", unique=True, postgresql_where=text("dedup IS NOT NULL")),
        Index("job_key_idx", "key", postgresql_where=text("key IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    lane: Mapped[str]
    kind: Mapped[str]
    key: Mapped[str | None]
    dedup: Mapped[str | None]
    # What the job has to share with others, such as the server that it calls.
    shares: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    due: Mapped[datetime]
    attempt: Mapped[int] = mapped_column(server_default="0")
    max_attempts: Mapped[int]
    owner: Mapped[int | None]
    lease_until: Mapped[datetime | None]
    payload: Mapped[JsonObject]
    created_at: Mapped[datetime] = mapped_column(server_default=text("tocsin_now()"))
    last_error: Mapped[str | None]


class DeadJob(Record):
    """A job that was given up, for administrators to see."""

    __tablename__ = "job_dead"

    id: Mapped[int] = mapped_column(primary_key=True)
    lane: Mapped[str]
    kind: Mapped[str]
    key: Mapped[str | None]
    attempt: Mapped[int]
    payload: Mapped[JsonObject]
    created_at: Mapped[datetime]
    died_at: Mapped[datetime] = mapped_column(index=True)
    last_error: Mapped[str]


class ScheduleRow(Record):
    """Periodic work: whoever finds `next_at` in the past enqueues one job and moves it on."""

    __tablename__ = "schedule"

    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be. `dedup`: at most one waits or runs with it; `key`: for cancelling all of one subject.

    `shares` names what the job has to share with others, such as the server that it calls; a worker runs only so many
    jobs of one share at once. A name has no line breaks.
    """

    kind: str
    payload: object
    lane: str = "default"
    due: datetime | None = None
    key: str | None = None
    dedup: str | None = None
    max_attempts: int = 20
    shares: Sequence[str] = ()


@dataclass(slots=True)
class Job:
    """A job that this worker has claimed, at a time of the database; its kind reads the payload.

    `finished` is set once its row is gone, or waits again. `happened_at` is when the event was written that it reacts
    to, where it reacts to one and the version that wrote it has said so.
    """

    id: int
    lane: str
    kind: str
    key: str | None
    due: datetime
    attempt: int
    max_attempts: int
    owner: int
    payload: str
    claimed_at: datetime
    shares: Sequence[str] = ()
    finished: bool = field(default=False)
    happened_at: datetime | None = None


class Fenced(Exception):
    """Another worker has taken the job over in the meantime; what this one did must roll back."""


INSERT_JOBS = """
INSERT INTO job (lane, kind, key, dedup, due, max_attempts, payload, shares)
SELECT lane, kind, key, dedup, coalesce(due, tocsin_now()), max_attempts, payload, string_to_array(shares, E'\n')
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::jsonb[], $8::text[])
     AS new (lane, kind, key, dedup, due, max_attempts, payload, shares)
ON CONFLICT (dedup) WHERE dedup IS NOT NULL DO NOTHING
"""


def to_enqueue(tx: Tx, jobs: Sequence[NewJob]) -> tuple[list[Any], ...]:
    """Return the arguments of `INSERT_JOBS` for these jobs, for whoever writes them with other things.

    The bell rings for those that are due when the transaction commits.
    """
    for job in jobs:
        if job.due is None or job.due <= tx.now:
            tx.ring(f"lane:{job.lane}")
    return insert_arguments(jobs)


def insert_arguments(jobs: Sequence[NewJob]) -> tuple[list[Any], ...]:
    """Return the arguments of `INSERT_JOBS` for these jobs."""
    return (
        [j.lane for j in jobs],
        [j.kind for j in jobs],
        [j.key for j in jobs],
        [j.dedup for j in jobs],
        [j.due for j in jobs],
        [j.max_attempts for j in jobs],
        [encode_json(j.payload) for j in jobs],
        # Arrays of arrays would be read as one long array.
        ["\n".join(j.shares) for j in jobs],
    )


async def enqueue(tx: Tx, *jobs: NewJob) -> None:
    """Put jobs into the queue; they become visible, and the bell rings, when the transaction commits."""
    if jobs:
        await (await tx.raw()).execute(INSERT_JOBS, *to_enqueue(tx, jobs))


async def cancel(tx: Tx, *keys: str) -> None:
    """Remove every waiting job with one of these keys. One that runs now meets the changed state instead."""
    if keys:
        await tx.flush()
        await (await tx.raw()).execute(_CANCEL, keys)


async def hasten(tx: Tx, *keys: str) -> None:
    """Let every waiting job with one of these keys be due now."""
    if keys:
        connection = await tx.raw()
        rows = await connection.fetch(_HASTEN, keys)
        for row in rows:
            tx.ring(f"lane:{row['lane']}")


async def move(tx: Tx, key: str, shares: Sequence[str], *, now: bool) -> None:
    """Let every waiting job with this key share other things from now on; `now`: and be due."""
    connection = await tx.raw()
    for row in await connection.fetch(_MOVE, key, list(shares), now):
        tx.ring(f"lane:{row['lane']}")


_MOVE = """
UPDATE job SET shares = $2, due = CASE WHEN $3 THEN least(due, tocsin_now()) ELSE due END
WHERE key = $1 AND owner IS NULL RETURNING lane
"""
_CANCEL = "DELETE FROM job WHERE key = ANY($1::text[]) AND owner IS NULL"
_HASTEN = """
UPDATE job SET due = least(due, tocsin_now()) WHERE key = ANY($1::text[]) AND owner IS NULL RETURNING lane
"""
_FINISH = "DELETE FROM job WHERE id = $1 AND (NOT $2 OR (attempt = $3 AND owner = $4))"
_POSTPONE = """
UPDATE job SET owner = NULL, lease_until = NULL, due = $5
WHERE id = $1 AND (NOT $2 OR (attempt = $3 AND owner = $4))
"""


async def finish(tx: Tx, job: Job, *, fenced: bool = True) -> None:
    """Complete the job in this transaction; raises `Fenced` when it is no longer ours.

    Not `fenced`: for an effect that cannot be taken back and has a fence of its own. Whoever has the job by then is
    the one who meets `Fenced`.
    """
    await _let_go(tx, job, fenced, _FINISH)


async def postpone(tx: Tx, job: Job, due: datetime, *, fenced: bool = True) -> None:
    """Give the job back for a later time in this transaction; `fenced` as in `finish`."""
    await _let_go(tx, job, fenced, _POSTPONE, due)


async def _let_go(tx: Tx, job: Job, fenced: bool, statement: str, *values: object) -> None:
    connection = await tx.raw()
    done = await connection.execute(statement, job.id, fenced, job.attempt, job.owner, *values)
    if fenced and not done.endswith(" 1"):
        raise Fenced(f"job {job.id} ({job.kind}) was taken over")
    job.finished = True


async def waiting(tx: Tx) -> dict[str, tuple[int, float]]:
    """Return, per lane, how many jobs are due and the age in seconds of the oldest of them."""
    age = func.coalesce(func.extract("epoch", func.tocsin_now() - func.min(JobRow.due)), 0)
    query = (
        select(JobRow.lane, func.count(), age)
        .where(JobRow.owner.is_(None), JobRow.due <= func.tocsin_now())
        .group_by(JobRow.lane)
    )
    found = {lane: (number, float(seconds)) for lane, number, seconds in (await tx.session.execute(query)).all()}
    return {lane: found.get(lane, (0, 0.0)) for lane in LANES}


async def unknown(tx: Tx, known: Collection[str]) -> dict[str, int]:
    """Count the jobs that a later version has enqueued, or an earlier one long ago: all whose kind is none of these."""
    query = select(JobRow.kind, func.count()).where(JobRow.kind.not_in(known)).group_by(JobRow.kind)
    return {kind: number for kind, number in (await tx.session.execute(query.order_by(JobRow.kind))).all()}


async def dead(tx: Tx, *, limit: int = 50) -> list[DeadJob]:
    """Return the jobs that were given up last."""
    return list((await tx.session.scalars(select(DeadJob).order_by(DeadJob.died_at.desc()).limit(limit))).all())


def subject(kind: str, id: UUID) -> str:
    """Write the key under which the jobs of one thing are found again."""
    return f"{kind}:{id}"
