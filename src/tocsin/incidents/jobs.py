"""Reactions of incidents to what happens below them."""

from __future__ import annotations

from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.db.engine import Database
from tocsin.incidents import queries, service
from tocsin.jobs import queue
from tocsin.jobs.queue import Job
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall


async def stand_in(db: Database, job: Job) -> None:
    """React to `user.deactivated` and `user.lost_rights`: others take over, the pages first, each in its own time.

    May run twice and late: whoever is active again, and may edit again, keeps what they have by then.
    """
    user_id, depth = UUID(job.payload["fields"]["user_id"]), job.payload["depth"]
    async with db.begin() as tx:
        pages = await oncall_queries.pages_waiting_for(tx, user_id)
    for page_id in pages:
        async with db.begin(depth=depth) as tx:
            await oncall.pass_on_if_gone(tx, page_id)
    async with db.begin(depth=depth) as tx:
        await service.take_back_messages(tx, user_id)
        incidents = [incident.id for incident in await queries.open_with(tx, user_id)]
        held = [alert.id for alert in await alert_queries.held_by(tx, user_id)]
    for incident_id in incidents:
        async with db.begin(depth=depth) as tx:
            await service.stand_in(tx, incident_id, user_id)
    for alert_id in held:
        async with db.begin(depth=depth) as tx:
            await service.free_alert(tx, alert_id, user_id)
    async with db.begin(depth=depth) as tx:
        await queue.finish(tx, job)


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
