"""Following an incident without responding: people and teams, by themselves, by others, or because they were named.

To follow gives no right. Whoever may not see the incident cannot be added, and whoever loses sight of it follows no
more. Teams are told through their people, each of whom has to see it.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import SYSTEM, ActorRef
from tocsin.events.facts import SeesNoMore
from tocsin.events.following import SubscriberAdded, SubscriberRemoved
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor
from tocsin.incidents import comment_queries, queries, subscriber_queries
from tocsin.incidents.mentions import handles_in
from tocsin.incidents.model import Incident
from tocsin.incidents.queries import Ref
from tocsin.incidents.subscribers import MOST_SUBSCRIBERS, Subscriber, SubscriberSource
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.kit.ids import new_id


async def follow(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Follow an incident oneself; whoever does already goes on. For everybody who sees it."""
    user_id = who.must_be_someone()
    incident = await queries.lock(tx, who.access.reach, ref)
    await identity.must_stay_active(tx, user_id)
    await _add(tx, who.ref, incident, SubscriberSource.SELF, people={user_id: who.name})
    return incident


async def unfollow(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Follow an incident no more; a team that one is in goes on, and whoever works on it is told as before."""
    user_id = who.must_be_someone()
    incident = await queries.lock(tx, who.access.reach, ref)
    if (mine := await subscriber_queries.subscription(tx, incident.id, user_id)) is not None:
        await _remove(
            tx, mine, SubscriberRemoved(actor=who.ref, incident_id=incident.id, kind="user", subscriber=who.name)
        )
    return incident


async def subscribe(
    tx: Tx, who: Actor, ref: Ref, *, user_ids: Collection[UUID] = (), team_ids: Collection[UUID] = ()
) -> Incident:
    """Have people and teams follow an incident; for whoever may edit it. Who follows already goes on.

    Raises `Invalid` for somebody who cannot sign in or does not see the incident, and for a team that the actor does
    not see or that is archived: nobody is then added.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    people = await identity.keep_active(tx, user_ids)
    if any(id not in people for id in user_ids):
        raise Invalid("user_ids", "Choose people who can sign in.", code="unknown")
    seeing = await subscriber_queries.who_sees(tx, incident, user_ids)
    blind = sorted(people[id].name for id in user_ids if id not in seeing)
    if blind:
        raise Invalid(
            "user_ids",
            f"{', '.join(blind)} cannot see this incident and so cannot follow it. Give them access first.",
            code="sees_not",
        )
    teams = await identity.teams_by_id(tx, who.access, team_ids)
    if any(id not in teams or teams[id].archived_at is not None for id in team_ids):
        raise Invalid("team_ids", "Choose teams that are not archived.", code="unknown")
    await _add(
        tx,
        who.ref,
        incident,
        SubscriberSource.ADDED,
        people={id: people[id].name for id in user_ids},
        teams={id: "" if teams[id].is_private else teams[id].name for id in team_ids},
    )
    return incident


async def remove_subscriber(tx: Tx, who: Actor, ref: Ref, id: UUID) -> None:
    """Take somebody off who follows an incident: oneself, or anybody for whoever may edit it."""
    incident = await queries.lock(tx, who.access.reach, ref)
    row = await subscriber_queries.subscriber(tx, incident.id, id)
    if row.user_id is None or row.user_id != who.user_id:
        who.must(P.INCIDENT_EDIT, on=incident)
    if row.team_id is None:
        people = await identity.users_by_id(tx, [row.user_id] if row.user_id is not None else [])
        kind, name = "user", "".join(person.name for person in people.values())
    else:
        seen = (await identity.teams_by_id(tx, who.access, [row.team_id])).get(row.team_id)
        if seen is None:
            raise NotFound("There is no such subscriber of this incident.")
        kind, name = "team", "" if seen.is_private else seen.name
    await _remove(tx, row, SubscriberRemoved(actor=who.ref, incident_id=incident.id, kind=kind, subscriber=name))


async def follow_mentioned(tx: Tx, by: ActorRef, incident_id: UUID, comment_id: UUID, revision: int) -> set[UUID]:
    """Let those follow whom a text of a comment names and the text before did not; returns them.

    Who may not see the incident is named in vain. Nothing is done for a text that has been erased.
    """
    incident = await queries.lock(tx, EVERYTHING, incident_id)
    texts = await comment_queries.texts_of(tx, comment_id, [revision, revision - 1])
    before = handles_in(texts.get(revision - 1, ""))
    handles = [handle for handle in handles_in(texts.get(revision, "")) if handle not in before]
    meant = {person.id: person.name for person in (await identity.users_by_handle(tx, handles)).values()}
    named = await subscriber_queries.who_sees(tx, incident, meant) - {by.id}
    await _add(tx, by, incident, SubscriberSource.MENTIONED, people={id: meant[id] for id in meant if id in named})
    return named


async def let_go(tx: Tx, incident_id: UUID) -> None:
    """Have those follow no more who cannot see the incident any more, or whose account is off."""
    incident = await queries.lock(tx, EVERYTHING, incident_id)
    people = [row for row in await subscriber_queries.all_of(tx, incident.id) if row.user_id is not None]
    ids = [row.user_id for row in people if row.user_id is not None]
    seeing = await subscriber_queries.who_sees(tx, incident, ids)
    names = await identity.users_by_id(tx, ids)
    for row in people:
        if row.user_id is not None and row.user_id not in seeing:
            name = names[row.user_id].name
            gone = SubscriberRemoved(
                actor=SYSTEM, incident_id=incident.id, kind="user", subscriber=name, why=SeesNoMore(name)
            )
            await _remove(tx, row, gone)


async def _add(
    tx: Tx,
    by: ActorRef,
    incident: Incident,
    how: SubscriberSource,
    *,
    people: dict[UUID, str],
    teams: dict[UUID, str] | None = None,
) -> None:
    """Add those who do not follow yet. The caller has locked the incident."""
    teams = teams or {}
    there = await subscriber_queries.all_of(tx, incident.id)
    known = {row.user_id for row in there} | {row.team_id for row in there}
    new = [id for id in (*people, *teams) if id not in known]
    if how is SubscriberSource.MENTIONED:
        # Nobody waits for an answer that could say so; who is named is told all the same.
        new = new[: max(0, MOST_SUBSCRIBERS - len(there))]
    if new and len(there) + len(new) > MOST_SUBSCRIBERS:
        raise Conflict(
            f"{incident.reference} has {MOST_SUBSCRIBERS} subscribers at most. Add a team in place of its people.",
            code="incident.subscribers",
        )
    for id in new:
        is_person = id in people
        tx.session.add(
            Subscriber(
                id=new_id(),
                incident_id=incident.id,
                user_id=id if is_person else None,
                team_id=None if is_person else id,
                source=how,
                added_by_name=by.name,
                created_at=tx.now,
            )
        )
    kinds = [("user", people[id]) if id in people else ("team", teams[id]) for id in new]
    await emit(
        tx,
        *(
            SubscriberAdded(actor=by, incident_id=incident.id, kind=kind, subscriber=name, how=how)
            for kind, name in kinds
        ),
    )


async def _remove(tx: Tx, row: Subscriber, told: SubscriberRemoved) -> None:
    await tx.session.delete(row)
    await emit(tx, told)
