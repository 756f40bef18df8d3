"""What becomes of what a person was asked, held and led, once they can no longer sign in or no longer edit incidents.

The account itself is `identity`'s. What the person is needed for is known only here, above all that names people, so
this is where an account is changed from. What follows a change is a reaction in portions (`jobs`): each of its parts
looks at what is true by then, so it may run twice and late.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.base import SYSTEM
from tocsin.events.facts import SwitchedOff, Why
from tocsin.events.incidents import ResponderLeft
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity import service as accounts
from tocsin.identity.access import EVERYTHING, NOTHING, P
from tocsin.identity.access_queries import access
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import INCIDENT_ID, Incident, IncidentRole, ResponderState, Status
from tocsin.incidents.service import leading
from tocsin.kit.changes import Copy
from tocsin.kit.crypto import digest
from tocsin.kit.errors import InUse, Use
from tocsin.notifications import service as notifications
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.model import PAGE_ID

_TOCSIN = Actor.system("Tocsin")


async def update_person(
    tx: Tx,
    who: Actor,
    user_id: UUID,
    changes: UserChanges,
    *,
    if_version: Copy = None,
    confirmed: str | bool = False,
) -> User:
    """Change a person, see `identity.update_user`; one who is needed goes only when this is confirmed.

    Raises `InUse` with everything that names the person, when they are to be switched off, or with what they lead, when
    they are to lose the right to edit. `confirmed` is the `mark_of` what was seen: anything else is asked again; True
    takes it all.
    """
    before = await identity.user(tx, user_id)
    was_active, could_edit = before.is_active, await _may_edit(tx, user_id)
    person = await accounts.update_user(tx, who, user_id, changes, if_version=if_version)
    if was_active and not person.is_active:
        uses = await needs_of(tx, who, user_id)
        _must_be_confirmed(uses, confirmed, f"{person.name} is needed", "Switch the account off all the same")
    elif person.is_active and could_edit and not await _may_edit(tx, user_id):
        uses = [use for use in await needs_of(tx, who, user_id) if use.kind == "incident" and use.as_what]
        _must_be_confirmed(uses, confirmed, f"{person.name} leads", "Change the role all the same")
    return person


async def _may_edit(tx: Tx, user_id: UUID) -> bool:
    return P.INCIDENT_EDIT in (await access(tx, user_id)).organisation


def mark_of(uses: Sequence[Use]) -> str:
    """Return a short text by which a surface says later that this, and nothing else, was seen."""
    return digest("\n".join(f"{use.kind} {use.id} {use.as_what}" for use in uses)).hex()[:32]


def _must_be_confirmed(uses: Sequence[Use], confirmed: str | bool, what: str, offer: str) -> None:
    is_confirmed = confirmed == mark_of(uses) if isinstance(confirmed, str) else confirmed
    if uses and not is_confirmed:
        hint = f"{offer} by confirming it. Others take over what they can; what still names the person is marked."
        raise InUse(what, uses, code="user.needed", hint=hint)


async def needs_of(tx: Tx, who: Actor, user_id: UUID) -> list[Use]:
    """Return what names this person or waits for them: policies, the fallback, open incidents, alerts, pages.

    Of what the actor may not see it is said that it is there, and not what it is.
    """
    found = await oncall.pages_them(tx, user_id)
    on = await queries.open_with(tx, user_id)
    seen = await queries.by_id(tx, who.access, [incident.id for incident in on])
    for incident in on:
        as_what = " and ".join(lifecycle.roles_of(incident, user_id))
        named = (
            (INCIDENT_ID.write(incident.id), incident.reference) if incident.id in seen else ("", "A private incident")
        )
        found.append(Use("incident", *named, as_what))
    held = await alert_queries.held_by(tx, user_id)
    visible = await alert_queries.seen(tx, who.access, [alert.id for alert in held])
    for alert in held:
        named = (ALERT_ID.write(alert.id), alert.title) if alert.id in visible else ("", "A private alert")
        found.append(Use("alert", *named, "acknowledged by them"))
    pages = await oncall_queries.pages_waiting_for(tx, user_id)
    found += [Use("page", PAGE_ID.write(id), "A page", "waits for their answer") for id in pages]
    return found


async def stand_in(tx: Tx, incident_id: UUID, user_id: UUID) -> None:
    """Let others have what a person had in an incident, if the person cannot have it any more.

    Whoever cannot sign in is no longer on it. An incident that is being worked on falls to its commander, else to who
    joined first of those who may edit; only when there is nobody does it stay without a lead, which the record says.
    """
    incident = await queries.lock(tx, EVERYTHING, incident_id)
    person = await identity.user(tx, user_id)
    await tx.session.refresh(person)
    theirs = (await access(tx, user_id)) if person.is_active else NOTHING
    roles = [role for role in lifecycle.roles_of(incident, user_id) if not leading.may_have(theirs, incident, role)]
    if not lifecycle.is_open(incident) or (person.is_active and not roles):
        return
    why = leading.why_not(person)
    if not person.is_active:
        await _leave(tx, incident, person, why)
    for role in roles:
        if role is not IncidentRole.LEAD:
            await leading.pass_role(tx, SYSTEM, incident, role, person.name, None, why)
    if IncidentRole.LEAD in roles or (roles and lifecycle.effective_lead(incident) is None):
        successor = await leading.successor(tx, incident, person.id) if incident.status != Status.DECLARED else None
        if IncidentRole.LEAD in roles or successor is not None:
            held_before = person.name if IncidentRole.LEAD in roles else None
            await leading.pass_role(tx, SYSTEM, incident, IncidentRole.LEAD, held_before, successor, why)


async def _leave(tx: Tx, incident: Incident, person: User, why: Why) -> None:
    row = await queries.responder(tx, incident.id, person.id)
    if row is not None and row.state in (ResponderState.PAGED, ResponderState.JOINED):
        row.state, row.left_at = ResponderState.LEFT, tx.now
        left = ResponderLeft(actor=SYSTEM, incident_id=incident.id, user_id=person.id, user_name=person.name, why=why)
        await emit(tx, left)


async def free_alert(tx: Tx, alert_id: UUID, user_id: UUID) -> None:
    """Give an alert back whose only holder cannot sign in any more, so that somebody is paged again.

    In an open incident that somebody else has joined it stays acknowledged: they have it.
    """
    linked_to = (await alert_queries.get(tx, EVERYTHING, alert_id)).incident_id
    incident = await queries.lock(tx, EVERYTHING, linked_to) if linked_to is not None else None
    alert = (await alert_queries.lock_many(tx, EVERYTHING, [alert_id]))[0]
    person = await identity.user(tx, user_id)
    await tx.session.refresh(person)
    if person.is_active or alert.status != AlertStatus.ACKNOWLEDGED or alert.acknowledged_by_id != user_id:
        return
    if incident is not None and alert.incident_id == incident.id and lifecycle.is_open(incident):
        others = [other for other in await queries.joined_people(tx, incident.id) if other.id != user_id]
        if others:
            return
    await alerts.give_back(tx, _TOCSIN, alert, why=SwitchedOff(person.name))


async def take_back_messages(tx: Tx, user_id: UUID) -> None:
    """Take back what has not gone out yet to a person whose account is off."""
    if not (await identity.user(tx, user_id)).is_active:
        await notifications.cancel_for_person(tx, user_id)
