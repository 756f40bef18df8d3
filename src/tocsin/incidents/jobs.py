"""Reactions of incidents to what happens below them."""

from __future__ import annotations

from datetime import datetime

from tocsin.alerts import queries as alert_queries
from tocsin.db.engine import Tx
from tocsin.events.configuration import UserDeactivated, UserLostRights
from tocsin.events.incidents import (
    CommentAdded,
    CommentEdited,
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
from tocsin.incidents.service import auto_closing, subscribing
from tocsin.jobs.kinds import Run, in_one, in_several, soon
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall

STAND_IN = Reaction("incidents.stand_in", UserDeactivated, UserLostRights, lane="page", retry_after=soon)
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
FOLLOW_MENTIONED = Reaction("incidents.follow_mentioned", CommentAdded, CommentEdited, lane="bulk")
LET_GO = Reaction("incidents.let_go_of_subscribers", IncidentUpdated, lane="bulk")
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


async def follow_mentioned(tx: Tx, event: CommentAdded | CommentEdited) -> None:
    """React to a comment: who is named in it follows.

    May run twice: who follows already goes on. May run late: who has left meanwhile follows again, as they were named.
    """
    if event.incident_id is not None:
        revision = event.revision
        await subscribing.follow_mentioned(tx, event.actor, event.incident_id, event.comment_id, revision)


async def let_go(tx: Tx, event: IncidentUpdated) -> None:
    """React to other owners: who sees the incident no more follows it no more. May run twice and late."""
    if event.incident_id is not None:
        await subscribing.let_go(tx, event.incident_id)


async def close_by_itself(tx: Tx, wanted: ToClose) -> datetime | None:
    """Close what has been resolved for so many days. May run twice and late: only its own round is closed."""
    return await auto_closing.close_by_itself(tx, wanted.incident_id, wanted.round)


JOBS = (
    in_several(STAND_IN, stand_in),
    in_one(NOTE_PAGE, note_page),
    in_one(NOTE_NEWS, note_news),
    in_one(FOLLOW_MENTIONED, follow_mentioned),
    in_one(LET_GO, let_go),
    in_one(AUTO_CLOSE, close_by_itself),
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
    on(CommentAdded, FOLLOW_MENTIONED),
    on(CommentEdited, FOLLOW_MENTIONED),
    on(IncidentUpdated, LET_GO, when=lambda event: any(each.field in _OWNERS for each in event.changes)),
)
