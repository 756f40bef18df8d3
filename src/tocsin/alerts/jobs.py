"""Routing of new alerts, and clearing away old raw signals."""

from __future__ import annotations

from uuid import UUID

from tocsin.alerts import service
from tocsin.db.engine import Database
from tocsin.jobs import queue
from tocsin.jobs.queue import Job

# After so many failures of a whole batch, each alert gets a job of its own, so that one cannot hold up the others.
_SPLIT_AFTER = 2


async def route(db: Database, job: Job) -> None:
    """Route the alerts of one intake batch."""
    ids = [UUID(id) for id in job.payload["alert_ids"]]
    anew: bool = job.payload["anew"]
    async with db.begin() if anew else db.begin_hot() as tx:
        if job.attempt > _SPLIT_AFTER and len(ids) > 1:
            await queue.enqueue(tx, *(single for id in ids for single in service.routing_jobs([id], anew=anew)))
        elif anew:
            await service.route_anew(tx, ids)
        else:
            await service.route(tx, ids)
        await queue.finish(tx, job)


async def page_anew(db: Database, job: Job) -> None:
    """Page again for alerts whose signal came again before anybody was reached.

    May run twice: a run that reached somebody, or began a moment ago, is left alone.
    """
    async with db.begin() as tx:
        await service.page_anew(tx, [UUID(id) for id in job.payload["alert_ids"]])
        await queue.finish(tx, job)


async def look_after(db: Database, job: Job) -> None:
    """Close alerts that are over or stale, give forgotten ones back or remind their owners, a portion at a time.

    May run twice and late, also at the same time: what it finds it locks and looks at again.
    """
    while True:
        async with db.begin() as tx:
            if await service.look_after(tx) == 0:
                await service.forget_early_resolves(tx)
                await queue.finish(tx, job)
                return


async def sweep_signals(db: Database, retention_days: int, job: Job) -> None:
    """Delete raw signals past their retention, a portion at a time."""
    while True:
        async with db.begin() as tx:
            if await service.sweep_signals(tx, older_than_days=retention_days) == 0:
                await queue.finish(tx, job)
                return


async def note_news(db: Database, job: Job) -> None:
    """React to what changes who has an alert, or whether it goes on: those who were paged for it are told.

    May run twice and late: people are told how it stands by then, and nothing that they know already.
    """
    async with db.begin(depth=job.payload["depth"]) as tx:
        await service.note_news(tx, UUID(job.payload["fields"]["alert_id"]))
        await queue.finish(tx, job)
