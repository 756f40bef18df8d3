"""Who is on an incident: taking it on, joining, leaving, roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.base import ActorRef
from tocsin.events.facts import HasItsAlert, Left, Why
from tocsin.events.incidents import (
    IncidentAcknowledged,
    IncidentStatusChanged,
    ResponderJoined,
    ResponderLeft,
    RoleChanged,
)
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import Incident, IncidentRole, Responder, ResponderSource, ResponderState, Status
from tocsin.incidents.queries import Ref
from tocsin.incidents.service import leading
from tocsin.incidents.service.conflicts import must_be_unchanged
from tocsin.incidents.service.filling_in import may_pass
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Conflict, Invalid
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.model import Page, PageState


async def acknowledge(tx: Tx, who: Actor, ref: Ref, *, if_version: Copy = None) -> Incident:
    """Take the incident on: join it, answer one's own pages about it and its alerts, and begin to investigate.

    Idempotent. The first person's time counts; an incident that is over stays as it is. Whoever is being paged for it
    may do it, whatever their role.
    """
    who.must_be_someone()
    incident = await queries.lock(tx, EVERYTHING, ref)
    if not await _is_asked(tx, who, incident):
        await queries.get(tx, who.access.reach, ref)
        who.must(P.INCIDENT_EDIT, on=incident)
    await must_be_unchanged(tx, incident, if_version)
    if lifecycle.is_open(incident):
        await take_on(tx, who, incident)
    return incident


async def _is_asked(tx: Tx, who: Actor, incident: Incident) -> bool:
    """Say whether a page about the incident or one of its alerts waits for the actor's answer."""
    if not may_answer(who) or not who.access.reaches(None, incident.id):
        return False
    linked = await queries.linked_alert_ids(tx, incident.id, open_only=True)
    mine = await oncall_queries.newest_pages_of_user(
        tx, who.must_be_someone(), alert_ids=linked, incident_id=incident.id
    )
    return any(page.state == PageState.PAGING for page in mine)


def may_answer(who: Actor) -> bool:
    """Say whether the actor may answer pages that they got. Everybody may; a token needs one of these scopes."""
    if who.access.only is not None:
        return True
    return any(who.access.may_somewhere(permission) for permission in (P.SELF_EDIT, P.ALERT_EDIT, P.INCIDENT_EDIT))


