"""Reactions of incidents to what happens below them."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.db.engine import Tx
from tocsin.events.base import Event
from tocsin.events.configuration import UserDeactivated, UserLostRights
from tocsin.events.incidents import (
    IncidentAcknowledged,
    IncidentCancelled,
    IncidentReopened,
    IncidentResolved,
    IncidentUpdated,
    ResponderJoined,
)
from tocsin.events.oncall import PageStarted
from tocsin.events.reactions import Reaction, on
from tocsin.incidents import queries, service
from tocsin.incidents.auto_closing import AUTO_CLOSE, ToClose
from tocsin.incidents.following import CHANGES
from tocsin.incidents.service import auto_closing, following, inbox, sending, subscribing, targeting
from tocsin.incidents.service.following import SEND_NEWS, ToSendNews
from tocsin.jobs.clockwatch import Waits
from tocsin.jobs.kinds import JobKind, Nothing, Periodic, Run, in_one, in_portions, in_several, soon
from tocsin.jobs.queue import Job
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall

STAND_IN = Reaction("incidents.stand_in", UserDeactivated, UserLostRights, lane="page", retry_after=soon)
REMIND = JobKind("incidents.remind", Nothing, lane="bulk")
NOTE_PAGE = Reaction("incidents.note_page", PageStarted, retry_after=soon)
NOTE_NEWS = Reaction(
    "incidents.note_news",
    IncidentAcknowledged,
    ResponderJoined,
    IncidentResolved,
    IncidentCancelled,
    IncidentReopened,
    lane="bulk",
)
TELL_FOLLOWERS = Reaction("incidents.tell_followers", *CHANGES, lane="bulk")
SWEEP_INBOX = JobKind("incidents.sweep_inbox", Nothing, lane="bulk")
LET_GO = Reaction("incidents.let_go_of_subscribers", IncidentUpdated, lane="bulk")
WATCH_TARGETS = JobKind("incidents.watch_targets", Nothing)
# As changes of who owns an incident are called.
_OWNERS = frozenset({"teams", "is_private"})


async def stand_in(run: Run, event: UserDeactivated | UserLostRights) -> None:
    """React to somebody who is gone or may do less: others take over, the pages first, each in its own time.

    May run twice and late: whoever is active again, and may edit again, keeps what they have by then.
    """
    user_id = event.user_id
    async with run.db.begin() as tx:
        pages = await oncall_queries.pages_waiting_for(tx, user_id)
    for page_id in pages:
        async with run.begin() as tx:
            await oncall.pass_on_if_gone(tx, page_id)
    async with run.begin() as tx:
        await service.take_back_messages(tx, user_id)
        incidents = [incident.id for incident in await queries.open_with(tx, user_id)]
        held = [alert.id for alert in await alert_queries.held_by(tx, user_id)]
    for incident_id in incidents:
        async with run.begin() as tx:
            await service.stand_in(tx, incident_id, user_id)
    for alert_id in held:
        async with run.begin() as tx:
            await service.free_alert(tx, alert_id, user_id)
    is_more = True
    while is_more:
        async with run.begin() as tx:
            is_more = await service.free_action_items(tx, user_id)


async def note_page(tx: Tx, event: PageStarted) -> None:
    """React to a page: somebody whom a later step of an escalation pages becomes a responder.

    May run twice and late: only a page that is newer than what is known of the person, and still waits for its
    answer, changes anything.
    """
    await service.note_page(tx, event.page_id)


async def note_news(
    tx: Tx,
    event: IncidentAcknowledged | ResponderJoined | IncidentResolved | IncidentCancelled | IncidentReopened,
) -> None:
    """React to somebody coming, to an end and to a reopening: those who were paged for the incident are told.

    May run twice and late, as the news of alerts may.
    """
    if event.incident_id is not None:
        await service.note_news(tx, event.incident_id)


async def tell_followers(tx: Tx, event: Event, job: Job) -> None:
    """React to what happens to an incident: who follows it is told, and who is named in a comment follows.

    May run twice: it is told with the end of the job, so once. May run late: what was old by then is not told.
    """
    await following.tell_followers(tx, event, job.happened_at or tx.now)


async def send_news(tx: Tx, what: ToSendNews) -> datetime | None:
    """Send what waits to leave an inbox. Changes nothing outside its transaction, so it may run again."""
    return await sending.send_news(tx, what.user_id, what.way)


async def sweep_inbox(tx: Tx, _: Nothing) -> bool:
    """Delete news that were kept for long enough, a portion at a time."""
    return await inbox.sweep(tx) > 0


async def let_go(tx: Tx, event: IncidentUpdated) -> None:
    """React to other owners: who sees the incident no more follows it no more. May run twice and late."""
    if event.incident_id is not None:
        await subscribing.let_go(tx, event.incident_id)


async def close_by_itself(tx: Tx, wanted: ToClose) -> datetime | None:
    """Close what has been resolved for so many days. May run twice and late: only its own round is closed."""
    return await auto_closing.close_by_itself(tx, wanted.incident_id, wanted.round)


async def watch_targets(run: Run, _: Nothing) -> None:
    """Say which targets of open incidents are near and which were missed.

    May run twice, late and at the same time: what was said of a target is noted with it, and said once.
    """
    after: UUID | None = None
    while True:
        async with run.db.look() as tx:
            waiting, after = await targeting.targets_to_tell(tx, after=after)
        for incident_id in waiting:
            async with run.begin() as tx:
                await targeting.tell_targets(tx, incident_id)
        if after is None:
            return


async def remind(tx: Tx, _: Nothing) -> bool:
    """Remind people of action items, one at a time: each is off the plan with the commit that queues its messages."""
    return await service.remind_of_one(tx)


JOBS = (
    in_portions(REMIND, remind),
    in_several(STAND_IN, stand_in),
    in_one(NOTE_PAGE, note_page),
    in_one(NOTE_NEWS, note_news),
    in_one(TELL_FOLLOWERS, tell_followers, needs=Job),
    in_one(SEND_NEWS, send_news),
    in_portions(SWEEP_INBOX, sweep_inbox),
    in_one(LET_GO, let_go),
    in_one(AUTO_CLOSE, close_by_itself),
    in_several(WATCH_TARGETS, watch_targets),
)
REACTIONS = (
    on(UserDeactivated, STAND_IN),
    on(UserLostRights, STAND_IN),
    on(PageStarted, NOTE_PAGE, when=lambda event: event.incident_id is not None),
    on(IncidentAcknowledged, NOTE_NEWS),
    on(ResponderJoined, NOTE_NEWS),
    on(IncidentResolved, NOTE_NEWS),
    on(IncidentCancelled, NOTE_NEWS),
    on(IncidentReopened, NOTE_NEWS),
    *(on(event, TELL_FOLLOWERS, when=lambda event: event.incident_id is not None) for event in CHANGES),
    on(IncidentUpdated, LET_GO, when=lambda event: any(each.field in _OWNERS for each in event.changes)),
)
PERIODIC = (
    Periodic(SWEEP_INBOX, timedelta(hours=1)),
    Periodic(WATCH_TARGETS, timedelta(minutes=1)),
    Periodic(REMIND, timedelta(minutes=5)),
)
WAITS = (Waits("inbox_entry", ("send_at",), "send_at IS NOT NULL"),)
