"""Timers and reactions of paging."""

from __future__ import annotations

from uuid import UUID

from tocsin.db.engine import Database
from tocsin.jobs import queue
from tocsin.jobs.queue import Job
from tocsin.oncall import service


async def advance(db: Database, job: Job) -> None:
    """The wait of a step is over: go on, unless the run has moved or ended since the timer was set."""
    payload = job.payload
    async with db.begin() as tx:
        await service.advance(tx, UUID(payload["run_id"]), step=payload["step"], round=payload["round"])
        await queue.finish(tx, job)


async def give_up_on_page(db: Database, job: Job) -> None:
    """React to `page.failed`: a message was given up.

    May run twice: only a page that still waits for its answer changes.
    """
    fields = job.payload["fields"]
    async with db.begin(depth=job.payload["depth"]) as tx:
        if fields["page_id"] is not None:
            await service.give_up_on_page(tx, UUID(fields["page_id"]))
        await queue.finish(tx, job)
