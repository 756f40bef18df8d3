"""Timers and reactions of paging."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from tocsin.db.engine import Database
from tocsin.events.configuration import ConfigurationDeleted, ContactMethodRecovered
from tocsin.jobs import queue
from tocsin.jobs.queue import Job
from tocsin.oncall import service, waking_queries


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


async def look_again(db: Database, job: Job) -> None:
    """React to a change of the configuration: what waits though somebody could be asked by now goes on.

    May run twice, and comes back for what was looked at a moment ago. Each run is looked at by itself.
    """
    depth = job.payload["depth"]
    runs, pages = await _concerned(db, job)
    later: list[datetime | None] = []
    for page_id in pages:
        async with db.begin(depth=depth) as tx:
            later.append(await service.use_new_way(tx, page_id))
    for run_id in runs:
        async with db.begin(depth=depth) as tx:
            later.append(await service.look_again(tx, run_id))
    async with db.begin(depth=depth) as tx:
        if until := max((at for at in later if at is not None), default=None):
            await queue.postpone(tx, job, until)
        else:
            await queue.finish(tx, job)


async def _concerned(db: Database, job: Job) -> tuple[list[UUID], list[UUID]]:
    """Return the runs and the pages that the change may matter to; none where a later change of the same waits."""
    kind, id = job.payload["fields"]["kind"], UUID(job.payload["fields"]["id"])
    async with db.look() as tx:
        if await waking_queries.comes_again(tx, job):
            return [], []
        if job.payload["event"] == ConfigurationDeleted.name:
            return [], await waking_queries.pages_without_method(tx)
        if job.payload["event"] == ContactMethodRecovered.name:
            return await waking_queries.waiting_for_origin(tx, id), []
        runs = await waking_queries.waiting_to_reach(tx, kind, id)
        return runs, await waking_queries.pages_of_method(tx, id) if kind == "contact_method" else []


async def count_in_vain(db: Database, count: Callable[[str], None], job: Job) -> None:
    """React to `escalation.unreached` and `escalation.exhausted`: count it for the figures of this process.

    May run twice: a figure that is one too high for a while is better than none.
    """
    async with db.begin(depth=job.payload["depth"]) as tx:
        await queue.finish(tx, job)
    count("unreached" if job.payload["event"] == "escalation.unreached" else "unanswered")
