"""Reactions of incidents to what happens below them."""

from __future__ import annotations

from uuid import UUID

from tocsin.db.engine import Database
from tocsin.incidents import service
from tocsin.jobs import queue
from tocsin.jobs.queue import Job


async def note_page(db: Database, job: Job) -> None:
    """React to `page.started`: somebody whom a later step of an escalation pages becomes a responder.

    May run twice and late: only a page that is newer than what is known of the person, and still waits for its
    answer, changes anything.
    """
    async with db.begin(depth=job.payload["depth"]) as tx:
        await service.note_page(tx, UUID(job.payload["fields"]["page_id"]))
        await queue.finish(tx, job)


async def note_news(db: Database, job: Job) -> None:
    """React to somebody coming, to an end and to a reopening: those who were paged for the incident are told.

    May run twice and late, as the news of alerts may.
    """
    async with db.begin(depth=job.payload["depth"]) as tx:
        await service.note_news(tx, UUID(job.payload["fields"]["incident_id"]))
        await queue.finish(tx, job)
