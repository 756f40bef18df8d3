"""Jobs and reactions of alerts: routing, looking after them, clearing away old raw signals, news."""

from __future__ import annotations

from datetime import timedelta

from tocsin.alerts import service
from tocsin.alerts.service import PAGE_ANEW, ROUTE, ToPageAnew, ToRoute
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertAcknowledged, AlertResolved, AlertUnacknowledged
from tocsin.events.reactions import Reaction, on
from tocsin.jobs import queue
from tocsin.jobs.clockwatch import Waits
from tocsin.jobs.kinds import JobKind, Nothing, Periodic, in_one, in_portions
from tocsin.jobs.queue import Job
from tocsin.settings import Settings

# After so many failures of a whole batch, each alert gets a job of its own, so that one cannot hold up the others.
_SPLIT_AFTER = 2

LOOK_AFTER = JobKind("alerts.look_after", Nothing)
SWEEP_SIGNALS = JobKind("alerts.sweep_signals", Nothing, lane="bulk")
NOTE_NEWS = Reaction("alerts.note_news", AlertAcknowledged, AlertUnacknowledged, AlertResolved, lane="bulk")


async def route(tx: Tx, batch: ToRoute, job: Job) -> None:
    """Route the alerts of one intake batch."""
    ids, anew = batch.alert_ids, batch.anew
    if job.attempt > _SPLIT_AFTER and len(ids) > 1:
        await queue.enqueue(tx, *(single for id in ids for single in service.routing_jobs([id], anew=anew)))
    elif anew:
        await service.route_anew(tx, ids)
    else:
        await service.route(tx, ids)


async def page_anew(tx: Tx, batch: ToPageAnew) -> None:
    """Page again for alerts whose signal came again before anybody was reached.

    May run twice: a run that reached somebody, or began a moment ago, is left alone.
    """
    await service.page_anew(tx, batch.alert_ids)


async def look_after(tx: Tx, _: Nothing) -> bool:
    """Close alerts that are over or stale, give forgotten ones back or remind their owners, a portion at a time.

    May run twice and late, also at the same time: what it finds it locks and looks at again.
    """
    if await service.look_after(tx) > 0:
        return True
    await service.forget_early_resolves(tx)
    return False


async def sweep_signals(tx: Tx, _: Nothing, settings: Settings) -> bool:
    """Delete raw signals past their retention, a portion at a time."""
    return await service.sweep_signals(tx, older_than_days=settings.signal_retention_days) > 0


async def note_news(tx: Tx, event: AlertAcknowledged | AlertUnacknowledged | AlertResolved) -> None:
    """React to what changes who has an alert, or whether it goes on: those who were paged for it are told.

    May run twice and late: people are told how it stands by then, and nothing that they know already.
    """
    if event.alert_id is not None:
        await service.note_news(tx, event.alert_id)


JOBS = (
    # An escalation that begins anew needs a session.
    in_one(ROUTE, route, needs=Job, is_hot=lambda batch: not batch.anew),
    in_one(PAGE_ANEW, page_anew),
    in_portions(LOOK_AFTER, look_after),
    in_portions(SWEEP_SIGNALS, sweep_signals, needs=Settings),
    in_one(NOTE_NEWS, note_news),
)
REACTIONS = (
    on(AlertAcknowledged, NOTE_NEWS),
    on(AlertUnacknowledged, NOTE_NEWS),
    on(AlertResolved, NOTE_NEWS),
)
PERIODIC = (Periodic(LOOK_AFTER, timedelta(minutes=5)), Periodic(SWEEP_SIGNALS, timedelta(hours=1)))
WAITS = (Waits("alert", ("held_until",), "status = 'triggered' AND held_until IS NOT NULL"),)
