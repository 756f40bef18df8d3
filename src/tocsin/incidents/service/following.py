"""Telling those who follow an incident: who hears of what, in the inbox and beside it.

All of it is done by a reaction that holds the incident, so that whoever is told sees it then, and two changes at once
come one after the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

import msgspec

from tocsin.db.engine import Tx
from tocsin.events.base import Event
from tocsin.events.incidents import CommentAdded, CommentEdited
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING
from tocsin.incidents import inbox_queries, lifecycle, queries, subscriber_queries
from tocsin.incidents.following import (
    AT_ONCE,
    CHANGES,
    SENT,
    STORM,
    ChangeKind,
    Follows,
    Way,
    default_way,
    due,
    graver,
    quicker,
)
from tocsin.incidents.inbox_model import KEPT_FOR, InboxEntry
from tocsin.incidents.model import Incident, IncidentRole, ResponderState
from tocsin.incidents.service.subscribing import follow_mentioned
from tocsin.incidents.subscribers import SubscriberSource
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Payload
from tocsin.jobs.queue import NewJob
from tocsin.kit.clock import zone
from tocsin.kit.ids import new_id
from tocsin.notifications.news import TOLD_WITHIN

# As `web/base/stream.py` listens for it.
TOPIC = "inbox:"

_NEVER = datetime.max.replace(tzinfo=UTC)


class ToSendNews(Payload, frozen=True):
    """Whose news are to leave their inbox, and in which way."""

    user_id: UUID
    way: Way


SEND_NEWS = JobKind("incidents.send_news", ToSendNews, lane="bulk")


def send_later(user_id: UUID, way: Way, due: datetime) -> NewJob:
    """Return the job that sends what waits for a person; one for each time, as what is noted while one runs waits."""
    name = queue.subject("inbox", user_id)
    return SEND_NEWS.job(ToSendNews(user_id, way), due=due, key=name, dedup=f"{name}:{way}:{due}")


@dataclass(frozen=True, slots=True)
class Heard:
    """What one person hears of one event, and how."""

    user_id: UUID
    change: ChangeKind
    way: Way


async def tell_followers(tx: Tx, event: Event, at: datetime) -> None:
    """Put an event that happened then into the inboxes of those who follow its incident, and of whom it names.

    Not of whoever did it, of whose account is off, nor of whoever does not see the incident now. Nothing is told that
    is older than the inbox is kept.
    """
    incident = await queries.lock(tx, EVERYTHING, _incident_of(event))
    named: set[UUID] = set()
    if isinstance(event, CommentAdded | CommentEdited):
        named = await follow_mentioned(tx, event.actor, incident.id, event.comment_id, event.revision)
    if at < tx.now - KEPT_FOR:
        return
    kind = CHANGES[type(event)]
    follows = {} if isinstance(event, CommentEdited) else await _followers(tx, incident)
    themselves = {event.actor.id, _about_themselves(event)}
    seeing = await subscriber_queries.who_sees(tx, incident, {*follows, *named} - themselves)
    said = await inbox_queries.preferences(tx, seeing)
    heard: list[Heard] = []
    for user_id in sorted(seeing):
        change = ChangeKind.MENTIONS if user_id in named else kind
        way = said.get(user_id, {}).get(change) or default_way(change, follows.get(user_id, Follows.MENTIONED))
        if way is not Way.NONE:
            heard.append(Heard(user_id, change, way))
    await _write(tx, incident, event, at, heard)


def _incident_of(event: Event) -> UUID:
    if event.incident_id is None:
        raise LookupError(f"{event.name} is of no incident")
    return event.incident_id


def _about_themselves(event: Event) -> UUID | None:
    """Return whose own coming or going it is, whoever brought it about: they know."""
    return getattr(event, "user_id", None)


async def _followers(tx: Tx, incident: Incident) -> dict[UUID, Follows]:
    """Return who follows an incident, each by the first of the ways in which they do."""
    by = await subscriber_queries.followed_by(tx, incident.id)
    found = {
        id: Follows.MENTIONED if how is SubscriberSource.MENTIONED else Follows.SUBSCRIBER for id, how in by.items()
    }
    here = (ResponderState.PAGED, ResponderState.JOINED)
    on_it = await queries.responders(tx, incident.id)
    found |= {each.responder.user_id: Follows.RESPONDER for each in on_it if each.responder.state in here}
    holders = [lifecycle.holder(incident, role) for role in IncidentRole]
    return found | {id: Follows.ROLE for id in holders if id is not None}


async def _write(tx: Tx, incident: Incident, event: Event, at: datetime, heard: Collection[Heard]) -> None:
    ids = [each.user_id for each in heard]
    there = await inbox_queries.open_rows(tx, incident.id, ids, at - STORM)
    people = await identity.users_by_id(tx, ids)
    jobs: list[NewJob] = []
    for each in heard:
        row = there.get(each.user_id)
        if row is None:
            row = InboxEntry(
                id=new_id(),
                user_id=each.user_id,
                incident_id=incident.id,
                began_at=at,
                count=0,
                change=each.change,
            )
            tx.session.add(row)
        if row.count == 0 or graver(each.change, ChangeKind(row.change)):
            row.change, row.name, row.actor_name, row.data = each.change, event.name, event.actor.name, _data(event)
        row.count += 1
        row.at = max(at, row.at) if row.count > 1 else at
        jobs += _send(tx, row, each.way, at, zone(people[each.user_id].time_zone))
        tx.ring(f"{TOPIC}{each.user_id}")
    await tx.session.flush()
    await queue.enqueue(tx, *jobs)


def _send(tx: Tx, row: InboxEntry, way: Way, at: datetime, local: tzinfo) -> list[NewJob]:
    """Let a row leave the inbox in the quicker of the ways that its changes ask for; returns the job that does it."""
    is_old = way in AT_ONCE and at < tx.now - TOLD_WITHIN
    if way not in SENT or is_old:
        return []
    is_waiting = row.way is not None and row.send_at is not None
    taken = quicker([way, Way(row.way)]) if is_waiting else way
    goes_at = min(due(way, at, local), row.send_at or _NEVER)
    row.way, row.send_at = taken, goes_at
    return [send_later(row.user_id, taken, goes_at)]


def _data(event: Event) -> dict[str, Any]:
    return msgspec.to_builtins(event.data())
