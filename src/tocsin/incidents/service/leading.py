"""Who leads next: an incident that is worked on is never without somebody who answers for it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import SYSTEM, ActorRef
from tocsin.events.facts import HadNoLead, MayNotEdit, SwitchedOff, Why
from tocsin.events.incidents import RoleChanged
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import Access, P
from tocsin.identity.access_queries import accesses
from tocsin.identity.model import Actor, User
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import Incident, IncidentRole


async def successor(tx: Tx, incident: Incident, gone: UUID | None) -> User | None:
    """Return who follows a lead that goes: the commander, else who joined first of those who may act."""
    joined = [other.id for other in await queries.joined_people(tx, incident.id)]
    wanted = [id for id in (incident.commander_id, *joined) if id is not None and id != gone]
    # As they are now and until the commit: whoever of them leaves in this moment does not follow.
    active = await identity.keep_active(tx, wanted)
    able = await able_to(tx, incident, IncidentRole.LEAD, active)
    return next((active[id] for id in wanted if id in able), None)


async def able_to(tx: Tx, incident: Incident, role: IncidentRole, ids: Iterable[UUID]) -> set[UUID]:
    """Return those of these people who may have the role in this incident; whether they are there is not looked at."""
    return {id for id, theirs in (await accesses(tx, ids)).items() if may_have(theirs, incident, role)}


def may_have(access: Access, incident: Incident, role: IncidentRole = IncidentRole.LEAD) -> bool:
    """Say whether somebody who may do this may have the role in this incident: to speak for it is to comment on it."""
    needed = P.INCIDENT_COMMENT if role is IncidentRole.COMMUNICATOR else P.INCIDENT_EDIT
    return access.may(needed, incident.owned)


async def pass_role(
    tx: Tx, by: ActorRef, incident: Incident, role: IncidentRole, old: str | None, new: User | None, why: Why
) -> None:
    """Put somebody, or nobody, into a role that nobody decided about, and say why."""
    lifecycle.give_role(incident, role, new.id if new else None, at=tx.now)
    named = RoleChanged(
        actor=by,
        incident_id=incident.id,
        version=incident.version,
        role=role,
        old=old,
        new=new.name if new else None,
        why=why,
    )
    await emit(tx, named)


async def renew(tx: Tx, who: Actor, incident: Incident) -> None:
    """See to it that the roles of an incident that begins again are held by people who may act, and that it has a lead.

    Whoever left, was switched off or lost the right to edit meanwhile has no role any more.
    """
    holders = {role: id for role in IncidentRole if (id := lifecycle.holder(incident, role)) is not None}
    people = await identity.users_by_id(tx, holders.values())
    active = await identity.keep_active(tx, list(holders.values()))
    theirs = await accesses(tx, holders.values())
    gone = {
        role: people[id] for role, id in holders.items() if id not in active or not may_have(theirs[id], incident, role)
    }
    for role, person in gone.items():
        if role is not IncidentRole.LEAD:
            await pass_role(tx, SYSTEM, incident, role, person.name, None, why_not(person))
    if lifecycle.effective_lead(incident) is not None and IncidentRole.LEAD not in gone:
        return
    before = gone.get(IncidentRole.LEAD)
    following = await successor(tx, incident, before.id if before else None)
    if following is None and who.user_id is not None and may_have(who.access, incident):
        following = (await identity.keep_active(tx, [who.user_id])).get(who.user_id)
    if before is not None or following is not None:
        why = why_not(before) if before else HadNoLead(incident.reference)
        await pass_role(tx, SYSTEM, incident, IncidentRole.LEAD, before.name if before else None, following, why)


def why_not(person: User) -> Why:
    """Return why somebody who had a role can have it no longer: their account is off, or they may not edit."""
    return MayNotEdit(person.name) if person.is_active else SwitchedOff(person.name)
