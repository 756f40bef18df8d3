"""Timers and reactions of paging."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from tocsin.db.engine import Database
from tocsin.jobs import queue
from tocsin.jobs.queue import Job
from tocsin.oncall import service


async def advance(db: Database, job: Job) -> None:
    """The wait of a step is over: go on, unless the run has moved or ended since the timer was set.

    When the people of the step were reached late, the timer is put off.
    """
    payload = job.payload
    async with db.begin() as tx:
        until = await service.advance(tx, UUID(payload["run_id"]), step=payload["step"], round=payload["round"])
        if until is None:
            await queue.finish(tx, job)
        else:
            await queue.postpone(tx, job, until)


async def give_up_on_page(db: Database, job: Job) -> None:
    """React to `page.failed`: a message was given up.

    May run twice: only a page that still waits for its answer changes.
    """
    fields = job.payload["fields"]
    async with db.begin(depth=job.payload["depth"]) as tx:
        if fields["page_id"] is not None:
            await service.give_up_on_page(tx, UUID(fields["page_id"]))
        await queue.finish(tx, job)


async def try_other_ways(db: Database, job: Job) -> None:
    """React to `page.attempt_failed`: the second failure, or a refusal, has the person's other methods tried at once.

    May run twice: each contact method gets one message of a page.
    """
    fields = job.payload["fields"]
    async with db.begin(depth=job.payload["depth"]) as tx:
        if fields["page_id"] is not None and (fields["refused"] or fields["attempt"] > 1):
            await service.try_other_ways(tx, UUID(fields["page_id"]))
        await queue.finish(tx, job)


async def count_in_vain(db: Database, count: Callable[[str], None], job: Job) -> None:
    """React to `escalation.unreached` and `escalation.exhausted`: count it for the figures of this process.

    May run twice: a figure that is one too high for a while is better than none.
    """
    async with db.begin(depth=job.payload["depth"]) as tx:
        await queue.finish(tx, job)
    count("unreached" if job.payload["event"] == "escalation.unreached" else "unanswered")