async def join(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Become a responder. Joining is an acknowledgement too, and answers one's own pages; those of others go on."""
    who.must_be_someone()
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    lifecycle.must_be_open(incident)
    await take_on(tx, who, incident)
    return incident


async def leave(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Stop being a responder. The lead falls to the commander, else to who joined first of the others.

    Raises `Conflict` where nobody could follow, for the other roles, which have to be handed over first, and for an
    incident that is over: who was on it then stays in its record.
    """
    user_id = who.must_be_someone()
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    row = await queries.responder(tx, incident.id, user_id)
    if row is not None and row.state != ResponderState.LEFT:
        lifecycle.must_be_open(incident)
        await _hand_over(tx, who, incident, user_id)
        row.state, row.left_at = ResponderState.LEFT, tx.now
        await emit(tx, ResponderLeft(actor=who.ref, incident_id=incident.id, user_id=user_id, user_name=who.name))
    return incident


async def _hand_over(tx: Tx, who: Actor, incident: Incident, user_id: UUID) -> None:
    roles = lifecycle.roles_of(incident, user_id)
    successor = await leading.successor(tx, incident, user_id) if roles == [IncidentRole.LEAD] else None
    if roles and successor is None:
        raise Conflict(
            f"You are {' and '.join(roles)} of {incident.reference}. Hand that over before you leave.",
            code="incident.has_role",
        )
    if successor is not None:
        await leading.pass_role(tx, who.ref, incident, IncidentRole.LEAD, who.name, successor, Left(who.name))


async def assign_roles(
    tx: Tx, who: Actor, ref: Ref, roles: Mapping[IncidentRole, UUID | None], *, if_version: Copy = None
) -> Incident:
    """Give roles, each to one person, who joins by this, or to nobody; all of them or none. What is not named stays.

    What is wrong with a person is about the field that has the name of the role.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    wanted = [role for role, user_id in roles.items() if lifecycle.holder(incident, role) != user_id]
    await must_be_unchanged(tx, incident, if_version, wanted)
    # Those that are given first: a lead who is named makes room for a commander who goes.
    for role, user_id in sorted(roles.items(), key=lambda each: each[1] is None):
        await give_role(tx, who, incident, role, user_id, field=role.value)
    return incident


async def give_role(
    tx: Tx, who: Actor, incident: Incident, role: IncidentRole, user_id: UUID | None, *, field: str
) -> None:
    """Put a person, who joins by this, or nobody into a role of an open incident. The caller has locked it.

    The lead of one that is worked on is handed over, not emptied.
    """
    old = lifecycle.holder(incident, role)
    if old == user_id:
        return
    lifecycle.must_be_open(incident)
    if user_id is None:
        lifecycle.must_keep_lead(incident, role)
    can_sign_in = await identity.keep_active(tx, [user_id]) if user_id is not None else {}
    people = await identity.users_by_id(tx, [id for id in (old, user_id) if id is not None])
    if user_id is not None:
        if user_id not in can_sign_in:
            raise Invalid(field, "Choose a person who can sign in.", code="unknown")
        if not await leading.able_to(tx, incident, role, [user_id]):
            cannot = "comment on" if role is IncidentRole.COMMUNICATOR else "edit"
            raise Invalid(field, f"{people[user_id].name} may not {cannot} incidents. Choose a responder.", code="role")
        await add_joined(tx, who, incident, user_id, people[user_id].name, ResponderSource.ROLE)
    lifecycle.give_role(incident, role, user_id, at=tx.now)
    names = [people[id].name if id is not None else None for id in (old, user_id)]
    await emit(tx, _role_changed(who.ref, incident, role, names[0], names[1]))
    if user_id is not None and user_id == who.user_id and lifecycle.is_open(incident):
        # Whoever takes a role has come; somebody who is given one has not said so, and is paged on.
        await answer_own_pages(tx, who, incident)


async def take_on(tx: Tx, who: Actor, incident: Incident) -> None:
    """Make the actor a joined responder who has answered all that they were asked about the incident."""
    user_id = who.must_be_someone()
    await identity.must_stay_active(tx, user_id)
    await add_joined(tx, who, incident, user_id, who.name, ResponderSource.SELF)
    await note_taken_on(tx, who.ref, incident, user_id, who.name, may_lead=leading.may_have(who.access, incident))
    await answer_own_pages(tx, who, incident)


async def answer_own_pages(tx: Tx, who: Actor, incident: Incident) -> None:
    """Answer the actor's own pages about the incident and about its open alerts; runs that did not page them go on.

    The last word counts, so that also a page which they declined or which went by is answered now.
    """
    mine = await own_pages(tx, incident, who.must_be_someone())
    # What one was asked about one answers, with whatever credential.
    asked = [page.alert_id for page in mine if page.alert_id is not None]
    locked = await alert_queries.lock_many(tx, EVERYTHING, asked)
    waiting = {alert.id for alert in locked if alert.status == AlertStatus.TRIGGERED}
    for page in mine:
        if page.alert_id is None or page.alert_id in waiting:
            await answer(tx, who, page)


async def own_pages(tx: Tx, incident: Incident, user_id: UUID) -> list[Page]:
    """Return the pages by whose answer this person answers for the incident: one for each run and each open alert."""
    linked = await queries.linked_alert_ids(tx, incident.id, open_only=True)
    newest = await oncall_queries.newest_pages_of_user(tx, user_id, alert_ids=linked, incident_id=incident.id)
    by_subject = {page.alert_id or page.run_id: page for page in reversed(newest)}
    return list(by_subject.values())


async def answer(tx: Tx, who: Actor, sent: Page, channel: str = "") -> None:
    """Answer a page and, if it is about an alert, take that on. The caller has locked what it is about: it is open."""
    await oncall.answer_page(tx, who, sent.id, channel, is_wanted=True)
    if sent.alert_id is not None:
        await alerts.take_on(tx, who, sent.alert_id)


async def note_taken_on(tx: Tx, by: ActorRef, incident: Incident, user_id: UUID, name: str, *, may_lead: bool) -> None:
    """Stamp the first acknowledgement, by somebody who has joined, and begin to investigate.

    `by` is who acts: whoever links an alert that somebody else has taken on brings that person in. An incident that
    nobody leads is led by who comes, if they may. A declared one waits.
    """
    old = incident.status
    if lifecycle.effective_lead(incident) is None:
        if may_lead:
            lifecycle.give_role(incident, IncidentRole.LEAD, user_id, at=tx.now)
            why = None if by.id == user_id else HasItsAlert(name)
            await emit(tx, _role_changed(by, incident, IncidentRole.LEAD, None, name, why))
        elif old == Status.DECLARED:
            return
    may_move = old != Status.DECLARED or await may_pass(tx, incident, Status.INVESTIGATING)
    if lifecycle.acknowledge(incident, at=tx.now, may_move=may_move):
        about: dict[str, Any] = {"actor": by, "incident_id": incident.id, "version": incident.version}
        await emit(tx, IncidentAcknowledged(**about, user_id=user_id, user_name=name))
        if incident.status != old:
            await emit(tx, IncidentStatusChanged(**about, old=old, new=incident.status))


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


async def add_paged(
    tx: Tx, incident: Incident, user_ids: Iterable[UUID], source: ResponderSource, *, at: datetime | None = None
) -> None:
    """Make these people responders who have been asked (`at`: when, if not now); whoever has joined stays joined."""
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
        row.paged_at = at or tx.now
    await tx.session.flush()


def _role_changed(
    by: ActorRef, incident: Incident, role: IncidentRole, old: str | None, new: str | None, why: Why | None = None
) -> RoleChanged:
    return RoleChanged(
        actor=by, incident_id=incident.id, version=incident.version, role=role, old=old, new=new, why=why
    )
