"""Who is on an incident: taking it on, joining, leaving, roles."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import ActorRef
from tocsin.events.incidents import (
    IncidentAcknowledged,
    IncidentStatusChanged,
    ResponderJoined,
    ResponderLeft,
    RoleChanged,
)
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import Incident, IncidentRole, Responder, ResponderSource, ResponderState, Status
from tocsin.incidents.queries import Ref
from tocsin.kit.errors import Conflict, Invalid
from tocsin.oncall import service as oncall


async def acknowledge(tx: Tx, who: Actor, ref: Ref, *, if_version: int | None = None) -> Incident:
    """Take the incident on: join it, answer one's own pages about it, and begin to investigate.

    Idempotent. The first person's time counts; an incident that is over stays as it is.
    """
    who.must("incident.edit")
    who.must_be_someone()
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_current(incident, if_version)
    if lifecycle.is_open(incident):
        await take_on(tx, who, incident)
    return incident


async def join(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Become a responder. Joining is an acknowledgement too; other people's escalations go on."""
    who.must("incident.edit")
    who.must_be_someone()
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_open(incident)
    await take_on(tx, who, incident)
    return incident


async def leave(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Stop being a responder; raises `Conflict` for somebody with a role, which has to be handed over first."""
    who.must("incident.edit")
    user_id = who.must_be_someone()
    incident = await queries.lock(tx, ref)
    if roles := lifecycle.roles_of(incident, user_id):
        raise Conflict(
            f"You are {' and '.join(roles)} of {incident.reference}. Hand that over before you leave.",
            code="incident.has_role",
        )
    row = await queries.responder(tx, incident.id, user_id)
    if row is not None and row.state != ResponderState.LEFT:
        row.state, row.left_at = ResponderState.LEFT, tx.now
        await emit(tx, ResponderLeft(actor=who.ref, incident_id=incident.id, user_id=user_id, user_name=who.name))
    return incident


async def assign_role(
    tx: Tx, who: Actor, ref: Ref, role: IncidentRole, user_id: UUID | None, *, if_version: int | None = None
) -> Incident:
    """Give a role to one person, who joins by this, or to nobody."""
    who.must("incident.edit")
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_current(incident, if_version)
    old = lifecycle.holder(incident, role)
    if old == user_id:
        return incident
    people = await identity.users_by_id(tx, [id for id in (old, user_id) if id is not None])
    if user_id is not None:
        if user_id not in people or not people[user_id].is_active:
            raise Invalid("user_id", "Choose a person who can sign in.", code="unknown")
        await add_joined(tx, who, incident, user_id, people[user_id].name, ResponderSource.ROLE)
    lifecycle.give_role(incident, role, user_id, at=tx.now)
    names = [people[id].name if id is not None else None for id in (old, user_id)]
    await emit(tx, _role_changed(who.ref, incident, role, *names))
    return incident


async def take_on(tx: Tx, who: Actor, incident: Incident) -> None:
    user_id = who.must_be_someone()
    await add_joined(tx, who, incident, user_id, who.name, ResponderSource.SELF)
    await note_taken_on(tx, who.ref, incident, user_id)
    await oncall.answer_incident_pages(tx, who, incident.id)


async def note_taken_on(tx: Tx, by: ActorRef, incident: Incident, user_id: UUID) -> None:
    """Stamp the first acknowledgement, by somebody who has joined, and begin to investigate."""
    old = incident.status
    if old == Status.DECLARED and lifecycle.effective_lead(incident) is None:
        lifecycle.give_role(incident, IncidentRole.LEAD, user_id, at=tx.now)
        await emit(tx, _role_changed(by, incident, IncidentRole.LEAD, None, by.name))
    if lifecycle.acknowledge(incident, at=tx.now):
        await emit(tx, IncidentAcknowledged(actor=by, incident_id=incident.id))
    if incident.status != old:
        await emit(tx, IncidentStatusChanged(actor=by, incident_id=incident.id, old=old, new=incident.status))


async def add_joined(tx: Tx, who: Actor, incident: Incident, user_id: UUID, name: str, source: ResponderSource) -> None:
    """Make the person a joined responder; how they first came to be one stays."""
    row = await queries.responder(tx, incident.id, user_id)
    if row is not None and row.state == ResponderState.JOINED:
        return
    if row is None:
        row = Responder(incident_id=incident.id, user_id=user_id, source=source, paged_at=None)
        tx.session.add(row)
    row.state, row.joined_at, row.left_at = ResponderState.JOINED, tx.now, None
    await tx.session.flush()
    joined = ResponderJoined(actor=who.ref, incident_id=incident.id, user_id=user_id, user_name=name, source=row.source)
    await emit(tx, joined)


async def add_paged(tx: Tx, incident: Incident, user_ids: Iterable[UUID], source: ResponderSource) -> None:
    """Make these people responders who have been asked; whoever has joined stays joined."""
    wanted = sorted(set(user_ids))
    known = await queries.responders_by_user(tx, incident.id, wanted)
    for user_id in wanted:
        row = known.get(user_id)
        if row is None:
            row = Responder(incident_id=incident.id, user_id=user_id, source=source, joined_at=None, left_at=None)
            row.state = ResponderState.PAGED
            tx.session.add(row)
        elif row.state != ResponderState.JOINED:
            row.state = ResponderState.PAGED
        row.paged_at = tx.now
    await tx.session.flush()


def _role_changed(
    by: ActorRef, incident: Incident, role: IncidentRole, old: str | None, new: str | None
) -> RoleChanged:
    return RoleChanged(actor=by, incident_id=incident.id, role=role, old=old, new=new)
