"""What a domain says of its jobs: their names, what they carry, and what is done for them.

A job has to end in the transaction of its effect, or it may be done twice. So what is done for it is registered with
one of four functions, which differ in how the end is written:

- `in_one`: it is given one transaction, and the job ends in that one.
- `in_portions`: one transaction after the other until nothing is left; the job ends in the last.
- `in_several`: it opens transactions of its own, each of which may be made again; the job ends behind them.
- `by_hand`: it ends its job itself, because the end has a fence of its own. The worker makes sure that it did.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, overload

import msgspec

from tocsin.db.engine import Database, Tx
from tocsin.jobs.queue import Job, NewJob, finish, postpone

P = TypeVar("P")
N = TypeVar("N")


def backoff(attempt: int) -> timedelta:
    """Wait 1, 2, 4 … seconds, at most 5 minutes, spread by a quarter so that failures do not come back together."""
    return timedelta(seconds=min(2 ** (attempt - 1), 300) * random.uniform(0.75, 1.25))  # noqa: S311


def soon(attempt: int) -> timedelta:
    """Wait little before trying again: somebody may have to be woken. At most 10 seconds."""
    return min(backoff(attempt), timedelta(seconds=10))


class Payload(msgspec.Struct, frozen=True):
    """What a job carries.

    Fields are only ever added, with a default: what an earlier version has enqueued is done by a later one, and while
    both run the other way round too.
    """


class Nothing(Payload, frozen=True):
    """What periodic work carries."""


class UnknownJob(Exception):
    """A job that this version does not know; a later one does."""


@dataclass(frozen=True, slots=True)
class Carried(Generic[P]):
    """What a job carries, read; `depth`: how many reactions led to it; `at`: when what it reacts to happened."""

    payload: P
    depth: int = 0
    at: datetime | None = None


class JobKind(Generic[P]):
    """A kind of job: its name, what it carries, its lane, how often it is tried and how long it waits after a failure.

    A name is never given to something else, and none is taken away while there may be jobs of it.
    """

    def __init__(
        self,
        name: str,
        carries: type[P],
        *,
        lane: str = "default",
        retry_after: Callable[[int], timedelta] = backoff,
        max_attempts: int = 20,
    ) -> None:
        self.name = name
        self.lane = lane
        self.retry_after = retry_after
        self.max_attempts = max_attempts
        self._carries = msgspec.json.Decoder(carries)

    def job(
        self,
        payload: P,
        *,
        lane: str | None = None,
        due: datetime | None = None,
        key: str | None = None,
        dedup: str | None = None,
        shares: Sequence[str] = (),
    ) -> NewJob:
        """Return a job of this kind, to be enqueued; what is not said is as `NewJob` has it."""
        return NewJob(
            kind=self.name,
            payload=payload,
            lane=lane or self.lane,
            due=due,
            key=key,
            dedup=dedup,
            max_attempts=self.max_attempts,
            shares=shares,
        )

    def read(self, payload: str) -> Carried[P]:
        """Read what a claimed job carries; raises `msgspec.ValidationError`, and `UnknownJob`."""
        return Carried(self._carries.decode(payload))


@dataclass(frozen=True, slots=True)
class Periodic:
    """Work that is due again and again; each slot fires exactly once over all workers."""

    kind: JobKind[Nothing]
    every: timedelta

    @property
    def name(self) -> str:
        return self.kind.name


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a claimed job."""

    db: Database
    job: Job
    depth: int = 0

    def begin(self) -> AbstractAsyncContextManager[Tx]:
        """Open a transaction; what it emits is one reaction further than what led here."""
        return self.db.begin(depth=self.depth)


@dataclass(frozen=True, slots=True)
class Handled:
    """A kind of job and what is done for it. `needs`: the part of the process that it is given, or the `Job` itself."""

    kind: JobKind[Any]
    run: Callable[..., Awaitable[None]]
    needs: type[Any] | None = None


@overload
def in_one(
    kind: JobKind[P], work: Callable[[Tx, P], Awaitable[datetime | None]], *, is_hot: Callable[[P], bool] | None = None
) -> Handled: ...
@overload
def in_one(
    kind: JobKind[P],
    work: Callable[[Tx, P, N], Awaitable[datetime | None]],
    *,
    needs: type[N],
    is_hot: Callable[[P], bool] | None = None,
) -> Handled: ...
def in_one(
    kind: JobKind[P],
    work: Callable[..., Awaitable[datetime | None]],
    *,
    needs: type[Any] | None = None,
    is_hot: Callable[[P], bool] | None = None,
) -> Handled:
    """Have the job done in one transaction, with which it ends, or comes again at the time that `work` returns.

    `is_hot` says for which of them it is one without a session.
    """

    async def run(run: Run, payload: P, *parts: object) -> None:
        async with run.db.begin_hot() if is_hot and is_hot(payload) else run.begin() as tx:
            await _end(tx, run.job, await work(tx, payload, *parts))

    return Handled(kind, run, needs)


@overload
def in_portions(kind: JobKind[P], work: Callable[[Tx, P], Awaitable[bool]]) -> Handled: ...
@overload
def in_portions(kind: JobKind[P], work: Callable[[Tx, P, N], Awaitable[bool]], *, needs: type[N]) -> Handled: ...
def in_portions(kind: JobKind[P], work: Callable[..., Awaitable[bool]], *, needs: type[Any] | None = None) -> Handled:
    """Have the job done in one transaction after the other while `work` says that there is more.

    It ends in the last of them.
    """

    async def run(run: Run, payload: P, *parts: object) -> None:
        while not run.job.finished:
            async with run.begin() as tx:
                if not await work(tx, payload, *parts):
                    await finish(tx, run.job)

    return Handled(kind, run, needs)


def in_several(kind: JobKind[P], work: Callable[[Run, P], Awaitable[datetime | None]]) -> Handled:
    """Have the job done in transactions of its own, and end it, or put it off, behind them.

    All of them may be made again: whoever dies before the last leaves the job to somebody else.
    """

    async def run(run: Run, payload: P) -> None:
        due = await work(run, payload)
        async with run.begin() as tx:
            await _end(tx, run.job, due)

    return Handled(kind, run)


@overload
def by_hand(kind: JobKind[P], work: Callable[[Job, P], Awaitable[None]]) -> Handled: ...
@overload
def by_hand(kind: JobKind[P], work: Callable[[Job, P, N], Awaitable[None]], *, needs: type[N]) -> Handled: ...
def by_hand(kind: JobKind[P], work: Callable[..., Awaitable[None]], *, needs: type[Any] | None = None) -> Handled:
    """Have the job done by whoever ends it too, by `queue.finish` or `queue.postpone` in the transaction of its effect.

    For what cannot be taken back, such as a message that has been sent: its end must stand though the job was taken.
    """

    async def run(run: Run, payload: P, *parts: object) -> None:
        await work(run.job, payload, *parts)

    return Handled(kind, run, needs)


async def _end(tx: Tx, job: Job, due: datetime | None) -> None:
    if due is None:
        await finish(tx, job)
    else:
        await postpone(tx, job, due)
